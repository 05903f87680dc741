//! What jobs are, as plainly as it can be said: one list, looked through from end to end for every
//! question. No index, no counter, no bound on a step.

mod ways;

use crate::driver::ID;
use evenkeel_domains::jobs::{
    Action, Cursor, DeadFilter, Done, Enqueued, JobId, LeaseId, Leased, NewJob, Next, PRIORITY_MAX,
    QueueEvent, Refusal, Replayed, Reply, Settings, Standing, State, Totals, WaitingFor, When,
};
use evenkeel_engine::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Fences and numbers of the first life of a log.
pub(crate) fn fence(sequence: u64) -> u64 {
    (1 << 38) + sequence
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Not,
    Completed,
    Failed,
    Snoozed,
    Crashed,
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) queue: String,
    pub(crate) new: NewJob,
    pub(crate) state: State,
    pub(crate) at: Time,
    pub(crate) created_at: Time,
    pub(crate) run_at: Time,
    pub(crate) attempt: u32,
    pub(crate) failures: u32,
    pub(crate) crashes: u32,
    pub(crate) fence: u64,
    pub(crate) ended: Ended,
    pub(crate) worker: Option<String>,
    pub(crate) pending: BTreeSet<u64>,
    pub(crate) in_line: bool,
    pub(crate) cancel: bool,
    pub(crate) error: Option<String>,
    pub(crate) result: Option<String>,
    pub(crate) progress: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Queue {
    pub(crate) settings: Settings,
    pub(crate) leases: u64,
    /// Whose turn it is, by ordering key.
    pub(crate) heads: BTreeMap<String, u64>,
    pub(crate) totals: Totals,
    pub(crate) leased_at: Option<Time>,
    pub(crate) events: Vec<QueueEvent>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) now: Time,
    pub(crate) queues: BTreeMap<String, Queue>,
    pub(crate) jobs: BTreeMap<u64, Job>,
    pub(crate) numbers: u64,
}

type Decided = Result<Reply, Refusal>;

impl Model {
    pub(crate) fn decide(&mut self, queue: &str, settings: &Settings, action: &Action) -> Decided {
        let before = self.clone();
        let decided = self.try_decide(queue, settings, action);
        if decided.is_err() {
            *self = before;
        }
        decided
    }

    fn try_decide(&mut self, queue: &str, settings: &Settings, action: &Action) -> Decided {
        if !self.queues.contains_key(queue) {
            match action {
                Action::Enqueue(_) => {}
                Action::Lease { .. } => {
                    return Ok(Reply::Leased(Vec::new(), Next { leasable: 0, due: None }));
                }
                Action::Replay { .. } => {
                    let jobs = Vec::new();
                    return Ok(Reply::Replayed(Replayed { jobs, skipped: 0, next: None }));
                }
                Action::CompleteMany(done) => {
                    return Ok(Reply::Each(vec![Err(Refusal::NoJob); done.len()]));
                }
                _ => return Err(Refusal::NoJob),
            }
        }
        let known = self.queues.entry(queue.to_owned()).or_insert_with(|| Queue {
            settings: *settings,
            leases: 0,
            heads: BTreeMap::new(),
            totals: Totals::default(),
            leased_at: None,
            events: Vec::new(),
        });
        if settings.version > known.settings.version {
            known.settings = *settings;
        }
        match action {
            Action::Enqueue(jobs) => {
                let taken: Result<_, _> = jobs.iter().map(|job| self.take_in(queue, job)).collect();
                Ok(Reply::Enqueued(taken?))
            }
            Action::Lease { worker, max, lease_ms } => self.lease(queue, worker, *max, *lease_ms),
            Action::Replay { filter, max, dry_run, by, .. } => {
                self.replay(queue, filter, *max, *dry_run, by)
            }
            Action::Retry { job, by } => self.retry(queue, *job, by),
            Action::Cancel { job } => self.cancel(queue, *job),
            Action::CompleteMany(done) => Ok(Reply::Each(self.complete_many(queue, done))),
            Action::AndNext(word, take) => {
                let Reply::Job(standing) = self.try_decide(queue, settings, word)? else {
                    panic!()
                };
                let leased = self.lease(queue, &take.worker, take.max, take.lease_ms);
                let leased = match leased {
                    Ok(Reply::Leased(leased, _)) => leased,
                    _ => Vec::new(),
                };
                Ok(Reply::Said(standing, leased))
            }
            Action::Complete { job, lease, .. }
            | Action::Fail { job, lease, .. }
            | Action::Extend { job, lease, .. }
            | Action::Snooze { job, lease, .. }
            | Action::Progress { job, lease, .. } => self.worked(queue, *job, *lease, action),
        }
    }

