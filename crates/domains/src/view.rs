//! What is told when something that answers are made of has changed: for caches of reads.

use crate::hash::fingerprint_of;
use evenkeel_engine::{Entity, TenantId};

/// Numbers of views have this bit; no domain numbers anything so high.
const VIEW: u64 = 1 << 63;

/// The view of the resource, conversation or user of this name, in the partition where it is decided. By its
/// name, so that whoever keeps an answer can name it before anything is read. Two names may have one view: then
/// either's change counts for both.
#[must_use]
pub fn view_of(domain: u8, tenant: TenantId, name: &str) -> Entity {
    let hash = fingerprint_of(&[&tenant.0.to_string(), name]);
    Entity { domain, id: hash | VIEW }
}

/// Whether this is a view.
#[must_use]
pub fn is_view(entity: Entity) -> bool {
    entity.id & VIEW != 0
}
