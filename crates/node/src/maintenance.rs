//! What goes on in the background: memtables are flushed to the store, and snapshots let the log
//! be trimmed. None of it is needed for durability; all of it is bounded.

use crate::{host::Mailbag, owner::Message, stats::Counters};
use evenkeel_domains::Domains;
use evenkeel_engine::{Partition, Role};
use evenkeel_log::{Log, ReadError};
use evenkeel_state::{Frozen, Snapshot, SnapshotError, StateError, Store};
use std::{
    fs,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    sync::{Mutex, oneshot},
    task::JoinHandle,
};

/// Snapshots that are kept: should the newest be damaged, the log still reaches back to the older.
const SNAPSHOTS_KEPT: usize = 2;
/// A partition's part of the memtable budget: beyond it, it is flushed alone.
const BUDGET_PARTS: usize = 4;
/// The pause before a flush that failed is tried again.
const FLUSH_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What all partitions of a node share about flushing.
pub(crate) struct Budget {
    pub(crate) store: Store,
    pub(crate) counters: Arc<Counters>,
    /// redb has one writer: flushes take turns.
    turn: Mutex<()>,
    bytes_max: usize,
    bytes: AtomicUsize,
    partitions: usize,
}

impl Budget {
    pub(crate) fn new(
        store: Store,
        counters: Arc<Counters>,
        bytes_max: usize,
        partitions: usize,
    ) -> Arc<Self> {
        let turn = Mutex::new(());
        Arc::new(Self { store, counters, turn, bytes_max, bytes: AtomicUsize::new(0), partitions })
    }

    async fn flush(self: Arc<Self>, frozen: Frozen) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        let (store, counters) = (self.store.clone(), Arc::clone(&self.counters));
        let flush = tokio::task::spawn_blocking(move || match store.flush(&frozen) {
            Err(StateError::Io(_)) => {
                store.reopen().map_err(|error| error.to_string())?;
                store.flush(&frozen).map_err(|error| error.to_string())
            }
            other => other.map_err(|error| error.to_string()),
        });
        let result = flush.await.unwrap_or_else(|error| Err(error.to_string()));
        counters.flushes.fetch_add(1, Ordering::Relaxed);
        counters.store_result(result.clone());
        result
    }
}

/// The flushes of one partition: at most one at a time.
pub(crate) struct Flusher {
    budget: Arc<Budget>,
    running: Option<JoinHandle<Result<(), String>>>,
    /// A checkpoint was asked for and has not been committed.
    asked: bool,
    /// What this partition has added to the node's total.
    counted: usize,
    /// Everything has to go, however little it is.
    demanded: bool,
    /// The last attempt came to nothing: nobody waits for the next.
    failing: bool,
}

impl Flusher {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        let (running, counted) = (None, 0);
        Self { budget, running, asked: false, counted, demanded: false, failing: false }
    }

    /// Asks for a flush if the memtable takes more than its share.
    pub(crate) fn consider<T, R>(&mut self, partition: &mut Partition<Domains, T, R>) {
        let own = partition.memtable_bytes();
        self.count(own);
        // Only an owner comes to a checkpoint.
        if self.asked || self.running.is_some() || partition.role() != Role::Owner {
            return;
        }
        if self.demanded || self.is_due(own) {
            self.asked = true;
            partition.request_checkpoint();
        }
    }

    fn is_due(&self, own: usize) -> bool {
        let all = self.budget.bytes.load(Ordering::Relaxed);
        let alone = own > self.budget.bytes_max / BUDGET_PARTS;
        let together = all > self.budget.bytes_max && own > all / (2 * self.budget.partitions);
        alone || together
    }

    /// Has all rows flushed soon.
    pub(crate) fn demand_rows<T, R>(&mut self, partition: &Partition<Domains, T, R>) {
        self.demanded = partition.memtable_bytes() > 0;
    }

    /// The same, and has the store know of the last record even if it changed no row: a
    /// partition that nobody uses must not keep the log from being trimmed.
    pub(crate) fn demand_all<T, R>(&mut self, partition: &Partition<Domains, T, R>) {
        let stored = self.budget.store.applied(partition.id());
        self.demanded = stored.is_ok_and(|stored| stored.tail != partition.tail());
    }

    /// A checkpoint has been committed: this is what was set aside there.
    pub(crate) fn start(&mut self, frozen: Frozen) {
        self.asked = false;
        self.demanded = false;
        self.running = Some(tokio::spawn(Arc::clone(&self.budget).flush(frozen)));
    }

    /// A checkpoint that the log has refused has to be asked for again.
    pub(crate) fn check_asked<T, R>(&mut self, partition: &Partition<Domains, T, R>) {
        if self.asked && self.running.is_none() && !partition.is_in_flight() {
            self.asked = false;
            self.failing = true;
        }
    }

    /// The result of the running flush.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), String>> {
        let Some(running) = &mut self.running else { return Poll::Pending };
        let result = ready!(Pin::new(running).poll(context));
        self.running = None;
        Poll::Ready(result.unwrap_or_else(|error| Err(error.to_string())))
    }

    /// Tells the partition how its flush ended. One that failed is tried again after a pause: its
    /// rows stay in memory and the log has them.
    pub(crate) fn settle<T, R>(
        &mut self,
        partition: &mut Partition<Domains, T, R>,
        result: Result<(), String>,
    ) {
        let settled = result.and_then(|()| partition.flushed().map_err(|error| error.to_string()));
        self.failing = settled.is_err();
        let Err(error) = settled else { return };
        tracing::error!(partition = %partition.id(), error, "the flush failed; trying again");
        if let Some(frozen) = partition.retry_flush() {
            let budget = Arc::clone(&self.budget);
            self.running = Some(tokio::spawn(async move {
                tokio::time::sleep(FLUSH_RETRY_AFTER).await;
                budget.flush(frozen).await
            }));
        }
    }

    /// Whether there is nothing to wait for.
    pub(crate) fn is_idle<T, R>(&self, partition: &Partition<Domains, T, R>) -> bool {
        let nothing = self.running.is_none() && !self.asked && !self.demanded;
        nothing || self.failing || partition.role() != Role::Owner
    }

    /// While a log is read into the state there is no checkpoint to wait for.
    pub(crate) async fn catch_up<T, R>(&mut self, partition: &mut Partition<Domains, T, R>) {
        let own = partition.memtable_bytes();
        self.count(own);
        if self.running.is_none()
            && self.is_due(own)
            && let Some(frozen) = partition.freeze()
        {
            let result = Arc::clone(&self.budget).flush(frozen).await;
            self.settle(partition, result);
            self.count(partition.memtable_bytes());
        }
    }

    fn count(&mut self, own: usize) {
        if own >= self.counted {
            self.budget.bytes.fetch_add(own - self.counted, Ordering::Relaxed);
        } else {
            self.budget.bytes.fetch_sub(self.counted - own, Ordering::Relaxed);
        }
        self.counted = own;
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
        self.count(0);
    }
}

/// Writes a snapshot of everything and lets the log forget what the one before it holds.
pub(crate) async fn snapshot<L: Log>(
    log: &L,
    store: &Store,
    directory: PathBuf,
    owners: &[Mailbag],
) -> Result<(), String> {
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
    let store = store.clone();
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
