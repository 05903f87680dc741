//! Files whose writes of the log's groups a test can hold up, or have panic.

use evenkeel_log::{
    File, Files, LockError, Sharing,
    faults::{FaultFile, FaultFiles, FaultLock},
};
use std::{
    io,
    sync::{Arc, Condvar, Mutex},
};

/// What becomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// It waits until the gate is something else.
    Shut,
    /// It is the last before the gate is shut.
    Last,
    /// It panics.
    Panic,
}

/// How a group begins. (Segments are also written with zeroes ahead of need.)
const GROUP: &[u8] = b"EKG1";

#[derive(Clone)]
pub(crate) struct GatedFiles {
    disk: FaultFiles,
    gate: Arc<GateKeeper>,
}

pub(crate) struct GatedFile {
    file: FaultFile,
    gate: Arc<GateKeeper>,
}

struct GateKeeper {
    /// The gate, and whether a write waits before it.
    state: Mutex<(Gate, bool)>,
    changed: Condvar,
}

impl GatedFiles {
    pub(crate) fn new(disk: FaultFiles) -> Self {
        let state = Mutex::new((Gate::Open, false));
        Self { disk, gate: Arc::new(GateKeeper { state, changed: Condvar::new() }) }
    }

    pub(crate) fn set(&self, gate: Gate) {
        self.gate.state.lock().unwrap().0 = gate;
        self.gate.changed.notify_all();
    }

    /// Returns once a write waits before the gate.
    pub(crate) async fn held(&self) {
        while !self.gate.state.lock().unwrap().1 {
            tokio::task::yield_now().await;
        }
    }

    fn gated(&self, file: io::Result<FaultFile>) -> io::Result<GatedFile> {
        Ok(GatedFile { file: file?, gate: Arc::clone(&self.gate) })
    }
}

impl Files for GatedFiles {
    type File = GatedFile;
    type Lock = FaultLock;

    fn open(&self, name: &str) -> io::Result<GatedFile> {
        self.gated(self.disk.open(name))
    }

    fn open_read(&self, name: &str) -> io::Result<GatedFile> {
        self.gated(self.disk.open_read(name))
    }

    fn create(&self, name: &str) -> io::Result<GatedFile> {
        self.gated(self.disk.create(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir()
    }

    fn lock(&self, sharing: Sharing) -> Result<FaultLock, LockError> {
        self.disk.lock(sharing)
    }
}

impl File for GatedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        if bytes.starts_with(GROUP) {
            self.gate.pass();
        }
        self.file.write_at(bytes, position)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.file.allocate(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

impl GateKeeper {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        while state.0 == Gate::Shut {
            state.1 = true;
            state = self.changed.wait(state).unwrap();
        }
        state.1 = false;
        let gate = state.0;
        if gate == Gate::Last {
            state.0 = Gate::Shut;
        }
        drop(state);
        assert!(gate != Gate::Panic, "the test wants a panic here");
    }
}
