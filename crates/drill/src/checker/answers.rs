//! Linearizability of every resource's answers, and what to say when they are not.

use super::linear::{self, Model, STAMPS, Verdict};
use super::prepare::{Prepared, prepare};
use super::resource::{Phase, Resource, Wrong};
use super::violation::{Evidence, Violation};
use crate::history::{Answer, History, Operation, Places, Request};
use std::collections::HashSet;

/// Steps of the model that one resource may take, unless told otherwise.
pub const STEPS_MAX_DEFAULT: usize = 300_000;
/// States that are followed when an order is replayed to say what is wrong after it.
const REPLAYED_MAX: usize = 64;
/// Operations shown beside the one that cannot be explained.
const SHOWN_MAX: usize = 8;

/// What [`check_answers`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// Answers that no order of operations explains: at most one a resource.
    pub violations: Vec<Violation>,
    /// Resources that could not be judged within the budget.
    pub undecided: Vec<String>,
}

/// Judges the answers of each resource on its own, in at most `steps_max` steps of the model.
#[must_use]
pub fn check_answers(history: &History, steps_max: usize) -> Answers {
    let mut answers = Answers::default();
    for prepared in prepare(history) {
        match linear::check(&prepared.model, &prepared.calls, steps_max) {
            Verdict::Valid => {}
            Verdict::Invalid { placed, stuck } => {
                answers.violations.push(violation(history, &prepared, &placed, stuck));
            }
            Verdict::Unknown { .. } => answers.undecided.push(prepared.resource),
        }
    }
    answers
}

fn violation(history: &History, prepared: &Prepared, placed: &[usize], stuck: usize) -> Violation {
    let state = replay(prepared, placed);
    let call = &prepared.calls[stuck];
    let ret = call.returned.as_ref().map(|(_, told)| told);
    let index = prepared.operations[stuck];
    let operation = &history.operations[index];
    let mut shown = related(history, prepared, placed, &state, operation);
    shown.push(index);
    let wrong = match out_of_turn(prepared, placed, stuck) {
        Some((wrong, before)) => {
            shown = vec![index, prepared.operations[before]];
            wrong
        }
        None => prepared.model.apply(&state, &call.op, ret).err().unwrap_or(Wrong::TimeBack),
    };
    let (invariant, promise) = words(wrong);
    Violation {
        invariant,
        promise: promise.to_owned(),
        whom: format!("client {}, who asked {}", operation.client, describe(operation)),
        events: shown.into_iter().map(Evidence::Operation).collect(),
    }
}

/// Whether `stuck` says that it was decided after something that was asked only later, and what.
fn out_of_turn(prepared: &Prepared, placed: &[usize], stuck: usize) -> Option<(Wrong, usize)> {
    let stamps = |index: usize| -> Option<[Option<u64>; STAMPS]> {
        let call = &prepared.calls[index];
        let (_, told) = call.returned.as_ref()?;
        Some(prepared.model.stamps(&call.op, told))
    };
    let own = stamps(stuck)?;
    let before = |which: usize| {
        let waiting = (0..prepared.calls.len()).filter(|index| !placed.contains(index));
        let stamped = waiting.filter_map(|index| Some((stamps(index)?[which]?, index)));
        stamped.min().filter(|(stamp, _)| own[which].is_some_and(|own| *stamp < own))
    };
    let wrong = [Wrong::TimeBack, Wrong::FenceBack];
    (0..STAMPS).find_map(|which| before(which).map(|(_, index)| (wrong[which], index)))
}

/// A state after the operations that could be explained.
fn replay(prepared: &Prepared, placed: &[usize]) -> Resource {
    let mut states = HashSet::from([prepared.model.init()]);
    for index in placed {
        let call = &prepared.calls[*index];
        let ret = call.returned.as_ref().map(|(_, told)| told);
        let after = states.iter().flat_map(|state| prepared.model.step(state, &call.op, ret));
        states = after.take(REPLAYED_MAX).collect();
    }
    states.into_iter().next().unwrap_or_default()
}

/// The operations that show why `operation` cannot be explained, the latest last.
fn related(
    history: &History,
    prepared: &Prepared,
    placed: &[usize],
    state: &Resource,
    operation: &Operation,
) -> Vec<usize> {
    let subject = operation.request.hold();
    let concerns = |index: &usize| {
        let other = &history.operations[*index];
        if other.key.is_some() && other.key == operation.key {
            return true;
        }
        let made = match other.answer() {
            Some(Answer::Held { hold, .. } | Answer::Confirmed { hold, .. }) => Some(hold.as_str()),
            _ => None,
        };
        match (subject, made) {
            (Some(subject), made) => made == Some(subject) || other.request.hold() == Some(subject),
            (None, Some(made)) => {
                let live = state.holds.get(made);
                let live = live.filter(|hold| matches!(hold.phase, Phase::Held | Phase::Confirmed));
                live.is_some_and(|hold| overlap(&hold.places, &operation.request))
            }
            (None, None) => false,
        }
    };
    let mut shown: Vec<usize> =
        placed.iter().map(|call| prepared.operations[*call]).filter(concerns).collect();
    shown.split_off(shown.len().saturating_sub(SHOWN_MAX))
}

fn overlap(places: &Places, request: &Request) -> bool {
    match (places, request) {
        (Places::Seats(seats), Request::Hold { places: Places::Seats(wanted), .. }) => {
            seats.iter().any(|seat| wanted.contains(seat))
        }
        _ => true,
    }
}

fn describe(operation: &Operation) -> String {
    let resource = &operation.resource;
    match &operation.request {
        Request::Hold { places: Places::Quantity(units), .. } => {
            format!("to hold {units} of {resource}")
        }
        Request::Hold { places: Places::Seats(seats), .. } => {
            format!("to hold {} of {resource}", seats.join(", "))
        }
        Request::Confirm { hold, .. } => format!("to confirm {hold} of {resource}"),
        Request::Release { hold } => format!("to release {hold} of {resource}"),
        Request::Extend { hold, .. } => format!("to extend {hold} of {resource}"),
        Request::Cancel { hold } => format!("to cancel {hold} of {resource}"),
        Request::Read => format!("what is free of {resource}"),
    }
}

fn words(wrong: Wrong) -> (&'static str, &'static str) {
    match wrong {
        Wrong::NotFree => ("I3", "a place is given to one at a time, but this one was taken."),
        Wrong::StillFree => {
            ("I5", "a refusal rests on the true state, but the places refused were free.")
        }
        Wrong::Lost => (
            "I1",
            "what was acknowledged is never lost, but the answer knows another set of holds.",
        ),
        Wrong::Resolved => {
            ("I4", "a hold resolves once, but the answer contradicts how it was resolved.")
        }
        Wrong::Lapsed => {
            ("I4", "a hold is over at its time, but the answer treats it as held after that.")
        }
        Wrong::StillHeld => {
            ("I4", "a hold is held until its time, but the answer treats it as over before that.")
        }
        Wrong::FenceBack => {
            ("I4", "the fence grows with every hold on a resource, but here it went back.")
        }
        Wrong::TimeBack => (
            "I4",
            "record time never goes back, but this was decided at a later time than something that \
             was asked for only after it was answered.",
        ),
        Wrong::Miscounted => (
            "I5",
            "a linearizable read sees all that was answered before it, but this one does not.",
        ),
        Wrong::KeyForgotten => (
            "I2",
            "a key keeps its answer, but a retry was refused after the request had its effect.",
        ),
        Wrong::Nonsense => ("I1", "the answer is none that this request can have."),
    }
}
