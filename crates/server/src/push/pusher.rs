//! The pushing of one queue: as many jobs are leased as may be sent, and none while none may. What may
//! is the gate's to say, what happens to a job the attempt's.

use super::{
    attempt::{Destination, Shared, attempt, give_back, lease_ms},
    board::Entry,
    client::Client,
    source::{Ask, Pushed, Source, SourceError},
    target::Target,
};
use evenkeel_domains::jobs::{JobId, LEASE_JOBS_MAX, Leased};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep_until, timeout},
};

/// How long is waited for jobs at a time.
const LEASE_WAIT: Duration = Duration::from_secs(20);
/// The pause after an answer without jobs that did not take long.
const EMPTY_PAUSE: Duration = Duration::from_millis(50);
/// The first and the longest pause after jobs could not be asked for.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long it may take to give back what was not finished in time.
const LET_GO_TIMEOUT: Duration = Duration::from_secs(2);

type Jobs = Vec<(JobId, Leased)>;
type LeaseAnswer = (Instant, Result<Jobs, SourceError>);

/// The pushing of one queue.
pub(super) struct Pusher<S> {
    shared: Arc<Shared<S>>,
    entry: Arc<Entry>,
    /// How it is to be pushed, as it changes.
    queue: watch::Receiver<Arc<Pushed>>,
    #[cfg(feature = "tls")]
    tls: super::tls::Tls,
    /// Where to; `None` if that makes no sense.
    destination: Option<Destination>,
    attempts: JoinSet<()>,
    /// The one question for jobs that is open, if it is.
    asking: JoinSet<LeaseAnswer>,
    /// Turns true when nobody waits for jobs any more.
    ended: watch::Sender<bool>,
    /// Until when nobody is asked for jobs.
    rest_until: Option<Instant>,
    rest: Duration,
    /// Turns true when what is under way is to be given back.
    let_go: watch::Sender<bool>,
}

impl<S: Source> Pusher<S> {
    pub(super) fn new(
        shared: Arc<Shared<S>>,
        entry: Arc<Entry>,
        queue: watch::Receiver<Arc<Pushed>>,
        #[cfg(feature = "tls")] tls: super::tls::Tls,
    ) -> Self {
        let mut pusher = Self {
            shared,
            entry,
            queue,
            #[cfg(feature = "tls")]
            tls,
            destination: None,
            attempts: JoinSet::new(),
            asking: JoinSet::new(),
            ended: watch::Sender::new(false),
            rest_until: None,
            rest: PAUSE_MIN,
            let_go: watch::Sender::new(false),
        };
        pusher.learn();
        pusher
    }

