//! Records on their way into the log: submitted, then resolved oldest first, by what the log says.

use crate::{
    Answer, App, Entity, Failure, Output, Partition, Role, Time,
    outbox::{Lanes, Mail},
};
use evenkeel_log::{Header, Kind, Record};
use evenkeel_state::Layer;

/// What became of an append. Whoever drives the engine finds it out, by reading the log where
/// the append itself does not say.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is durable.
    Appended,
    /// The log refused because this committed record is at the offset: perhaps our own, from an
    /// earlier submission.
    Occupied(Record),
    /// The log refused because the predecessor is not there yet.
    Behind,
    /// The offset was trimmed: what was there cannot be known any more.
    Trimmed,
    /// Nobody knows.
    Indeterminate,
    /// Certainly no effect by this submission: no space, or not served.
    Refused(String),
}

/// An append that is not resolved.
pub(crate) struct InFlight<A: App, T, R> {
    pub(crate) id: u64,
    /// When the first of it was decided.
    pub(crate) since: Time,
    pub(crate) record: Record,
    pub(crate) layer: Layer,
    pub(crate) answers: Vec<(T, Option<Time>, Answer<A>)>,
    pub(crate) reads: Vec<R>,
    pub(crate) touched: Vec<Entity>,
    pub(crate) mail: Mail,
    /// The earliest deadline among `answers`.
    pub(crate) deadline: Option<Time>,
    pub(crate) attempt: u32,
    pub(crate) status: Status,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    Submitted,
    Landed,
    Retry,
    Beaten { effect_known: bool, why: String },
    Refused(String),
}

/// Who waits for a record.
pub(crate) struct Waiting<A: App, T, R> {
    pub(crate) answers: Vec<(T, Option<Time>, Answer<A>)>,
    pub(crate) reads: Vec<R>,
    pub(crate) touched: Vec<Entity>,
    pub(crate) mail: Mail,
}

/// What was decided and answered, and is not in a record yet.
pub(crate) struct Open {
    /// When the first of it was decided.
    pub(crate) since: Time,
    /// When it becomes a record at the latest.
    pub(crate) due: Time,
    pub(crate) layer: Layer,
    pub(crate) touched: Vec<Entity>,
    pub(crate) mail: Mail,
    pub(crate) commands: usize,
}

impl Open {
    /// It is due at a moment that all partitions of a node agree on, so that one sync serves them
    /// all.
    pub(crate) fn new(now: Time, linger_ms: u64) -> Self {
        let linger_ms = linger_ms.max(1);
        let due = Time((now.0 / linger_ms + 1) * linger_ms);
        Self {
            since: now,
            due,
            layer: Layer::default(),
            touched: Vec::new(),
            mail: Mail::default(),
            commands: 0,
        }
    }
}

impl<A: App, T, R> Default for Waiting<A, T, R> {
    fn default() -> Self {
        Self { answers: Vec::new(), reads: Vec::new(), touched: Vec::new(), mail: Mail::default() }
    }
}

impl<A: App, T, R> Partition<A, T, R> {
    /// Learns what became of append `id`.
    pub fn appended(&mut self, id: u64, outcome: Outcome) {
        let Some(entry) = self.in_flight.iter_mut().find(|entry| entry.id == id) else { return };
        if entry.status == Status::Landed {
            return;
        }
        entry.status = match outcome {
            Outcome::Appended => Status::Landed,
            Outcome::Occupied(record) if record.tail() == entry.record.tail() => Status::Landed,
            Outcome::Occupied(record) => Status::Beaten {
                effect_known: true,
                why: format!("epoch {} holds the offset", record.header().epoch),
            },
            Outcome::Trimmed => Status::Beaten {
                effect_known: false,
                why: "the log was trimmed beyond the append".into(),
            },
            // An earlier submission of the same bytes may still land.
            Outcome::Refused(_) if entry.attempt > 0 => Status::Retry,
            Outcome::Refused(why) => Status::Refused(why),
            Outcome::Indeterminate if self.options.switches.absent_means_not_appended => {
                Status::Refused("the append timed out".into())
            }
            Outcome::Indeterminate | Outcome::Behind => Status::Retry,
        };
        self.resolve();
    }

    /// Resolves appends from the oldest on, as far as their outcomes are known.
    fn resolve(&mut self) {
        while let Some(front) = self.in_flight.front_mut() {
            match &front.status {
                Status::Submitted => return,
                Status::Landed => self.commit_front(),
                Status::Retry => {
                    front.attempt += 1;
                    front.status = Status::Submitted;
                    let (id, attempt, record) = (front.id, front.attempt, front.record.clone());
                    return self.outputs.push(Output::Append { id, attempt, record });
                }
                Status::Beaten { effect_known, why } => {
                    let (effect_known, why) = (*effect_known, why.clone());
                    return self.step_down(effect_known, why);
                }
                Status::Refused(why) => {
                    let why = why.clone();
                    return self.give_up(&why);
                }
            }
        }
    }

