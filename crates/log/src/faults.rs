//! A file layer in memory that fails as disks fail: for tests and drills, never for `serve`.
//!
//! It keeps what programs see (the cache) apart from what survives [`FaultFiles::power_loss`].
//! Everything at random comes from one seed. What it models, and no more:
//!
//! - an unsynced sector of 512 bytes survives, is lost, or is torn (a part of it, or garbage),
//!   but never harmed by writing what it holds already;
//! - a creation, renaming or removal without a directory sync may be undone;
//! - short writes, an error on the nth write, sync, read or renaming, a full disk, flipped bits;
//! - after a failed sync the cache counts as clean, so a second sync proves nothing;
//! - a sync that lies ([`FaultFiles::ignore_sync`], the breakage `no-fsync`).

mod disk;

use crate::fs::{File, Files, LockError, Sharing};
use disk::{Change, Contents, Disk, SECTOR_BYTES, place};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A directory in memory whose faults are chosen by the test. Clones are the same directory.
#[derive(Clone)]
pub struct FaultFiles {
    disk: Arc<Mutex<Disk>>,
}

/// An open file of [`FaultFiles`]. Dead after a crash, as a process's handles are.
pub struct FaultFile {
    disk: Arc<Mutex<Disk>>,
    id: u64,
    life: u64,
}

/// The lock of a [`FaultFiles`] directory.
pub struct FaultLock {
    disk: Arc<Mutex<Disk>>,
    life: u64,
    sharing: Sharing,
}

/// What is counted and can be made to fail by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// `write_at`.
    Write,
    /// `sync_data` and `sync_dir`.
    Sync,
    /// `read_at`.
    Read,
    /// `rename`.
    Rename,
}

