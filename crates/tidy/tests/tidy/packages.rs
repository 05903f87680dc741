//! Dependencies: each explained, none from a stranger, all under licences that `deny.toml` allows.

use crate::{
    report,
    tree::{files, root, text},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};
use toml::{Table, Value};

/// Every manifest, parsed.
fn manifests() -> impl Iterator<Item = (&'static str, Table)> {
    let manifests = files().iter().filter(|file| file.path.ends_with("Cargo.toml"));
    manifests.map(|file| (file.path.as_str(), file.text.parse().expect("a manifest is TOML")))
}

/// Direct dependencies by name, with the manifests that name them.
fn direct() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut direct: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (path, manifest) in manifests() {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(Value::Table(names)) = manifest.get(kind) else { continue };
            for name in names.keys().filter(|name| !name.starts_with("evenkeel")) {
                direct.entry(name.clone()).or_default().insert(path);
            }
        }
    }
    direct
}

#[test]
fn every_dependency_is_explained() {
    let explained: BTreeSet<&str> = text("docs/dependencies.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let direct = direct();
    let mut found: Vec<String> = direct
        .iter()
        .filter(|(name, _)| !explained.contains(name.as_str()))
        .map(|(name, by)| format!("{name}, of {by:?}, has no line"))
        .collect();
    let gone = explained.iter().filter(|name| !direct.contains_key(**name));
    found.extend(gone.map(|name| format!("{name} has a line and is used by no crate")));
    report("docs/dependencies.md has a line for each direct dependency", &found);
}

#[test]
fn shared_versions_are_used() {
    let mut direct = direct();
    direct.retain(|_, by| by.iter().any(|path| path.starts_with("crates/")));
    let workspace: Table = text("Cargo.toml").parse().unwrap();
    let shared = workspace["workspace"]["dependencies"].as_table().unwrap();
    let unused = shared.keys().filter(|name| !name.starts_with("evenkeel"));
    let found: Vec<String> = unused.filter(|name| !direct.contains_key(*name)).cloned().collect();
    report("[workspace.dependencies] holds what crates use", &found);
}

#[test]
fn crates_share_versions_and_lints() {
    let mut found = Vec::new();
    for (path, manifest) in manifests().filter(|(path, _)| path.starts_with("crates/")) {
        if manifest.get("lints").and_then(|lints| lints.get("workspace")).is_none() {
            found.push(format!("{path}: [lints] workspace = true is missing"));
        }
        for kind in ["dependencies", "dev-dependencies"] {
            let Some(Value::Table(names)) = manifest.get(kind) else { continue };
            let own = names.iter().filter(|(_, how)| how.get("workspace").is_none());
            found.extend(own.map(|(name, _)| format!("{path}: {name} has a version of its own")));
        }
    }
    report("versions and lints are the workspace's", &found);
}

/// Each depends only on those before it. `tidy` depends on what it looks at.
#[test]
fn crates_depend_downwards_only() {
    let order = [
        "cache", "contract", "log", "state", "engine", "domains", "node", "server", "drill", "cli",
    ];
    let place = |name: &str| order.iter().position(|known| *known == name);
    let mut found = Vec::new();
    for (path, manifest) in manifests() {
        let folder = path.strip_prefix("crates/").and_then(|path| path.split('/').next());
        let Some(at) = folder.and_then(place) else { continue };
        let Some(Value::Table(names)) = manifest.get("dependencies") else { continue };
        for name in names.keys().filter_map(|name| name.strip_prefix("evenkeel-")) {
            if place(name).is_none_or(|below| below >= at) {
                found.push(format!("{path} depends on {name}"));
            }
        }
    }
    report("crates depend on those below them, never upwards", &found);
}

#[test]
fn everything_comes_from_the_registry() {
    let lock: Table = text("Cargo.lock").parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let found: Vec<String> = packages
        .iter()
        .filter(|package| {
            let source = package.get("source").and_then(Value::as_str);
            source.is_some_and(|source| !source.starts_with("registry+"))
        })
        .map(|package| package["name"].to_string())
        .collect();
    report("no dependency from a repository or an unknown registry", &found);
}

#[test]
fn licences_are_allowed() {
    let deny: Table = text("deny.toml").parse().unwrap();
    let allow = deny["licenses"]["allow"].as_array().unwrap();
    let allow: BTreeSet<&str> = allow.iter().filter_map(Value::as_str).collect();
    let found: Vec<String> = packages_built_here()
        .into_iter()
        .filter(|(_, licence)| !is_allowed(licence, &allow))
        .map(|(name, licence)| format!("{name}: {licence}"))
        .collect();
    report("licences are among those of deny.toml", &found);
}

/// The packages that a build on this machine has, with their licences.
fn packages_built_here() -> Vec<(String, String)> {
    let rustc = Command::new("rustc").arg("-vV").output().expect("rustc is there: it built this");
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = |features: &[&str]| {
        Command::new("cargo")
            .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", host])
            .args(features)
            .current_dir(root())
            .output()
            .expect("cargo is there: it runs this")
    };
    // What a feature needs is here once it was built with that, and `make check` does.
    let all = metadata(&["--all-features"]);
    let output = if all.status.success() { all } else { metadata(&[]) };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let used: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|node| node["id"].as_str())
        .collect();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .filter(|package| used.contains(package["id"].as_str().unwrap_or_default()))
        .map(|package| {
            let text = |field: &str| package[field].as_str().unwrap_or("none").to_owned();
            (text("name"), text("license"))
        })
        .collect()
}

/// Whether a licence expression (SPDX, without nested parentheses) can be met by `allow`.
fn is_allowed(expression: &str, allow: &BTreeSet<&str>) -> bool {
    if let Some((inside, rest)) =
        expression.strip_prefix('(').and_then(|expression| expression.split_once(')'))
    {
        let Some(rest) = rest.trim().strip_prefix("AND ") else { return false };
        return is_allowed(inside, allow) && is_allowed(rest, allow);
    }
    expression
        .replace('/', " OR ")
        .split(" OR ")
        .any(|choice| choice.split(" AND ").all(|licence| allow.contains(licence.trim())))
}

#[test]
fn licence_expressions_are_understood() {
    let allow = BTreeSet::from(["MIT", "Apache-2.0", "Unicode-3.0"]);
    for fine in ["MIT", "GPL-3.0 OR MIT", "MIT/GPL-2.0", "(MIT OR GPL-2.0) AND Unicode-3.0"] {
        assert!(is_allowed(fine, &allow), "{fine}");
    }
    for not in ["GPL-3.0", "MIT AND GPL-2.0", "(MIT OR GPL-2.0) AND GPL-3.0", "none"] {
        assert!(!is_allowed(not, &allow), "{not}");
    }
}
