//! The crash drill: the real binary, on a real disk, killed with SIGKILL under load, started
//! again, many times; then everything that clients were told is checked against everything that
//! is there.
//!
//! It proves what no simulation can, that the process, the file system and the edge keep the
//! promises together. It does not cut the power: the simulator's disk does that.

mod answers;
mod chat;
mod clock;
mod feed;
mod jobs;
mod lasting;
mod limits;
mod long;
mod look;
mod observe;
pub(crate) mod server;
mod workload;

use crate::{
    checker::{self, LimitReport, Measured, Observed, STEPS_MAX_DEFAULT, Violation},
    history::{Capacity, History, Outcome, Request},
    load::{ClientError, EndpointError},
};
pub use chat::DrilledChat;
use fastrand::Rng;
pub use feed::DrilledFeeds;
pub use jobs::DrilledQueue;
pub use long::{LongOptions, LongReport, MINUTES_MAX, run_long};
use serde::Serialize;
use server::Server;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    ops::Range,
    path::PathBuf,
    process::ExitStatus,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

/// Cycles at most, so that a drill ends.
pub const CYCLES_MAX: u32 = 1_000;
/// Clients at most.
pub const CLIENTS_MAX: usize = 256;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Limits are used up within this, once there are no more kills.
const USED_UP_WITHIN: Duration = Duration::from_secs(30);
/// A server that is left alone answers what there is within this, whatever waits for whom.
const ENDS_WITHIN: Duration = Duration::from_secs(600);
/// More memory than this no server needs that is used as here, whoever reads slowly or sends nonsense.
pub const MEMORY_MIB_MAX: u64 = 512;

/// How to drill.
#[derive(Debug, Clone)]
pub struct CrashOptions {
    /// The binary to run and kill.
    pub binary: PathBuf,
    /// An empty or missing directory for its data.
    pub data: PathBuf,
    /// How often it is killed.
    pub cycles: u32,
    /// Concurrent clients.
    pub clients: usize,
    /// Decides what clients do and how long each life lasts; timing is the machine's.
    pub seed: u64,
}

/// Why a drill could not be carried out. That is neither valid nor invalid.
#[derive(Debug, thiserror::Error)]
pub enum CrashError {
    /// The options are out of range.
    #[error("{0}")]
    Options(String),
    /// The binary could not be run.
    #[error("cannot run {binary}: {source}")]
    Run {
        /// Which.
        binary: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was started and did not become ready.
    #[error("the server did not become ready within {0:?}; its log: {1}")]
    NotReady(Duration, String),
    /// It answered in a way that no server of this kind does.
    #[error("the server's answer is not understood: {0}")]
    Answer(String),
    /// It ended, and nobody had killed it.
    #[error("the server ended by itself with {0}; its log: {1}")]
    Died(ExitStatus, String),
    /// It did not answer what there is in the end.
    #[error("the server was left alone and all was not over within {0:?}; its log: {1}")]
    Hangs(Duration, String),
    /// Somebody ended the drill.
    #[error("the drill was interrupted, and its server ended with it")]
    Interrupted,
    /// A signal could not be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    /// The connection failed where it must not.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No address.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

/// What a drill found.
#[derive(Debug, Clone, Serialize)]
pub struct CrashReport {
    /// Kills.
    pub kills: usize,
    /// Requests that were answered, by kind of answer.
    pub answers: BTreeMap<&'static str, u64>,
    /// Events that were read back.
    pub events: usize,
    /// Events that live subscribers were sent, over all restarts.
    pub delivered: usize,
    /// The longest time from a start to being ready.
    pub ready_ms_max: u64,
    /// What each limit admitted, over all restarts.
    pub limits: Vec<Measured>,
    /// What became of the jobs of each queue.
    pub queues: Vec<DrilledQueue>,
    /// What became of conversations.
    pub chat: DrilledChat,
    /// What became of feeds.
    pub feeds: DrilledFeeds,
    /// The most memory that the server had resident in its last life, in MiB; none if the system does
    /// not say.
    pub memory_mib: Option<u64>,
    /// What was broken.
    pub violations: Vec<Violation>,
    /// What could not be judged.
    pub undecided: Vec<String>,
}

impl CrashReport {
    /// Whether everything was judged and nothing was broken.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.violations.is_empty() && self.undecided.is_empty()
    }
}

impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "killed {} times; ready again within {} ms", self.kills, self.ready_ms_max)?;
        let total: u64 = self.answers.values().sum();
        let kinds: Vec<String> =
            self.answers.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(f, "{total} requests: {}", kinds.join(", "))?;
        writeln!(
            f,
            "{} events read back; {} delivered to subscribers that resumed",
            self.events, self.delivered
        )?;
        for limit in &self.limits {
            writeln!(f, "{limit}")?;
        }
        for queue in &self.queues {
            writeln!(f, "{queue}")?;
        }
        writeln!(f, "{}", self.chat)?;
        writeln!(f, "{}", self.feeds)?;
        if let Some(mib) = self.memory_mib {
            writeln!(f, "at most {mib} MiB of memory were resident; {MEMORY_MIB_MAX} may be")?;
        }
        for resource in &self.undecided {
            writeln!(f, "UNDECIDED  {resource}")?;
        }
        for violation in &self.violations {
            writeln!(f, "BROKEN  {violation}")?;
        }
        if self.is_valid() {
            write!(
                f,
                "valid: nothing acknowledged was lost, nothing sold twice, no key had two effects, \
                 no hold was resolved twice, every subscriber saw each event once, no limit \
                 admitted more than it says, no job was lost or had by two workers at once, no \
                 stale lease changed anything, no message was lost or there twice, everybody read \
                 the same conversations and missed nothing on resuming, who was removed heard no \
                 more, inboxes were exact, no post was lost or there twice, timelines were what asking \
                 every author gives and as fresh as they said, whoever follows one was sent all of \
                 it once, answers came in time, memory was bounded"
            )?;
        }
        Ok(())
    }
}

