//! The disk under [`FaultFiles`](super::FaultFiles): what programs see, what would survive, and
//! what a power loss makes of the difference.

use super::Operation;
use crate::rng::SplitMix64;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// What a disk writes whole or not at all, on a good day.
pub(super) const SECTOR_BYTES: usize = 512;

pub(super) struct Disk {
    pub(super) rng: SplitMix64,
    pub(super) files: BTreeMap<u64, Contents>,
    pub(super) names: BTreeMap<String, u64>,
    pub(super) durable_names: BTreeMap<String, u64>,
    pub(super) changes: Vec<Change>,
    pub(super) next_id: u64,
    /// Counts crashes: handles and locks of an earlier life are dead.
    pub(super) life: u64,
    pub(super) readers: usize,
    pub(super) writer: bool,
    /// The error that comes with the operation that is so many from now.
    pub(super) errors: BTreeMap<Operation, (u64, io::ErrorKind)>,
    pub(super) short_writes: bool,
    pub(super) ignore_sync: bool,
    pub(super) space_bytes: Option<u64>,
    pub(super) changes_until_off: Option<u64>,
    pub(super) powered: bool,
    pub(super) change_count: u64,
}

#[derive(Default)]
pub(super) struct Contents {
    pub(super) cache: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) dirty: BTreeSet<usize>,
}

impl Contents {
    /// What is dirty, and only that: after a failed sync the rest is not what the disk has.
    pub(super) fn flush(&mut self) {
        self.durable.resize(self.cache.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            let start = sector * SECTOR_BYTES;
            let end = (start + SECTOR_BYTES).min(self.cache.len());
            self.durable[start..end].copy_from_slice(&self.cache[start..end]);
        }
    }
}

pub(super) enum Change {
    Create(String, u64),
    Rename(String, String, u64),
    Remove(String),
}

impl Change {
    pub(super) fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Create(name, id) => {
                names.insert(name.clone(), *id);
            }
            Self::Rename(from, to, id) => {
                names.remove(from);
                names.insert(to.clone(), *id);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: SplitMix64::new(seed),
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            next_id: 0,
            life: 0,
            readers: 0,
            writer: false,
            errors: BTreeMap::new(),
            short_writes: false,
            ignore_sync: false,
            space_bytes: None,
            changes_until_off: None,
            powered: true,
            change_count: 0,
        }
    }

    pub(super) fn named(&mut self, name: &str) -> io::Result<&mut Contents> {
        let id = *self.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.files.get_mut(&id).expect("a name's file exists"))
    }

    /// Counts one change towards the moment at which the power goes.
    pub(super) fn change(&mut self) -> io::Result<()> {
        self.change_count += 1;
        if let Some(left) = &mut self.changes_until_off {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.powered = false;
            }
        }
        self.on()
    }

    pub(super) fn on(&self) -> io::Result<()> {
        if self.powered { Ok(()) } else { Err(io::Error::other("the power is off")) }
    }

    /// Counts one operation towards its injected error.
    pub(super) fn count(&mut self, operation: Operation) -> io::Result<()> {
        let Some((left, error)) = self.errors.get_mut(&operation) else {
            return Ok(());
        };
        *left = left.saturating_sub(1);
        if *left > 0 {
            return Ok(());
        }
        let error = io::Error::new(*error, "injected I/O error");
        self.errors.remove(&operation);
        Err(error)
    }

    pub(super) fn grow(&mut self, id: u64, end: usize) -> io::Result<()> {
        let contents = self.files.get_mut(&id).ok_or(io::ErrorKind::NotFound)?;
        let growth = end.saturating_sub(contents.cache.len()) as u64;
        if let Some(space) = &mut self.space_bytes {
            *space = space.checked_sub(growth).ok_or(io::ErrorKind::StorageFull)?;
        }
        if growth > 0 {
            contents.cache.resize(end, 0);
        }
        Ok(())
    }

    pub(super) fn lose_names(&mut self) {
        // Half of the time the file system's journal kept the order, half of the time nothing.
        let ordered = self.rng.below(2) == 0;
        let mut kept = true;
        for change in std::mem::take(&mut self.changes) {
            kept = if ordered { kept && self.rng.below(4) > 0 } else { self.rng.below(2) == 0 };
            if kept {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        let alive: BTreeSet<u64> = self.names.values().copied().collect();
        self.files.retain(|id, _| alive.contains(id));
    }

    pub(super) fn lose_sectors(&mut self) {
        for contents in self.files.values_mut() {
            let length =
                if self.rng.below(2) == 0 { contents.cache.len() } else { contents.durable.len() };
            contents.durable.resize(length, 0);
            for sector in std::mem::take(&mut contents.dirty) {
                let start = sector * SECTOR_BYTES;
                let end = (start + SECTOR_BYTES).min(length).min(contents.cache.len());
                // Writing what is there already cannot tear it.
                let same = |bytes: &[u8]| contents.durable[start..end] == *bytes;
                if start >= end || same(&contents.cache[start..end]) {
                    continue;
                }
                match self.rng.below(8) {
                    0..3 => {
                        contents.durable[start..end].copy_from_slice(&contents.cache[start..end]);
                    }
                    3..6 => {}
                    6 => {
                        let cut = start + self.rng.below(end - start);
                        contents.durable[start..cut].copy_from_slice(&contents.cache[start..cut]);
                    }
                    _ => contents.durable[start..end]
                        .fill_with(|| u8::try_from(self.rng.below(256)).expect("it is below 256")),
                }
            }
            contents.cache = contents.durable.clone();
        }
    }

    pub(super) fn restart(&mut self) {
        self.life += 1;
        self.readers = 0;
        self.writer = false;
        self.errors.clear();
        self.short_writes = false;
        self.space_bytes = None;
        self.changes_until_off = None;
        self.powered = true;
    }
}

pub(super) fn place(position: u64) -> usize {
    usize::try_from(position).expect("a file in memory is within its address space")
}
