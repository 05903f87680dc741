//! `docs/limits.md`: every bound of the code is in it, and what is in it is in the code.

use crate::{
    report,
    source::Source,
    tree::{files, text},
};
use std::collections::BTreeSet;

/// A row: what the code calls it, and in which file.
struct Row {
    name: &'static str,
    file: &'static str,
}

fn rows() -> Vec<Row> {
    let rows = text("docs/limits.md").lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let name = cells.next()?.trim_end_matches('`');
        let file =
            cells.next_back().filter(|cell| !cell.is_empty()).or_else(|| cells.next_back())?;
        Some(Row { name, file: file.trim_matches('`') })
    });
    rows.collect()
}

#[test]
fn what_is_in_the_table_is_in_the_code() {
    let rows = rows();
    assert!(rows.len() > 40, "the table was not read");
    let missing = rows.iter().filter(|row| {
        let file = files().iter().find(|file| file.path == row.file);
        file.is_none_or(|file| !file.text.contains(row.name))
    });
    let found: Vec<String> =
        missing.map(|row| format!("{} is not in {}", row.name, row.file)).collect();
    report("docs/limits.md names what there is", &found);
}

#[test]
fn every_bound_is_in_the_table() {
    let known: BTreeSet<(&str, &str)> = rows().iter().map(|row| (row.file, row.name)).collect();
    let mut found = Vec::new();
    for file in files().iter().filter(|file| file.is_rust() && !file.is_test()) {
        // Load and drills bound themselves; they are no part of what serves.
        let serves = file.path.contains("/src/") && file.path.starts_with("crates/");
        if !serves || file.path.starts_with("crates/drill/") {
            continue;
        }
        let source = Source::new(&file.text);
        for line in &source.code[..source.tests_from()] {
            let Some(name) = bound(line, file.text.contains("Options {")) else { continue };
            if !known.contains(&(file.path.as_str(), name)) {
                found.push(format!("{name} of {}", file.path));
            }
        }
    }
    report("docs/limits.md has every bound", &found);
}

/// The name of the bound that is declared in `line`, if one is: a constant, or where there are
/// options, one of them.
fn bound(line: &str, options: bool) -> Option<&str> {
    let line = line.trim();
    let option =
        line.strip_prefix("pub ").filter(|_| options).and_then(|line| line.split_once(": "));
    if let Some((name, _)) = option.filter(|(name, _)| name.ends_with("_max")) {
        return Some(name);
    }
    let (before, declared) = line.split_once("const ")?;
    let (name, kind) = declared.split_once(": ")?;
    let bounds = name.ends_with("_MAX") || name.ends_with("_LIMIT");
    let counts = ["usize", "u64", "u32", "u16", "Duration"].iter().any(|it| kind.starts_with(it));
    ((before.is_empty() || before.starts_with("pub")) && bounds && counts).then_some(name)
}

#[test]
fn bounds_are_recognised() {
    assert_eq!(bound("pub const KEYS_MAX: usize = 10_000;", false), Some("KEYS_MAX"));
    assert_eq!(bound("    pub(super) const PAUSE_MAX: Duration = X;", false), Some("PAUSE_MAX"));
    assert_eq!(bound("    pub streams_max: usize,", true), Some("streams_max"));
    for other in ["pub streams_max: usize,", "let A_MAX: usize = 1;", "const NAME: usize = 1;"] {
        assert_eq!(bound(other, false), None, "{other}");
    }
}
