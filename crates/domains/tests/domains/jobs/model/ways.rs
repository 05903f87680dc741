//! A job's ways through its states, and the lines of ordering keys.

use super::{Ended, Job, Model};
use evenkeel_domains::jobs::{HeadPolicy, QueueEvent, State};
use std::collections::BTreeSet;

impl Model {
    pub(super) fn key(&self, number: u64) -> Option<String> {
        let job = &self.jobs[&number];
        job.new.ordering_key.clone().filter(|_| job.in_line)
    }

    pub(super) fn is_head(&self, number: u64) -> bool {
        let Some(key) = self.key(number) else { return true };
        self.queues[&self.jobs[&number].queue].heads.get(&key) == Some(&number)
    }

    pub(super) fn join(&mut self, number: u64) {
        let job = self.job(number);
        let (Some(key), queue) = (job.new.ordering_key.clone(), job.queue.clone()) else { return };
        job.in_line = true;
        self.queue(&queue).heads.entry(key).or_insert(number);
    }

    pub(super) fn start(&mut self, number: u64) {
        let (now, is_head) = (self.now, self.is_head(number));
        let job = self.job(number);
        (job.state, job.at) = if !job.pending.is_empty() || !is_head {
            (State::Waiting, job.created_at)
        } else if job.run_at > now {
            (State::Scheduled, job.run_at)
        } else {
            (State::Ready, now)
        };
    }

    pub(super) fn line(&self, queue: &str, key: &str) -> Vec<u64> {
        let waits = |job: &Job| {
            job.queue == queue && job.in_line && job.new.ordering_key.as_deref() == Some(key)
        };
        self.jobs.iter().filter(|(_, job)| waits(job)).map(|(number, _)| *number).collect()
    }

    /// `number` is out of the line; those of `condemned` die when their turn comes.
    pub(super) fn leave(&mut self, queue: &str, key: &str, number: u64, condemned: &BTreeSet<u64>) {
        if self.queues[queue].heads.get(key) != Some(&number) {
            return;
        }
        loop {
            let Some(next) = self.line(queue, key).first().copied() else {
                self.queue(queue).heads.remove(key);
                return;
            };
            self.queue(queue).heads.insert(key.to_owned(), next);
            if condemned.contains(&next) {
                self.job(next).in_line = false;
                if self.jobs[&next].state != State::Dead {
                    self.bury(next, "a job before it of its ordering key became a dead letter");
                }
                continue;
            }
            if self.jobs[&next].state == State::Waiting {
                self.start(next);
            }
            return;
        }
    }

    pub(super) fn bury(&mut self, number: u64, error: &str) {
        let now = self.now;
        let job = self.job(number);
        (job.state, job.at, job.worker) = (State::Dead, now, None);
        job.error = Some(error.to_owned());
        let (kind, queue) = (job.new.kind.clone(), job.queue.clone());
        let queue = self.queue(&queue);
        queue.totals.died += 1;
        queue.events.push(QueueEvent::Died { job: number, kind, error: error.to_owned() });
    }

    pub(super) fn die(&mut self, number: u64, error: &str) {
        let queue = self.jobs[&number].queue.clone();
        let head = self.queues[&queue].settings.head;
        let Some(key) = self.key(number) else { return self.bury(number, error) };
        let condemned = if head == HeadPolicy::DeadLetter && self.is_head(number) {
            self.line(&queue, &key).into_iter().collect()
        } else {
            BTreeSet::new()
        };
        self.bury(number, error);
        if head != HeadPolicy::Block {
            self.job(number).in_line = false;
            self.leave(&queue, &key, number, &condemned);
        }
    }

    pub(super) fn end(&mut self, number: u64, to: State) {
        let (now, key) = (self.now, self.key(number));
        let job = self.job(number);
        (job.state, job.at, job.worker, job.in_line) = (to, now, None, false);
        let queue = job.queue.clone();
        if let Some(key) = key {
            self.leave(&queue, &key, number, &BTreeSet::new());
        }
        if self.queues[&queue].settings.retention_ms == 0 {
            self.jobs.remove(&number);
        }
        self.tell(number, to == State::Done);
    }

    pub(super) fn forget(&mut self, number: u64) {
        let (queue, key) = (self.jobs[&number].queue.clone(), self.key(number));
        let was_dead = self.jobs[&number].state == State::Dead;
        self.jobs.remove(&number);
        if let Some(key) = key {
            self.leave(&queue, &key, number, &BTreeSet::new());
        }
        if was_dead {
            self.tell(number, false);
        }
    }

    pub(super) fn tell(&mut self, number: u64, done: bool) {
        let waits = |job: &Job| job.state == State::Waiting && job.pending.contains(&number);
        let waiters: Vec<u64> =
            self.jobs.iter().filter(|(_, job)| waits(job)).map(|(number, _)| *number).collect();
        for waiter in waiters {
            if !done {
                let of = super::super::id(number);
                let error = format!(
                    "job {of}, which it was to run after, was cancelled or forgotten, or never was"
                );
                self.die(waiter, &error);
                continue;
            }
            self.job(waiter).pending.remove(&number);
            self.start(waiter);
        }
    }

    pub(super) fn wait(&mut self, number: u64, wait_ms: u64) {
        let now = self.now;
        let job = self.job(number);
        job.worker = None;
        job.state = if wait_ms == 0 { State::Ready } else { State::Retry };
        job.at = now.plus_ms(wait_ms);
    }

    pub(super) fn crash(&mut self, number: u64) {
        let job = self.job(number);
        job.ended = Ended::Crashed;
        job.crashes += 1;
        let (cancel, crashes, attempt, queue) =
            (job.cancel, job.crashes, job.attempt, job.queue.clone());
        let queue = self.queue(&queue);
        queue.totals.crashed += 1;
        let settings = queue.settings;
        if cancel {
            self.end(number, State::Cancelled);
        } else if crashes >= settings.max_crashes {
            self.die(number, &format!("{crashes} leases ended without a word"));
        } else if crashes == 1 {
            self.wait(number, 0);
        } else {
            self.wait(number, settings.backoff_ms(number, attempt, crashes - 1));
        }
    }

    pub(super) fn failed(&mut self, number: u64, error: &str, retry: bool) -> Job {
        let now = self.now;
        let job = self.job(number);
        job.ended = Ended::Failed;
        job.failures += 1;
        job.error = Some(error.to_owned());
        let last = Job { state: State::Cancelled, at: now, ..job.clone() };
        let queue = self.queue(&last.queue);
        queue.totals.failed += 1;
        let settings = queue.settings;
        if last.cancel {
            self.end(number, State::Cancelled);
        } else if !retry || last.failures >= settings.max_attempts {
            self.die(number, error);
        } else {
            let wait_ms = settings.backoff_ms(number, last.attempt, last.failures);
            self.wait(number, wait_ms);
        }
        last
    }

    pub(super) fn revive(&mut self, number: u64) {
        let now = self.now;
        let job = self.job(number);
        (job.failures, job.crashes, job.cancel, job.run_at) = (0, 0, false, now);
        job.ended = Ended::Not;
        job.pending.clear();
        if !job.in_line {
            self.join(number);
        }
        self.start(number);
    }
}
