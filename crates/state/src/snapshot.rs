//! placeholder
use crate::Applied;
use evenkeel_log::{Hash, PartitionId};
use std::path::{Path, PathBuf};
/// A snapshot file that was found whole.
#[derive(Debug, Clone)]
pub struct Snapshot { path: PathBuf, parts: Vec<SnapshotPart> }
/// One partition in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotPart {
    /// The partition.
    pub partition: PartitionId,
    /// What it had applied.
    pub applied: Applied,
    /// The hash of its rows.
    pub hash: Hash,
    /// Their number.
    pub rows: u64,
}
/// x
#[derive(Debug)]
pub struct Newest;
impl Snapshot { 
/// p
pub fn path(&self) -> &Path { &self.path } 
/// p
pub fn parts(&self) -> &[SnapshotPart] { &self.parts } }
