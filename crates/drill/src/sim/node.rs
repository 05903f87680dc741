//! A simulated node: the real engine and store, driven by events instead of tokio.

use super::{limits::Lease, logs::SimLog, plan::inventory};
use crate::history::Capacity;
use evenkeel_domains::{
    Command, Domains, Found, Query,
    reservations::{self, Action, Spec},
};
use evenkeel_engine::{
    Delivered, Idempotency, Options, Partition, Priority, Request, Role, TenantId, Time,
};
use evenkeel_log::{Hash, PartitionId};
use evenkeel_state::{State, Store};

const WINDOW_MS: u64 = 24 * 3_600_000;

/// Names an attempt of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) client: usize,
    pub(super) operation: usize,
}

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    Nobody,
    Client(Ticket),
    /// The edge of a node, for tokens.
    Edge(Lease),
}

pub(super) type SimPartition = Partition<Domains, Asker, (Asker, Query)>;

/// One partition in a process of its own.
pub(super) struct SimNode {
    /// Which partition it may lead.
    pub(super) id: PartitionId,
    /// `None` while its process is down.
    pub(super) partition: Option<SimPartition>,
    /// Which life of the process this is: what an earlier one left under way is not for it.
    pub(super) life: u64,
    /// It tries to lead as soon as it has caught up.
    pub(super) wants_lead: bool,
    /// How far its wall clock is off.
    pub(super) wall_offset_ms: i64,
    number: u32,
    store: Store,
    options: Options,
    domains: Domains,
    /// The breakage `wall-clock-expiry`.
    wall_clock: bool,
}

impl SimNode {
    /// The `number`th process; it is of the partition `id`.
    pub(super) fn new(
        number: u32,
        id: PartitionId,
        (options, domains): (Options, Domains),
        wall_clock: bool,
    ) -> Self {
        Self {
            id,
            partition: None,
            life: 0,
            wants_lead: false,
            wall_offset_ms: 0,
            number,
            store: new_store(),
            options,
            domains,
            wall_clock,
        }
    }

    /// Starts the process, from what its store has.
    pub(super) fn start(&mut self) -> Result<(), String> {
        let state = State::open(&self.store, self.id).map_err(|error| error.to_string())?;
        let options = Options { writer: self.writer(), ..self.options.clone() };
        let partition = Partition::new(self.id, self.domains.clone(), options, state);
        self.partition = Some(partition);
        Ok(())
    }

    /// Each life of each node's process has its own.
    fn writer(&self) -> u32 {
        self.number + 16 * u32::try_from(self.life).unwrap_or(u32::MAX / 16)
    }

    /// Ends the process, as kill -9 does; `wipe` takes its store along.
    pub(super) fn kill(&mut self, wipe: bool) {
        self.partition = None;
        self.life += 1;
        if wipe {
            self.store = new_store();
        }
    }

    /// The clock that the engine is given at virtual time `now_ms`.
    pub(super) fn now(&self, now_ms: u64) -> Time {
        Time(if self.wall_clock { self.wall_ms(now_ms) } else { now_ms })
    }

    /// What its wall clock says at virtual time `now_ms`.
    pub(super) fn wall_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.wall_offset_ms)
    }

    pub(super) fn role(&self) -> Option<Role> {
        self.partition.as_ref().map(Partition::role)
    }

    /// A follower reads on; one that wants to lead, and has read everything, announces itself.
    pub(super) fn follow(&mut self, log: &SimLog, now_ms: u64) -> Result<(), String> {
        let now = self.now(now_ms);
        let Some(partition) = &mut self.partition else { return Ok(()) };
        if partition.role() != Role::Follower {
            return Ok(());
        }
        loop {
            let records = log.read(self.id, partition.tail().offset.next())?;
            if records.is_empty() {
                break;
            }
            for record in records {
                partition.follow(&record).map_err(|error| error.to_string())?;
            }
        }
        if log.tail(self.id) != partition.tail() {
            return Err(format!(
                "the log ends at offset {}, the state rests on offset {}",
                log.tail(self.id).offset,
                partition.tail().offset
            ));
        }
        if std::mem::take(&mut self.wants_lead) {
            partition.announce(now);
        }
        Ok(())
    }

    /// Flushes what was set aside. The store is as durable as a synced file.
    pub(super) fn flush(&mut self, frozen: &evenkeel_state::Frozen) {
        self.store.flush(frozen).expect("a store in memory takes a flush");
        if let Some(partition) = &mut self.partition {
            partition.flushed().expect("a store in memory has what was flushed");
        }
    }

    pub(super) fn query(&self, query: &Query, delivered: Delivered) -> Option<Found> {
        let partition = self.partition.as_ref()?;
        let (view, incarnation) = (partition.view(), partition.incarnation());
        evenkeel_domains::query(&view, delivered.at, incarnation, TenantId(0), query).ok()
    }
}

fn new_store() -> Store {
    Store::memory().expect("a store in memory opens")
}

/// The request that carries `command`.
pub(super) fn request(
    ticket: Asker,
    command: Command,
    key: Option<&str>,
    deadline: Time,
) -> Request<Domains, Asker> {
    let idempotency = key.map(|key| Idempotency {
        path: evenkeel_domains::path_number(command.path()).unwrap_or(u8::MAX),
        key: Hash::of(key.as_bytes()).0,
        fingerprint: Hash::of(format!("{command:?}").as_bytes()).0,
        window_ms: WINDOW_MS,
    });
    let priority = Priority::Default;
    Request {
        ticket,
        tenant: TenantId(0),
        priority,
        deadline: Some(deadline),
        idempotency,
        command,
    }
}

/// The commands that create the inventory.
pub(super) fn setup() -> Vec<Command> {
    let spec = |name: &str, capacity: Capacity| match capacity {
        Capacity::Quantity(_) if name == "lock" => Spec::Lock { protects: "the test".into() },
        Capacity::Quantity(quantity) => Spec::Quantity(quantity),
        Capacity::Seats(seats) => Spec::Seats(seats.into_iter().collect()),
    };
    inventory()
        .into_iter()
        .map(|(resource, capacity)| {
            let action = Action::Put(spec(&resource, capacity));
            Command::Reservations(reservations::Command { resource, action })
        })
        .collect()
}
