//! Bytes as commands: what Redis makes of them, and a second implementation. The expectations of
//! the tables here are what Redis 7.0 answered to the same bytes.

use super::*;
use redis_protocol::resp2::{decode::decode, encode::encode, types::OwnedFrame};

type Commands = Vec<Vec<Vec<u8>>>;

/// Everything that is in `chunks`, which arrive one after the other.
fn parse<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    bounds: Bounds,
) -> (Commands, Option<ProtocolError>) {
    let (mut parser, mut pipeline) = (Parser::default(), Pipeline::default());
    let (mut buffer, mut commands) = (BytesMut::new(), Vec::new());
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        loop {
            let result = parser.read(&mut buffer, bounds, &mut pipeline);
            assert!(pipeline.len() <= bounds.commands_max);
            for n in 0..pipeline.len() {
                let command = pipeline.command(n);
                let shared = (0..command.len()).map(|n| command.shared(n).unwrap().to_vec());
                let shared: Vec<_> = shared.collect();
                assert!(shared.iter().map(Vec::as_slice).eq(command.rest(0)));
                assert_eq!((command.name(), command.get(command.len())), (&shared[0][..], None));
                commands.push(shared);
            }
            if let Err(error) = result {
                return (commands, Some(error));
            }
            if pipeline.is_empty() {
                break;
            }
        }
    }
    (commands, None)
}

fn whole(bytes: &[u8]) -> (Commands, Option<ProtocolError>) {
    parse([bytes], Bounds::known(1_024))
}

