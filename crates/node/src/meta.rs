//! The copy of `meta` that every request is checked against.

use crate::SessionToken;
use evenkeel_contract::{Overrides, Registry};
use evenkeel_domains::meta::Meta;
use std::sync::{Arc, PoisonError, RwLock};

/// What `meta` says, as of its newest record.
#[derive(Debug, Clone)]
pub struct MetaView {
    /// Tenants, keys and settings as stored.
    pub meta: Meta,
    /// Every path with the settings that hold.
    pub registry: Registry,
    /// The place in its log that this copy rests on; `None` before it was read.
    pub as_of: Option<SessionToken>,
}

/// The current copy. Readers take a reference; the owner of `meta` replaces it.
#[derive(Debug, Clone)]
pub(crate) struct MetaCell(Arc<RwLock<Arc<MetaView>>>);

impl MetaCell {
    pub(crate) fn new() -> Self {
        Self(Arc::new(RwLock::new(Arc::new(MetaView {
            meta: Meta::default(),
            registry: registry(),
            as_of: None,
        }))))
    }

    pub(crate) fn get(&self) -> Arc<MetaView> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Settings that this version does not understand are left out, and named in the log: an
    /// older program must still start.
    pub(crate) fn set(&self, meta: Meta, as_of: SessionToken) {
        let mut registry = registry();
        for (path, settings) in &meta.contracts {
            let applied = serde_json::from_str::<Overrides>(settings)
                .map_err(|error| error.to_string())
                .and_then(|overrides| {
                    registry.set(path, &overrides).map_err(|error| error.to_string())
                });
            if let Err(error) = applied {
                tracing::warn!(path, error, "stored contract settings do not apply");
            }
        }
        let view = Arc::new(MetaView { meta, registry, as_of: Some(as_of) });
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = view;
    }
}

fn registry() -> Registry {
    Registry::new(evenkeel_domains::paths()).expect("declared paths are legal: a test proves it")
}
