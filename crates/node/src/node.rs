//! The node: opens everything, routes requests to owners, ends cleanly.

use crate::{
    CallOptions, Called, Clock, MetaView, NodeError, NodeOptions, NodeStats, OpenError,
    ReadOptions, SessionToken, Tenant,
    appends::Appends,
    maintenance::{Budget, Flusher, snapshot},
    meta::MetaCell,
    host::{Host, Letter},
    owner::{Message, Owner, ReadTicket},
    recovery,
    stats::{Counters, Gauges},
};
use evenkeel_contract::Level;
use evenkeel_domains::{Command, Domains, Found, Query, Reply, Scope, reservations, route};
use evenkeel_engine::{
    Entity, Failure, Idempotency, Options, Partition, Priority, Request, TenantId, Time,
};
use evenkeel_log::{Incarnation, LocalLog, Log, PartitionId};
use evenkeel_state::{State, Store};
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

/// Messages that may be on their way to a host. Those that wait to be decided are in the engine's
/// mailboxes, which are the bound that callers meet.
const CHANNEL_MAX: usize = 8_192;
/// How often the log's growth is looked at.
const MAINTENANCE_EVERY: Duration = Duration::from_secs(5);

/// A node. Clones are the same node.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    log: Arc<LocalLog>,
    clock: Clock,
    meta: MetaCell,
    /// The data partitions, in order: what routing counts.
    partitions: u16,
    incarnation: Incarnation,
    owners: HashMap<PartitionId, Handle>,
    counters: Arc<Counters>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

struct Handle {
    mailbag: Mailbag,
    gauges: Arc<Gauges>,
}

/// Carries messages to one partition.
#[derive(Clone)]
pub(crate) struct Mailbag {
    letters: mpsc::Sender<Letter>,
    slot: usize,
}

impl Mailbag {
    /// Waits for room. `Err`: the host has ended.
    pub(crate) async fn send(&self, message: Message) -> Result<(), ()> {
        self.letters.send((self.slot, message)).await.map_err(|_| ())
    }

    fn try_send(&self, message: Message) -> Result<(), NodeError> {
        self.letters.try_send((self.slot, message)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Failure::Overloaded.into(),
            mpsc::error::TrySendError::Closed(_) => not_served(),
        })
    }
}

impl Node {
    /// Opens, recovers and leads everything in `options.data`; answers once every partition that
    /// can be served is.
    pub async fn open(options: NodeOptions) -> Result<Self, OpenError> {
        let log = Arc::new(recovery::open_log(&options)?);
        let store = recovery::open_store(&options)?;
        let (last, incarnation) = newest(&log).await;
        let clock = Clock::start(last);
        let data = recovery::bootstrap(&log, &options, clock.now()).await?;
        let engine = Options { writer: draw_writer(), ..options.engine.clone() };
        let counters = Arc::new(Counters::default());
        let meta = MetaCell::new();
        let budget = Budget::new(
            store.clone(),
            Arc::clone(&counters),
            options.memtable_bytes,
            data.len() + 1,
        );
        let hosts = options.hosts.clamp(1, data.len() + 1);
        let mut handles = HashMap::new();
        let mut shares: Vec<Vec<Owner<LocalLog>>> = (0..hosts).map(|_| Vec::new()).collect();
        let (bags, inboxes): (Vec<_>, Vec<_>) =
            (0..hosts).map(|_| mpsc::channel(CHANNEL_MAX)).unzip();
        for (index, id) in data.iter().copied().chain([PartitionId::META]).enumerate() {
            let state = State::open(&store, id).map_err(|e| OpenError::State(e.to_string()))?;
            let gauges = Arc::new(Gauges::default());
            let share = &mut shares[index % hosts];
            let mailbag = Mailbag { letters: bags[index % hosts].clone(), slot: share.len() };
            handles.insert(id, Handle { mailbag, gauges: Arc::clone(&gauges) });
            share.push(Owner {
                partition: Partition::new(id, Domains, engine.clone(), state),
                log: Arc::clone(&log),
                clock,
                flusher: Flusher::new(Arc::clone(&budget)),
                gauges,
                meta: (id == PartitionId::META).then(|| meta.clone()),
                appends: Appends::default(),
                watchers: HashMap::new(),
                flush_waiters: Vec::new(),
                stopping: None,
                ended: false,
                touched: true,
            });
        }
        let mut tasks = Vec::new();
        let mut ready = Vec::new();
        for (owners, letters) in shares.into_iter().zip(inboxes) {
            let (leads, waits) = oneshot::channel();
            tasks.push(tokio::spawn(Host { owners, letters, clock }.run(leads)));
            ready.push(waits);
        }
        for waits in ready {
            // A partition that cannot be served is quarantined; it keeps none of the others.
            let _ = waits.await;
        }
        let partitions = u16::try_from(data.len()).expect("a partition's number has 16 bits");
        let node = Self(Arc::new(Inner {
            log,
            clock,
            meta,
            partitions,
            incarnation: incarnation.max(Incarnation(1)),
            owners: handles,
            counters,
            tasks: Mutex::new(tasks),
        }));
        node.spawn_maintenance(store, options);
        Ok(node)
    }

