//! What is asked of jobs: clients that enqueue and cancel, and workers with good days and bad ones.

use super::{Intent, Step};
use crate::history::jobs::Kind;
use fastrand::Rng;

/// Jobs of a burst: more than a worker usually takes, and as many as one may.
pub(crate) const BURST: usize = 10;
/// Ordering keys, and unique ones.
const KEYS: u8 = 2;
/// What a lease of the queue lasts, which the slow and the paused outlive.
pub(crate) const LEASE_MS: u64 = 200;

/// A job to be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWork {
    /// What a worker does with it.
    pub kind: Kind,
    /// It kills every worker that gets it.
    pub poison: bool,
    /// One of few unique keys.
    pub unique: Option<u8>,
    /// One of few ordering keys.
    pub ordering: Option<u8>,
    /// 0 to 9.
    pub priority: u8,
    /// Not to be started sooner.
    pub delay_ms: u64,
    /// It is to run after so many of the latest of its client.
    pub after: usize,
}

/// How a worker fares with the jobs of one lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It does them.
    Well,
    /// It needs more time than its lease, and asks for it.
    Slowly,
    /// It is paused for longer than its lease, and goes on as if nothing had been.
    Paused,
    /// It is paused so between doing what a job is for and saying so.
    PausedBefore,
    /// All fail.
    Fails {
        /// Worth another attempt.
        retry: bool,
    },
    /// It puts them off.
    Snoozes,
    /// It dies before it does anything.
    Dies,
    /// It dies after the first was done, and before or after it said so.
    DiesAfter,
    /// It says everything twice at once.
    Twice,
    /// It says something more when its lease is over.
    SpeaksAgain,
}

/// What the client of this number does: one enqueues, the next two work.
pub(super) fn steps(rng: &mut Rng, client: usize, count: usize) -> Vec<Step> {
    (0..count).map(|_| if enqueues(client) { asks(rng) } else { works(rng) }).collect()
}

/// Whether the client of this number enqueues; else it is a worker.
pub(crate) const fn enqueues(client: usize) -> bool {
    client.is_multiple_of(3)
}

fn asks(rng: &mut Rng) -> Step {
    let plain = NewWork {
        kind: Kind::Charge,
        poison: false,
        unique: None,
        ordering: None,
        priority: 5,
        delay_ms: 0,
        after: 0,
    };
    let intent = match rng.u8(0..12) {
        0 => Intent::CancelJob,
        1..=3 => Intent::Enqueue(vec![plain; BURST]),
        _ => {
            let jobs = rng.usize(1..=3);
            Intent::Enqueue((0..jobs).map(|_| work(rng, &plain)).collect())
        }
    };
    let resource = usize::from(rng.u8(0..3) == 0);
    Step { pause_ms: rng.u64(0..200), resource, intent, keyed: rng.u8(0..8) != 0 }
}

fn work(rng: &mut Rng, plain: &NewWork) -> NewWork {
    let ordering = rng.bool().then(|| rng.u8(0..KEYS));
    NewWork {
        kind: if rng.bool() { Kind::Put } else { Kind::Charge },
        poison: rng.u8(0..12) == 0,
        unique: (rng.u8(0..4) == 0).then(|| rng.u8(0..KEYS)),
        ordering,
        priority: if rng.bool() { plain.priority } else { rng.u8(0..10) },
        delay_ms: if rng.u8(0..5) == 0 { rng.u64(1..400) } else { 0 },
        after: if rng.u8(0..4) == 0 { rng.usize(1..=2) } else { 0 },
    }
}

fn works(rng: &mut Rng) -> Step {
    let (max, way) = match rng.u8(0..14) {
        0..=1 => (BURST, Way::Fails { retry: true }),
        2 => (1, Way::Fails { retry: false }),
        3..=4 => (1, Way::Paused),
        5 => (2, Way::PausedBefore),
        6 => (2, Way::Slowly),
        7 => (1, Way::Snoozes),
        8 => (2, Way::Dies),
        9 => (2, Way::DiesAfter),
        10 => (2, Way::Twice),
        11 => (2, Way::SpeaksAgain),
        _ => (4, Way::Well),
    };
    let intent = Intent::Work { max, way };
    Step { pause_ms: rng.u64(0..200), resource: 0, intent, keyed: false }
}
