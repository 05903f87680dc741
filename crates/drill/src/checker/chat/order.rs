//! I6: one dense order, in which what was answered before something else was asked comes before it.

use super::{
    Book,
    book::{Sequence, Wish},
    violation,
};
use crate::{
    checker::{Evidence, Violation},
    history::chat::{Event, Operation},
};
use std::collections::BTreeMap;

pub(super) fn check(book: &Book<'_>) -> Vec<Violation> {
    let ends = book.history.end.iter().flat_map(|end| &end.conversations);
    let dense = ends.filter_map(|(name, events)| is_dense(name, events));
    let follows =
        book.sequences.iter().filter_map(|(name, sequence)| follows(book, name, sequence));
    dense.chain(follows).collect()
}

/// Of the events as they were read, in that order.
fn is_dense(conversation: &str, events: &[Event]) -> Option<Violation> {
    let first = events.first().map_or(0, |first| first.seq);
    let begins =
        (first != 1).then(|| format!("a sequence begins with 1, but this one with {first}."));
    let wrong = begins.or_else(|| {
        events.windows(2).find_map(|two| {
            let [one, next] = two else { return None };
            if next.seq != one.seq + 1 {
                Some(format!("a sequence is dense, but event {} follows {}.", next.seq, one.seq))
            } else if next.at_ms < one.at_ms {
                let (at, before) = (next.at_ms, one.at_ms);
                Some(format!(
                    "time does not go back, but event {} is of {at} ms and the one before of \
                     {before}.",
                    next.seq
                ))
            } else {
                None
            }
        })
    })?;
    Some(violation("I6", format!("everyone who reads {conversation}"), wrong, []))
}

/// Something of which it is known where it is.
#[derive(Clone, Copy)]
struct Known {
    seq: u64,
    at_ms: u64,
    operation: usize,
}

/// What was first asked for after something else was acknowledged comes after it.
fn follows(book: &Book<'_>, conversation: &str, sequence: &Sequence<'_>) -> Option<Violation> {
    let mut asked = first_asked(book, conversation, sequence);
    asked.sort_by_key(|known| known.at_ms);
    let mut told = acknowledged(book, conversation);
    told.sort_by_key(|known| known.at_ms);
    let mut told = told.into_iter().peekable();
    let mut last: Option<Known> = None;
    for known in asked {
        while let Some(before) = told.next_if(|before| before.at_ms < known.at_ms) {
            last = last.filter(|last| last.seq > before.seq).or(Some(before));
        }
        if let Some(before) = last.filter(|before| before.seq >= known.seq) {
            return Some(violation(
                "I6",
                format!("everyone who reads {conversation}"),
                format!(
                    "what is asked after something was acknowledged comes after it, but {} was given \
                     to what was asked once {} was acknowledged.",
                    known.seq, before.seq
                ),
                [before.operation, known.operation].map(Evidence::Operation),
            ));
        }
    }
    None
}

/// Of whatever was asked for, however often: where it is, by an answer or in the end, and when that was
/// asked first.
fn first_asked(book: &Book<'_>, conversation: &str, sequence: &Sequence<'_>) -> Vec<Known> {
    let mut first: BTreeMap<Wish<'_>, Known> = BTreeMap::new();
    let mut at: Vec<(Wish<'_>, u64)> = Vec::new();
    for (operation, one) in of(book, conversation) {
        let Some(wish) = name(Wish::of_operation(one)) else { continue };
        let known = Known { seq: 0, at_ms: one.called_ms, operation };
        let before = first.entry(wish).or_insert(known);
        before.at_ms = before.at_ms.min(one.called_ms);
        at.extend(one.seq().map(|seq| (wish, seq)));
    }
    let there = sequence.events.values();
    at.extend(there.filter_map(|event| Some((name(Wish::of_event(event)?)?, event.seq))));
    let known = at.into_iter().filter_map(|(wish, seq)| Some(Known { seq, ..*first.get(&wish)? }));
    known.collect()
}

/// A message is known by its client id, whatever is left of what it says. A marker that is asked to be far on
/// may be nearer, where another asks it to be.
fn name(wish: Wish<'_>) -> Option<Wish<'_>> {
    match wish {
        Wish::Message { sender, client_id, .. } => {
            Some(Wish::Message { sender, client_id, body: "" })
        }
        Wish::Read { .. } => None,
        other => Some(other),
    }
}

fn acknowledged(book: &Book<'_>, conversation: &str) -> Vec<Known> {
    let told = of(book, conversation).filter_map(|(operation, one)| {
        let (at_ms, _) = one.returned.as_ref()?;
        Some(Known { seq: one.seq()?, at_ms: *at_ms, operation })
    });
    told.collect()
}

fn of<'b>(
    book: &'b Book<'_>,
    conversation: &'b str,
) -> impl Iterator<Item = (usize, &'b Operation)> {
    let all = book.history.operations.iter().enumerate();
    all.filter(move |(_, one)| one.conversation == conversation)
}
