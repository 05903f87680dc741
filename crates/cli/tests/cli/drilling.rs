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
    assert!(report["delivered"].as_u64() > Some(30), "{report}");
    for (limit, leased) in [("gcra", false), ("leased", true), ("window", false)] {
        let limits = report["limits"].as_array().unwrap();
        let found = limits.iter().find(|one| one["limit"] == limit).unwrap();
        let number = |name: &str| found[name].as_u64().unwrap();
        // On a busy machine clients do not use up the largest of them.
        assert!(number("admitted") > 30 && (leased || number("refused") > 0), "{found}");
        assert_eq!(number("over_admission_max") > 0, leased, "{found}");
        assert!(number("over_admission") <= number("over_admission_max"), "{found}");
    }
    for queue in ["orders", "mails", "bell"] {
        let queues = report["queues"].as_array().unwrap();
        let found = queues.iter().find(|one| one["queue"] == queue).unwrap();
        let number = |name: &str| found[name].as_u64().unwrap();
        assert!(number("jobs") > 5 && number("attempts") > 5 && number("done") > 3, "{found}");
        assert_eq!(
            number("jobs"),
            number("done") + number("dead") + number("cancelled"),
            "none is left: {found}"
        );
    }
    let chat = |name: &str| report["chat"][name].as_u64().unwrap();
    assert!(chat("messages") > 100 && chat("delivered") > 1_000, "{report}");
    assert!(chat("resumed") > 30 && chat("inboxes") > 15 && chat("spoiled") > 5, "{report}");
    assert!(report["memory_mib"].as_u64() > Some(0) || !cfg!(target_os = "linux"), "{report}");
}

#[test]
fn a_broken_guarantee_is_an_invalid_drill() {
    let broken = run(&["drill", "sim", "--break", "no-fsync"]);
    assert!(broken.out.contains("BROKEN"), "{}", broken.out);
    broken.fails(1, &[]);
    run(&["drill", "sim", "--seeds", "20"]).succeeds();
    run(&["drill", "sim", "--break", "no-gravity"]).fails(2, &["no-gravity", "no-fsync"]);
}

#[test]
fn a_price_is_measured_on_both_sides() {
    let few = ["--connections", "4", "--duration-s", "0.3", "--repeats", "2"];
    let report = run(&[&["drill", "price", "exact-everywhere", "--json"], &few[..]].concat());
    let report = report.succeeds().json();
    let side = |index: usize, name: &str| report["sides"][index][name].as_u64().unwrap();
    assert!(side(0, "checks") > 20 && side(1, "checks") > 20, "{report}");
    // Each check of an exact limit is in some append; a lease of a leased one is for many.
    assert!(side(0, "appends") * 4 >= side(0, "checks"), "{report}");
    assert!(side(1, "appends") * 4 < side(1, "checks"), "{report}");
    assert_eq!((side(0, "over_admission_max"), side(1, "over_admission_max")), (0, 625));
    run(&["drill", "price", "free-lunch"]).fails(2, &["free-lunch", "exact-everywhere"]);
    run(&["drill", "price", "exact-everywhere", "--repeats", "0"]).fails(2, &["repeats"]);
    let listed = run(&["drill", "list"]).succeeds().out;
    for name in [
        "refund-twice",
        "no-lease-fence",
        "resume-off-by-one",
        "exact-everywhere",
        "one-partition",
        "global-order",
    ] {
        assert!(listed.contains(name), "{name}: {listed}");
    }
}

#[test]
fn a_strict_order_of_all_jobs_has_its_price() {
    let few = ["--connections", "4", "--duration-s", "0.3", "--repeats", "1"];
    let report = run(&[&["drill", "price", "one-partition", "--json"], &few[..]].concat());
    let report = report.succeeds().json();
    let side = |index: usize| &report["sides"][index];
    assert!(side(0)["jobs"].as_u64() > Some(1) && side(1)["jobs"].as_u64() > Some(1), "{report}");
    // Nothing overtakes the job that a slow worker sits on, where all are in one order.
    assert_eq!(side(0)["beside_slow"]["max"], 0.0, "{report}");
    assert!(side(1)["beside_slow"]["min"].as_f64() > Some(0.0), "{report}");
}

#[test]
fn one_order_of_everything_has_its_price() {
    let few = ["--connections", "4", "--duration-s", "0.3", "--repeats", "1"];
    let report = run(&[&["drill", "price", "global-order", "--json"], &few[..]].concat());
    let report = report.succeeds().json();
    let side = |index: usize, name: &str| report["sides"][index][name].as_u64().unwrap();
    assert!(side(0, "messages") > 1 && side(1, "messages") > 1, "{report}");
    // Whoever wants one order is sent everything.
    assert_eq!((side(0, "readers"), side(1, "readers")), (4, 2), "{report}");
}

#[test]
fn a_stampede_of_retries_is_plotted() {
    let plot = run(&["drill", "plot", "retries", "--json"]).succeeds().json();
    let due = |side: &str| -> Vec<u64> {
        plot[side].as_array().unwrap().iter().map(|due| due.as_u64().unwrap()).collect()
    };
    assert!(due("with_jitter").iter().all(|due| (15..110).contains(due)), "{plot}");
    assert_eq!(due("without_jitter").iter().max(), Some(&1_000), "{plot}");
    run(&["drill", "plot", "retries"]).succeeds();
    run(&["drill", "plot", "graph"]).fails(2, &["graph", "retries"]);
}

#[test]
fn a_flood_leaves_its_neighbour_answered_and_is_named() {
    let short = ["--connections", "16", "--rate", "20", "--duration-s", "1", "--json"];
    let report = run(&[&["drill", "neighbours"], &short[..]].concat()).succeeds().json();
    assert_eq!(report["heaviest"][0], "big", "{report}");
    assert!(report["beside"]["answered"].as_u64() >= Some(10), "{report}");
    run(&["drill", "neighbours", "--connections", "0"]).fails(2, &["connections"]);
}
