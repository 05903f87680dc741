//! RFC 6455 on the wire, case by case, in the order in which Autobahn's test suite has them.

use crate::{
    harness::TestServer,
    realtime_harness::{
        CLOSE, CONTINUATION, FIN, Heard, PING, PONG, TEXT, Wire, code_of, masked, unmasked,
    },
};
use serde_json::json;

/// The longest message.
const MESSAGE_BYTES_MAX: usize = 64 * 1_024;
const PROTOCOL_ERROR: Option<u16> = Some(1002);
const NOT_UTF8: Option<u16> = Some(1007);

/// `{"ping":…}` of that many bytes.
fn text_of(bytes: usize) -> Vec<u8> {
    let mut text = b"{\"ping\":1}".to_vec();
    assert!(text.len() <= bytes);
    text.resize(bytes, b' ');
    text
}

#[track_caller]
fn is_answered(wire: &mut Wire) {
    assert_eq!(wire.hear(), json!({ "pong": 1 }));
}

/// What is written to a connection of its own, and how that is closed.
#[track_caller]
fn closed_by(server: &TestServer, bytes: &[u8]) -> Option<u16> {
    let mut wire = Wire::open(server);
    wire.raw(bytes);
    wire.closed()
}

fn control(opcode: u8, payload: &[u8]) -> Vec<u8> {
    masked(FIN | opcode, payload)
}

