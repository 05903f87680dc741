//! Rules against what envoyproxy/ratelimit documents of them, and against files that nobody would
//! write.

use super::*;
use proptest::prelude::*;

fn rules(text: &str) -> Result<Rules, String> {
    Rules::of([("f.yaml", text)]).map_err(|error| error.to_string())
}

fn entries(pairs: &[(&str, &str)]) -> Vec<Entry> {
    let entry = |(key, value): &(&str, &str)| Entry { key: (*key).into(), value: (*value).into() };
    pairs.iter().map(entry).collect()
}

/// What a descriptor of the domain `d` meets: so much a unit, 0 a year if it is unlimited.
fn met(rules: &Rules, pairs: &[(&str, &str)]) -> Option<(u32, Unit)> {
    let found = rules.domain("d").unwrap().find(&entries(pairs))?;
    Some(found.rule.limit.map_or((0, Unit::Year), |limit| (limit.requests_per_unit, limit.unit)))
}

/// A limit in one line.
fn limit(rest: &str) -> String {
    format!("domain: d\ndescriptors:\n- key: k\n  rate_limit: {{ {rest} }}\n")
}

#[test]
fn descriptors_meet_what_the_documentation_says() {
    let text = "
domain: d
descriptors:
  - key: message_type
    value: marketing
    descriptors:
      - key: to_number
        rate_limit: { unit: day, requests_per_unit: 5 }
  - key: to_number
    rate_limit: { unit: DAY, requests_per_unit: 100 }
  - key: remote_address
    rate_limit: { unit: second, requests_per_unit: 10 }
  - key: remote_address
    value: 50.0.0.5
    rate_limit: { unit: second, requests_per_unit: 0 }
  - key: key
    value: value
    rate_limit: { unit: Hour, requests_per_unit: 300 }
    descriptors:
      - key: subkey
        rate_limit: { unit: week, requests_per_unit: 301 }
  - key: ldap
    rate_limit: { unlimited: true }
  - key: code
    value: 404
    rate_limit: { unit: month, requests_per_unit: 7 }
  - key: allowed
    value: friend
  - key: allowed
    rate_limit: { unit: minute, requests_per_unit: 1 }
";
    let rules = rules(text).unwrap();
    let some = |requests, unit| Some((requests, unit));
    for (pairs, expected) in [
        (&[("message_type", "marketing"), ("to_number", "1")][..], some(5, Unit::Day)),
        (&[("message_type", "marketing")], None),
        (&[("message_type", "other"), ("to_number", "1")], None),
        (&[("to_number", "1")], some(100, Unit::Day)),
        (&[("to_number", "1"), ("message_type", "marketing")], None),
        (&[("remote_address", "50.0.0.1")], some(10, Unit::Second)),
        (&[("remote_address", "50.0.0.5")], some(0, Unit::Second)),
        (&[("key", "value")], some(300, Unit::Hour)),
        (&[("key", "value"), ("subkey", "any")], some(301, Unit::Week)),
        (&[("key", "value"), ("other", "any")], None),
        (&[("key", "other"), ("subkey", "any")], None),
        (&[("key", "value"), ("subkey", "any"), ("more", "x")], None),
        (&[("ldap", "x")], some(0, Unit::Year)),
        (&[("code", "404")], some(7, Unit::Month)),
        (&[("code", "405")], None),
        // What has no limit and nothing below is let through, though its key has a limit.
        (&[("allowed", "friend")], None),
        (&[("allowed", "")], some(1, Unit::Minute)),
        (&[("Allowed", "x")], None),
        (&[], None),
    ] {
        assert_eq!(met(&rules, pairs), expected, "{pairs:?}");
    }
    assert!(rules.domain("other").is_none());
    assert_eq!(rules.size(), (1, 11));
}

