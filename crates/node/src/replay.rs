//! Bringing the state of all partitions up to the log's end in one pass over the log, which is
//! most of the work of a start. What this leaves, for whatever reason, an owner reads itself when
//! it takes over; and that is where damage is noticed.

use crate::owner::Owner;
use evenkeel_log::{Files, LocalLog, PartitionId, Record};
use std::{collections::HashMap, ops::ControlFlow};
use tokio::sync::mpsc;

/// Records on their way to one partition.
const RECORDS_MAX: usize = 16;

/// Reads what `owners` miss.
pub(crate) async fn replay<F: Files>(
    log: &LocalLog<F>,
    owners: Vec<Owner<LocalLog<F>>>,
) -> Vec<Owner<LocalLog<F>>> {
    let mut senders: HashMap<PartitionId, mpsc::Sender<Record>> = HashMap::new();
    let mut from = Vec::new();
    let mut tasks = Vec::new();
    for owner in owners {
        let id = owner.partition.id();
        from.push((id, owner.partition.tail().offset.next()));
        let (sender, records) = mpsc::channel(RECORDS_MAX);
        senders.insert(id, sender);
        tasks.push(tokio::spawn(owner.follow(records)));
    }
    let reader = log.reader();
    let pass = tokio::task::spawn_blocking(move || {
        reader.replay(from, |record| {
            // An owner that takes no more has found something wrong, and will say so.
            if let Some(sender) = senders.get(&record.header().partition)
                && sender.blocking_send(record.clone()).is_err()
            {
                senders.remove(&record.header().partition);
            }
            if senders.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    });
    let mut owners = Vec::new();
    for task in tasks {
        owners.push(task.await.expect("following does not panic: what it reads is checked"));
    }
    if let Err(error) = pass.await {
        tracing::error!(%error, "the log could not be read in one pass");
    }
    owners
}
