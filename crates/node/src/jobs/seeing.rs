//! What concerns a whole queue: its partitions are asked one after the other, or side by side where
//! nothing depends on their order.

use super::{Joined, QueueState};
use crate::{
    CallOptions, Called, Node, NodeError, ReadOptions, Tenant, limits::together, owner::Message,
};
use evenkeel_contract::Level;
use evenkeel_domains::{
    Found, Query, Reply,
    jobs::{
        self, Action, ByState, Cursor, DeadFilter, EventView, JobId, JobView, Kind, Pace,
        REPLAY_JOBS_MAX, Replayed, State, places,
    },
};
use evenkeel_engine::{Failure, Position, TenantId, Time};
use evenkeel_log::{Files, PartitionId};
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::oneshot;

/// Kinds of a queue that are told apart when it is shown; the rest only counts.
const KINDS_MAX: usize = 100;
/// Kinds of a partition that metrics tell apart.
const KINDS_SCANNED_MAX: usize = 1_000;
/// Dead letters that one request brings back.
pub(crate) const REPLAY_MAX: usize = 1_000;

/// How a queue is.
#[derive(Debug, Clone, Default)]
pub struct QueueReport {
    /// Counts and rates.
    pub state: QueueState,
    /// Its kinds by name, the first hundred.
    pub kinds: BTreeMap<String, Kind>,
    /// Since when the oldest job is ready that is.
    pub oldest_ready: Option<Time>,
    /// When a worker last got a job.
    pub leased_at: Option<Time>,
}

/// A page of a list of jobs.
#[derive(Debug, Clone, Default)]
pub struct JobsPage {
    /// The jobs.
    pub jobs: Vec<(JobId, JobView)>,
    /// Where to go on, unless this is the end.
    pub next: Option<(PartitionId, Option<Cursor>)>,
}

/// A page of what happened to a queue.
#[derive(Debug, Clone, Default)]
pub struct QueueEvents {
    /// Events by time, in order for each partition.
    pub events: Vec<(PartitionId, EventView)>,
    /// Where each partition's go on.
    pub next: Vec<(PartitionId, Position)>,
    /// Whether history that was asked for is gone.
    pub reset: bool,
}

/// Which dead letters are to come back, and how.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Which.
    pub filter: DeadFilter,
    /// So many a second; as fast as can be without it.
    pub rate_per_s: Option<u32>,
    /// Only say which they would be.
    pub dry_run: bool,
    /// Who asks.
    pub by: String,
}

/// Where a replay goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayPlace {
    /// In this partition.
    pub partition: PartitionId,
    /// After this dead letter.
    pub after: Option<Cursor>,
    /// When the next job of it is due at its rate, in microseconds of record time.
    pub due_us: u64,
}

impl ReplayPlace {
    /// How what is brought back now is spread, at so many a second. Time that nobody used is not made
    /// up for: that would be faster.
    fn pace(&mut self, rate_per_s: u32, now: Time) -> Pace {
        self.due_us = self.due_us.max(now.0.saturating_mul(1_000));
        let first_ms = (self.due_us / 1_000).saturating_sub(now.0);
        Pace { first_ms, every_us: every_us(rate_per_s) }
    }

    /// So many came back at so many a second.
    fn pass(&mut self, count: usize, rate_per_s: u32) {
        let took_us = (count as u64).saturating_mul(every_us(rate_per_s));
        self.due_us = self.due_us.saturating_add(took_us);
    }
}

fn every_us(rate_per_s: u32) -> u64 {
    1_000_000 / u64::from(rate_per_s.max(1))
}

/// What a replay has done so far.
#[derive(Debug, Clone, Default)]
pub struct ReplayPage {
    /// What was, or would be, brought back.
    pub jobs: Vec<JobId>,
    /// So many stay, as another job has their unique key.
    pub skipped: u64,
    /// Where to go on, unless it is finished.
    pub next: Option<ReplayPlace>,
}