    /// As one after the other.
    fn complete_many(&mut self, queue: &str, done: &[Done]) -> Vec<Result<Standing, Refusal>> {
        let one = |done: &Done| {
            let before = self.clone();
            let Done { job, lease, result } = done.clone();
            let action = Action::Complete { job, lease, result };
            match self.worked(queue, job, lease, &action) {
                Ok(Reply::Job(standing)) => Ok(standing),
                Ok(other) => panic!("{other:?}"),
                Err(refusal) => {
                    *self = before;
                    Err(refusal)
                }
            }
        };
        done.iter().map(one).collect()
    }

    fn take_in(&mut self, queue: &str, new: &NewJob) -> Result<Enqueued, Refusal> {
        let same = |job: &Job| {
            job.queue == queue
                && !job.state.is_final()
                && job.new.unique_key == new.unique_key
                && job.new.ordering_key == new.ordering_key
        };
        if new.unique_key.is_some()
            && let Some((number, job)) = self.jobs.iter().find(|(_, job)| same(job))
        {
            return Ok(Enqueued { job: *number, state: job.state, duplicate: true });
        }
        self.check_backlog(queue, new.priority)?;
        let mut pending = BTreeSet::new();
        for id in new.after.iter().copied().collect::<BTreeSet<JobId>>() {
            let job = self.jobs.get(&id.number).filter(|_| id.partition == ID.0);
            match job.map(|job| job.state) {
                None | Some(State::Cancelled) => return Err(Refusal::NoAfter(id)),
                Some(State::Done) => {}
                Some(_) => {
                    pending.insert(id.number);
                }
            }
        }
        self.numbers += 1;
        let number = fence(self.numbers);
        let run_at = match new.when {
            When::Now => self.now,
            When::DelayMs(ms) => self.now.plus_ms(ms),
            When::At(at) => at,
        };
        let job = Job {
            queue: queue.to_owned(),
            new: new.clone(),
            state: State::Waiting,
            at: self.now,
            created_at: self.now,
            run_at,
            attempt: 0,
            failures: 0,
            crashes: 0,
            fence: 0,
            ended: Ended::Not,
            worker: None,
            pending,
            in_line: false,
            cancel: false,
            error: None,
            result: None,
            progress: None,
        };
        self.jobs.insert(number, job);
        self.join(number);
        self.start(number);
        self.queue(queue).totals.enqueued += 1;
        Ok(Enqueued { job: number, state: self.jobs[&number].state, duplicate: false })
    }

    fn queue(&mut self, name: &str) -> &mut Queue {
        self.queues.get_mut(name).unwrap()
    }

    fn job(&mut self, number: u64) -> &mut Job {
        self.jobs.get_mut(&number).unwrap()
    }

    pub(crate) fn count(&self, queue: &str, states: &[State]) -> u64 {
        let jobs = self.jobs.values();
        jobs.filter(|job| job.queue == queue && states.contains(&job.state)).count() as u64
    }

    fn check_backlog(&self, queue: &str, priority: u8) -> Result<(), Refusal> {
        let states = [State::Waiting, State::Scheduled, State::Retry, State::Ready];
        let backlog = self.count(queue, &states);
        let max = self.queues[queue].settings.backlog_max(priority);
        if backlog < max { Ok(()) } else { Err(Refusal::BacklogFull { backlog, max }) }
    }

    fn slots(&self, queue: &str) -> u64 {
        let settings = self.queues[queue].settings;
        if settings.paused {
            return 0;
        }
        let limit = settings.concurrency_limit.unwrap_or(u64::MAX);
        limit.saturating_sub(self.count(queue, &[State::Leased]))
    }

    pub(crate) fn leasable(&self, queue: &str) -> u64 {
        self.slots(queue).min(self.count(queue, &[State::Ready]))
    }

    fn lease(&mut self, queue: &str, worker: &str, max: u32, lease_ms: Option<u64>) -> Decided {
        let settings = self.queues[queue].settings;
        let lease_ms = lease_ms.unwrap_or(settings.lease_ms);
        let max_ms = settings.lease_ms_max;
        if lease_ms > max_ms {
            return Err(Refusal::LeaseTooLong { max_ms });
        }
        let mut leased = Vec::new();
        while leased.len() < max as usize && self.slots(queue) > 0 {
            let ready = |job: &Job| job.queue == queue && job.state == State::Ready;
            let jobs = self.jobs.iter().filter(|(_, job)| ready(job));
            let next = jobs.min_by_key(|(number, job)| {
                let below = u64::from(PRIORITY_MAX - job.new.priority);
                (job.at.plus_ms(below * settings.ageing_ms), **number)
            });
            let Some(number) = next.map(|(number, _)| *number) else { break };
            let now = self.now;
            let leases = &mut self.queue(queue).leases;
            *leases += 1;
            let fence = fence(*leases);
            self.queue(queue).leased_at = Some(now);
            let job = self.job(number);
            job.attempt += 1;
            (job.fence, job.ended, job.worker) = (fence, Ended::Not, Some(worker.to_owned()));
            (job.state, job.at) = (State::Leased, now.plus_ms(lease_ms));
            leased.push(Leased {
                job: number,
                lease: LeaseId { attempt: job.attempt, fence },
                expires_at: job.at,
                kind: job.new.kind.clone(),
                payload: job.new.payload.clone(),
                priority: job.new.priority,
                ordering_key: job.new.ordering_key.clone(),
                trace: job.new.trace.clone(),
                created_at: job.created_at,
                failures: job.failures,
                crashes: job.crashes,
                progress: job.progress.clone(),
            });
        }
        Ok(Reply::Leased(leased, Next { leasable: self.leasable(queue), due: None }))
    }

