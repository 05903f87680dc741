//! Opening: the log first, since it is the truth; then the store, which is derived from it and is
//! rebuilt from a snapshot if it is gone or damaged.

use crate::{NodeOptions, OpenError};
use evenkeel_domains::Domains;
use evenkeel_engine::{Partition, Time};
use evenkeel_log::{
    Files, Incarnation, LocalLog, LocalOptions, Log, PartitionId, Recovered, Tail, WalError,
};
use evenkeel_state::{Applied, Snapshot, StateError, Store};
use std::{fs, path::Path};

/// Where the log is, within the data directory.
pub(crate) const LOG_DIRECTORY: &str = "log";
/// Where snapshots are.
pub(crate) const SNAPSHOT_DIRECTORY: &str = "snapshots";
const STORE_FILE: &str = "state.redb";

/// The life of a log that nobody restored.
pub(crate) const FIRST_INCARNATION: Incarnation = Incarnation(1);

/// Opens the log, or makes a new one where that was asked for.
pub(crate) fn open_log(options: &NodeOptions) -> Result<(LocalLog, Recovered), OpenError> {
    let directory = options.data.join(LOG_DIRECTORY);
    let local = LocalOptions {
        init: options.init,
        segment_bytes: options.segment_bytes,
        ..LocalOptions::default()
    };
    LocalLog::open(&directory, &local).map_err(|error| {
        let new = matches!(error, WalError::NotInitialized);
        let hint = if new { " (a new one is made with --init)" } else { "" };
        OpenError::Log(format!("the log in {} does not open: {error}{hint}", directory.display()))
    })
}

/// Tells the operator what opening the log found.
pub(crate) fn report<F: Files>(log: &LocalLog<F>, recovered: &Recovered) {
    for (partition, why) in log.quarantined() {
        tracing::error!(%partition, why, "quarantined: not served until its log is repaired");
    }
    tracing::info!(groups = recovered.groups, torn = ?recovered.torn, "log recovered");
}

/// Creates what is missing of a new log's partitions: `meta` last, so that its presence says that
/// all others are there. Answers how many data partitions there are: what routing counts, so one
/// that the log has lost without a trace still counts, if the store or a later one shows that it
/// was there.
pub(crate) async fn bootstrap<F: Files>(
    log: &LocalLog<F>,
    stored: &[(PartitionId, Applied)],
    options: &NodeOptions,
    now: Time,
) -> Result<u16, OpenError> {
    let existing = log.partitions();
    if !existing.contains(&PartitionId::META) {
        if !options.init {
            let why = "the log was not created completely; start once with --init to finish that";
            return Err(OpenError::Log(why.into()));
        }
        let data = (0..options.partitions.max(1)).map(PartitionId);
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
    let known = log.partitions().into_iter().chain(stored.iter().map(|(id, _)| *id));
    let last = known.filter(|id| *id != PartitionId::META).max();
    last.map(|id| id.0 + 1).ok_or_else(|| OpenError::Log("the log has no data partition".into()))
}

/// Opens the store's file. One that is damaged is set aside, and begun anew; one that cannot be
/// had for any other reason is left alone, since it may be whole.
pub(crate) fn open_store(options: &NodeOptions) -> Result<Store, OpenError> {
    let path = options.data.join(STORE_FILE);
    let open = || {
        let store = Store::open(&path, options.cache_bytes)?;
        store.is_empty()?;
        Ok(store)
    };
    let state =
        |error: &dyn std::fmt::Display| OpenError::State(format!("{}: {error}", path.display()));
    match open() {
        Ok(store) => Ok(store),
        Err(error) if StateError::is_damage(&error) => {
            let aside = options.data.join(format!("{STORE_FILE}.damaged"));
            tracing::error!(%error, aside = %aside.display(), "the state is rebuilt");
            fs::rename(&path, &aside).map_err(|error| state(&error))?;
            open().map_err(|error| state(&error))
        }
        Err(error) => Err(state(&error)),
    }
}

/// Has an empty store take what the newest whole snapshot has; the log has the rest.
pub(crate) fn restore_empty(store: &Store, options: &NodeOptions) -> Result<(), OpenError> {
    if store.is_empty().map_err(|error| OpenError::State(error.to_string()))? {
        restore(store, &options.data.join(SNAPSHOT_DIRECTORY))?;
    }
    Ok(())
}

fn restore(store: &Store, directory: &Path) -> Result<(), OpenError> {
    let newest =
        Snapshot::newest(directory).map_err(|error| OpenError::State(error.to_string()))?;
    for refused in &newest.refused {
        tracing::error!(%refused, "a snapshot is damaged; an older one is used");
    }
    if let Some(snapshot) = newest.snapshot {
        tracing::info!(path = %snapshot.path().display(), "the state is restored from a snapshot");
        store.restore(&snapshot).map_err(|error| OpenError::State(error.to_string()))?;
    }
    Ok(())
}
