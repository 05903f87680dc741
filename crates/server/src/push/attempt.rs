//! One attempt at one job: the call, the lease kept meanwhile, and what came of it said to whoever has
//! the jobs. Should this process die in the middle, a lease runs out, as any worker's would.

use super::{
    address::Reach,
    board::Flight,
    client::Client,
    delivery::{self, Verdict},
    gate::Signal,
    options::PushOptions,
    source::{Pushed, Source, SourceError},
};
use bytes::Bytes;
use evenkeel_domains::jobs::{Action, JobId, Leased};
use evenkeel_engine::TenantId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    sync::{Semaphore, watch},
    time::sleep,
};

/// How long a lease lasts beyond what the call may take: time to say what came of it.
const MARGIN_MS: u64 = 15_000;
/// How long it is tried to say so.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest and the longest pause between two tries.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// For how long nothing is sent to one who wants no more while that cannot be written down.
const GONE_MS: u64 = 60_000;

/// One in so many of the attempts that may be under way is kept from any one tenant, for the others.
const KEPT_FROM_ONE: usize = 4;

/// What all attempts of a node share.
pub(super) struct Shared<S> {
    pub(super) source: Arc<S>,
    pub(super) options: PushOptions,
    pub(super) reach: Reach,
    /// A permit for every attempt that may be under way.
    pub(super) permits: Semaphore,
    /// Those of them that a tenant may have, for each that had one: a consumer may take its time, but
    /// not other tenants' turns.
    pub(super) shares: Mutex<BTreeMap<TenantId, Arc<Semaphore>>>,
}

impl<S> Shared<S> {
    fn share(&self, tenant: TenantId) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let max = self.options.attempts_max;
        let share = || Arc::new(Semaphore::new(max - max / KEPT_FROM_ONE));
        Arc::clone(shares.entry(tenant).or_insert_with(share))
    }
}

/// Where to, and how, as it is now.
#[derive(Clone)]
pub(super) struct Destination {
    pub(super) pushed: Arc<Pushed>,
    pub(super) client: Arc<Client>,
}

/// How the waiting for an answer ended.
enum Ending {
    Judged(Verdict, Signal),
    /// Its lease is over, or the job is.
    Lost,
    /// Somebody cancelled the job, or the server stops.
    LetGo,
}

/// For how long a job is leased.
pub(super) fn lease_ms(pushed: &Pushed) -> u64 {
    (pushed.push.timeout_ms + MARGIN_MS).min(pushed.settings.lease_ms_max)
}

/// Sends `leased`, and says what came of it. Once `let_go` is true it gives the job back.
pub(super) async fn attempt<S: Source>(
    shared: Arc<Shared<S>>,
    destination: Destination,
    (job, leased): (JobId, Leased),
    flight: Flight,
    mut let_go: watch::Receiver<bool>,
) {
    let pushed = &destination.pushed;
    let ending = tokio::select! {
        (verdict, signal) = deliver(&shared, &destination, job, &leased) => Ending::Judged(verdict, signal),
        ending = keep(&shared, pushed, job, &leased) => ending,
        // An error says that there is nobody left to tell.
        _ = let_go.wait_for(|told| *told) => Ending::LetGo,
    };
    let (action, signal) = match ending {
        Ending::Judged(verdict, signal) => say(&shared, pushed, &leased, verdict, signal).await,
        Ending::LetGo => (Some(snooze(&leased, 0)), Signal::Abandoned),
        Ending::Lost => (None, Signal::Abandoned),
    };
    if let Some(action) = action {
        settle(&shared, pushed, job, action).await;
    }
    flight.end(signal);
}

/// Gives a job back that cannot be sent now.
pub(super) async fn give_back<S: Source>(
    shared: Arc<Shared<S>>,
    pushed: Arc<Pushed>,
    (job, leased): (JobId, Leased),
    delay_ms: u64,
) {
    settle(&shared, &pushed, job, snooze(&leased, delay_ms)).await;
}

