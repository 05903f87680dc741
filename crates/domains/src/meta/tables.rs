//! The tables of meta: key layouts and row types, nowhere else.
//!
//! | id | table | key | row |
//! |---|---|---|---|
//! | 0x10 | `Tenants` | name | `Tenant` |
//! | 0x11 | `Keys` | key id | `Key` |
//! | 0x12 | `Contracts` | path | its settings, JSON |
//! | 0x13 | `Limits` | tenant, name | `Limit` |
//! | 0x14 | `LimitCounts` | tenant; `ALL_TENANTS` | how many limits |
//! | 0x15 | `Queues` | tenant, name | `Queue` |
//! | 0x16 | `QueueCounts` | tenant; `ALL_TENANTS` | how many queues |
//! | 0x17 | `OutboxRules` | tenant | `Rules` |
//! | 0x18 | `QueuePushes` | tenant, name | `QueuePush` |
//! | 0x19 | `TokenKeys` | kid, of whatever tenant | `TokenKey` |

use super::TokenVerifier;
use crate::tables::tables;
use crate::{jobs, limits::Policy};
use evenkeel_engine::{TenantId, Time};
use evenkeel_state::row;
use serde::{Deserialize, Serialize};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tenant {
    pub(super) id: u32,
}
row!(Tenant, version = 1);

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) secret_hash: [u8; 32],
    pub(super) tenant: String,
    pub(super) scopes: Vec<String>,
    pub(super) label: String,
    pub(super) created_at: Time,
}
row!(Key, version = 1);

/// One path's settings, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contract {
    pub(super) settings: String,
}
row!(Contract, version = 1);

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Limit(pub(super) Policy);
row!(Limit, version = 1);

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Queue(pub(super) jobs::Settings);
row!(Queue, version = 1);

/// Where a queue's jobs are sent, and the secrets that they are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct QueuePush(pub(super) jobs::Push);
row!(QueuePush, version = 1);

/// What the tokens of a tenant's users are verified with: a secret perhaps, which has to be kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TokenKey {
    pub(super) tenant: String,
    pub(super) verifier: TokenVerifier,
    pub(super) label: String,
    pub(super) created_at: Time,
}
row!(TokenKey, version = 1);

/// How many limits, or queues, there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Count(pub(super) u64);
row!(Count, version = 1);

/// In the place of a tenant: of all of them. No tenant has this number.
pub(super) const ALL_TENANTS: TenantId = TenantId(u32::MAX);

tables! {
    Tenants, 0x10, "tenants", String, Tenant;
    Keys, 0x11, "keys", String, Key;
    Contracts, 0x12, "contracts", String, Contract;
    Limits, 0x13, "limits", (TenantId, String), Limit;
    LimitCounts, 0x14, "limit_counts", TenantId, Count;
    Queues, 0x15, "queue_settings", (TenantId, String), Queue;
    QueueCounts, 0x16, "queue_counts", TenantId, Count;
    OutboxRules, 0x17, "outbox_rules", TenantId, crate::rules::Rules;
    QueuePushes, 0x18, "queue_pushes", (TenantId, String), QueuePush;
    TokenKeys, 0x19, "token_keys", String, TokenKey;
}
