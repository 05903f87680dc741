//! Chat: conversations of one dense order each, and the inboxes of those who are in them.
//!
//! Everything that happens in a conversation takes the next number of one sequence: messages, edits,
//! deletions, reactions, read markers, who comes and goes. A conversation is decided in the partition
//! of its name, by one thread, so that its order costs no agreement; two conversations have none
//! between them. What is unread is counted in the conversation, exactly, without a row for each message
//! and member: `conversation` has the sum, `rounds` tells it to the members' inboxes, which are in the
//! partitions of the users and say how late they are.
//!
//! What it is *not*: who is connected, present or typing. That is nobody's state to keep, and is with
//! the connections.

mod commands;
pub mod contract;
mod conversation;
mod decide;
mod events;
mod inbox;
mod members;
mod messages;
mod queries;
mod rounds;
mod tables;

pub use commands::{
    Action, Command, ConversationView, EDITS_MAX, MEMBERS_A_CALL_MAX, MEMBERS_MAX,
    MESSAGE_BYTES_MAX, MemberView, Outgoing, REACTION_KINDS_MAX, READ_STEP_MAX, RETENTION_MS,
    RETENTION_MS_MAX, RETENTION_MS_MIN, Reaction, Refusal, Reply, Role, SentView,
};
pub use contract::PATHS;
pub(crate) use decide::{decide, timer};
pub use events::{ChatEvent, EventView, EventsPage};
pub(crate) use inbox::deliver;
pub use inbox::{ITEM_TOLD_MAX, Item, Word};
pub(crate) use queries::query;
pub use queries::{Found, From, InboxView, MessageView, Query, Start};
pub use rounds::{ROUND_EVERY_MS, ROUNDS, STEP_EVERY_MS, STEP_MEMBERS_MAX, behind_since};
pub(crate) use tables::table_name;
pub use tables::{Happening, Message, Told, What};

/// The number by which the engine knows this domain. Never reused.
pub const DOMAIN: u8 = 5;
/// Members up to which a conversation tells each of their inboxes what is unread.
pub const COUNTED_MEMBERS_MAX: u64 = 1_000;
/// Deletions that the counts of the members of a larger conversation need not have taken in.
pub const FOLD_AT: u64 = 1_000;
