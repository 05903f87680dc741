//! Commands as requests, and what is said of wrong ones.

use super::*;
use crate::resp::parser::{Bounds, Parser, Pipeline};
use bytes::BytesMut;
use evenkeel_domains::limits::Algorithm;

/// What `read` makes of a command that is typed as `line`.
fn typed<T>(line: &str, read: impl Fn(Command<'_>) -> Result<T, Wrong>) -> Result<T, String> {
    let mut pipeline = Pipeline::default();
    let mut buffer = BytesMut::from(format!("{line}\r\n").as_bytes());
    Parser::default().read(&mut buffer, Bounds::known(1), &mut pipeline).unwrap();
    read(pipeline.command(0)).map_err(|Wrong(text)| String::from_utf8_lossy(&text).into_owned())
}

fn decided(line: &str) -> Result<Request, String> {
    typed(line, |command| {
        let Some(spec) = table::find(command.name()) else { panic!("{line}") };
        let table::Verb::Decide(verb) = spec.verb else { panic!("{line}") };
        decide(verb, command)
    })
}

fn managed(line: &str) -> Result<Manage, String> {
    typed(line, |command| {
        let Some(spec) = table::find(command.name()) else { panic!("{line}") };
        let table::Verb::Manage(verb) = spec.verb else { panic!("{line}") };
        manage(verb, command)
    })
}

fn name(name: &'static str) -> Name {
    Name::new(Bytes::from_static(name.as_bytes())).unwrap()
}

fn subject(limit: &'static str, key: &'static str, scope: Option<&'static str>) -> Subject {
    Subject { limit: name(limit), scope: scope.map(name), key: key.into() }
}

#[test]
fn throttles_are_read_as_redis_cell_reads_them() {
    let request = |max_burst, count, period_s, quantity| {
        Ok(Request::Throttle(Throttle { key: "k".into(), max_burst, count, period_s, quantity }))
    };
    assert_eq!(decided("CL.THROTTLE k 15 30 60"), request(15, 30, 60, 1));
    assert_eq!(decided("cl.throttle k +0 1 1 0"), request(0, 1, 1, 0));
    let most = i64::MAX;
    let extreme = format!("CL.THROTTLE k {most} {most} {most} {most}");
    assert_eq!(decided(&extreme), request(most, most, most, most));
    let usage =
        "Cell error: Usage: cl.throttle <key> <max_burst> <count per period> <period> [<quantity>]";
    let parse = "Cell error: Couldn't parse as integer: ";
    for (line, said) in [
        ("CL.THROTTLE", usage),
        ("CL.THROTTLE k 1 2", usage),
        ("CL.THROTTLE k 1 2 3 4 5", usage),
        ("CL.THROTTLE k a 2 3", &format!("{parse}a")),
        ("CL.THROTTLE k 1 2 \"\" x", parse),
        ("CL.THROTTLE k 1 2 \" 3\"", &format!("{parse} 3")),
        ("CL.THROTTLE k 1 2 3 9223372036854775808", &format!("{parse}9223372036854775808")),
        ("CL.THROTTLE k -2 2 3", "Cell error: max_burst must not be less than -1"),
        ("CL.THROTTLE k 1 -1 3", "Cell error: count per period must not be negative"),
        ("CL.THROTTLE k 1 2 -3", "Cell error: period must not be negative"),
        ("CL.THROTTLE k 1 2 3 -4", "Cell error: quantity must not be negative"),
    ] {
        assert_eq!(decided(line), Err(said.to_owned()), "{line}");
    }
    assert!(decided(&format!("CL.THROTTLE {} 1 2 3", "k".repeat(KEY_BYTES_MAX))).is_ok());
    let long = decided(&format!("CL.THROTTLE {} 1 2 3", "k".repeat(KEY_BYTES_MAX + 1)));
    assert_eq!(long, Err("ERR a key may have at most 512 bytes".into()));
}

#[test]
fn several_limits_are_one_check() {
    let cost = |subject, cost| Cost { subject, cost };
    let one = Check {
        costs: [cost(subject("api", "alice", None), 1)].into_iter().collect(),
        peek: false,
        once: None,
    };
    assert_eq!(decided("LIMIT.CHECK api alice"), Ok(Request::Check(one.clone())));
    let peek = Check { peek: true, ..one.clone() };
    assert_eq!(decided("limit.peek api alice"), Ok(Request::Check(peek)));
    let three = Check {
        costs: [
            cost(subject("per-user", "alice", Some("acme")), 2),
            cost(subject("per-tenant", "acme", None), 0),
            cost(subject("global", "all", None), u64::MAX),
        ]
        .into_iter()
        .collect(),
        peek: false,
        once: Some("r-1".into()),
    };
    let line = "per-user alice scope acme COST 2 per-tenant acme once r-1 Cost 0 global all COST 18446744073709551615";
    assert_eq!(decided(&format!("LIMIT.CHECK {line}")), Ok(Request::Check(three.clone())));
    let refund = Request::Refund { check: three, counted_at: Time(17) };
    assert_eq!(decided(&format!("LIMIT.REFUND {line} counted-at 17")), Ok(refund));
    // What is limited may be any bytes, and a word of the syntax.
    let odd = decided("LIMIT.CHECK api COST COST 3");
    let expected = [cost(subject("api", "COST", None), 3)].into_iter().collect();
    assert_eq!(odd, Ok(Request::Check(Check { costs: expected, ..one })));
    let most = " l k".repeat(CHECKS_MAX);
    assert!(decided(&format!("LIMIT.CHECK{most}")).is_ok());
    let said = decided(&format!("LIMIT.CHECK{most} l k"));
    assert_eq!(said, Err("ERR at most 32 limits may be asked at once".into()));
}

#[test]
fn slots_are_given_back_and_kept() {
    let lease = LeaseId { partition: 3, key: [0xab; 16], number: u64::MAX };
    assert_eq!(decided(&format!("LIMIT.RELEASE {lease}")), Ok(Request::Release(lease)));
    let renewed = Request::Renew { lease, ttl_ms: PERIOD_MS_MAX };
    let line = format!("LIMIT.RENEW {lease} ttl-ms {PERIOD_MS_MAX}");
    assert_eq!(decided(&line), Ok(renewed));
    let one = Cost { subject: subject("api", "k", Some("acme")), cost: 1 };
    let check = Check { costs: [one].into_iter().collect(), peek: false, once: None };
    assert_eq!(decided("LIMIT.RESET api k SCOPE acme"), Ok(Request::Reset(check)));
    let range = format!("ERR TTL-MS must be 1 to {PERIOD_MS_MAX}");
    for (line, said) in [
        ("LIMIT.RELEASE x".to_owned(), "ERR 'x' is no lease"),
        ("LIMIT.RELEASE \"\\xff\"".to_owned(), "ERR '\u{fffd}' is no lease"),
        (format!("LIMIT.RENEW {lease} TTL-MS 0"), &range),
        (format!("LIMIT.RENEW {lease} TTL-MS {}", PERIOD_MS_MAX + 1), &range),
        (format!("LIMIT.RENEW {lease} SCOPE 5"), SYNTAX),
    ] {
        assert_eq!(decided(&line), Err(said.to_owned()), "{line}");
    }
}

#[test]
fn wrong_words_are_told_so() {
    for (line, said) in [
        ("LIMIT.CHECK api", SYNTAX),
        ("LIMIT.CHECK api k COST", SYNTAX),
        ("LIMIT.CHECK api k COST 1 COST 2", SYNTAX),
        ("LIMIT.CHECK api k ONCE a x y ONCE b", SYNTAX),
        ("LIMIT.CHECK api k SCOPE", SYNTAX),
        ("LIMIT.CHECK api k other", SYNTAX),
        ("LIMIT.CHECK cost k", SYNTAX),
        ("LIMIT.PEEK api k ONCE a", SYNTAX),
        ("LIMIT.CHECK api k COST -1", NOT_AN_INTEGER),
        ("LIMIT.CHECK api k COST +1", NOT_AN_INTEGER),
        ("LIMIT.CHECK api k COST 18446744073709551616", NOT_AN_INTEGER),
        ("LIMIT.CHECK api k COST \"\"", NOT_AN_INTEGER),
        ("LIMIT.CHECK \"a b\" k", &format!("ERR 'a b{NO_NAME}")),
        ("LIMIT.CHECK api k SCOPE \"\"", &format!("ERR '{NO_NAME}")),
        ("LIMIT.CHECK api k ONCE \"\"", "ERR an id after ONCE is 1 to 255 printable characters"),
        ("LIMIT.REFUND api k ONCE a", "ERR a refund needs COUNTED-AT and ONCE"),
        ("LIMIT.REFUND api k COUNTED-AT 1", "ERR a refund needs COUNTED-AT and ONCE"),
        ("LIMIT.REFUND api k COUNTED-AT now ONCE a", NOT_AN_INTEGER),
        ("LIMIT.CHECK api k COUNTED-AT 1", SYNTAX),
        ("LIMIT.RESET api k COST 1", SYNTAX),
        ("LIMIT.RESET api k ONCE a", SYNTAX),
    ] {
        assert_eq!(decided(line), Err(said.to_owned()), "{line}");
    }
}

#[test]
fn limits_are_put_in_any_order_of_words() {
    let policy = Policy {
        algorithm: Algorithm::Gcra,
        quantity: 100,
        period_ms: 60_000,
        burst: 20,
        scoped: false,
        mode: Mode::Exact,
        durability: Durability::Synced,
        on_unavailable: OnUnavailable::Deny,
        shadow: false,
    };
    let plain = managed("LIMIT.PUT api ALGORITHM gcra QUANTITY 100 PERIOD-MS 60000 BURST 20");
    assert_eq!(plain, Ok(Manage::Put { limit: name("api"), policy }));
    let every = Policy {
        algorithm: Algorithm::SlidingWindow,
        burst: 0,
        scoped: true,
        mode: Mode::Leased,
        durability: Durability::Buffered,
        on_unavailable: OnUnavailable::Allow,
        shadow: true,
        ..policy
    };
    let line = "limit.put api shadow scoped on-unavailable ALLOW durability buffered mode leased \
                period-ms 60000 quantity 100 algorithm Sliding_Window";
    assert_eq!(managed(line), Ok(Manage::Put { limit: name("api"), policy: every }));
    for (line, said) in [
        (
            "LIMIT.PUT api ALGORITHM gcra QUANTITY 1",
            "ERR a limit needs ALGORITHM, QUANTITY and PERIOD-MS",
        ),
        (
            "LIMIT.PUT api ALGORITHM leaky",
            "ERR ALGORITHM must be one of gcra, sliding_window, concurrency",
        ),
        ("LIMIT.PUT api MODE maybe", "ERR MODE must be one of exact, leased"),
        ("LIMIT.PUT api QUANTITY 1 QUANTITY 2", SYNTAX),
        ("LIMIT.PUT api SHADOW SHADOW", SYNTAX),
        ("LIMIT.PUT api FOO", SYNTAX),
        ("LIMIT.PUT once QUANTITY 1", SYNTAX),
        ("LIMIT.LIST COUNT 0", "ERR COUNT must be 1 to 1000"),
        ("LIMIT.LIST COUNT 1001", "ERR COUNT must be 1 to 1000"),
        ("LIMIT.LIST api", SYNTAX),
    ] {
        assert_eq!(managed(line), Err(said.to_owned()), "{line}");
    }
}

#[test]
fn limits_are_got_deleted_and_listed() {
    assert_eq!(managed("LIMIT.GET api"), Ok(Manage::Get { limit: name("api") }));
    assert_eq!(managed("LIMIT.DEL api"), Ok(Manage::Delete { limit: name("api") }));
    assert_eq!(managed("LIMIT.LIST"), Ok(Manage::List { after: None, count: LIST_COUNT }));
    let next = Manage::List { after: Some(name("api")), count: 5 };
    assert_eq!(managed("LIMIT.LIST COUNT 5 AFTER api"), Ok(next));
}

/// Any words after the name of any command: a request or a complaint, and never a failure.
#[test]
fn hostile_words_are_requests_or_wrong() {
    let words = [
        "COST",
        "SCOPE",
        "ONCE",
        "api",
        "k",
        "1",
        "-1",
        "TTL-MS",
        "COUNTED-AT",
        "1.00000000000000000000000000000000.0000000000000000",
        "\"\\xff\"",
        "gcra",
    ];
    let words = words.into_iter().chain(["ALGORITHM", "QUANTITY", "PERIOD-MS", "MODE", "AFTER"]);
    let words: Vec<_> = words.collect();
    let mut requests = 0;
    for seed in 0..20_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let spec = loop {
            let spec = random.choice(table::COMMANDS).unwrap();
            if spec.group == "limits" {
                break spec;
            }
        };
        let count = random.usize(0..9);
        let arguments: Vec<_> = (0..count).map(|_| *random.choice(&words).unwrap()).collect();
        let line = format!("{} {}", spec.name, arguments.join(" "));
        let is_request = typed(&line, |command| {
            Ok(match spec.verb {
                table::Verb::Decide(verb) => decide(verb, command).is_ok(),
                table::Verb::Manage(verb) => manage(verb, command).is_ok(),
                _ => unreachable!("only limits are asked"),
            })
        });
        requests += u64::from(is_request.unwrap());
    }
    assert!(requests > 100, "some are: {requests}");
}
