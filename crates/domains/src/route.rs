//! Routing: a pure function of the request. Golden tests fix it, since a partition's data stays
//! where it once was routed.

use crate::{Command, Query, reservations};
use evenkeel_log::PartitionId;

/// What decides where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// To the partition of this key of this domain.
    Key {
        /// The domain.
        domain: &'static str,
        /// The partition key.
        key: &'a str,
    },
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
            Self::Reservations(command) => {
                Scope::Key { domain: "reservations", key: &command.resource }
            }
            Self::Meta(_) => Scope::Meta,
        }
    }
}

impl Query {
    /// What decides where it goes.
    #[must_use]
    pub fn scope(&self) -> Scope<'_> {
        let Self::Reservations(query) = self;
        match query {
            reservations::Query::Resource { resource }
            | reservations::Query::Seats { resource, .. }
            | reservations::Query::Hold { resource, .. }
            | reservations::Query::Holds { resource, .. }
            | reservations::Query::Events { resource, .. } => {
                Scope::Key { domain: "reservations", key: resource }
            }
            reservations::Query::Resources { .. } => Scope::All,
        }
    }
}

/// The partition of a key: BLAKE3 over domain, tenant and key, each ended by a zero byte, of
/// which the first eight bytes, little-endian, are taken modulo the number of partitions.
#[must_use]
pub fn route(domain: &str, tenant: &str, key: &str, partitions: u16) -> PartitionId {
    let mut hasher = blake3::Hasher::new();
    for part in [domain, tenant, key] {
        hasher.update(part.as_bytes()).update(&[0]);
    }
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
            .map(|key| route("reservations", "default", key, 16).0)
            .collect();
        assert_eq!(routed, [9, 11, 5, 7], "a golden value: data would be looked for elsewhere");
        assert_ne!(
            route("reservations", "default", "ab", 1 << 15),
            route("reservations", "defaulta", "b", 1 << 15),
            "parts are told apart"
        );
    }
}