    fn find(&self, queue: &str, number: u64) -> Result<&Job, Refusal> {
        self.jobs.get(&number).filter(|job| job.queue == queue).ok_or(Refusal::NoJob)
    }

    pub(crate) fn standing(&self, number: u64, last: &Job) -> Standing {
        let job = self.jobs.get(&number).unwrap_or(last);
        Standing { job: number, state: job.state, at: job.at, cancel: job.cancel }
    }

    fn worked(&mut self, queue: &str, number: u64, lease: LeaseId, action: &Action) -> Decided {
        let job = self.find(queue, number)?;
        let theirs = job.attempt == lease.attempt && job.fence == lease.fence;
        let live = job.state == State::Leased && self.now < job.at;
        let again = match action {
            Action::Complete { .. } => job.ended == Ended::Completed,
            Action::Fail { .. } => job.ended == Ended::Failed,
            Action::Snooze { .. } => job.ended == Ended::Snoozed,
            _ => false,
        };
        if !(theirs && live) {
            let standing = self.standing(number, job);
            let again = theirs && again;
            return if again {
                Ok(Reply::Job(standing))
            } else {
                Err(Refusal::StaleLease(standing))
            };
        }
        let (now, settings, cancel) = (self.now, self.queues[queue].settings, job.cancel);
        let last = match action {
            Action::Complete { result, .. } => {
                let max_bytes = settings.result_bytes_max;
                if result.as_ref().is_some_and(|result| result.len() > max_bytes as usize) {
                    return Err(Refusal::ResultTooLarge { max_bytes });
                }
                self.queue(queue).totals.completed += 1;
                let job = self.job(number);
                job.result.clone_from(result);
                job.ended = Ended::Completed;
                let last = Job { state: State::Done, at: now, ..job.clone() };
                self.end(number, State::Done);
                last
            }
            Action::Fail { error, retry, .. } => self.failed(number, error, *retry),
            Action::Extend { lease_ms, .. } => {
                let max_ms = settings.lease_ms_max;
                if *lease_ms > max_ms {
                    return Err(Refusal::LeaseTooLong { max_ms });
                }
                let job = self.job(number);
                job.at = now.plus_ms(*lease_ms);
                job.clone()
            }
            Action::Snooze { delay_ms, .. } => {
                let job = self.job(number);
                (job.ended, job.worker) = (Ended::Snoozed, None);
                job.run_at = now.plus_ms(*delay_ms);
                let last = Job { state: State::Cancelled, at: now, ..job.clone() };
                if cancel {
                    self.end(number, State::Cancelled);
                } else {
                    self.start(number);
                }
                last
            }
            Action::Progress { progress, .. } => {
                let job = self.job(number);
                job.progress = Some(progress.clone());
                job.clone()
            }
            _ => unreachable!("no worker says so"),
        };
        Ok(Reply::Job(self.standing(number, &last)))
    }

    fn cancel(&mut self, queue: &str, number: u64) -> Decided {
        let mut last = self.find(queue, number)?.clone();
        match last.state {
            State::Done => return Err(Refusal::Over(State::Done)),
            State::Cancelled => {}
            State::Leased => self.job(number).cancel = true,
            _ => self.end(number, State::Cancelled),
        }
        (last.state, last.at) = (State::Cancelled, self.now);
        Ok(Reply::Job(self.standing(number, &last)))
    }

    fn other(&self, number: u64) -> Option<u64> {
        let job = &self.jobs[&number];
        job.new.unique_key.as_ref()?;
        let same = |other: &Job| {
            other.queue == job.queue
                && !other.state.is_final()
                && other.new.unique_key == job.new.unique_key
                && other.new.ordering_key == job.new.ordering_key
        };
        self.jobs.iter().find(|(_, other)| same(other)).map(|(number, _)| *number)
    }