impl<F: Files> Node<F> {
    /// How a queue is.
    pub async fn queue_report(
        &self,
        tenant: &Tenant,
        queue: &str,
        options: ReadOptions,
    ) -> Result<Called<QueueReport>, NodeError> {
        let ask = || jobs::Query::Queue { queue: queue.to_owned(), after: None };
        let found = self.ask_all(tenant, queue, "jobs.queue", options, |_| ask());
        let mut all = Joined::new();
        let mut report = QueueReport::default();
        let mut counts = ByState::default();
        for (_, called) in found.await? {
            let jobs::Found::Queue(view) = all.join(called)? else {
                unreachable!("a queue is answered")
            };
            for (count, more) in counts.iter_mut().zip(view.counts) {
                *count += more;
            }
            for (name, kind) in view.kinds {
                report.kinds.entry(name).or_default().join(&kind);
            }
            report.oldest_ready = earlier(report.oldest_ready, view.oldest_ready);
            report.leased_at = report.leased_at.max(view.leased_at);
        }
        while report.kinds.len() > KINDS_MAX {
            report.kinds.pop_last();
        }
        report.state = self.0.ready.state(tenant.id, queue, self.now());
        report.state.counts = counts;
        all.done(report)
    }

    /// Counts and rates of a queue as this node last heard of them, which costs no partition anything.
    #[must_use]
    pub fn queue_state(&self, tenant: &Tenant, queue: &str) -> QueueState {
        self.0.ready.state(tenant.id, queue, self.now())
    }

    /// The same of every queue.
    #[must_use]
    pub fn queue_states(&self) -> Vec<(TenantId, String, QueueState)> {
        self.0.ready.states(self.now())
    }

    /// Kinds of jobs over all tenants and queues, at most a thousand a partition: for metrics.
    pub async fn job_kinds(&self) -> BTreeMap<(TenantId, String, String), Kind> {
        let mut asked = Vec::new();
        for owner in self.0.owners.values() {
            let (reply, kinds) = oneshot::channel();
            if owner.mailbag.try_send(Message::Kinds { max: KINDS_SCANNED_MAX, reply }).is_ok() {
                asked.push(kinds);
            }
        }
        let mut all: BTreeMap<(TenantId, String, String), Kind> = BTreeMap::new();
        for kinds in asked {
            // Of a partition that does not answer nothing is known.
            for (tenant, queue, kind, row) in kinds.await.unwrap_or_default() {
                all.entry((tenant, queue, kind)).or_default().join(&row);
            }
        }
        all
    }

    /// A page of jobs: of those in `state`, or of dead letters if `dead` says which.
    pub async fn jobs_page(
        &self,
        tenant: &Tenant,
        queue: &str,
        of: &JobsOf,
        after: Option<(PartitionId, Option<Cursor>)>,
        limit: usize,
        options: ReadOptions,
    ) -> Result<Called<JobsPage>, NodeError> {
        let path = if matches!(of, JobsOf::Dead(_)) { "jobs.dead" } else { "jobs.list" };
        let settings = self.queue_settings(tenant, queue)?;
        let partitions = places(&tenant.name, queue, &settings, self.0.partitions);
        let mut partitions: Vec<_> = partitions.collect();
        let mut cursor = None;
        if let Some((partition, after)) = after {
            let at = partitions.iter().position(|place| *place == partition);
            partitions.drain(..at.unwrap_or(partitions.len()));
            cursor = after;
        }
        let read = async {
            let mut all = Joined::new();
            let mut page = JobsPage::default();
            let mut rest = partitions.iter().copied().peekable();
            while let Some(partition) = rest.next() {
                let limit = limit - page.jobs.len();
                let query = of.query(queue, cursor.take(), limit);
                let called = self.read_jobs(partition, tenant, path, query, &options).await;
                let jobs::Found::Jobs(found, next) = all.join(called)? else {
                    unreachable!("a list is answered by a list")
                };
                let full = found.len() == limit;
                let id = |number| JobId { partition: partition.0, number };
                page.jobs.extend(found.into_iter().map(|job| (id(job.job), job)));
                if next.is_some() {
                    page.next = Some((partition, next));
                    break;
                }
                if full {
                    page.next = rest.peek().map(|next| (*next, None));
                    break;
                }
            }
            if partitions.is_empty() {
                return Ok(self.nothing_read(page));
            }
            all.done(page)
        };
        self.in_time(path, &options, read).await
    }

