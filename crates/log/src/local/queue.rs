//! The bounded queue between those who append and the writer.

use crate::{AppendError, Record, Tail};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A record that waits to be written, and where its answer goes.
pub(super) struct Pending {
    pub(super) record: Record,
    pub(super) answer: oneshot::Sender<Result<Tail, AppendError>>,
}

impl Pending {
    pub(super) fn bytes(&self) -> usize {
        self.record.as_bytes().len()
    }

    /// Nobody may be waiting any more; that changes nothing.
    pub(super) fn answer(self, outcome: Result<Tail, AppendError>) {
        let _ = self.answer.send(outcome);
    }
}

/// The queue.
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    pending: VecDeque<Pending>,
    /// Of what is pending and of what the writer has taken but not yet answered.
    bytes: usize,
    closed: Option<String>,
}

impl Queue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues `pending`, or says at once why not.
    pub(super) fn push(&self, pending: Pending) -> Result<(), AppendError> {
        let mut state = self.lock();
        if let Some(reason) = &state.closed {
            return Err(AppendError::Quarantined(reason.clone()));
        }
        if state.bytes + pending.bytes() > self.bytes_max {
            return Err(AppendError::Full("the queue to the log's writer is full".to_owned()));
        }
        state.bytes += pending.bytes();
        state.pending.push_back(pending);
        if state.pending.len() == 1 {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Takes everything that is pending, waiting until there is something. `taken` is empty; it
    /// stays so once the queue is closed and drained.
    pub(super) fn take(&self, taken: &mut VecDeque<Pending>) {
        let mut state = self.lock();
        while state.pending.is_empty() && state.closed.is_none() {
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(taken, &mut state.pending);
    }

    /// Records of `bytes` bytes have been answered.
    pub(super) fn answered(&self, bytes: usize) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
    }

    /// Refuses what comes later, for `reason`. What is pending can still be taken.
    pub(super) fn close(&self, reason: &str) {
        let mut state = self.lock();
        state.closed.get_or_insert_with(|| reason.to_owned());
        self.filled.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed.is_some()
    }

    /// Closes the queue for `reason` and answers everything that nobody took.
    pub(super) fn refuse_all(&self, reason: &str) {
        self.close(reason);
        let pending = std::mem::take(&mut self.lock().pending);
        for pending in pending {
            pending.answer(Err(AppendError::Quarantined(reason.to_owned())));
        }
    }
}
