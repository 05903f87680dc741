//! Snapshots: files that the store can be rebuilt from, so that the log may be trimmed.
//!
//! A snapshot holds every partition as of one moment of the store. Its file appears under its name
//! only once it is whole and synced. Files are numbered; a damaged one is refused and the next older
//! one is used, so the log may be trimmed only below the *oldest* snapshot that is kept.

mod format;

use crate::base::PARTITION_BYTES;
use crate::error::SnapshotError;
use crate::hash::StateHasher;
use crate::store::{APPLIED, ROWS};
use crate::{Applied, KeyBytes, StateError, Store};
use evenkeel_log::{Hash, PartitionId, create_directory, sync_directory};
use format::{Fault, Item, Writer};
use redb::ReadableTableMetadata;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const PREFIX: &str = "snapshot-";
const WHOLE: &str = "eks";
const PARTIAL: &str = "part";

/// A snapshot file that was found whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    path: PathBuf,
    parts: Vec<SnapshotPart>,
}

/// One partition in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotPart {
    /// The partition.
    pub partition: PartitionId,
    /// What it had applied.
    pub applied: Applied,
    /// The hash of its rows: [`crate::State::hash`] at that point.
    pub hash: Hash,
    /// The number of its rows.
    pub rows: u64,
}

/// What [`Snapshot::newest`] found.
#[derive(Debug)]
pub struct Newest {
    /// The newest whole snapshot.
    pub snapshot: Option<Snapshot>,
    /// Why each newer one was refused.
    pub refused: Vec<SnapshotError>,
}