    /// Carries `command` to its partition and back.
    pub async fn command(
        &self,
        tenant: &Tenant,
        command: Command,
        options: CallOptions,
    ) -> Result<Called<Reply>, NodeError> {
        self.check_session(&options.session)?;
        let meta = self.meta();
        let path = command.path();
        let contract = meta.registry.get(path).expect("every command has a declared path");
        let settings = contract.settings;
        let id = self.partition_of(tenant, command.scope());
        let deadline = deadline_ms(options.deadline, settings.deadline_ms);
        let window = settings.idempotency_window_s.zip(evenkeel_domains::path_number(path));
        let idempotency = options.idempotency_key.zip(window).map(|(key, (window_s, number))| {
            idempotency(number, window_s * 1_000, &key, &command)
        });
        let (ticket, answer) = oneshot::channel();
        let request = Request {
            ticket,
            tenant: tenant.id,
            priority: options.priority.unwrap_or(match settings.priority {
                evenkeel_contract::Priority::Critical => Priority::Critical,
                evenkeel_contract::Priority::Default => Priority::Default,
                evenkeel_contract::Priority::Sheddable => Priority::Sheddable,
            }),
            deadline: Some(self.now().plus_ms(deadline)),
            idempotency,
            command,
        };
        self.send(id, Message::Command(request))?;
        let answer = answer.await.map_err(|_| Failure::OutcomeUnknown)?;
        Ok(Called {
            answer: answer.outcome?,
            replayed: answer.delivered.replayed,
            as_of: vec![self.token(id, answer.delivered.offset)],
            staleness_ms: 0,
            at: answer.delivered.at,
        })
    }

    /// Answers `query` from the partition or partitions that it concerns.
    pub async fn query(
        &self,
        tenant: &Tenant,
        query: Query,
        options: ReadOptions,
    ) -> Result<Called<Found>, NodeError> {
        self.check_session(&options.session)?;
        let meta = self.meta();
        let contract = meta.registry.get(query.path()).expect("every query has a declared path");
        let level = options.level.or(contract.settings.consistency).unwrap_or(Level::Linearizable);
        let deadline = deadline_ms(options.deadline, contract.settings.deadline_ms);
        let read = async {
            match query.scope() {
                Scope::All => self.list(tenant, query, level).await,
                scope => {
                    let id = self.partition_of(tenant, scope);
                    self.read(id, tenant.id, query, level).await
                }
            }
        };
        match tokio::time::timeout(Duration::from_millis(deadline), read).await {
            Ok(result) => result,
            Err(_) => Err(Failure::DeadlineExceeded.into()),
        }
    }

