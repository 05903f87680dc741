//! What whoever runs the server asks of it: whether it lives, whether it can serve, its numbers.

use crate::{
    answer::{Answer, Body},
    call::Call,
    edge::Edge,
    jobs, openapi,
    problem::Problem,
};
use evenkeel_cache::Counters;
use evenkeel_contract::{metric, render_prometheus};
use evenkeel_log::LogStats;
use evenkeel_node::{NodeStats, PartitionStats};
use hyper::{StatusCode, header::HeaderValue};
use serde::Serialize;
use std::{fmt::Write, sync::atomic::Ordering::Relaxed};

const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// `GET /healthz`: the process answers. Whether it can serve is `/readyz`'s to say.
pub(crate) fn healthz(call: &Call) -> Result<Answer, Problem> {
    call.parameters()?;
    Ok(Answer::json(StatusCode::OK, &Health { status: "ok" }))
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    checks: Vec<Check>,
}

/// One thing that requests depend on.
#[derive(Serialize)]
struct Check {
    name: String,
    ok: bool,
    detail: String,
}

/// `GET /readyz`
pub(crate) fn readyz(call: &Call) -> Result<Answer, Problem> {
    call.parameters()?;
    let stats = call.edge.node.stats();
    let stopping = *call.edge.stopping.borrow();
    let mut checks = checks(&stats, stopping);
    if let Some(rules) = &call.edge.options.rules {
        // Not what is not ready: what was in force before still is.
        let detail = rules.get().detail;
        checks.push(Check { name: "envoy rules".to_owned(), ok: true, detail });
    }
    let ready = checks.iter().all(|check| check.ok);
    let (status, word) = if ready {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    Ok(Answer::json(status, &Readiness { status: word, checks }))
}

fn checks(stats: &NodeStats, stopping: bool) -> Vec<Check> {
    let server = Check {
        name: "server".to_owned(),
        ok: !stopping,
        detail: if stopping { "stopping" } else { "accepting requests" }.to_owned(),
    };
    let served = stats.partitions.iter().any(|partition| partition.leads);
    let log = Check {
        name: "log".to_owned(),
        ok: served && stats.log_failed.is_none(),
        detail: stats.log_failed.clone().unwrap_or_else(|| {
            format!("{} records in {} groups since the start", stats.log.records, stats.log.groups)
        }),
    };
    let store = Check {
        name: "store".to_owned(),
        ok: stats.store_error.is_none(),
        detail: stats.store_error.clone().unwrap_or_else(|| format!("{} flushes", stats.flushes)),
    };
    let partitions = stats.partitions.iter().map(|partition| Check {
        name: format!("partition {}", partition.partition),
        ok: partition.leads && partition.quarantined.is_none(),
        detail: partition
            .quarantined
            .clone()
            .unwrap_or_else(|| format!("at offset {}", partition.offset)),
    });
    [server, log, store].into_iter().chain(partitions).collect()
}

/// `GET /openapi.json`
pub(crate) fn openapi(call: &Call) -> Result<Answer, Problem> {
    call.parameters()?;
    Ok(Answer::new(StatusCode::OK, JSON, Body::Whole(openapi::text())))
}

/// `GET /metrics`
pub(crate) async fn metrics(call: Call) -> Result<Answer, Problem> {
    call.parameters()?;
    let edge = &call.edge;
    let mut page = String::with_capacity(32 * 1_024);
    let lifetimes: Vec<_> = edge
        .served
        .iter()
        .filter_map(|served| Some((served.path?.name, served.meter.as_ref()?.lifetime())))
        .collect();
    render_prometheus(&lifetimes, &mut page);
    let stats = edge.node.stats();
    edge_metrics(edge, &mut page);
    cache_metrics(&edge.reads.counters(), &mut page);
    if let Some(rules) = &edge.options.rules {
        let current = u64::from(rules.get().current);
        family(
            &mut page,
            "evenkeel_envoy_rules_current",
            "gauge",
            "Whether the rules for Envoy that are in force are those of the files.",
            &[(String::new(), current)],
        );
    }
    edge.options.pushes.render(&mut page);
    partition_metrics(&stats.partitions, &mut page);
    jobs::metrics(&call, &mut page).await;
    log_metrics(&stats.log, &mut page);
    family(
        &mut page,
        "evenkeel_store_flushes_total",
        "counter",
        "Flushes of memtables to the state file.",
        &[(String::new(), stats.flushes)],
    );
    family(
        &mut page,
        "evenkeel_snapshots_total",
        "counter",
        "Snapshots written.",
        &[(String::new(), stats.snapshots)],
    );
    Ok(Answer::new(StatusCode::OK, PROMETHEUS, Body::from(page.into_bytes())))
}

fn edge_metrics(edge: &Edge, page: &mut String) {
    let open = edge.options.streams_max.saturating_sub(edge.streams.available_permits()) as u64;
    let one = |value: u64| [(String::new(), value)];
    family(page, metric::STREAMS_OPEN, "gauge", "Open event streams.", &one(open));
    let reset = edge.counters.streams_reset.load(Relaxed);
    family(
        page,
        metric::STREAMS_RESET,
        "counter",
        "Event streams whose history was gone.",
        &one(reset),
    );
    let free = edge.realtime.available_permits();
    let open = edge.options.realtime_max.saturating_sub(free) as u64;
    family(page, metric::REALTIME_OPEN, "gauge", "Open WebSocket connections.", &one(open));
    let closed = edge.counters.realtime_closed.counts();
    let closed: Vec<_> =
        closed.map(|(why, count)| (format!("{{why=\"{}\"}}", why.name()), count)).collect();
    let help = "WebSocket connections that were closed here, by why.";
    family(page, metric::REALTIME_CLOSED, "counter", help, &closed);
    let nonsense = edge.counters.realtime_nonsense.load(Relaxed);
    let help = "Frames of WebSocket clients that made no sense.";
    family(page, metric::REALTIME_BAD_FRAMES, "counter", help, &one(nonsense));
    let unknown = edge.counters.unauthenticated.load(Relaxed);
    family(
        page,
        metric::UNAUTHENTICATED,
        "counter",
        "Requests without a valid key.",
        &one(unknown),
    );
}

fn cache_metrics(cache: &Counters, page: &mut String) {
    let why = |name: &str, value: u64| (name.to_owned(), value);
    let reads = [
        why("{found=\"fresh\"}", cache.hits),
        why("{found=\"stale\"}", cache.stale),
        why("{found=\"loading\"}", cache.joined),
        why("{found=\"nothing\"}", cache.loads),
        why("{found=\"refused\"}", cache.refused),
    ];
    let help = "Reads that the cache was asked for, by what it found.";
    family(page, metric::CACHE_READS, "counter", help, &reads);
    let loads = [
        why("{outcome=\"ok\"}", cache.loads - cache.errors),
        why("{outcome=\"error\"}", cache.errors),
    ];
    let help = "Reads that the cache had the owner do.";
    family(page, metric::CACHE_LOADS, "counter", help, &loads);
    let dropped = [
        why("{why=\"written\"}", cache.invalidated),
        why("{why=\"overtaken\"}", cache.overtaken),
        why("{why=\"room\"}", cache.evicted),
    ];
    let help =
        "What the cache let go: since it was written, since a write overtook its load, for others.";
    family(page, metric::CACHE_DROPPED, "counter", help, &dropped);
    family(
        page,
        metric::CACHE_BYTES,
        "gauge",
        "Bytes of what the cache holds.",
        &[why("", cache.bytes)],
    );
}

type Field = fn(&PartitionStats) -> u64;

fn partition_metrics(partitions: &[PartitionStats], page: &mut String) {
    let gauges: [(&str, &str, Field); 9] = [
        ("evenkeel_partition_leads", "Whether this node leads the partition.", |stats| {
            u64::from(stats.leads)
        }),
        ("evenkeel_partition_offset", "The partition's last durable offset.", |stats| stats.offset),
        (metric::MAILBOX_DEPTH, "Commands that wait to be decided.", |stats| stats.waiting),
        (metric::MEMTABLE, "State that is not flushed, in bytes.", |stats| stats.memtable_bytes),
        (
            metric::TIMERS_DUE,
            "Timers that are due and not yet turned into effects; not counted beyond 1,000.",
            |stats| stats.timers_due,
        ),
        (
            metric::OUTBOX_ROWS,
            "Work for other partitions that they have not acknowledged.",
            |stats| stats.outbox_rows,
        ),
        (metric::OUTBOX_AGE, "How long the oldest of it has waited, in ms.", |stats| {
            stats.outbox_age_ms
        }),
        (
            metric::DEAD_DELIVERIES,
            "Work of other partitions that could not be done; kept for 7 days.",
            |stats| stats.dead_deliveries,
        ),
        (
            "evenkeel_partition_quarantined",
            "Whether the partition is out of service until a restart or a repair.",
            |stats| u64::from(stats.quarantined.is_some()),
        ),
    ];
    for (name, help, field) in gauges {
        let samples: Vec<(String, u64)> = partitions
            .iter()
            .map(|stats| (format!("{{partition=\"{}\"}}", stats.partition), field(stats)))
            .collect();
        family(page, name, "gauge", help, &samples);
    }
    batch_metrics(partitions, page);
}

fn batch_metrics(partitions: &[PartitionStats], page: &mut String) {
    let name = metric::BATCH_SIZE;
    // Writing to a String cannot fail.
    let _ = writeln!(page, "# HELP {name} Commands decided in one batch.\n# TYPE {name} histogram");
    for PartitionStats { partition, batches, .. } in partitions {
        let mut below = 0;
        let last = batches.sizes.len() - 1;
        for (bits, count) in batches.sizes.iter().enumerate() {
            below += count;
            let most = if bits == last { "+Inf".to_owned() } else { (1_u64 << bits).to_string() };
            let _ =
                writeln!(page, "{name}_bucket{{partition=\"{partition}\",le=\"{most}\"}} {below}");
        }
        let commands = batches.commands;
        let _ = writeln!(page, "{name}_sum{{partition=\"{partition}\"}} {commands}");
        let _ = writeln!(page, "{name}_count{{partition=\"{partition}\"}} {below}");
    }
}

fn log_metrics(log: &LogStats, page: &mut String) {
    let counters = [
        ("evenkeel_log_groups_total", "Groups written to the log.", log.groups),
        ("evenkeel_log_records_total", "Records written to the log.", log.records),
        ("evenkeel_log_bytes_total", "Bytes written to the log.", log.bytes),
    ];
    for (name, help, value) in counters {
        family(page, name, "counter", help, &[(String::new(), value)]);
    }
    let name = metric::LOG_SYNC;
    // Writing to a String cannot fail; the same holds below.
    let _ = writeln!(page, "# HELP {name} The time of one group sync.\n# TYPE {name} histogram");
    let mut below = 0;
    let last = log.sync_us_buckets.len() - 1;
    for (bits, count) in log.sync_us_buckets[..last].iter().enumerate() {
        below += count;
        let seconds = (1_u64 << bits) as f64 / 1e6;
        let _ = writeln!(page, "{name}_bucket{{le=\"{seconds}\"}} {below}");
    }
    let _ = writeln!(page, "{name}_bucket{{le=\"+Inf\"}} {}", log.syncs);
    let _ = writeln!(page, "{name}_sum {}", log.sync_us_sum as f64 / 1e6);
    let _ = writeln!(page, "{name}_count {}", log.syncs);
}

pub(crate) fn family(
    page: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    samples: &[(String, u64)],
) {
    let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(page, "{name}{labels} {value}");
    }
}
