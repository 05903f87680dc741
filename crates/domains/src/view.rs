//! What is told when something that answers are made of has changed: for caches of reads.

use evenkeel_engine::{Entity, TenantId};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Numbers of views have this bit; no domain numbers anything so high.
const VIEW: u64 = 1 << 63;

/// The view of the resource, conversation or user of this name, in the partition where it is decided. By its
/// name, so that whoever keeps an answer can name it before anything is read. Two names may have one view: then
/// either's change counts for both. It is never stored: another build may number them differently.
#[must_use]
pub fn view_of(domain: u8, tenant: TenantId, name: &str) -> Entity {
    let mut hasher = DefaultHasher::new();
    (tenant.0, name).hash(&mut hasher);
    Entity { domain, id: hasher.finish() | VIEW }
}

/// Whether this is a view.
#[must_use]
pub fn is_view(entity: Entity) -> bool {
    entity.id & VIEW != 0
}
