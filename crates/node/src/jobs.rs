//! Jobs over the partitions of a queue: requests are routed by the settings that the node's copy of
//! `meta` has, workers are led to where jobs are ready, and what concerns the whole queue is asked of
//! all of its partitions. What a partition does with it is the domain's.

mod ready;
mod seeing;
mod telling;

pub use ready::QueueState;
pub(crate) use ready::ReadyMap;
pub use seeing::{JobsOf, JobsPage, QueueEvents, QueueReport, Replay, ReplayPage, ReplayPlace};

use crate::{CallOptions, Called, Node, NodeError, Tenant};
use evenkeel_domains::{
    Command, Reply,
    jobs::{
        self, Action, COMPLETE_BYTES_MAX, COMPLETE_JOBS_MAX, Done, Enqueued, JobId, LEASE_JOBS_MAX,
        Leased, NewJob, Settings, Spread, Standing, Take, place, places, position,
    },
};
use evenkeel_engine::{Failure, Time};
use evenkeel_log::{Files, PartitionId};
use ready::{Answer, Promise};
use std::{
    collections::{BTreeMap, hash_map::RandomState},
    future::Future,
    hash::{BuildHasher, Hasher},
    pin::pin,
    time::Duration,
};

/// A worker's request for jobs.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// Of this queue.
    pub queue: String,
    /// Who asks.
    pub worker: String,
    /// At most so many.
    pub max: usize,
    /// How long to wait for the first.
    pub wait: Duration,
    /// For how long; the queue says unless this does.
    pub lease_ms: Option<u64>,
}

/// What a worker was given.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The jobs.
    pub jobs: Vec<(JobId, Leased)>,
    /// How long it waited for them, as it had asked to.
    pub waited: Duration,
}

/// What became of a job that was to be taken in, beside others.
pub type Taken = Result<(JobId, Enqueued), NodeError>;
/// What became of one job.
pub type Told = Result<Called<Standing>, NodeError>;

impl<F: Files> Node<F> {
    /// The settings of a queue, as they are now.
    pub fn queue_settings(&self, tenant: &Tenant, queue: &str) -> Result<Settings, NodeError> {
        self.meta().meta.queue(tenant.id, queue).copied().ok_or(NodeError::NoQueue)
    }

    /// Takes jobs in. Those without keys of their own are in one partition and are taken in all or none;
    /// jobs of several partitions are several commands, each for itself. If none of those took anything
    /// in, the first failure is the whole's.
    pub async fn enqueue(
        &self,
        tenant: &Tenant,
        queue: &str,
        jobs: Vec<NewJob>,
        options: CallOptions,
    ) -> Result<Called<Vec<Taken>>, NodeError> {
        let settings = self.queue_settings(tenant, queue)?;
        let drawn = draw(tenant, queue, options.idempotency_key.as_deref());
        let mut parts: BTreeMap<PartitionId, (Vec<usize>, Vec<NewJob>)> = BTreeMap::new();
        let count = jobs.len();
        for (at, job) in jobs.into_iter().enumerate() {
            let NewJob { ordering_key, unique_key, after, .. } = &job;
            let keys = (ordering_key.as_deref(), unique_key.as_deref());
            let spread = Spread::of(keys.0, keys.1, after, drawn);
            let partition = place(&tenant.name, queue, &settings, spread, self.0.partitions);
            let part = parts.entry(partition).or_default();
            part.0.push(at);
            part.1.push(job);
        }
        let several = parts.len() > 1;
        let mut stood = Vec::with_capacity(parts.len());
        let mut commands = Vec::with_capacity(parts.len());
        for (partition, (at, jobs)) in parts {
            let command = self.of_queue(tenant, queue, &settings, partition, Action::Enqueue(jobs));
            let mut options = options.clone();
            if several {
                // A key in each partition, derived from the caller's: such as no caller can send.
                options.idempotency_key =
                    options.idempotency_key.map(|key| format!("{key}\"{partition}"));
            }
            stood.push((partition, at));
            commands.push((partition, command?, options));
        }
        let called = self.commands_at(tenant, commands).await;
        self.taken(count, stood, called)
    }

