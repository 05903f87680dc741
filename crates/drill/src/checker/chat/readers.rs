//! I6, I7, I14: every reader sees the same, each event once and in order, and waits in bounded room; and
//! is shown who is there.

use super::{Book, Standings, book::Sequence, violation};
use crate::{
    checker::{Evidence, Violation},
    history::chat::{ChatHistory, Delivery, Event, Happened, Reader, Seen},
};
use std::collections::BTreeMap;

/// Answers too how many events came and how often readers asked for what follows.
pub(super) fn check(
    book: &Book<'_>,
    standings: &BTreeMap<&str, Standings<'_>>,
) -> (Vec<Violation>, u64, u64) {
    let history = book.history;
    let mut violations = Vec::new();
    let mut progress: Vec<Progress<'_>> = history.readers.iter().map(Progress::new).collect();
    let (mut delivered, mut resumed) = (0, 0);
    for (index, seen) in history.seen.iter().enumerate() {
        delivered += u64::from(matches!(seen.what, Delivery::Event(_)));
        resumed += u64::from(matches!(seen.what, Delivery::Began { after } if after > 0));
        progress[seen.reader].take(book, index, seen);
    }
    for one in &mut progress {
        violations.extend(one.end(book, standings));
    }
    violations.extend(progress.iter().filter_map(Progress::waited));
    violations.extend(presence(history));
    (violations, delivered, resumed)
}

/// How far a reader is.
struct Progress<'h> {
    reader: &'h Reader,
    /// What was dealt with.
    last: u64,
    /// The delivery that brought that.
    brought: Option<usize>,
    /// They were told that nothing more comes, until they ask again.
    is_ended: bool,
    /// They were told of their own removal: when they are back, if ever.
    removed: Option<Option<u64>>,
    /// The first thing that is wrong: what follows proves nothing.
    wrong: Option<Violation>,
}

impl<'h> Progress<'h> {
    fn new(reader: &'h Reader) -> Self {
        Self { reader, last: 0, brought: None, is_ended: false, removed: None, wrong: None }
    }

    fn take(&mut self, book: &Book<'h>, index: usize, seen: &'h Seen) {
        if self.wrong.is_some() {
            return;
        }
        let broke = match &seen.what {
            Delivery::Began { .. } => {
                self.is_ended = false;
                None
            }
            Delivery::Ended => {
                self.is_ended = true;
                None
            }
            Delivery::Reset { .. } => {
                let last = self.last;
                Some((
                    "I7",
                    format!(
                        "what is kept can be read, but what follows {last} was said to be gone."
                    ),
                ))
            }
            Delivery::Event(event) => self.comes(book, event, seen.at_ms),
        };
        if let Some((invariant, promise)) = broke {
            let proof = self.brought.into_iter().chain([index]).map(Evidence::Event);
            self.wrong = Some(violation(invariant, self.whom(), promise, proof));
        }
        self.brought = Some(index);
    }

    fn comes(
        &mut self,
        book: &Book<'h>,
        event: &'h Event,
        at_ms: u64,
    ) -> Option<(&'static str, String)> {
        let (last, seq) = (self.last, event.seq);
        self.last = seq;
        if self.is_ended {
            let promise =
                format!("who is told that nothing more comes hears no more, but {seq} came.");
            return Some(("I7", promise));
        }
        // Who is a member again reads on, over what was said without them.
        if self.removed.is_some_and(|back_ms| back_ms.is_none_or(|back_ms| back_ms > at_ms)) {
            let promise = format!("a removed member hears nothing more, but {seq} came.");
            return Some(("I7", promise));
        }
        if self.is_about(event, |user| Happened::Left { user }) {
            self.removed = Some(self.back_ms(book, seq));
        }
        if seq <= last {
            let promise =
                format!("each event comes once and in order, but {seq} came after {last}.");
            return Some(("I7", promise));
        }
        if seq > last + 1 {
            let promise = format!("no event is left out, but {seq} came right after {last}.");
            return Some(("I7", promise));
        }
        if !book.agrees(&self.reader.conversation, event) {
            let promise = format!("all read the same, but {seq} was {:?}.", event.happened);
            return Some(("I6", promise));
        }
        None
    }

    fn is_about(&self, event: &Event, happened: impl Fn(String) -> Happened) -> bool {
        self.reader.user.clone().is_some_and(|user| event.happened == happened(user))
    }

    /// When they are a member again after this.
    fn back_ms(&self, book: &Book<'h>, seq: u64) -> Option<u64> {
        let sequence = book.sequences.get(self.reader.conversation.as_str())?;
        let mut after = sequence.events.range(seq + 1..).map(|(_, event)| event);
        let back = after.find(|event| self.is_about(event, |user| Happened::Joined { user }))?;
        Some(back.at_ms)
    }

    fn end(
        &mut self,
        book: &Book<'h>,
        standings: &BTreeMap<&str, Standings<'_>>,
    ) -> Option<Violation> {
        let conversation = self.reader.conversation.as_str();
        let until = book.sequences.get(conversation).map_or(0, Sequence::last);
        let members = standings.get(conversation).map(|standings| &standings.last);
        let user = self.reader.user.as_deref();
        let may_read = user.is_none_or(|user| members.is_some_and(|all| all.contains_key(user)));
        if self.wrong.is_some() || !self.reader.is_at_end || !may_read || self.last >= until {
            return self.wrong.take();
        }
        let promise = format!("every event comes, but none came after {} of {until}.", self.last);
        // Whoever was told that it is there.
        let told = book.history.operations.iter().position(|operation| {
            operation.seq() == Some(self.last + 1) && operation.conversation == conversation
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
