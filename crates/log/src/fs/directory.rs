//! Directories that survive a power loss. A name is only as durable as the directory that it is
//! in: syncing a file, or the directory that holds it, says nothing of the levels above.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Makes the directory at `path` with every level that is missing, and makes the names of all its
/// levels durable: also of those that exist, since a crash may have come between the making of one
/// and its sync.
pub fn create_directory(path: &Path) -> io::Result<()> {
    create_with(path, sync_directory)
}

/// Creations, renamings and removals in the directory at `path` are durable once this answers
/// `Ok`.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn create_with(path: &Path, mut sync: impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let existing = path.ancestors().find_map(|level| level.canonicalize().ok());
    fs::create_dir_all(&path)?;
    let path = path.canonicalize()?;
    let device = fs::metadata(&path)?.dev();
    for parent in path.ancestors().skip(1) {
        // What is mounted has its name from another file system, and not from us.
        if fs::metadata(parent)?.dev() != device {
            break;
        }
        let made_now = existing.as_ref().is_none_or(|existing| parent.starts_with(existing));
        match sync(parent) {
            // Far above are directories of others, who need not let us read them.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !made_now => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// What is synced when `path` is made.
    fn synced(path: &Path) -> Vec<PathBuf> {
        let mut synced = Vec::new();
        create_with(path, |parent| {
            assert!(path.is_dir(), "a name is synced after it was made");
            synced.push(parent.to_owned());
            Ok(())
        })
        .expect("it can be made");
        synced
    }

    #[test]
    fn the_names_of_all_levels_are_synced_also_if_they_exist() {
        let temporary = tempfile::tempdir().expect("a directory");
        let root = temporary.path().canonicalize().expect("it exists");
        let path = root.join("data/log");
        for round in ["missing", "existing"] {
            let synced = synced(&path);
            assert_eq!(synced[..2], [root.join("data"), root.clone()], "{round}");
        }
        fs::create_dir(root.join("data/other")).expect("it is missing");
        let half = synced(&root.join("data/other/log"));
        assert_eq!(half[..2], [root.join("data/other"), root.join("data")], "half of it missing");
    }

    #[test]
    fn a_level_that_cannot_be_synced_is_an_error_if_one_was_made_in_it() {
        let temporary = tempfile::tempdir().expect("a directory");
        let root = temporary.path().canonicalize().expect("it exists");
        let path = root.join("data/log");
        let refuse = |level: &Path, kind: io::ErrorKind| {
            let level = level.to_owned();
            let sync = |parent: &Path| if parent == level { Err(kind.into()) } else { Ok(()) };
            create_with(&path, sync)
        };
        let denied = io::ErrorKind::PermissionDenied;
        assert!(refuse(&root, denied).is_err(), "`data` was made in it");
        assert!(refuse(&root, denied).is_ok(), "nothing was made in it now");
        assert!(refuse(&root, io::ErrorKind::Other).is_err(), "the device failed");
    }

    #[test]
    fn a_file_is_no_directory() {
        let temporary = tempfile::tempdir().expect("a directory");
        let path = temporary.path().join("file");
        fs::write(&path, "").expect("it can be written");
        assert!(create_directory(&path).is_err());
        assert!(create_directory(&path.join("log")).is_err());
        create_directory(&temporary.path().join("a/b/c")).expect("it can be made");
        assert!(temporary.path().join("a/b/c").is_dir());
    }
}
