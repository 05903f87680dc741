//! The store: one redb file a node, with the rows of all its partitions.
//!
//! | table | key | value |
//! |---|---|---|
//! | `rows` | partition (16 bits, big-endian), table id, key | row |
//! | `applied` | partition | [`Applied`] |
//! | `format` | none | the version of this layout |
//!
//! A flush is one redb transaction, synced: a crash shows all of it or nothing. It is the sync that
//! lets a failed store be reopened under a running state: what was flushed is there again. redb's
//! quick repair is on, so opening after a crash does not walk the file.

use crate::base::{Base, PARTITION_BYTES};
use crate::effects::Effect;
use crate::hash::StateHasher;
use crate::key::after_prefix;
use crate::{Applied, Frozen, KeyBytes, StateError};
use evenkeel_log::{Hash, PartitionId};
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    StorageBackend, TableDefinition, WriteTransaction,
};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

pub(crate) const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
pub(crate) const APPLIED: TableDefinition<'_, u16, &[u8]> = TableDefinition::new("applied");
const FORMAT: TableDefinition<'_, (), u32> = TableDefinition::new("format");
const FORMAT_VERSION: u32 = 1;
const APPLIED_DAMAGED: &str = "what a partition has applied";
const MEMORY_CACHE_BYTES: usize = 16 * 1024 * 1024;

type Opener = Box<dyn Fn() -> Result<Database, StateError> + Send + Sync>;

/// The rows of all partitions of a node, as of their last flush. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None`: it lives in memory.
    opener: Option<Opener>,
    /// `None`: it failed, and could not be reopened yet.
    database: RwLock<Option<Database>>,
    base: RwLock<Arc<Base>>,
    /// Held while the base is replaced, so that an older one never replaces a newer one.
    refresh: Mutex<()>,
}

impl Store {
    /// Opens or creates the file at `path`. redb takes at most `cache_bytes` for pages in memory.
    /// [`StateError::is_damage`] tells a file that is to be rebuilt from one that cannot be had.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self, StateError> {
        let path = path.to_owned();
        Self::from_opener(Box::new(move || {
            Ok(Database::builder().set_cache_size(cache_bytes).create(&path)?)
        }))
    }

    /// A store that is gone with its last clone.
    pub fn memory() -> Result<Self, StateError> {
        let backend = redb::backends::InMemoryBackend::new();
        let mut builder = Database::builder();
        builder.set_cache_size(MEMORY_CACHE_BYTES);
        let database = builder.create_with_backend(backend)?;
        let base = prepare(&database)?;
        Ok(Self::from_opened((database, base), None))
    }

    /// A store over another kind of storage; `backend` is asked again at each [`Store::reopen`].
    pub fn with_backend<B: StorageBackend>(
        backend: impl Fn() -> std::io::Result<B> + Send + Sync + 'static,
        cache_bytes: usize,
    ) -> Result<Self, StateError> {
        Self::from_opener(Box::new(move || {
            let backend = backend().map_err(|error| StateError::Io(error.to_string()))?;
            Ok(Database::builder().set_cache_size(cache_bytes).create_with_backend(backend)?)
        }))
    }

    fn from_opener(opener: Opener) -> Result<Self, StateError> {
        let opened = open(&opener)?;
        Ok(Self::from_opened(opened, Some(opener)))
    }

    fn from_opened((database, base): (Database, Base), opener: Option<Opener>) -> Self {
        let inner = Inner {
            opener,
            database: RwLock::new(Some(database)),
            base: RwLock::new(Arc::new(base)),
            refresh: Mutex::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Opens it again after it failed. All that was flushed is there again; what was not is still
    /// with the [`crate::State`]s. Transactions, views and snapshots that began before fail with
    /// [`StateError::Closed`] where they would read from the failed one.
    pub fn reopen(&self) -> Result<(), StateError> {
        let opener = self.inner.opener.as_ref().ok_or(StateError::NotReopenable)?;
        let mut database = self.inner.database.write().unwrap_or_else(PoisonError::into_inner);
        self.set_base(Base::closed());
        drop(database.take());
        let (opened, base) = open(opener)?;
        self.set_base(base);
        *database = Some(opened);
        Ok(())
    }

    /// Whether no partition has anything in it.
    pub fn is_empty(&self) -> Result<bool, StateError> {
        let base = self.base();
        Ok(base.applied.is_empty() && base.rows()?.is_empty()?)
    }

    /// The partitions that have something in it, with what each has applied.
    pub fn partitions(&self) -> Result<Vec<(PartitionId, Applied)>, StateError> {
        let base = self.base();
        base.rows()?;
        Ok(base.applied.clone())
    }

    /// What `partition` has applied in it; the default if it has nothing.
    pub fn applied(&self, partition: PartitionId) -> Result<Applied, StateError> {
        let base = self.base();
        base.rows()?;
        Ok(base.applied(partition).unwrap_or_default())
    }

    /// Writes what a partition set aside, in order of key, all or nothing, synced. Flushing the same
    /// again does nothing.
    pub fn flush(&self, frozen: &Frozen) -> Result<(), StateError> {
        self.write(|transaction| flush_into(transaction, frozen))
    }

    /// Runs one synced write transaction, then lets everyone read what it wrote.
    pub(crate) fn write<R, E: From<StateError>>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<R, E>,
    ) -> Result<R, E> {
        let database = self.database();
        let database = database.as_ref().ok_or(StateError::Closed)?;
        let mut transaction = database.begin_write().map_err(StateError::from)?;
        // What is in memory has no crash to recover from.
        transaction.set_quick_repair(self.inner.opener.is_some());
        let written = write(&transaction)?;
        transaction.commit().map_err(StateError::from)?;
        let _refresh = self.refresh();
        self.set_base(read_base(database)?);
        Ok(written)
    }

    /// The hash of `partition`'s rows as flushed, with what they have applied.
    pub fn hash(&self, partition: PartitionId) -> Result<(Applied, Hash), StateError> {
        let base = self.base();
        let applied = base.applied(partition).unwrap_or_default();
        let mut hasher = StateHasher::default();
        base.visit(partition, |key, row| {
            hasher.row(key, row);
            Ok::<_, StateError>(())
        })?;
        Ok((applied, hasher.finish()))
    }

    /// What everyone reads until the next flush.
    pub(crate) fn base(&self) -> Arc<Base> {
        self.inner.base.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_base(&self, base: Base) {
        *self.inner.base.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(base);
    }

    fn database(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.inner.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn refresh(&self) -> MutexGuard<'_, ()> {
        self.inner.refresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("applied", &self.base().applied).finish_non_exhaustive()
    }
}

impl Base {
    /// Gives every row of `partition` to `visit`, in order of key (without its partition).
    pub(crate) fn visit<E: From<StateError>>(
        &self,
        partition: PartitionId,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = partition.0.to_be_bytes();
        let end = after_prefix(&start);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        for row in self.range((Bound::Included(&start), end))? {
            let (key, row) = row.map_err(StateError::from)?;
            visit(&key.value()[PARTITION_BYTES..], row.value())?;
        }
        Ok(())
    }
}

/// Opens what `opener` answers. redb trusts a file that was closed in order, without reading all
/// of it, and panics over one that was damaged since.
fn open(opener: &Opener) -> Result<(Database, Base), StateError> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let database = opener()?;
        let base = prepare(&database)?;
        Ok((database, base))
    }));
    opened.unwrap_or_else(|_| Err(StateError::Damaged("its pages contradict one another".into())))
}

