//! Opening a node: recovers the log and the store, then has hosts take every partition over.

use crate::{
    Clock, Node, NodeOptions, OpenError,
    archive::{self, Archive},
    flush::{Budget, Flusher},
    following::Forward,
    host::{Couriers, Host, Letter, Mailbag, Slot},
    jobs::ReadyMap,
    limits::{Leases, Underway},
    meta::MetaCell,
    node::{Handle, Inner},
    owner::{OnChange, Owner, Shared},
    recovery,
    replay::replay,
    stats::Counters,
};
use evenkeel_domains::Domains;
use evenkeel_engine::{Options, Partition, Time};
use evenkeel_log::{Files, Incarnation, LocalLog, LocalOptions, Log, PartitionId, Recovered};
use evenkeel_state::{State, Store};
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// Messages that may be on their way to a host. Those that wait to be decided are in the engine's
/// mailboxes, which are the bound that callers meet.
const CHANNEL_MAX: usize = 8_192;

impl Node {
    /// Opens, recovers and leads everything in `options.data`; answers once every partition that
    /// can be served is.
    pub async fn open(options: NodeOptions) -> Result<Self, OpenError> {
        let log = {
            let options = options.clone();
            blocking(move || recovery::open_log(&options)).await?
        };
        Self::over(log, None, options).await
    }
}

impl<F: Files> Node<F> {
    /// The same, with the log in `files` and the state in `store`, if it is given, and not in the
    /// directory. `identity` tells a new log from every other one.
    pub async fn open_over(
        files: Arc<F>,
        identity: [u8; 16],
        store: Option<Store>,
        options: NodeOptions,
    ) -> Result<Self, OpenError> {
        let local = LocalOptions {
            init: options.init,
            segment_bytes: options.segment_bytes,
            ..LocalOptions::default()
        };
        let log = blocking(move || {
            LocalLog::over(files, &local, identity)
                .map_err(|error| OpenError::Log(format!("the log does not open: {error}")))
        });
        let log = log.await?;
        Self::over(log, store, options).await
    }

    async fn over(
        (log, recovered): (LocalLog<F>, Recovered),
        store: Option<Store>,
        options: NodeOptions,
    ) -> Result<Self, OpenError> {
        recovery::report(&log, &recovered);
        let log = Arc::new(log);
        let store = {
            let options = options.clone();
            blocking(move || {
                let store = store.map_or_else(|| recovery::open_store(&options), Ok)?;
                recovery::restore_empty(&store, &options)?;
                Ok(store)
            })
            .await?
        };
        let state = |error: evenkeel_state::StateError| OpenError::State(error.to_string());
        let stored = store.partitions().map_err(state)?;
        let (mut last, mut incarnation) = newest(&*log, log.partitions()).await;
        for (_, applied) in &stored {
            last = last.max(Time(applied.time_ms));
            incarnation = incarnation.max(applied.incarnation);
        }
        let clock = Clock::start(last);
        let data = recovery::bootstrap(&log, &stored, &options, clock.now()).await?;
        let counters = Arc::new(Counters::default());
        let meta = MetaCell::new();
        let ready = ReadyMap::default();
        let on_change = OnChange::default();
        let forward = Forward::new(data);
        let shared = |couriers| Shared {
            log: Arc::clone(&log),
            clock,
            meta: meta.clone(),
            ready: ready.clone(),
            couriers,
            on_change: Arc::clone(&on_change),
            forward: forward.clone(),
        };
        let crew = Crew::new(&store, &options, &counters, data, shared)?;
        let (owners, tasks) = tokio::select! {
            started = crew.start(&log, clock) => started,
            why = log.failed() => return Err(OpenError::Log(why)),
        };
        let node = Self(Arc::new(Inner {
            on_change,
            forward,
            log,
            clock,
            meta,
            partitions: data,
            incarnation: incarnation.max(recovery::FIRST_INCARNATION),
            owners,
            leases: Leases::default(),
            ready,
            counters,
            archive: Archive::new(store, options.data.join(recovery::SNAPSHOT_DIRECTORY)),
            underway: Underway::new(options.across_max),
            shutdown_max: options.shutdown_max,
            tasks: Mutex::new(tasks),
            log_failed: OnceLock::new(),
        }));
        node.spawn_watches(&options, &recovered);
        node.tell_older_settings().await;
        Ok(node)
    }