    /// What happened to a queue after these positions; of a partition without one, from the oldest that
    /// is kept.
    pub async fn queue_events(
        &self,
        tenant: &Tenant,
        queue: &str,
        after: &[(PartitionId, Position)],
        limit: usize,
        options: ReadOptions,
    ) -> Result<Called<QueueEvents>, NodeError> {
        let position = |partition: PartitionId| {
            after.iter().find(|(known, _)| *known == partition).map(|(_, position)| *position)
        };
        let ask = |partition| {
            let (queue, after) = (queue.to_owned(), position(partition));
            jobs::Query::Events { queue, after, limit }
        };
        let found = self.ask_all(tenant, queue, "jobs.events", options, ask).await?;
        let mut all = Joined::new();
        let mut events = QueueEvents::default();
        for (partition, called) in found {
            let jobs::Found::Events(found, reset) = all.join(called)? else {
                unreachable!("events are answered")
            };
            events.reset |= reset;
            // After a reset from the oldest that is kept.
            let from = position(partition).filter(|_| !reset);
            events.next.extend(from.map(|from| (partition, from)));
            events.events.extend(found.into_iter().map(|event| (partition, event)));
        }
        // The oldest of all, so that a partition in which much happens keeps none from being read. Within
        // each time only goes on, and the sort is stable.
        events.events.sort_by_key(|(_, event)| event.at);
        events.events.truncate(limit);
        let mut last = events.next.drain(..).collect::<BTreeMap<_, _>>();
        last.extend(events.events.iter().map(|(partition, event)| (*partition, event.position)));
        events.next = last.into_iter().collect();
        all.done(events)
    }

    /// Brings dead letters back, or says which it would: as many as one request may, or as it has time
    /// for, and where to go on.
    pub async fn replay(
        &self,
        tenant: &Tenant,
        queue: &str,
        replay: &Replay,
        place: Option<ReplayPlace>,
        options: CallOptions,
    ) -> Result<Called<ReplayPage>, NodeError> {
        let settings = self.queue_settings(tenant, queue)?;
        let time_ms = self.deadline_ms("jobs.replay", options.deadline) / 2;
        let until = self.now().plus_ms(time_ms);
        let mut partitions =
            places(&tenant.name, queue, &settings, self.0.partitions).collect::<Vec<_>>();
        let first = ReplayPlace {
            partition: *partitions.first().expect("a queue uses a partition"),
            after: None,
            due_us: 0,
        };
        let mut at = place.unwrap_or(first);
        let skip = partitions.iter().position(|place| *place == at.partition);
        partitions.drain(..skip.unwrap_or(partitions.len()));
        if partitions.is_empty() {
            return Ok(self.nothing_read(ReplayPage::default()));
        }
        let mut all = Joined::new();
        let mut page = ReplayPage::default();
        let mut rest = partitions.into_iter().skip(1);
        loop {
            let left = REPLAY_MAX - page.jobs.len();
            let action = Action::Replay {
                filter: replay.filter.clone(),
                after: at.after,
                max: u32::try_from(left.min(REPLAY_JOBS_MAX)).expect("a small number"),
                dry_run: replay.dry_run,
                pace: replay.rate_per_s.map(|rate| at.pace(rate, self.now())),
                by: replay.by.clone(),
            };
            let command = self.of_queue(tenant, queue, &settings, at.partition, action)?;
            let called = self.command_at(at.partition, tenant, command, options.clone()).await;
            let replayed = match all.join(called) {
                Ok(Reply::Jobs(jobs::Reply::Replayed(replayed))) => replayed,
                Ok(_) => unreachable!("a replay is answered by what came back"),
                // What came back before is said, and where to go on.
                Err(_) if !page.jobs.is_empty() => {
                    page.next = Some(at);
                    return all.done(page);
                }
                Err(error) => return Err(error),
            };
            let Replayed { jobs: back, skipped, next } = replayed;
            if let Some(rate) = replay.rate_per_s {
                at.pass(back.len(), rate);
            }
            page.skipped += skipped;
            let id = |number| JobId { partition: at.partition.0, number };
            page.jobs.extend(back.into_iter().map(id));
            at.after = next;
            if next.is_none() {
                let Some(partition) = rest.next() else { return all.done(page) };
                at.partition = partition;
            }
            if page.jobs.len() == REPLAY_MAX || self.now() >= until {
                page.next = Some(at);
                return all.done(page);
            }
        }
    }