#[test]
fn wildcards_come_after_values_and_before_keys() {
    let text = "
domain: d
descriptors:
  - { key: k, rate_limit: { unit: day, requests_per_unit: 1 } }
  - { key: k, value: a*, rate_limit: { unit: day, requests_per_unit: 2 } }
  - { key: k, value: ab*, share_threshold: true, rate_limit: { unit: day, requests_per_unit: 3 } }
  - { key: k, value: b*, share_threshold: true, rate_limit: { unit: day, requests_per_unit: 4 } }
  - { key: k, value: abc, rate_limit: { unit: day, requests_per_unit: 5 } }
  - key: deep
    descriptors:
      - { key: k, value: x*, rate_limit: { unit: day, requests_per_unit: 6 } }
";
    let rules = rules(text).unwrap();
    let of = |pairs: &[(&str, &str)]| met(&rules, pairs).map(|(requests, _)| requests);
    assert_eq!(of(&[("k", "abc")]), Some(5), "the value itself");
    assert_eq!(of(&[("k", "abd")]), Some(2), "the first wildcard");
    assert_eq!(of(&[("k", "a")]), Some(2), "a star may stand for nothing");
    assert_eq!(of(&[("k", "c")]), Some(1), "the key");
    assert_eq!(of(&[("deep", "any"), ("k", "xy")]), Some(6), "below as well");
    assert_eq!(of(&[("deep", "any"), ("k", "yx")]), None);
    let patterns = |value| {
        let entries = entries(&[("k", value)]);
        let found = rules.domain("d").unwrap().find(&entries).unwrap();
        found.patterns.iter().map(|(at, pattern)| (*at, (*pattern).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(patterns("bx"), [(0, "b*".to_owned())], "counted as one");
    assert_eq!(patterns("ax"), []);
}

#[test]
fn rules_say_their_names_and_what_they_replace() {
    let text = limit("name: n, unit: day, requests_per_unit: 1, replaces: [{name: a}, {name: b}]")
        + "  shadow_mode: true\n  detailed_metric: true\n  value_to_metric: true\n";
    let rules = rules(&text).unwrap();
    let found = rules.domain("d").unwrap().find(&entries(&[("k", "v")])).unwrap().rule.clone();
    assert_eq!((found.name.as_str(), found.replaces), ("n", vec!["a".into(), "b".into()]));
    assert_eq!(found.limit.map(|limit| limit.shadow), Some(true));
}

#[test]
fn what_is_wrong_is_said() {
    let deep = |levels: usize| {
        let inner = "descriptors: [{key: k, ".repeat(levels);
        format!("domain: d\n{}rate_limit: {{unit: day}}{}", inner, "}]".repeat(levels))
    };
    assert!(rules(&deep(DEPTH_MAX)).is_ok());
    for (text, says) in [
        ("descriptors: []", "config file cannot have empty domain"),
        ("", ""),
        ("domain: 'a\\tb", ""),
        ("domain: \"a\\tb\"", "no control characters"),
        (&format!("domain: {}", "x".repeat(257)), "at most 256 bytes"),
        ("domain: d\ndescriptors: [{value: v}]", "descriptor has empty key, in d"),
        ("domain: d\ndescriptors: [{key: k, unknown: 1}]", "unknown"),
        ("domain: d\ndomain: e", "domain"),
        ("domain: d\ndescriptors: [k]", ""),
        ("domain: d\n--- \ndomain: e", ""),
        (
            "domain: d\ndescriptors: [{key: k, value: v}, {key: k, value: v}]",
            "duplicate descriptor composite key 'd.k_v'",
        ),
        (
            "domain: d\ndescriptors: [{key: k}, {key: k}]",
            "duplicate descriptor composite key 'd.k'",
        ),
        ("domain: d\ndescriptors: [{key: k, value: a*}, {key: k, value: a*}]", "'d.k_a*'"),
        (&limit("unit: fortnight, requests_per_unit: 1"), "invalid rate limit unit 'fortnight'"),
        (&limit("unit: unknown"), "invalid rate limit unit 'unknown'"),
        (&limit("requests_per_unit: 1"), "invalid rate limit unit ''"),
        (&limit("unit: day, requests_per_unit: -1"), "line 4"),
        (&limit("unit: day, requests_per_unit: 4294967296"), "line 4"),
        (&limit("unit: day, unlimited: true"), "should not specify rate limit unit when unlimited"),
        (&limit("unit: day, replaces: [{}]"), "should not have an empty replaces entry, in d.k"),
        (
            &limit("unit: day, name: n, replaces: [{name: n}]"),
            "replaces should not contain name of same descriptor",
        ),
        (&deep(DEPTH_MAX + 1), "at most 16 levels deep"),
        (
            &format!(
                "domain: d\ndescriptors: [{{key: {}, value: v, rate_limit: {{}}}}]",
                "k".repeat(9_000)
            ),
            "invalid rate limit unit",
        ),
        (&"[".repeat(100_000), ""),
        ("a: &a [*a, *a]", ""),
        (&repeated(60), "budget"),
    ] {
        let error = rules(text).unwrap_err();
        assert!(error.starts_with("f.yaml: ") && error.contains(says), "{text:.100}: {error}");
        assert!(error.len() < 1_000, "{error}");
    }
}

/// A name of 50,000 bytes, said so often by an alias.
fn repeated(times: usize) -> String {
    let (name, aliases) = ("k".repeat(50_000), "{name: *a}, ".repeat(times));
    format!(
        "domain: d\ndescriptors:\n- key: &a {name}\n  rate_limit: {{unit: day, replaces: [{aliases}]}}"
    )
}

#[test]
fn aliases_are_as_large_as_what_they_stand_for() {
    rules(&repeated(15)).unwrap();
}

#[test]
fn a_domain_has_one_file() {
    let file = |name| (name, "domain: d");
    let error = Rules::of([file("a.yaml"), file("b.yaml")]).unwrap_err();
    assert_eq!(error.to_string(), "b.yaml: duplicate domain 'd' in config file");
    let two = Rules::of([file("a.yaml"), ("b.yaml", "domain: e")]).unwrap();
    assert_eq!(two.size(), (2, 0));
}

#[test]
fn rules_are_bounded_in_number() {
    let one = "- {key: k, descriptors: [{key: a}, {key: b}, {key: c}]}\n";
    let many = |count: usize| {
        let mut text = "domain: d\ndescriptors:\n".to_owned();
        for at in 0..count {
            text.push_str(&one.replace("key: k", &format!("key: k{at}")));
        }
        text
    };
    assert_eq!(rules(&many(RULES_MAX / 4)).unwrap().size(), (1, RULES_MAX));
    let error = rules(&many(RULES_MAX / 4 + 1)).unwrap_err();
    assert!(error.contains("more than 100000 descriptors"), "{error}");
}

/// What files are made of, so that chance finds more than noise.
fn word() -> impl Strategy<Value = String> {
    let words = [
        "domain: d\n",
        "descriptors:\n",
        "  - key: k\n",
        "    value: v*\n",
        "    rate_limit:\n",
        "unit: day",
        "requests_per_unit: 1",
        "replaces: [{name: a}]",
        "unlimited: true",
        "{",
        "}",
        "[",
        "]",
        ",",
        ": ",
        "- ",
        "\n",
        "  ",
        "&a ",
        "*a",
        "!!str ",
        "|\n",
        ">",
        "'",
        "\"",
        "#",
        "---\n",
        "...\n",
        "? ",
        "<<: ",
        "\t",
        "\u{feff}",
        "0x7f",
        "~",
        "1e9",
        "é",
        "\0",
        "%YAML 1.2\n",
    ];
    prop_oneof![8 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => ".{0,4}"]
}

/// More than the default for who asks: `make fuzz`.
fn cases() -> u32 {
    let asked = std::env::var("EVENKEEL_FUZZ_ITERATIONS").ok();
    asked.and_then(|text| text.parse::<u32>().ok()).map_or(2_000, |count| count / 100)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..Default::default() })]

    #[test]
    fn hostile_files_are_read_or_refused(words in prop::collection::vec(word(), 0..60)) {
        let text: String = words.concat();
        if let Ok(rules) = rules(&text) {
            prop_assert_eq!(rules.size().0, 1);
            // Matching is as safe as reading.
            let level = rules.domains.values().next().unwrap();
            level.find(&entries(&[("k", "v"), ("k", "vv"), ("", "")]));
        }
    }

    /// A rule that is written is found again, wherever it stands and whatever its words are.
    #[test]
    fn what_is_written_is_met(
        pairs in prop::collection::vec(("[a-z0-9_. *\"':-]{1,6}", "[a-z0-9_. *\"':-]{1,6}"), 1..6),
        requests in any::<u32>(),
    ) {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let limit = format!("\"rate_limit\":{{\"unit\":\"day\",\"requests_per_unit\":{requests}}}");
        let nested = pairs.iter().rev().fold(limit, |inner, (key, value)| {
            let (key, value) = (quoted(key), quoted(value));
            format!("\"descriptors\":[{{\"key\":{key},\"value\":{value},{inner}}}]")
        });
        let rules = rules(&format!("{{\"domain\":\"d\",{nested}}}")).unwrap();
        let asked: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        prop_assert_eq!(met(&rules, &asked), Some((requests, Unit::Day)));
        prop_assert_eq!(met(&rules, &asked[1..]).is_some(), false);
    }
}
