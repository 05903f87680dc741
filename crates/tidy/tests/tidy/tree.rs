//! The files of the tree, as they are on the disk; what is built, downloaded or measured is not.

use std::{fs, path::Path, path::PathBuf, sync::LazyLock};

const LEFT_OUT: [&str; 5] = [".git", "target", "data", "results", "venv"];

/// A text file.
pub(crate) struct Text {
    /// From the root of the tree, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Text {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(crate) fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }

    /// Whether all of it is for tests or benchmarks.
    pub(crate) fn is_test(&self) -> bool {
        ["/tests/", "/benches/", "/examples/"].iter().any(|part| self.path.contains(part))
            || self.path.ends_with("tests.rs")
    }
}

/// The root of the tree.
pub(crate) fn root() -> PathBuf {
    let tidy = Path::new(env!("CARGO_MANIFEST_DIR"));
    tidy.ancestors().nth(2).expect("this crate is two folders deep").to_path_buf()
}

/// Every text file.
pub(crate) fn files() -> &'static [Text] {
    static FILES: LazyLock<Vec<Text>> = LazyLock::new(|| {
        let mut files = Vec::new();
        walk(&root(), "", &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(files.len() > 100, "the tree was not found: {} files", files.len());
        files
    });
    &FILES
}

/// The text of one file.
pub(crate) fn text(path: &str) -> &'static str {
    let file = files().iter().find(|file| file.path == path);
    &file.unwrap_or_else(|| panic!("{path} is missing")).text
}

/// Whether a file or folder of this path is there.
pub(crate) fn exists(path: &str) -> bool {
    root().join(path).exists()
}

fn walk(folder: &Path, prefix: &str, files: &mut Vec<Text>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), &format!("{path}/"), files);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            files.push(Text { path, text });
        }
    }
}
