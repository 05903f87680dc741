//! What the code of these paths knows about itself: refusal codes from [`Refusal::code`], bounds
//! from the engine's and this domain's limits. What a constant cannot be computed from (the rows that
//! a command writes) is compared with what the code does in `tests/domains/feed`.

use super::super::Refusal;
use crate::{
    facts::{self, codes, read},
    reservations::PAGE_ROWS_MAX,
};
use evenkeel_contract::{Facts, Idempotency, Level, Order, PartitionKey};

const USER: PartitionKey = PartitionKey::Key("user");

const fn write(
    refusal_codes: &'static [&'static str],
    side_effects: &'static [&'static str],
) -> Facts {
    facts::write(USER, Idempotency::Natural, refusal_codes, side_effects)
}

const fn of_a_page(order: Order, rows_max: usize, refusal_codes: &'static [&'static str]) -> Facts {
    Facts { refusal_codes, ..read(USER, order, rows_max) }
}

const PUBLIC: &[&str] = codes![Refusal::Blocked];
const OF_A_POST: &[&str] = codes![Refusal::NoPost, Refusal::Blocked];
const OWN: &[&str] = codes![Refusal::NotYours];

pub(super) const POST: Facts = write(
    codes![Refusal::NotYours, Refusal::ClientIdTaken { post: 0 }],
    &[
        "puts feed_users",
        "puts feed_user_names",
        "puts feed_counter",
        "puts posts",
        "puts post_ids",
        "puts arrivals",
        "puts arrival_counter",
        "puts outbox",
        "puts outbox_heads",
    ],
);
pub(super) const DELETE: Facts = write(
    codes![Refusal::NotYours, Refusal::NoPost],
    &[
        "puts feed_users",
        "puts posts",
        "puts arrivals",
        "puts arrival_counter",
        "puts outbox",
        "puts outbox_heads",
    ],
);
pub(super) const REACT: Facts = write(
    codes![Refusal::NotYours, Refusal::NoPost, Refusal::Blocked, Refusal::TooManyReactions,],
    &["puts post_reactions", "puts post_counts", "puts counts_due", "puts timers"],
);
pub(super) const UNREACT: Facts = write(
    codes![Refusal::NotYours, Refusal::NoPost],
    &["deletes post_reactions", "puts post_counts", "puts counts_due", "puts timers"],
);
pub(super) const FOLLOW: Facts = write(
    codes![Refusal::NotYours, Refusal::Oneself, Refusal::Blocked, Refusal::TooManyFollowed,],
    &[
        "puts feed_users",
        "puts feed_user_names",
        "puts feed_counter",
        "puts follows",
        "puts authors",
        "puts author_heads",
        "puts outbox",
        "puts outbox_heads",
    ],
);
pub(super) const UNFOLLOW: Facts = write(
    codes![Refusal::NotYours, Refusal::Oneself],
    &[
        "puts feed_users",
        "deletes follows",
        "puts authors",
        "deletes authors",
        "deletes author_heads",
        "drops copies",
        "drops copied_counts",
        "puts outbox",
        "puts outbox_heads",
    ],
);
const TIE: &[&str] = codes![Refusal::NotYours, Refusal::Oneself, Refusal::TooManyTies];
const UNTIE: &[&str] = codes![Refusal::NotYours, Refusal::Oneself];
pub(super) const BLOCK: Facts =
    write(TIE, &["puts feed_users", "puts ties", "puts outbox", "puts outbox_heads"]);
pub(super) const UNBLOCK: Facts =
    write(UNTIE, &["puts feed_users", "deletes ties", "puts outbox", "puts outbox_heads"]);
pub(super) const MUTE: Facts = write(TIE, &["puts feed_users", "puts ties"]);
pub(super) const UNMUTE: Facts = write(UNTIE, &["puts feed_users", "deletes ties"]);

pub(super) const READ: Facts = of_a_page(Order::None, 1, PUBLIC);
pub(super) const POSTS: Facts = of_a_page(Order::PerKey, PAGE_ROWS_MAX, PUBLIC);
pub(super) const POST_READ: Facts = of_a_page(Order::None, 1, OF_A_POST);
pub(super) const REACTIONS: Facts = of_a_page(Order::ByName, PAGE_ROWS_MAX, OF_A_POST);
pub(super) const PEOPLE: Facts = of_a_page(Order::ByName, PAGE_ROWS_MAX, PUBLIC);
pub(super) const TIES: Facts = of_a_page(Order::ByName, PAGE_ROWS_MAX, OWN);
pub(super) const TIMELINE: Facts = of_a_page(Order::None, PAGE_ROWS_MAX, OWN);
pub(super) const STREAM: Facts =
    Facts { levels: &[Level::Session], ..of_a_page(Order::PerKey, PAGE_ROWS_MAX, OWN) };
