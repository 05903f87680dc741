//! The copy of `meta` that every request is checked against.

use crate::SessionToken;
use evenkeel_contract::{Overrides, Registry};
use evenkeel_domains::meta::{self, Change, Meta};
use evenkeel_log::{Offset, Record, Tail};
use evenkeel_state::{Read, StateError};
use std::{
    collections::VecDeque,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Records on their way into the log whose changes are known when they arrive there.
const SUBMITTED_MAX: usize = 16;

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
pub(crate) struct MetaCell(Arc<Copies>);

#[derive(Debug)]
struct Copies {
    view: RwLock<Arc<MetaView>>,
    /// What decisions need of it.
    decisive: RwLock<Arc<Meta>>,
    /// Grows whenever that changes.
    version: AtomicU64,
}

/// An owner's look at what decisions need of meta.
#[derive(Debug)]
pub(crate) struct Decisive {
    cell: MetaCell,
    seen: u64,
}

impl Decisive {
    /// It, if it has changed since this was last asked.
    pub(crate) fn newer(&mut self) -> Option<Arc<Meta>> {
        let copies = &self.cell.0;
        let version = copies.version.load(Ordering::Acquire);
        if version == self.seen {
            return None;
        }
        self.seen = version;
        Some(Arc::clone(&copies.decisive.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl MetaCell {
    pub(crate) fn new() -> Self {
        let meta = Meta::default();
        let view = MetaView { meta, registry: registry(), as_of: None };
        Self(Arc::new(Copies {
            view: RwLock::new(Arc::new(view)),
            decisive: RwLock::default(),
            version: AtomicU64::new(0),
        }))
    }

    pub(crate) fn decisive(&self) -> Decisive {
        Decisive { cell: self.clone(), seen: 0 }
    }

    /// What is decided from now on is decided by this.
    pub(crate) fn set_decisive(&self, meta: &Meta) {
        let decisive = Arc::new(meta.for_decisions());
        *self.0.decisive.write().unwrap_or_else(PoisonError::into_inner) = decisive;
        self.0.version.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn get(&self) -> Arc<MetaView> {
        Arc::clone(&self.0.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, meta: Meta, as_of: SessionToken) {
        let registry = registry_of(&meta);
        self.set_decisive(&meta);
        self.put(MetaView { meta, registry, as_of: Some(as_of) });
    }

    /// In place, unless someone is just reading: then in a copy. Only the owner of `meta` writes.
    fn apply(&self, changes: Vec<Change>, as_of: SessionToken) {
        let are_decisive = changes.iter().any(Change::is_for_decisions);
        let mut current = self.0.view.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = Arc::get_mut(&mut current) {
            view.apply(changes, as_of);
            drop(current);
        } else {
            drop(current);
            let mut view = MetaView::clone(&self.get());
            view.apply(changes, as_of);
            self.put(view);
        }
        if are_decisive {
            self.set_decisive(&self.get().meta);
        }
    }

    fn put(&self, view: MetaView) {
        *self.0.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }
}

impl MetaView {
    fn apply(&mut self, changes: Vec<Change>, as_of: SessionToken) {
        let of_contracts = changes.iter().any(|change| matches!(change, Change::Contract(..)));
        changes.into_iter().for_each(|change| self.meta.apply(change));
        if of_contracts {
            self.registry = registry_of(&self.meta);
        }
        self.as_of = Some(as_of);
    }
}

/// Keeps the copy, for the owner of `meta`: by what each of its records changes, since there may be
/// tens of thousands of rows, and by reading all of them where that is not known.
#[derive(Debug)]
pub(crate) struct MetaKeeper {
    cell: MetaCell,
    /// Records that were submitted, in order; those of the copy are forgotten.
    submitted: VecDeque<Record>,
}

impl MetaKeeper {
    pub(crate) fn new(cell: MetaCell) -> Self {
        Self { cell, submitted: VecDeque::new() }
    }

    pub(crate) fn cell(&self) -> MetaCell {
        self.cell.clone()
    }

    /// `record` may become the newest.
    pub(crate) fn submitted(&mut self, record: &Record) {
        let offset = record.header().offset;
        // Those that it stands in for never will.
        self.submitted.retain(|earlier| earlier.header().offset < offset);
        if self.submitted.len() == SUBMITTED_MAX {
            self.submitted.pop_front();
        }
        self.submitted.push_back(record.clone());
    }

    /// Has the copy be what `view` is, at `tail`.
    pub(crate) fn publish(
        &mut self,
        view: &impl Read,
        tail: Tail,
        as_of: SessionToken,
    ) -> Result<(), StateError> {
        let published = self.cell.get().as_of;
        if published == Some(as_of) {
            return Ok(());
        }
        match published.and_then(|published| self.changes(published.offset, tail)) {
            Some(changes) => self.cell.apply(changes, as_of),
            None => self.cell.set(meta::load(view)?, as_of),
        }
        self.submitted.retain(|record| record.header().offset > tail.offset);
        Ok(())
    }

    /// What the records after `from` up to `tail` change, if they are all here.
    fn changes(&self, from: Offset, tail: Tail) -> Option<Vec<Change>> {
        let is_new = |record: &&Record| (from..=tail.offset).contains(&record.header().offset);
        let new: Vec<&Record> = self
            .submitted
            .iter()
            .filter(is_new)
            .skip_while(|r| r.header().offset == from)
            .collect();
        let chained = new.windows(2).all(|pair| pair[1].header().prev == pair[0].tail().hash);
        let whole = new.first()?.header().offset == from.next() && new.last()?.tail() == tail;
        if !chained || !whole {
            return None;
        }
        let changes: Option<Vec<_>> =
            new.into_iter().map(|record| meta::changes(record.body())).collect();
        Some(changes?.into_iter().flatten().collect())
    }
}

/// Settings that this version does not understand are left out, and named in the log: an older
/// program must still start.
fn registry_of(meta: &Meta) -> Registry {
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
    registry
}

fn registry() -> Registry {
    Registry::new(evenkeel_domains::paths()).expect("declared paths are legal: a test proves it")
}
