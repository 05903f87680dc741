//! What can be asked of `meta`.

use super::{TokenAlgorithm, TokenVerifier};
use crate::{
    jobs::{PushError, PushRequest, Settings, SettingsError},
    limits::{Policy, PolicyError},
    rules::{Rule, RulesError},
};
use evenkeel_engine::{TenantId, Time};
use serde::{Deserialize, Serialize};

/// Keys that may exist at once, over all tenants.
pub const KEYS_MAX: usize = 10_000;
/// Tenants that may exist.
pub const TENANTS_MAX: usize = 10_000;
/// Limits that a tenant may have.
pub const LIMITS_MAX: u64 = 10_000;
/// Limits that may exist at once, over all tenants.
pub const ALL_LIMITS_MAX: u64 = 50_000;

/// Queues that a tenant may have.
pub const QUEUES_MAX: u64 = 1_000;
/// Queues that may exist at once, over all tenants.
pub const ALL_QUEUES_MAX: u64 = 10_000;

/// Token keys that a tenant may have.
pub const TOKEN_KEYS_MAX: usize = 100;
/// Token keys that may exist at once, over all tenants.
pub const ALL_TOKEN_KEYS_MAX: usize = 10_000;

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
    /// Create a queue, or give an existing one other settings. Its version, and whether it is paused or
    /// draining, are not for these settings to say.
    PutQueue {
        /// Whose it is.
        tenant: TenantId,
        /// Its name.
        name: String,
        /// What it says; a spread of 0 is that which it has, or all partitions.
        settings: Box<Settings>,
        /// Where its jobs are to be sent, if they are.
        push: Option<Box<PushRequest>>,
        /// So many partitions there are.
        partitions: u16,
    },
    /// Have the jobs of a queue not be sent any more, if how they are sent is still of this version.
    DisablePush {
        /// Whose it is.
        tenant: TenantId,
        /// Its name.
        name: String,
        /// That which its destination wanted no more of.
        version: u64,
        /// Why.
        reason: String,
    },
    /// Say whether a queue gives jobs out and takes any in.
    SetQueueMode {
        /// Whose it is.
        tenant: TenantId,
        /// Its name.
        name: String,
        /// What it does from now on.
        mode: QueueMode,
    },
    /// Delete a queue. Whoever asks has made sure that nothing waits in it.
    DeleteQueue {
        /// Whose it is.
        tenant: TenantId,
        /// Its name.
        name: String,
    },
    /// Create a token key.
    CreateTokenKey {
        /// What tokens name it by, minted at the edge.
        kid: String,
        /// Whose users it is for.
        tenant: String,
        /// What their tokens are verified with.
        verifier: TokenVerifier,
        /// Whether the edge drew that, anew for each try.
        drawn: bool,
        /// What it is for, in its owner's words.
        label: String,
    },
    /// Revoke a token key.
    RevokeTokenKey {
        /// What tokens name it by.
        kid: String,
        /// Only if it belongs to this tenant.
        tenant: String,
    },
}

/// What a queue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum QueueMode {
    /// Jobs come and go; ends both others.
    Open,
    /// Nothing is leased.
    Paused,
    /// Nothing is taken in.
    Draining,
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
    /// The queue says this now; and whether it is new.
    Queue(Box<Settings>, bool),
    /// The token key was created.
    TokenKey {
        /// What tokens name it by.
        kid: String,
        /// How they are to be signed.
        algorithm: TokenAlgorithm,
        /// What it is for.
        label: String,
        /// Since when it exists.
        created_at: Time,
    },
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
    /// There is no such queue.
    NoQueue,
    /// The settings are not legal.
    BadSettings(SettingsError),
    /// How its jobs are to be sent is not.
    BadPush(PushError),
    /// The spread of an existing queue cannot change: it decides where its jobs are.
    QueueFixed,
    /// A queue is deleted when it takes nothing in any more.
    QueueNotDraining,
    /// There are as many queues as there may be.
    TooManyQueues,
    /// The outbox rules are not legal.
    BadRules(RulesError),
    /// There is no such token key.
    NoTokenKey,
    /// There are as many token keys as there may be.
    TooManyTokenKeys,
}

impl Refusal {
    /// The code under which it is answered and counted.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoKey | Self::NoLimit | Self::NoQueue | Self::NoTokenKey => "not_found",
            Self::KeyExists => "key_exists",
            Self::TooManyKeys | Self::TooManyTokenKeys => "too_many_keys",
            Self::TooManyTenants => "too_many_tenants",
            Self::BadPolicy(_) => "invalid_policy",
            Self::LimitFixed { .. } => "limit_fixed",
            Self::TooManyLimits => "too_many_limits",
            Self::BadSettings(_) | Self::BadPush(_) => "invalid_queue",
            Self::QueueFixed => "queue_fixed",
            Self::QueueNotDraining => "queue_in_use",
            Self::TooManyQueues => "too_many_queues",
            Self::BadRules(_) => "invalid_request",
        }
    }
}
