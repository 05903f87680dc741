//! I1–I4 read off the event streams, the holds at the end and the answers, without any search.

use super::observed::{Change, Event, FinalState, Happened, Observed};
use super::subscriptions::check_subscriptions;
use super::violation::{Evidence, Violation};
use crate::history::{Answer, History, Operation, Outcome};
use std::collections::{BTreeMap, HashMap};

/// I2 among answers: attempts with the same key were all told the same, and only one of them as
/// news.
#[must_use]
pub fn check_keys(history: &History) -> Vec<Violation> {
    let mut firsts: HashMap<(&str, &str), (usize, &Operation)> = HashMap::new();
    let mut fresh: HashMap<(&str, &str), usize> = HashMap::new();
    let mut violations = Vec::new();
    for (index, operation) in history.operations.iter().enumerate() {
        let Some((_, Outcome::Ok { answer, replayed, .. })) = &operation.returned else {
            continue;
        };
        let Some(key) = operation.key.as_deref() else {
            continue;
        };
        let scope = (operation.resource.as_str(), key);
        let broke = |promise: &str, other: usize| Violation {
            invariant: "I2",
            promise: promise.to_owned(),
            whom: format!("client {}, who asked with the key {key}", operation.client),
            events: vec![Evidence::Operation(other), Evidence::Operation(index)],
        };
        let (first_index, first) = *firsts.entry(scope).or_insert((index, operation));
        if first.request != operation.request {
            let promise = "a key stands for one request, but another one was accepted with it.";
            violations.push(broke(promise, first_index));
        } else if first.answer() != Some(answer) {
            let promise = "a key has one effect, but two attempts were told of different ones.";
            violations.push(broke(promise, first_index));
        } else if !replayed && let Some(other) = fresh.insert(scope, index) {
            let promise = "a key has one effect, but two attempts were told that theirs was it.";
            violations.push(broke(promise, other));
        }
    }
    violations
}

/// I1–I4 and I7 in what was observed.
#[must_use]
pub fn check_observed(history: &History, observed: &Observed) -> Vec<Violation> {
    let mut resources: BTreeMap<&str, Ledger> = BTreeMap::new();
    let mut violations = Vec::new();
    for (index, event) in observed.events.iter().enumerate() {
        let ledger = resources.entry(&event.resource).or_insert_with(|| {
            let capacity = history.inventory.get(&event.resource);
            Ledger::new(capacity.map_or(0, crate::history::Capacity::places))
        });
        ledger.enter(index, event, &mut violations);
    }
    for (index, operation) in history.operations.iter().enumerate() {
        let ledger = resources.get(operation.resource.as_str());
        violations.extend(acknowledged(index, operation, ledger, observed));
    }
    violations.extend(check_final_holds(observed, &resources));
    violations.extend(check_subscriptions(observed));
    violations
}

/// A hold as its events tell it.
struct Life {
    state: FinalState,
    expires_at_ms: u64,
    /// It took its places after its time: the places of an expired hold, taken again.
    born_late: bool,
    units: u64,
    events: Vec<usize>,
}

/// A resource as its events tell it.
struct Ledger {
    capacity: u64,
    taken: u64,
    fence: Option<(u64, usize)>,
    at_ms: u64,
    lives: BTreeMap<String, Life>,
    /// The hold that has each seat.
    seats: BTreeMap<String, String>,
    /// The event in which each key had its effect.
    keys: BTreeMap<String, usize>,
}

