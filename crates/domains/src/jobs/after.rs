//! Jobs that wait for other jobs, also of other queues and in other partitions. A job that is over tells
//! those that wait for it by its queue's timer, a bounded number at a time: each is told once.
//!
//! What waits for a job of another partition has it watched there, by an item of the outbox, and is told
//! by another. Between the two nobody knows more than that it waits. So what is known of a job here is
//! refused to whoever wants to wait for it in vain; what comes out elsewhere makes a dead letter.

use super::{
    Item, JobId, Refusal, State,
    settle::is_enough,
    subject::Subject,
    tables::{Job, JobWaiters, Jobs, JobsOver, Over, QueueNames},
};
use evenkeel_engine::{Context, Stop, TenantId};
use evenkeel_log::PartitionId;
use evenkeel_state::{Order, Read, Savepoint, StateError};
use std::collections::BTreeSet;

/// Jobs that are told in one step.
const TOLD_MAX: usize = 64;
/// Jobs of other queues among them.
const TOLD_ELSEWHERE_MAX: usize = 8;

/// A job of another queue that is to be told.
pub(super) struct Elsewhere {
    queue: u32,
    number: u64,
    of: JobId,
    over: Over,
}

/// What a job waits for.
pub(super) enum After {
    /// So many jobs.
    Pending(u8),
    /// This one will never be done.
    Never(JobId),
}

impl Subject<'_, '_, '_> {
    /// Has `number` wait for those of `after` that are not done, as far as is known here; `partitions`
    /// is how many there are.
    pub(super) fn wait_for(
        &mut self,
        number: u64,
        after: &[JobId],
        partitions: u16,
    ) -> Result<After, Stop<Refusal>> {
        let own = self.queue.partition;
        let mut pending = 0;
        for id in after.iter().copied().collect::<BTreeSet<JobId>>() {
            if id.partition != own {
                if id.partition >= partitions {
                    return Ok(After::Never(id));
                }
                let waiter = JobId { partition: own, number };
                let item = Item::Await { of: id, waiter };
                send(self.ctx, id.partition, self.key.0, item)?;
                pending += 1;
                continue;
            }
            let job = awaited(self.ctx, self.key.0, id.number)?.filter(|_| id.number != number);
            match job.as_ref().map(|job| job.state) {
                None | Some(State::Cancelled) => return Ok(After::Never(id)),
                Some(State::Done) => continue,
                Some(_) => pending += 1,
            }
            if let Some(job) = job {
                watch(self.ctx, id.number, job, JobId { partition: own, number });
            }
        }
        Ok(After::Pending(pending))
    }

    /// Tells some of those that wait for jobs that are over. Answers those of other queues here.
    pub(super) fn tell_waiters(
        &mut self,
        before: &Savepoint,
    ) -> Result<Vec<Elsewhere>, StateError> {
        let mut elsewhere = Vec::new();
        let mut left = TOLD_MAX;
        while self.queue.over > 0 && left > 0 {
            let jobs = (self.queue.id, self.queue.over_from)..=(self.queue.id, u64::MAX);
            let rows = self.ctx.tx.scan::<JobsOver>(jobs, Order::Ascending, 1)?;
            let Some(((_, number), over)) = rows.first().copied() else {
                self.queue.over = 0;
                break;
            };
            // Before any is told: that may have another be told, of a lower number.
            self.queue.over_from = number;
            if over == Over::Passed {
                if is_enough(self, before) {
                    return Ok(elsewhere);
                }
                self.told_all(number);
                self.pass(number)?;
                left -= 1;
                continue;
            }
            let of = JobId { partition: self.queue.partition, number };
            let waiters = (number, 0, 0)..=(number, u16::MAX, u64::MAX);
            let waiters = self.ctx.tx.scan::<JobWaiters>(waiters, Order::Ascending, left)?;
            for (key, ()) in &waiters {
                if is_enough(self, before) || elsewhere.len() == TOLD_ELSEWHERE_MAX {
                    return Ok(elsewhere);
                }
                self.ctx.tx.delete::<JobWaiters>(key);
                let waiter = JobId { partition: key.1, number: key.2 };
                elsewhere.extend(self.tell_waiter(waiter, of, over)?);
            }
            if waiters.len() < left {
                self.told_all(number);
            }
            // At least one: a job that nobody waits for any more is work too.
            left -= waiters.len().clamp(1, left);
        }
        Ok(elsewhere)
    }

    fn told_all(&mut self, number: u64) {
        self.ctx.tx.delete::<JobsOver>(&(self.queue.id, number));
        self.queue.over -= 1;
    }

    fn tell_waiter(
        &mut self,
        waiter: JobId,
        of: JobId,
        over: Over,
    ) -> Result<Option<Elsewhere>, StateError> {
        let number = waiter.number;
        if waiter.partition != self.queue.partition {
            let item = Item::Told { waiter: number, of, done: over == Over::Done };
            send(self.ctx, waiter.partition, self.key.0, item)?;
            return Ok(None);
        }
        let Some(mut job) = self.ctx.tx.get::<Jobs>(&number)? else { return Ok(None) };
        if job.queue != self.queue.id {
            return Ok(Some(Elsewhere { queue: job.queue, number, of, over }));
        }
        self.told(number, &mut job, of, over)?;
        Ok(None)
    }

    fn told(
        &mut self,
        number: u64,
        job: &mut Job,
        of: JobId,
        over: Over,
    ) -> Result<(), StateError> {
        if job.state != State::Waiting || job.pending == 0 {
            return Ok(());
        }
        match over {
            Over::Cancelled => self.die(number, job, in_vain(of)),
            Over::Done => {
                job.pending -= 1;
                self.start(number, job)
            }
            Over::Passed => Ok(()),
        }
    }
}

