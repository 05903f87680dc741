//! Keys keep their order, effects come back as they were, and hostile bytes are only refused.

use crate::common::{Note, iterations};
use evenkeel_state::{Effect, Effects, EffectsError, KeyBytes, KeyCodec, Layer, Row};
use proptest::prelude::*;

fn encode(key: &impl KeyCodec) -> KeyBytes {
    let mut bytes = KeyBytes::new();
    key.encode(&mut bytes);
    bytes
}

fn check_order<K: KeyCodec + Ord + std::fmt::Debug>(a: &K, b: &K) {
    let (a_bytes, b_bytes) = (encode(a), encode(b));
    assert_eq!(a.cmp(b), a_bytes.cmp(&b_bytes), "{a:?} and {b:?}");
    let mut rest = a_bytes.as_slice();
    assert_eq!(K::decode(&mut rest).as_ref(), Some(a));
    assert!(rest.is_empty());
    for end in 0..a_bytes.len() {
        assert_eq!(K::decode(&mut &a_bytes[..end]), None, "{a:?} cut at {end}");
    }
}

proptest! {
    #[test]
    fn keys_sort_as_their_bytes_do(
        a in any::<((u8, u16), (u32, u64))>(),
        b in any::<((u8, u16), (u32, u64))>(),
    ) {
        check_order(&a, &b);
    }

    #[test]
    fn text_in_keys_sorts_as_its_bytes_do(
        a in ("[\u{1}-\u{3}ab√é]{0,3}", any::<[u8; 3]>(), "[\u{1}a]{0,2}"),
        b in ("[\u{1}-\u{3}ab√é]{0,3}", any::<[u8; 3]>(), "[\u{1}a]{0,2}"),
    ) {
        check_order(&a, &b);
    }
}

#[test]
fn keys_of_other_bytes_are_refused() {
    assert_eq!(String::decode(&mut &b"\xff\0"[..]), None);
    assert_eq!(String::decode(&mut &b"no end"[..]), None);
    assert_eq!(<() as KeyCodec>::decode(&mut &b""[..]), Some(()));
}

#[test]
fn rows_of_other_versions_or_with_bytes_to_spare_are_refused() {
    let mut bytes = Vec::new();
    Note::of("abc").encode(&mut bytes);
    assert_eq!(bytes, b"\x01\x03abc");
    assert_eq!(Note::decode(&bytes), Some(Note::of("abc")));
    for refused in [&b""[..], b"\x01", b"\x01\x03ab", b"\x01\x03abcd", b"\x02\x03abc"] {
        assert_eq!(Note::decode(refused), None, "{refused:?}");
    }
    assert_eq!(<() as Row>::decode(b"\x01"), None);
}

#[test]
fn effects_are_read_only_as_they_are_written() {
    let put_a = b"\x01\x01a\x01x";
    let whole = |effects: &[&[u8]]| [&b"\x01"[..], &effects.concat()].concat();
    let cases: &[(&[&[u8]], EffectsError)] = &[
        (&[put_a, put_a], EffectsError::Order),
        (&[put_a, b"\x02\x01a"], EffectsError::Order),
        (&[b"\x02\x01b", put_a], EffectsError::Order),
        (&[put_a, b"\x03\x01a"], EffectsError::Order),
        (&[b"\x03\x01b", b"\x03\x01a"], EffectsError::Order),
        (&[b"\x03\x01a", b"\x03\x02ab"], EffectsError::Order),
        (&[b"\x01\x00\x00"], EffectsError::NoTable),
        (&[b"\x04\x01a"], EffectsError::Kind(4)),
        (&[b"\x00\x01a"], EffectsError::Kind(0)),
        (&[b"\x01\x81\x00a\x01x"], EffectsError::Length),
        (&[b"\x01\xff\xff\xff\xff\xff\x01"], EffectsError::Length),
        (&[b"\x01\xff\xff\xff\xff\x0fa"], EffectsError::Truncated),
        (&[b"\x01\x01a"], EffectsError::Truncated),
    ];
    for (effects, error) in cases {
        assert_eq!(Layer::decode(&whole(effects)), Err(*error), "{effects:?}");
    }
    assert_eq!(Layer::decode(b"\x02"), Err(EffectsError::Version(2)));
    assert_eq!(Layer::decode(b"").map(|layer| layer.is_empty()), Ok(true));
    assert_eq!(Layer::decode(b"\x01").map(|layer| layer.is_empty()), Ok(true));

    let body = whole(&[b"\x03\x01b", put_a, b"\x02\x02bc"]);
    let effects: Result<Vec<_>, _> = Effects::parse(&body).unwrap().collect();
    let expected = [
        Effect::DropPrefix { prefix: b"b" },
        Effect::Put { key: b"a", row: b"x" },
        Effect::Delete { key: b"bc" },
    ];
    assert_eq!(effects.unwrap(), expected);
}

/// Bytes of the kind that nearly pass: small counts and lengths, repeated pieces.
fn nearly_effects(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut body = vec![1];
    for _ in 0..random.usize(..12) {
        body.push(random.u8(..5));
        for _ in 0..random.usize(1..3) {
            let length = random.u8(..4);
            body.push(length);
            body.extend((0..length).map(|_| random.u8(..4)));
        }
    }
    if random.u8(..4) == 0 {
        let at = random.usize(..body.len());
        body[at] = random.u8(..);
    }
    body.truncate(random.usize(..=body.len()));
    body
}

#[test]
fn hostile_effects_are_refused_or_read_as_they_say() {
    let mut random = fastrand::Rng::with_seed(4);
    let mut whole = 0;
    for _ in 0..iterations(100_000) {
        let body = nearly_effects(&mut random);
        let Ok(layer) = Layer::decode(&body) else { continue };
        let mut again = Vec::new();
        layer.encode(&mut again);
        // Only "nothing" can be said in two ways.
        assert_eq!(again, if layer.is_empty() { Vec::new() } else { body });
        assert_eq!(layer.bytes(), again.len());
        whole += 1;
    }
    assert!(whole > 0, "some of it should be effects");
}
