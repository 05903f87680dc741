//! How the world moves: the rules of the protocol, and the ways of breaking them.

pub(crate) use super::world::State;
use super::world::{Answer, Body, Mode, Owner, Pending, Record, Request, Says, View};
use std::collections::BTreeSet;
use std::fmt;

/// One rule left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    None,
    /// The log compares the expected offset and not the hash.
    OffsetOnly,
    /// An owner that does not find its record after a time-out says that it had no effect.
    AbsentMeansNotAppended,
    /// An owner whose append is refused says so without looking whose record is there.
    ConflictMeansNoEffect,
    /// An owner that cannot read the offset any more says that its append had no effect.
    TrimmedMeansNoEffect,
    /// A refusal is answered at once.
    UnfencedRefusal,
    /// What needs a barrier waits for the records in flight, if any, and not for one of its own.
    BarrierInFlight,
    /// A hold is answered when it is submitted.
    AckBeforeAppend,
    /// A retry is decided anew.
    NoIdempotencyRow,
    /// An owner serves while its Announce is in flight, and takes that for its barrier.
    ServeBeforeAnnounced,
    /// Announces of two processes that read the same tail are the same bytes.
    AnonymousAnnounce,
}

/// How far the exploration goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) log: u8,
    pub(crate) in_flight: usize,
    pub(crate) takeovers: u8,
    /// How often each hold may arrive.
    pub(crate) arrivals: u8,
    pub(crate) reads: u8,
}

impl Bounds {
    pub(crate) const FULL: Self =
        Self { log: 6, in_flight: 2, takeovers: 3, arrivals: 2, reads: 1 };
    pub(crate) const SMALL: Self =
        Self { log: 6, in_flight: 2, takeovers: 2, arrivals: 2, reads: 1 };
}

/// One step of the world. Owners and pending records are named by their index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// A follower reads to the tail and submits its Announce.
    TakeOver(usize),
    /// A request arrives at an owner, which decides it.
    Arrive(usize, Request),
    /// A submission reaches the log.
    Land(Record),
    /// A submission is lost, or refused because it came before its predecessor.
    Lose(Record),
    /// An owner submits the identical bytes again.
    Resubmit(usize, usize),
    /// An owner learns what became of its oldest submission.
    Learn(usize),
    /// Mutations only: an owner gives up on what it cannot find, and goes on.
    GiveUp(usize),
    /// A snapshot at the tail lets the log be trimmed.
    Trim,
    /// An owner loses all it knew.
    Crash(usize),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = |index: &usize| ["A", "B"][*index];
        let name = |record: &Record| format!("{:?} at {}", record.body, record.offset);
        match self {
            Self::TakeOver(index) => write!(f, "{} reads to the tail and announces", owner(index)),
            Self::Arrive(index, request) => write!(f, "{request:?} arrives at {}", owner(index)),
            Self::Land(record) => write!(f, "{} lands", name(record)),
            Self::Lose(record) => write!(f, "{} is lost on its way", name(record)),
            Self::Resubmit(index, number) => {
                write!(f, "{} submits its record in flight {number} again", owner(index))
            }
            Self::Learn(index) => write!(f, "{} learns of its oldest record", owner(index)),
            Self::GiveUp(index) => write!(f, "{} gives up on its records", owner(index)),
            Self::Trim => write!(f, "the log is trimmed to its tail"),
            Self::Crash(index) => write!(f, "{} crashes", owner(index)),
        }
    }
}

/// What a run must be able to come to, or the exploration would prove nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Held,
    Replayed,
    Refused,
    Read,
    SteppedDown,
    OutcomeUnknown,
    Resubmitted,
    LandedAfterItsOwnerCrashed,
    AnnouncedBetweenTwoInFlight,
    ServedWhileDeposed,
    CommittedTwoInFlight,
}

/// Events seen so far.
pub(crate) type Events = BTreeSet<Event>;

impl Event {
    pub(crate) const ALL: [Self; 11] = [
        Self::Held,
        Self::Replayed,
        Self::Refused,
        Self::Read,
        Self::SteppedDown,
        Self::OutcomeUnknown,
        Self::Resubmitted,
        Self::LandedAfterItsOwnerCrashed,
        Self::AnnouncedBetweenTwoInFlight,
        Self::ServedWhileDeposed,
        Self::CommittedTwoInFlight,
    ];
}

