//! What every request needs of meta, as one copy.

use super::{
    TokenVerifier,
    tables::{
        Contracts, Key, Keys, Limits, OutboxRules, QueuePushes, Queues, Tenants, TokenKey,
        TokenKeys,
    },
};
use crate::{
    jobs::{Push, Settings},
    limits::Policy,
    rules::Rules,
};
use evenkeel_engine::{TenantId, Time};
use evenkeel_state::{Effect, Effects, KeyCodec, Order, Read, Row, StateError, Table};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

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
    /// The policies of limits by name, of each tenant that has any. Copies share those that have not
    /// changed.
    pub limits: HashMap<TenantId, Arc<BTreeMap<String, Policy>>>,
    /// The settings of queues by name, of each tenant that has any; shared like the limits.
    pub queues: HashMap<TenantId, Arc<BTreeMap<String, Settings>>>,
    /// Where the jobs of those queues are sent that have it; shared likewise.
    pub pushes: HashMap<TenantId, Arc<BTreeMap<String, Push>>>,
    /// The outbox rules of each tenant that has any.
    pub rules: HashMap<TenantId, Arc<Rules>>,
    /// Token keys by what tokens name them, of all tenants.
    pub token_keys: BTreeMap<String, TokenKeyView>,
}

impl Meta {
    /// What decisions of other partitions need of it ([`Domains::meta`](crate::Domains::meta)): a small
    /// part, so that every change of the rest costs their copies nothing.
    #[must_use]
    pub fn for_decisions(&self) -> Self {
        let (tenants, queues) = (self.tenants.clone(), self.queues.clone());
        Self { tenants, queues, rules: self.rules.clone(), ..Self::default() }
    }

    /// What the limit of this name says.
    #[must_use]
    pub fn limit(&self, tenant: TenantId, name: &str) -> Option<&Policy> {
        self.limits.get(&tenant)?.get(name)
    }

    /// The settings of the queue of this name.
    #[must_use]
    pub fn queue(&self, tenant: TenantId, name: &str) -> Option<&Settings> {
        self.queues.get(&tenant)?.get(name)
    }

    /// Where its jobs are sent, if they are.
    #[must_use]
    pub fn push(&self, tenant: TenantId, name: &str) -> Option<&Push> {
        self.pushes.get(&tenant)?.get(name)
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

/// A token key. What shows it shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKeyView {
    /// Whose users it is for.
    pub tenant: String,
    /// What their tokens are verified with.
    pub verifier: TokenVerifier,
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
            queues: HashMap::new(),
            pushes: HashMap::new(),
            rules: HashMap::new(),
            token_keys: BTreeMap::new(),
        }
    }
}

impl From<Key> for KeyView {
    fn from(key: Key) -> Self {
        let Key { secret_hash, tenant, scopes, label, created_at } = key;
        Self { secret_hash, tenant, scopes, label, created_at }
    }
}

impl From<TokenKey> for TokenKeyView {
    fn from(key: TokenKey) -> Self {
        let TokenKey { tenant, verifier, label, created_at } = key;
        Self { tenant, verifier, label, created_at }
    }
}

/// A row of meta as a record leaves it; none if there is no such row any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A tenant, by name. None ever goes.
    Tenant(String, TenantId),
    /// A key, by its public half.
    Key(String, Option<KeyView>),
    /// A path's settings, as JSON.
    Contract(String, Option<String>),
    /// A limit of a tenant, by name.
    Limit(TenantId, String, Option<Policy>),
    /// A queue of a tenant, by name.
    Queue(TenantId, String, Option<Settings>),
    /// Where the jobs of a queue are sent, by tenant and name.
    Push(TenantId, String, Option<Box<Push>>),
    /// The outbox rules of a tenant.
    Rules(TenantId, Option<Rules>),
    /// A token key, by what tokens name it.
    TokenKey(String, Option<TokenKeyView>),
}

impl Change {
    /// Whether [`Meta::for_decisions`] differs by it.
    #[must_use]
    pub const fn is_for_decisions(&self) -> bool {
        match self {
            Self::Tenant(..) | Self::Queue(..) | Self::Rules(..) => true,
            Self::Key(..)
            | Self::Contract(..)
            | Self::Limit(..)
            | Self::Push(..)
            | Self::TokenKey(..) => false,
        }
    }
}

impl Meta {
    /// Makes a copy of meta what it is after `change`.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Tenant(name, id) => drop(self.tenants.insert(name, id)),
            Change::Key(id, Some(key)) => drop(self.keys.insert(id, key)),
            Change::Key(id, None) => drop(self.keys.remove(&id)),
            Change::Contract(path, Some(settings)) => drop(self.contracts.insert(path, settings)),
            Change::Contract(path, None) => drop(self.contracts.remove(&path)),
            Change::Limit(tenant, name, policy) => set(&mut self.limits, tenant, name, policy),
            Change::Queue(tenant, name, settings) => set(&mut self.queues, tenant, name, settings),
            Change::Push(tenant, name, push) => {
                set(&mut self.pushes, tenant, name, push.map(|push| *push));
            }
            Change::Rules(tenant, Some(rules)) => {
                self.rules.insert(tenant, Arc::new(rules));
            }
            Change::Rules(tenant, None) => drop(self.rules.remove(&tenant)),
            Change::TokenKey(kid, Some(key)) => drop(self.token_keys.insert(kid, key)),
            Change::TokenKey(kid, None) => drop(self.token_keys.remove(&kid)),
        }
    }
}

