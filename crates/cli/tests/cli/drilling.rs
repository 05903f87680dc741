//! Drills, run on the real binary.

use crate::process::run;

/// Kills of the short drill that every test run makes; `evenkeel drill crash` makes thirty.
const CYCLES: &str = "6";

#[test]
fn killed_again_and_again_it_keeps_what_it_said() {
    let report = run(&["drill", "crash", "--cycles", CYCLES, "--json"]).succeeds().json();
    assert_eq!(report["violations"], serde_json::json!([]));
    assert_eq!(report["undecided"], serde_json::json!([]));
    assert!(report["answers"]["carried out"].as_u64() > Some(50), "{report}");
    assert!(report["delivered"].as_u64() > Some(50), "{report}");
}

#[test]
fn a_broken_guarantee_is_an_invalid_drill() {
    let broken = run(&["drill", "sim", "--break", "no-fsync"]);
    assert!(broken.out.contains("BROKEN"), "{}", broken.out);
    broken.fails(1, &[]);
    run(&["drill", "sim", "--seeds", "20"]).succeeds();
    run(&["drill", "sim", "--break", "no-gravity"]).fails(2, &["no-gravity", "no-fsync"]);
}
