//! Routing: a pure function of the request. Golden tests fix it, since a partition's data stays
//! where it once was routed.

use crate::{Command, Query, chat, jobs, limits, reservations, schedules};
use evenkeel_engine::TenantId;
use evenkeel_log::PartitionId;

/// A partition key: any bytes, or two pieces of which the first has no zero inside, with a zero
/// between them. Kept as the pieces that it is made of, so that to route costs no copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyParts<'a> {
    first: &'a [u8],
    second: Option<&'a [u8]>,
}

impl<'a> KeyParts<'a> {
    /// `first`, a zero, `second`.
    #[must_use]
    pub fn two(first: &'a [u8], second: &'a [u8]) -> Self {
        Self { first, second: Some(second) }
    }

    /// Its bytes, piece by piece.
    pub fn pieces(self) -> impl Iterator<Item = &'a [u8]> {
        let second = self.second.map(|second| [&[0][..], second]);
        [self.first].into_iter().chain(second.into_iter().flatten())
    }
}

impl<'a> From<&'a [u8]> for KeyParts<'a> {
    fn from(key: &'a [u8]) -> Self {
        Self { first: key, second: None }
    }
}

impl<'a> From<&'a str> for KeyParts<'a> {
    fn from(key: &'a str) -> Self {
        key.as_bytes().into()
    }
}

/// What decides where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// To the partition of this key of this domain.
    Key {
        /// The domain.
        domain: &'static str,
        /// The partition key.
        key: KeyParts<'a>,
    },
    /// To the partition of this number, counted again from 0 if there is none: a caller who makes up
    /// a number is told by that partition that it knows nothing of it.
    Partition(u16),
    /// To the partition of this user: where their inbox and their feed are.
    User(&'a str),
    /// To `meta`.
    Meta,
    /// To every partition.
    All,
}

impl Command {
    /// What decides where it goes.
    #[must_use]
    pub fn scope(&self) -> Scope<'_> {
        match self {
            Self::Reservations(command) => of_resource(&command.resource),
            Self::Meta(_) => Scope::Meta,
            Self::Limits(command) => match &command.action {
                limits::Action::Check { .. }
                | limits::Action::Lease { .. }
                | limits::Action::Refund { .. }
                | limits::Action::Reset
                | limits::Action::GiveBack => {
                    of_check(command.checks.first().expect("Command::new asks for at least one"))
                }
                limits::Action::Release { lease } | limits::Action::Renew { lease, .. } => {
                    Scope::Partition(lease.partition)
                }
            },
            Self::Jobs(command) => Scope::Partition(command.partition),
            Self::Schedules(command) => of_schedule(&command.schedule),
            Self::Chat(command) => of_conversation(&command.conversation),
            Self::Feed(command) => Scope::User(&command.user),
        }
    }
}

fn of_resource(resource: &str) -> Scope<'_> {
    Scope::Key { domain: "reservations", key: resource.into() }
}

fn of_schedule(schedule: &str) -> Scope<'_> {
    Scope::Key { domain: "schedules", key: schedule.into() }
}

fn of_conversation(conversation: &str) -> Scope<'_> {
    Scope::Key { domain: "chat", key: conversation.into() }
}

fn of_check(check: &limits::Check) -> Scope<'_> {
    Scope::Key { domain: "limits", key: check.partition_key() }
}

impl Query {
    /// What decides where it goes.
    #[must_use]
    pub fn scope(&self) -> Scope<'_> {
        let query = match self {
            Self::Reservations(query) => query,
            Self::Limits(limits::Query::Peek { checks }) => {
                return of_check(checks.first().expect("a peek is of at least one check"));
            }
            Self::Jobs(jobs::Query::Job { job, .. }) => return Scope::Partition(job.partition),
            Self::Jobs(_) => return Scope::All,
            Self::Schedules(schedules::Query::Schedule { schedule }) => {
                return of_schedule(schedule);
            }
            Self::Schedules(schedules::Query::Schedules { .. }) => return Scope::All,
            Self::Chat(query) => return of_chat(query),
            Self::Feed(query) => return Scope::User(&query.user),
        };
        match query {
            reservations::Query::Resource { resource }
            | reservations::Query::Seats { resource, .. }
            | reservations::Query::Hold { resource, .. }
            | reservations::Query::Holds { resource, .. }
            | reservations::Query::Events { resource, .. } => of_resource(resource),
            reservations::Query::Resources { .. } => Scope::All,
        }
    }
}