/// The payload of a close frame.
fn farewell(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

// 1: text.

#[test]
fn text_of_any_length_is_read() {
    let server = TestServer::open();
    let mut wire = Wire::open(&server);
    wire.frame(TEXT, b"");
    assert_eq!(wire.hear()["code"], "invalid_request");
    for bytes in [10, 11, 124, 125, 126, 127, 128, 2_047, 2_048, 65_535, MESSAGE_BYTES_MAX] {
        wire.frame(TEXT, &text_of(bytes));
        is_answered(&mut wire);
    }
}

#[test]
fn a_length_may_be_written_longer_than_it_need_be_or_is_refused() {
    let server = TestServer::open();
    let mask = [0, 0, 0, 0];
    for length in [&[0xff, 0, 0, 0, 0, 0, 0, 0, 10][..], &[0xfe, 0, 10]] {
        let mut wire = Wire::open(&server);
        wire.raw(&[&[FIN | TEXT], length, &mask, &text_of(10)].concat());
        let heard = wire.next().unwrap();
        // A server need not mind; one that does says why.
        assert!(heard.opcode == TEXT || code_of(&heard) == PROTOCOL_ERROR, "{heard:?}");
    }
}

#[test]
fn octets_may_come_one_by_one() {
    let server = TestServer::open();
    let mut wire = Wire::open(&server);
    let frames = [
        masked(FIN | TEXT, &text_of(200)),
        control(PING, b"between"),
        masked(TEXT, &text_of(20)),
        masked(FIN | CONTINUATION, b" "),
    ];
    for octet in frames.concat() {
        wire.raw(&[octet]);
    }
    is_answered(&mut wire);
    assert_eq!(wire.next(), Some(Heard { opcode: PONG, payload: b"between".to_vec() }));
    is_answered(&mut wire);
    let text = masked(FIN | TEXT, &text_of(65_535));
    for piece in text.chunks(997) {
        wire.raw(piece);
    }
    is_answered(&mut wire);
}

#[test]
fn many_frames_may_come_at_once() {
    let server = TestServer::open();
    let mut wire = Wire::open(&server);
    wire.raw(&masked(FIN | TEXT, &text_of(10)).repeat(1_000));
    for _ in 0..1_000 {
        is_answered(&mut wire);
    }
}

// 2: pings and pongs.

#[test]
fn a_ping_is_answered_with_what_it_carries() {
    let server = TestServer::open();
    let mut wire = Wire::open(&server);
    for length in 0..=125 {
        let payload: Vec<u8> = (0..length).map(|at| 0xff - at).collect();
        wire.frame(PING, &payload);
        assert_eq!(wire.next(), Some(Heard { opcode: PONG, payload }));
    }
}

#[test]
fn pings_that_come_together_are_all_answered() {
    let server = TestServer::open();
    let mut wire = Wire::open(&server);
    let payloads: Vec<Vec<u8>> = (0..10).map(|at| vec![at; 9]).collect();
    wire.raw(&payloads.iter().flat_map(|payload| control(PING, payload)).collect::<Vec<u8>>());
    for payload in payloads {
        assert_eq!(wire.next(), Some(Heard { opcode: PONG, payload }));
    }
}

#[test]
fn a_pong_that_nobody_asked_for_is_passed_over() {
    let server = TestServer::open();
    let mut wire = Wire::open(&server);
    for payload in [&b""[..], b"unasked", &[0xfe; 125]] {
        wire.frame(PONG, payload);
        wire.frame(TEXT, &text_of(10));
        is_answered(&mut wire);
    }
}

#[test]
fn a_control_frame_has_at_most_125_bytes() {
    let server = TestServer::open();
    for opcode in [PING, PONG] {
        for length in [126, 65_536] {
            let mut wire = Wire::open(&server);
            let _ = wire.try_raw(&control(opcode, &vec![0; length]));
            assert_eq!(wire.closed(), PROTOCOL_ERROR, "{length} bytes of {opcode}");
        }
    }
    let long = farewell(1000, &[b'x'; 124]);
    assert_eq!(closed_by(&server, &control(CLOSE, &long)), PROTOCOL_ERROR);
}

// 3: reserved bits.

#[test]
fn reserved_bits_are_not_set() {
    let server = TestServer::open();
    for bits in 1..8 {
        for (opcode, payload) in [(TEXT, text_of(10)), (PING, vec![]), (CLOSE, farewell(1000, b""))]
        {
            let frame = masked(FIN | bits << 4 | opcode, &payload);
            assert_eq!(closed_by(&server, &frame), PROTOCOL_ERROR, "{bits:03b} of {opcode}");
        }
    }
    // What came before is answered.
    let mut wire = Wire::open(&server);
    wire.raw(&[masked(FIN | TEXT, &text_of(10)), masked(FIN | 0x40 | TEXT, b"{}")].concat());
    let (texts, code) = wire.rest();
    assert_eq!((texts, code), (vec![json!({ "pong": 1 })], PROTOCOL_ERROR));
}

// 4: reserved opcodes.

#[test]
fn reserved_opcodes_are_not_known() {
    let server = TestServer::open();
    for opcode in (3..=7).chain(11..=15) {
        for payload in [&b""[..], b"payload"] {
            let frame = masked(FIN | opcode, payload);
            assert_eq!(closed_by(&server, &frame), PROTOCOL_ERROR, "{opcode}");
        }
    }
}

// 5: fragments.

#[test]
fn a_message_may_come_in_fragments_with_others_between() {
    let server = TestServer::open();
    for pieces in [2, 3, 10, 60] {
        let mut wire = Wire::open(&server);
        let text = text_of(60);
        for (at, piece) in text.chunks(60 / pieces).enumerate() {
            let opcode = if at == 0 { TEXT } else { CONTINUATION };
            wire.raw(&masked(opcode, piece));
            let payload = format!("{at}").into_bytes();
            wire.frame(PING, &payload);
            assert_eq!(wire.next(), Some(Heard { opcode: PONG, payload }));
            wire.frame(PONG, b"unasked");
        }
        wire.frame(CONTINUATION, b"");
        is_answered(&mut wire);
    }
}

#[test]
fn fragments_may_be_empty() {
    let server = TestServer::open();
    let mut wire = Wire::open(&server);
    for (first, payload) in [
        (TEXT, &b""[..]),
        (CONTINUATION, b""),
        (CONTINUATION, b"{\"ping\":1}"),
        (FIN | CONTINUATION, b""),
    ] {
        wire.raw(&masked(first, payload));
    }
    is_answered(&mut wire);
    for first in [TEXT, CONTINUATION, FIN | CONTINUATION] {
        wire.raw(&masked(first, b""));
    }
    assert_eq!(wire.hear()["code"], "invalid_request");
}

#[test]
fn a_message_of_fragments_may_be_as_long_as_any() {
    let server = TestServer::open();
    let mut wire = Wire::open(&server);
    let text = text_of(MESSAGE_BYTES_MAX);
    for (at, piece) in text.chunks(1_024).enumerate() {
        wire.raw(&masked(if at == 0 { TEXT } else { CONTINUATION }, piece));
    }
    wire.frame(CONTINUATION, b"");
    is_answered(&mut wire);
}

#[test]
fn a_control_frame_is_in_one_piece() {
    let server = TestServer::open();
    for opcode in [PING, PONG, CLOSE] {
        assert_eq!(closed_by(&server, &masked(opcode, b"")), PROTOCOL_ERROR, "{opcode}");
    }
}

#[test]
fn a_message_is_continued_before_the_next_begins_and_not_after() {
    let server = TestServer::open();
    for first in [CONTINUATION, FIN | CONTINUATION] {
        assert_eq!(closed_by(&server, &masked(first, b"{}")), PROTOCOL_ERROR, "{first:x}");
    }
    for first in [TEXT, FIN | TEXT] {
        let both = [masked(TEXT, b"{"), masked(first, b"}")].concat();
        assert_eq!(closed_by(&server, &both), PROTOCOL_ERROR, "{first:x}");
    }
    let mut wire = Wire::open(&server);
    wire.raw(&[masked(TEXT, &text_of(10)), masked(FIN | CONTINUATION, b"")].concat());
    is_answered(&mut wire);
    wire.frame(CONTINUATION, b"");
    assert_eq!(wire.closed(), PROTOCOL_ERROR, "it has ended");
}

// 6: UTF-8.

/// Sequences that are no UTF-8, after Markus Kuhn's test and the table in RFC 3629, section 4.
const NO_UTF8: [&[u8]; 24] = [
    // Continuations of nothing.
    b"\x80",
    b"\xbf",
    b"a\x80b",
    // Beginnings of nothing.
    b"\xc3",
    b"\xc3(",
    b"\xe2\x82",
    b"\xe2(\xa1",
    b"\xe2\x82(",
    b"\xf0\x9f\x98",
    b"\xf0\x9f\x98(",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xfe",
    b"\xff",
    // Longer than they need be.
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    // Halves of characters.
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    // Beyond the last.
    b"\xf4\x90\x80\x80",
];

fn quoted(bytes: &[u8]) -> Vec<u8> {
    [b"{\"ping\":\"", bytes, b"\"}"].concat()
}

#[test]
fn text_is_utf8() {
    let server = TestServer::open();
    for wrong in NO_UTF8 {
        let frame = masked(FIN | TEXT, &quoted(wrong));
        assert_eq!(closed_by(&server, &frame), NOT_UTF8, "{wrong:x?}");
        // So it is when a fragment ends within it.
        let text = quoted(wrong);
        let (one, other) = text.split_at(10);
        let both = [masked(TEXT, one), masked(FIN | CONTINUATION, other)].concat();
        assert_eq!(closed_by(&server, &both), NOT_UTF8, "{wrong:x?} in fragments");
    }
    // A character that never ends.
    let both = [masked(TEXT, b"{}\xe2"), masked(FIN | CONTINUATION, b"\x82")].concat();
    assert_eq!(closed_by(&server, &both), NOT_UTF8);
}

#[test]
fn text_that_is_utf8_comes_back_wherever_it_is_cut() {
    let server = TestServer::open();
    let mut wire = Wire::open(&server);
    for said in [
        "κόσμε",
        "Hello-µ@ßöäüàá-UTF-8!!",
        "\u{80}\u{7ff}\u{800}\u{fff}\u{1000}",
        "\u{d7ff}\u{e000}\u{fffd}\u{fffe}\u{ffff}",
        "\u{10000}\u{10ffff}😀",
        "\u{7f}\u{feff}\u{fdd0}",
    ] {
        let text = quoted(said.as_bytes());
        wire.frame(TEXT, &text);
        assert_eq!(wire.hear()["pong"], said);
        for at in 0..=text.len() {
            let (one, other) = text.split_at(at);
            wire.raw(&masked(TEXT, one));
            wire.frame(CONTINUATION, other);
            assert_eq!(wire.hear()["pong"], said, "cut at {at}");
        }
        for (at, octet) in text.iter().enumerate() {
            wire.raw(&masked(if at == 0 { TEXT } else { CONTINUATION }, &[*octet]));
        }
        wire.frame(CONTINUATION, b"");
        assert_eq!(wire.hear()["pong"], said, "octet by octet");
    }
}

// 7: closing.

#[test]
fn a_close_is_answered_with_its_code() {
    let server = TestServer::open();
    let good = (1000..=1003).chain(1007..=1013).chain([3000, 3500, 3999, 4000, 4999]);
    for code in good {
        for reason in [&b""[..], "à bientôt".as_bytes(), &[b'x'; 123]] {
            let frame = control(CLOSE, &farewell(code, reason));
            assert_eq!(closed_by(&server, &frame), Some(code));
        }
    }
    assert_eq!(closed_by(&server, &control(CLOSE, b"")), None, "no code for no code");
}

#[test]
fn what_comes_before_a_close_is_answered_and_what_comes_after_is_not() {
    let server = TestServer::open();
    let mut wire = Wire::open(&server);
    let (text, close) = (masked(FIN | TEXT, &text_of(10)), control(CLOSE, &farewell(1000, b"")));
    wire.raw(&[text.clone(), close, text, control(PING, b"after")].concat());
    let (texts, code) = wire.rest();
    assert_eq!((texts, code), (vec![json!({ "pong": 1 })], Some(1000)));
    // In the midst of a message too.
    let mut wire = Wire::open(&server);
    wire.raw(&masked(TEXT, b"{"));
    wire.frame(CLOSE, &farewell(1000, b""));
    assert_eq!(wire.closed(), Some(1000));
}

#[test]
fn a_close_that_makes_no_sense_is_an_error() {
    let server = TestServer::open();
    assert_eq!(closed_by(&server, &control(CLOSE, b"\x03")), PROTOCOL_ERROR, "half a code");
    let codes = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];
    for code in codes {
        let frame = control(CLOSE, &farewell(code, b""));
        assert_eq!(closed_by(&server, &frame), PROTOCOL_ERROR, "{code}");
        let frame = control(CLOSE, &farewell(code, b"reason"));
        assert_eq!(closed_by(&server, &frame), PROTOCOL_ERROR, "{code} with a reason");
    }
}

