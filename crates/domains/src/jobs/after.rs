//! Jobs that wait for other jobs, also of other queues. A job that is over tells those that wait for
//! it by its queue's timer, a bounded number at a time: each is told once.
//!
//! A job can only wait for jobs that are in its partition, where it is placed unless it has keys of its
//! own ([`Spread::Beside`](super::Spread::Beside)). The row of who waits names a partition all the
//! same, so that to tell one elsewhere will be a delivery and no new row.

use super::{
    JobId, Refusal, State,
    settle::is_enough,
    subject::Subject,
    tables::{Job, JobWaiters, Jobs, JobsOver, Over},
};
use evenkeel_engine::{Context, Stop};
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
    over: Over,
}

impl Subject<'_, '_, '_> {
    /// Has `number` wait for those of `after` that are not done. Answers how many that are.
    pub(super) fn wait_for(&mut self, number: u64, after: &[JobId]) -> Result<u8, Stop<Refusal>> {
        let mut pending = 0;
        for id in after.iter().copied().collect::<BTreeSet<JobId>>() {
            let none = || Stop::Refused(Refusal::NoAfter(id));
            if id.partition != self.queue.partition || id.number == number {
                return Err(none());
            }
            let mut job = self.ctx.tx.get::<Jobs>(&id.number)?.ok_or_else(none)?;
            match job.state {
                State::Done => continue,
                State::Cancelled => return Err(none()),
                _ => {}
            }
            pending += 1;
            self.ctx.tx.put::<JobWaiters>(&(id.number, self.queue.partition, number), &());
            if !job.waited_for {
                job.waited_for = true;
                self.ctx.tx.put::<Jobs>(&id.number, &job);
            }
        }
        Ok(pending)
    }

    /// Tells some of those that wait for jobs that are over. Answers those of other queues.
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
            if over == Over::Passed {
                if is_enough(self, before) {
                    return Ok(elsewhere);
                }
                self.told_all(number);
                self.pass(number)?;
                left -= 1;
                continue;
            }
            let waiters = (number, 0, 0)..=(number, u16::MAX, u64::MAX);
            let waiters = self.ctx.tx.scan::<JobWaiters>(waiters, Order::Ascending, left)?;
            for (key, ()) in &waiters {
                if is_enough(self, before) || elsewhere.len() == TOLD_ELSEWHERE_MAX {
                    return Ok(elsewhere);
                }
                self.ctx.tx.delete::<JobWaiters>(key);
                elsewhere.extend(self.tell_waiter(key.2, over)?);
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
        self.queue.over_from = number;
    }

    fn tell_waiter(&mut self, number: u64, over: Over) -> Result<Option<Elsewhere>, StateError> {
        let Some(mut job) = self.ctx.tx.get::<Jobs>(&number)? else { return Ok(None) };
        if job.queue != self.queue.id {
            return Ok(Some(Elsewhere { queue: job.queue, number, over }));
        }
        self.told(number, &mut job, over)?;
        Ok(None)
    }

    fn told(&mut self, number: u64, job: &mut Job, over: Over) -> Result<(), StateError> {
        if job.state != State::Waiting || job.pending == 0 {
            return Ok(());
        }
        match over {
            Over::Cancelled => {
                let error = "a job that it was to run after was cancelled or forgotten";
                self.die(number, job, error.to_owned())
            }
            Over::Done => {
                job.pending -= 1;
                self.start(number, job)
            }
            Over::Passed => Ok(()),
        }
    }
}

/// Tells a job of another queue than the one that was settled.
pub(super) fn tell(ctx: &mut Context<'_, '_>, to: &Elsewhere) -> Result<(), StateError> {
    let Some(mut subject) = Subject::by_id(ctx, to.queue)? else { return Ok(()) };
    if let Some(mut job) = subject.ctx.tx.get::<Jobs>(&to.number)? {
        subject.told(to.number, &mut job, to.over)?;
    }
    subject.save().map(|_| ())
}
