//! The realtime edge: one WebSocket (RFC 6455) a client, on which it follows many conversations and
//! sends to them.
//!
//! `upgrade` turns a request into a connection, `session` is the one loop of it, `frames` what is said on
//! it. What happens in a conversation is read once by its owner and comes through the node's outlet of
//! the connection; a reader that does not take it is closed, with the position that it got last, and
//! holds nobody up.

mod close;
mod follows;
mod frames;
mod sends;
mod session;
mod subscriptions;
mod timelines;
mod upgrade;
mod watch;
mod who;

pub(crate) use close::Why;
pub(crate) use upgrade::{Slot, connect, go_on};
