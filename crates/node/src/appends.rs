//! The appends of one partition that are under way.

use evenkeel_engine::Outcome;
use evenkeel_log::{AppendError, Log, ReadError, Record};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// The longest pause before an append is submitted again.
const RETRY_MS_MAX: u64 = 1_000;

type Append = Pin<Box<dyn Future<Output = (u64, Outcome)> + Send>>;

/// As many as the engine keeps in flight: a handful, so a list will do.
#[derive(Default)]
pub(crate) struct Appends(Vec<Append>);

impl Appends {
    pub(crate) fn submit<L: Log>(&mut self, log: Arc<L>, id: u64, attempt: u32, record: Record) {
        self.0.push(Box::pin(async move {
            if attempt > 0 {
                let pause_ms = (5 << attempt.min(8)).min(RETRY_MS_MAX);
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
            (id, append(&*log, record).await)
        }));
    }

    /// The next outcome.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<(u64, Outcome)> {
        for index in 0..self.0.len() {
            if let Poll::Ready(outcome) = self.0[index].as_mut().poll(context) {
                drop(self.0.swap_remove(index));
                return Poll::Ready(outcome);
            }
        }
        Poll::Pending
    }
}

/// Appends, and finds out what a conflict means by reading what is there instead.
async fn append<L: Log>(log: &L, record: Record) -> Outcome {
    let header = *record.header();
    let tail = match log.append(record).await {
        Ok(_) => return Outcome::Appended,
        Err(AppendError::Conflict { tail }) => tail,
        Err(AppendError::Full(why) | AppendError::Quarantined(why)) => {
            return Outcome::Refused(why);
        }
        Err(AppendError::Indeterminate(_)) => return Outcome::Indeterminate,
    };
    if tail.offset < header.offset {
        return Outcome::Behind;
    }
    match log.read(header.partition, header.offset, 1).await {
        Ok(records) => match records.into_iter().next() {
            Some(there) if there.header().offset == header.offset => Outcome::Occupied(there),
            _ => Outcome::Indeterminate,
        },
        Err(ReadError::Trimmed { .. }) => Outcome::Trimmed,
        Err(_) => Outcome::Indeterminate,
    }
}
