//! A history by conversation: what is there in the end, and who may have asked for it.

use crate::history::chat::{ChatHistory, Event, Happened, Operation, Outcome, Request};
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Book<'h> {
    pub(super) history: &'h ChatHistory,
    /// What is there of each conversation in the end.
    pub(super) sequences: BTreeMap<&'h str, Sequence<'h>>,
    /// By conversation and wish: the operations that may have had it come true.
    asked: BTreeMap<(&'h str, Wish<'h>), Vec<usize>>,
}

#[derive(Default)]
pub(super) struct Sequence<'h> {
    pub(super) events: BTreeMap<u64, &'h Event>,
    /// Messages that were taken back: what they said is nowhere any more.
    pub(super) deleted: BTreeSet<u64>,
}

/// What is to be so, as a request asks for it and as an event says it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish<'h> {
    Message { sender: &'h str, client_id: &'h str, body: &'h str },
    Edited { message: u64, body: &'h str },
    Deleted { message: u64 },
    Read { user: &'h str, message: u64 },
    Joined { user: &'h str },
    Left { user: &'h str },
}

impl<'h> Wish<'h> {
    pub(super) fn of_operation(operation: &'h Operation) -> Self {
        let user = operation.user.as_str();
        match &operation.request {
            Request::Send { client_id, body } => Self::Message { sender: user, client_id, body },
            Request::Edit { message, body } => Self::Edited { message: *message, body },
            Request::Delete { message } => Self::Deleted { message: *message },
            Request::Read { message } => Self::Read { user, message: *message },
            Request::Join => Self::Joined { user },
            Request::Leave => Self::Left { user },
        }
    }

    /// None of what nobody asks for by an operation.
    pub(super) fn of_event(event: &'h Event) -> Option<Self> {
        Some(match &event.happened {
            Happened::Message { sender, client_id, body } => {
                Self::Message { sender, client_id, body }
            }
            Happened::Edited { message, body } => Self::Edited { message: *message, body },
            Happened::Deleted { message } => Self::Deleted { message: *message },
            Happened::Read { user, message } => Self::Read { user, message: *message },
            Happened::Joined { user } => Self::Joined { user },
            Happened::Left { user } => Self::Left { user },
            Happened::Created { .. } | Happened::Other(_) => return None,
        })
    }
}

impl<'h> Book<'h> {
    pub(super) fn of(history: &'h ChatHistory) -> Self {
        let ends = history.end.iter().flat_map(|end| &end.conversations);
        let sequences = ends.map(|(name, events)| (name.as_str(), Sequence::of(events))).collect();
        let mut asked: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, operation) in history.operations.iter().enumerate() {
            if operation.may_have_happened() {
                let key = (operation.conversation.as_str(), Wish::of_operation(operation));
                asked.entry(key).or_default().push(index);
            }
        }
        Self { history, sequences, asked }
    }

    /// The operations that may have had this come true, in the order of calls.
    pub(super) fn asked(&self, conversation: &'h str, wish: Wish<'h>) -> &[usize] {
        self.asked.get(&(conversation, wish)).map_or(&[], Vec::as_slice)
    }

    /// Whether somebody may have asked for a marker of `user` at `message` or further on.
    pub(super) fn asked_to_read_on(
        &self,
        conversation: &'h str,
        user: &'h str,
        message: u64,
    ) -> bool {
        let read = |message| (conversation, Wish::Read { user, message });
        self.asked.range(read(message)..=read(u64::MAX)).next().is_some()
    }

    /// Whether somebody may have asked for `message` to say something else, whatever that was.
    pub(super) fn asked_to_edit(&self, conversation: &'h str, message: u64) -> bool {
        let edited = |message| (conversation, Wish::Edited { message, body: "" });
        self.asked.range(edited(message)..edited(message + 1)).next().is_some()
    }

    /// Whether `seen` is what is there, but for what was taken back since.
    pub(super) fn agrees(&self, conversation: &'h str, seen: &'h Event) -> bool {
        let Some(sequence) = self.sequences.get(conversation) else { return true };
        let Some(there) = sequence.events.get(&seen.seq) else { return false };
        if **there == *seen {
            return true;
        }
        // Before it was taken back it said what was asked for.
        let is_it = match (&there.happened, &seen.happened) {
            (
                Happened::Message { sender, client_id, .. },
                Happened::Message { sender: as_sender, client_id: as_client_id, .. },
            ) => {
                sequence.deleted.contains(&seen.seq)
                    && (sender, client_id) == (as_sender, as_client_id)
            }
            (Happened::Edited { message, .. }, Happened::Edited { message: of, .. }) => {
                sequence.deleted.contains(message) && message == of
            }
            _ => false,
        };
        let was_asked = |wish| !self.asked(conversation, wish).is_empty();
        is_it && there.at_ms == seen.at_ms && Wish::of_event(seen).is_some_and(was_asked)
    }
}

impl<'h> Sequence<'h> {
    fn of(events: &'h [Event]) -> Self {
        let mut sequence = Self::default();
        for event in events {
            sequence.events.insert(event.seq, event);
            if let Happened::Deleted { message } = event.happened {
                sequence.deleted.insert(message);
            }
        }
        sequence
    }

    pub(super) fn last(&self) -> u64 {
        self.events.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    /// Whether what an event says must be blank in the end.
    pub(super) fn is_blank(&self, event: &Event) -> bool {
        match event.happened {
            Happened::Message { .. } => self.deleted.contains(&event.seq),
            Happened::Edited { message, .. } => self.deleted.contains(&message),
            _ => false,
        }
    }
}

impl Operation {
    /// By which event it is so, if the answer says.
    pub(super) fn seq(&self) -> Option<u64> {
        match self.returned {
            Some((_, Outcome::Sent { seq, .. })) => Some(seq),
            Some((_, Outcome::Done { seq })) => seq,
            _ => None,
        }
    }
}
