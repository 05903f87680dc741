//! Queues and kinds of jobs on the page of metrics: those of the caller's tenant, of all for the tenant
//! `default`.

use crate::{call::Call, ops::family, top::shown_to};
use evenkeel_contract::metric;
use evenkeel_domains::jobs::{Kind, State, Totals};
use evenkeel_engine::TenantId;
use std::fmt::Write;

/// Queues, and kinds, that are shown; those beyond by name are not.
const SHOWN_MAX: usize = 1_000;

type Samples = Vec<(String, u64)>;

pub(crate) async fn metrics(call: &Call, page: &mut String) {
    let node = &call.edge.node;
    let meta = node.meta();
    let names = shown_to(&call.caller.tenant, &meta.meta.tenants);
    let now = node.now();
    let mut queues: Vec<_> = node
        .queue_states()
        .into_iter()
        // Partitions keep what was in a queue that was deleted; those that there are have the room.
        .filter(|(tenant, queue, _)| meta.meta.queue(*tenant, queue).is_some())
        .filter_map(|(tenant, queue, state)| Some((*names.get(&tenant)?, queue, state)))
        .collect();
    queues.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    let (mut jobs, mut oldest) = (Samples::new(), Samples::new());
    let (mut events, mut workers) = (Samples::new(), Samples::new());
    for (tenant, queue, state) in queues.into_iter().take(SHOWN_MAX) {
        let of = format!("tenant=\"{tenant}\",queue=\"{queue}\"");
        by_state(&of, &state.counts, &mut jobs);
        by_event(&of, &state.totals, &mut events);
        let age_ms = state.oldest_ready.map_or(0, |since| now.0.saturating_sub(since.0));
        oldest.push((format!("{{{of}}}"), age_ms / 1_000));
        workers.push((format!("{{{of}}}"), state.workers_waiting));
    }
    family(page, metric::QUEUE_JOBS, "gauge", "Jobs of a queue by state.", &jobs);
    let help = "How long the oldest job of a queue is ready that is.";
    family(page, metric::QUEUE_OLDEST, "gauge", help, &oldest);
    family(page, metric::QUEUE_EVENTS, "counter", "What has happened to jobs of a queue.", &events);
    family(page, metric::QUEUE_WORKERS, "gauge", "Workers that wait on this node.", &workers);
    let shown = |tenant: TenantId| names.get(&tenant).map(|name| (*name).to_owned());
    let kinds = node.job_kinds().await.into_iter().filter_map(|((tenant, queue, kind), row)| {
        let tenant = shown(tenant)?;
        Some((format!("tenant=\"{tenant}\",queue=\"{queue}\",kind=\"{kind}\""), row))
    });
    kind_metrics(&kinds.take(SHOWN_MAX).collect::<Vec<_>>(), page);
}

fn kind_metrics(kinds: &[(String, Kind)], page: &mut String) {
    let (mut jobs, mut events) = (Samples::new(), Samples::new());
    for (of, kind) in kinds {
        by_state(of, &kind.counts, &mut jobs);
        by_event(of, &kind.totals, &mut events);
    }
    family(page, metric::KIND_JOBS, "gauge", "Jobs by kind and state.", &jobs);
    family(page, metric::KIND_EVENTS, "counter", "What has happened to jobs by kind.", &events);
    let wait = |kind: &Kind| (kind.wait_ms, kind.leases);
    let help = "How long jobs were ready before they were leased, by kind.";
    summary(page, metric::KIND_WAIT, help, kinds, wait);
    let run = |kind: &Kind| {
        let ended = kind.leases.saturating_sub(kind.counts[State::Leased as usize]);
        (kind.run_ms, ended)
    };
    summary(page, metric::KIND_RUN, "How long leases lasted, by kind.", kinds, run);
}

fn by_state(of: &str, counts: &[u64], samples: &mut Samples) {
    for (state, count) in State::ALL.into_iter().zip(counts) {
        samples.push((format!("{{{of},state=\"{}\"}}", state.name()), *count));
    }
}

fn by_event(of: &str, totals: &Totals, samples: &mut Samples) {
    let Totals { enqueued, completed, failed, crashed, died } = *totals;
    for (event, count) in [
        ("enqueued", enqueued),
        ("completed", completed),
        ("failed", failed),
        ("crashed", crashed),
        ("died", died),
    ] {
        samples.push((format!("{{{of},event=\"{event}\"}}"), count));
    }
}

/// Sums and counts, from which averages over any time are made.
fn summary(
    page: &mut String,
    name: &str,
    help: &str,
    kinds: &[(String, Kind)],
    sum_and_count: fn(&Kind) -> (u64, u64),
) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} summary");
    for (of, kind) in kinds {
        let (sum_ms, count) = sum_and_count(kind);
        let (whole, rest) = (sum_ms / 1_000, sum_ms % 1_000);
        let _ =
            writeln!(page, "{name}_sum{{{of}}} {whole}.{rest:03}\n{name}_count{{{of}}} {count}");
    }
}
