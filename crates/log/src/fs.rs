//! The file layer that the write-ahead log stands on: one flat directory of files.
//!
//! [`Files`] is as small as the log needs and says what durability it expects, so that the
//! fault-injecting layer of [`crate::faults`] can take all of it away that a real disk might.
//! It is not a general file system: no subdirectories, no seeking, no appending.

mod directory;

pub use directory::{create_directory, sync_directory};

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FallocateFlags, FlockOperation};

/// The name of the file that carries the directory's lock.
const LOCK_FILE: &str = "LOCK";

/// An open file.
pub trait File: Send + Sync + 'static {
    /// Reads at most `buffer.len()` bytes at `position`; 0 is the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes at most all of `bytes` at `position` and answers how many.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize>;

    /// Reserves space, so that a full disk is known before anything is written.
    fn allocate(&self, bytes: u64) -> io::Result<()>;

    /// Everything written so far is durable once this answers `Ok`. After an error nobody knows
    /// what is, and asking again proves nothing.
    fn sync_data(&self) -> io::Result<()>;

    /// The file's length.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes at all.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` from `position` on, however many reads that takes.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut position: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, position) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    buffer = &mut buffer[count..];
                    position += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `bytes` at `position`, however many writes that takes.
    fn write_all_at(&self, mut bytes: &[u8], mut position: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    position += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Who may hold the directory at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody else: for the one process that appends.
    Exclusive,
    /// Others that only read.
    ReadOnly,
}

/// Why the directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Someone else has it.
    #[error("the directory is in use by {holder}")]
    Held {
        /// Who, as the holder wrote it: process id and since when.
        holder: String,
    },
    /// The lock file could not be opened or written.
    #[error("the directory's lock file: {0}")]
    Io(#[from] io::Error),
}

/// A directory of files.
pub trait Files: Send + Sync + 'static {
    /// An open file of it.
    type File: File;
    /// The directory is held until this is dropped.
    type Lock: Send + Sync + 'static;

    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Opens an existing file for reading only.
    fn open_read(&self, name: &str) -> io::Result<Self::File>;

    /// Creates a file without contents; what had the name before is emptied.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name; what had that name before is gone.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creations, renamings and removals so far are durable once this answers `Ok`.
    fn sync_dir(&self) -> io::Result<()>;

    /// Takes the directory's lock, or says at once who has it.
    fn lock(&self, sharing: Sharing) -> Result<Self::Lock, LockError>;
}

/// A directory of the operating system.
#[derive(Debug, Clone)]
pub struct RealFiles {
    directory: PathBuf,
}

impl RealFiles {
    /// The directory at `path`, which must exist.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !fs::metadata(path)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { directory: path.to_owned() })
    }

    /// The directory at `path`, created if it is missing: it and all levels above survive a power
    /// loss, or the whole log would go with one of them.
    pub fn create(path: &Path) -> io::Result<Self> {
        create_directory(path)?;
        Self::open(path)
    }
}

impl Files for RealFiles {
    type File = fs::File;
    type Lock = fs::File;

    fn open(&self, name: &str) -> io::Result<fs::File> {
        OpenOptions::new().read(true).write(true).open(self.directory.join(name))
    }

    fn open_read(&self, name: &str) -> io::Result<fs::File> {
        fs::File::open(self.directory.join(name))
    }

    fn create(&self, name: &str) -> io::Result<fs::File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        options.open(self.directory.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.directory.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn sync_dir(&self) -> io::Result<()> {
        sync_directory(&self.directory)
    }

    fn lock(&self, sharing: Sharing) -> Result<fs::File, LockError> {
        let path = self.directory.join(LOCK_FILE);
        let (file, operation) = match sharing {
            Sharing::Exclusive => {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create(true).truncate(false);
                (options.open(&path)?, FlockOperation::NonBlockingLockExclusive)
            }
            Sharing::ReadOnly => (fs::File::open(&path)?, FlockOperation::NonBlockingLockShared),
        };
        match rustix::fs::flock(&file, operation) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let holder = fs::read_to_string(&path).unwrap_or_default();
                let holder = match holder.trim() {
                    "" => "another process".to_owned(),
                    named => named.to_owned(),
                };
                return Err(LockError::Held { holder });
            }
            Err(error) => return Err(io::Error::from(error).into()),
        }
        if sharing == Sharing::Exclusive {
            #[expect(clippy::disallowed_methods, reason = "for people who find the lock held")]
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let note = format!(
                "process {}, since {} s (Unix time)\n",
                std::process::id(),
                since.as_secs()
            );
            file.set_len(0)?;
            FileExt::write_all_at(&file, note.as_bytes(), 0)?;
        }
        Ok(file)
    }
}

impl File for fs::File {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, position)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, position)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, FallocateFlags::empty(), 0, bytes) {
            // Without it the zeroes that are written next find out just as well.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        fs::File::sync_data(self)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
