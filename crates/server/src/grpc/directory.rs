//! A directory of rules: read whole, and again when a file in it has changed. What is wrong leaves
//! the rules in force as they are, and is said in the log, in `/readyz` and in the metrics.

use super::rules::{Rules, RulesError};
use crate::standing::{Standing, Stands};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

/// Files of a directory.
const FILES_MAX: usize = 256;
/// Bytes of a file.
const FILE_BYTES_MAX: u64 = 1_024 * 1_024;
/// Bytes of all files.
const FILES_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// Why a directory gives no rules.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It cannot be listed.
    #[error("cannot read the directory {}", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No rules at all is rather a directory that is not there yet.
    #[error("{} has no file *.yaml or *.yml", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// Too many files, or too many bytes.
    #[error(
        "{} has more than {FILES_MAX} files of rules, or more than {FILES_BYTES_MAX} bytes of them",
        path.display()
    )]
    TooMuch {
        /// The directory.
        path: PathBuf,
    },
    /// A file is wrong.
    #[error(transparent)]
    Rules(#[from] RulesError),
}

/// The rules of a directory, as they are in force.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    in_force: RwLock<Arc<Rules>>,
    /// What was found when it was last looked at: the hash of the files, or an error's words.
    seen: Mutex<String>,
    standing: Standing,
}

impl Directory {
    /// Reads the rules for the first time: there are none yet that could stay in force, so whatever
    /// is wrong is an error.
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        let files = read(path)?;
        let rules = files.rules()?;
        let standing = Standing::default();
        standing.set(Stands { current: true, detail: said(&rules, files.0.len()) });
        Ok(Self {
            path: path.to_owned(),
            in_force: RwLock::new(Arc::new(rules)),
            seen: Mutex::new(files.hash()),
            standing,
        })
    }

    /// How the rules stand, kept up to date.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// The rules in force.
    pub(super) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files, and puts their rules into force if they have changed and are right. Answers
    /// whether anything has changed since the last look. The files' bytes decide, not their times:
    /// they are small, and a clock's tick hides no change.
    pub(super) fn reload(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let files = read(&self.path);
        let found = match &files {
            Ok(files) => files.hash(),
            Err(error) => error.to_string(),
        };
        if *seen == found {
            return false;
        }
        *seen = found;
        match files.and_then(|files| Ok((files.rules()?, files.0.len()))) {
            Ok((rules, files)) => {
                let detail = said(&rules, files);
                tracing::info!(detail, "new rules for Envoy are in force");
                self.standing.set(Stands { current: true, detail });
                *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
            }
            Err(error) => {
                let why = with_source(&error);
                tracing::error!(why, "the rules for Envoy are wrong; those before stay in force");
                let detail = format!("older rules stay in force, because of {why}");
                self.standing.set(Stands { current: false, detail });
            }
        }
        true
    }
}

/// Files by name.
struct Files(Vec<(String, String)>);

impl Files {
    fn rules(&self) -> Result<Rules, RulesError> {
        Rules::of(self.0.iter().map(|(name, text)| (name.as_str(), text.as_str())))
    }

    fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in self.0.iter().flat_map(|(name, text)| [name, text]) {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part.as_bytes());
        }
        hasher.finalize().to_string()
    }
}

/// The files `*.yaml` and `*.yml` in `path`, by name; not those that are hidden, as the directories
/// are through which a Kubernetes volume changes its files.
fn read(path: &Path) -> Result<Files, DirectoryError> {
    let unreadable = |source| DirectoryError::Unreadable { path: path.to_owned(), source };
    let too_much = || DirectoryError::TooMuch { path: path.to_owned() };
    let mut names = Vec::new();
    for entry in path.read_dir().map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        let yaml = name.ends_with(".yaml") || name.ends_with(".yml");
        if yaml && !name.starts_with('.') {
            names.push(name);
        }
        if names.len() > FILES_MAX {
            return Err(too_much());
        }
    }
    if names.is_empty() {
        return Err(DirectoryError::Empty { path: path.to_owned() });
    }
    names.sort_unstable();
    let mut files = Files(Vec::with_capacity(names.len()));
    let mut bytes = 0;
    for name in names {
        let text =
            read_file(&path.join(&name)).map_err(|what| RulesError { file: name.clone(), what })?;
        bytes += text.len();
        if bytes > FILES_BYTES_MAX {
            return Err(too_much());
        }
        files.0.push((name, text));
    }
    Ok(files)
}

fn read_file(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("is larger than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
}

fn said(rules: &Rules, files: usize) -> String {
    let (domains, descriptors) = rules.size();
    format!("{descriptors} descriptors of {domains} domains, from {files} files")
}

fn with_source(error: &DirectoryError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
