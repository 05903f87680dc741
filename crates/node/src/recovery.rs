//! Opening: the log first, since it is the truth; then the store, which is derived from it and is
//! rebuilt from a snapshot if it is gone or cannot be read.

use crate::{NodeOptions, OpenError};
use evenkeel_domains::Domains;
use evenkeel_engine::{Partition, Time};
use evenkeel_log::{Incarnation, LocalLog, LocalOptions, Log, PartitionId, Tail, WalError};
use evenkeel_state::{Snapshot, Store};
use std::{fs, path::Path};

/// Where the log is, within the data directory.
pub(crate) const LOG_DIRECTORY: &str = "log";
/// Where snapshots are.
pub(crate) const SNAPSHOT_DIRECTORY: &str = "snapshots";
const STORE_FILE: &str = "state.redb";

/// The life of a log that nobody restored.
const FIRST_INCARNATION: Incarnation = Incarnation(1);

/// Opens the log, or makes a new one where that was asked for.
pub(crate) fn open_log(options: &NodeOptions) -> Result<LocalLog, OpenError> {
    let directory = options.data.join(LOG_DIRECTORY);
    if options.init {
        fs::create_dir_all(&directory).map_err(|error| OpenError::Directory {
            path: directory.clone(),
            why: error.to_string(),
        })?;
    }
    let local = LocalOptions {
        init: options.init,
        segment_bytes: options.segment_bytes,
        ..LocalOptions::default()
    };
    let (log, recovered) = LocalLog::open(&directory, &local).map_err(|error| {
        let new = matches!(error, WalError::NotInitialized { .. });
        let hint = if new { " (a new one is made with --init)" } else { "" };
        OpenError::Log(format!("the log in {} does not open: {error}{hint}", directory.display()))
    })?;
    for (partition, why) in log.quarantined() {
        tracing::error!(%partition, why, "quarantined: not served until its log is repaired");
    }
    tracing::info!(groups = recovered.groups, torn = ?recovered.torn, "log recovered");
    Ok(log)
}

/// Creates what is missing of a new log's partitions: `meta` last, so that its presence says that
/// all others are there. Answers the data partitions.
pub(crate) async fn bootstrap(
    log: &LocalLog,
    options: &NodeOptions,
    now: Time,
) -> Result<Vec<PartitionId>, OpenError> {
    let existing = log.partitions();
    if !existing.contains(&PartitionId::META) {
        if !options.init {
            let why = "the log was not created completely; start once with --init to finish that";
            return Err(OpenError::Log(why.into()));
        }
        let data = (0..options.partitions).map(PartitionId);
        for partition in data.chain([PartitionId::META]) {
            if existing.contains(&partition) {
                continue;
            }
            let genesis = Partition::<Domains, (), ()>::genesis(partition, FIRST_INCARNATION, now);
            debug_assert_eq!(genesis.expected(), Tail::EMPTY);
            let appended = log.append(genesis).await;
            appended.map_err(|error| OpenError::Log(error.to_string()))?;
        }
    }
    Ok(log.partitions().into_iter().filter(|id| *id != PartitionId::META).collect())
}

/// Opens the store. One that cannot be read is set aside, and an empty one takes what the newest
/// whole snapshot has; the log has the rest.
pub(crate) fn open_store(options: &NodeOptions) -> Result<Store, OpenError> {
    let path = options.data.join(STORE_FILE);
    let state = |error: &dyn std::fmt::Display| OpenError::State(error.to_string());
    let store = match Store::open(&path, options.cache_bytes) {
        Ok(store) => store,
        Err(error) => {
            let aside = options.data.join(format!("{STORE_FILE}.damaged"));
            tracing::error!(%error, aside = %aside.display(), "the state is rebuilt");
            fs::rename(&path, &aside).map_err(|error| state(&error))?;
            Store::open(&path, options.cache_bytes).map_err(|error| state(&error))?
        }
    };
    if store.is_empty().map_err(|error| state(&error))? {
        restore(&store, &options.data.join(SNAPSHOT_DIRECTORY))?;
    }
    Ok(store)
}

fn restore(store: &Store, directory: &Path) -> Result<(), OpenError> {
    let newest = Snapshot::newest(directory).map_err(|error| OpenError::State(error.to_string()))?;
    for refused in &newest.refused {
        tracing::error!(%refused, "a snapshot is damaged; an older one is used");
    }
    if let Some(snapshot) = newest.snapshot {
        tracing::info!(path = %snapshot.path().display(), "the state is restored from a snapshot");
        store.restore(&snapshot).map_err(|error| OpenError::State(error.to_string()))?;
    }
    Ok(())
}