    fn taken(
        &self,
        count: usize,
        stood: Vec<(PartitionId, Vec<usize>)>,
        called: Vec<Result<Called<Reply>, NodeError>>,
    ) -> Result<Called<Vec<Taken>>, NodeError> {
        let mut all = Joined::new();
        let mut taken: Vec<Option<Taken>> = (0..count).map(|_| None).collect();
        for ((partition, at), called) in stood.into_iter().zip(called) {
            match all.join(called) {
                Ok(Reply::Jobs(jobs::Reply::Enqueued(enqueued))) => {
                    for (at, job) in at.into_iter().zip(enqueued) {
                        let id = JobId { partition: partition.0, number: job.job };
                        taken[at] = Some(Ok((id, job)));
                    }
                }
                Ok(_) => unreachable!("jobs that are taken in are answered so"),
                Err(error) => at.into_iter().for_each(|at| taken[at] = Some(Err(error.clone()))),
            }
        }
        let taken = taken.into_iter().map(|one| one.expect("each job was in one part"));
        all.done(taken.collect())
    }

    /// Gives a worker jobs, at least one if there is or comes any in time; until `ended` completes at
    /// most. Of a command whose outcome nobody knows, jobs may be leased that nobody has: those leases
    /// end by themselves.
    pub async fn lease(
        &self,
        tenant: &Tenant,
        request: &LeaseRequest,
        options: CallOptions,
        ended: impl Future<Output = ()>,
    ) -> Result<Called<Given>, NodeError> {
        let LeaseRequest { queue, max, wait, lease_ms, .. } = request;
        self.check_session(&options.session)?;
        let mut ended = pin!(ended);
        // A caller who does not wait so long is not to be given jobs that it never hears of.
        let began = self.now();
        let wait = options.deadline.map_or(*wait, |deadline| deadline.min(*wait));
        let mut waited = pin!(tokio::time::sleep(wait));
        let mut before = None;
        loop {
            let settings = self.queue_settings(tenant, queue)?;
            if let Some(no) = too_long(&settings, *lease_ms) {
                return Err(self.refusal(tenant, queue, &settings, no));
            }
            let want = (*max).clamp(1, LEASE_JOBS_MAX) as u64;
            let (promise, place) = match self.0.ready.ask(tenant.id, queue, want, before.take()) {
                Answer::Led(promise) => (promise, None),
                Answer::Full => return Err(Failure::Overloaded.into()),
                Answer::Wait(place, led) => tokio::select! {
                    biased;
                    promise = led => {
                        let promise = promise.expect("who has a place is not forgotten");
                        (promise, Some(place))
                    }
                    () = &mut waited => return Ok(self.nothing().map(|jobs| Given { jobs, waited: wait })),
                    () = &mut ended => {
                        let waited = self.since(began);
                        return Ok(self.nothing().map(|jobs| Given { jobs, waited }));
                    }
                },
            };
            let passed = self.since(began);
            let left = |deadline: Duration| deadline.saturating_sub(passed);
            let left = CallOptions { deadline: options.deadline.map(left), ..options.clone() };
            let called = self.take(tenant, request, promise, &left).await?;
            if !called.answer.is_empty() || waited.is_elapsed() {
                return Ok(called.map(|jobs| Given { jobs, waited: passed }));
            }
            before = place;
        }
    }

