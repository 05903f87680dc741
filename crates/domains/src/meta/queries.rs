//! What every request needs of meta, as one copy.

use super::tables::{Contracts, Keys, Limits, Tenants};
use crate::limits::Policy;
use evenkeel_engine::{TenantId, Time};
use evenkeel_state::{Order, Read, StateError};
use std::collections::{BTreeMap, HashMap};

/// The tenant that exists without being created.
pub(super) const DEFAULT_TENANT: &str = "default";

/// All of meta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Tenants by name.
    pub tenants: HashMap<String, TenantId>,
    /// Keys by their public half.
    pub keys: BTreeMap<String, KeyView>,
    /// Contract settings by path, as JSON.
    pub contracts: BTreeMap<String, String>,
    /// The policies of limits by name, of each tenant that has any.
    pub limits: HashMap<TenantId, BTreeMap<String, Policy>>,
}

impl Meta {
    /// What the limit of this name says.
    #[must_use]
    pub fn limit(&self, tenant: TenantId, name: &str) -> Option<&Policy> {
        self.limits.get(&tenant)?.get(name)
    }
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyView {
    /// BLAKE3 of the secret half.
    pub secret_hash: [u8; 32],
    /// Whose it is.
    pub tenant: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// What it is for.
    pub label: String,
    /// Since when it exists.
    pub created_at: Time,
}

impl Default for Meta {
    fn default() -> Self {
        Self {
            tenants: HashMap::from([(DEFAULT_TENANT.to_owned(), TenantId(0))]),
            keys: BTreeMap::new(),
            contracts: BTreeMap::new(),
            limits: HashMap::new(),
        }
    }
}

/// Reads all of meta.
pub fn load(read: &impl Read) -> Result<Meta, StateError> {
    let mut meta = Meta::default();
    for (name, tenant) in read.scan::<Tenants>(.., Order::Ascending, usize::MAX)? {
        meta.tenants.insert(name, TenantId(tenant.id));
    }
    for (id, key) in read.scan::<Keys>(.., Order::Ascending, usize::MAX)? {
        let view = KeyView {
            secret_hash: key.secret_hash,
            tenant: key.tenant,
            scopes: key.scopes,
            label: key.label,
            created_at: key.created_at,
        };
        meta.keys.insert(id, view);
    }
    for (path, contract) in read.scan::<Contracts>(.., Order::Ascending, usize::MAX)? {
        meta.contracts.insert(path, contract.settings);
    }
    for ((tenant, name), limit) in read.scan::<Limits>(.., Order::Ascending, usize::MAX)? {
        meta.limits.entry(tenant).or_default().insert(name, limit.0);
    }
    Ok(meta)
}
