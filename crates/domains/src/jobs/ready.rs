//! What a partition has of a queue, for whoever leads workers to it and answers how it is.

use super::{
    DOMAIN, Kind, Next, Totals,
    tables::{ByState, JobKinds, Queue, QueueName, QueueNames, Queues},
};
use evenkeel_engine::{Entity, TenantId, Time};
use evenkeel_state::{Order, Read, StateError};

/// How a queue is in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name.
    pub queue: String,
    /// Of the settings that the partition knows.
    pub version: u64,
    /// What there is to lease.
    pub next: Next,
    /// How many jobs are in each state.
    pub counts: ByState,
    /// What has happened.
    pub totals: Totals,
    /// Since when no job is ready that is, at the earliest.
    pub oldest_ready: Option<Time>,
}

impl Readiness {
    fn of((tenant, queue): (TenantId, String), row: &Queue) -> Self {
        Self {
            tenant,
            queue,
            version: row.settings.version,
            next: Next { leasable: row.leasable(), due: row.next_due() },
            counts: row.counts,
            totals: row.totals,
            oldest_ready: row.oldest_lane(),
        }
    }
}

/// How the queue that `entity` stands for is; none if it is no queue.
pub fn readiness(read: &impl Read, entity: Entity) -> Result<Option<Readiness>, StateError> {
    let Some(id) = u32::try_from(entity.id).ok().filter(|_| entity.domain == DOMAIN) else {
        return Ok(None);
    };
    let Some(QueueName { tenant, name }) = read.get::<QueueNames>(&id)? else { return Ok(None) };
    let key = (tenant, name);
    let row = read.get::<Queues>(&key)?;
    Ok(row.map(|row| Readiness::of(key, &row)))
}

/// The same of a queue by its name.
pub fn readiness_of(
    read: &impl Read,
    tenant: TenantId,
    queue: &str,
) -> Result<Option<Readiness>, StateError> {
    let key = (tenant, queue.to_owned());
    let row = read.get::<Queues>(&key)?;
    Ok(row.map(|row| Readiness::of(key, &row)))
}

/// The same of every queue: for whoever begins to lead.
pub fn all_readiness(read: &impl Read) -> Result<Vec<Readiness>, StateError> {
    let rows = read.scan::<Queues>(.., Order::Ascending, usize::MAX)?;
    Ok(rows.into_iter().map(|(key, row)| Readiness::of(key, &row)).collect())
}

/// Kinds of jobs, each with whose it is and its queue: the first `max` of this partition.
pub fn all_kinds(
    read: &impl Read,
    max: usize,
) -> Result<Vec<(TenantId, String, String, Kind)>, StateError> {
    let mut kinds = Vec::new();
    let mut of: Option<(u32, QueueName)> = None;
    for ((id, kind), row) in read.scan::<JobKinds>(.., Order::Ascending, max)? {
        if of.as_ref().is_none_or(|(known, _)| *known != id) {
            of = read.get::<QueueNames>(&id)?.map(|name| (id, name));
        }
        if let Some((_, QueueName { tenant, name })) = &of {
            kinds.push((*tenant, name.clone(), kind, row));
        }
    }
    Ok(kinds)
}
