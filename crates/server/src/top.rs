//! `GET /v1/top`: what is busy, for whoever looks at the whole node. `evenkeel top` shows it. What tenants
//! there are and what their keys are is for administrators of the tenant `default` alone; those of
//! another see their own.
//!
//! Counters are since the start: who asks twice has rates. The heaviest are of the last whole window.

use crate::{answer::Answer, auth::DEFAULT_TENANT, call::Call, problem::Problem};
use evenkeel_engine::{TenantId, Time};
use evenkeel_log::LogStats;
use evenkeel_node::{BatchStats, HeavyHitter, PartitionStats, Tenant, WINDOW_MS};
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
    /// What is read most of what is kept for a moment (timelines, availability, heads of conversations), the most
    /// first, as far as a sample tells.
    pub reads: Vec<TopRead>,
}

/// Something that is read much.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct TopRead {
    /// The tenant's name.
    pub tenant: String,
    /// The resource, conversation or user.
    pub key: String,
    /// Its share of such reads.
    pub share: f64,
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
    let names = shown_to(&call.caller.tenant, &meta.meta.tenants);
    let partitions =
        stats.partitions.iter().map(|partition| of_partition(partition, &names, now)).collect();
    let reads = call.edge.reads.hot().into_iter().filter_map(|((tenant, key), share)| {
        Some(TopRead { tenant: (*names.get(&tenant)?).to_owned(), key: key.to_string(), share })
    });
    let reads = reads.collect();
    let log = of_log(&stats.log);
    let top = Top { at_ms: now.0, window_ms: WINDOW_MS, log, partitions, reads };
    Ok(Answer::json(StatusCode::OK, &top))
}

/// The tenants that `own` may see.
pub(crate) fn shown_to<'t>(
    own: &Tenant,
    tenants: &'t HashMap<String, TenantId>,
) -> HashMap<TenantId, &'t str> {
    let all = *own.name == *DEFAULT_TENANT;
    let shown = tenants.iter().filter(|(_, id)| all || **id == own.id);
    shown.map(|(name, id)| (*id, name.as_str())).collect()
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
    // Of whom there is no name here, the rest is not shown either.
    let hitter = |hitter: &HeavyHitter| {
        let HeavyHitter { tenant, key, count, error } = hitter.clone();
        Some(TopHitter { tenant: (*names.get(&tenant)?).to_owned(), key, count, error })
    };
    let fresh = now.0 < stats.heaviest.until.0.saturating_add(2 * WINDOW_MS);
    let shown = |hitters: &[HeavyHitter]| -> Vec<TopHitter> {
        hitters.iter().filter(|_| fresh).filter_map(hitter).collect()
    };
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

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_log::PartitionId;
    use evenkeel_node::Heaviest;

    #[test]
    fn a_tenant_sees_its_own_and_the_default_one_all() {
        let (default, acme) = (TenantId(0), TenantId(7));
        let hitter = |tenant, key: &str| {
            let key = Some(key.to_owned()).filter(|key| !key.is_empty());
            HeavyHitter { tenant, key, count: 1, error: 0 }
        };
        let stats = PartitionStats {
            partition: PartitionId(1),
            leads: true,
            offset: 1,
            waiting: 0,
            memtable_bytes: 0,
            timers_due: 0,
            outbox_rows: 0,
            outbox_age_ms: 0,
            dead_deliveries: 0,
            batches: BatchStats::default(),
            heaviest: Heaviest {
                until: Time(1),
                keys: vec![hitter(default, "secret"), hitter(acme, "ada")],
                tenants: vec![hitter(default, ""), hitter(acme, "")],
            },
            quarantined: None,
        };
        let tenants = HashMap::from([("default".to_owned(), default), ("acme".to_owned(), acme)]);
        let seen_by = |id, name: &str| {
            let names = shown_to(&Tenant { id, name: name.into() }, &tenants);
            let partition = of_partition(&stats, &names, Time(2));
            let name = |hitter: TopHitter| hitter.key.unwrap_or(hitter.tenant);
            partition.keys.into_iter().chain(partition.tenants).map(name).collect::<Vec<_>>()
        };
        assert_eq!(seen_by(default, "default"), ["secret", "ada", "default", "acme"]);
        assert_eq!(seen_by(acme, "acme"), ["ada", "acme"]);
    }
}
