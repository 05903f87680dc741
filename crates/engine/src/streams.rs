//! Streams: every entity that can be watched has a dense sequence of events with a retention of
//! its own, independent of the log's.

use crate::{Context, Time, tables::Events};
use evenkeel_log::Incarnation;
use evenkeel_state::{Order, Read, Row, StateError};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Something watched: the domain, and its own number for it in this partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity {
    /// The domain.
    pub domain: u8,
    /// The domain's number for it.
    pub id: u64,
}

/// Where a stream begins and ends; kept in the entity's own row, so that it costs no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHead {
    /// The oldest event that is kept.
    pub first: u64,
    /// The sequence of the next event.
    pub next: u64,
    /// When the oldest was emitted; meaningless of an empty stream.
    pub first_at: Time,
}

impl Default for StreamHead {
    fn default() -> Self {
        Self { first: 1, next: 1, first_at: Time(0) }
    }
}

impl StreamHead {
    /// Whether no event is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first == self.next
    }
}

/// An event as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it was decided.
    pub at: Time,
    /// What happened, in the domain's encoding.
    pub data: Vec<u8>,
}

impl Row for Event {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(1);
        out.extend_from_slice(&self.at.0.to_be_bytes());
        out.extend_from_slice(&self.data);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&1, rest) = bytes.split_first()? else { return None };
        let (at, data) = rest.split_first_chunk::<8>()?;
        Some(Self { at: Time(u64::from_be_bytes(*at)), data: data.to_vec() })
    }
}

/// A place in a stream: the last event that was seen. Opaque to callers; printed as
/// `incarnation.sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The life of the log in which it was handed out.
    pub incarnation: Incarnation,
    /// The sequence of the last event seen; 0 is before any.
    pub sequence: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incarnation, self.sequence)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (incarnation, sequence) = text.split_once('.').ok_or(())?;
        Ok(Self {
            incarnation: Incarnation(incarnation.parse().map_err(|_| ())?),
            sequence: sequence.parse().map_err(|_| ())?,
        })
    }
}

impl Context<'_, '_> {
    /// Appends an event to `entity`'s stream.
    pub fn emit(&mut self, entity: Entity, head: &mut StreamHead, data: Vec<u8>) {
        if head.is_empty() {
            head.first_at = self.now;
        }
        let key = (entity.domain, entity.id, head.next);
        self.tx.put::<Events>(&key, &Event { at: self.now, data });
        head.next += 1;
        self.touch(entity);
    }

    /// Tells whoever watches `entity`, once this is committed, that there is something new to read
    /// of it, event or not.
    pub fn touch(&mut self, entity: Entity) {
        if self.touched.last() != Some(&entity) {
            self.touched.push(entity);
        }
    }

    /// Forgets at most `count_max` events that were emitted at or before `at`.
    pub fn trim_events(
        &mut self,
        entity: Entity,
        head: &mut StreamHead,
        at: Time,
        count_max: usize,
    ) -> Result<(), StateError> {
        if head.is_empty() || head.first_at > at {
            return Ok(());
        }
        let from = (entity.domain, entity.id, head.first);
        let to = (entity.domain, entity.id, head.next);
        let oldest = self.tx.scan::<Events>(from..to, Order::Ascending, count_max + 1)?;
        for (index, (key, event)) in oldest.into_iter().enumerate() {
            head.first_at = event.at;
            if event.at > at || index == count_max {
                break;
            }
            self.tx.delete::<Events>(&key);
            head.first = key.2 + 1;
        }
        Ok(())
    }
}

/// Up to `limit` events after the one with sequence `after`, in order, with their sequences.
pub fn read_events(
    read: &impl Read,
    entity: Entity,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, Event)>, StateError> {
    let from = (entity.domain, entity.id, after.saturating_add(1));
    let to = (entity.domain, entity.id, u64::MAX);
    let events = read.scan::<Events>(from..=to, Order::Ascending, limit)?;
    Ok(events.into_iter().map(|(key, event)| (key.2, event)).collect())
}
