//! The end of a run: what is there is read from the owner, the log is replayed from its first
//! record, and everything is given to the checkers.

use super::{
    logs::{PARTITION, SimLog},
    machines::Machines,
    node::{SimNode, SimPartition},
    plan::inventory,
    run::{Run, Told},
    subscriber,
    world::World,
};
use crate::checker::{
    self, Event, FinalHold, FinalState, Observed, STEPS_MAX_DEFAULT, Subscription, Violation,
};
use crate::history::{Answer, Outcome, Refusal, Request};
use evenkeel_domains::{
    Found, Query,
    reservations::{self, HoldState},
};
use evenkeel_engine::{Delivered, Role, Time};
use evenkeel_log::{Hash, Offset, PartitionId, Record};
use evenkeel_state::{State, Store};

/// What is wrong with a run, if anything.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Broken promises.
    pub violations: Vec<Violation>,
    /// What could not be judged.
    pub undecided: Vec<String>,
}

impl Verdict {
    /// Whether what clients did and heard shows it, rather than the state of the machine.
    #[must_use]
    pub fn is_told_by_clients(&self) -> bool {
        self.violations.first().is_some_and(|violation| !violation.events.is_empty())
    }

    /// Whether everything was judged and nothing was wrong.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.violations.is_empty() && self.undecided.is_empty()
    }
}

/// Somebody leads each partition and has all of its log, and nothing is in flight.
pub(super) fn all_is_known<E>(machines: &Machines<E>) -> bool {
    let is_known = |partition: &SimPartition| {
        !partition.is_in_flight()
            && partition.waiting() == 0
            && partition.tail() == machines.log.tail(partition.id())
    };
    machines.ids().all(|id| {
        let owner = owner_of(machines, id).and_then(|owner| owner.partition.as_ref());
        owner.is_some_and(is_known)
    })
}

/// All is known, and every subscriber has seen
/// everything.
pub(super) fn is_quiet(world: &World) -> bool {
    let Some(owner) = owner(&world.machines) else { return false };
    all_is_known(&world.machines)
        && world.subscribers.iter().all(|subscriber| {
            let seen = subscriber.received.last().map_or(0, |delivery| match delivery {
                checker::Delivery::Event(event) => event.seq,
                checker::Delivery::Reset { seq } => *seq,
            });
            seen == events(owner, &subscriber.resource, world.machines.now_ms).len() as u64
        })
}

fn owner<E>(machines: &Machines<E>) -> Option<&SimNode> {
    owner_of(machines, PARTITION)
}

pub(super) fn owner_of<E>(machines: &Machines<E>, id: PartitionId) -> Option<&SimNode> {
    let nodes = machines.nodes.iter().filter(|node| node.id == id);
    let owners = nodes.filter(|node| node.role() == Some(Role::Owner));
    owners.max_by_key(|node| node.partition.as_ref().map(|partition| partition.tail().offset))
}

pub(super) fn judge(world: World) -> Run {
    let mut verdict = Verdict::default();
    // What was read while something is still under way proves nothing about what is lost.
    let observed = owner(&world.machines).filter(|_| world.machines.failure.is_none());
    let observed = observed.map(|owner| observe(&world, owner));
    let report = checker::check(&world.history, observed.as_ref(), STEPS_MAX_DEFAULT);
    verdict.violations.extend(report.violations);
    verdict.undecided.extend(report.undecided);
    verdict.violations.extend(expired_early(&world));
    verdict.violations.extend(came_back(&world.machines));
    let mut text = Vec::new();
    world.history.write_ndjson(&mut text).expect("a vector takes everything");
    let fingerprint = fingerprint(&world.machines, &text);
    let World { history, machines, .. } = world;
    Run { told: Told::Reservations(history), verdict, fingerprint, trace: machines.trace }
}

/// What is wrong with the machines themselves at the end.
pub(super) fn came_back<E>(machines: &Machines<E>) -> Option<Violation> {
    let Some(failure) = &machines.failure else { return check_replay(machines) };
    Some(Violation {
        invariant: "I1",
        promise: format!("what was acknowledged is served again after faults, but {failure}"),
        whom: "everyone".into(),
        events: Vec::new(),
    })
}

/// What never came to rest, though nothing went wrong any more, or could not be read then. What is wrong
/// with the machines says so itself.
pub(super) fn came_to_rest<E>(
    machines: &Machines<E>,
    restless: Option<&str>,
    is_read: bool,
) -> Option<Violation> {
    let unread = (!is_read).then_some("what is there in the end could not be read");
    let what = restless.or(unread).filter(|_| machines.failure.is_none())?;
    Some(Violation {
        invariant: "liveness",
        promise: format!(
            "what was begun is completed once nothing goes wrong any more, but {what}."
        ),
        whom: "everyone".into(),
        events: Vec::new(),
    })
}

fn observe(world: &World, owner: &SimNode) -> Observed {
    let mut observed = Observed { holds: Some(Vec::new()), ..Observed::default() };
    for (resource, _) in inventory() {
        observed.events.extend(events(owner, &resource, world.machines.now_ms));
        let holds = observed.holds.get_or_insert_default();
        holds.extend(final_holds(owner, &resource));
    }
    for (index, subscriber) in world.subscribers.iter().enumerate() {
        let until = events(owner, &subscriber.resource, world.machines.now_ms).len() as u64;
        observed.subscriptions.push(Subscription {
            subscriber: format!("subscriber {index}"),
            resource: subscriber.resource.clone(),
            after: 0,
            until,
            received: subscriber.received.clone(),
        });
    }
    observed
}