pub(crate) struct Protocol {
    mutation: Mutation,
    bounds: Bounds,
}

impl Protocol {
    pub(crate) fn new(mutation: Mutation, bounds: Bounds) -> Self {
        Self { mutation, bounds }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == mutation
    }

    fn lands(&self, state: &State, record: &Record) -> bool {
        let tail = state.tail();
        record.offset == tail.offset + 1
            && (record.prev == tail.hash || self.is(Mutation::OffsetOnly))
    }

    fn serves(&self, owner: &Owner) -> bool {
        owner.mode == Mode::Leading
            || owner.mode == Mode::Announcing && self.is(Mutation::ServeBeforeAnnounced)
    }

    pub(crate) fn enabled(&self, state: &State, actions: &mut Vec<Action>) {
        for record in &state.wire {
            if self.lands(state, record) {
                actions.push(Action::Land(*record));
            }
            actions.push(Action::Lose(*record));
        }
        if state.trimmed == 0 {
            actions.push(Action::Trim);
        }
        for (index, owner) in state.owners.iter().enumerate() {
            self.enabled_of(state, index, owner, actions);
        }
    }

    fn enabled_of(&self, state: &State, index: usize, owner: &Owner, actions: &mut Vec<Action>) {
        if owner.mode == Mode::Follower {
            let room = state.tail().offset < self.bounds.log;
            let turn = index == 0 || state.takeovers > 0;
            if room && turn && state.takeovers < self.bounds.takeovers {
                actions.push(Action::TakeOver(index));
            }
            return;
        }
        actions.push(Action::Crash(index));
        for (number, pending) in owner.pending.iter().enumerate() {
            let vacant = state.at(pending.record.offset).is_none();
            if vacant && !state.wire.contains(&pending.record) {
                actions.push(Action::Resubmit(index, number));
            }
        }
        if let Some(oldest) = owner.pending.first() {
            if state.at(oldest.record.offset).is_some() {
                actions.push(Action::Learn(index));
            } else if self.is(Mutation::AbsentMeansNotAppended) && owner.mode == Mode::Leading {
                actions.push(Action::GiveUp(index));
            }
        }
        let next = owner.applied + owner.pending.len() + 1;
        let room = owner.pending.len() < self.bounds.in_flight;
        if self.serves(owner) && room && next <= usize::from(self.bounds.log) {
            for key in 0..2 {
                if state.arrived[key] < self.bounds.arrivals {
                    actions.push(Action::Arrive(index, Request::Hold(key)));
                }
            }
            if state.arrived[2] < self.bounds.reads {
                actions.push(Action::Arrive(index, Request::Read));
            }
        }
    }

    /// The state after `action`; what is worth noting goes to `events`.
    pub(crate) fn step(&self, state: &State, action: Action, events: &mut Events) -> State {
        let mut next = state.clone();
        match action {
            Action::TakeOver(index) => self.take_over(&mut next, index),
            Action::Arrive(index, request) => self.arrive(&mut next, index, request, events),
            Action::Land(record) => land(&mut next, record, events),
            Action::Lose(record) => next.wire.retain(|other| *other != record),
            Action::Resubmit(index, number) => {
                events.insert(Event::Resubmitted);
                next.wire.push(next.owners[index].pending[number].record);
            }
            Action::Learn(index) => self.learn(&mut next, index, events),
            Action::GiveUp(index) => deny(&mut next, index),
            Action::Trim => next.trimmed = next.tail().offset,
            Action::Crash(index) => next.owners[index] = Owner::default(),
        }
        next.normalise();
        next
    }

    fn take_over(&self, state: &mut State, index: usize) {
        let tail = state.tail();
        let process = (!self.is(Mutation::AnonymousAnnounce)).then_some(index);
        let record = tail.after(tail.epoch + 1, Body::Announce(process));
        state.takeovers += 1;
        state.wire.push(record);
        state.owners[index] = Owner {
            mode: Mode::Announcing,
            epoch: record.epoch,
            applied: state.log.len(),
            pending: vec![Pending { record, answers: Vec::new() }],
        };
    }

