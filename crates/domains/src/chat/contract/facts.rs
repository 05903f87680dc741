//! What the code of these paths knows about itself: refusal codes from [`Refusal::code`], bounds
//! from the engine's and this domain's limits. What a constant cannot be computed from (the rows that
//! a command writes) is compared with what the code does in `tests/domains/chat`.

use super::super::{Refusal, Role};
use crate::{
    facts::{self, codes, read},
    reservations::PAGE_ROWS_MAX,
};
use evenkeel_contract::{Facts, Idempotency, Level, Order, PartitionKey};

const CONVERSATION: PartitionKey = PartitionKey::Key("conversation");

const fn write(
    refusal_codes: &'static [&'static str],
    side_effects: &'static [&'static str],
) -> Facts {
    Facts {
        order: Order::Dense,
        ..facts::write(CONVERSATION, Idempotency::Natural, refusal_codes, side_effects)
    }
}

const fn of_members(order: Order, rows_max: usize) -> Facts {
    Facts {
        refusal_codes: codes![Refusal::NoConversation, Refusal::NotAMember { user: String::new() }],
        ..read(CONVERSATION, order, rows_max)
    }
}

pub(super) const READ: Facts = of_members(Order::None, 1);

pub(super) const PUT: Facts = write(
    codes![
        Refusal::NotAMember { user: String::new() },
        Refusal::RoleTooLow { needs: Role::Moderator },
        Refusal::TooManyMembers,
    ],
    &[
        "puts conversations",
        "puts conversation_names",
        "puts conversation_counter",
        "puts members",
        "puts happenings",
        "puts timers",
        "puts outbox",
        "puts outbox_heads",
    ],
);
pub(super) const PUT_MEMBER: Facts = write(
    codes![
        Refusal::NoConversation,
        Refusal::NotAMember { user: String::new() },
        Refusal::RoleTooLow { needs: Role::Moderator },
        Refusal::TooManyMembers,
    ],
    &["puts conversations", "puts members", "puts happenings", "puts outbox", "puts outbox_heads"],
);
pub(super) const REMOVE_MEMBER: Facts = write(
    codes![
        Refusal::NoConversation,
        Refusal::NotAMember { user: String::new() },
        Refusal::RoleTooLow { needs: Role::Moderator },
    ],
    &[
        "puts conversations",
        "deletes members",
        "puts happenings",
        "puts outbox",
        "puts outbox_heads",
    ],
);
pub(super) const SEND: Facts = write(
    codes![
        // Of the conversation, or of what it answers.
        Refusal::NoConversation,
        Refusal::NotAMember { user: String::new() },
        Refusal::NotYours,
        Refusal::ClientIdTaken { seq: 0 },
    ],
    &[
        "puts conversations",
        "puts messages",
        "puts client_ids",
        "puts members",
        "puts rounds",
        "puts round_timer",
        "puts timers",
    ],
);
const ON_A_MESSAGE: &[&str] = codes![
    Refusal::NoMessage,
    Refusal::NotAMember { user: String::new() },
    Refusal::NotYours,
    Refusal::MessageDeleted,
];
pub(super) const EDIT: Facts = write(
    codes![
        Refusal::NoMessage,
        Refusal::NotAMember { user: String::new() },
        Refusal::NotYours,
        Refusal::MessageDeleted,
        Refusal::TooManyEdits,
    ],
    &["puts conversations", "puts happenings", "puts amendments"],
);
pub(super) const DELETE: Facts = write(
    codes![Refusal::NoMessage, Refusal::NotAMember { user: String::new() }, Refusal::NotYours],
    &[
        "puts conversations",
        "puts messages",
        "puts happenings",
        "puts amendments",
        "puts deletions",
        "puts rounds",
        "puts round_timer",
        "puts timers",
    ],
);
pub(super) const REACT: Facts = write(
    codes![
        Refusal::NoMessage,
        Refusal::NotAMember { user: String::new() },
        Refusal::NotYours,
        Refusal::MessageDeleted,
        Refusal::TooManyReactions,
    ],
    &["puts conversations", "puts happenings", "puts amendments", "puts reactions"],
);
pub(super) const UNREACT: Facts = write(
    ON_A_MESSAGE,
    &["puts conversations", "puts happenings", "puts amendments", "deletes reactions"],
);
pub(super) const READ_MARKER: Facts = write(
    codes![
        Refusal::NoConversation,
        Refusal::NotAMember { user: String::new() },
        Refusal::NotYours,
        Refusal::ReadTooFar,
    ],
    &["puts conversations", "puts members", "puts happenings", "puts outbox", "puts outbox_heads"],
);

pub(super) const MEMBERS: Facts = of_members(Order::ByName, PAGE_ROWS_MAX);
pub(super) const MESSAGES: Facts = of_members(Order::Dense, PAGE_ROWS_MAX);
pub(super) const MESSAGE: Facts = READ;
pub(super) const REACTIONS: Facts = of_members(Order::ByName, PAGE_ROWS_MAX);
pub(super) const STREAM: Facts =
    Facts { levels: &[Level::Session], ..of_members(Order::Dense, PAGE_ROWS_MAX) };
pub(super) const REALTIME: Facts = Facts { partition_key: PartitionKey::All, ..STREAM };
pub(super) const INBOX: Facts = read(PartitionKey::Key("user"), Order::None, PAGE_ROWS_MAX);