    /// Asks every partition of a queue, side by side.
    async fn ask_all(
        &self,
        tenant: &Tenant,
        queue: &str,
        path: &'static str,
        options: ReadOptions,
        query: impl Fn(PartitionId) -> jobs::Query,
    ) -> Result<Vec<(PartitionId, Result<Called<jobs::Found>, NodeError>)>, NodeError> {
        let settings = self.queue_settings(tenant, queue)?;
        let places: Vec<_> = places(&tenant.name, queue, &settings, self.0.partitions).collect();
        let asked = async {
            let read = |partition: &PartitionId| {
                self.read_jobs(*partition, tenant, path, query(*partition), &options)
            };
            let found = together(places.iter().map(read)).await;
            Ok(places.into_iter().zip(found).collect())
        };
        self.in_time(path, &options, asked).await
    }

    async fn read_jobs(
        &self,
        partition: PartitionId,
        tenant: &Tenant,
        path: &'static str,
        query: jobs::Query,
        options: &ReadOptions,
    ) -> Result<Called<jobs::Found>, NodeError> {
        let settings = self.settings(path);
        let (level, priority) = (options.level_by(&settings), options.priority_by(&settings));
        if level != Level::Eventual {
            self.check_session(&options.session)?;
        }
        let query = Query::Jobs(query);
        let called = self.read(partition, tenant.id, query, level, priority).await?;
        let Called { answer, replayed, as_of, staleness_ms, at } = called;
        let Found::Jobs(answer) = answer else { unreachable!("jobs answer about jobs") };
        Ok(Called { answer, replayed, as_of, staleness_ms, at })
    }

    async fn in_time<T>(
        &self,
        path: &'static str,
        options: &ReadOptions,
        work: impl Future<Output = Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        let deadline_ms = self.deadline_ms(path, options.deadline);
        let worked = tokio::time::timeout(Duration::from_millis(deadline_ms), work).await;
        worked.unwrap_or_else(|_| Err(Failure::DeadlineExceeded.into()))
    }

    fn nothing_read<T>(&self, answer: T) -> Called<T> {
        Called { answer, replayed: false, as_of: Vec::new(), staleness_ms: 0, at: self.now() }
    }
}

/// Which jobs a list is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobsOf {
    /// Those in this state and of this kind.
    State(Option<State>, Option<String>),
    /// Dead letters.
    Dead(DeadFilter),
}

impl JobsOf {
    fn query(&self, queue: &str, after: Option<Cursor>, limit: usize) -> jobs::Query {
        let queue = queue.to_owned();
        match self {
            Self::State(state, kind) => {
                jobs::Query::Jobs { queue, state: *state, kind: kind.clone(), after, limit }
            }
            Self::Dead(filter) => jobs::Query::Dead { queue, filter: filter.clone(), after, limit },
        }
    }
}

fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_keeps_its_rate_however_long_its_caller_takes() {
        let mut place = ReplayPlace { partition: PartitionId(0), after: None, due_us: 0 };
        let mut due = Vec::new();
        // At once, at once, much later, and then at once with another rate.
        for (now_ms, rate) in [(50_000, 10), (50_000, 10), (500_000, 10), (500_001, 20)] {
            let pace = place.pace(rate, Time(now_ms));
            due.extend((0..30).map(|before| now_ms + pace.delay_ms(before)));
            place.pass(30, rate);
        }
        assert_eq!((due[0], due[30], due[60], due[90]), (50_000, 53_000, 500_000, 503_000));
        assert!(due.windows(2).all(|two| two[0] + 50 <= two[1]), "{due:?}");
    }
}