fn query(node: &SimNode, query: reservations::Query, now_ms: u64) -> Option<reservations::Found> {
    let delivered = Delivered { offset: Offset(0), at: Time(now_ms), replayed: false };
    let Found::Reservations(found) = node.query(&Query::Reservations(query), delivered)? else {
        unreachable!("a read of a resource is answered by its domain")
    };
    Some(found)
}

/// Every event of a resource.
fn events(node: &SimNode, resource: &str, now_ms: u64) -> Vec<Event> {
    let resource = resource.to_owned();
    let all = reservations::Query::Events {
        resource: resource.clone(),
        after: None,
        from_start: true,
        limit: usize::MAX,
    };
    let Some(reservations::Found::Events(page)) = query(node, all, now_ms) else {
        return Vec::new();
    };
    page.events.into_iter().map(|view| subscriber::event(&resource, view)).collect()
}

/// Every hold of a resource, as stored: one that is due but was not settled is still held.
fn final_holds(node: &SimNode, resource: &str) -> Vec<FinalHold> {
    let all = reservations::Query::Holds {
        resource: resource.to_owned(),
        state: None,
        after: None,
        limit: usize::MAX,
    };
    let Some(reservations::Found::Holds(holds, _)) = query(node, all, 0) else {
        return Vec::new();
    };
    holds
        .into_iter()
        .map(|hold| FinalHold {
            resource: resource.to_owned(),
            hold: hold.fence.to_string(),
            state: match hold.state {
                HoldState::Held => FinalState::Held,
                HoldState::Confirmed => FinalState::Confirmed,
                HoldState::Released => FinalState::Released,
                HoldState::Expired => FinalState::Expired,
                HoldState::Cancelled => FinalState::Cancelled,
            },
        })
        .collect()
}

/// A hold lasts as long as was promised, by a clock that does not jump: whoever is told that it
/// has expired, sooner than its time after it was asked for, was cheated.
fn expired_early(world: &World) -> Option<Violation> {
    let operations = &world.history.operations;
    operations.iter().enumerate().find_map(|(index, refused)| {
        let Some((_, Outcome::Refused { refusal: Refusal::HoldExpired, .. })) = &refused.returned
        else {
            return None;
        };
        let (asked, held) = operations.iter().enumerate().find(|(_, held)| {
            held.resource == refused.resource
                && matches!(held.answer(), Some(Answer::Held { hold, .. })
                    if Some(hold.as_str()) == refused.request.hold())
        })?;
        let Request::Hold { ttl_ms, .. } = held.request else { return None };
        let extended = operations.iter().any(|other| {
            matches!(other.request, Request::Extend { .. })
                && other.resource == held.resource
                && other.request.hold() == refused.request.hold()
        });
        if extended {
            return None;
        }
        let told_at = world.times_ms[index].1?;
        // The oldest attempt with this key is the earliest that the hold can have begun.
        let first =
            operations.iter().position(|other| other.key.is_some() && other.key == held.key);
        let asked_at = world.times_ms[first.unwrap_or(asked)].0;
        (told_at < asked_at + ttl_ms).then(|| Violation {
            invariant: "I4",
            promise: format!(
                "a hold lasts for its time ({ttl_ms} ms), but {} ms after it was asked for its \
                 holder was told that it had expired.",
                told_at - asked_at
            ),
            whom: format!("the holder of {}", held.request_name()),
            events: vec![checker::Evidence::Operation(asked), checker::Evidence::Operation(index)],
        })
    })
}

impl crate::history::Operation {
    fn request_name(&self) -> String {
        match self.answer() {
            Some(Answer::Held { hold, .. }) => format!("hold {hold} on {}", self.resource),
            _ => format!("a hold on {}", self.resource),
        }
    }
}

/// The log, read from its first record into an empty store, gives the owner's state (I15).
fn check_replay<E>(machines: &Machines<E>) -> Option<Violation> {
    machines.ids().find_map(|id| check_replay_of(machines, id))
}

fn check_replay_of<E>(machines: &Machines<E>, id: PartitionId) -> Option<Violation> {
    let broke = |promise: String| {
        Some(Violation {
            invariant: "I15",
            promise,
            whom: "every replica and every restart".into(),
            events: Vec::new(),
        })
    };
    let store = Store::memory().expect("a store in memory opens");
    let mut replayed = State::open(&store, id).expect("an empty store opens");
    for record in all_records(&machines.log, id) {
        if let Err(error) = replayed.apply(&record) {
            return broke(format!("the log can be replayed, but: {error}."));
        }
    }
    let owner = owner_of(machines, id)?.partition.as_ref()?;
    if replayed.applied().tail != owner.tail() {
        return broke(format!(
            "the owner's state rests on the log, but it is at offset {} and the log at {}.",
            owner.tail().offset,
            replayed.applied().tail.offset
        ));
    }
    let (ours, theirs) = (replayed.hash().ok()?, owner.state_hash().ok()?);
    if ours != theirs {
        return broke(format!("a replay of the log gives the owner's state: {ours} ≠ {theirs}."));
    }
    None
}

fn all_records(log: &SimLog, id: PartitionId) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    loop {
        let from = records.last().map_or(Offset(1), |last| last.header().offset.next());
        match log.read(id, from) {
            Ok(more) if !more.is_empty() => records.extend(more),
            _ => return records,
        }
    }
}

/// A hash over the log's bytes, of every partition, and `history`.
pub(super) fn fingerprint<E>(machines: &Machines<E>, history: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    for id in machines.ids() {
        for record in all_records(&machines.log, id) {
            hasher.update(record.as_bytes());
        }
    }
    hasher.update(history);
    hasher.finalize().into()
}
