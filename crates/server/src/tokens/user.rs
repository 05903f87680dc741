//! The user that a token is about.

use evenkeel_engine::Time;
use std::collections::BTreeSet;

/// An end user of a tenant, as a token that was verified names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenUser {
    /// Their name, which is good within the tenant.
    pub(crate) name: String,
    /// When the token stops being good, by the wall clock.
    pub(crate) expires_at: Time,
    /// The token key that it is signed with: once that is revoked, it is not good either.
    pub(crate) kid: String,
    /// The only conversations that it is good for; any unless it names some.
    pub(crate) conversations: Option<BTreeSet<String>>,
    /// What it is good for.
    pub(crate) scopes: Vec<&'static str>,
}

impl TokenUser {
    /// Whether the token is good for what needs `scope`.
    pub(crate) fn may(&self, scope: &str) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether the token is good for this conversation. Whether the user is a member of it is another
    /// question.
    pub(crate) fn reaches(&self, conversation: &str) -> bool {
        self.conversations.as_ref().is_none_or(|named| named.contains(conversation))
    }
}
