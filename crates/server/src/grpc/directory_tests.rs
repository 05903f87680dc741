//! A directory of rules that changes, rightly and wrongly.

use super::*;
use std::fs;
use tempfile::TempDir;

fn file(domain: &str) -> String {
    format!("domain: {domain}\ndescriptors: [{{key: k, rate_limit: {{unit: day}}}}]\n")
}

fn write(directory: &TempDir, name: &str, text: impl AsRef<[u8]>) {
    fs::write(directory.path().join(name), text).unwrap();
}

/// Whether the rules in force have `domain`.
fn has(rules: &Directory, domain: &str) -> bool {
    rules.rules().domain(domain).is_some()
}

#[test]
fn changes_take_hold_and_mistakes_do_not() {
    let directory = TempDir::new().unwrap();
    write(&directory, "a.yaml", file("a"));
    write(&directory, "ignored.txt", "]");
    write(&directory, ".hidden.yaml", "]");
    let rules = Directory::open(directory.path()).unwrap();
    let standing = rules.standing();
    assert!(has(&rules, "a") && standing.get().current);
    assert!(!rules.reload(), "nothing has changed");

    write(&directory, "b.yml", file("b"));
    assert!(rules.reload());
    assert!(has(&rules, "a") && has(&rules, "b"));
    assert_eq!(standing.get().detail, "2 descriptors of 2 domains, from 2 files");

    for (name, wrong) in
        [("b.yml", "domain: b\ndescriptors: 7"), ("b.yml", "domain: a"), ("c.yaml", "]")]
    {
        write(&directory, name, wrong);
        assert!(rules.reload(), "{wrong}");
        assert!(!rules.reload(), "it is said once");
        assert!(has(&rules, "a") && has(&rules, "b"), "what was in force stays so");
        let stands = standing.get();
        assert!(!stands.current && stands.detail.starts_with("older rules stay in force"));
        assert!(stands.detail.contains("b.yml") || stands.detail.contains("c.yaml"), "{stands:?}");
    }
    fs::remove_file(directory.path().join("c.yaml")).unwrap();
    write(&directory, "b.yml", file("new"));
    assert!(rules.reload());
    assert!(has(&rules, "new") && !has(&rules, "b") && standing.get().current);

    // Back to what was there before a mistake is a change as well.
    write(&directory, "b.yml", "]");
    assert!(rules.reload());
    write(&directory, "b.yml", file("new"));
    assert!(rules.reload() && standing.get().current);
}

#[test]
fn a_directory_that_is_gone_or_empty_takes_nothing_away() {
    let directory = TempDir::new().unwrap();
    write(&directory, "a.yaml", file("a"));
    let rules = Directory::open(directory.path()).unwrap();
    fs::remove_file(directory.path().join("a.yaml")).unwrap();
    assert!(rules.reload() && has(&rules, "a"));
    assert!(rules.standing().get().detail.contains("has no file *.yaml"));
    fs::remove_dir(directory.path()).unwrap();
    assert!(rules.reload() && has(&rules, "a"));
    assert!(rules.standing().get().detail.contains("cannot read the directory"));
}

#[test]
fn at_first_whatever_is_wrong_is_an_error() {
    let directory = TempDir::new().unwrap();
    let error = |directory: &TempDir| Directory::open(directory.path()).unwrap_err();
    assert!(matches!(error(&directory), DirectoryError::Empty { .. }));
    write(&directory, "a.yaml", [b'a', 0xff]);
    assert_eq!(error(&directory).to_string(), "a.yaml: is not UTF-8");
    write(&directory, "a.yaml", vec![b' '; 1_024 * 1_024 + 1]);
    assert_eq!(error(&directory).to_string(), "a.yaml: is larger than 1048576 bytes");
    write(&directory, "a.yaml", vec![b'#'; 1_024 * 1_024]);
    assert!(
        error(&directory).to_string().starts_with("a.yaml: config file cannot have empty domain")
    );
    for at in 0..8 {
        write(&directory, &format!("b{at}.yaml"), vec![b'#'; 1_024 * 1_024]);
    }
    assert!(matches!(error(&directory), DirectoryError::TooMuch { .. }), "too many bytes");
    let many = TempDir::new().unwrap();
    for at in 0..=FILES_MAX {
        write(&many, &format!("{at}.yaml"), file(&format!("d{at}")));
    }
    assert!(matches!(error(&many), DirectoryError::TooMuch { .. }), "too many files");
    fs::remove_file(many.path().join("0.yaml")).unwrap();
    assert!(Directory::open(many.path()).is_ok());
}
