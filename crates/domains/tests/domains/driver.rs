//! A partition with everything around it in memory: a log that takes each append at once, and a
//! store. No time passes but what a test lets pass.

use evenkeel_domains::{Command, Domains, Found, Query, Refusal, Reply, meta, reservations};
use evenkeel_engine::{
    Answer, Delivery, Entity, Failure, Idempotency, Mark, Options, Outcome, Output, Partition,
    Priority, Request, Stop, TenantId, Time,
};
use evenkeel_log::{Incarnation, PartitionId, Record};
use evenkeel_state::{State, Store};
use std::collections::BTreeMap;

pub(crate) const TENANT: TenantId = TenantId(0);
pub(crate) const ID: PartitionId = PartitionId(3);
pub(crate) const START: Time = Time(1_000_000);

pub(crate) type Answered = Result<Reply, Failure<Refusal>>;

/// One owner, its log and its store.
pub(crate) struct Driver {
    pub(crate) partition: Partition<Domains, u64, u64>,
    pub(crate) log: Vec<Record>,
    pub(crate) store: Store,
    pub(crate) now: Time,
    /// By ticket; removed when asked for.
    pub(crate) answers: BTreeMap<u64, Answer<Domains>>,
    /// Appends that the log was not yet asked for.
    pub(crate) held_back: Vec<(u64, Record)>,
    /// Whether appends wait for [`Driver::land`].
    pub(crate) holds_back: bool,
    /// Entities of which those who watch them were told that there is something new.
    pub(crate) changed: Vec<Entity>,
    /// Deliveries to other partitions, which nobody carries unless a test does.
    pub(crate) sent: Vec<(PartitionId, Delivery)>,
    /// Deliveries of other partitions that are done.
    pub(crate) acknowledged: Vec<(PartitionId, Mark)>,
    next_ticket: u64,
}

impl Driver {
    /// An owner of a fresh partition.
    pub(crate) fn new(options: Options) -> Self {
        Self::of(ID, options)
    }

    /// The same, of this one.
    pub(crate) fn of(id: PartitionId, options: Options) -> Self {
        Self::knowing(Domains::default(), id, options)
    }

    /// The same, of domains that know something of meta.
    pub(crate) fn knowing(domains: Domains, id: PartitionId, options: Options) -> Self {
        let store = Store::memory().unwrap();
        let state = State::open(&store, id).unwrap();
        let mut driver = Self {
            partition: Partition::new(id, domains, options, state),
            log: vec![Partition::<Domains, u64, u64>::genesis(id, Incarnation(1), START)],
            store,
            now: START,
            answers: BTreeMap::new(),
            held_back: Vec::new(),
            holds_back: false,
            changed: Vec::new(),
            sent: Vec::new(),
            acknowledged: Vec::new(),
            next_ticket: 0,
        };
        driver.partition.follow(&driver.log[0]).unwrap();
        driver.partition.announce(START);
        driver.settle();
        driver
    }

    /// Submits `command`; [`Driver::settle`] has it decided.
    pub(crate) fn submit(&mut self, command: Command, idempotency: Option<Idempotency>) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.partition.submit(Request {
            ticket,
            tenant: TENANT,
            priority: Priority::Default,
            deadline: None,
            idempotency,
            command,
        });
        ticket
    }

    /// Polls, and does what is asked, until nothing is left to do now.
    pub(crate) fn settle(&mut self) {
        loop {
            self.partition.poll(self.now);
            let outputs = self.partition.outputs();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                self.handle(output);
            }
        }
    }

    fn handle(&mut self, output: Output<Domains, u64, u64>) {
        match output {
            Output::Append { id, record, .. } => {
                self.held_back.push((id, record));
                if !self.holds_back {
                    self.land();
                }
            }
            Output::Answer(ticket, answer) => {
                assert!(answer.delivered.offset.0 <= self.log.len() as u64, "an answer is durable");
                assert!(self.answers.insert(ticket, answer).is_none(), "answered once");
            }
            Output::Flush(frozen) => {
                self.store.flush(&frozen).unwrap();
                self.partition.flushed().unwrap();
            }
            Output::Changed(entity) => self.changed.push(entity),
            Output::Read(_) => {}
            Output::Deliver { to, delivery } => self.sent.push((to, delivery)),
            Output::Acknowledge { to, through } => self.acknowledged.push((to, through)),
            Output::SteppedDown(why) => panic!("nobody else leads: {why}"),
        }
    }

    /// Lets what is held back into the log.
    pub(crate) fn land(&mut self) {
        for (id, record) in std::mem::take(&mut self.held_back) {
            let tail = self.log.last().unwrap().tail();
            assert_eq!(record.expected(), tail, "appends are submitted in order");
            self.log.push(record);
            self.partition.appended(id, Outcome::Appended);
        }
    }

    /// Submits, decides, commits and answers.
    pub(crate) fn ask(&mut self, command: Command, idempotency: Option<Idempotency>) -> Answered {
        let ticket = self.submit(command, idempotency);
        self.settle();
        self.answers.remove(&ticket).expect("everything is answered").outcome
    }

    /// The same for a reservation without a key.
    pub(crate) fn reserve(&mut self, resource: &str, action: reservations::Action) -> Answered {
        self.ask(reservation(resource, action), None)
    }

    /// Lets time pass, and what is due happen.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.settle();
    }

    /// Reads committed state.
    pub(crate) fn query(
        &self,
        query: &reservations::Query,
    ) -> Result<reservations::Found, Refusal> {
        let query = Query::Reservations(query.clone());
        let view = self.partition.view();
        match evenkeel_domains::query(&view, self.now, Incarnation(1), TENANT, &query) {
            Ok(Found::Reservations(found)) => Ok(found),
            Ok(other) => panic!("{other:?}"),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::State(error)) => panic!("{error}"),
        }
    }
}

pub(crate) fn reservation(resource: &str, action: reservations::Action) -> Command {
    Command::Reservations(reservations::Command { resource: resource.to_owned(), action })
}

pub(crate) fn meta(action: meta::Action) -> Command {
    Command::Meta(meta::Command { action })
}

/// A key for `command`'s path, if that takes one.
pub(crate) fn key_for(command: &Command, key: u8, fingerprint: u8) -> Option<Idempotency> {
    Some(Idempotency {
        path: evenkeel_domains::path_number(command.path())?,
        key: [key; 16],
        fingerprint: [fingerprint; 16],
        window_ms: 3_600_000,
    })
}

pub(crate) fn names(seats: &[&str]) -> Vec<String> {
    seats.iter().map(ToString::to_string).collect()
}
