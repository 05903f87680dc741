//! The node: routes requests to owners, says how they are, ends cleanly. How it is opened is in
//! `open`.

use crate::{
    CallOptions, Called, Clock, MetaView, NodeError, NodeStats, ReadOptions, SessionToken, Tenant,
    archive::Archive,
    call::{deadline_ms, priority},
    following::Forward,
    host::Mailbag,
    jobs::ReadyMap,
    limits::{Leases, Underway},
    meta::MetaCell,
    owner::{Message, OnChange},
    stats::{Counters, Gauges},
    ticket::{CommandTicket, Gather, ReadTicket},
};
use evenkeel_contract::{Level, Settings};
use evenkeel_domains::{Command, Domains, Found, Query, Reply, Scope, route, user_partition};
use evenkeel_engine::{Answer, Entity, Failure, Idempotency, Priority, Request, TenantId, Time};
use evenkeel_log::{Files, Hash, Incarnation, LocalLog, Offset, PartitionId, RealFiles};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

/// How long after its deadline a command is given up on, if nothing was heard of it.
const GRACE: Duration = Duration::from_millis(100);

/// A node, over the log's files as the operating system has them or as a test makes them. Clones
/// are the same node.
pub struct Node<F: Files = RealFiles>(pub(crate) Arc<Inner<F>>);

impl<F: Files> Clone for Node<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

pub(crate) struct Inner<F: Files> {
    pub(crate) log: Arc<LocalLog<F>>,
    pub(crate) clock: Clock,
    pub(crate) meta: MetaCell,
    /// The data partitions, in order: what routing counts.
    pub(crate) partitions: u16,
    pub(crate) incarnation: Incarnation,
    pub(crate) owners: HashMap<PartitionId, Handle>,
    pub(crate) leases: Leases,
    /// Where jobs are ready, and who waits for some.
    pub(crate) ready: ReadyMap,
    pub(crate) on_change: OnChange,
    pub(crate) forward: Forward,
    pub(crate) counters: Arc<Counters>,
    pub(crate) archive: Archive,
    /// Checks of limits over several partitions.
    pub(crate) underway: Arc<Underway>,
    pub(crate) shutdown_max: Duration,
    pub(crate) tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Why the log takes no more.
    pub(crate) log_failed: OnceLock<String>,
}

/// A command that is on its way.
pub(crate) struct Sent {
    partition: PartitionId,
    deadline: Duration,
}

pub(crate) struct Handle {
    pub(crate) mailbag: Mailbag,
    pub(crate) gauges: Arc<Gauges>,
}

impl<F: Files> Node<F> {
    /// Carries `command` to its partition and back.
    pub async fn command(
        &self,
        tenant: &Tenant,
        command: Command,
        options: CallOptions,
    ) -> Result<Called<Reply>, NodeError> {
        let partition = self.partition_of(tenant, command.scope());
        self.command_at(partition, tenant, command, options).await
    }

    /// The same, of a command whose partition is known.
    pub(crate) async fn command_at(
        &self,
        partition: PartitionId,
        tenant: &Tenant,
        command: Command,
        options: CallOptions,
    ) -> Result<Called<Reply>, NodeError> {
        debug_assert_eq!(partition, self.partition_of(tenant, command.scope()));
        self.check_session(&options.session)?;
        let (ticket, answer) = oneshot::channel();
        let sent = self.submit(partition, tenant, command, options, CommandTicket::One(ticket))?;
        // The engine answers at the deadline; should its host be stuck, this does.
        let answered = tokio::time::timeout(sent.deadline + GRACE, answer).await;
        self.called(sent.partition, answered.ok().and_then(Result::ok))
    }

    /// The same for many commands at once, each for itself: they come in this order to their
    /// partitions, and the caller is woken once. Answers in the same order.
    pub async fn commands(
        &self,
        tenant: &Tenant,
        commands: Vec<Command>,
        options: &CallOptions,
    ) -> Vec<Result<Called<Reply>, NodeError>> {
        let commands = commands
            .into_iter()
            .map(|command| (self.partition_of(tenant, command.scope()), command, options.clone()));
        self.commands_at(tenant, commands.collect()).await
    }