/// Sets or removes what has this name; a tenant who has nothing is not there.
fn set<T: Clone>(
    all: &mut HashMap<TenantId, Arc<BTreeMap<String, T>>>,
    tenant: TenantId,
    name: String,
    value: Option<T>,
) {
    let named = Arc::make_mut(all.entry(tenant).or_default());
    match value {
        Some(value) => drop(named.insert(name, value)),
        None => drop(named.remove(&name)),
    }
    if named.is_empty() {
        all.remove(&tenant);
    }
}

/// What a record of meta with this body changes; `None` if only reading all of meta tells.
#[must_use]
pub fn changes(body: &[u8]) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    for effect in Effects::parse(body).ok()? {
        let (key, row) = match effect.ok()? {
            Effect::Put { key, row } => (key, Some(row)),
            Effect::Delete { key } => (key, None),
            Effect::DropPrefix { prefix } => match prefix.first()? {
                &(Tenants::ID
                | Keys::ID
                | Contracts::ID
                | Limits::ID
                | Queues::ID
                | OutboxRules::ID
                | QueuePushes::ID
                | TokenKeys::ID) => return None,
                _ => continue,
            },
        };
        let (table, key) = key.split_first()?;
        changes.push(match *table {
            Tenants::ID => {
                let (name, tenant) = decoded::<Tenants>(key, row)?;
                Change::Tenant(name, TenantId(tenant?.id))
            }
            Keys::ID => {
                let (id, key) = decoded::<Keys>(key, row)?;
                Change::Key(id, key.map(KeyView::from))
            }
            Contracts::ID => {
                let (path, contract) = decoded::<Contracts>(key, row)?;
                Change::Contract(path, contract.map(|contract| contract.settings))
            }
            Limits::ID => {
                let ((tenant, name), limit) = decoded::<Limits>(key, row)?;
                Change::Limit(tenant, name, limit.map(|limit| limit.0))
            }
            Queues::ID => {
                let ((tenant, name), queue) = decoded::<Queues>(key, row)?;
                Change::Queue(tenant, name, queue.map(|queue| queue.0))
            }
            QueuePushes::ID => {
                let ((tenant, name), push) = decoded::<QueuePushes>(key, row)?;
                Change::Push(tenant, name, push.map(|push| Box::new(push.0)))
            }
            OutboxRules::ID => {
                let (tenant, rules) = decoded::<OutboxRules>(key, row)?;
                Change::Rules(tenant, rules)
            }
            TokenKeys::ID => {
                let (kid, key) = decoded::<TokenKeys>(key, row)?;
                Change::TokenKey(kid, key.map(TokenKeyView::from))
            }
            _ => continue,
        });
    }
    Some(changes)
}

fn decoded<T: Table>(mut key: &[u8], row: Option<&[u8]>) -> Option<(T::Key, Option<T::Row>)> {
    let row = match row {
        Some(row) => Some(T::Row::decode(row)?),
        None => None,
    };
    Some((T::Key::decode(&mut key)?, row))
}

/// Reads all of meta.
pub fn load(read: &impl Read) -> Result<Meta, StateError> {
    let mut meta = Meta::default();
    for (name, tenant) in read.scan::<Tenants>(.., Order::Ascending, usize::MAX)? {
        meta.apply(Change::Tenant(name, TenantId(tenant.id)));
    }
    for (id, key) in read.scan::<Keys>(.., Order::Ascending, usize::MAX)? {
        meta.apply(Change::Key(id, Some(key.into())));
    }
    for (path, contract) in read.scan::<Contracts>(.., Order::Ascending, usize::MAX)? {
        meta.apply(Change::Contract(path, Some(contract.settings)));
    }
    for ((tenant, name), limit) in read.scan::<Limits>(.., Order::Ascending, usize::MAX)? {
        meta.apply(Change::Limit(tenant, name, Some(limit.0)));
    }
    for ((tenant, name), queue) in read.scan::<Queues>(.., Order::Ascending, usize::MAX)? {
        meta.apply(Change::Queue(tenant, name, Some(queue.0)));
    }
    for ((tenant, name), push) in read.scan::<QueuePushes>(.., Order::Ascending, usize::MAX)? {
        meta.apply(Change::Push(tenant, name, Some(Box::new(push.0))));
    }
    for (tenant, rules) in read.scan::<OutboxRules>(.., Order::Ascending, usize::MAX)? {
        meta.apply(Change::Rules(tenant, Some(rules)));
    }
    for (kid, key) in read.scan::<TokenKeys>(.., Order::Ascending, usize::MAX)? {
        meta.apply(Change::TokenKey(kid, Some(key.into())));
    }
    Ok(meta)
}