#[test]
fn the_reason_of_a_close_is_utf8() {
    let server = TestServer::open();
    for wrong in NO_UTF8 {
        let frame = control(CLOSE, &farewell(1000, wrong));
        assert_eq!(closed_by(&server, &frame), NOT_UTF8, "{wrong:x?}");
    }
}

#[test]
fn a_connection_that_ends_without_a_word_ends() {
    let server = TestServer::open();
    let pieces = [&b""[..], b"\x81", b"\x81\xfe", b"\x81\x85\0\0\0\0{", &masked(TEXT, b"{")];
    for piece in pieces {
        let mut wire = Wire::open(&server);
        wire.raw(piece);
        wire.end();
        while let Some(heard) = wire.next() {
            assert_eq!(heard.opcode, CLOSE, "{heard:?}");
        }
    }
}

// What every client has to do.

#[test]
fn a_client_masks_what_it_sends() {
    let server = TestServer::open();
    for (opcode, payload) in
        [(TEXT, text_of(10)), (TEXT, vec![]), (PING, vec![]), (CLOSE, farewell(1000, b""))]
    {
        let frame = unmasked(FIN | opcode, &payload);
        assert_eq!(closed_by(&server, &frame), PROTOCOL_ERROR, "{opcode}");
    }
}

#[test]
fn hostile_bytes_close_a_connection_and_nothing_else() {
    let server = TestServer::open();
    let mut random = fastrand::Rng::with_seed(6_455);
    for _ in 0..200 {
        let mut wire = Wire::open(&server);
        let mut bytes: Vec<u8> = (0..random.usize(1..600)).map(|_| random.u8(..)).collect();
        if random.bool() {
            bytes = masked(random.u8(..), &bytes);
        }
        let _ = wire.try_raw(&bytes);
        wire.end();
        while wire.next().is_some() {}
    }
    let mut wire = Wire::open(&server);
    wire.is_quiet();
}