/// What all clients write down together.
pub(crate) struct Recorder {
    pub(crate) history: Mutex<History>,
    pub(crate) stop: AtomicBool,
}

impl Recorder {
    pub(crate) fn call(&self, client: u64, resource: &str, key: &str, request: Request) -> usize {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        // A read has nothing to remember, so it carries no key.
        let key = (request != Request::Read).then_some(key);
        history.call(client, resource, key, request)
    }

    pub(crate) fn returns(&self, operation: usize, outcome: Outcome) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.returns(operation, outcome);
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Kills and restarts the binary under load, then judges. `progress` hears of every cycle. However it ends,
/// its server ends too, unless this process is killed.
pub async fn run(
    options: &CrashOptions,
    mut progress: impl FnMut(u32),
) -> Result<CrashReport, CrashError> {
    check(options)?;
    let drill = async {
        let mut server = Server::keyed(&options.binary, &options.data)?;
        let ready_ms = server.start().await?;
        let &CrashOptions { cycles: rounds, clients, seed, .. } = options;
        let plan = Plan { rounds, kills_after: 0..rounds, clients, seed };
        let Staged { mut report, .. } = stage(&mut server, &plan, &mut progress).await?;
        server.kill().await?;
        report.ready_ms_max = report.ready_ms_max.max(ready_ms);
        Ok(report)
    };
    unless_interrupted(drill).await
}

async fn unless_interrupted<T>(
    drill: impl Future<Output = Result<T, CrashError>>,
) -> Result<T, CrashError> {
    let mut interrupted = signal(SignalKind::interrupt()).map_err(CrashError::Signals)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(CrashError::Signals)?;
    tokio::select! {
        drilled = drill => drilled,
        _ = interrupted.recv() => Err(CrashError::Interrupted),
        _ = terminated.recv() => Err(CrashError::Interrupted),
    }
}

/// What happens in a stage of a drill.
struct Plan {
    /// Times of 100 to 500 ms.
    rounds: u32,
    /// The rounds after which the server is killed.
    kills_after: Range<u32>,
    clients: usize,
    seed: u64,
}

/// What a stage found, and what was there of resources in its end.
struct Staged {
    report: CrashReport,
    observed: Observed,
}

/// Has clients use a server as whoever it knows them, kills it now and then, and judges. It goes on in the end.
async fn stage(
    server: &mut Server,
    plan: &Plan,
    progress: &mut impl FnMut(u32),
) -> Result<Staged, CrashError> {
    let inventory = inventory(plan.rounds);
    let mut ready_ms_max = 0;
    let endpoint = server.endpoint().await?;
    workload::create(&endpoint, &inventory).await?;
    limits::create(&endpoint).await?;
    let recorder = Arc::new(Recorder {
        history: Mutex::new(History::new(inventory.clone())),
        stop: AtomicBool::new(false),
    });
    let names: Vec<String> = inventory.iter().map(|(name, _)| name.clone()).collect();
    let round_now = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let mut clients: Vec<_> = (0..plan.clients as u64)
        .map(|id| {
            let client = workload::Worker::new(id, plan.seed, endpoint.clone(), &recorder);
            tokio::spawn(client.run(inventory.clone(), Arc::clone(&round_now)))
        })
        .collect();
    let told = Arc::new(limits::Told::new());
    let limit_clients = (0..limits::CLIENTS).map(|id| {
        let client = limits::Worker::new(id, plan.seed, endpoint.clone(), &recorder, &told);
        tokio::spawn(client.run(Arc::clone(&round_now)))
    });
    clients.extend(limit_clients);
    let subscribers: Vec<_> = names
        .iter()
        .map(|name| {
            let follow = observe::subscribe(endpoint.clone(), name.clone(), Arc::clone(&recorder));
            (name.clone(), tokio::spawn(follow))
        })
        .collect();
    let jobs = jobs::Jobs::begin(server, plan.seed).await?;
    let chat = chat::Chat::begin(server, plan.seed).await?;
    let feeds = feed::Feeds::begin(server, plan.seed).await?;
    let mut rng = Rng::with_seed(plan.seed);
    for round in 0..plan.rounds {
        round_now.store(round, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(rng.u64(100..500))).await;
        if plan.kills_after.contains(&round) {
            server.kill().await?;
            ready_ms_max = ready_ms_max.max(server.start().await?);
        }
        progress(round + 1);
    }
    let ends = async {
        within(USED_UP_WITHIN, || told.unused().is_empty()).await;
        recorder.stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.map_err(|error| CrashError::Answer(error.to_string()))?;
        }
        let (jobs, chat, feeds) = tokio::join!(jobs.end(), chat.end(), feeds.end());
        let observed = observe::read_back(&endpoint, subscribers).await?;
        Ok::<_, CrashError>(((jobs?, chat?, feeds?), observed))
    };
    let Ok(ended) = tokio::time::timeout(ENDS_WITHIN, ends).await else {
        return Err(CrashError::Hangs(ENDS_WITHIN, server.end_of_log()));
    };
    let ((told_of_jobs, told_of_chat, told_of_feeds), observed) = ended?;
    let memory_mib = server.memory_mib();
    let history = recorder.history.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let limited = checker::check_limits(&told.history());
    let drilled = Drilled {
        jobs: jobs::judge(&told_of_jobs),
        chat: chat::judge(told_of_chat),
        feeds: feed::judge(told_of_feeds),
        unused: told.unused(),
    };
    let life = Life { kills: plan.kills_after.len(), ready_ms_max, memory_mib };
    let report = report(&life, (&history, &observed), limited, drilled);
    Ok(Staged { report, observed })
}