    /// Decides a request on what the owner has applied and what it has in flight.
    fn arrive(&self, state: &mut State, index: usize, request: Request, events: &mut Events) {
        let owner = &state.owners[index];
        if state.tail().epoch > owner.epoch {
            events.insert(Event::ServedWhileDeposed);
        }
        let in_flight = owner.pending.iter().map(|pending| &pending.record);
        let view = View::of(state.log[..owner.applied].iter().chain(in_flight));
        let (says, body) = match request {
            Request::Read => (Says::Taken(view.taken()), Body::Barrier),
            Request::Hold(key) if view.effects[key] > 0 && !self.is(Mutation::NoIdempotencyRow) => {
                (Says::Held(key), Body::Barrier)
            }
            Request::Hold(key) if view.fits(key) => (Says::Held(key), Body::Take(key)),
            Request::Hold(key) => (Says::SoldOut(key), Body::Barrier),
        };
        state.arrived[match request {
            Request::Hold(key) => key,
            Request::Read => 2,
        }] += 1;
        let answer = Answer { says, since: state.log.len() };
        self.submit(state, index, body, answer);
    }

    fn submit(&self, state: &mut State, index: usize, body: Body, answer: Answer) {
        let refused = matches!(answer.says, Says::SoldOut(_));
        let owner = &mut state.owners[index];
        let barrier = body == Body::Barrier;
        if barrier && (refused && self.is(Mutation::UnfencedRefusal))
            || barrier && owner.mode == Mode::Announcing
        {
            state.answer(answer);
            return;
        }
        if let (true, true, Some(last)) =
            (barrier, self.is(Mutation::BarrierInFlight), owner.pending.last_mut())
        {
            last.answers.push(answer);
            return;
        }
        let before = match owner.pending.last() {
            Some(pending) => pending.record,
            None => state.log[owner.applied - 1],
        };
        let record = before.after(owner.epoch, body);
        let early = !barrier && self.is(Mutation::AckBeforeAppend);
        let answers = if early { Vec::new() } else { vec![answer] };
        owner.pending.push(Pending { record, answers });
        state.wire.push(record);
        if early {
            state.answer(answer);
        }
    }

    /// Something occupies the offset of the oldest submission: ours, another's, or unreadable.
    fn learn(&self, state: &mut State, index: usize, events: &mut Events) {
        let record = state.owners[index].pending[0].record;
        let occupant = *state.at(record.offset).expect("learning is enabled by an occupant");
        let blind =
            self.is(Mutation::ConflictMeansNoEffect) && matches!(record.body, Body::Take(_));
        if record.offset <= state.trimmed {
            events.insert(Event::OutcomeUnknown);
            if self.is(Mutation::TrimmedMeansNoEffect) {
                deny(state, index);
            }
            state.owners[index] = Owner::default();
        } else if occupant != record || blind {
            events.insert(Event::SteppedDown);
            deny(state, index);
            state.owners[index] = Owner::default();
        } else {
            commit(state, index, events);
        }
    }
}

/// Tells everyone who waits for `index` that nothing happened.
fn deny(state: &mut State, index: usize) {
    for pending in std::mem::take(&mut state.owners[index].pending) {
        if matches!(pending.record.body, Body::Take(_)) && !pending.answers.is_empty() {
            state.denied.push(pending.record);
        }
    }
}

fn land(state: &mut State, record: Record, events: &mut Events) {
    let awaited = |owner: &Owner| owner.pending.iter().any(|own| own.record == record);
    if !state.owners.iter().any(awaited) {
        events.insert(Event::LandedAfterItsOwnerCrashed);
    }
    let overtaken = |owner: &Owner| {
        owner.pending.len() == 2
            && owner.pending[0].record.offset == record.offset
            && owner.pending[0].record != record
    };
    if matches!(record.body, Body::Announce(_)) && state.owners.iter().any(overtaken) {
        events.insert(Event::AnnouncedBetweenTwoInFlight);
    }
    state.log.push(record);
}

fn commit(state: &mut State, index: usize, events: &mut Events) {
    let owner = &mut state.owners[index];
    if owner.pending.len() == 2 {
        events.insert(Event::CommittedTwoInFlight);
    }
    let pending = owner.pending.remove(0);
    owner.applied += 1;
    owner.mode = Mode::Leading;
    for answer in pending.answers {
        events.insert(match answer.says {
            Says::Held(_) if pending.record.body == Body::Barrier => Event::Replayed,
            Says::Held(_) => Event::Held,
            Says::SoldOut(_) => Event::Refused,
            Says::Taken(_) => Event::Read,
        });
        state.answer(answer);
    }
}
