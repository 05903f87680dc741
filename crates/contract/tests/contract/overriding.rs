//! `[paths]`: what is legal takes effect, what is not is refused with the reason.

use evenkeel_contract::{
    ContractError, Coordination, Level, Overrides, Path, Priority, Refusals, Registry, Settings,
    SloOverrides, coordination,
};

use crate::samples::{LEND, SHELF, registry};

fn refusal(toml: &str) -> String {
    let mut registry = registry();
    let error = registry.override_from_toml(toml).expect_err(toml);
    assert!(registry.overrides().is_empty(), "a refused text must change nothing: {toml}");
    error.to_string()
}

#[test]
fn the_documented_example_takes_effect() {
    let mut registry = registry();
    registry
        .override_from_toml(
            r#"
            [server]
            unrelated = true

            [paths."library.lend"]
            deadline_ms = 250
            priority = "default"
            idempotency_window_s = 3600
            refusals = "fenced"
            slo = { availability = 99, latency_p99_ms = 10 }

            [paths."library.shelf"]
            consistency = "bounded"
            max_staleness_ms = 200
            "#,
        )
        .unwrap();
    let lend = registry.get("library.lend").unwrap();
    assert_eq!(lend.settings.deadline_ms, 250);
    assert_eq!(lend.settings.priority, Priority::Default);
    assert_eq!(lend.settings.idempotency_window_s, Some(3_600));
    assert_eq!(lend.settings.refusals, Some(Refusals::Fenced));
    assert_eq!((lend.settings.slo.availability, lend.settings.slo.latency_p99_ms), (99.0, 10));
    assert_eq!(lend.settings.consistency, None);
    assert_eq!(registry.get("library.shelf").unwrap().settings.max_staleness_ms, Some(200));
    assert_eq!(
        registry.get("library.loan").unwrap().settings,
        Settings::read(Level::Session),
        "what is not named keeps its defaults"
    );
}

#[test]
fn part_of_an_objective_can_be_changed() {
    let mut registry = registry();
    registry.override_from_toml("[paths.\"library.lend\"]\nslo.latency_p99_ms = 30").unwrap();
    let slo = registry.get("library.lend").unwrap().settings.slo;
    assert_eq!((slo.availability, slo.latency_p99_ms), (99.95, 30));
}

#[test]
fn unknown_names_are_refused_with_a_suggestion() {
    assert_eq!(
        refusal("[paths.\"library.lent\"]\ndeadline_ms = 5"),
        "there is no path \"library.lent\"; did you mean \"library.lend\"?"
    );
    assert_eq!(refusal("[paths.\"x.y\"]"), "there is no path \"x.y\"");
    assert_eq!(
        refusal("[paths.library.lend]\ndeadline_ms = 5"),
        "there is no path \"library\"; a path's name has a dot, so quote it: \
         [paths.\"library.counts\"]"
    );
    assert_eq!(
        refusal("[paths.\"library.lend\"]\ndeadline = 5"),
        "[paths.\"library.lend\"] has no setting \"deadline\"; did you mean \"deadline_ms\"?"
    );
    assert_eq!(
        refusal("[paths.\"library.lend\"]\nslo = { availabilty = 99.9 }"),
        "[paths.\"library.lend\"] has no setting \"slo.availabilty\"; did you mean \
         \"slo.availability\"?"
    );
}

#[test]
fn what_has_no_meaning_for_a_path_is_refused_with_the_reason() {
    for (toml, reason) in [
        ("[paths.\"library.lend\"]\nconsistency = \"eventual\"", "only reads have a level"),
        ("[paths.\"library.lend\"]\nmax_staleness_ms = 5", "only reads have a staleness"),
        ("[paths.\"library.shelf\"]\nidempotency_window_s = 60", "a read has no effect"),
        ("[paths.\"library.shelf\"]\nrefusals = \"fenced\"", "only writes refuse"),
        ("[paths.\"library.give_back\"]\nidempotency_window_s = 60", "takes no idempotency key"),
        (
            "[paths.\"library.give_back\"]\nrefusals = \"eventual\"",
            "refusals is \"eventual\", and must be \"fenced\": every \"no\" waits",
        ),
        ("[paths.\"library.counts\"]\nconsistency = \"session\"", "\"eventual\" on this path"),
        ("[paths.\"library.counts\"]\nmax_staleness_ms = 5", "cannot be served at level bounded"),
        ("[paths.\"library.loan\"]\nmax_staleness_ms = 5", "needs consistency = \"bounded\""),
        ("[paths.\"library.lend\"]\ndeadline_ms = 19", "longer than deadline_ms (19)"),
    ] {
        let message = refusal(toml);
        assert!(message.contains(reason), "{toml}\n{message}");
    }
}

