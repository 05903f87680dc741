//! `evenkeel top`: what is busy, each second: paths, tenants, keys, partitions, the log.

use crate::{
    client::{Api, ApiError, ServerArgs},
    failure::Failure,
    output,
};
use evenkeel_contract::Summary;
use evenkeel_server::{Top, TopHitter, TopPartition, TopRead};
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write as _, io::IsTerminal, pin::pin, time::Duration};

const EVERY: Duration = Duration::from_secs(1);
/// To the upper left corner, and nothing below.
const CLEAR: &str = "\x1b[H\x1b[J";
/// Lines of each table.
const LINES_MAX: usize = 10;

/// Watch what is busy: paths, tenants, keys, partitions and the log.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one look of a second, and end.
    #[arg(long)]
    once: bool,
    /// Print JSON, a document a look: what GET /v1/top and GET /v1/contracts say.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// What a server said at one moment.
#[derive(Serialize)]
struct Look {
    top: Top,
    contracts: Vec<Summary>,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let mut api = args.server.api().await?;
    let in_place = !args.json && !args.once && std::io::stdout().is_terminal();
    let mut before = look(&mut api).await?;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    // One listener for all rounds: an interrupt between two of them must not be missed.
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        let round = async {
            ticks.tick().await;
            look(&mut api).await
        };
        let now = tokio::select! {
            interrupted = &mut interrupted => return Ok(interrupted?),
            now = round => now?,
        };
        if args.json {
            output::json_line(&now)?;
        } else {
            let clear = if in_place { CLEAR } else { "" };
            output::print(&format!("{clear}{}", page(&before, &now)))?;
        }
        if args.once {
            return Ok(());
        }
        before = now;
    }
}

async fn look(api: &mut Api) -> Result<Look, ApiError> {
    let top = api.call("GET", "/v1/top", None).await?;
    Ok(Look { top, contracts: api.list("/v1/contracts").await? })
}

fn page(before: &Look, now: &Look) -> String {
    let seconds = now.top.at_ms.saturating_sub(before.top.at_ms).max(1) as f64 / 1e3;
    let mut page = log(&before.top, &now.top, seconds);
    paths(&mut page, &now.contracts);
    partitions(&mut page, &before.top, &now.top, seconds);
    let window_s = now.top.window_ms as f64 / 1e3;
    hitters(&mut page, "TENANT", &merged(&now.top, |partition| &partition.tenants), window_s);
    hitters(&mut page, "KEY", &merged(&now.top, |partition| &partition.keys), window_s);
    reads(&mut page, &now.top.reads);
    page
}

fn log(before: &Top, now: &Top, seconds: f64) -> String {
    let rate = |of: fn(&Top) -> u64| (of(now).saturating_sub(of(before))) as f64 / seconds;
    let syncs: Vec<u64> = now
        .log
        .sync_us_buckets
        .iter()
        .enumerate()
        .map(|(at, count)| count - before.log.sync_us_buckets.get(at).unwrap_or(&0).min(count))
        .collect();
    format!(
        "log  {:.0} records/s in {:.0} groups/s, {:.1} MB/s, sync p50 {} p99 {}\n",
        rate(|top| top.log.records),
        rate(|top| top.log.groups),
        rate(|top| top.log.bytes) / 1e6,
        below(&syncs, 0.5),
        below(&syncs, 0.99),
    )
}

/// What this share of the syncs took less than.
fn below(syncs: &[u64], share: f64) -> String {
    let total: u64 = syncs.iter().sum();
    let mut seen = 0;
    let bucket = syncs.iter().position(|count| {
        seen += count;
        seen as f64 >= total as f64 * share
    });
    match bucket.filter(|_| total > 0) {
        Some(bits) => format!("< {:.2} ms", (1_u64 << bits.min(63)) as f64 / 1e3),
        None => "-".to_owned(),
    }
}

/// The busiest first. Rates are over the last minutes, as in `evenkeel contracts`.
fn paths(page: &mut String, contracts: &[Summary]) {
    let delivered = contracts.iter().filter_map(|path| Some((path, path.delivered.as_ref()?)));
    let mut busy: Vec<_> = delivered.filter(|(_, delivered)| delivered.requests > 0).collect();
    busy.sort_by(|(_, a), (_, b)| b.rate_per_s.total_cmp(&a.rate_per_s));
    let _ =
        writeln!(page, "\n{:<26}{:>10}{:>11}{:>11}{:>9}", "PATH", "RATE/S", "P50", "P99", "ERRORS");
    let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2} ms"));
    for (path, delivered) in busy.into_iter().take(LINES_MAX) {
        let (p50, p99) = (ms(delivered.latency_p50_ms), ms(delivered.latency_p99_ms));
        let (rate, errors) = (delivered.rate_per_s, delivered.errors);
        let _ = writeln!(page, "{:<26}{rate:>10.1}{p50:>11}{p99:>11}{errors:>9}", path.path);
    }
}

