//! How long a start takes after kill -9, and what memory live holds take:
//! `cargo bench -p evenkeel-node`, and after `--` the number of holds (1,000,000) and of hosts.
//!
//! One process takes the holds, spread over resources and with an idempotency key each, and is
//! killed. A second one opens what is left: *ready* is when every partition is led. A third one
//! does so without `state.redb`, so that everything comes from the log. Where memory is told, it is
//! of the whole process (Linux).

use evenkeel_domains::{
    Command, Found, Query,
    reservations::{self, Action, Places, Spec},
};
use evenkeel_node::{CallOptions, Node, NodeOptions, ReadOptions};
use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{self, Stdio},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HOLDS: usize = 1_000_000;
const RESOURCES: usize = 1_000;
/// Callers that each wait for an answer before they ask again.
const CALLERS: usize = 512;
const TTL_MS: u64 = 24 * 3_600_000;

fn main() {
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["load", directory, holds, hosts] => on_runtime(load(directory, holds, hosts)),
        ["open", directory, holds, hosts] => on_runtime(open(directory, holds, hosts)),
        _ => {
            let holds = words.first().map_or(HOLDS, |word| word.parse().expect("a number"));
            let hosts = words.get(1).copied().unwrap_or("1");
            compare(holds, hosts);
        }
    }
}

fn on_runtime(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work);
}

fn compare(holds: usize, hosts: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    let load_average = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("{holds} holds, {hosts} hosts; load average before: {}", load_average.trim());
    child("load", path, holds, hosts);
    println!("log {} MiB, state {} MiB", size_mib(&path.join("log")), size_mib(path));
    println!("after kill -9:");
    child("open", path, holds, hosts);
    println!("again:");
    child("open", path, holds, hosts);
    fs::remove_file(path.join("state.redb")).expect("it is there");
    println!("without state.redb:");
    child("open", path, holds, hosts);
}

/// Runs a part of this program until it says that it has done its part, then kills it.
fn child(part: &str, directory: &Path, holds: usize, hosts: &str) {
    let mut child = process::Command::new(env::current_exe().expect("this program"))
        .arg(part)
        .arg(directory)
        .args([&holds.to_string(), hosts])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    for line in lines.map_while(Result::ok).take_while(|line| line != "done") {
        println!("  {line}");
    }
    child.kill().expect("it was running");
    child.wait().expect("it has ended");
}

/// Says that this part is done, and waits to be killed.
fn done() -> ! {
    println!("done");
    loop {
        std::thread::park();
    }
}

fn options(directory: &str, hosts: &str) -> NodeOptions {
    NodeOptions {
        init: true,
        hosts: hosts.parse().expect("a number"),
        ..NodeOptions::new(directory.into())
    }
}

fn name(resource: usize) -> String {
    format!("2013-06-01.UA{resource}")
}

fn command(resource: usize, action: Action) -> Command {
    Command::Reservations(reservations::Command { resource: name(resource), action })
}

async fn load(directory: &str, holds: &str, hosts: &str) {
    let holds: usize = holds.parse().expect("a number");
    let node = Node::open(options(directory, hosts)).await.expect("it opens");
    let tenant = node.tenant("default").expect("it exists");
    let capacity = holds as u64;
    for resource in 0..RESOURCES {
        let put = command(resource, Action::Put(Spec::Quantity(capacity)));
        node.command(&tenant, put, CallOptions::default()).await.expect("a resource");
    }
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (node, tenant) = (node.clone(), tenant.clone());
        callers.spawn(async move {
            for number in (caller..holds).step_by(CALLERS) {
                let (holder, places) = (format!("customer-{number}"), Places::Quantity(1));
                let hold = Action::Hold { holder, ttl_ms: TTL_MS, places };
                let key = Some(format!("key-{number}"));
                let options = CallOptions { idempotency_key: key, ..CallOptions::default() };
                let asked = node.command(&tenant, command(number % RESOURCES, hold), options);
                asked.await.expect("a hold");
            }
        });
    }
    while callers.join_next().await.is_some() {}
    let took = began.elapsed();
    println!("taken in {took:.2?}: {:.0} holds/s; {}", rate(holds, took), memory(holds));
    let stats = node.stats();
    println!(
        "{} flushes, {} groups, {} bytes of log",
        stats.flushes, stats.log.groups, stats.log.bytes
    );
    done()
}

async fn open(directory: &str, holds: &str, hosts: &str) {
    let holds: usize = holds.parse().expect("a number");
    let began = Instant::now();
    let node = Node::open(options(directory, hosts)).await.expect("it opens");
    let took = began.elapsed();
    println!("ready in {took:.2?}: {:.0} holds/s; {}", rate(holds, took), memory(holds));
    let tenant = node.tenant("default").expect("it exists");
    let mut held = 0;
    for resource in 0..RESOURCES {
        let query = reservations::Query::Resource { resource: name(resource) };
        let read = node.query(&tenant, Query::Reservations(query), ReadOptions::default());
        let Found::Reservations(reservations::Found::Resource(view)) =
            read.await.expect("it answers").answer
        else {
            panic!("a resource is answered by a resource")
        };
        held += view.held;
    }
    assert_eq!(held, holds as u64, "every hold is there");
    done()
}

fn rate(holds: usize, took: Duration) -> f64 {
    holds as f64 / took.as_secs_f64()
}

/// This process's memory, now and at its highest.
fn memory(holds: usize) -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |field: &str| -> usize {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    let (now, most) = (kib("VmRSS:"), kib("VmHWM:"));
    let allowed = 128 * 1_024 + holds * 400 / 1_024;
    format!("{} MiB resident, {} at most, {} allowed", now >> 10, most >> 10, allowed >> 10)
}

fn size_mib(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).expect("a directory");
    let sizes = entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()));
    sizes.sum::<u64>() >> 20
}
