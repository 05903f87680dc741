//! What is asked of conversations: users who talk, and whose devices come and go.

use super::{Intent, Step};
use fastrand::Rng;

/// What a user does in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    /// Says something.
    Say,
    /// Says so many things, one as soon as the other is acknowledged.
    Chatter(u8),
    /// Has their latest message say something else.
    Edit,
    /// Takes their latest message back.
    TakeBack,
    /// Has read what their device has.
    Read,
    /// Is no member any more.
    Leave,
    /// Is a member again.
    Join,
    /// Their device loses its connection, and says so or not.
    Vanish {
        /// Whether the server hears of it.
        with_a_word: bool,
    },
    /// Their device takes nothing that is sent to it for so long.
    Sleep {
        /// For so long.
        ms: u64,
    },
}

pub(super) fn steps(rng: &mut Rng, count: usize) -> Vec<Step> {
    (0..count).map(|_| step(rng)).collect()
}

fn step(rng: &mut Rng) -> Step {
    let talk = match rng.u8(0..20) {
        0..=5 => Talk::Say,
        6..=8 => Talk::Chatter(rng.u8(2..8)),
        9..=10 => Talk::Edit,
        11..=12 => Talk::TakeBack,
        13..=14 => Talk::Read,
        15 => Talk::Leave,
        16 => Talk::Join,
        17..=18 => Talk::Vanish { with_a_word: rng.bool() },
        _ => Talk::Sleep { ms: rng.u64(100..900) },
    };
    let resource = usize::from(rng.u8(0..3) == 0);
    Step { pause_ms: rng.u64(0..200), resource, intent: Intent::Talk(talk), keyed: true }
}