fn of_chat(query: &chat::Query) -> Scope<'_> {
    match query {
        chat::Query::Conversation { conversation, .. }
        | chat::Query::Members { conversation, .. }
        | chat::Query::Messages { conversation, .. }
        | chat::Query::Message { conversation, .. }
        | chat::Query::Reactions { conversation, .. }
        | chat::Query::Events { conversation, .. } => of_conversation(conversation),
        chat::Query::Inbox { user, .. } | chat::Query::Uncounted { user, .. } => Scope::User(user),
        chat::Query::Summaries { partition, .. } => Scope::Partition(*partition),
    }
}

/// The partition of a user's inbox and feed. Decided upon where a tenant is known by its number alone.
#[must_use]
pub fn user_partition(tenant: TenantId, user: &str, partitions: u16) -> PartitionId {
    route("inboxes", &tenant.0.to_string(), user, partitions)
}

/// The partition of a key: BLAKE3 over domain, tenant and key, each ended by a zero byte, of
/// which the first eight bytes, little-endian, are taken modulo the number of partitions.
#[must_use]
pub fn route<'a>(
    domain: &str,
    tenant: &str,
    key: impl Into<KeyParts<'a>>,
    partitions: u16,
) -> PartitionId {
    let mut hasher = blake3::Hasher::new();
    for part in [domain, tenant] {
        hasher.update(part.as_bytes()).update(&[0]);
    }
    for piece in key.into().pieces() {
        hasher.update(piece);
    }
    hasher.update(&[0]);
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    let partition = u64::from_le_bytes(first) % u64::from(partitions);
    PartitionId(u16::try_from(partition).expect("less than the number of partitions"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routing_never_changes() {
        let routed: Vec<u16> = ["a", "concert", "2013-01-01.UA1545", "x:y@z"]
            .iter()
            .map(|key| route("reservations", "default", *key, 16).0)
            .collect();
        assert_eq!(routed, [9, 11, 5, 7], "a golden value: data would be looked for elsewhere");
        assert_ne!(
            route("reservations", "default", "ab", 1 << 15),
            route("reservations", "defaulta", "b", 1 << 15),
            "parts are told apart"
        );
    }

    #[test]
    fn routing_of_chat_never_changes() {
        let routed = ["general", "a", "x:y@z"].map(|key| route("chat", "default", key, 16).0);
        assert_eq!(routed, [11, 6, 0], "a golden value: a conversation would be there twice");
        let users = ["ada", "u1", "x:y@z"].map(|user| user_partition(TenantId(1), user, 16).0);
        assert_eq!(users, [14, 6, 2], "a golden value: an inbox would be empty");
    }

    #[test]
    fn routing_of_schedules_never_changes() {
        let routed = ["report", "a", "x:y@z"].map(|key| route("schedules", "default", key, 16).0);
        assert_eq!(routed, [9, 13, 0], "a golden value: a schedule would be there twice");
    }

    #[test]
    fn routing_of_limits_never_changes() {
        let keys: [KeyParts<'_>; 4] = [
            KeyParts::two(b"logins", b"ada"),
            KeyParts::two(b"", &[0xff, 0, 7]),
            KeyParts::two(b"logins", b""),
            "acme".into(),
        ];
        let routed = keys.map(|key| route("limits", "default", key, 16).0);
        assert_eq!(routed, [3, 9, 5, 6], "a golden value: what was counted is there");
        assert_eq!(
            route("limits", "default", KeyParts::two(b"a", b"b"), 1 << 15),
            route("limits", "default", &b"a\0b"[..], 1 << 15),
            "two pieces are the bytes that they make"
        );
    }
}