impl FaultFiles {
    /// An empty, healthy directory.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { disk: Arc::new(Mutex::new(Disk::new(seed))) }
    }

    /// The machine loses power and comes back: unsynced bytes and names fare as the seed says,
    /// handles and locks are gone. Injected faults are forgotten, but not `ignore_sync`.
    pub fn power_loss(&self) {
        let mut disk = disk(&self.disk);
        disk.lose_names();
        disk.lose_sectors();
        disk.restart();
    }

    /// The process dies, the machine stays up: handles and locks are gone, the cache is not.
    /// Injected faults are forgotten, but not `ignore_sync`.
    pub fn kill(&self) {
        disk(&self.disk).restart();
    }

    /// From the `changes`th change on (1 is the next; a write, sync, creation, renaming or
    /// removal is one), everything fails until [`FaultFiles::power_loss`] or `kill`.
    pub fn off_at(&self, changes: u64) {
        disk(&self.disk).changes_until_off = Some(changes);
    }

    /// How many changes were asked for since the directory began.
    #[must_use]
    pub fn changes(&self) -> u64 {
        disk(&self.disk).change_count
    }

    /// The `nth` operation of its kind from now on fails with an I/O error; 1 is the next.
    pub fn fail(&self, operation: Operation, nth: u64) {
        self.fail_as(operation, nth, io::ErrorKind::Other);
    }

    /// As [`FaultFiles::fail`], with the error that the system is said to give.
    pub fn fail_as(&self, operation: Operation, nth: u64, error: io::ErrorKind) {
        disk(&self.disk).errors.insert(operation, (nth, error));
    }

    /// Whether a write may take only a part of what it is given.
    pub fn short_writes(&self, on: bool) {
        disk(&self.disk).short_writes = on;
    }

    /// Whether a sync answers `Ok` without doing anything: the breakage `no-fsync`.
    pub fn ignore_sync(&self, on: bool) {
        disk(&self.disk).ignore_sync = on;
    }

    /// How much more all files together may grow; `None` is without limit.
    pub fn space(&self, bytes: Option<u64>) {
        disk(&self.disk).space_bytes = bytes;
    }

    /// Turns one bit over, in the cache and on the disk, as a decaying disk does.
    ///
    /// # Panics
    /// If the file or the position does not exist.
    pub fn flip(&self, name: &str, position: u64, bit: u8) {
        let byte = self.contents(name)[place(position)];
        self.overwrite(name, position, &[byte ^ (1 << (bit % 8))]);
    }

    /// Puts `bytes` at `position`, in the cache and on the disk, behind the log's back.
    ///
    /// # Panics
    /// If the file or the position does not exist.
    pub fn overwrite(&self, name: &str, position: u64, bytes: &[u8]) {
        let mut disk = disk(&self.disk);
        let contents = disk.named(name).expect("the test names a file that exists");
        let at = place(position);
        contents.durable.resize(contents.cache.len(), 0);
        contents.cache[at..at + bytes.len()].copy_from_slice(bytes);
        contents.durable[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Cuts a file short, in the cache and on the disk.
    ///
    /// # Panics
    /// If the file does not exist.
    pub fn truncate(&self, name: &str, bytes: u64) {
        let mut disk = disk(&self.disk);
        let contents = disk.named(name).expect("the test names a file that exists");
        contents.cache.truncate(place(bytes));
        contents.durable.truncate(place(bytes));
        let sectors = place(bytes).div_ceil(SECTOR_BYTES);
        contents.dirty.retain(|sector| *sector < sectors);
    }

    /// What a program would read from the file.
    ///
    /// # Panics
    /// If the file does not exist.
    #[must_use]
    pub fn contents(&self, name: &str) -> Vec<u8> {
        let mut disk = disk(&self.disk);
        disk.named(name).expect("the test names a file that exists").cache.clone()
    }
}

impl FaultFiles {
    fn handle(&self, name: &str) -> io::Result<FaultFile> {
        let disk = disk(&self.disk);
        disk.on()?;
        let id = *disk.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(FaultFile { disk: Arc::clone(&self.disk), id, life: disk.life })
    }
}

impl Files for FaultFiles {
    type File = FaultFile;
    type Lock = FaultLock;

    fn open(&self, name: &str) -> io::Result<FaultFile> {
        self.handle(name)
    }

    fn open_read(&self, name: &str) -> io::Result<FaultFile> {
        self.handle(name)
    }

    fn create(&self, name: &str) -> io::Result<FaultFile> {
        {
            let mut disk = disk(&self.disk);
            disk.change()?;
            if let Ok(contents) = disk.named(name) {
                contents.cache.clear();
                contents.dirty.clear();
            } else {
                disk.next_id += 1;
                let id = disk.next_id;
                disk.files.insert(id, Contents::default());
                disk.names.insert(name.to_owned(), id);
                disk.changes.push(Change::Create(name.to_owned(), id));
            }
        }
        self.handle(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = disk(&self.disk);
        disk.change()?;
        disk.count(Operation::Rename)?;
        let id = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disk.names.insert(to.to_owned(), id);
        disk.changes.push(Change::Rename(from.to_owned(), to.to_owned(), id));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = disk(&self.disk);
        disk.change()?;
        disk.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        disk.changes.push(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let disk = disk(&self.disk);
        disk.on()?;
        Ok(disk.names.keys().cloned().collect())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut disk = disk(&self.disk);
        disk.change()?;
        disk.count(Operation::Sync)?;
        if !disk.ignore_sync {
            disk.changes.clear();
            disk.durable_names = disk.names.clone();
        }
        Ok(())
    }

    fn lock(&self, sharing: Sharing) -> Result<FaultLock, LockError> {
        let mut disk = disk(&self.disk);
        disk.on()?;
        if disk.writer || (sharing == Sharing::Exclusive && disk.readers > 0) {
            return Err(LockError::Held {
                holder: "another user of the same directory".to_owned(),
            });
        }
        match sharing {
            Sharing::Exclusive => disk.writer = true,
            Sharing::ReadOnly => disk.readers += 1,
        }
        Ok(FaultLock { disk: Arc::clone(&self.disk), life: disk.life, sharing })
    }
}

impl Drop for FaultLock {
    fn drop(&mut self) {
        let mut disk = disk(&self.disk);
        if disk.life == self.life {
            match self.sharing {
                Sharing::Exclusive => disk.writer = false,
                Sharing::ReadOnly => disk.readers -= 1,
            }
        }
    }
}

impl FaultFile {
    /// The disk, if this handle's process still lives.
    fn living(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = disk(&self.disk);
        if disk.life != self.life {
            return Err(io::Error::other("the process that opened the file is dead"));
        }
        disk.on()?;
        Ok(disk)
    }
}

impl File for FaultFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut disk = self.living()?;
        disk.count(Operation::Read)?;
        let contents = disk.files.get(&self.id).ok_or(io::ErrorKind::NotFound)?;
        let rest = contents.cache.get(place(position)..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        let mut disk = self.living()?;
        disk.change()?;
        disk.count(Operation::Write)?;
        let short = disk.short_writes && bytes.len() > 1 && disk.rng.below(2) == 0;
        let count = if short { 1 + disk.rng.below(bytes.len() - 1) } else { bytes.len() };
        let at = place(position);
        disk.grow(self.id, at + count)?;
        let contents = disk.files.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        contents.cache[at..at + count].copy_from_slice(&bytes[..count]);
        contents.dirty.extend(at / SECTOR_BYTES..(at + count).div_ceil(SECTOR_BYTES));
        Ok(count)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut disk = self.living()?;
        disk.change()?;
        disk.grow(self.id, place(bytes))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.living()?;
        disk.change()?;
        let outcome = disk.count(Operation::Sync);
        let ignore = disk.ignore_sync;
        let contents = disk.files.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        if outcome.is_err() {
            contents.dirty.clear();
        } else if !ignore {
            contents.flush();
        }
        outcome
    }

    fn len(&self) -> io::Result<u64> {
        let disk = self.living()?;
        let contents = disk.files.get(&self.id).ok_or(io::ErrorKind::NotFound)?;
        Ok(contents.cache.len() as u64)
    }
}

fn disk(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    // A panic under the lock is a failed test already; the directory stays usable for the rest.
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}