    fn commit_front(&mut self) {
        let Some(entry) = self.in_flight.pop_front() else { return };
        self.refusing = false;
        let header = *entry.record.header();
        let committed = self.state.commit(&entry.record, entry.layer);
        committed.expect("an owner's record follows the one before it: both were made here");
        // Whoever is answered and looks finds that everybody has been told.
        self.outputs.extend(entry.touched.into_iter().map(Output::Changed));
        for (ticket, _, answer) in entry.answers {
            self.outputs.push(Output::Answer(ticket, answer));
        }
        self.outputs.extend(entry.reads.into_iter().map(Output::Read));
        self.post(entry.mail, Time(header.time_ms));
        if header.kind == Kind::Announce {
            self.role = Role::Owner;
            self.next_timer = Some(Time(0));
            self.lanes = Lanes::unread();
        }
        if header.kind == Kind::Checkpoint
            && let Some(frozen) = self.state.freeze()
        {
            self.outputs.push(Output::Flush(frozen));
        }
    }

    /// What other partitions have to do with a record that is durable.
    pub(crate) fn post(&mut self, mail: Mail, at: Time) {
        let Mail { changed, done, dead, .. } = mail;
        self.outbox_changed(&changed, at);
        let done = done.into_iter();
        self.outputs.extend(done.map(|(to, through)| Output::Acknowledge { to, through }));
        if dead && let Ok(count) = self.count_dead() {
            self.dead = count;
        }
    }

    /// The log took nothing of what is in flight, and never will: these records are not
    /// submitted again, and each later one needs the one before it.
    fn give_up(&mut self, why: &str) {
        // A later record may still be on its way to the log. It is refused there for ever, unless
        // what is decided next were, byte for byte, its predecessor: so that must be younger.
        if let [first, _, ..] = self.in_flight.make_contiguous() {
            self.time = self.time.max(Time(first.record.header().time_ms).plus_ms(1));
        }
        self.totals.forget_all();
        self.open = None;
        self.refusing = true;
        self.lanes.forget_trims(&self.options);
        for entry in std::mem::take(&mut self.in_flight) {
            for (ticket, _, mut answer) in entry.answers {
                answer.outcome = Err(Failure::Unavailable(why.to_owned()));
                self.outputs.push(Output::Answer(ticket, answer));
            }
            self.reads.extend(entry.reads);
        }
        self.next_timer = Some(Time(0));
        if self.role == Role::Candidate {
            self.role = Role::Follower;
            self.outputs.push(Output::SteppedDown(why.to_owned()));
        }
    }

    fn step_down(&mut self, effect_known: bool, why: String) {
        self.role = Role::Follower;
        self.epoch = self.state.applied().epoch;
        self.totals.forget_all();
        self.open = None;
        self.lanes = Lanes::default();
        self.arrivals.clear();
        for entry in std::mem::take(&mut self.in_flight) {
            for (ticket, _, mut answer) in entry.answers {
                answer.outcome = Err(if effect_known {
                    Failure::Unavailable("another node leads it now".into())
                } else {
                    Failure::OutcomeUnknown
                });
                self.outputs.push(Output::Answer(ticket, answer));
            }
            self.reads.extend(entry.reads);
        }
        while let Some(request) = self.mailbox.pop() {
            self.fail(request, Failure::Unavailable("another node leads it now".into()));
        }
        self.outputs.push(Output::SteppedDown(why));
    }

    /// Seals `layer`, of what was decided from `since` to `now`, into a record behind the newest
    /// one, and submits it.
    pub(crate) fn submit_record(
        &mut self,
        kind: Kind,
        (since, now): (Time, Time),
        layer: Layer,
        waiting: Waiting<A, T, R>,
    ) {
        let tail = self.newest_tail();
        let mut body = Vec::with_capacity(layer.bytes());
        layer.encode(&mut body);
        let header = Header {
            kind,
            partition: self.id,
            incarnation: self.incarnation(),
            epoch: self.epoch,
            offset: tail.offset.next(),
            time_ms: now.0,
            writer: self.options.writer,
            prev: tail.hash,
        };
        let record = Record::new(header, &body);
        let id = self.next_id;
        self.next_id += 1;
        self.in_flight.push_back(InFlight {
            id,
            since,
            record: record.clone(),
            layer,
            deadline: waiting.answers.iter().filter_map(|(_, deadline, _)| *deadline).min(),
            answers: waiting.answers,
            reads: waiting.reads,
            touched: waiting.touched,
            mail: waiting.mail,
            attempt: 0,
            status: Status::Submitted,
        });
        self.outputs.push(Output::Append { id, attempt: 0, record });
    }

    /// Tells those whose deadline passed while their append is unresolved that nobody knows.
    pub(crate) fn expire_answers(&mut self, now: Time) {
        for entry in &mut self.in_flight {
            if entry.deadline.is_none_or(|deadline| deadline > now) {
                continue;
            }
            let (late, waiting) = std::mem::take(&mut entry.answers)
                .into_iter()
                .partition(|(_, deadline, _)| deadline.is_some_and(|deadline| deadline <= now));
            entry.answers = waiting;
            entry.deadline = entry.answers.iter().filter_map(|(_, deadline, _)| *deadline).min();
            let late: Vec<(T, Option<Time>, Answer<A>)> = late;
            for (ticket, _, mut answer) in late {
                answer.outcome = Err(Failure::OutcomeUnknown);
                self.outputs.push(Output::Answer(ticket, answer));
            }
        }
    }
}
