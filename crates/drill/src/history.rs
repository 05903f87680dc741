//! What clients did and what they were told: the evidence that the [`checker`](crate::checker)
//! judges, and nothing else. It knows no transport and no engine; the simulator and the crash
//! drill record into it alike.
//!
//! Time here is a logical count of calls and returns, in the order in which the recorder saw
//! them. Milliseconds are the server's own record time, where an answer carries it.
//!
//! As text a history is NDJSON: one line a resource, then one line an operation.

pub mod chat;
pub mod feed;
pub mod jobs;
pub mod limits;

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Read, Write};

/// Operations in one history.
pub const OPERATIONS_MAX: usize = 5_000_000;
/// Bytes in one line of a history's text.
pub const LINE_BYTES_MAX: u64 = 1 << 20;

/// What a resource has to give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capacity {
    /// So many places without names. A lock is one.
    Quantity(u64),
    /// These places.
    Seats(BTreeSet<String>),
}

impl Capacity {
    /// How many places there are.
    #[must_use]
    pub fn places(&self) -> u64 {
        match self {
            Self::Quantity(quantity) => *quantity,
            Self::Seats(seats) => seats.len() as u64,
        }
    }
}

/// What a hold takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Places {
    /// So many units. A lock is one.
    Quantity(u64),
    /// These seats.
    Seats(Vec<String>),
}

impl Places {
    /// How many places that is.
    #[must_use]
    pub fn units(&self) -> u64 {
        match self {
            Self::Quantity(quantity) => *quantity,
            Self::Seats(seats) => seats.len() as u64,
        }
    }

    pub(crate) fn seats(&self) -> &[String] {
        match self {
            Self::Quantity(_) => &[],
            Self::Seats(seats) => seats,
        }
    }
}

/// What was asked of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Take places for a time.
    Hold {
        /// Which.
        places: Places,
        /// For how long.
        ttl_ms: u64,
    },
    /// Make a hold permanent.
    Confirm {
        /// Its id.
        hold: String,
        /// Whether an expired one is to take the same places again.
        reacquire: bool,
    },
    /// Give back a hold that is not confirmed.
    Release {
        /// Its id.
        hold: String,
    },
    /// Have a hold expire `ttl_ms` from now.
    Extend {
        /// Its id.
        hold: String,
        /// From now.
        ttl_ms: u64,
    },
    /// Give back a confirmed hold.
    Cancel {
        /// Its id.
        hold: String,
    },
    /// Count the places, linearizably. Reads of a weaker level do not belong in a history.
    Read,
}

impl Request {
    /// The hold that it names.
    #[must_use]
    pub fn hold(&self) -> Option<&str> {
        match self {
            Self::Confirm { hold, .. }
            | Self::Release { hold }
            | Self::Extend { hold, .. }
            | Self::Cancel { hold } => Some(hold),
            Self::Hold { .. } | Self::Read => None,
        }
    }
}

/// What a yes says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A new hold.
    Held {
        /// Its id.
        hold: String,
        /// Its fence.
        fence: u64,
        /// Until when, in record time.
        expires_at_ms: u64,
    },
    /// A hold is permanent.
    Confirmed {
        /// Its id: another one than asked for, if the places were taken again.
        hold: String,
        /// Its fence.
        fence: u64,
    },
    /// A hold was given back before it was confirmed.
    Released,
    /// A hold has more time.
    Extended {
        /// Until when, in record time.
        expires_at_ms: u64,
    },
    /// A confirmed hold was given back.
    Cancelled,
    /// The places at one moment.
    Counted {
        /// Nobody's.
        available: u64,
        /// Held.
        held: u64,
        /// Confirmed.
        confirmed: u64,
    },
}

/// What a no says. It had no effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Fewer places are free than asked for.
    SoldOut,
    /// These seats are not free.
    SeatTaken(Vec<String>),
    /// The hold has expired.
    HoldExpired,
    /// The hold is in no state for this.
    WrongState,
    /// There is no such hold.
    NoHold,
}

