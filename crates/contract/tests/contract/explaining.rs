//! `explain` says what the code does and what the settings say, and changes when they do.

use evenkeel_contract::{Delivered, Explanation, Meter, Outcome, explain, summarize};

use crate::samples::{LEND, registry};

#[test]
fn a_write_with_live_numbers() {
    let delivered = Delivered {
        window_s: 300,
        requests: 3_000,
        rate_per_s: 10.0,
        outcomes: [("ok", 2_900), ("shelf_empty", 97), ("unavailable", 3)]
            .map(|(code, count)| (code.to_owned(), count))
            .into(),
        ok: 2_900,
        refused: 97,
        errors: 3,
        latency_p50_ms: Some(0.8),
        latency_p99_ms: Some(23.5),
        appends: 700,
        barriers: 4,
        replays: 12,
        eligible_since_start: 30_000,
        errors_since_start: 6,
        ..Delivered::default()
    };
    let contract = registry().get("library.lend").unwrap();
    insta::assert_snapshot!(explain(&contract, Some(&delivered)));
}

#[test]
fn a_bounded_read() {
    let contract = registry().get("library.shelf").unwrap();
    insta::assert_snapshot!(explain(&contract, None));
}

/// Every setting of every path: changing it must change what is said.
#[test]
fn changing_a_setting_changes_the_explanation() {
    for (path, line, says) in [
        ("library.lend", "deadline_ms = 400", "400 ms (changed; default 500)"),
        ("library.lend", "priority = \"sheddable\"", "sheddable (changed; default critical)"),
        ("library.lend", "idempotency_window_s = 7200", "7200 s (2 h) (changed; default 86400)"),
        ("library.lend", "slo.availability = 99.5", "99.5 % answered"),
        ("library.lend", "slo.latency_p99_ms = 30", "within 30 ms (changed; default 20)"),
        ("library.shelf", "consistency = \"session\"", "(changed; default bounded)"),
        (
            "library.shelf",
            "max_staleness_ms = 250",
            "never older than 250 ms (changed; default 1000)",
        ),
        ("library.shelf", "max_staleness_ms = 250", "at most 250 ms"),
    ] {
        let mut registry = registry();
        let before = explain(&registry.get(path).unwrap(), None);
        registry.override_from_toml(&format!("[paths.\"{path}\"]\n{line}")).unwrap();
        let after = explain(&registry.get(path).unwrap(), None);
        assert_ne!(before.sections, after.sections, "{path} {line}");
        assert_ne!(before.promised, after.promised, "{path} {line}");
        let unwrapped = unwrapped(&after);
        assert!(unwrapped.contains(says), "{path} {line}: no {says:?} in\n{unwrapped}");
    }
}

fn unwrapped(explanation: &Explanation) -> String {
    explanation.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn it_fits_a_terminal_and_says_all_the_prose() {
    for contract in registry().contracts() {
        let explanation = explain(&contract, None);
        let text = explanation.to_string();
        let long = text.lines().find(|line| line.chars().count() > 100);
        assert_eq!(long, None);
        let unwrapped = unwrapped(&explanation);
        for prose in [
            LEND.user_action,
            LEND.promise,
            LEND.hot_read,
            LEND.hot_write,
            LEND.data,
            LEND.moves,
            LEND.first_failure,
            LEND.first_bottleneck,
            LEND.kept,
            LEND.given_up,
            LEND.blast_radius.what,
            LEND.blast_radius.who,
            LEND.during_partition,
            LEND.inline,
            LEND.later,
            LEND.recovery,
            LEND.replay,
            LEND.watch[0],
            LEND.curl,
        ] {
            assert!(unwrapped.contains(prose), "{}: {prose}", contract.path.name);
        }
    }
}

#[test]
fn a_program_can_read_what_a_server_answered() {
    let registry = registry();
    let contract = registry.get("library.lend").unwrap();
    let meter = Meter::new(contract.path.facts.refusal_codes, 0);
    meter.record(Outcome::Refused("shelf_empty"), 700, None, 1);
    let delivered = meter.snapshot(1);
    let sent = explain(&contract, Some(&delivered));
    let json = serde_json::to_string(&sent).unwrap();
    let read: Explanation = serde_json::from_str(&json).unwrap();
    assert_eq!(read, sent);
    assert_eq!(read.to_string(), sent.to_string());

    let summary = serde_json::to_value(summarize(&contract, Some(&delivered))).unwrap();
    assert_eq!(summary["path"], "library.lend");
    assert_eq!(summary["coordination"], "linearizable");
    assert_eq!(summary["promised"]["deadline_ms"], 500);
    assert_eq!(summary["delivered"]["outcomes"]["shelf_empty"], 1);
    assert_eq!(summary["budget"]["burn_rate"], 0.0);
}
