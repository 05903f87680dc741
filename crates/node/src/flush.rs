//! Flushes of memtables to the store: when one is due, and what becomes of it. Not needed for
//! durability, which is the log's; they bound memory and make the next start short.

use crate::stats::Counters;
use evenkeel_domains::Domains;
use evenkeel_engine::{Partition, Role};
use evenkeel_state::{Frozen, Store};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{sync::Mutex, task::JoinHandle};

/// A partition's part of the memtable budget: beyond it, it is flushed alone.
const BUDGET_PARTS: usize = 4;
/// The pause before a flush that failed is tried again.
const FLUSH_RETRY_AFTER: Duration = Duration::from_secs(1);
/// All memtables together take at most so many times their budget: beyond it commands are refused.
const BEHIND_MAX: usize = 4;

/// What all partitions of a node share about flushing.
pub(crate) struct Budget {
    store: Store,
    counters: Arc<Counters>,
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
            Err(error) if error.is_store_failure() => {
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
    /// The last attempt since the last demand came to nothing: nobody waits for the next.
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
        self.failing = false;
    }

    /// The same, and has the store know of the last record even if it changed no row: a
    /// partition that nobody uses must not keep the log from being trimmed.
    pub(crate) fn demand_all<T, R>(&mut self, partition: &Partition<Domains, T, R>) {
        let stored = self.budget.store.applied(partition.id());
        self.demanded = stored.is_ok_and(|stored| stored.tail != partition.tail());
        self.failing = false;
    }

    /// The store could not be read: the next flush opens it again.
    pub(crate) fn demand_reopening(&mut self) {
        self.demanded = true;
    }

    /// Whether flushes are so far behind that nothing more may be taken in.
    pub(crate) fn is_behind(&self) -> bool {
        self.budget.bytes.load(Ordering::Relaxed) > BEHIND_MAX * self.budget.bytes_max
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
        let error = match settled {
            // Milliseconds for the rows of a large memtable: no partition waits for that.
            Ok(freed) => return drop(tokio::task::spawn_blocking(move || drop(freed))),
            Err(error) => error,
        };
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

    /// While a log is read into the state there is no checkpoint to wait for, and nothing but this
    /// bounds memory: what is read waits for a flush once all memtables take twice their budget,
    /// unless the store takes none.
    pub(crate) async fn catch_up<T, R>(&mut self, partition: &mut Partition<Domains, T, R>) {
        let own = partition.memtable_bytes();
        self.count(own);
        if let Some(running) = &mut self.running {
            let all = self.budget.bytes.load(Ordering::Relaxed);
            let full = all > 2 * self.budget.bytes_max && !self.failing;
            if running.is_finished() || full {
                let result = running.await.unwrap_or_else(|error| Err(error.to_string()));
                self.running = None;
                self.settle(partition, result);
                self.count(partition.memtable_bytes());
            }
        } else if self.is_due(own)
            && let Some(frozen) = partition.freeze()
        {
            self.start(frozen);
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