    /// Asks for what a worker was led to, by the settings as they are when it has waited: a queue that
    /// was paused meanwhile gives nothing out.
    async fn take(
        &self,
        tenant: &Tenant,
        request: &LeaseRequest,
        mut promise: Promise,
        options: &CallOptions,
    ) -> Result<Called<Vec<(JobId, Leased)>>, NodeError> {
        let LeaseRequest { queue, worker, lease_ms, .. } = request;
        let settings = &self.queue_settings(tenant, queue)?;
        // What is left of a queue of this name that was deleted is not this one's.
        promise.led.retain(|(partition, _)| {
            position(&tenant.name, queue, settings, *partition, self.0.partitions).is_some()
        });
        if promise.led.is_empty() {
            return Ok(self.nothing());
        }
        let mut commands = Vec::with_capacity(promise.led.len());
        for (partition, count) in &promise.led {
            let max = u32::try_from(*count).expect("no more than a lease has");
            let action = Action::Lease { worker: worker.clone(), max, lease_ms: *lease_ms };
            let command = self.of_queue(tenant, queue, settings, *partition, action)?;
            commands.push((*partition, command, options.clone()));
        }
        let called = match <[_; 1]>::try_from(commands) {
            Ok([(partition, command, options)]) => {
                vec![self.command_at(partition, tenant, command, options).await]
            }
            Err(commands) => self.commands_at(tenant, commands).await,
        };
        let mut all = Joined::new();
        let mut given = Vec::new();
        let mut failed = Vec::new();
        for ((partition, count), called) in promise.led.iter().zip(called) {
            match all.join(called) {
                Ok(Reply::Jobs(jobs::Reply::Leased(leased, _))) => {
                    let id = |number| JobId { partition: partition.0, number };
                    given.extend(leased.into_iter().map(|leased| (id(leased.job), leased)));
                }
                Ok(_) => unreachable!("a lease is answered by jobs"),
                Err(_) => failed.push((*partition, *count)),
            }
        }
        promise.settle(failed);
        all.done(given)
    }

    fn since(&self, began: Time) -> Duration {
        Duration::from_millis(self.now().0.saturating_sub(began.0))
    }

    fn nothing<T>(&self) -> Called<Vec<T>> {
        let at = self.now();
        Called { answer: Vec::new(), replayed: false, as_of: Vec::new(), staleness_ms: 0, at }
    }

    /// Does something about one job and gives its worker others in the same step, if there are any in
    /// that partition; that there are none here says nothing of others.
    pub async fn job_and_next(
        &self,
        tenant: &Tenant,
        job: JobId,
        action: Action,
        request: &LeaseRequest,
        options: CallOptions,
    ) -> Result<Called<(Standing, Vec<(JobId, Leased)>)>, NodeError> {
        let LeaseRequest { queue, worker, max, lease_ms, .. } = request;
        let settings = self.queue_settings(tenant, queue)?;
        let partition = PartitionId(job.partition);
        let want = (*max).clamp(1, LEASE_JOBS_MAX) as u64;
        let promise = match too_long(&settings, *lease_ms) {
            Some(_) => None,
            None => self.0.ready.ask_here(tenant.id, queue, partition, want),
        };
        let Some(promise) = promise else {
            let called = self.job(tenant, queue, job, action, options).await?;
            return Ok(called.map(|standing| (standing, Vec::new())));
        };
        let max = u32::try_from(promise.led[0].1).expect("no more than a lease has");
        let take = Take { worker: worker.clone(), max, lease_ms: *lease_ms };
        let action = Action::AndNext(Box::new(action), take);
        let command = self.of_queue(tenant, queue, &settings, partition, action)?;
        let called = self.command_at(partition, tenant, command, options).await?;
        promise.settle(Vec::new());
        Ok(called.map(|reply| {
            let Reply::Jobs(jobs::Reply::Said(standing, leased)) = reply else {
                unreachable!("a word is answered by how its job stands, and what is next")
            };
            let id = |number| JobId { partition: partition.0, number };
            (standing, leased.into_iter().map(|leased| (id(leased.job), leased)).collect())
        }))
    }