impl Ledger {
    fn new(capacity: u64) -> Self {
        Self {
            capacity,
            taken: 0,
            fence: None,
            at_ms: 0,
            lives: BTreeMap::new(),
            seats: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }

    fn enter(&mut self, index: usize, event: &Event, violations: &mut Vec<Violation>) {
        let mut broke = |invariant, promise: String, mut events: Vec<usize>| {
            events.push(index);
            violations.push(Violation {
                invariant,
                promise,
                whom: format!("everyone who counts on {}", event.resource),
                events: events.into_iter().map(Evidence::Event).collect(),
            });
        };
        if event.at_ms < self.at_ms {
            broke("I4", "record time never goes back, but it did.".to_owned(), Vec::new());
        }
        self.at_ms = self.at_ms.max(event.at_ms);
        match &event.happened {
            Happened::Capacity(capacity) => self.capacity = *capacity,
            Happened::Hold { change: Change::Held, .. } => self.held(index, event, &mut broke),
            Happened::Hold { .. } => self.changed(index, event, &mut broke),
        }
        if self.taken > self.capacity {
            let live =
                |life: &&Life| matches!(life.state, FinalState::Held | FinalState::Confirmed);
            let holders = self.lives.values().filter(live).filter_map(|life| life.events.first());
            let others = holders.copied().filter(|other| *other != index).collect();
            let promise = format!(
                "never more is held and confirmed than there is, but {} of {} places were.",
                self.taken, self.capacity
            );
            broke("I3", promise, others);
        }
    }

    fn held(&mut self, index: usize, event: &Event, broke: &mut Broke<'_>) {
        let Happened::Hold { hold, fence, key, places, expires_at_ms, .. } = &event.happened else {
            return;
        };
        if let Some((last, other)) = self.fence.filter(|(last, _)| last >= fence) {
            let promise = format!(
                "the fence grows with every hold on a resource, but {fence} came after {last}."
            );
            broke("I4", promise, vec![other]);
        }
        self.fence = Some((*fence, index));
        let born_late = event.at_ms >= *expires_at_ms;
        if let Some(key) = key.as_ref().filter(|_| !born_late)
            && let Some(other) = self.keys.insert(key.clone(), index)
        {
            broke("I2", format!("a key has one effect, but {key} took two holds."), vec![other]);
        }
        for seat in places.seats() {
            if let Some(owner) = self.seats.insert(seat.clone(), hold.clone()) {
                let other = self.lives.get(&owner).and_then(|life| life.events.first().copied());
                let promise = format!("a seat has one owner, but {seat} got a second.");
                broke("I3", promise, other.into_iter().collect());
            }
        }
        self.taken += places.units();
        let life = Life {
            state: FinalState::Held,
            expires_at_ms: *expires_at_ms,
            born_late,
            units: places.units(),
            events: vec![index],
        };
        if let Some(old) = self.lives.insert(hold.clone(), life) {
            broke("I4", format!("a hold is taken once, but {hold} was twice."), old.events);
        }
    }

    fn changed(&mut self, index: usize, event: &Event, broke: &mut Broke<'_>) {
        let Happened::Hold { change, hold, expires_at_ms, places, .. } = &event.happened else {
            return;
        };
        let Some(life) = self.lives.get_mut(hold) else {
            broke("I1", format!("events follow the hold, but {hold} was never taken."), Vec::new());
            return;
        };
        let before = life.events.clone();
        life.events.push(index);
        let late = event.at_ms >= life.expires_at_ms && !life.born_late;
        let next = match (life.state, change) {
            (FinalState::Held, Change::Confirmed) => FinalState::Confirmed,
            (FinalState::Held, Change::Released) => FinalState::Released,
            (FinalState::Held, Change::Expired) => FinalState::Expired,
            (FinalState::Held, Change::Extended) => FinalState::Held,
            (FinalState::Confirmed, Change::Cancelled) => FinalState::Cancelled,
            (state, _) => {
                let promise =
                    format!("a hold resolves once, but {hold} was {state:?} and then {change:?}.");
                broke("I4", promise, before);
                return;
            }
        };
        let held = life.state == FinalState::Held;
        if held && late != (*change == Change::Expired) {
            let promise = format!(
                "a hold is held until its time and no longer, but {hold} was {change:?} at {} \
                 and due at {}.",
                event.at_ms, life.expires_at_ms
            );
            broke("I4", promise, before);
        }
        life.state = next;
        life.expires_at_ms = *expires_at_ms;
        if !matches!(next, FinalState::Held | FinalState::Confirmed) {
            self.taken -= life.units;
            for seat in places.seats() {
                if self.seats.get(seat) == Some(hold) {
                    self.seats.remove(seat);
                }
            }
        }
    }
}

/// Notes a broken promise: its invariant, its words, and the events before this one that show it.
type Broke<'b> = dyn FnMut(&'static str, String, Vec<usize>) + 'b;

/// I1: what a client was told is in the events.
fn acknowledged(
    index: usize,
    operation: &Operation,
    ledger: Option<&Ledger>,
    observed: &Observed,
) -> Option<Violation> {
    let (hold, wanted) = match (operation.answer()?, operation.request.hold()) {
        (Answer::Held { hold, .. }, _) => (hold.as_str(), Change::Held),
        (Answer::Confirmed { hold, .. }, _) => (hold.as_str(), Change::Confirmed),
        (Answer::Released, Some(hold)) => (hold, Change::Released),
        (Answer::Extended { .. }, Some(hold)) => (hold, Change::Extended),
        (Answer::Cancelled, Some(hold)) => (hold, Change::Cancelled),
        _ => return None,
    };
    let events = ledger.and_then(|ledger| ledger.lives.get(hold)).map(|life| &life.events);
    let shows = |index: &usize| match &observed.events[*index].happened {
        Happened::Hold { change, expires_at_ms: at, .. } if *change == wanted => {
            match operation.answer() {
                Some(Answer::Extended { expires_at_ms }) => expires_at_ms == at,
                _ => true,
            }
        }
        _ => false,
    };
    if events.is_some_and(|events| events.iter().any(shows)) {
        return None;
    }
    let others = events.into_iter().flatten().map(|event| Evidence::Event(*event));
    Some(Violation {
        invariant: "I1",
        promise: format!(
            "what was acknowledged is never lost, but {hold} of {} was {wanted:?} for its client \
             and for nobody else.",
            operation.resource
        ),
        whom: format!("client {}", operation.client),
        events: [Evidence::Operation(index)].into_iter().chain(others).collect(),
    })
}

/// I1: the holds at the end are those that the events lead to.
fn check_final_holds(observed: &Observed, resources: &BTreeMap<&str, Ledger>) -> Vec<Violation> {
    let Some(holds) = &observed.holds else {
        return Vec::new();
    };
    let mut states: BTreeMap<(&str, &str), FinalState> = BTreeMap::new();
    for hold in holds {
        states.insert((&hold.resource, &hold.hold), hold.state);
    }
    let mut violations = Vec::new();
    for (resource, ledger) in resources {
        for (hold, life) in &ledger.lives {
            let state = states.remove(&(*resource, hold.as_str()));
            if state != Some(life.state) {
                let found = state.map_or("gone".to_owned(), |state| format!("{state:?}"));
                violations.push(Violation {
                    invariant: "I1",
                    promise: format!(
                        "the state is what the events lead to, but {hold} of {resource} is \
                         {found}, not {:?}.",
                        life.state
                    ),
                    whom: format!("everyone who counts on {resource}"),
                    events: life.events.iter().map(|event| Evidence::Event(*event)).collect(),
                });
            }
        }
    }
    violations.extend(states.into_iter().map(|((resource, hold), state)| Violation {
        invariant: "I1",
        promise: format!("every hold has its events, but {hold}, {state:?}, has none."),
        whom: format!("everyone who counts on {resource}"),
        events: Vec::new(),
    }));
    violations
}