fn snooze(leased: &Leased, delay_ms: u64) -> Action {
    Action::Snooze { job: leased.job, lease: leased.lease, delay_ms }
}

/// The call, once it is its turn.
async fn deliver<S: Source>(
    shared: &Shared<S>,
    Destination { pushed, client }: &Destination,
    job: JobId,
    leased: &Leased,
) -> (Verdict, Signal) {
    // Its own tenant's first: whoever waits for that is in nobody's way.
    let share = shared.share(pushed.id.tenant.id);
    let _share = share.acquire().await.expect("the semaphore is never closed");
    let _permit = shared.permits.acquire().await.expect("the semaphore is never closed");
    let authority = &client.target().authority;
    let now = shared.source.now();
    let headers =
        delivery::headers((&pushed.id.queue, &pushed.push, authority), (job, leased), now);
    let payload = Bytes::copy_from_slice(leased.payload.as_bytes());
    let result_bytes_max = pushed.settings.result_bytes_max;
    let bytes_max = delivery::body_bytes_max(result_bytes_max);
    let timeout = Duration::from_millis(pushed.push.timeout_ms);
    let called = client.call(&headers, payload, bytes_max, timeout).await;
    delivery::judge(called, result_bytes_max, delivery::wall_clock())
}

/// Has the lease go on, until it does not.
async fn keep<S: Source>(
    shared: &Shared<S>,
    pushed: &Pushed,
    job: JobId,
    leased: &Leased,
) -> Ending {
    let lease_ms = lease_ms(pushed);
    let every = Duration::from_millis((lease_ms / 3).max(1));
    let mut pause = every;
    loop {
        sleep(pause).await;
        let extend = Action::Extend { job: leased.job, lease: leased.lease, lease_ms };
        match shared.source.job(&pushed.id, job, extend).await {
            Ok(standing) if standing.cancel => return Ending::LetGo,
            Ok(_) => pause = every,
            Err(SourceError::Unavailable(_)) => pause = every / 4,
            Err(SourceError::Stale | SourceError::Refused(_)) => return Ending::Lost,
        }
    }
}

/// What is said of the job and of the destination, once that was disabled which wants no more.
async fn say<S: Source>(
    shared: &Shared<S>,
    pushed: &Pushed,
    leased: &Leased,
    verdict: Verdict,
    signal: Signal,
) -> (Option<Action>, Signal) {
    let (job, lease) = (leased.job, leased.lease);
    let action = match verdict {
        Verdict::Done(result) => Action::Complete { job, lease, result },
        Verdict::Failed(error) => Action::Fail { job, lease, error, retry: true },
        Verdict::Later { delay_ms } => snooze(leased, delay_ms),
        Verdict::Gone(reason) => {
            let disabled = shared.source.disable(&pushed.id, pushed.push.version, &reason);
            return match disabled.await {
                Ok(()) => (Some(snooze(leased, 0)), signal),
                Err(error) => {
                    let queue = &*pushed.id.queue;
                    tracing::warn!(queue, %error, "a push that is to be disabled is not yet");
                    (Some(snooze(leased, GONE_MS)), Signal::Busy { wait_ms: GONE_MS })
                }
            };
        }
    };
    (Some(action), signal)
}

/// Says what became of a job, until it is heard or the lease is over.
async fn settle<S: Source>(shared: &Shared<S>, pushed: &Pushed, job: JobId, mut action: Action) {
    let begun = Instant::now();
    let mut pause = PAUSE_MIN;
    loop {
        let told = shared.source.job(&pushed.id, job, action.clone()).await;
        let Err(error) = told else { return };
        let queue = &*pushed.id.queue;
        match (&error, &mut action) {
            // Its settings have changed since the answer was read. The job is done all the same.
            (SourceError::Refused("result_too_large"), Action::Complete { result, .. })
                if result.is_some() =>
            {
                *result = None;
                continue;
            }
            (SourceError::Unavailable(_), _) if begun.elapsed() < SETTLE_TIMEOUT => {}
            _ => {
                tracing::debug!(queue, %job, %error, "what became of a job is not said");
                return;
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