    fn spawn_watches(&self, options: &NodeOptions, recovered: &Recovered) {
        // Between two snapshots the log holds what came after the older, so about this much of it
        // came after the newer.
        let grown_bytes = recovered.bytes.saturating_sub(options.snapshot_every_bytes);
        let keep = archive::keep(
            Arc::downgrade(&self.0),
            options.maintenance_every,
            options.snapshot_every_bytes,
            grown_bytes,
        );
        let (failed, node) = (self.0.log.failed(), Arc::downgrade(&self.0));
        let watch = async move {
            let why = failed.await;
            if let Some(inner) = node.upgrade() {
                let _ = inner.log_failed.set(why);
            }
        };
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.push(tokio::spawn(keep));
        tasks.push(tokio::spawn(watch));
    }
}

/// The owners, shared out among hosts.
struct Crew<F: Files> {
    handles: HashMap<PartitionId, Handle>,
    owners: Vec<Owner<LocalLog<F>>>,
    inboxes: Vec<mpsc::Receiver<Letter>>,
}

impl<F: Files> Crew<F> {
    fn new(
        store: &Store,
        options: &NodeOptions,
        counters: &Arc<Counters>,
        data: u16,
        shared: impl FnOnce(Couriers) -> Shared<LocalLog<F>>,
    ) -> Result<Self, OpenError> {
        let engine = Options { writer: draw_writer(), ..options.engine.clone() };
        let domains = Domains { partitions: data, ..Domains::default() };
        let ids = || (0..data).map(PartitionId).chain([PartitionId::META]);
        let count = usize::from(data) + 1;
        let budget =
            Budget::new(store.clone(), Arc::clone(counters), options.memtable_bytes, count);
        let (bags, inboxes): (Vec<_>, Vec<_>) =
            (0..options.hosts.clamp(1, count)).map(|_| mpsc::channel(CHANNEL_MAX)).unzip();
        let mailbags = ids().enumerate().map(|(index, id)| {
            let letters = bags[index % bags.len()].clone();
            (id, Mailbag { letters, slot: index / bags.len() })
        });
        let mailbags: Vec<(PartitionId, Mailbag)> = mailbags.collect();
        let shared = shared(Couriers::new(mailbags.iter().map(|(id, mailbag)| (*id, mailbag))));
        let mut owners = Vec::new();
        let mut handles = HashMap::new();
        for (id, mailbag) in mailbags {
            let state = State::open(store, id).map_err(|e| OpenError::State(e.to_string()))?;
            let state = state.keeping(options.memo_bytes / count);
            let owner = Owner::new(
                Partition::new(id, domains.clone(), engine.clone(), state),
                &shared,
                Flusher::new(Arc::clone(&budget)),
            );
            handles.insert(id, Handle { mailbag, gauges: Arc::clone(&owner.gauges) });
            owners.push(owner);
        }
        Ok(Self { handles, owners, inboxes })
    }

    /// Takes every partition over; answers once each is led or known not to be served.
    async fn start(
        self,
        log: &LocalLog<F>,
        clock: Clock,
    ) -> (HashMap<PartitionId, Handle>, Vec<JoinHandle<()>>) {
        let mut tasks = Vec::new();
        let mut waits = Vec::new();
        let count = self.inboxes.len();
        let mut shares: Vec<_> =
            self.inboxes.into_iter().map(|inbox| (Vec::new(), inbox)).collect();
        let mut owners = replay(log, self.owners).await;
        // What time does to data, it does by what meta says.
        for owner in &mut owners {
            owner.read_meta_ahead().await;
        }
        for (index, owner) in owners.into_iter().enumerate() {
            shares[index % count].0.push(Slot::new(owner));
        }
        for (slots, letters) in shares {
            let (ready, wait) = oneshot::channel();
            tasks.push(tokio::spawn(Host { slots, letters, clock }.run(ready)));
            waits.push(wait);
        }
        for wait in waits {
            // A host that ended is out of service; it keeps none of the others.
            let _ = wait.await;
        }
        (self.handles, tasks)
    }
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(OpenError::State(error.to_string())))
}

/// The newest record's time and incarnation, over all partitions.
async fn newest<L: Log>(log: &L, ids: Vec<PartitionId>) -> (Time, Incarnation) {
    let mut newest = (Time(0), Incarnation(0));
    for id in ids {
        let Ok(tail) = log.tail(id).await else { continue };
        let Ok(records) = log.read(id, tail.offset, 1).await else { continue };
        if let Some(record) = records.first() {
            newest.0 = newest.0.max(Time(record.header().time_ms));
            newest.1 = newest.1.max(record.header().incarnation);
        }
    }
    newest
}

/// A number that no other process is likely to draw.
fn draw_writer() -> u32 {
    let drawn = RandomState::new().build_hasher().finish();
    u32::try_from(drawn >> 32).expect("shifted to 32 bits")
}
