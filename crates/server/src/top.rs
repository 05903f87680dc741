//! `GET /v1/top`: what is busy, for whoever looks at the whole node. `evenkeel top` shows it.
//!
//! Counters are since the start: who asks twice has rates. The heaviest are of the last whole window.

use crate::{answer::Answer, call::Call, problem::Problem};
use evenkeel_engine::{TenantId, Time};
use evenkeel_log::LogStats;
use evenkeel_node::{BatchStats, HeavyHitter, PartitionStats, WINDOW_MS};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

/// What is busy on this node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Top {
    /// Record time, in milliseconds since 1970.
    pub at_ms: u64,
    /// How long the windows of `keys` and `tenants` are.
    pub window_ms: u64,
    /// The log, which all partitions share.
    pub log: TopLog,
    /// Every partition.
    pub partitions: Vec<TopPartition>,
}

/// The log, since the start.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct TopLog {
    /// Records written.
    pub records: u64,
    /// Groups of records, each made durable by one sync.
    pub groups: u64,
    /// Bytes written.
    pub bytes: u64,
    /// How many syncs took less than 2^index microseconds, but not less than half of that.
    pub sync_us_buckets: Vec<u64>,
}

/// A partition, since the start.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct TopPartition {
    /// Which.
    pub partition: u16,
    /// Whether this node leads it.
    pub leads: bool,
    /// Requests that wait to be decided, now.
    pub waiting: u64,
    /// State that is not flushed, in bytes, now.
    pub memtable_bytes: u64,
    /// Commands answered.
    pub commands: u64,
    /// Batches that they were decided in.
    pub batches: u64,
    /// The heaviest keys of the last whole window, the heaviest first; none if it is long over.
    pub keys: Vec<TopHitter>,
    /// Likewise tenants.
    pub tenants: Vec<TopHitter>,
}

/// One of the heaviest in a window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct TopHitter {
    /// The tenant's name.
    pub tenant: String,
    /// Its key: a resource; a limit, its scope and key. None of a tenant as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub key: Option<String>,
    /// Requests, and tokens that leases took: at most so many.
    pub count: u64,
    /// How many of `count` may be others'.
    pub error: u64,
}

/// `GET /v1/top`
pub(crate) fn top(call: &Call) -> Result<Answer, Problem> {
    call.parameters()?;
    let node = &call.edge.node;
    let (stats, meta, now) = (node.stats(), node.meta(), node.now());
    let names: HashMap<TenantId, &str> =
        meta.meta.tenants.iter().map(|(name, id)| (*id, name.as_str())).collect();
    let partitions =
        stats.partitions.iter().map(|partition| of_partition(partition, &names, now)).collect();
    let top = Top { at_ms: now.0, window_ms: WINDOW_MS, log: of_log(&stats.log), partitions };
    Ok(Answer::json(StatusCode::OK, &top))
}

fn of_log(log: &LogStats) -> TopLog {
    let LogStats { groups, records, bytes, sync_us_buckets, .. } = log;
    TopLog {
        records: *records,
        groups: *groups,
        bytes: *bytes,
        sync_us_buckets: sync_us_buckets.to_vec(),
    }
}

fn of_partition(
    stats: &PartitionStats,
    names: &HashMap<TenantId, &str>,
    now: Time,
) -> TopPartition {
    let BatchStats { commands, sizes } = stats.batches;
    let hitter = |hitter: &HeavyHitter| TopHitter {
        tenant: names.get(&hitter.tenant).map_or_else(String::new, |name| (*name).to_owned()),
        key: hitter.key.clone(),
        count: hitter.count,
        error: hitter.error,
    };
    let fresh = now.0 < stats.heaviest.until.0.saturating_add(2 * WINDOW_MS);
    let shown =
        |hitters: &[HeavyHitter]| hitters.iter().filter(|_| fresh).map(hitter).collect::<Vec<_>>();
    TopPartition {
        partition: stats.partition.0,
        leads: stats.leads,
        waiting: stats.waiting,
        memtable_bytes: stats.memtable_bytes,
        commands,
        batches: sizes.iter().sum(),
        keys: shown(&stats.heaviest.keys),
        tenants: shown(&stats.heaviest.tenants),
    }
}