    /// Changes whenever the stream of `entity`, which belongs to `key`, grows. `None` if its
    /// partition is not served.
    pub async fn watch(
        &self,
        tenant: &Tenant,
        domain: &'static str,
        key: &str,
        entity: Entity,
    ) -> Option<watch::Receiver<()>> {
        let id = self.partition_of(tenant, Scope::Key { domain, key });
        let (reply, receiver) = oneshot::channel();
        self.0.owners.get(&id)?.mailbag.send(Message::Watch { entity, reply }).await.ok()?;
        receiver.await.ok()
    }

    /// Tenants, keys and contracts, as they are now.
    #[must_use]
    pub fn meta(&self) -> Arc<MetaView> {
        self.0.meta.get()
    }

    /// The tenant of this name.
    pub fn tenant(&self, name: &str) -> Result<Tenant, NodeError> {
        let id = *self.meta().meta.tenants.get(name).ok_or(NodeError::NoTenant)?;
        Ok(Tenant { id, name: name.into() })
    }

    /// Record time now.
    #[must_use]
    pub fn now(&self) -> Time {
        self.0.clock.now()
    }

    /// How the node is.
    #[must_use]
    pub fn stats(&self) -> NodeStats {
        let mut partitions: Vec<_> =
            self.0.owners.iter().map(|(id, owner)| owner.gauges.snapshot(*id)).collect();
        partitions.sort_by_key(|partition| partition.partition);
        let counters = &self.0.counters;
        NodeStats {
            partitions,
            log: self.0.log.stats(),
            flushes: counters.flushes.load(Ordering::Relaxed),
            snapshots: counters.snapshots.load(Ordering::Relaxed),
            store_error: counters
                .store_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    /// Completes, with the reason, once the log has failed for good: the process must then end.
    pub async fn failed(&self) -> String {
        self.0.log.failed().await
    }

    /// Decides what waits, flushes everything, and closes the log.
    pub async fn shutdown(&self) {
        let mut waits = Vec::new();
        for owner in self.0.owners.values() {
            let (done, ended) = oneshot::channel();
            if owner.mailbag.send(Message::Stop { done }).await.is_ok() {
                waits.push(ended);
            }
        }
        for ended in waits {
            let _ = ended.await;
        }
        let tasks = std::mem::take(
            &mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner),
        );
        for task in tasks {
            task.abort();
            let _ = task.await;
        }
        let log = Arc::clone(&self.0.log);
        let _ = tokio::task::spawn_blocking(move || log.close()).await;
    }

    fn send(&self, id: PartitionId, message: Message) -> Result<(), NodeError> {
        self.0.owners.get(&id).ok_or_else(not_served)?.mailbag.try_send(message)
    }

    async fn read(
        &self,
        id: PartitionId,
        tenant: TenantId,
        query: Query,
        level: Level,
    ) -> Result<Called<Found>, NodeError> {
        let (reply, answer) = oneshot::channel();
        let linearizable = level == Level::Linearizable;
        let ticket = ReadTicket { tenant, query, reply };
        self.send(id, Message::Read { ticket, linearizable })?;
        let (answer, delivered) = answer.await.map_err(|_| not_served())??;
        Ok(Called {
            answer,
            replayed: false,
            as_of: vec![self.token(id, delivered.offset)],
            staleness_ms: 0,
            at: delivered.at,
        })
    }

    /// Lists over all partitions, one after the other: the cursor names the last one looked at.
    async fn list(
        &self,
        tenant: &Tenant,
        query: Query,
        level: Level,
    ) -> Result<Called<Found>, NodeError> {
        let Query::Reservations(reservations::Query::Resources { after, limit }) = query else {
            unreachable!("only the list of resources concerns every partition")
        };
        let mut items = Vec::new();
        let mut as_of = Vec::new();
        let mut at = self.now();
        let (first, mut after) = match after.as_deref().map(parse_cursor) {
            None => (0, None),
            Some(Some((partition, name))) => (partition, Some(name)),
            Some(None) => (self.0.partitions, None),
        };
        for partition in first..self.0.partitions {
            let id = PartitionId(partition);
            let query = Query::Reservations(reservations::Query::Resources {
                after: after.take(),
                limit: limit - items.len(),
            });
            let page = self.read(id, tenant.id, query, level).await?;
            as_of.extend(page.as_of);
            at = page.at;
            let Found::Reservations(reservations::Found::Resources(found, next)) = page.answer
            else {
                unreachable!("a list is answered by a list")
            };
            items.extend(found);
            let next = next.map(|name| format!("{partition}:{name}"));
            let more = partition + 1 < self.0.partitions;
            if next.is_some() || (items.len() == limit && more) {
                let next = next.or_else(|| Some(format!("{}:", partition + 1)));
                let found = reservations::Found::Resources(items, next);
                return Ok(Called {
                    answer: Found::Reservations(found),
                    replayed: false,
                    as_of,
                    staleness_ms: 0,
                    at,
                });
            }
        }
        let found = Found::Reservations(reservations::Found::Resources(items, None));
        Ok(Called { answer: found, replayed: false, as_of, staleness_ms: 0, at })
    }

    fn partition_of(&self, tenant: &Tenant, scope: Scope<'_>) -> PartitionId {
        match scope {
            Scope::Key { domain, key } => route(domain, &tenant.name, key, self.0.partitions),
            Scope::Meta | Scope::All => PartitionId::META,
        }
    }

    /// The owner has applied everything that any token of this incarnation can name.
    fn check_session(&self, tokens: &[SessionToken]) -> Result<(), NodeError> {
        let known = tokens.iter().all(|token| token.incarnation == self.0.incarnation);
        if known { Ok(()) } else { Err(NodeError::SessionReset) }
    }

    fn token(&self, partition: PartitionId, offset: evenkeel_log::Offset) -> SessionToken {
        SessionToken { partition, incarnation: self.0.incarnation, offset }
    }

    fn spawn_maintenance(&self, store: Store, options: NodeOptions) {
        let log = Arc::clone(&self.0.log);
        let counters = Arc::clone(&self.0.counters);
        let owners: Vec<_> = self.0.owners.values().map(|owner| owner.mailbag.clone()).collect();
        let directory = options.data.join(recovery::SNAPSHOT_DIRECTORY);
        let task = tokio::spawn(async move {
            let mut written = 0;
            loop {
                tokio::time::sleep(MAINTENANCE_EVERY).await;
                let bytes = log.stats().bytes;
                if bytes - written < options.snapshot_every_bytes {
                    continue;
                }
                let result = snapshot(&*log, &store, directory.clone(), &owners).await;
                match &result {
                    Ok(()) => {
                        written = bytes;
                        counters.snapshots.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => tracing::error!(error, "no snapshot; trying again"),
                }
                counters.store_result(result);
            }
        });
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }
}

/// The newest record's time and incarnation, over all partitions.
async fn newest(log: &LocalLog) -> (Time, Incarnation) {
    let mut newest = (Time(0), Incarnation(0));
    for id in log.partitions() {
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

/// What a caller asks for, at most what the contract gives.
fn deadline_ms(asked: Option<Duration>, contract_ms: u64) -> u64 {
    asked.map_or(contract_ms, |asked| {
        u64::try_from(asked.as_millis()).unwrap_or(u64::MAX).min(contract_ms)
    })
}

fn idempotency(path: u8, window_ms: u64, key: &str, command: &Command) -> Idempotency {
    let scope = match command.scope() {
        Scope::Key { key, .. } => key,
        Scope::Meta | Scope::All => "",
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(scope.as_bytes()).update(&[0]).update(key.as_bytes());
    let bytes = postcard::to_stdvec(command).expect("a command is plain data: it encodes");
    Idempotency {
        path,
        key: evenkeel_log::Hash::from(hasher.finalize()).0,
        fingerprint: evenkeel_log::Hash::of(&bytes).0,
        window_ms,
    }
}

fn parse_cursor(cursor: &str) -> Option<(u16, String)> {
    let (partition, name) = cursor.split_once(':')?;
    Some((partition.parse().ok()?, name.to_owned()))
}

fn not_served() -> NodeError {
    Failure::Unavailable("the partition is not served by this node".into()).into()
}
