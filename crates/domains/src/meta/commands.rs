//! What can be asked of `meta`.

use crate::limits::{Policy, PolicyError};
use crate::rules::{Rule, RulesError};
use evenkeel_engine::TenantId;
use serde::{Deserialize, Serialize};

/// Keys that may exist at once, over all tenants.
pub const KEYS_MAX: usize = 10_000;
/// Tenants that may exist.
pub const TENANTS_MAX: usize = 10_000;
/// Limits that a tenant may have.
pub const LIMITS_MAX: u64 = 10_000;
/// Limits that may exist at once, over all tenants.
pub const ALL_LIMITS_MAX: u64 = 50_000;

/// A change to `meta`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// What to do.
    pub action: Action,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Create an API key, and its tenant if that is new.
    CreateKey {
        /// Its public half, minted at the edge.
        id: String,
        /// BLAKE3 of its secret half, which is never stored: 32 random bytes, so that a plain
        /// hash is enough.
        secret_hash: [u8; 32],
        /// Whose key it is.
        tenant: String,
        /// What it may do.
        scopes: Vec<String>,
        /// What it is for, in its owner's words.
        label: String,
    },
    /// Revoke a key: of this tenant, or of any.
    RevokeKey {
        /// Its public half.
        id: String,
        /// Only if it belongs to this tenant.
        tenant: Option<String>,
    },
    /// Replace all contract settings by these: a path and its settings as JSON.
    SetContracts(Vec<(String, String)>),
    /// Replace the outbox rules of all tenants by these: a tenant's name, which is created if it is new,
    /// and its rules.
    SetRules(Vec<(String, Vec<Rule>)>),
    /// Create a limit, or give an existing one another policy; what it has counted stays.
    PutLimit {
        /// Whose it is.
        tenant: TenantId,
        /// Its name.
        name: String,
        /// What it says.
        policy: Policy,
    },
    /// Delete a limit. What it has counted goes as its keys become full, and counts again if the
    /// same limit is put before.
    DeleteLimit {
        /// Whose it is.
        tenant: TenantId,
        /// Its name.
        name: String,
    },
}

/// A yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The key was created.
    Key {
        /// Its public half.
        id: String,
        /// Its tenant.
        tenant: String,
        /// What it may do.
        scopes: Vec<String>,
        /// What it is for.
        label: String,
    },
    /// Done.
    Done,
    /// The limit says this now; and whether it is new.
    Limit(Policy, bool),
}

/// A no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such key.
    NoKey,
    /// There is a key of this id already.
    KeyExists,
    /// There are as many keys as there may be.
    TooManyKeys,
    /// There are as many tenants as there may be.
    TooManyTenants,
    /// There is no such limit.
    NoLimit,
    /// The policy is not legal.
    BadPolicy(PolicyError),
    /// This of an existing limit cannot change: it decides where and how it counts.
    LimitFixed {
        /// The field.
        field: &'static str,
    },
    /// There are as many limits as there may be.
    TooManyLimits,
    /// The outbox rules are not legal.
    BadRules(RulesError),
}

impl Refusal {
    /// The code under which it is answered and counted.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoKey | Self::NoLimit => "not_found",
            Self::KeyExists => "key_exists",
            Self::TooManyKeys => "too_many_keys",
            Self::TooManyTenants => "too_many_tenants",
            Self::BadPolicy(_) => "invalid_policy",
            Self::LimitFixed { .. } => "limit_fixed",
            Self::TooManyLimits => "too_many_limits",
            Self::BadRules(_) => "invalid_request",
        }
    }
}
