//! What happened in a conversation, in the order of its one sequence: messages and everything else.

use super::{
    Happening, Message, Start, What,
    queries::ITEM_BYTES,
    tables::{Conversation, Happenings, Messages, Place},
};
use crate::reservations::{PAGE_BYTES_MAX, PAGE_ROWS_MAX};
use evenkeel_engine::{Entity, Position, Time};
use evenkeel_log::Incarnation;
use evenkeel_state::{Order, Read, StateError};
use std::collections::VecDeque;

/// Something in a conversation's sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventView {
    /// Where it is.
    pub position: Position,
    /// What it is.
    pub event: ChatEvent,
}

/// What is in a conversation's sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatEvent {
    /// Somebody said something.
    Message(Message),
    /// Something else happened.
    Happening(Happening),
}

impl ChatEvent {
    /// When it was decided.
    #[must_use]
    pub fn at(&self) -> Time {
        match self {
            Self::Message(message) => message.at,
            Self::Happening(happening) => happening.at,
        }
    }

    /// Who is no member any more by it, if it is that.
    #[must_use]
    pub fn removed(&self) -> Option<&str> {
        match self {
            Self::Happening(Happening { what: What::MemberRemoved { user }, .. }) => Some(user),
            _ => None,
        }
    }

    /// Bytes that it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        ITEM_BYTES
            + match self {
                Self::Message(message) => message.body.len(),
                Self::Happening(Happening { what: What::Edited { body, .. }, .. }) => body.len(),
                Self::Happening(Happening { what: What::Created { members }, .. }) => {
                    members.iter().map(|(user, _)| user.len() + 40).sum()
                }
                Self::Happening(_) => 0,
            }
    }
}

/// A part of a conversation's sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsPage {
    /// What to watch for more.
    pub entity: Entity,
    /// The events after the position asked for.
    pub events: Vec<EventView>,
    /// The position after which to read on.
    pub next: Position,
    /// Nothing follows yet.
    pub is_last: bool,
    /// The position asked for is not one of this sequence's, or what follows it is gone.
    pub reset: bool,
}

/// What follows in a conversation's sequence: messages and what else happened, merged.
pub(super) fn events(
    read: &impl Read,
    row: &Conversation,
    incarnation: Incarnation,
    start: Start,
    limit: usize,
) -> Result<EventsPage, StateError> {
    let (entity, last) = (row.entity(), row.next - 1);
    let page = |events: Vec<EventView>, next: u64, reset: bool| EventsPage {
        entity,
        events,
        next: Position { incarnation, sequence: next },
        is_last: next == last,
        reset,
    };
    let after = match start {
        Start::Now => return Ok(page(Vec::new(), last, false)),
        Start::Oldest => row.first() - 1,
        Start::After(position) => {
            let gone =
                position.sequence.saturating_add(1) < row.first() || position.sequence > last;
            if position.incarnation != incarnation || gone {
                return Ok(page(Vec::new(), last, true));
            }
            position.sequence
        }
    };
    let found = events_after(read, row, after, limit.min(PAGE_ROWS_MAX))?;
    let next = found.last().map_or(after, |(seq, _)| *seq);
    let views = found
        .into_iter()
        .map(|(sequence, event)| EventView { position: Position { incarnation, sequence }, event });
    Ok(page(views.collect(), next, false))
}

/// Up to `limit` events after the one of this sequence, of which all are kept.
fn events_after(
    read: &impl Read,
    row: &Conversation,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, ChatEvent)>, StateError> {
    let mut source = Events { read, row, said: Ahead::default(), happened: Ahead::default() };
    let (mut events, mut bytes) = (Vec::new(), 0);
    for seq in after + 1..row.next {
        if events.len() == limit {
            break;
        }
        let Some(event) = source.get(seq, limit - events.len())? else { break };
        bytes += event.bytes();
        if bytes > PAGE_BYTES_MAX && !events.is_empty() {
            break;
        }
        events.push((seq, event));
    }
    Ok(events)
}

/// What happened, by sequence, from two tables: where one has a gap, the other has what fills it.
struct Events<'e, R> {
    read: &'e R,
    row: &'e Conversation,
    said: Ahead<Message>,
    happened: Ahead<Happening>,
}

/// Rows of a table that were read ahead.
type Ahead<T> = VecDeque<(u64, T)>;

/// So few events are looked up one by one: they are new, and in memory.
const FEW: u64 = 8;

impl<R: Read> Events<'_, R> {
    /// The event of this sequence; up to `room` more will be asked for.
    fn get(&mut self, seq: u64, room: usize) -> Result<Option<ChatEvent>, StateError> {
        let Some(segment) = self.row.segment_of(seq) else { return Ok(None) };
        let key = (self.row.id, segment, seq);
        if self.row.next - seq <= FEW && self.said.is_empty() && self.happened.is_empty() {
            if let Some(message) = self.read.get::<Messages>(&key)? {
                return Ok(Some(ChatEvent::Message(message)));
            }
            let happening = self.read.get::<Happenings>(&key)?;
            return Ok(happening.map(ChatEvent::Happening));
        }
        if self.said.is_empty() && self.happened.front().is_none_or(|(first, _)| *first != seq) {
            let rows = self.read.scan::<Messages>(key..self.end(), Order::Ascending, room)?;
            self.said = rows.into_iter().map(|((_, _, seq), message)| (seq, message)).collect();
        }
        if let Some((_, message)) = self.said.pop_front_if(|(first, _)| *first == seq) {
            return Ok(Some(ChatEvent::Message(message)));
        }
        if self.happened.is_empty() {
            let rows = self.read.scan::<Happenings>(key..self.end(), Order::Ascending, room)?;
            self.happened = rows.into_iter().map(|((_, _, seq), what)| (seq, what)).collect();
        }
        let happening = self.happened.pop_front_if(|(first, _)| *first == seq);
        Ok(happening.map(|(_, happening)| ChatEvent::Happening(happening)))
    }

    fn end(&self) -> Place {
        (self.row.id + 1, 0, 0)
    }
}
