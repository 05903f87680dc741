//! One owner, a log and what is on its way between them: a test says what becomes of each append.

use crate::toy::{Command, No, Toy};
use evenkeel_engine::{
    Answer, Delivered, Delivery, Failure, Idempotency, Mark, Options, Outcome, Output, Partition,
    Priority, Request, TenantId, Time,
};
use evenkeel_log::{Epoch, Header, Incarnation, Kind, PartitionId, Record, Tail};
use evenkeel_state::{State, Store, Table};
use std::collections::BTreeMap;

pub(crate) const ID: PartitionId = PartitionId(5);
pub(crate) const START: Time = Time(1_000);

/// An append that was submitted.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    pub(crate) id: u64,
    pub(crate) record: Record,
}

pub(crate) struct World {
    pub(crate) owner: Partition<Toy, u64, u64>,
    pub(crate) store: Store,
    pub(crate) log: Vec<Record>,
    /// Submitted, without an answer yet.
    pub(crate) pending: Vec<Submission>,
    pub(crate) answers: BTreeMap<u64, Answer<Toy>>,
    pub(crate) reads: BTreeMap<u64, Delivered>,
    pub(crate) stepped_down: bool,
    /// Deliveries that nobody carries unless a test does.
    pub(crate) sent: Vec<(PartitionId, Delivery)>,
    pub(crate) acknowledged: Vec<(PartitionId, Mark)>,
    pub(crate) now: Time,
    tickets: u64,
}

impl World {
    /// An owner whose `Announce` is in the log.
    pub(crate) fn new(options: Options) -> Self {
        let genesis = Partition::<Toy, u64, u64>::genesis(ID, Incarnation(1), START);
        Self::leading(vec![genesis], options)
    }

    /// An owner that takes over after `log`.
    pub(crate) fn following(log: Vec<Record>) -> Self {
        Self::leading(log, Options::default())
    }

    /// The same, with options of its own.
    pub(crate) fn leading(log: Vec<Record>, options: Options) -> Self {
        let store = Store::memory().unwrap();
        let state = State::open(&store, ID).unwrap();
        let mut world = Self {
            owner: Partition::new(ID, Toy, options, state),
            store,
            log,
            pending: Vec::new(),
            answers: BTreeMap::new(),
            reads: BTreeMap::new(),
            stepped_down: false,
            sent: Vec::new(),
            acknowledged: Vec::new(),
            now: START,
            tickets: 0,
        };
        world.log.iter().for_each(|record| world.owner.follow(record).unwrap());
        world.owner.announce(START);
        world.collect();
        world.land_all();
        world
    }

    pub(crate) fn request(&mut self, command: Command) -> Request<Toy, u64> {
        self.tickets += 1;
        Request {
            ticket: self.tickets,
            tenant: TenantId(0),
            priority: Priority::Default,
            deadline: None,
            idempotency: None,
            command,
        }
    }

    pub(crate) fn submit(&mut self, request: Request<Toy, u64>) -> u64 {
        let ticket = request.ticket;
        self.owner.submit(request);
        self.collect();
        ticket
    }

    /// Submits, polls, and lets everything land: what was answered.
    pub(crate) fn ask(&mut self, command: Command) -> Result<u64, Failure<No>> {
        let request = self.request(command);
        self.ask_for(request).outcome
    }

    pub(crate) fn ask_keyed(&mut self, command: Command, key: Idempotency) -> Answer<Toy> {
        let request = self.request(command);
        self.ask_for(Request { idempotency: Some(key), ..request })
    }

    pub(crate) fn ask_for(&mut self, request: Request<Toy, u64>) -> Answer<Toy> {
        let ticket = self.submit(request);
        self.quiet();
        self.answers.remove(&ticket).expect("everything is answered")
    }

    pub(crate) fn poll(&mut self) {
        self.owner.poll(self.now);
        self.collect();
    }

    /// Polls and lets everything land until nothing is left to do.
    pub(crate) fn quiet(&mut self) {
        loop {
            self.poll();
            match self.owner.next_wake() {
                _ if !self.pending.is_empty() => self.land_all(),
                // What lingers becomes a record in time.
                Some(due) if self.owner.is_in_flight() => self.now = due,
                _ => return,
            }
        }
    }

    pub(crate) fn land_all(&mut self) {
        while !self.pending.is_empty() {
            let submission = self.pending.remove(0);
            let outcome = self.try_append(&submission.record);
            self.tell(submission.id, outcome);
        }
    }

    pub(crate) fn tell(&mut self, id: u64, outcome: Outcome) {
        self.owner.appended(id, outcome);
        self.collect();
    }

    /// What the log does with `record`, and truly answers.
    pub(crate) fn try_append(&mut self, record: &Record) -> Outcome {
        if record.expected() == self.tail() {
            self.log.push(record.clone());
            return Outcome::Appended;
        }
        let at = usize::try_from(record.header().offset.0).unwrap() - 1;
        self.log.get(at).map_or(Outcome::Behind, |there| Outcome::Occupied(there.clone()))
    }

    /// Another owner takes over.
    pub(crate) fn intrude(&mut self) {
        let tail = self.tail();
        let last = *self.log.last().unwrap().header();
        let header = Header {
            kind: Kind::Announce,
            epoch: Epoch(last.epoch.0 + 100),
            offset: tail.offset.next(),
            prev: tail.hash,
            ..last
        };
        self.log.push(Record::new(header, &[]));
    }

    pub(crate) fn tail(&self) -> Tail {
        self.log.last().unwrap().tail()
    }

    pub(crate) fn collect(&mut self) {
        for output in self.owner.outputs() {
            match output {
                Output::Append { id, record, .. } => self.pending.push(Submission { id, record }),
                Output::Answer(ticket, answer) => {
                    let twice = self.answers.insert(ticket, answer);
                    assert!(twice.is_none(), "{ticket} is answered once");
                }
                Output::Read(read) => {
                    let delivered = self.owner.delivered_now();
                    assert!(self.reads.insert(read, delivered).is_none(), "answered once");
                }
                Output::Flush(frozen) => {
                    self.store.flush(&frozen).unwrap();
                    self.owner.flushed().unwrap();
                }
                Output::SteppedDown(_) => self.stepped_down = true,
                Output::Changed(_) => {}
                Output::Deliver { to, delivery } => self.sent.push((to, delivery)),
                Output::Acknowledge { to, through } => self.acknowledged.push((to, through)),
            }
        }
    }

    /// The state that the log's first `records` make, in a store of its own.
    pub(crate) fn replay(&self, records: usize) -> State {
        let mut state = State::open(&Store::memory().unwrap(), ID).unwrap();
        for record in &self.log[..records] {
            state.apply(record).unwrap();
        }
        state
    }

    /// A row of committed state.
    pub(crate) fn get<T: Table>(&self, key: &T::Key) -> Option<T::Row> {
        use evenkeel_state::Read;
        self.owner.view().get::<T>(key).unwrap()
    }
}
