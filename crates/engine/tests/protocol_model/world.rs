//! What there is in the model: the log, the wire, the owners, and what clients were told.
//!
//! The promises are read off a state here; how one state follows another is in `rules`.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Places there are.
pub(crate) const CAPACITY: u8 = 2;
/// Places that the command of each key takes: the first twice fits, both do not.
pub(crate) const PLACES: [u8; 2] = [1, 2];

/// An idempotency key, and with it the one command that uses it.
pub(crate) type Key = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Body {
    Genesis,
    /// Names the process that sent it, unless a mutation leaves that out.
    Announce(Option<usize>),
    Barrier,
    /// The effect of a hold, with its idempotency row.
    Take(Key),
}

/// A record. Its hash is its identity: everything in it, and by `prev` everything before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    pub(crate) offset: u8,
    pub(crate) epoch: u8,
    pub(crate) body: Body,
    pub(crate) prev: u64,
    pub(crate) hash: u64,
}

impl Record {
    pub(crate) fn new(offset: u8, epoch: u8, body: Body, prev: u64) -> Self {
        let mut hasher = DefaultHasher::new();
        (offset, epoch, body, prev).hash(&mut hasher);
        Self { offset, epoch, body, prev, hash: hasher.finish() }
    }

    pub(crate) fn after(self, epoch: u8, body: Body) -> Self {
        Self::new(self.offset + 1, epoch, body, self.hash)
    }
}

impl Hash for Record {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.hash);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    Hold(Key),
    Read,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Says {
    Held(Key),
    SoldOut(Key),
    Taken(u8),
}

/// An answer that waits, and the length of the log when its request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Answer {
    pub(crate) says: Says,
    pub(crate) since: usize,
}

/// A record that its owner has submitted and not yet heard of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pending {
    pub(crate) record: Record,
    pub(crate) answers: Vec<Answer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Mode {
    #[default]
    Follower,
    Announcing,
    Leading,
}

/// One process that may own the partition. All of it is volatile.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Owner {
    pub(crate) mode: Mode,
    pub(crate) epoch: u8,
    /// The length of the log that it has applied. What it applied is always a prefix of the log.
    pub(crate) applied: usize,
    pub(crate) pending: Vec<Pending>,
}

/// How many effects each key has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct View {
    pub(crate) effects: [u8; 2],
}

impl View {
    pub(crate) fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut view = Self::default();
        for record in records {
            if let Body::Take(key) = record.body {
                view.effects[key] += 1;
            }
        }
        view
    }

    pub(crate) fn taken(self) -> u8 {
        self.effects.iter().zip(PLACES).map(|(effects, places)| effects * places).sum()
    }

    pub(crate) fn fits(self, key: Key) -> bool {
        self.taken() + PLACES[key] <= CAPACITY
    }

    /// Whether an answer is right in this state.
    fn supports(self, says: Says) -> bool {
        match says {
            Says::Held(key) => self.effects[key] > 0,
            Says::SoldOut(key) => self.effects[key] == 0 && !self.fits(key),
            Says::Taken(taken) => self.taken() == taken,
        }
    }
}

/// What must hold in every state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// I1: what was acknowledged is in the log.
    AcknowledgedIsInTheLog,
    /// I1, the other way round: what was answered with "no effect" has none.
    DeniedHasNoEffect,
    /// I2.
    OneEffectAKey,
    /// I3.
    WithinCapacity,
    /// I5: no older owner's append commits after a newer Announce.
    FencedAppends,
    /// I5: every answer was right at some moment between its request and itself.
    FencedAnswers,
}

impl Promise {
    pub(crate) const ALL: [Self; 6] = [
        Self::AcknowledgedIsInTheLog,
        Self::DeniedHasNoEffect,
        Self::OneEffectAKey,
        Self::WithinCapacity,
        Self::FencedAppends,
        Self::FencedAnswers,
    ];
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// Everything ever committed; the record of offset n is at n - 1.
    pub(crate) log: Vec<Record>,
    /// The last offset that can no longer be read.
    pub(crate) trimmed: u8,
    /// Submissions that may still land, sorted.
    pub(crate) wire: Vec<Record>,
    pub(crate) owners: [Owner; 2],
    /// How often each request has arrived at an owner: the two holds, then reads.
    pub(crate) arrived: [u8; 3],
    pub(crate) takeovers: u8,
    /// Keys whose clients were told that they hold.
    pub(crate) acknowledged: [bool; 2],
    /// Records whose clients were told that they had no effect.
    pub(crate) denied: Vec<Record>,
    /// An answer was given that was right at no moment between request and answer.
    pub(crate) answered_stale: bool,
}

impl State {
    pub(crate) fn genesis() -> Self {
        Self {
            log: vec![Record::new(1, 0, Body::Genesis, 0)],
            trimmed: 0,
            wire: Vec::new(),
            owners: Default::default(),
            arrived: [0; 3],
            takeovers: 0,
            acknowledged: [false; 2],
            denied: Vec::new(),
            answered_stale: false,
        }
    }

    pub(crate) fn tail(&self) -> Record {
        self.log[self.log.len() - 1]
    }

    pub(crate) fn at(&self, offset: u8) -> Option<&Record> {
        self.log.get(usize::from(offset) - 1)
    }

    /// Gives an answer to its client, and remembers what it has promised.
    pub(crate) fn answer(&mut self, answer: Answer) {
        if let Says::Held(key) = answer.says {
            self.acknowledged[key] = true;
            return;
        }
        let mut moments = answer.since..=self.log.len();
        let right = moments.any(|length| View::of(&self.log[..length]).supports(answer.says));
        self.answered_stale |= !right;
    }

    /// Forgets what can no longer matter, so that equal futures are equal states.
    pub(crate) fn normalise(&mut self) {
        let tail = self.tail().offset;
        self.wire.retain(|record| record.offset > tail);
        self.wire.sort_unstable();
        self.wire.dedup();
        let log = &self.log;
        self.denied.retain(|record| record.offset > tail || log.contains(record));
        self.denied.sort_unstable();
        self.denied.dedup();
    }

    pub(crate) fn keeps(&self, promise: Promise) -> bool {
        let view = View::of(&self.log);
        match promise {
            Promise::AcknowledgedIsInTheLog => {
                (0..2).all(|key| !self.acknowledged[key] || view.effects[key] > 0)
            }
            Promise::DeniedHasNoEffect => {
                self.denied.iter().all(|record| !self.log.contains(record))
            }
            Promise::OneEffectAKey => view.effects.iter().all(|effects| *effects <= 1),
            Promise::WithinCapacity => view.taken() <= CAPACITY,
            Promise::FencedAppends => self.log.windows(2).all(|pair| match pair[1].body {
                Body::Announce(_) => pair[1].epoch > pair[0].epoch,
                _ => pair[1].epoch == pair[0].epoch,
            }),
            Promise::FencedAnswers => !self.answered_stale,
        }
    }
}
