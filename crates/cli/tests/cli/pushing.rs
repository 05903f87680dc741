//! Jobs that are pushed while the server is killed: each is delivered, and none is lost.

use crate::process::Server;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Duration,
};
use tempfile::TempDir;

const JOBS: usize = 400;
const KILLS: usize = 4;
const HANG: Duration = Duration::from_secs(60);

/// Says yes to every job, and which it was.
fn consumer() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, jobs) = sync_channel(100_000);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let sender = sender.clone();
            std::thread::spawn(move || converse(stream.unwrap(), &sender));
        }
    });
    (address, jobs)
}

/// Until the connection ends, as it does when the server is killed.
fn converse(stream: TcpStream, jobs: &SyncSender<String>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut job, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("evenkeel-job", value)) => value.clone_into(&mut job),
                Some(("content-length", value)) => length = value.parse().ok()?,
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        reader.read_exact(&mut vec![0; length]).ok()?;
        jobs.send(job).ok()?;
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}

fn queue(server: &Server) -> Value {
    let (status, queue) = server.ask("GET", "/v1/queues/q", None);
    assert_eq!(status, 200, "{queue}");
    queue
}

#[test]
fn every_job_is_delivered_though_the_server_is_killed_again_and_again() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let (address, came) = consumer();
    let start = || Server::serve(&data, &["--init", "--insecure-no-auth"]);
    let mut server = start();
    let push = json!({
        "url": format!("http://{address}/"),
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "concurrency_max": 16,
    });
    // A killed server's leases are over soon, and no job dies of them.
    let body = json!({ "lease_ms": 500, "lease_ms_max": 500, "max_crashes": 100, "push": push });
    assert_eq!(server.ask("PUT", "/v1/queues/q", Some(&body.to_string())).0, 201);
    let mut jobs: BTreeSet<String> = BTreeSet::new();
    for _ in 0..JOBS / 100 {
        let batch = json!({ "jobs": vec![json!({ "kind": "mail" }); 100] }).to_string();
        let (status, taken) = server.ask("POST", "/v1/queues/q/jobs", Some(&batch));
        assert_eq!(status, 201, "{taken}");
        let taken = taken["jobs"].as_array().unwrap();
        jobs.extend(taken.iter().map(|job| job["job"].as_str().unwrap().to_owned()));
    }
    assert_eq!(jobs.len(), JOBS);
    let (mut delivered, mut deliveries) = (BTreeSet::new(), 0);
    for kill in 0..=KILLS {
        while delivered.len() < JOBS * (kill + 1) / (KILLS + 1) {
            delivered.insert(came.recv_timeout(HANG).expect("a job is lost"));
            deliveries += 1;
        }
        if kill < KILLS {
            server.kill();
            server = start();
        }
    }
    let begun = std::time::Instant::now();
    while queue(&server)["counts"]["done"] != JOBS {
        assert!(begun.elapsed() < HANG, "{}", queue(&server));
    }
    deliveries += came.try_iter().count();
    let totals = queue(&server)["totals"].clone();
    assert_eq!(server.stop(), Some(0));
    assert_eq!(delivered, jobs, "each job, and no other");
    assert_eq!((&totals["died"], &totals["failed"]), (&json!(0), &json!(0)));
    let crashed = usize::try_from(totals["crashed"].as_u64().unwrap()).unwrap();
    let twice = deliveries - JOBS;
    assert!(twice <= crashed, "{twice} deliveries too many, {crashed} leases that ran out");
}
