//! I6, I7, I14: every reader sees the same, each event once and in order, and waits in bounded room; and
//! is shown who is there.

use super::{Sequence, Sequences, violation};
use crate::{
    checker::{Evidence, Violation},
    history::chat::{ChatHistory, Delivery, Event, Happened, Outcome, Reader},
};

/// Answers too how many events came and how often readers asked for what follows.
pub(super) fn check(
    history: &ChatHistory,
    sequences: &Sequences<'_>,
) -> (Vec<Violation>, u64, u64) {
    let mut violations = Vec::new();
    let mut progress: Vec<Progress<'_>> =
        history.readers.iter().map(|reader| Progress::new(reader, sequences)).collect();
    let (mut delivered, mut resumed) = (0, 0);
    for (index, seen) in history.seen.iter().enumerate() {
        delivered += u64::from(matches!(seen.what, Delivery::Event(_)));
        resumed += u64::from(matches!(seen.what, Delivery::Began { after } if after > 0));
        progress[seen.reader].take(index, &seen.what);
    }
    for one in &mut progress {
        violations.extend(one.end(history));
    }
    violations.extend(progress.iter().filter_map(Progress::waited));
    violations.extend(presence(history));
    (violations, delivered, resumed)
}

/// How far a reader is.
struct Progress<'h> {
    reader: &'h Reader,
    sequence: Option<&'h Sequence<'h>>,
    /// What was dealt with.
    last: u64,
    /// The delivery that brought that.
    brought: Option<usize>,
    /// Their own removal came, and nothing more may until they ask again.
    is_removed: bool,
    /// The first thing that is wrong: what follows proves nothing.
    wrong: Option<Violation>,
}

impl<'h> Progress<'h> {
    fn new(reader: &'h Reader, sequences: &'h Sequences<'h>) -> Self {
        let sequence = sequences.get(&reader.conversation);
        Self { reader, sequence, last: 0, brought: None, is_removed: false, wrong: None }
    }

    fn take(&mut self, index: usize, what: &Delivery) {
        if self.wrong.is_some() {
            return;
        }
        let broke = match what {
            Delivery::Began { .. } => {
                self.is_removed = false;
                None
            }
            Delivery::Ended => None,
            Delivery::Reset { seq } => self.resets(*seq),
            Delivery::Event(event) => self.comes(event),
        };
        if let Some((invariant, promise)) = broke {
            let proof = self.brought.into_iter().chain([index]).map(Evidence::Event);
            self.wrong = Some(violation(invariant, self.whom(), promise, proof));
        }
        self.brought = Some(index);
    }

    fn resets(&mut self, seq: u64) -> Option<(&'static str, String)> {
        let kept = self.sequence.and_then(|sequence| sequence.events.first_key_value());
        let is_kept = kept.is_some_and(|(first, _)| *first <= self.last + 1);
        let last = std::mem::replace(&mut self.last, seq);
        is_kept.then(|| {
            (
                "I7",
                format!("what is kept can be read, but what follows {last} was said to be gone."),
            )
        })
    }

    fn comes(&mut self, event: &Event) -> Option<(&'static str, String)> {
        let (last, seq) = (self.last, event.seq);
        self.last = seq;
        if self.is_removed {
            let promise = format!("a removed member hears nothing more, but {seq} came.");
            return Some(("I7", promise));
        }
        let is_theirs = matches!(&event.happened, Happened::Left { user }
            if Some(user) == self.reader.user.as_ref());
        self.is_removed = is_theirs;
        if seq <= last {
            let promise =
                format!("each event comes once and in order, but {seq} came after {last}.");
            return Some(("I7", promise));
        }
        if seq > last + 1 {
            let promise = format!("no event is left out, but {seq} came right after {last}.");
            return Some(("I7", promise));
        }
        if self.sequence.is_some_and(|sequence| !sequence.agrees(event)) {
            let promise = format!("all read the same, but {seq} was {:?}.", event.happened);
            return Some(("I6", promise));
        }
        None
    }

    fn end(&mut self, history: &ChatHistory) -> Option<Violation> {
        let until = self.sequence.map_or(0, Sequence::last);
        if self.wrong.is_some() || !self.reader.is_at_end || self.last >= until {
            return self.wrong.take();
        }
        let promise = format!("every event comes, but none came after {} of {until}.", self.last);
        // Whoever was told that it is there.
        let next = Some(self.last + 1);
        let told = history.operations.iter().position(|operation| {
            let seq = match operation.returned {
                Some((_, Outcome::Sent { seq, .. })) => Some(seq),
                Some((_, Outcome::Done { seq })) => seq,
                _ => None,
            };
            seq == next && operation.conversation == self.reader.conversation
        });
        let proof = self.brought.map(Evidence::Event).into_iter();
        let proof = proof.chain(told.map(Evidence::Operation));
        Some(violation("I7", self.whom(), promise, proof))
    }

    fn waited(&self) -> Option<Violation> {
        let waited = self.reader.waited.filter(|waited| waited.max > waited.room)?;
        Some(violation(
            "I14",
            "everybody who shares the server's memory",
            format!(
                "at most {} events wait for a connection, which is closed when there are more, but \
                 {} waited for {}.",
                waited.room, waited.max, self.reader.name
            ),
            self.brought.map(Evidence::Event),
        ))
    }

    fn whom(&self) -> String {
        format!("{}, who reads {}", self.reader.name, self.reader.conversation)
    }
}

fn presence(history: &ChatHistory) -> Vec<Violation> {
    let presence = history.end.iter().flat_map(|end| &end.presence);
    let wrong = presence.filter(|one| one.told != one.there).map(|one| {
        let reader = &history.readers[one.reader];
        violation(
            "presence",
            format!("{}, who reads {}", reader.name, reader.conversation),
            format!(
                "who is shown as present is, and the other way round, but they were shown {:?} and \
                 there are {:?}.",
                one.told, one.there
            ),
            [],
        )
    });
    wrong.collect()
}