fn words(commands: &[&[&str]]) -> Commands {
    let bytes = |words: &&[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
    commands.iter().map(bytes).collect()
}

#[test]
fn whole_commands_are_taken_and_the_rest_waits() {
    for (bytes, expected) in [
        (&b"*1\r\n$4\r\nPING\r\n"[..], &[&["PING"][..]][..]),
        (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\nPING\r\n*1\r\n$4\r\nPIN", &[&["ECHO", ""], &["PING"]]),
        (b"*2\r\n$1\r\n\n\r\n$2\r\n\r\n\r\n", &[&["\n", "\r\n"]]),
        (b"*0\r\n*-1\r\n*-5\r\nPING\r\n", &[&["PING"]]),
        (b"\r\n  \t \r\n\nPING\n", &[&["PING"]]),
        (b"PING\r\nPING", &[&["PING"]]),
        (b"*2\r\n$1\r\na\r\n$10\r\n123456789", &[]),
    ] {
        assert_eq!(whole(bytes), (words(expected), None), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn lines_have_quotes_and_escapes() {
    for (line, expected) in [
        (&b"set  key\tvalue "[..], &["set", "key", "value"][..]),
        (b"PING \"a\\x41\\n\"", &["PING", "aA\n"]),
        (b"PING \"\\x4\\xzz\\\\\\\"\\r\\t\\b\\a\"", &["PING", "x4xzz\\\"\r\t\u{8}\u{7}"]),
        (b"PING 'it\\'s \\n'", &["PING", "it's \\n"]),
        (b"PING a\"b c\"", &["PING", "ab c"]),
        (b"\"\" ''", &["", ""]),
    ] {
        let typed = [line, b"\r\n"].concat();
        assert_eq!(whole(&typed), (words(&[expected]), None));
    }
    assert_eq!(whole(b"PING \"\\xfF\"\n").0[0][1], [0xff]);
    for wrong in ["PING \"a", "PING 'a'b", "PING \"a\"b", "PING a\"b", "'", "PING 'a\\'"] {
        let typed = format!("PING\r\n{wrong}\r\nPING\r\n");
        let expected = (words(&[&["PING"]]), Some(ProtocolError::UnbalancedQuotes));
        assert_eq!(whole(typed.as_bytes()), expected, "{wrong}");
    }
}

#[test]
fn what_is_no_command_is_said_in_the_words_of_redis() {
    let array = "invalid multibulk length";
    let bulk = "invalid bulk length";
    let expected = [
        ("*x\r\n", array),
        ("*\r\n", array),
        ("*+1\r\n$4\r\nPING\r\n", array),
        ("*01\r\n", array),
        ("*-0\r\n", array),
        ("* 1\r\n", array),
        ("*1\n$4\r\nPING\r\n", array),
        ("*1025\r\n", array),
        ("*2147483648\r\n", array),
        ("*99999999999999999999999\r\n", array),
        ("*1\r\n$-1\r\n", bulk),
        ("*1\r\n$x\r\n", bulk),
        ("*1\r\n$+4\r\nPING\r\n", bulk),
        ("*1\r\n$04\r\nPING\r\n", bulk),
        ("*1\r\n$4\n\nPING\r\n", bulk),
        ("*1\r\n$524289\r\n", bulk),
        ("*2\r\n$1\r\na\r\n$524288\r\n", bulk),
        ("*1\r\n$9223372036854775808\r\n", bulk),
        ("*1\r\n$4\r\nPING42", bulk),
        ("*1\r\nPING\r\n", "expected '$', got 'P'"),
        ("*1\r\n*1\r\n", "expected '$', got '*'"),
        ("*1\r\n:4\r\n", "expected '$', got ':'"),
    ];
    for (bytes, said) in expected {
        let (commands, error) = whole(bytes.as_bytes());
        assert_eq!((commands.len(), error.map(|error| error.to_string())), (0, Some(said.into())));
    }
    let long = "a".repeat(LINE_BYTES_MAX + 1);
    assert_eq!(whole(long.as_bytes()).1, Some(ProtocolError::LineTooLong));
    assert_eq!(whole(format!("{long}\n").as_bytes()).1, Some(ProtocolError::LineTooLong));
    let many = "a ".repeat(ARGUMENTS_MAX + 1);
    assert_eq!(whole(format!("{many}\n").as_bytes()).1, Some(ProtocolError::InvalidArrayLength));
}

#[test]
fn what_is_just_within_the_bounds_fits() {
    let large = "x".repeat(COMMAND_BYTES_MAX - 4);
    let bytes = format!("*2\r\n$4\r\nECHO\r\n${}\r\n{large}\r\n", large.len());
    assert_eq!(whole(bytes.as_bytes()), (words(&[&["ECHO", &large]]), None));
    let many = format!("*{ARGUMENTS_MAX}\r\n{}", "$1\r\na\r\n".repeat(ARGUMENTS_MAX));
    assert_eq!(whole(many.as_bytes()).0[0].len(), ARGUMENTS_MAX);
    let line = format!("{}\n", "a".repeat(LINE_BYTES_MAX));
    assert_eq!(whole(line.as_bytes()).0.len(), 1);
}

#[test]
fn strangers_may_say_little() {
    let stranger = |bytes: &str| parse([bytes.as_bytes()], Bounds::stranger()).1;
    assert_eq!(stranger("*11\r\n"), Some(ProtocolError::StrangersArrayLength));
    assert_eq!(stranger("*1\r\n$16385\r\n"), Some(ProtocolError::StrangersBulkLength));
    assert_eq!(stranger(&"a".repeat(16_385)), Some(ProtocolError::LineTooLong));
    assert_eq!(stranger("*10\r\n$16384\r\n"), None);
}

#[test]
fn a_pipeline_ends_somewhere() {
    let (mut parser, mut pipeline) = (Parser::default(), Pipeline::default());
    let command = format!("*1000\r\n{}", "$1\r\na\r\n".repeat(1_000));
    let mut buffer = BytesMut::from(command.repeat(20).as_bytes());
    parser.read(&mut buffer, Bounds::known(1_024), &mut pipeline).unwrap();
    assert_eq!(pipeline.len(), PIPELINE_ARGUMENTS_MAX / 1_000 + 1);
    pipeline.clear();
    assert!(pipeline.spans.capacity() <= KEPT && pipeline.commands.capacity() <= KEPT);
    let mut pings = BytesMut::from("PING\r\n".repeat(2_000).as_bytes());
    Parser::default().read(&mut pings, Bounds::known(1_024), &mut pipeline).unwrap();
    assert_eq!((pipeline.len(), pings.len()), (1_024, (2_000 - 1_024) * 6));
}

#[test]
fn the_bytes_read_are_read_into_again() {
    let (mut parser, mut pipeline) = (Parser::default(), Pipeline::default());
    let mut buffer = BytesMut::with_capacity(4_096);
    let at = buffer.as_ptr();
    for _ in 0..1_000 {
        buffer.extend_from_slice(b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n*1\r\n$4");
        parser.read(&mut buffer, Bounds::known(1_024), &mut pipeline).unwrap();
        assert_eq!(pipeline.command(0).get(1), Some(&b"hello"[..]));
        pipeline.clear();
        buffer.reserve(1_024);
        buffer.extend_from_slice(b"\r\nPING\r\n");
        parser.read(&mut buffer, Bounds::known(1_024), &mut pipeline).unwrap();
        assert_eq!(pipeline.command(0).name(), b"PING");
        pipeline.clear();
        buffer.reserve(1_024);
    }
    let moved = (buffer.as_ptr() as usize).abs_diff(at as usize);
    assert!(moved < 4_096, "no other memory was asked for");
}

fn iterations() -> u64 {
    let set = std::env::var("EVENKEEL_FUZZ_ITERATIONS").ok();
    set.and_then(|count| count.parse().ok()).unwrap_or(20_000)
}

/// Commands, lines and things that are neither, then changed a little.
fn stream(random: &mut fastrand::Rng, lines: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.usize(1..5) {
        match random.u8(0..10) {
            0 if lines => bytes.extend_from_slice(b"PING \"a\\x41 b\" 'c'\r\n"),
            1 if lines => bytes.extend_from_slice(b"CL.THROTTLE k 1 2 3\n"),
            2 => bytes.extend_from_slice(b"*0\r\n"),
            3 => bytes.extend_from_slice(b"*-1\r\n"),
            _ => {
                let count = random.usize(1..6);
                bytes.extend_from_slice(format!("*{count}\r\n").as_bytes());
                for _ in 0..count {
                    let length = random.usize(0..14);
                    bytes.extend_from_slice(format!("${length}\r\n").as_bytes());
                    bytes.extend((0..length).map(|_| random.u8(..)));
                    bytes.extend_from_slice(b"\r\n");
                }
            }
        }
    }
    for _ in 0..random.usize(0..4) {
        let at = random.usize(0..=bytes.len());
        match random.u8(0..5) {
            0 if at < bytes.len() => bytes[at] = random.u8(..),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, *random.choice(b"*$\r\n0129-+:\"'\\ ").unwrap()),
            _ => {
                let copy = bytes[at..].to_vec();
                bytes.extend_from_slice(&copy);
            }
        }
    }
    bytes
}

/// What the other implementation sees at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    More,
    Command(Vec<Vec<u8>>, usize),
    Nothing(usize),
    Wrong,
}

/// The other implementation reads answers too, and is lenient about numbers and line ends: only
/// what it would itself write, and what is a command, counts.
fn oracle(bytes: &[u8]) -> Seen {
    let (frame, length) = match decode(bytes) {
        Ok(None) => return Seen::More,
        Ok(Some(decoded)) => decoded,
        Err(_) => return Seen::Wrong,
    };
    if frame == OwnedFrame::Null {
        let null = bytes.starts_with(b"*-1\r\n");
        return if null { Seen::Nothing(length) } else { Seen::Wrong };
    }
    let mut written = vec![0; length + 64];
    let again = encode(&mut written, &frame, false).unwrap();
    if written[..again] != bytes[..length] {
        return Seen::Wrong;
    }
    let OwnedFrame::Array(items) = frame else { return Seen::Wrong };
    let bulk = |item| match item {
        OwnedFrame::BulkString(bytes) => Some(bytes),
        _ => None,
    };
    match items.into_iter().map(bulk).collect::<Option<Vec<_>>>() {
        Some(items) if items.is_empty() => Seen::Nothing(length),
        Some(items) => Seen::Command(items, length),
        None => Seen::Wrong,
    }
}

/// Whether the oracle takes `bytes` for a command once more has come.
fn could_become_one(bytes: &[u8]) -> bool {
    let suffixes = ["\r\n", "\n", "0\r\n\r\n", "\r\n\r\n", "\n\r\n", "$1\r\na\r\n", "a\r\n"];
    let takes = |suffix: &str| {
        let longer = [bytes, suffix.as_bytes(), &b"\r\n$1\r\na".repeat(20)].concat();
        matches!(oracle(&longer), Seen::Command(..))
    };
    suffixes.iter().any(|suffix| takes(suffix))
}

#[test]
fn hostile_bytes_are_what_another_implementation_makes_of_them() {
    let mut kinds = [0_u64; 4];
    for seed in 0..iterations() {
        let bytes = stream(&mut fastrand::Rng::with_seed(seed), false);
        let (commands, error) = whole(&bytes);
        let mut ours = commands.into_iter();
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            if !rest.is_empty() && rest[0] != b'*' {
                // A line, which the other does not know: the rest cannot be compared.
                break;
            }
            let about = || format!("seed {seed} at {at} of {:?}", String::from_utf8_lossy(&bytes));
            match oracle(rest) {
                Seen::Command(expected, length) => {
                    assert_eq!(ours.next().as_ref(), Some(&expected), "{}", about());
                    at += length;
                    kinds[0] += 1;
                    continue;
                }
                Seen::Nothing(length) => {
                    at += length;
                    continue;
                }
                Seen::More if error.is_none() => kinds[1] += 1,
                Seen::More => {
                    assert!(!could_become_one(rest), "{}", about());
                    kinds[2] += 1;
                }
                // An array of less than nothing is none; the other calls all but -1 wrong.
                Seen::Wrong if rest.starts_with(b"*-") => break,
                Seen::Wrong => {
                    assert!(error.is_some(), "{}", about());
                    kinds[3] += 1;
                }
            }
            assert_eq!(ours.next(), None, "{}", about());
            break;
        }
    }
    assert!(kinds.iter().all(|count| *count > iterations() / 100), "each is met: {kinds:?}");
}

#[test]
fn hostile_bytes_are_the_same_in_whatever_pieces_they_come() {
    for seed in 0..iterations() {
        let mut random = fastrand::Rng::with_seed(seed);
        let bytes = stream(&mut random, true);
        let expected = whole(&bytes);
        let about = || format!("seed {seed}: {:?}", String::from_utf8_lossy(&bytes));
        let single = parse(bytes.chunks(1), Bounds::known(1));
        assert_eq!(single, expected, "{}", about());
        for _ in 0..4 {
            let (first, second) = bytes.split_at(random.usize(0..=bytes.len()));
            let (second, third) = second.split_at(random.usize(0..=second.len()));
            let pieces = parse([first, second, third], Bounds::known(random.usize(1..4)));
            assert_eq!(pieces, expected, "{}", about());
        }
    }
}

#[test]
fn commands_may_be_cut_anywhere() {
    let bytes = b"*3\r\n$11\r\nLIMIT.CHECK\r\n$3\r\napi\r\n$0\r\n\r\n*0\r\n\r\nPING \"\\x41\"\r\n*1\r\n$4\r\nPING\r\n";
    let expected = words(&[&["LIMIT.CHECK", "api", ""], &["PING", "A"], &["PING"]]);
    for cut in 0..=bytes.len() {
        let (first, second) = bytes.split_at(cut);
        let parsed = parse([first, second], Bounds::known(1_024));
        assert_eq!(parsed, (expected.clone(), None), "{cut}");
    }
}

#[test]
fn random_bytes_do_no_harm() {
    for seed in 0..iterations() {
        let mut random = fastrand::Rng::with_seed(seed);
        let length = random.usize(0..64);
        let bytes: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
        let (commands, _) = whole(&bytes);
        let taken: usize = commands.iter().flatten().map(Vec::len).sum();
        assert!(taken <= length, "nothing comes of nothing: seed {seed}");
    }
}
