//! A device for the state store that a test can make fail, or keep its writers waiting.

use evenkeel_state::Store;
use redb::StorageBackend;
use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

/// None, so that every read asks the device.
const CACHE_BYTES: usize = 0;
const EIO: i32 = 5;

/// What becomes of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Health {
    #[default]
    Well,
    /// Nothing can be read.
    FailsReads,
    /// Nothing can be written or synced.
    FailsWrites,
    /// After so many operations one fails, and then no other.
    FailsOnce(usize),
    /// Writers wait until it is something else.
    Stalls,
}

#[derive(Debug, Default)]
struct Device {
    bytes: Vec<u8>,
    health: Health,
}

/// A device in memory. Clones are the same device.
#[derive(Debug, Clone, Default)]
pub(crate) struct StateDisk(Arc<(Mutex<Device>, Condvar)>);

impl StateDisk {
    pub(crate) fn store(&self) -> Store {
        let disk = self.clone();
        Store::with_backend(move || Ok(disk.clone()), CACHE_BYTES).unwrap()
    }

    pub(crate) fn set(&self, health: Health) {
        self.0.0.lock().unwrap().health = health;
        self.0.1.notify_all();
    }

    /// Writers wait until what this answers is dropped.
    pub(crate) fn stall(&self) -> Stall {
        self.set(Health::Stalls);
        Stall(self.clone())
    }

    pub(crate) fn health(&self) -> Health {
        self.0.0.lock().unwrap().health
    }

    fn reading(&self) -> io::Result<MutexGuard<'_, Device>> {
        let mut device = self.0.0.lock().unwrap();
        let fails = device.counts_down() || device.health == Health::FailsReads;
        if fails { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(device) }
    }

    fn writing(&self) -> io::Result<MutexGuard<'_, Device>> {
        let device = self.0.0.lock().unwrap();
        let stalls = |device: &mut Device| device.health == Health::Stalls;
        let mut device = self.0.1.wait_while(device, stalls).unwrap();
        let fails = device.counts_down() || device.health == Health::FailsWrites;
        if fails { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(device) }
    }
}

/// Lets writers go on when it is dropped, also by a test that fails: or that would never end.
pub(crate) struct Stall(StateDisk);

impl Drop for Stall {
    fn drop(&mut self) {
        self.0.set(Health::Well);
    }
}

impl Device {
    /// Whether this is the one operation that fails.
    fn counts_down(&mut self) -> bool {
        match &mut self.health {
            Health::FailsOnce(0) => {
                self.health = Health::Well;
                true
            }
            Health::FailsOnce(left) => {
                *left -= 1;
                false
            }
            _ => false,
        }
    }
}

impl StorageBackend for StateDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.0.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let device = self.reading()?;
        let start = offset as usize;
        let bytes = device.bytes.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.writing()?.bytes.resize(length as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.writing().map(drop)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut device = self.writing()?;
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        let length = device.bytes.len().max(end);
        device.bytes.resize(length, 0);
        device.bytes[start..end].copy_from_slice(bytes);
        Ok(())
    }
}