    /// The same for commands whose partitions are known already.
    pub(crate) async fn commands_at(
        &self,
        tenant: &Tenant,
        commands: Vec<(PartitionId, Command, CallOptions)>,
    ) -> Vec<Result<Called<Reply>, NodeError>> {
        let gather = Gather::new(commands.len());
        let mut longest = Duration::ZERO;
        let mut sent = Vec::with_capacity(commands.len());
        for (at, (partition, command, options)) in commands.into_iter().enumerate() {
            let ticket = gather.ticket(at);
            let known = self.check_session(&options.session);
            let one = known.and_then(|()| self.submit(partition, tenant, command, options, ticket));
            sent.push(one.map(|one| {
                longest = longest.max(one.deadline);
                one.partition
            }));
        }
        let answers = gather.answers(longest + GRACE).await;
        let answered = sent.into_iter().zip(answers);
        answered.map(|(partition, answer)| self.called(partition?, answer)).collect()
    }

    /// Sends `command` on its way. If that fails, `ticket` is dropped.
    pub(crate) fn submit(
        &self,
        partition: PartitionId,
        tenant: &Tenant,
        command: Command,
        options: CallOptions,
        ticket: CommandTicket,
    ) -> Result<Sent, NodeError> {
        if let Some(why) = self.0.log_failed.get() {
            return Err(Failure::Unavailable(why.clone()).into());
        }
        let path = command.path();
        let settings = self.settings(path);
        let deadline = deadline_ms(options.deadline, &settings);
        let window = settings.idempotency_window_s.zip(evenkeel_domains::path_number(path));
        let idempotency = options
            .idempotency_key
            .zip(window)
            .map(|(key, (window_s, number))| idempotency(number, window_s * 1_000, &key, &command));
        let request = Request {
            ticket,
            tenant: tenant.id,
            priority: priority(options.priority, &settings),
            deadline: Some(self.now().plus_ms(deadline)),
            idempotency,
            command,
        };
        self.send(partition, Message::Command(request))?;
        Ok(Sent { partition, deadline: Duration::from_millis(deadline) })
    }