    /// Does something about one job.
    pub async fn job(
        &self,
        tenant: &Tenant,
        queue: &str,
        job: JobId,
        action: Action,
        options: CallOptions,
    ) -> Told {
        let settings = self.queue_settings(tenant, queue)?;
        let partition = PartitionId(job.partition);
        let command = self.of_queue(tenant, queue, &settings, partition, action)?;
        self.command_at(partition, tenant, command, options).await.map(standing)
    }

    /// Completes each of these jobs, for itself; `job` of each is its number. Answers in their order.
    pub async fn complete_many(
        &self,
        tenant: &Tenant,
        queue: &str,
        jobs: Vec<(PartitionId, Done)>,
        options: &CallOptions,
    ) -> Result<Vec<Told>, NodeError> {
        let settings = self.queue_settings(tenant, queue)?;
        let mut told: Vec<Option<Told>> = jobs.iter().map(|_| None).collect();
        let mut parts: BTreeMap<PartitionId, Vec<(usize, Done)>> = BTreeMap::new();
        for (at, (partition, done)) in jobs.into_iter().enumerate() {
            parts.entry(partition).or_default().push((at, done));
        }
        let mut stood = Vec::new();
        let mut commands = Vec::new();
        for (partition, part) in parts {
            for part in fitting(part) {
                let (at, done): (Vec<usize>, Vec<Done>) = part.into_iter().unzip();
                let action = Action::CompleteMany(done);
                match self.of_queue(tenant, queue, &settings, partition, action) {
                    Ok(command) => {
                        stood.push(at);
                        commands.push((partition, command, options.clone()));
                    }
                    Err(error) => {
                        at.into_iter().for_each(|at| told[at] = Some(Err(error.clone())));
                    }
                }
            }
        }
        let called = self.commands_at(tenant, commands).await;
        for (at, called) in stood.into_iter().zip(called) {
            for (at, one) in at.iter().copied().zip(each(called, at.len())) {
                told[at] = Some(one);
            }
        }
        Ok(told.into_iter().map(|one| one.expect("each job was in one part")).collect())
    }

    /// A command to a partition of a queue, with its share of the settings.
    fn of_queue(
        &self,
        tenant: &Tenant,
        queue: &str,
        settings: &Settings,
        partition: PartitionId,
        action: Action,
    ) -> Result<Command, NodeError> {
        let position = position(&tenant.name, queue, settings, partition, self.0.partitions)
            .ok_or_else(|| self.refusal(tenant, queue, settings, jobs::Refusal::NoJob))?;
        Ok(Command::Jobs(jobs::Command {
            queue: queue.to_owned(),
            partition: partition.0,
            settings: Box::new(settings.share(position)),
            action,
        }))
    }

    /// What a partition would have said, said without asking one.
    fn refusal(
        &self,
        tenant: &Tenant,
        queue: &str,
        settings: &Settings,
        refusal: jobs::Refusal,
    ) -> NodeError {
        let mut places = places(&tenant.name, queue, settings, self.0.partitions);
        let first = places.next().expect("a queue uses a partition");
        NodeError::Refused {
            refusal: evenkeel_domains::Refusal::Jobs(refusal),
            as_of: self.shown(first),
        }
    }
}

/// The answers of several partitions as one.
struct Joined {
    called: Option<Called<()>>,
    /// What the whole has failed with if nothing was answered: that nobody knows what a part has done, if
    /// so it is of any; else the first.
    failed: Option<NodeError>,
}

impl Joined {
    fn new() -> Self {
        Self { called: None, failed: None }
    }

    fn join<A>(&mut self, one: Result<Called<A>, NodeError>) -> Result<A, NodeError> {
        let Called { answer, replayed, as_of, staleness_ms, at } = one.inspect_err(|error| {
            let is_unknown = matches!(error, NodeError::Failed(Failure::OutcomeUnknown));
            if is_unknown || self.failed.is_none() {
                self.failed = Some(error.clone());
            }
        })?;
        match &mut self.called {
            Some(called) => {
                called.replayed &= replayed;
                called.as_of.extend(as_of);
                called.staleness_ms = called.staleness_ms.max(staleness_ms);
                called.at = called.at.min(at);
            }
            None => {
                self.called = Some(Called { answer: (), replayed, as_of, staleness_ms, at });
            }
        }
        Ok(answer)
    }