#[test]
fn ranges_are_stated() {
    let lend = "[paths.\"library.lend\"]\n";
    for (line, message) in [
        (
            "deadline_ms = 0",
            "deadline_ms is 0, and must be a whole number from 1 to 60000 (milliseconds)",
        ),
        ("deadline_ms = 60001", "deadline_ms is 60001, and must be a whole number from 1 to 60000"),
        ("deadline_ms = -1", "deadline_ms is -1, and must be a whole number"),
        ("deadline_ms = 2.5", "deadline_ms is 2.5, and must be a whole number"),
        ("deadline_ms = \"5\"", "deadline_ms is \"5\", and must be a whole number"),
        ("deadline_ms = 1979-05-27", "and must be a whole number"),
        ("idempotency_window_s = 59", "from 60 to 604800 (seconds)"),
        ("priority = \"urgent\"", "must be one of \"critical\", \"default\", \"sheddable\""),
        ("priority = true", "priority is true, and must be one of"),
        ("slo = { availability = 100 }", "from 50 to 99.999 (percent)"),
        ("slo = { availability = nan }", "slo.availability is not a finite number"),
        ("slo = { latency_p99_ms = 0 }", "from 1 to 60000"),
        ("slo = 99.9", "must be a table such as"),
    ] {
        let text = refusal(&format!("{lend}{line}"));
        assert!(text.contains(message), "{line}\n{text}");
    }
    let long = refusal(&format!("{lend}priority = \"{}\"", "u".repeat(100_000)));
    assert!(long.len() < 300, "a hostile value fills no log");
    let key = refusal(&format!("{lend}{} = 1", "k".repeat(100_000)));
    let path = refusal(&format!("[paths.\"{}\"]", "é".repeat(100_000)));
    assert!(key.len() < 300 && path.len() < 400, "nor does a name");
}

#[test]
fn what_is_not_a_table_of_tables_is_refused() {
    for toml in ["[paths", "paths = 5", "paths.\"library.lend\" = 5", "[[paths.\"library.lend\"]]"]
    {
        assert!(matches!(registry().parse_toml(toml), Err(ContractError::Syntax { .. })), "{toml}");
    }
    assert!(registry().parse_toml("").unwrap().is_empty());
}

#[test]
fn a_level_brings_or_drops_its_bound() {
    let mut registry = registry();
    registry
        .override_from_toml(
            "[paths.\"library.shelf\"]\nconsistency = \"session\"\n\
             [paths.\"library.loan\"]\nconsistency = \"bounded\"",
        )
        .unwrap();
    assert_eq!(registry.get("library.shelf").unwrap().settings.max_staleness_ms, None);
    assert_eq!(registry.get("library.loan").unwrap().settings.max_staleness_ms, Some(1_000));
}

#[test]
fn one_bad_path_leaves_all_as_they_were() {
    let text = "[paths.\"library.lend\"]\ndeadline_ms = 400\n[paths.\"library.shelf\"]\nbad = 1";
    refusal(text);
}

#[test]
fn typed_overrides_are_checked_and_survive_storage() {
    let mut registry = registry();
    let overrides = Overrides {
        deadline_ms: Some(400),
        slo: SloOverrides { latency_p99_ms: Some(15), ..SloOverrides::default() },
        ..Overrides::default()
    };
    let stored = serde_json::to_string(&overrides).unwrap();
    let read: Overrides = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, overrides);
    let compact = postcard::to_stdvec(&(overrides, LEND.defaults)).unwrap();
    assert_eq!(postcard::from_bytes(&compact), Ok((overrides, LEND.defaults)));
    let contract = registry.set("library.lend", &read).unwrap();
    assert_eq!((contract.settings.deadline_ms, contract.overrides), (400, overrides));

    let wrong = Overrides { consistency: Some(Level::Eventual), ..Overrides::default() };
    assert!(matches!(
        registry.set("library.lend", &wrong),
        Err(ContractError::NotApplicable { .. })
    ));
    assert_eq!(registry.get("library.lend").unwrap().settings.deadline_ms, 400);

    registry.set("library.lend", &Overrides::default()).unwrap();
    assert!(registry.overrides().is_empty());
    assert_eq!(registry.get("library.lend").unwrap().settings, LEND.defaults);
}