/// Waits until something is so; answers whether it was in time.
async fn within(limit: Duration, is_so: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() > limit {
            return false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    true
}

/// What was seen of the process.
struct Life {
    kills: usize,
    ready_ms_max: u64,
    memory_mib: Option<u64>,
}

/// What was found, by subject.
struct Drilled {
    jobs: jobs::Drilled,
    chat: chat::Drilled,
    feeds: feed::Drilled,
    /// Limits that refused nothing.
    unused: Vec<&'static str>,
}

fn report(
    life: &Life,
    (history, observed): (&History, &Observed),
    limited: LimitReport,
    Drilled { jobs, chat, feeds, unused }: Drilled,
) -> CrashReport {
    let mut judged = checker::check(history, Some(observed), STEPS_MAX_DEFAULT);
    let mut answers = BTreeMap::new();
    for operation in &history.operations {
        let kind = match &operation.returned {
            Some((_, Outcome::Ok { replayed: true, .. })) => "replayed",
            Some((_, Outcome::Ok { .. })) => "carried out",
            Some((_, Outcome::Refused { .. })) => "refused",
            Some((_, Outcome::TurnedAway(_))) => "turned away",
            Some((_, Outcome::Unknown)) | None => "unanswered",
        };
        *answers.entry(kind).or_default() += 1;
    }
    judged.violations.extend(limited.violations);
    judged.violations.extend(jobs.violations);
    judged.violations.extend(chat.violations);
    judged.violations.extend(feeds.violations);
    judged.violations.extend(life.memory_mib.and_then(too_much));
    judged.undecided.extend(jobs.undecided);
    judged.undecided.extend(chat.undecided);
    judged.undecided.extend(feeds.undecided);
    judged
        .undecided
        .extend(unused.iter().map(|name| format!("limit {name} had nothing to refuse")));
    CrashReport {
        kills: life.kills,
        answers,
        events: observed.events.len(),
        delivered: observed.subscriptions.iter().map(|one| one.received.len()).sum(),
        ready_ms_max: life.ready_ms_max,
        limits: limited.measured,
        queues: jobs.queues,
        chat: chat.chat,
        feeds: feeds.feeds,
        memory_mib: life.memory_mib,
        violations: judged.violations,
        undecided: judged.undecided,
    }
}

fn too_much(mib: u64) -> Option<Violation> {
    (mib > MEMORY_MIB_MAX).then(|| Violation {
        invariant: "I14",
        promise: format!("memory stays below {MEMORY_MIB_MAX} MiB, but {mib} MiB were resident."),
        whom: "everybody who shares the machine".to_owned(),
        events: Vec::new(),
    })
}

fn check(options: &CrashOptions) -> Result<(), CrashError> {
    if options.cycles == 0 || options.cycles > CYCLES_MAX {
        return Err(CrashError::Options(format!("cycles must be 1 to {CYCLES_MAX}")));
    }
    if options.clients == 0 || options.clients > CLIENTS_MAX {
        return Err(CrashError::Options(format!("clients must be 1 to {CLIENTS_MAX}")));
    }
    Ok(())
}

/// A resource of each kind for every few rounds, so that no history grows beyond judging.
pub(crate) fn inventory(rounds: u32) -> Vec<(String, Capacity)> {
    let seats: BTreeSet<String> = (1..=12).map(|number| format!("A{number}")).collect();
    (0..=rounds / workload::ROUNDS_A_RESOURCE)
        .flat_map(|generation| {
            [
                (format!("gig-{generation}"), Capacity::Quantity(20)),
                (format!("hall-{generation}"), Capacity::Seats(seats.clone())),
                (format!("lock-{generation}"), Capacity::Quantity(1)),
            ]
        })
        .collect()
}
