//! The log of one machine: one writer thread over one write-ahead log for all partitions, so that
//! one sync commits what every partition has pending.
//!
//! [`LocalLog::append`] puts the record into a bounded queue when it is *called*, not when it is
//! awaited, so records go to the writer in the order of the calls. The writer takes everything
//! that is pending, refuses what does not continue its partition (records earlier in the same
//! group count), writes and syncs the rest as one group, publishes the tails, and answers.
//!
//! After a failed write or sync it answers every append with `Quarantined` and
//! [`LocalLog::failed`] completes: the process must then end, and recover.

mod queue;
mod writer;

use crate::fs::{Files, RealFiles};
use crate::reader::WalReader;
use crate::recovery::Recovered;
use crate::stats::{LogStats, Meter};
use crate::wal::{Wal, WalError, WalOptions};
use crate::{AppendError, Log, Offset, PartitionId, ReadError, Record, Tail};
use queue::{Pending, Queue};
use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use tokio::sync::{oneshot, watch};

/// How a [`LocalLog`] is opened and bounded.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// Whether an empty or missing directory becomes a log.
    pub init: bool,
    /// The size of a segment.
    pub segment_bytes: u64,
    /// The most that one group takes of what is pending (a larger record goes alone).
    pub group_bytes_max: usize,
    /// The most that may be pending; what is beyond is answered `Full` at once.
    pub queue_bytes_max: usize,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            init: false,
            segment_bytes: 64 << 20,
            group_bytes_max: 4 << 20,
            queue_bytes_max: 64 << 20,
        }
    }
}

/// What the log and its writer share.
struct Board {
    queue: Queue,
    /// One for every partition that someone has waited for: at most one a partition.
    tails: Mutex<HashMap<PartitionId, watch::Sender<Offset>>>,
    failed: watch::Sender<Option<String>>,
}

impl Board {
    /// Wakes who waits for `partition`; `reached` is its durable tail's offset.
    fn publish(&self, partition: PartitionId, reached: Offset) {
        let tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = tails.get(&partition) {
            sender.send_replace(reached);
        }
    }

    fn watch(&self, partition: PartitionId) -> watch::Receiver<Offset> {
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        tails.entry(partition).or_insert_with(|| watch::Sender::new(Offset(0))).subscribe()
    }

    fn fail(&self, reason: &str) {
        self.failed.send_modify(|failed| {
            failed.get_or_insert_with(|| reason.to_owned());
        });
        self.end_waits();
    }

    /// Nothing will be appended any more: who waits for a tail learns it.
    fn end_waits(&self) {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The durable log of one machine.
pub struct LocalLog<F: Files = RealFiles> {
    board: Arc<Board>,
    reader: WalReader<F>,
    meter: Arc<Meter>,
    /// Ends with the log that it wrote, so that the directory's lock is held until `close` even
    /// if the log fails.
    writer: Mutex<Option<JoinHandle<Wal<F>>>>,
}

impl LocalLog<RealFiles> {
    /// Opens the log in `directory`, or makes one there if `options.init` says so.
    pub fn open(directory: &Path, options: &LocalOptions) -> Result<(Self, Recovered), WalError> {
        let opened =
            if options.init { RealFiles::create(directory) } else { RealFiles::open(directory) };
        let files = opened.map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => WalError::NotInitialized,
            _ => WalError::io("open the log's directory")(source),
        })?;
        let mut identity = [0; 16];
        rustix::rand::getrandom(&mut identity, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| WalError::io("get random bytes")(error.into()))?;
        Self::over(Arc::new(files), options, identity)
    }
}

impl<F: Files> LocalLog<F> {
    /// Opens the log over any file layer; `identity` tells a new log from every other one.
    pub fn over(
        files: Arc<F>,
        options: &LocalOptions,
        identity: [u8; 16],
    ) -> Result<(Self, Recovered), WalError> {
        let wal_options = WalOptions {
            init: options.init,
            segment_bytes: options.segment_bytes,
            prepare_ahead: true,
            identity,
        };
        let (wal, recovered) = Wal::open(files, &wal_options)?;
        let board = Arc::new(Board {
            queue: Queue::new(options.queue_bytes_max),
            tails: Mutex::default(),
            failed: watch::Sender::new(None),
        });
        let (reader, meter) = (wal.reader(), wal.meter());
        let group_bytes_max = options.group_bytes_max;
        let shared = Arc::clone(&board);
        let writer = Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer::run(wal, &shared, group_bytes_max))
            .map_err(WalError::io("start the log's writer"))?;
        let log = Self { board, reader, meter, writer: Mutex::new(Some(writer)) };
        Ok((log, recovered))
    }

    /// Writes what is pending, then stops; later appends are refused. Reads go on. Called by
    /// `drop` as well; blocks until the writer has ended.
    pub fn close(&self) {
        self.board.queue.close("the log is closed");
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // If it panicked, its guard has told everyone.
            let _ = writer.join();
        }
        self.board.end_waits();
    }

    /// Completes, with the reason, once the log has failed: then the process must end.
    pub fn failed(&self) -> impl Future<Output = String> + Send + use<F> {
        let mut failed = self.board.failed.subscribe();
        async move {
            if let Ok(reason) = failed.wait_for(Option::is_some).await {
                return reason.clone().unwrap_or_default();
            }
            // The log is gone without having failed.
            std::future::pending().await
        }
    }

    /// What the writer has counted so far.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        self.meter.snapshot()
    }

    /// The partitions that have records or had some.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionId> {
        self.reader.partitions()
    }

    /// The partitions that are not served, and why.
    #[must_use]
    pub fn quarantined(&self) -> Vec<(PartitionId, String)> {
        self.reader.quarantined()
    }

    /// What reads this log without a runtime: for a pass over all partitions at once.
    #[must_use]
    pub fn reader(&self) -> WalReader<F> {
        self.reader.clone()
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&WalReader<F>) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let reader = self.reader.clone();
        tokio::task::spawn_blocking(move || work(&reader))
            .await
            .map_err(|error| ReadError::Io(format!("the reading thread ended: {error}")))?
    }
}

impl<F: Files> Log for LocalLog<F> {
    fn append(&self, record: Record) -> impl Future<Output = Result<Tail, AppendError>> + Send {
        let (answer, answered) = oneshot::channel();
        let refused = self.board.queue.push(Pending { record, answer }).err();
        async move {
            if let Some(refused) = refused {
                return Err(refused);
            }
            // The writer answers everything that it takes, unless it panics with it in hand.
            answered.await.unwrap_or_else(|_| {
                Err(AppendError::Indeterminate("the log's writer ended".to_owned()))
            })
        }
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        self.blocking(move |reader| reader.read(partition, from, bytes_max)).await
    }

    async fn tail(&self, partition: PartitionId) -> Result<Tail, ReadError> {
        self.reader.tail(partition)
    }

    async fn tail_past(&self, partition: PartitionId, past: Offset) -> Result<Tail, ReadError> {
        loop {
            // Watched before it is looked at, so that nothing in between is missed.
            let mut watched = self.board.watch(partition);
            let tail = self.reader.tail(partition)?;
            if tail.offset > past {
                return Ok(tail);
            }
            if self.board.queue.is_closed() || watched.changed().await.is_err() {
                return Err(ReadError::Io("nothing is appended to the log any more".to_owned()));
            }
        }
    }

    async fn trim(&self, partition: PartitionId, below: Offset) -> Result<(), ReadError> {
        self.blocking(move |reader| reader.trim(partition, below)).await
    }
}

impl<F: Files> Drop for LocalLog<F> {
    fn drop(&mut self) {
        self.close();
    }
}