    /// The whole, if any part of it was answered.
    fn done<A>(self, answer: A) -> Result<Called<A>, NodeError> {
        match (self.called, self.failed) {
            (Some(called), _) => Ok(called.map(|()| answer)),
            (None, Some(failed)) => Err(failed),
            (None, None) => unreachable!("at least one partition is asked"),
        }
    }
}

/// The jobs in as few commands as hold them: so many, and so many bytes of results.
fn fitting(jobs: Vec<(usize, Done)>) -> Vec<Vec<(usize, Done)>> {
    let mut parts: Vec<Vec<(usize, Done)>> = Vec::new();
    let mut bytes = 0;
    for job in jobs {
        let more = job.1.result.as_ref().map_or(0, String::len);
        bytes += more;
        match parts.last_mut() {
            Some(part) if part.len() < COMPLETE_JOBS_MAX && bytes <= COMPLETE_BYTES_MAX => {
                part.push(job);
            }
            _ => {
                bytes = more;
                parts.push(vec![job]);
            }
        }
    }
    parts
}

/// What became of each of `count` jobs of a command.
fn each(called: Result<Called<Reply>, NodeError>, count: usize) -> Vec<Told> {
    let Called { answer, replayed, as_of, staleness_ms, at } = match called {
        Ok(called) => called,
        Err(error) => return vec![Err(error); count],
    };
    let Reply::Jobs(jobs::Reply::Each(each)) = answer else {
        unreachable!("jobs that are completed are answered each")
    };
    let told = each.into_iter().map(|one| match one {
        Ok(answer) => Ok(Called { answer, replayed, as_of: as_of.clone(), staleness_ms, at }),
        Err(refusal) => Err(NodeError::Refused {
            refusal: evenkeel_domains::Refusal::Jobs(refusal),
            as_of: as_of[0],
        }),
    });
    told.collect()
}

fn standing(called: Called<Reply>) -> Called<Standing> {
    called.map(|reply| match reply {
        Reply::Jobs(jobs::Reply::Job(standing)) => standing,
        _ => unreachable!("what is done about a job is answered by how it stands"),
    })
}

fn too_long(settings: &Settings, lease_ms: Option<u64>) -> Option<jobs::Refusal> {
    let max_ms = settings.lease_ms_max;
    lease_ms.filter(|lease_ms| *lease_ms > max_ms).map(|_| jobs::Refusal::LeaseTooLong { max_ms })
}

/// Where the jobs of a request go that have no keys: a repeat under the same key goes there again.
fn draw(tenant: &Tenant, queue: &str, key: Option<&str>) -> u64 {
    let Some(key) = key else {
        // Each of these has keys of its own that nobody can foresee.
        return RandomState::new().build_hasher().finish();
    };
    let mut hasher = blake3::Hasher::new();
    for part in [&tenant.name, queue, key] {
        hasher.update(part.as_bytes()).update(&[0]);
    }
    let mut drawn = [0; 8];
    drawn.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_parts_that_failed_nobody_is_told_that_nothing_happened_if_that_is_not_known() {
        let (full, unknown) = (Failure::Overloaded, Failure::OutcomeUnknown);
        for parts in [[full.clone(), unknown.clone()], [unknown, full]] {
            let mut all = Joined::new();
            for part in parts {
                assert!(all.join::<()>(Err(part.into())).is_err());
            }
            let failed = all.done(()).map(|_| ());
            assert_eq!(failed, Err(Failure::OutcomeUnknown.into()));
        }
    }
}