    fn retry(&mut self, queue: &str, number: u64, by: &str) -> Decided {
        let job = self.find(queue, number)?.clone();
        if job.state != State::Dead {
            return Err(Refusal::NotDead(job.state));
        }
        if let Some(job) = self.other(number) {
            return Err(Refusal::UniqueKeyTaken { job });
        }
        self.check_backlog(queue, job.new.priority)?;
        self.revive(number);
        self.audit(queue, by, &[number]);
        Ok(Reply::Job(self.standing(number, &job)))
    }

    fn audit(&mut self, queue: &str, by: &str, jobs: &[u64]) {
        if let (Some(first), Some(last)) = (jobs.first(), jobs.last()) {
            let (by, count) = (by.to_owned(), jobs.len() as u64);
            let event = QueueEvent::Replayed { by, count, jobs: (*first, *last) };
            self.queue(queue).events.push(event);
        }
    }

    fn replay(
        &mut self,
        queue: &str,
        filter: &DeadFilter,
        max: u32,
        dry_run: bool,
        by: &str,
    ) -> Decided {
        let mut replayed = Replayed { jobs: Vec::new(), skipped: 0, next: None };
        let mut ended_early = false;
        for (at, number) in self.in_state(queue, State::Dead) {
            if replayed.jobs.len() == max as usize {
                ended_early = true;
                break;
            }
            let job = &self.jobs[&number];
            let error = job.error.clone().unwrap_or_default();
            if filter.kind.as_ref().is_none_or(|kind| *kind == job.new.kind)
                && filter.error.as_ref().is_none_or(|part| error.contains(part.as_str()))
            {
                if let Err(full) = self.check_backlog(queue, job.new.priority) {
                    if replayed.jobs.is_empty() {
                        return Err(full);
                    }
                    ended_early = true;
                    break;
                }
                if self.other(number).is_some() {
                    replayed.skipped += 1;
                } else {
                    if !dry_run {
                        self.revive(number);
                    }
                    replayed.jobs.push(number);
                }
            }
            replayed.next = Some(Cursor { slot: State::Dead as u8, at: at.0, number });
        }
        if !ended_early {
            replayed.next = None;
        }
        if !dry_run {
            self.audit(queue, by, &replayed.jobs);
        }
        Ok(Reply::Replayed(replayed))
    }

    /// In the order of their times.
    pub(crate) fn in_state(&self, queue: &str, state: State) -> Vec<(Time, u64)> {
        let jobs = self.jobs.iter();
        let here = jobs.filter(|(_, job)| job.queue == queue && job.state == state);
        let mut all: Vec<(Time, u64)> = here.map(|(number, job)| (job.at, *number)).collect();
        all.sort_unstable();
        all
    }

    /// Time passes; all that is due happens.
    pub(crate) fn advance(&mut self, now: Time) {
        self.now = now;
        for queue in self.queues.keys().cloned().collect::<Vec<String>>() {
            let settings = self.queues[&queue].settings;
            for (state, kept_ms) in [
                (State::Leased, 0),
                (State::Scheduled, 0),
                (State::Retry, 0),
                (State::Done, settings.retention_ms),
                (State::Cancelled, settings.retention_ms),
                (State::Dead, settings.dead_retention_ms),
            ] {
                for (at, number) in self.in_state(&queue, state) {
                    if at.plus_ms(kept_ms) > now {
                        break;
                    }
                    match state {
                        State::Leased => self.crash(number),
                        State::Scheduled | State::Retry => self.wait(number, 0),
                        _ => self.forget(number),
                    }
                }
            }
        }
    }

    pub(crate) fn waiting_for(&self, number: u64) -> Option<WaitingFor> {
        let job = &self.jobs[&number];
        let queue = &self.queues[&job.queue];
        if job.state.is_final() || job.state == State::Leased {
            return None;
        }
        if !job.pending.is_empty() {
            let count = u8::try_from(job.pending.len()).unwrap();
            let open =
                |id: &&JobId| self.jobs.get(&id.number).is_some_and(|job| job.state != State::Done);
            return Some(WaitingFor::Jobs {
                count,
                first: job.new.after.iter().find(open).copied(),
            });
        }
        if !self.is_head(number) {
            let head = queue.heads[job.new.ordering_key.as_ref().unwrap()];
            return Some(WaitingFor::OrderingKey { job: head, state: self.jobs[&head].state });
        }
        if matches!(job.state, State::Scheduled | State::Retry) {
            return Some(WaitingFor::Due(job.at));
        }
        if queue.settings.paused {
            return Some(WaitingFor::Paused);
        }
        match queue.settings.concurrency_limit {
            Some(limit) if self.slots(&job.queue) == 0 => Some(WaitingFor::Limit { limit }),
            _ => Some(WaitingFor::Worker { since: queue.leased_at }),
        }
    }
}
