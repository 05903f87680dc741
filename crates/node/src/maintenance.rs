//! What goes on in the background: memtables are flushed to the store, and snapshots let the log
//! be trimmed. None of it is needed for durability; all of it is bounded.

use crate::{node::Mailbag, owner::Message, stats::Counters};
use evenkeel_domains::Domains;
use evenkeel_engine::Partition;
use evenkeel_log::Log;
use evenkeel_state::{Frozen, Snapshot, StateError, Store};
use std::{
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::{
    sync::{Mutex, oneshot},
    task::JoinHandle,
};

/// Snapshots that are kept: should the newest be damaged, the log still reaches back to the older.
const SNAPSHOTS_KEPT: usize = 2;
/// A partition's part of the memtable budget: beyond it, it is flushed alone.
const BUDGET_PARTS: usize = 4;

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
    retry: Option<Frozen>,
    /// A checkpoint was asked for and has not been committed.
    asked: bool,
    /// What this partition has added to the node's total.
    counted: usize,
    /// Everything has to go, however little it is.
    demanded: bool,
}

impl Flusher {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, running: None, retry: None, asked: false, counted: 0, demanded: false }
    }

    /// Asks for a flush if the memtable takes more than its share.
    pub(crate) fn consider<T, R>(&mut self, partition: &mut Partition<Domains, T, R>) {
        if let Some(frozen) = self.retry.take() {
            self.start(frozen);
        }
        let own = partition.memtable_bytes();
        self.count(own);
        if self.asked || self.running.is_some() {
            return;
        }
        let all = self.budget.bytes.load(Ordering::Relaxed);
        let alone = own > self.budget.bytes_max / BUDGET_PARTS;
        let together = all > self.budget.bytes_max && own > all / (2 * self.budget.partitions);
        if alone || together || (self.demanded && own > 0) {
            self.asked = true;
            self.demanded = false;
            partition.request_checkpoint();
        }
    }

    /// Has everything flushed soon.
    pub(crate) fn demand<T, R>(&mut self, partition: &mut Partition<Domains, T, R>) {
        self.demanded = partition.memtable_bytes() > 0;
        self.consider(partition);
    }

    pub(crate) fn start(&mut self, frozen: Frozen) {
        self.asked = false;
        self.running = Some(tokio::spawn(Arc::clone(&self.budget).flush(frozen)));
    }

    /// The result of the running flush.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), String>> {
        let Some(running) = &mut self.running else { return Poll::Pending };
        let result = ready!(Pin::new(running).poll(context));
        self.running = None;
        Poll::Ready(result.unwrap_or_else(|error| Err(error.to_string())))
    }

    /// Tells the partition how its flush ended. One that failed is tried again: its rows stay in
    /// memory and the log has them.
    pub(crate) fn settle<T, R>(
        &mut self,
        partition: &mut Partition<Domains, T, R>,
        result: Result<(), String>,
    ) {
        let settled = result.and_then(|()| partition.flushed().map_err(|error| error.to_string()));
        if let Err(error) = settled {
            tracing::error!(partition = %partition.id(), error, "the flush failed; trying again");
            self.retry = partition.retry_flush();
        }
    }

    pub(crate) fn waits_to_retry(&self) -> bool {
        self.retry.is_some()
    }

    /// Whether nothing is on its way to the store.
    pub(crate) fn is_idle<T, R>(&self, partition: &Partition<Domains, T, R>) -> bool {
        let stuck = self.retry.is_some();
        let empty = !self.demanded || partition.memtable_bytes() == 0;
        (self.running.is_none() && !self.asked && empty) || stuck
    }

    /// While a log is read into the state there is no checkpoint to wait for.
    pub(crate) async fn catch_up<T, R>(&mut self, partition: &mut Partition<Domains, T, R>) {
        let own = partition.memtable_bytes();
        self.count(own);
        if own < self.budget.bytes_max / BUDGET_PARTS {
            return;
        }
        if let Some(frozen) = partition.freeze() {
            let result = Arc::clone(&self.budget).flush(frozen).await;
            self.settle(partition, result);
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

/// Writes a snapshot of everything and lets the log forget what the one before it holds.
pub(crate) async fn snapshot<L: Log>(
    log: &L,
    store: &Store,
    directory: PathBuf,
    owners: &[Mailbag],
) -> Result<(), String> {
    for owner in owners {
        let (done, flushed) = oneshot::channel();
        if owner.send(Message::Flush { done }).await.is_ok() {
            let _ = flushed.await;
        }
    }
    let store = store.clone();
    let write = tokio::task::spawn_blocking(move || {
        let whole = Snapshot::newest(&directory).map(|newest| newest.snapshot);
        let before = whole.map_err(|error| error.to_string())?;
        store.write_snapshot(&directory).map_err(|error| error.to_string())?;
        Snapshot::prune(&directory, SNAPSHOTS_KEPT).map_err(|error| error.to_string())?;
        Ok::<_, String>(before)
    });
    let before = write.await.map_err(|error| error.to_string())??;
    for part in before.iter().flat_map(Snapshot::parts) {
        let below = part.applied.tail.offset.next();
        log.trim(part.partition, below).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}