/// What became of an operation, as its client knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Yes.
    Ok {
        /// What it says.
        answer: Answer,
        /// Whether it is marked as the stored answer of an earlier request with the same key.
        replayed: bool,
        /// The record time at which it was decided, if it says.
        at_ms: Option<u64>,
    },
    /// No, for a reason of the domain's.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The record time at which it was decided, if it says.
        at_ms: Option<u64>,
    },
    /// Turned away with a promise of no effect, for a reason that says nothing of the resource:
    /// overload, a bad request, a key used twice for different requests.
    TurnedAway(String),
    /// Nobody knows: it may have had its effect, may yet have it, or never.
    Unknown,
}

/// One request of one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Who asked. A client asks again only after it was answered or gave up.
    pub client: u64,
    /// Of which resource.
    pub resource: String,
    /// Under which idempotency key.
    pub key: Option<String>,
    /// What.
    pub request: Request,
    /// When it was asked, in logical time.
    pub called: u64,
    /// When the client heard or gave up, and what. `None`: it was still waiting at the end.
    pub returned: Option<(u64, Outcome)>,
}

impl Operation {
    /// What it was told, if it was a yes.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        match &self.returned {
            Some((_, Outcome::Ok { answer, .. })) => Some(answer),
            _ => None,
        }
    }
}

/// Why a history cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file failed.
    #[error("the history cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// A line is not part of a history.
    #[error("line {line} of the history is not understood: {source}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// It is larger than a history may be.
    #[error(
        "the history is larger than {OPERATIONS_MAX} operations or has a line that is too long"
    )]
    TooLarge,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Resource { name: String, capacity: Capacity },
    Operation(Operation),
}

/// Everything that clients asked of some resources, and what they were told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// What each resource has had to give, from before the first operation to the end.
    pub inventory: BTreeMap<String, Capacity>,
    /// In the order in which they were called.
    pub operations: Vec<Operation>,
    /// Logical time now.
    now: u64,
}

impl History {
    /// An empty history of these resources, none of which has a hold yet.
    #[must_use]
    pub fn new(inventory: impl IntoIterator<Item = (String, Capacity)>) -> Self {
        Self { inventory: inventory.into_iter().collect(), operations: Vec::new(), now: 0 }
    }

    /// Records that `client` asks, now. The answer names the operation.
    pub fn call(
        &mut self,
        client: u64,
        resource: &str,
        key: Option<&str>,
        request: Request,
    ) -> usize {
        let called = self.tick();
        self.operations.push(Operation {
            client,
            resource: resource.to_owned(),
            key: key.map(str::to_owned),
            request,
            called,
            returned: None,
        });
        self.operations.len() - 1
    }

    /// Records that the client of `operation` hears its outcome, now. Only the first counts.
    pub fn returns(&mut self, operation: usize, outcome: Outcome) {
        let at = self.tick();
        if let Some(operation) = self.operations.get_mut(operation) {
            operation.returned.get_or_insert((at, outcome));
        }
    }

    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// Writes it as NDJSON.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write_ndjson(&self, mut to: impl Write) -> Result<(), HistoryError> {
        let resources = self.inventory.iter().map(|(name, capacity)| Line::Resource {
            name: name.clone(),
            capacity: capacity.clone(),
        });
        let operations = self.operations.iter().cloned().map(Line::Operation);
        for line in resources.chain(operations) {
            serde_json::to_writer(&mut to, &line).map_err(std::io::Error::from)?;
            to.write_all(b"\n")?;
        }
        to.flush()?;
        Ok(())
    }

    /// Reads what [`History::write_ndjson`] wrote.
    ///
    /// # Errors
    /// Those of `from`, a line that is not part of a history, and a history that is too large.
    pub fn read_ndjson(mut from: impl BufRead) -> Result<Self, HistoryError> {
        let mut history = Self::default();
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            let length = from.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text)?;
            if length == 0 {
                break;
            }
            if length as u64 == LINE_BYTES_MAX || history.operations.len() == OPERATIONS_MAX {
                return Err(HistoryError::TooLarge);
            }
            match serde_json::from_slice(&text) {
                Ok(Line::Resource { name, capacity }) => {
                    history.inventory.insert(name, capacity);
                }
                Ok(Line::Operation(operation)) => {
                    let last = operation.returned.as_ref().map_or(operation.called, |at| at.0);
                    history.now = history.now.max(last);
                    history.operations.push(operation);
                }
                Err(source) => return Err(HistoryError::Line { line, source }),
            }
        }
        Ok(history)
    }
}