/// Why a job that waited for this one is a dead letter.
pub(super) fn in_vain(of: JobId) -> String {
    format!("job {of}, which it was to run after, was cancelled or forgotten, or never was")
}

/// Tells a job of another queue than the one that was settled.
pub(super) fn tell(ctx: &mut Context<'_, '_>, to: &Elsewhere) -> Result<(), StateError> {
    let Some(mut subject) = Subject::by_id(ctx, to.queue)? else { return Ok(()) };
    if let Some(mut job) = subject.ctx.tx.get::<Jobs>(&to.number)? {
        subject.told(to.number, &mut job, to.of, to.over)?;
    }
    subject.save().map(|_| ())
}

/// A job of another partition waits for the job `number` here: for as long as that is not over.
pub(super) fn watch_for(
    ctx: &mut Context<'_, '_>,
    tenant: TenantId,
    of: JobId,
    waiter: JobId,
) -> Result<(), StateError> {
    let job = awaited(ctx, tenant, of.number)?;
    let done = match job.as_ref().map(|job| job.state) {
        Some(State::Done) => true,
        None | Some(State::Cancelled) => false,
        Some(_) => {
            if let Some(job) = job {
                watch(ctx, of.number, job, waiter);
            }
            return Ok(());
        }
    };
    send(ctx, waiter.partition, tenant, Item::Told { waiter: waiter.number, of, done })
}

/// A job of another partition, which a job here waits for, is over.
pub(super) fn told_from_elsewhere(
    ctx: &mut Context<'_, '_>,
    waiter: u64,
    of: JobId,
    done: bool,
) -> Result<(), StateError> {
    let Some(job) = ctx.tx.get::<Jobs>(&waiter)? else { return Ok(()) };
    let over = if done { Over::Done } else { Over::Cancelled };
    tell(ctx, &Elsewhere { queue: job.queue, number: waiter, of, over })
}

/// The job of this number, if it is this tenant's.
fn awaited(
    ctx: &Context<'_, '_>,
    tenant: TenantId,
    number: u64,
) -> Result<Option<Job>, StateError> {
    let Some(job) = ctx.tx.get::<Jobs>(&number)? else { return Ok(None) };
    let queue = ctx.tx.get::<QueueNames>(&job.queue)?;
    Ok(queue.is_some_and(|queue| queue.tenant == tenant).then_some(job))
}

/// Has `waiter` told when `job`, which is not over, is.
fn watch(ctx: &mut Context<'_, '_>, number: u64, mut job: Job, waiter: JobId) {
    ctx.tx.put::<JobWaiters>(&(number, waiter.partition, waiter.number), &());
    if !job.waited_for {
        job.waited_for = true;
        ctx.tx.put::<Jobs>(&number, &job);
    }
}

fn send(
    ctx: &mut Context<'_, '_>,
    to: u16,
    tenant: TenantId,
    item: Item,
) -> Result<(), StateError> {
    ctx.send(PartitionId(to), tenant, &crate::Item::Jobs(item))
}