#[test]
fn coordination_follows_the_settings() {
    let mut registry = registry();
    let spent = |registry: &Registry, name: &str| coordination(&registry.get(name).unwrap());
    assert_eq!(spent(&registry, "library.lend"), Coordination::Linearizable);
    assert_eq!(spent(&registry, "library.shelf"), Coordination::Some);
    assert_eq!(spent(&registry, "library.loan"), Coordination::Some);
    assert_eq!(spent(&registry, "library.counts"), Coordination::None);
    registry
        .override_from_toml(
            "[paths.\"library.shelf\"]\nconsistency = \"linearizable\"\n\
             [paths.\"library.loan\"]\nconsistency = \"eventual\"",
        )
        .unwrap();
    assert_eq!(spent(&registry, "library.shelf"), Coordination::Linearizable);
    assert_eq!(spent(&registry, "library.loan"), Coordination::None);
}

#[test]
fn wrong_declarations_are_found_at_start() {
    static TWICE: [&Path; 2] = [&LEND, &LEND];
    static NAMELESS: Path = Path { name: "lend", ..LEND };
    static WRONG_VERB: Path = Path { route: "GET /v1/shelves/{s}/loans", ..LEND };
    static SILENT: Path = Path { recovery: " ", ..LEND };
    static READ_THAT_WRITES: Path = Path { facts: LEND.facts, ..SHELF };
    static NO_WINDOW: Path = Path { defaults: Settings::natural_write(), ..LEND };
    static NO_SLACK: Path = Path { defaults: LEND.defaults.with_deadline_ms(10), ..LEND };
    static LEVELLED_WRITE: Path = Path { defaults: Settings::read(Level::Session), ..LEND };

    let why = |paths: &[&'static Path]| {
        Registry::new(paths.iter().copied()).expect_err("declared wrong").to_string()
    };
    for (paths, part) in [
        (&TWICE[..], "declared twice"),
        (&[&NAMELESS], "not domain.operation"),
        (&[&WRONG_VERB], "not a verb that fits"),
        (&[&SILENT], "prose field is empty"),
        (&[&READ_THAT_WRITES], "facts do not fit"),
        (&[&NO_WINDOW], "idempotency_window_s has no default"),
        (&[&NO_SLACK], "longer than deadline_ms"),
        (&[&LEVELLED_WRITE], "only reads have a level"),
    ] {
        let message = why(paths);
        assert!(message.contains(part), "{message}");
    }
}

/// Damaged files: refused or understood, never a panic, and what is understood is legal.
#[test]
fn damaged_files_are_refused_or_legal() {
    const GOOD: &str = "[paths.\"library.lend\"]\ndeadline_ms = 250\npriority = \"default\"\n\
        idempotency_window_s = 3600\nslo = { availability = 99, latency_p99_ms = 10 }\n\
        [paths.\"library.shelf\"]\nconsistency = \"bounded\"\nmax_staleness_ms = 200\n";
    const PIECES: [&str; 12] =
        ["", "\"", "[", "]", "{", "}", "=", "-1", "1e999", "nan", "\u{0}é", "library.shelf"];
    let iterations = std::env::var("EVENKEEL_FUZZ_ITERATIONS")
        .map_or(2_000, |text| text.parse().expect("EVENKEEL_FUZZ_ITERATIONS is a number"));
    let mut seed = 7_u64;
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let mut understood = 0;
    for _ in 0..iterations {
        let mut text = GOOD.to_owned();
        for _ in 0..=draw(3) {
            let (at, cut) = (draw(text.len() + 1), draw(4));
            let boundary =
                |at: usize| (0..=at.min(text.len())).rfind(|at| text.is_char_boundary(*at));
            let begin = boundary(at).unwrap_or(0);
            let end = boundary(at + cut).unwrap_or(begin);
            text.replace_range(begin..end, PIECES[draw(PIECES.len())]);
        }
        let mut registry = registry();
        let parsed = registry.parse_toml(&text);
        for (path, overrides) in parsed.iter().flatten() {
            understood += 1;
            registry.set(path, overrides).expect("what a file may say may be stored");
        }
    }
    assert!(understood > 0, "some damage is harmless");
}