/// The busiest first, with their part of all commands: evenly shared, each has as much.
fn partitions(page: &mut String, before: &Top, now: &Top, seconds: f64) {
    let earlier: BTreeMap<u16, &TopPartition> =
        before.partitions.iter().map(|partition| (partition.partition, partition)).collect();
    let mut busy: Vec<_> = now
        .partitions
        .iter()
        .map(|partition| {
            let since = earlier.get(&partition.partition);
            let commands =
                partition.commands.saturating_sub(since.map_or(0, |since| since.commands));
            let batches = partition.batches.saturating_sub(since.map_or(0, |since| since.batches));
            (partition, commands, batches)
        })
        .collect();
    let all = busy.iter().map(|(_, commands, _)| commands).sum::<u64>().max(1) as f64;
    busy.sort_by_key(|(partition, commands, _)| {
        (std::cmp::Reverse(*commands), partition.partition)
    });
    let heads = ["RATE/S", "SHARE", "A BATCH", "WAITING", "UNFLUSHED"];
    let _ = write!(page, "\n{:<14}", "PARTITION");
    heads.iter().for_each(|head| _ = write!(page, "{head:>11}"));
    page.push('\n');
    for (partition, commands, batches) in busy.into_iter().take(LINES_MAX) {
        let _ = writeln!(
            page,
            "{:<14}{:>11.1}{:>9.1} %{:>11.1}{:>11}{:>8.1} MB",
            format!("{}{}", partition.partition, if partition.leads { "" } else { " (not led)" }),
            commands as f64 / seconds,
            commands as f64 / all * 100.0,
            commands as f64 / batches.max(1) as f64,
            partition.waiting,
            partition.memtable_bytes as f64 / 1e6,
        );
    }
}

/// The same tenant or key of all partitions.
fn merged(top: &Top, of: fn(&TopPartition) -> &Vec<TopHitter>) -> Vec<TopHitter> {
    let mut all: BTreeMap<(&str, Option<&str>), TopHitter> = BTreeMap::new();
    for hitter in top.partitions.iter().flat_map(of) {
        let entry = all.entry((&hitter.tenant, hitter.key.as_deref()));
        let sum = entry.or_insert_with(|| TopHitter { count: 0, error: 0, ..hitter.clone() });
        sum.count = sum.count.saturating_add(hitter.count);
        sum.error = sum.error.saturating_add(hitter.error);
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by_key(|hitter| std::cmp::Reverse(hitter.count));
    all
}

/// What is read most of what the server keeps for a moment.
fn reads(page: &mut String, reads: &[TopRead]) {
    let _ = writeln!(page, "\n{:<48}{:>10}", "READ", "SHARE");
    for TopRead { tenant, key, share } in reads.iter().take(LINES_MAX) {
        let name = format!("{tenant} {}", key.escape_debug());
        let _ = writeln!(page, "{name:<48}{:>8.1} %", share * 100.0);
    }
}

fn hitters(page: &mut String, head: &str, hitters: &[TopHitter], window_s: f64) {
    let _ = writeln!(page, "\n{head:<48}{:>10}{:>10}", "RATE/S", "± AT MOST");
    for hitter in hitters.iter().take(LINES_MAX) {
        let name = match &hitter.key {
            Some(key) => format!("{} {}", hitter.tenant, key.escape_debug()),
            None => hitter.tenant.clone(),
        };
        let (rate, error) = (hitter.count as f64 / window_s, hitter.error as f64 / window_s);
        let _ = writeln!(page, "{name:<48}{rate:>10.1}{error:>10.1}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(commands: u64, syncs: u64) -> Top {
        let hitter = |tenant: &str, key: Option<&str>, count| TopHitter {
            tenant: tenant.to_owned(),
            key: key.map(str::to_owned),
            count,
            error: 10,
        };
        let partition = |partition, commands| TopPartition {
            partition,
            leads: partition == 0,
            commands,
            batches: commands / 4,
            keys: vec![hitter("acme", Some("logins \n"), 500)],
            tenants: vec![hitter("acme", None, 800), hitter("other", None, 20)],
            ..TopPartition::default()
        };
        let mut log = evenkeel_server::TopLog { records: commands / 4, ..Default::default() };
        log.sync_us_buckets = vec![0, 0, syncs * 98, syncs * 2];
        Top {
            at_ms: 1_000 + commands,
            window_ms: 10_000,
            log,
            partitions: vec![partition(0, commands), partition(1, 3 * commands)],
            reads: vec![TopRead { tenant: "acme".into(), key: "star".into(), share: 0.25 }],
        }
    }

    /// It counts from nothing then.
    #[test]
    fn a_server_that_was_started_again_has_done_nothing_rather_than_everything() {
        let look = |top| Look { top, contracts: Vec::new() };
        let page = page(&look(top(1_000, 9)), &look(top(0, 0)));
        assert!(page.contains("0 records/s"), "{page}");
        assert!(!page.contains("NaN") && !page.contains("00000"), "{page}");
    }

    #[test]
    fn a_page_says_what_is_busy() {
        let look = |top| Look { top, contracts: Vec::new() };
        let page = page(&look(top(0, 0)), &look(top(1_000, 1)));
        assert!(page.contains("250 records/s"), "{page}");
        assert!(page.contains("sync p50 < 0.00 ms p99 < 0.01 ms"), "{page}");
        let lines: Vec<_> =
            page.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
        let has = |words: &[&str]| lines.iter().any(|line| line == words);
        assert!(
            has(&["1", "(not", "led)", "3000.0", "75.0", "%", "4.0", "0", "0.0", "MB"]),
            "{page}"
        );
        // The sum of both partitions, with what may be others'.
        assert!(has(&["acme", "160.0", "2.0"]), "{page}");
        assert!(has(&["acme", "logins", "\\n", "100.0", "2.0"]), "{page}");
        assert!(has(&["acme", "star", "25.0", "%"]), "{page}");
    }
}
