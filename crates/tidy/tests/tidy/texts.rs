//! The texts: what they point at is there.

use crate::{
    report,
    source::Source,
    tree::{Text, exists, files, text},
};
use std::collections::BTreeSet;

/// Folders and files that a text may name from the root of the tree.
const ROOTED: [&str; 5] = ["crates/", "docs/", "bench/", "examples/", ".ci/"];
/// Made by running something, so not there at first.
const MADE: [&str; 2] = ["bench/data", "bench/results"];

fn markdown() -> impl Iterator<Item = &'static Text> {
    files().iter().filter(|file| file.is_markdown())
}

/// Everything between backticks, with its line.
fn quoted(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().flat_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        let parts: Vec<&str> =
            if fenced || fence { Vec::new() } else { line.split('`').skip(1).step_by(2).collect() };
        parts.into_iter().map(move |part| (at + 1, part))
    })
}

#[test]
fn links_lead_somewhere() {
    let mut found = Vec::new();
    for file in markdown() {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (at, line) in file.text.lines().enumerate() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = link.split('#').next().unwrap_or_default();
                let elsewhere = target.contains("://") || target.starts_with("mailto:");
                if !target.is_empty()
                    && !elsewhere
                    && !exists(&format!("{folder}/{target}")[usize::from(folder.is_empty())..])
                {
                    found.push(format!("{}:{}: {link}", file.path, at + 1));
                }
            }
        }
    }
    report("links to files of the tree resolve", &found);
}

/// The parts of `docs/README.md`, in their order.
const PARTS: [&str; 5] = ["Start", "Concepts", "Build", "Operate", "Reference"];

#[test]
fn every_page_is_in_the_index() {
    let index = text("docs/README.md");
    let parts: Vec<&str> = index.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(parts, PARTS);
    // Decisions have an index of their own.
    let pages = markdown().filter_map(|file| file.path.strip_prefix("docs/"));
    let pages = pages.filter(|page| *page != "README.md" && !page.starts_with("decisions/0"));
    let missing = pages.filter(|page| !index.contains(&format!("]({page})")));
    report("docs/README.md links every page", &missing.map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn named_files_exist() {
    let mut found = Vec::new();
    for file in markdown() {
        for (at, name) in quoted(&file.text) {
            let path = name.split([' ', ':']).next().unwrap_or_default();
            let rooted = ROOTED.iter().any(|folder| path.starts_with(folder));
            let pattern = path.contains(['*', '…', '<', '{']);
            let made = MADE.iter().any(|folder| path.starts_with(folder));
            if rooted && !pattern && !made && !exists(path) {
                found.push(format!("{}:{at}: {path}", file.path));
            }
        }
    }
    report("files that the texts name exist", &found);
}

#[test]
fn named_tests_exist() {
    let functions: BTreeSet<String> = files()
        .iter()
        .filter(|file| file.is_rust())
        .flat_map(|file| Source::new(&file.text).functions())
        .map(|function| function.name)
        .collect();
    let sentence = |name: &str| {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        name.matches('_').count() >= 3 && name.chars().all(word) && !name.starts_with("evenkeel_")
    };
    let mut found = Vec::new();
    for file in markdown().filter(|file| file.path == "ARCHITECTURE.md") {
        let names = quoted(&file.text).filter(|(_, name)| sentence(name));
        let missing = names.filter(|(_, name)| !functions.contains(*name));
        found.extend(missing.map(|(at, name)| format!("{}:{at}: {name}", file.path)));
    }
    report("tests that the architecture names exist", &found);
}

#[test]
fn named_metrics_exist() {
    let code: String = files()
        .iter()
        .filter(|file| file.is_rust() && file.path.contains("/src/"))
        .map(|file| file.text.as_str())
        .collect();
    let mut found = Vec::new();
    for file in markdown() {
        for (at, name) in quoted(&file.text).filter(|(_, name)| name.starts_with("evenkeel_")) {
            let name = name.split('{').next().unwrap_or_default();
            if !code.contains(&format!("\"{name}\"")) {
                found.push(format!("{}:{at}: {name}", file.path));
            }
        }
    }
    report("metrics that the texts name exist", &found);
}

#[test]
fn named_make_targets_exist() {
    let targets: BTreeSet<&str> = text("Makefile")
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(target, _)| target)
        .collect();
    let mut found = Vec::new();
    for file in files().iter().filter(|file| file.is_markdown() || file.path == ".ci/run") {
        let code = file.text.lines().map(|line| line.trim_start_matches("$ "));
        let shell = code.filter(|line| line.starts_with("make "));
        for named in quoted(&file.text).map(|(_, part)| part).chain(shell) {
            let Some(rest) = named.strip_prefix("make ") else { continue };
            let target = rest.split_whitespace().find(|word| !word.contains('='));
            if target.is_none_or(|target| !targets.contains(target)) {
                found.push(format!("{}: {named}", file.path));
            }
        }
    }
    report("make targets that the texts name exist", &found);
}

#[test]
fn nothing_is_said_of_one_machine() {
    // Put together here, so that this file does not contain them.
    let folders = ["work", "root", "home"].map(|folder| format!("/{folder}/"));
    let hosts = [("crates", "io"), ("pypi", "org"), ("static.rust-lang", "org")]
        .map(|(name, end)| format!("{name}.{end}"));
    let mut found = Vec::new();
    for file in files().iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for (at, line) in file.text.lines().enumerate() {
            let names = folders.iter().chain(&hosts).find(|word| line.contains(word.as_str()));
            found.extend(names.map(|word| format!("{}:{}: {word}", file.path, at + 1)));
        }
    }
    report("no path of one machine and no registry's host", &found);
}
