//! Settings from all four sources, and everything that is refused.

use super::*;
use crate::config::{show, template};

fn file(text: &str) -> Sources {
    Sources { file: Some(("e.toml".into(), text.to_owned())), ..Sources::default() }
}

fn refused(text: &str) -> String {
    load(&file(text)).expect_err("it is wrong").to_string()
}

fn variable(mut sources: Sources, name: &str, value: &str) -> Sources {
    sources.variables.push((name.to_owned(), value.to_owned()));
    sources
}

#[test]
fn each_source_overrides_the_one_before() {
    let key = ("server", "http");
    let http = |sources: &Sources| {
        let config = load(sources).expect("it is legal");
        (config.settings.http.port(), config.origin(key.0, key.1).to_string())
    };
    let sources = Sources::default();
    assert_eq!(http(&sources), (7480, "default".into()));
    let sources = file("[server]\nhttp = \"127.0.0.1:1\"\n");
    assert_eq!(http(&sources), (1, "e.toml".into()));
    let sources = variable(sources, "EVENKEEL_SERVER__HTTP", "127.0.0.1:2");
    assert_eq!(http(&sources), (2, "EVENKEEL_SERVER__HTTP".into()));
    let sources = sources.flag(key, "--http", Some("127.0.0.1:3".into()));
    assert_eq!(http(&sources), (3, "--http".into()));
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_what_was_probably_meant() {
    let text = refused(
        "[servr]\nhttp = 1\n[server]\nconections_max = 5\nbody_bytes_max = \"big\"\nheaders_max = 5\n\
         [node]\npartitions = -1\ndata = 7\n\
         [paths.\"reservations.hodl\"]\ndeadline_ms = 5\n\
         [paths.\"reservations.hold\"]\nconsistency = \"eventual\"\n",
    );
    for part in [
        "there is no section \"servr\"; did you mean \"server\"?",
        "has no setting \"conections_max\"; did you mean \"connections_max\"?",
        "[server] body_bytes_max is \"big\", and must be an integer from 1024 to 16777216",
        "[server] headers_max is 5, and must be an integer from 16",
        "[node] partitions is -1",
        "[node] data is 7, and must be a directory's path",
        "\"reservations.hodl\"; did you mean \"reservations.hold\"?",
        "cannot have consistency",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    let text = refused("[server]\nhttp = = 1\n");
    assert!(text.contains("line 2"), "{text}");
    assert!(refused("server = 1").contains("[server] must be a table"));
}

#[test]
fn variables_are_settings_only_with_two_underscores() {
    let sources = variable(Sources::default(), "EVENKEEL_LOG", "debug");
    let sources = variable(sources, "EVENKEEL_KEY", "ek_a_b");
    let sources = variable(sources, "EVENKEEL_LOG__SEGMENT_BYTES", "2097152");
    let config = load(&sources).expect("only one of them is a setting");
    assert_eq!(config.settings.node.segment_bytes, 2 << 20);
    for (name, part) in [
        ("EVENKEEL_SERVER__CONECTIONS_MAX", "did you mean \"connections_max\"?"),
        ("EVENKEEL_SRVER__HTTP", "did you mean \"server\"?"),
        ("EVENKEEL_SERVER__HTTP", "and must be an address and a port"),
        ("EVENKEEL_PATHS__X", "contracts are set in the file"),
    ] {
        let sources = variable(Sources::default(), name, "1");
        let text = load(&sources).expect_err(name).to_string();
        assert!(text.contains(part) && text.contains(name), "{text}");
    }
}

#[test]
fn contracts_are_absent_or_read() {
    assert_eq!(load(&file("[server]\n")).expect("legal").paths, None);
    let config = load(&file("[paths.\"reservations.hold\"]\ndeadline_ms = 700\n")).expect("legal");
    let paths = config.paths.expect("there are some");
    assert_eq!(paths["reservations.hold"].deadline_ms, Some(700));
}

const RULE: &str = "[[rules]]\non = \"reservations.confirmed\"\nresource = \"concert-*\"\n\
                    enqueue = { queue = \"mail\", kind = \"receipt\", priority = 4 }\n";

#[test]
fn rules_are_absent_none_or_read() {
    assert_eq!(load(&file("[server]\n")).expect("legal").rules, None);
    let none = load(&file("rules = []\n")).expect("legal").rules.expect("they are said");
    assert!(none.is_empty());
    let text = format!("{RULE}{}", RULE.replace("on =", "tenant = \"acme\"\non ="));
    let rules = load(&file(&text)).expect("legal").rules.expect("there are some");
    assert_eq!(rules["default"], rules["acme"]);
    let rule = &rules["default"][0];
    assert_eq!((rule.on.name(), rule.priority), ("reservations.confirmed", 4));
    assert_eq!((rule.queue.as_str(), rule.kind.as_str()), ("mail", "receipt"));
    assert_eq!(rule.resource.as_deref(), Some("concert-*"));
}

#[test]
fn what_is_wrong_with_rules_is_said_with_what_was_probably_meant() {
    for (from, to, part) in [
        ("confirmed", "confrimed", "did you mean \"reservations.confirmed\"?; a rule can be on"),
        (
            "reservations.confirmed",
            "jobs.died",
            "there is no event \"jobs.died\"; a rule can be on",
        ),
        ("resource =", "resuorce =", "no field \"resuorce\"; did you mean \"resource\"?"),
        ("concert-*", "a*b", "resource \"a*b\" is neither a name"),
        ("{ queue", "{ queu", "no field \"queu\"; did you mean \"queue\"?"),
        ("kind = \"receipt\", ", "", "`enqueue` has no `kind`"),
        ("\"mail\"", "7", "`queue` must be a string, and is integer"),
        ("priority = 4", "priority = 10", "priority 10 is more than 9"),
        ("priority = 4", "priority = -1", "`priority` is -1, and must be an integer from 0 to 9"),
        ("on = \"reservations.confirmed\"\n", "", "it does not say `on` what it acts"),
        ("enqueue =", "tenant = \"a b\"\nenqueue =", "`tenant` \"a b\" is no name"),
    ] {
        let text = refused(&RULE.replace(from, to));
        assert!(text.contains("[[rules]]: rule 1: ") && text.contains(part), "{part}\n{text}");
    }
    let text = refused(&format!("{}{}", RULE.replace("queue", "q"), RULE.replace("kind", "k")));
    assert!(text.contains("rule 1: ") && text.contains("rule 2: "), "all of it at once: {text}");
    assert!(refused(&RULE.repeat(5)).contains("would meet more than 4 rules"));
    assert!(refused("rules = 1\n").contains("[[rules]] must be a list"));
    let sources = variable(Sources::default(), "EVENKEEL_RULES__X", "1");
    let text = load(&sources).expect_err("elsewhere").to_string();
    assert!(text.contains("rules are set in the file"), "{text}");
}

#[test]
fn rules_are_shown_as_they_are_read() {
    for text in [RULE.to_owned(), "rules = []\n".to_owned()] {
        let mut config = load(&file(&text)).expect("legal");
        let shown = show(&mut config);
        let again = load(&file(&shown)).unwrap_or_else(|error| panic!("{error}\n{shown}"));
        assert_eq!(again.rules, config.rules);
    }
}

#[test]
fn what_init_writes_is_legal_and_stays_so_when_its_lines_are_enabled() {
    let text = template();
    load(&file(&text)).expect("as written, it changes nothing");
    let enabled: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') && !setting.is_empty() => setting,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let config = load(&file(&enabled)).unwrap_or_else(|error| panic!("{error}\n{enabled}"));
    assert_eq!(config.origins.len(), SETTINGS.len(), "every setting is in it");
    assert!(config.paths.is_some() && config.rules.is_some());
}

#[test]
fn what_show_writes_can_be_loaded_again() {
    let mut config = load(&file("[node]\npartitions = 3\ndata = \"a\\\"b\"\n")).expect("legal");
    let text = show(&mut config);
    let mut again = load(&file(&text)).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(again.settings.node.partitions, 3);
    assert_eq!(again.settings.data, config.settings.data);
    again.origins = config.origins.clone();
    assert_eq!(show(&mut again), text);
}

/// Never a panic, and what is accepted can be shown and read again.
#[test]
fn no_text_breaks_the_parser() {
    let iterations = std::env::var("EVENKEEL_FUZZ_ITERATIONS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2_000_u64);
    let seed = template().replace("#", "");
    let tokens = ["[", "]", "=", "\"", "\n", ".", "{", "}", "-1", "9e9", "é", "paths", "\u{0}"];
    for iteration in 0..iterations {
        let mut random = fastrand::Rng::with_seed(iteration);
        let mut text: Vec<char> = seed.chars().collect();
        for _ in 0..random.usize(0..12) {
            let at = random.usize(0..text.len());
            match random.u8(0..3) {
                0 => drop(text.drain(at..(at + random.usize(0..9)).min(text.len()))),
                1 => text[at] = random.char(..),
                _ => {
                    let token = tokens[random.usize(0..tokens.len())];
                    text.splice(at..at, token.chars());
                }
            }
        }
        let text: String = text.into_iter().collect();
        match load(&file(&text)) {
            Ok(mut config) => {
                let shown = show(&mut config);
                load(&file(&shown)).unwrap_or_else(|error| panic!("{iteration}: {error}\n{shown}"));
            }
            Err(problems) => assert!(!problems.0.is_empty(), "{iteration}"),
        }
    }
}
