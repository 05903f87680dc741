//! What is asked of feeds: users who post, follow, part and read.

use super::{Intent, Step};
use crate::history::feed::Bond;
use fastrand::Rng;

/// What a user does. `Follow` and what follows it are about another user, the step's `resource`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Social {
    /// Posts something.
    Post,
    /// Posts so many things, one as soon as the other is acknowledged.
    Burst(u8),
    /// Posts under a name that they have used already: the same, or something else.
    Again {
        /// Whether it is the same.
        same: bool,
    },
    /// Takes their latest post back.
    Delete,
    /// Has a bond with another user, or not any more.
    Set {
        /// Which.
        bond: Bond,
        /// Whether to.
        on: bool,
    },
    /// Reacts to a post that they have read, or not any more.
    React {
        /// Whether to.
        on: bool,
    },
    /// Reads their timeline, or that of the other user.
    Read {
        /// Whether it is theirs.
        own: bool,
        /// How late it may be; `None`: as late as it is, whatever they have seen.
        bound_ms: Option<u64>,
        /// Items of a page.
        limit: usize,
        /// Pages, at most.
        pages: u8,
    },
}

/// Who has a million followers, so to speak; and one of them. The next is in the same partition as that one.
const STAR: usize = 0;
const CYD: usize = 2;

pub(super) fn steps(rng: &mut Rng, client: usize, count: usize) -> Vec<Step> {
    (0..count).map(|_| step(rng, client)).collect()
}

fn step(rng: &mut Rng, client: usize) -> Step {
    let set = |bond, on| Social::Set { bond, on };
    let others = crate::sim::feed::USERS.len();
    let social = match rng.u8(0..40) {
        0..=6 => Social::Post,
        7..=9 => Social::Burst(rng.u8(2..7)),
        10 => Social::Again { same: rng.bool() },
        11..=12 => Social::Delete,
        13..=17 => set(Bond::Follow, true),
        18..=19 => set(Bond::Follow, false),
        20 => set(Bond::Block, true),
        21 => set(Bond::Block, false),
        22 => set(Bond::Mute, true),
        23 => set(Bond::Mute, false),
        24..=26 => Social::React { on: true },
        27 => Social::React { on: false },
        _ => Social::Read {
            own: rng.u8(0..4) > 0,
            bound_ms: match rng.u8(0..4) {
                0 => None,
                1 => Some(0),
                _ => Some(rng.u64(1..400)),
            },
            limit: rng.usize(1..8),
            pages: rng.u8(1..4),
        },
    };
    // Half of it is about the one whom all follow, and none of it about oneself.
    let any = if rng.bool() { STAR } else { rng.usize(0..others) };
    let resource = if any == client { (any + 1) % others } else { any };
    Step { pause_ms: rng.u64(0..200), resource, intent: Intent::Feed(social), keyed: true }
}

/// One is blocked, and something is taken back, just when another of the same partition follows: what is there
/// of the author was for the one, and is not all true for the other.
pub(super) fn quarrel(rng: &mut Rng, clients: &mut [Vec<Step>]) {
    let [star, _, _, dan, ..] = clients else { return };
    let step = |pause_ms, resource, social| Step {
        pause_ms,
        resource,
        intent: Intent::Feed(social),
        keyed: true,
    };
    let set = |bond, on| Social::Set { bond, on };
    let at_ms = rng.u64(0..2_000);
    let theirs = [
        step(0, STAR, Social::Post),
        step(at_ms, CYD, set(Bond::Block, true)),
        step(0, STAR, Social::Delete),
    ];
    let mut look = || {
        let bound_ms = Some(rng.u64(1..400));
        step(rng.u64(0..30), STAR, Social::Read { own: true, bound_ms, limit: 7, pages: 1 })
    };
    let looks = [look(), look(), look()];
    let others = [
        step(0, STAR, set(Bond::Follow, false)),
        step(at_ms + rng.u64(0..60), STAR, set(Bond::Follow, true)),
    ];
    let others = others.into_iter().chain(looks);
    star.splice(0..0, theirs);
    dan.splice(0..0, others);
}

/// All look at what the star has, and the star posts: what is read while it is written is not kept.
pub(super) fn crowd(rng: &mut Rng, clients: &mut [Vec<Step>]) {
    let at_ms = rng.u64(0..2_000);
    for (client, steps) in clients.iter_mut().enumerate() {
        let social = |rng: &mut Rng| match client {
            STAR => Social::Post,
            _ => {
                let bound_ms = [None, Some(0), Some(rng.u64(50..400))][rng.usize(0..3)];
                Social::Read { own: false, bound_ms, limit: 5, pages: 1 }
            }
        };
        let crowd: Vec<Step> = (0..3)
            .map(|time| {
                let pause_ms = rng.u64(0..20) + if time == 0 { at_ms } else { 0 };
                let intent = Intent::Feed(social(rng));
                Step { pause_ms, resource: STAR, intent, keyed: true }
            })
            .collect();
        steps.splice(0..0, crowd);
    }
}
