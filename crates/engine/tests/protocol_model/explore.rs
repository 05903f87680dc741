//! Breadth-first exploration of every state that the bounds leave reachable.
//!
//! Visited states are kept as 64-bit fingerprints with that of the state they were first reached
//! from; a counterexample is found again by following those from the start.

use super::rules::{Action, Events, Protocol};
use super::world::{Promise, State};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

/// Far more than any test here needs: reaching it is a mistake in the bounds.
const STATES_MAX: usize = 10_000_000;

/// What an exploration found.
pub(crate) struct Exploration {
    pub(crate) states: usize,
    pub(crate) events: Events,
    /// A promise that is broken, and the shortest way there.
    pub(crate) counterexample: Option<(Promise, Vec<String>)>,
}

type Origins = HashMap<u64, u64, BuildHasherDefault<DefaultHasher>>;

/// Explores until a promise is broken or nothing is left.
pub(crate) fn explore(protocol: &Protocol, promises: &[Promise]) -> Exploration {
    let start = State::genesis();
    let mut origins = Origins::default();
    let mut events = Events::new();
    origins.insert(fingerprint(&start), 0);
    let mut level = vec![(fingerprint(&start), start)];
    let mut actions = Vec::new();
    while !level.is_empty() {
        let mut next_level = Vec::new();
        for (origin, state) in level {
            if let Some(promise) = promises.iter().find(|promise| !state.keeps(**promise)) {
                let steps = path(protocol, &origins, origin);
                let counterexample = Some((*promise, steps));
                return Exploration { states: origins.len(), events, counterexample };
            }
            protocol.enabled(&state, &mut actions);
            for action in actions.drain(..) {
                let next = protocol.step(&state, action, &mut events);
                let reached = fingerprint(&next);
                origins.entry(reached).or_insert_with(|| {
                    next_level.push((reached, next));
                    origin
                });
            }
            assert!(origins.len() < STATES_MAX, "the bounds leave too much to explore");
        }
        level = next_level;
    }
    Exploration { states: origins.len(), events, counterexample: None }
}

fn fingerprint(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// The steps from the start to the state of fingerprint `last`.
fn path(protocol: &Protocol, origins: &Origins, last: u64) -> Vec<String> {
    let mut way: Vec<u64> =
        std::iter::successors(Some(last), |at| origins.get(at).copied()).collect();
    way.reverse();
    let mut state = State::genesis();
    let mut steps = Vec::new();
    for target in way.into_iter().skip(2) {
        let (action, next) = step_to(protocol, &state, target);
        steps.push(action.to_string());
        state = next;
    }
    steps
}

fn step_to(protocol: &Protocol, state: &State, target: u64) -> (Action, State) {
    let mut actions = Vec::new();
    protocol.enabled(state, &mut actions);
    actions
        .into_iter()
        .map(|action| (action, protocol.step(state, action, &mut Events::new())))
        .find(|(_, next)| fingerprint(next) == target)
        .expect("every state but the first was reached from its origin by one action")
}
