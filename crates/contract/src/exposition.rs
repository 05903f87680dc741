//! The meters as a Prometheus page (text exposition format 0.0.4), and the names of their
//! metrics, so that prose which says what to watch cannot name one that does not exist.

use std::fmt::Write;

use crate::meter::Lifetime;

/// Names of metrics: those that every path has, from its meter, and those of the parts beneath,
/// which their owners expose and which paths name as what to watch.
pub mod metric {
    /// Requests by path and code.
    pub const REQUESTS: &str = "evenkeel_path_requests_total";
    /// Latency by path.
    pub const LATENCY: &str = "evenkeel_path_latency_seconds";
    /// Appends to the log by path.
    pub const APPENDS: &str = "evenkeel_path_appends_total";
    /// Barriers by path.
    pub const BARRIERS: &str = "evenkeel_path_barriers_total";
    /// Replayed answers by path.
    pub const REPLAYS: &str = "evenkeel_path_replays_total";
    /// All of those.
    pub const EVERY_PATH: [&str; 5] = [REQUESTS, LATENCY, APPENDS, BARRIERS, REPLAYS];

    /// Commands waiting for a partition's loop, by partition.
    pub const MAILBOX_DEPTH: &str = "evenkeel_partition_mailbox_commands";
    /// Commands decided in one batch, by partition.
    pub const BATCH_SIZE: &str = "evenkeel_partition_batch_commands";
    /// Rows of a partition that are not in the state file yet, in bytes.
    pub const MEMTABLE: &str = "evenkeel_partition_memtable_bytes";
    /// Work for other partitions that they have not acknowledged, by partition.
    pub const OUTBOX_ROWS: &str = "evenkeel_partition_outbox_rows";
    /// How long the oldest of it has waited, in ms.
    pub const OUTBOX_AGE: &str = "evenkeel_partition_outbox_age_ms";
    /// Work of other partitions that could not be done, by partition.
    pub const DEAD_DELIVERIES: &str = "evenkeel_partition_dead_deliveries";
    /// Timers that are due and not yet turned into effects, by partition.
    pub const TIMERS_DUE: &str = "evenkeel_partition_timers_due";
    /// The time of one group sync of the log.
    pub const LOG_SYNC: &str = "evenkeel_log_sync_seconds";
    /// Jobs of a queue by state.
    pub const QUEUE_JOBS: &str = "evenkeel_queue_jobs";
    /// How long the oldest job of a queue is ready that is.
    pub const QUEUE_OLDEST: &str = "evenkeel_queue_oldest_ready_seconds";
    /// What has happened to jobs of a queue.
    pub const QUEUE_EVENTS: &str = "evenkeel_queue_events_total";
    /// Workers that wait for a job of a queue.
    pub const QUEUE_WORKERS: &str = "evenkeel_queue_workers_waiting";
    /// Jobs by kind and state.
    pub const KIND_JOBS: &str = "evenkeel_job_kind_jobs";
    /// What has happened to jobs by kind.
    pub const KIND_EVENTS: &str = "evenkeel_job_kind_events_total";
    /// How long jobs were ready before they were leased, by kind.
    pub const KIND_WAIT: &str = "evenkeel_job_kind_wait_seconds";
    /// How long leases lasted, by kind.
    pub const KIND_RUN: &str = "evenkeel_job_kind_run_seconds";
    /// Open event streams.
    pub const STREAMS_OPEN: &str = "evenkeel_streams_open";
    /// Event streams that were told that their history is gone.
    pub const STREAMS_RESET: &str = "evenkeel_streams_reset_total";
    /// Open WebSocket connections.
    pub const REALTIME_OPEN: &str = "evenkeel_realtime_connections";
    /// WebSocket connections that were closed by the server, by why.
    pub const REALTIME_CLOSED: &str = "evenkeel_realtime_closed_total";
    /// Frames of WebSocket clients that made no sense.
    pub const REALTIME_BAD_FRAMES: &str = "evenkeel_realtime_bad_frames_total";
    /// Reads that the cache of reads was asked for, by what it found.
    pub const CACHE_READS: &str = "evenkeel_cache_reads_total";
    /// Reads that it had the owner do.
    pub const CACHE_LOADS: &str = "evenkeel_cache_loads_total";
    /// What it let go, by why.
    pub const CACHE_DROPPED: &str = "evenkeel_cache_dropped_total";
    /// Bytes of what it holds.
    pub const CACHE_BYTES: &str = "evenkeel_cache_bytes";
    /// Requests without a valid key.
    pub const UNAUTHENTICATED: &str = "evenkeel_unauthenticated_total";
}

type Field = fn(&Lifetime) -> u64;

/// Appends the metrics of all `paths` to `page`, family by family as the format demands.
pub fn render_prometheus(paths: &[(&str, Lifetime)], page: &mut String) {
    family(page, metric::REQUESTS, "counter", "Requests by path and code.");
    for (path, lifetime) in paths {
        for (code, count) in &lifetime.outcomes {
            sample(page, metric::REQUESTS, &format!("path=\"{path}\",code=\"{code}\""), *count);
        }
    }
    family(page, metric::LATENCY, "histogram", "Time from a request to its answer, by path.");
    for (path, lifetime) in paths {
        latency(page, path, lifetime);
    }
    let counters: [(&str, &str, Field); 3] = [
        (metric::APPENDS, "Appends to the log, by path.", |lifetime| lifetime.appends),
        (metric::BARRIERS, "Barriers, by path.", |lifetime| lifetime.barriers),
        (metric::REPLAYS, "Answers replayed for a repeated key, by path.", |it| it.replays),
    ];
    for (name, help, field) in counters {
        family(page, name, "counter", help);
        for (path, lifetime) in paths {
            sample(page, name, &format!("path=\"{path}\""), field(lifetime));
        }
    }
}

fn latency(page: &mut String, path: &str, lifetime: &Lifetime) {
    let name = metric::LATENCY;
    let bucket = format!("{name}_bucket");
    for (below_us, count) in &lifetime.latency_below_us {
        let seconds = *below_us as f64 / 1e6;
        sample(page, &bucket, &format!("path=\"{path}\",le=\"{seconds}\""), *count);
    }
    sample(page, &bucket, &format!("path=\"{path}\",le=\"+Inf\""), lifetime.requests);
    let sum_s = lifetime.latency_sum_us as f64 / 1e6;
    sample(page, &format!("{name}_sum"), &format!("path=\"{path}\""), sum_s);
    sample(page, &format!("{name}_count"), &format!("path=\"{path}\""), lifetime.requests);
}

fn family(page: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail; the same holds below.
    let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn sample(page: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ = writeln!(page, "{name}{{{labels}}} {value}");
}
