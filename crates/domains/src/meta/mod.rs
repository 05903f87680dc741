//! Meta: tenants, API keys, token keys, contract settings, the policies of limits and the settings of
//! queues. One partition of its own, followed by every node; it changes rarely and is read, as a copy, by
//! every request.

mod commands;
pub mod contract;
mod decide;
mod queries;
mod queues;
mod tables;
mod token_keys;
mod verifier;

pub use commands::{
    ALL_LIMITS_MAX, ALL_QUEUES_MAX, ALL_TOKEN_KEYS_MAX, Action, Command, KEYS_MAX, LIMITS_MAX,
    QUEUES_MAX, QueueMode, Refusal, Reply, TENANTS_MAX, TOKEN_KEYS_MAX,
};
pub use contract::PATHS;
pub use decide::decide;
pub use queries::{Change, KeyView, Meta, TokenKeyView, changes, load};
pub(crate) use tables::table_name;
pub use verifier::{
    TOKEN_PUBLIC_KEY_BYTES, TOKEN_SECRET_BYTES_MAX, TOKEN_SECRET_BYTES_MIN, TokenAlgorithm,
    TokenPublicKey, TokenSecret, TokenVerifier,
};

/// The number by which the engine knows this domain. Never reused.
pub const DOMAIN: u8 = 0x10;