    /// Pushes until `stop` is true; then what was begun is finished, or given back.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let wake = self.ask();
            let woken = async {
                match wake {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // An error says that there is nobody left to say anything.
                _ = stop.wait_for(|told| *told) => break,
                Ok(()) = self.queue.changed() => self.learn(),
                Some(asked) = self.asking.join_next() => self.take(asked.ok()),
                Some(ended) = self.attempts.join_next() => report(ended),
                () = woken => {}
            }
        }
        self.drain().await;
    }

    /// Takes in how it is to be pushed from now on.
    fn learn(&mut self) {
        let pushed = Arc::clone(&self.queue.borrow_and_update());
        let concurrency_max = pushed.push.concurrency_max;
        let target = match Target::parse(&pushed.push.url) {
            Ok(target) => target,
            Err(error) => {
                let queue = &*pushed.id.queue;
                tracing::warn!(queue, %error, "jobs cannot be pushed");
                self.entry.set_problem(Some(error.to_string()));
                self.destination = None;
                return;
            }
        };
        self.entry.set_problem(None);
        let known = self.destination.take().map(|destination| destination.client);
        let client = known.filter(|client| *client.target() == target).unwrap_or_else(|| {
            self.entry.gate().forget(concurrency_max);
            let reach = self.shared.reach;
            #[cfg(feature = "tls")]
            let client = Client::new(target, reach, self.tls.clone());
            #[cfg(not(feature = "tls"))]
            let client = Client::new(target, reach);
            Arc::new(client)
        });
        self.entry.gate().put(concurrency_max);
        self.destination = Some(Destination { pushed, client });
    }

    /// Asks for jobs if any may be sent and nobody is being asked. Answers when to look again, if that
    /// is not said by something that happens.
    fn ask(&mut self) -> Option<Instant> {
        let destination = self.destination.as_ref().filter(|_| self.asking.is_empty())?;
        if let Some(until) = self.rest_until.filter(|until| *until > Instant::now()) {
            return Some(until);
        }
        let now_ms = self.entry.now_ms();
        let free = self.entry.gate().free(now_ms);
        if free == 0 {
            let next_ms = self.entry.gate().next_ms(now_ms);
            return next_ms.map(|next_ms| self.entry.instant(next_ms));
        }
        let max = free.min(u32::try_from(LEASE_JOBS_MAX).unwrap_or(u32::MAX));
        let (shared, pushed) = (Arc::clone(&self.shared), Arc::clone(&destination.pushed));
        let ended = self.ended.subscribe();
        self.asking.spawn(async move {
            let begun = Instant::now();
            let worker = &shared.options.worker;
            let ask = Ask { worker, max, wait: LEASE_WAIT, lease_ms: lease_ms(&pushed) };
            (begun, shared.source.lease(&pushed.id, ask, ended).await)
        });
        None
    }

    /// Begins attempts at the jobs that came, as far as they may still be sent.
    fn take(&mut self, asked: Option<LeaseAnswer>) {
        let (jobs, rest) = match asked {
            Some((_, Ok(jobs))) if !jobs.is_empty() => (jobs, None),
            Some((begun, Ok(_))) => {
                (Vec::new(), (begun.elapsed() < LEASE_WAIT / 2).then_some(EMPTY_PAUSE))
            }
            failed => {
                if let Some((_, Err(error))) = failed {
                    tracing::debug!(%error, "jobs to push cannot be asked for");
                }
                let rest = self.rest;
                self.rest = (rest * 2).min(PAUSE_MAX);
                self.rest_until = Some(Instant::now() + rest);
                return;
            }
        };
        self.rest = PAUSE_MIN;
        self.rest_until = rest.map(|rest| Instant::now() + rest);
        for (job, leased) in jobs {
            self.begin(job, leased);
        }
    }

    fn begin(&mut self, job: JobId, leased: Leased) {
        let shared = Arc::clone(&self.shared);
        let flight = self.entry.begin(job);
        match (&self.destination, flight) {
            (Some(destination), Some(flight)) => {
                let (destination, let_go) = (destination.clone(), self.let_go.subscribe());
                self.attempts.spawn(attempt(shared, destination, (job, leased), flight, let_go));
            }
            // The breaker opened, or the queue changed, while jobs were asked for.
            _ => self.put_back(job, leased),
        }
    }

    fn put_back(&mut self, job: JobId, leased: Leased) {
        let shared = Arc::clone(&self.shared);
        let pushed = Arc::clone(&self.queue.borrow());
        let wait_ms = self.entry.standing().wait_ms;
        self.attempts.spawn(give_back(shared, pushed, (job, leased), wait_ms));
    }

    /// Finishes what was begun within the drain timeout, and gives the rest back.
    async fn drain(&mut self) {
        self.ended.send_replace(true);
        let drain_timeout = self.shared.options.drain_timeout;
        let finished = timeout(drain_timeout, self.finish()).await;
        if finished.is_ok() {
            return;
        }
        let left = self.attempts.len();
        tracing::warn!(left, "attempts to push did not finish in time and are given up");
        self.let_go.send_replace(true);
        if timeout(LET_GO_TIMEOUT, self.finish()).await.is_err() {
            tracing::warn!("what was given up is free when its leases are over");
        }
    }

    async fn finish(&mut self) {
        loop {
            tokio::select! {
                Some(asked) = self.asking.join_next() => {
                    if let Ok((_, Ok(jobs))) = asked {
                        jobs.into_iter().for_each(|(job, leased)| self.put_back(job, leased));
                    }
                }
                Some(ended) = self.attempts.join_next() => report(ended),
                else => return,
            }
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an attempt to push ended by a defect; its lease runs out");
    }
}