/// Lays out a new file, and refuses one of another format.
fn prepare(database: &Database) -> Result<Base, StateError> {
    match stored_format(database)? {
        Some(FORMAT_VERSION) => {}
        Some(version) => return Err(StateError::Format(version)),
        None => {
            let transaction = database.begin_write()?;
            transaction.open_table(ROWS)?;
            transaction.open_table(APPLIED)?;
            transaction.open_table(FORMAT)?.insert((), FORMAT_VERSION)?;
            transaction.commit()?;
        }
    }
    read_base(database)
}

/// The version of the file's layout; `None` if nothing is laid out.
fn stored_format(database: &Database) -> Result<Option<u32>, StateError> {
    match database.begin_read()?.open_table(FORMAT) {
        Ok(format) => Ok(format.get(())?.map(|version| version.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn read_base(database: &Database) -> Result<Base, StateError> {
    let transaction: ReadTransaction = database.begin_read()?;
    let mut applied = Vec::new();
    for row in transaction.open_table(APPLIED)?.iter()? {
        let (partition, bytes) = row?;
        let decoded = Applied::decode(bytes.value());
        let decoded = decoded.ok_or(StateError::Damaged(APPLIED_DAMAGED.to_owned()))?;
        applied.push((PartitionId(partition.value()), decoded));
    }
    Ok(Base { rows: Some(transaction.open_table(ROWS)?), applied })
}

fn flush_into(transaction: &WriteTransaction, frozen: &Frozen) -> Result<(), StateError> {
    let partition = frozen.partition;
    let mut applied = transaction.open_table(APPLIED)?;
    let stored = match applied.get(partition.0)? {
        None => Applied::default(),
        Some(bytes) => {
            Applied::decode(bytes.value()).ok_or(StateError::Damaged(APPLIED_DAMAGED.to_owned()))?
        }
    };
    if stored == frozen.applied {
        return Ok(());
    }
    if stored != frozen.from {
        let (from, stored) = (frozen.from.tail, stored.tail);
        return Err(StateError::Gap { partition, from, stored });
    }
    let mut rows = transaction.open_table(ROWS)?;
    let mut stored_key = KeyBytes::from_slice(&partition.0.to_be_bytes());
    for effect in frozen.layer.effects() {
        stored_key.truncate(PARTITION_BYTES);
        match effect {
            Effect::Put { key, row } => {
                stored_key.extend_from_slice(key);
                rows.insert(stored_key.as_slice(), row)?;
            }
            Effect::Delete { key } => {
                stored_key.extend_from_slice(key);
                rows.remove(stored_key.as_slice())?;
            }
            Effect::DropPrefix { prefix } => {
                stored_key.extend_from_slice(prefix);
                let after = after_prefix(&stored_key);
                let end = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
                let range = (Bound::Included(stored_key.as_slice()), end);
                rows.retain_in::<&[u8], _>(range, |_, _| false)?;
            }
        }
    }
    applied.insert(partition.0, frozen.applied.encode().as_slice())?;
    Ok(())
}
