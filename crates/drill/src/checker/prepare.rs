//! From what clients did to what the model is asked: one call for every effect that there may
//! have been, however often it was asked for.
//!
//! Attempts with the same key are one effect. If any was answered, the effect came before the
//! first answer, and the others have nothing more to say here (that they say the *same* is
//! `check_keys`). If none was, there may have been one effect, at any time since the first.

use super::linear::Call;
use super::reservations::{Asked, Reservations, Told};
use crate::history::{Answer, Capacity, History, Operation, Outcome, Places, Request};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What clients did with one resource, for the model.
pub(super) struct Prepared {
    pub(super) resource: String,
    pub(super) model: Reservations,
    pub(super) calls: Vec<Call<Asked, Told>>,
    /// Of each call, the operation that it comes from.
    pub(super) operations: Vec<usize>,
}

type Numbered<'h> = (usize, &'h Operation);

/// Prepares every resource of the history.
pub(super) fn prepare(history: &History) -> Vec<Prepared> {
    let mut by_resource: BTreeMap<&str, Vec<Numbered<'_>>> = BTreeMap::new();
    for (index, operation) in history.operations.iter().enumerate() {
        by_resource.entry(&operation.resource).or_default().push((index, operation));
    }
    by_resource
        .into_iter()
        .map(|(resource, operations)| {
            let capacity = history.inventory.get(resource).cloned();
            one_resource(resource, capacity.unwrap_or(Capacity::Quantity(0)), &operations)
        })
        .collect()
}

fn one_resource(resource: &str, capacity: Capacity, operations: &[Numbered<'_>]) -> Prepared {
    let mut groups: BTreeMap<(Option<&str>, usize), Vec<Numbered<'_>>> = BTreeMap::new();
    for (index, operation) in operations {
        let alone = if operation.key.is_some() { 0 } else { *index };
        groups.entry((operation.key.as_deref(), alone)).or_default().push((*index, operation));
    }
    let mut calls: Vec<(usize, Call<Asked, Told>)> =
        groups.values().flat_map(|g| group(g)).collect();
    calls.sort_by_key(|(index, _)| *index);
    let named = calls.iter().filter_map(|(_, call)| call.op.request.hold().map(Arc::from));
    let named: BTreeSet<Arc<str>> = named.collect();
    let untold = untold(&calls, &named);
    let (operations, calls) = calls.into_iter().unzip();
    let model = Reservations { capacity, named, untold };
    Prepared { resource: resource.to_owned(), model, calls, operations }
}

/// The calls of the attempts that share a key, or of one without.
fn group(attempts: &[Numbered<'_>]) -> Vec<(usize, Call<Asked, Told>)> {
    let shared = attempts.len() > 1;
    let mut calls = Vec::new();
    let mut possible = Vec::new();
    for attempt @ (index, operation) in attempts {
        match &operation.returned {
            Some((at, Outcome::Refused { refusal, at_ms })) => {
                let told = Told { answer: Err(refusal.clone()), at_ms: *at_ms };
                let (op, called) = (asked(*index, operation, shared), operation.called);
                calls.push((*index, Call { op, called, returned: Some((*at, told)) }));
            }
            Some((_, Outcome::TurnedAway(_))) => {}
            Some((_, Outcome::Ok { .. } | Outcome::Unknown)) | None => possible.push(*attempt),
        }
    }
    calls.extend(effect(&possible, shared));
    calls
}

/// The one effect that these attempts may have had.
fn effect(possible: &[Numbered<'_>], shared: bool) -> Option<(usize, Call<Asked, Told>)> {
    let answered = possible.iter().filter_map(|attempt| ok(*attempt));
    let first = answered.clone().min_by_key(|ok| ok.at);
    let fresh = answered.clone().find(|ok| !ok.replayed);
    let Some(first) = first else {
        let (index, operation) = *possible.first()?;
        let changes = operation.request != Request::Read;
        let (op, called) = (asked(index, operation, shared), operation.called);
        return changes.then_some((index, Call { op, called, returned: None }));
    };
    let chosen = fresh.unwrap_or(first);
    let earliest = possible.iter().map(|(_, operation)| operation.called).min();
    let own = chosen.operation.called;
    let called = if !chosen.replayed && own < first.at { own } else { earliest.unwrap_or(own) };
    let told = Told {
        answer: Ok(chosen.answer.clone()),
        // A stored answer may carry the time of its effect or that of its replay.
        at_ms: chosen.at_ms.filter(|_| !chosen.replayed),
    };
    let op = asked(chosen.index, chosen.operation, shared);
    Some((chosen.index, Call { op, called, returned: Some((first.at, told)) }))
}

#[derive(Clone, Copy)]
struct Yes<'h> {
    index: usize,
    operation: &'h Operation,
    at: u64,
    answer: &'h Answer,
    replayed: bool,
    at_ms: Option<u64>,
}

fn ok((index, operation): Numbered<'_>) -> Option<Yes<'_>> {
    match &operation.returned {
        Some((at, Outcome::Ok { answer, replayed, at_ms })) => {
            Some(Yes { index, operation, at: *at, answer, replayed: *replayed, at_ms: *at_ms })
        }
        _ => None,
    }
}

fn asked(index: usize, operation: &Operation, shared: bool) -> Asked {
    let places = match &operation.request {
        Request::Hold { places, .. } => Some(Arc::<Places>::new(places.clone())),
        _ => None,
    };
    Asked {
        request: operation.request.clone(),
        places,
        key: operation.key.as_deref().filter(|_| shared).map(Arc::from),
        name: format!("the hold of operation {index}").into(),
    }
}

/// Ids that operations name and no answer told: if they are of holds at all, then of some that
/// were taken unheard.
fn untold(calls: &[(usize, Call<Asked, Told>)], named: &BTreeSet<Arc<str>>) -> BTreeSet<Arc<str>> {
    let mut untold = named.clone();
    for (_, call) in calls {
        let answer = call.returned.as_ref().and_then(|(_, told)| told.answer.as_ref().ok());
        if let Some(Answer::Held { hold, .. } | Answer::Confirmed { hold, .. }) = answer
            && call.op.request.hold() != Some(hold)
        {
            untold.remove(hold.as_str());
        }
    }
    untold
}
