//! A job's ways from state to state, whoever causes them.

use super::{
    HeadPolicy, Standing, State,
    order::Turn,
    subject::Subject,
    tables::{Ended, Job, JobsOver, NoteKind, Over, QueueEvent, UniqueJobs},
};
use evenkeel_engine::Time;
use evenkeel_state::{Read, StateError};

impl Subject<'_, '_, '_> {
    /// Where a job belongs that no worker has, and since or until when.
    pub(super) fn belongs(&self, job: &Job, turn: Turn) -> (State, Time) {
        let now = self.ctx.now();
        if job.pending > 0 || turn == Turn::Waits {
            (State::Waiting, job.created_at)
        } else if job.run_at > now {
            (State::Scheduled, job.run_at)
        } else {
            (State::Ready, now)
        }
    }

    /// A job that waited may go on.
    pub(super) fn start(&mut self, number: u64, job: &mut Job) -> Result<(), StateError> {
        let turn = self.turn(number, job)?;
        let (state, at) = self.belongs(job, turn);
        self.shift(number, job, state, at);
        Ok(())
    }

    /// The attempt has failed: another one later, or none.
    pub(super) fn fail(
        &mut self,
        number: u64,
        job: &mut Job,
        error: String,
        retry: bool,
    ) -> Result<(), StateError> {
        job.ended = Ended::Failed;
        job.failures += 1;
        self.total(job, |totals| &mut totals.failed);
        self.ran(job);
        let settings = self.queue.settings;
        if job.cancel {
            self.note(number, job, NoteKind::Error, error);
            return self.end(number, job, State::Cancelled);
        }
        if !retry || job.failures >= settings.max_attempts {
            return self.die(number, job, error);
        }
        self.note(number, job, NoteKind::Error, error);
        self.retry_later(number, job, settings.backoff_ms(number, job.attempt, job.failures));
        Ok(())
    }

    /// The lease has ended without a word. The first time the job is ready at once: its worker was
    /// perhaps only restarted. One whose workers keep dying waits longer each time.
    pub(super) fn crash(&mut self, number: u64, job: &mut Job) -> Result<(), StateError> {
        job.ended = Ended::Crashed;
        job.crashes += 1;
        self.total(job, |totals| &mut totals.crashed);
        self.ran(job);
        let settings = self.queue.settings;
        if job.cancel {
            return self.end(number, job, State::Cancelled);
        }
        if job.crashes >= settings.max_crashes {
            let error = format!("{} leases ended without a word", job.crashes);
            return self.die(number, job, error);
        }
        let wait_ms = match job.crashes {
            1 => 0,
            crashes => settings.backoff_ms(number, job.attempt, crashes - 1),
        };
        self.retry_later(number, job, wait_ms);
        Ok(())
    }

    fn retry_later(&mut self, number: u64, job: &mut Job, wait_ms: u64) {
        job.worker = None;
        let now = self.ctx.now();
        let state = if wait_ms == 0 { State::Ready } else { State::Retry };
        self.shift(number, job, state, now.plus_ms(wait_ms));
    }

    /// A dead letter; what that does to its ordering key is the queue's to say.
    pub(super) fn die(
        &mut self,
        number: u64,
        job: &mut Job,
        error: String,
    ) -> Result<(), StateError> {
        let leaves = self.queue.settings.head != HeadPolicy::Block;
        if let Some(hash) = job.ordering.filter(|_| job.in_line)
            && self.queue.settings.head == HeadPolicy::DeadLetter
        {
            self.condemn(hash, number)?;
        }
        let line = job.ordering.filter(|_| job.in_line && leaves);
        job.in_line &= !leaves;
        self.bury(number, job, error)?;
        match line {
            Some(hash) => self.leave(hash, number),
            None => Ok(()),
        }
    }

    /// Makes a job a dead letter, whatever becomes of its line.
    pub(super) fn bury(
        &mut self,
        number: u64,
        job: &mut Job,
        error: String,
    ) -> Result<(), StateError> {
        self.total(job, |totals| &mut totals.died);
        job.worker = None;
        self.release_unique_key(number, job)?;
        let kind = job.kind.clone();
        self.emit(&QueueEvent::Died { job: number, kind, error: error.clone() });
        self.note(number, job, NoteKind::Error, error);
        self.shift(number, job, State::Dead, self.ctx.now());
        Ok(())
    }

    /// Done or cancelled: out of its line, and those that wait for it are told.
    pub(super) fn end(&mut self, number: u64, job: &mut Job, to: State) -> Result<(), StateError> {
        let over = if to == State::Done { Over::Done } else { Over::Cancelled };
        job.worker = None;
        self.release_unique_key(number, job)?;
        if std::mem::take(&mut job.waited_for) {
            self.tell(number, over);
        }
        let line = job.ordering.filter(|_| std::mem::take(&mut job.in_line));
        if self.queue.settings.retention_ms == 0 {
            self.take_out(number, job);
            self.delete(number, job);
            (job.state, job.at) = (to, self.ctx.now());
        } else {
            self.shift(number, job, to, self.ctx.now());
        }
        match line {
            Some(hash) => self.leave(hash, number),
            None => Ok(()),
        }
    }

    /// It was kept long enough. A dead letter that is forgotten will never be done.
    pub(super) fn forget(&mut self, number: u64, job: &mut Job) -> Result<(), StateError> {
        self.take_out(number, job);
        self.delete(number, job);
        if job.waited_for {
            self.tell(number, Over::Cancelled);
        }
        match job.ordering.filter(|_| job.in_line) {
            Some(hash) => self.leave(hash, number),
            None => Ok(()),
        }
    }

    /// Those that wait for a job are told by the timer, which is due at once: they may be many.
    pub(super) fn tell(&mut self, number: u64, over: Over) {
        let queue = &mut self.queue;
        queue.over_from = if queue.over == 0 { number } else { queue.over_from.min(number) };
        queue.over += 1;
        self.changed = true;
        self.ctx.tx.put::<JobsOver>(&(self.queue.id, number), &over);
    }

    /// Of a job that was not over until now, or was a dead letter and has none.
    fn release_unique_key(&mut self, number: u64, job: &Job) -> Result<(), StateError> {
        let Some(hash) = job.unique else { return Ok(()) };
        let key = (self.queue.id, hash);
        if self.ctx.tx.get::<UniqueJobs>(&key)?.is_some_and(|unique| unique.0 == number) {
            self.ctx.tx.delete::<UniqueJobs>(&key);
        }
        Ok(())
    }
}

/// What became of a job.
pub(super) fn standing(number: u64, job: &Job) -> Standing {
    Standing { job: number, state: job.state, at: job.at, cancel: job.cancel }
}
