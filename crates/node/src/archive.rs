//! Snapshots, which let the log be trimmed: when one is due, what is kept, what may go. Not needed
//! for durability; without them the log grows for ever.

use crate::{Node, host::Mailbag, node::Inner, owner::Message};
use evenkeel_log::{Files, Log, ReadError};
use evenkeel_state::{Snapshot, SnapshotError, Store};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Weak,
    time::Duration,
};
use tokio::sync::{Mutex, oneshot};

/// Snapshots that are kept: should the newest be damaged, the log still reaches back to the older.
const SNAPSHOTS_KEPT: usize = 2;

/// Where snapshots of the store are kept.
pub(crate) struct Archive {
    store: Store,
    directory: PathBuf,
    /// One at a time.
    turn: Mutex<()>,
}

impl Archive {
    pub(crate) fn new(store: Store, directory: PathBuf) -> Self {
        Self { store, directory, turn: Mutex::new(()) }
    }

    /// Writes a snapshot of everything and lets the log forget what the one before it holds.
    pub(crate) async fn snapshot<L: Log>(&self, log: &L, owners: &[Mailbag]) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        let mut flushes = Vec::new();
        for owner in owners {
            let (done, flushed) = oneshot::channel();
            if owner.send(Message::Flush { done }).await.is_ok() {
                flushes.push(flushed);
            }
        }
        for flushed in flushes {
            // An owner that has ended leaves what the store has of its partition.
            let _ = flushed.await;
        }
        let (store, directory) = (self.store.clone(), self.directory.clone());
        let write = tokio::task::spawn_blocking(move || write_snapshot(&store, &directory));
        let before = write.await.map_err(|error| error.to_string())??;
        for part in before.iter().flat_map(Snapshot::parts) {
            let below = part.applied.tail.offset.next();
            match log.trim(part.partition, below).await {
                // A damaged log keeps what it has; the other partitions' need not.
                Ok(()) | Err(ReadError::Quarantined(_)) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }
}

/// Writes a snapshot; answers the one that was the newest whole one before, which is kept.
fn write_snapshot(store: &Store, directory: &Path) -> Result<Option<Snapshot>, String> {
    let text = |error: SnapshotError| error.to_string();
    let newest = Snapshot::newest(directory).map_err(text)?;
    for refused in newest.refused {
        tracing::error!(%refused, "a snapshot is damaged and is removed");
        if let SnapshotError::Damaged { path, .. } = refused {
            // It must not count as one of those that are kept.
            fs::remove_file(path).map_err(|error| error.to_string())?;
        }
    }
    store.write_snapshot(directory).map_err(text)?;
    Snapshot::prune(directory, SNAPSHOTS_KEPT).map_err(text)?;
    Ok(newest.snapshot)
}

/// Looks at the log's growth every now and then, as long as the node lives. `grown_bytes` is what
/// the log has grown by since the last snapshot before it was opened.
pub(crate) async fn keep<F: Files>(
    node: Weak<Inner<F>>,
    every: Duration,
    snapshot_every_bytes: u64,
    mut grown_bytes: u64,
) {
    let mut seen_bytes = 0;
    loop {
        tokio::time::sleep(every).await;
        let Some(node) = node.upgrade().map(Node) else { return };
        let bytes = node.0.log.stats().bytes;
        grown_bytes += bytes - seen_bytes;
        seen_bytes = bytes;
        if grown_bytes < snapshot_every_bytes {
            continue;
        }
        match node.snapshot().await {
            Ok(()) => grown_bytes = 0,
            Err(error) => tracing::error!(error, "no snapshot; trying again"),
        }
    }
}