    /// What a caller is told: nobody knows what became of a command without an answer.
    pub(crate) fn called(
        &self,
        partition: PartitionId,
        answer: Option<Answer<Domains>>,
    ) -> Result<Called<Reply>, NodeError> {
        let answer = answer.ok_or(Failure::OutcomeUnknown)?;
        let as_of = self.token(partition, answer.delivered.offset);
        Ok(Called {
            answer: answer.outcome.map_err(|failure| match failure {
                Failure::Refused(refusal) => NodeError::Refused { refusal, as_of },
                Failure::IdempotencyConflict => NodeError::IdempotencyConflict { as_of },
                failure => failure.into(),
            })?,
            replayed: answer.delivered.replayed,
            as_of: vec![as_of],
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
        let settings = self.settings(query.path());
        let (level, priority) = (options.level_by(&settings), options.priority_by(&settings));
        if level != Level::Eventual {
            self.check_session(&options.session)?;
        }
        let deadline = options.deadline_ms_by(&settings);
        let read = async {
            match query.scope() {
                Scope::All => self.list(tenant, query, level, priority).await,
                scope => {
                    let id = self.partition_of(tenant, scope);
                    self.read(id, tenant.id, query, level, priority).await
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
        scope: Scope<'_>,
        entity: Entity,
    ) -> Option<watch::Receiver<()>> {
        let id = self.partition_of(tenant, scope);
        let (reply, receiver) = oneshot::channel();
        self.0.owners.get(&id)?.mailbag.send(Message::Watch { entity, reply }).await.ok()?;
        receiver.await.ok()
    }

    /// Has `on_change` called with each view ([`evenkeel_domains::view_of`]) that has changed, and how far its
    /// partition's log was then: once what is read has the change in it, and before anybody is answered who
    /// waits for it. It is called by those who decide: it must be short. The first call counts.
    pub fn on_change(&self, on_change: impl Fn(Entity, Offset) + Send + Sync + 'static) {
        let _ = self.0.on_change.set(Box::new(on_change));
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

    /// Data partitions, which routing counts.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.0.partitions
    }

    /// Record time now.
    #[must_use]
    pub fn now(&self) -> Time {
        self.0.clock.now()
    }

    /// How the node is.
    #[must_use]
    pub fn stats(&self) -> NodeStats {
        let damaged: HashMap<_, _> = self.0.log.quarantined().into_iter().collect();
        let mut partitions: Vec<_> = self.0.owners.iter().collect();
        partitions.sort_by_key(|(id, _)| **id);
        let now = self.now();
        let partitions = partitions.into_iter().map(|(id, owner)| {
            let mut stats = owner.gauges.snapshot(*id, now);
            // Damage that was found since it was opened.
            stats.quarantined = stats.quarantined.or_else(|| damaged.get(id).cloned());
            stats
        });
        let counters = &self.0.counters;
        NodeStats {
            partitions: partitions.collect(),
            log: self.0.log.stats(),
            flushes: counters.flushes.load(Ordering::Relaxed),
            snapshots: counters.snapshots.load(Ordering::Relaxed),
            store_error: counters.last_store_error(),
            log_failed: self.0.log_failed.get().cloned(),
        }
    }

    /// The hash of each partition's committed state, with the offset it is of: two nodes whose
    /// offsets agree have the same. As costly as reading everything, and requests wait meanwhile.
    pub async fn state_hashes(&self) -> Result<Vec<(PartitionId, Offset, Hash)>, NodeError> {
        let mut hashes = Vec::new();
        for id in self.0.owners.keys() {
            let (reply, answer) = oneshot::channel();
            self.send(*id, Message::Hash { reply })?;
            let (offset, hash) = answer.await.map_err(|_| NodeError::not_served())??;
            hashes.push((*id, offset, hash));
        }
        hashes.sort_unstable_by_key(|(id, ..)| *id);
        Ok(hashes)
    }

    /// Flushes everything, writes a snapshot, and lets the log forget what the snapshot before it
    /// holds: what otherwise happens whenever the log has grown enough.
    pub async fn snapshot(&self) -> Result<(), String> {
        let owners: Vec<_> = self.0.owners.values().map(|owner| owner.mailbag.clone()).collect();
        let result = self.0.archive.snapshot(&*self.0.log, &owners).await;
        if result.is_ok() {
            self.0.counters.snapshots.fetch_add(1, Ordering::Relaxed);
        }
        self.0.counters.store_result(result.clone());
        result
    }

    /// Completes, with the reason, once the log has failed for good: the process must then end.
    pub async fn failed(&self) -> String {
        self.0.log.failed().await
    }

    /// Decides what waits, flushes everything, and closes the log. Answers whether all of that was
    /// done: after [`NodeOptions::shutdown_max`](crate::NodeOptions::shutdown_max), or once the
    /// log has failed, what is left is cut short. Nothing that was answered is lost by that, only
    /// the next start has more to read.
    pub async fn shutdown(&self) -> bool {
        let end = async {
            let drained = tokio::select! {
                () = self.drain() => true,
                // Nothing that waits can be finished any more.
                _ = self.failed() => false,
            };
            self.end_tasks();
            let log = Arc::clone(&self.0.log);
            let closed = tokio::task::spawn_blocking(move || log.close()).await;
            drained && closed.is_ok()
        };
        let ended = tokio::time::timeout(self.0.shutdown_max, end).await;
        self.end_tasks();
        if ended != Ok(true) {
            tracing::warn!("not everything was finished; the next start finds it in the log");
        }
        ended == Ok(true)
    }

    fn end_tasks(&self) {
        let tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().for_each(JoinHandle::abort);
    }

    async fn drain(&self) {
        // They still have something to ask of owners.
        self.0.underway.drain().await;
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
    }

    pub(crate) fn send(&self, id: PartitionId, message: Message) -> Result<(), NodeError> {
        let owner = self.0.owners.get(&id).ok_or_else(NodeError::not_served)?;
        if let Some(why) = owner.gauges.quarantined() {
            return Err(Failure::Unavailable(format!("partition {id} is not served: {why}")).into());
        }
        owner.mailbag.try_send(message)
    }

    pub(crate) async fn read(
        &self,
        id: PartitionId,
        tenant: TenantId,
        query: Query,
        level: Level,
        priority: Priority,
    ) -> Result<Called<Found>, NodeError> {
        let (reply, answer) = oneshot::channel();
        let linearizable = level == Level::Linearizable;
        let ticket = ReadTicket { tenant, priority, query, reply };
        let message = if linearizable { Message::ReadConfirmed } else { Message::Read };
        self.send(id, message(ticket))?;
        let (answer, delivered) = answer.await.map_err(|_| NodeError::not_served())??;
        Ok(Called {
            answer,
            replayed: false,
            as_of: vec![self.token(id, delivered.offset)],
            staleness_ms: 0,
            at: delivered.at,
        })
    }

    /// What is enforced now of a declared path.
    #[must_use]
    pub fn settings(&self, path: &str) -> Settings {
        self.meta().registry.get(path).expect("it is a declared path").settings
    }

    /// How long a caller of `path` waits who asks for `asked`.
    pub(crate) fn deadline_ms(&self, path: &str, asked: Option<Duration>) -> u64 {
        deadline_ms(asked, &self.settings(path))
    }

    pub(crate) fn partition_of(&self, tenant: &Tenant, scope: Scope<'_>) -> PartitionId {
        match scope {
            Scope::Key { domain, key } => route(domain, &tenant.name, key, self.0.partitions),
            Scope::Partition(number) => PartitionId(number % self.0.partitions),
            Scope::User(user) => user_partition(tenant.id, user, self.0.partitions),
            Scope::Meta | Scope::All => PartitionId::META,
        }
    }

    /// Whether `tokens` are of this log, whose owners have applied everything that one can name. One
    /// that names more, or a partition that there is not, is of another. Commands and queries ask
    /// this themselves; whoever answers from [`Self::meta`] must.
    pub fn check_session(&self, tokens: &[SessionToken]) -> Result<(), NodeError> {
        let known = tokens.iter().all(|token| {
            let owner = self.0.owners.get(&token.partition);
            token.incarnation == self.0.incarnation
                && owner.is_some_and(|owner| owner.gauges.may_have_shown(token.offset))
        });
        if known { Ok(()) } else { Err(NodeError::SessionReset) }
    }

    /// Whether a partition is in service, as far as is known.
    pub(crate) fn is_served(&self, partition: PartitionId) -> bool {
        let owner = self.0.owners.get(&partition);
        owner.is_some_and(|owner| owner.gauges.quarantined().is_none())
    }

    /// What a partition is known to have shown.
    pub(crate) fn shown(&self, partition: PartitionId) -> SessionToken {
        let owner = self.0.owners.get(&partition);
        let offset = owner.map_or(Offset(0), |owner| owner.gauges.offset());
        self.token(partition, offset)
    }

    fn token(&self, partition: PartitionId, offset: Offset) -> SessionToken {
        SessionToken { partition, incarnation: self.0.incarnation, offset }
    }
}

fn idempotency(path: u8, window_ms: u64, key: &str, command: &Command) -> Idempotency {
    let mut hasher = blake3::Hasher::new();
    // A command of limits has several partition keys, in any order, so that its first says nothing
    // of it: there a key stands for one command in each partition.
    if let Command::Jobs(command) = command {
        // Its partition is that of many queues.
        hasher.update(command.queue.as_bytes());
    } else if !matches!(command, Command::Limits(_))
        && let Scope::Key { key, .. } = command.scope()
    {
        for piece in key.pieces() {
            hasher.update(piece);
        }
    }
    hasher.update(&[0]).update(key.as_bytes());
    Idempotency {
        path,
        key: Hash::from(hasher.finalize()).0,
        fingerprint: Hash::of(&command.fingerprint_bytes()).0,
        window_ms,
    }
}