impl Snapshot {
    /// Reads the whole file, and answers what is in it if nothing is wrong with it.
    pub fn open(path: &Path) -> Result<Self, SnapshotError> {
        let parts = read(path, |_| Ok(()))?;
        Ok(Self { path: path.to_owned(), parts })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The partitions in it, in order.
    #[must_use]
    pub fn parts(&self) -> &[SnapshotPart] {
        &self.parts
    }

    /// What `partition` has applied in it.
    #[must_use]
    pub fn applied(&self, partition: PartitionId) -> Option<&Applied> {
        let part = self.parts.iter().find(|part| part.partition == partition);
        part.map(|part| &part.applied)
    }

    /// The snapshot files in `directory`, newest first; none if there is no such directory. They
    /// were not opened.
    pub fn list(directory: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
        let mut numbered = numbered(directory, WHOLE)?;
        numbered.sort_unstable_by(|a, b| b.cmp(a));
        Ok(numbered.into_iter().map(|(_, path)| path).collect())
    }

    /// The newest snapshot in `directory` that is whole.
    pub fn newest(directory: &Path) -> Result<Newest, SnapshotError> {
        let mut refused = Vec::new();
        for path in Self::list(directory)? {
            match Self::open(&path) {
                Ok(snapshot) => {
                    return Ok(Newest { snapshot: Some(snapshot), refused });
                }
                Err(error) => refused.push(error),
            }
        }
        Ok(Newest { snapshot: None, refused })
    }

    /// Removes all but the newest `keep` files in `directory`.
    pub fn prune(directory: &Path, keep: usize) -> Result<(), SnapshotError> {
        for path in Self::list(directory)?.into_iter().skip(keep) {
            fs::remove_file(&path).map_err(|source| SnapshotError::Io { path, source })?;
        }
        Ok(())
    }
}

impl Store {
    /// Writes what is flushed into a new file in `directory`, which is made if need be. After `Ok` the
    /// file survives a power loss; after an error it is gone. Flushes go on meanwhile. One at a time:
    /// the next one removes what an unfinished one left.
    pub fn write_snapshot(&self, directory: &Path) -> Result<Snapshot, SnapshotError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| SnapshotError::Io { path, source }
        };
        create_directory(directory).map_err(io(directory))?;
        for (_, left) in numbered(directory, PARTIAL)? {
            fs::remove_file(&left).map_err(io(&left))?;
        }
        let newest = numbered(directory, WHOLE)?.into_iter().map(|(number, _)| number).max();
        let number = newest.unwrap_or(0) + 1;
        let path = directory.join(format!("{PREFIX}{number:010}.{WHOLE}"));
        let partial = path.with_extension(PARTIAL);
        let written = self.write_parts(&partial).and_then(|parts| {
            fs::rename(&partial, &path).map_err(io(&path))?;
            sync_directory(directory).map_err(io(directory))?;
            Ok(parts)
        });
        if written.is_err() {
            // Tries that fail must not fill the disk, one after the other.
            let _ = fs::remove_file(&partial).or_else(|_| fs::remove_file(&path));
        }
        let parts = written?;
        Ok(Snapshot { path, parts })
    }

    fn write_parts(&self, path: &Path) -> Result<Vec<SnapshotPart>, SnapshotError> {
        let io = |source| SnapshotError::Io { path: path.to_owned(), source };
        let base = self.base();
        base.rows()?;
        let mut writer = Writer::new(File::create(path).map_err(io)?);
        let mut parts = Vec::new();
        for &(partition, applied) in &base.applied {
            let mut hasher = StateHasher::default();
            let mut rows = 0;
            writer.part(partition, &applied);
            base.visit(partition, |key, row| {
                hasher.row(key, row);
                rows += 1;
                writer.row(key, row).map_err(io)
            })?;
            let part = SnapshotPart { partition, applied, hash: hasher.finish(), rows };
            writer.part_end(part.rows, part.hash);
            parts.push(part);
        }
        writer.finish().and_then(|file| file.sync_all()).map_err(io)?;
        Ok(parts)
    }

    /// Puts all of `snapshot` into this store, which is empty: all or nothing. The file is checked
    /// again on the way.
    pub fn restore(&self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        self.write(|transaction| {
            let mut rows = transaction.open_table(ROWS).map_err(StateError::from)?;
            let mut applied = transaction.open_table(APPLIED).map_err(StateError::from)?;
            let used = [rows.is_empty(), applied.is_empty()];
            for is_empty in used {
                if !is_empty.map_err(StateError::from)? {
                    return Err(StateError::NotEmpty.into());
                }
            }
            let mut stored_key = KeyBytes::new();
            read(&snapshot.path, |item| {
                match item {
                    Item::Row { partition, key, row } => {
                        stored_key.clear();
                        stored_key.extend_from_slice(&partition.0.to_be_bytes());
                        debug_assert_eq!(stored_key.len(), PARTITION_BYTES);
                        stored_key.extend_from_slice(key);
                        rows.insert(stored_key.as_slice(), row).map_err(StateError::from)?;
                    }
                    Item::Part(part) => {
                        let bytes = part.applied.encode();
                        applied
                            .insert(part.partition.0, bytes.as_slice())
                            .map_err(StateError::from)?;
                    }
                }
                Ok(())
            })?;
            Ok(())
        })
    }
}

/// What stopped a reading: the file, or what was done with it.
enum Stopped {
    Fault(Fault),
    Error(SnapshotError),
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn read(
    path: &Path,
    mut visit: impl FnMut(Item<'_>) -> Result<(), SnapshotError>,
) -> Result<Vec<SnapshotPart>, SnapshotError> {
    let path = || path.to_owned();
    let opened = File::open(path()).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (bytes, file) = opened.map_err(|source| SnapshotError::Io { path: path(), source })?;
    format::read(file, bytes, |item| visit(item).map_err(Stopped::Error)).map_err(|stopped| {
        match stopped {
            Stopped::Error(error) => error,
            Stopped::Fault(Fault::Io(source)) => SnapshotError::Io { path: path(), source },
            Stopped::Fault(Fault::Damaged(what)) => SnapshotError::Damaged { path: path(), what },
            Stopped::Fault(Fault::Version(version)) => {
                SnapshotError::Version { path: path(), version }
            }
        }
    })
}

/// The files in `directory` that are named like snapshots and end in `extension`.
fn numbered(directory: &Path, extension: &str) -> Result<Vec<(u64, PathBuf)>, SnapshotError> {
    let io = |source| SnapshotError::Io { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(io)?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(extension)?.strip_suffix('.'))
            .and_then(|number| number.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    Ok(found)
}
