//! One line of an import: parsed, checked, and turned into the requests that it takes.

use crate::names::{check_name, cut};
use evenkeel_domains::reservations::{CAPACITY_MAX, SEATS_A_CALL_MAX};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashSet;

/// Longer lines are not read: about 100,000 seats.
pub(super) const LINE_BYTES_MAX: usize = 16 << 20;
/// For a sentence with "must be".
const KINDS: &str = "\"quantity\", \"seats\" or \"lock\"";

/// What one line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The resource.
    pub(super) resource: String,
    /// The body of the PUT that creates it.
    pub(super) put: Vec<u8>,
    /// The bodies of the POSTs that give it all its seats, if these are too many for one request.
    /// The seats of the PUT are among them: of a map that has grown the PUT is refused.
    pub(super) seats: Vec<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    resource: String,
    kind: String,
    capacity: Option<u64>,
    seats: Option<Vec<String>>,
    protects: Option<String>,
}

/// Reads one line, or says what is wrong with it.
pub(super) fn parse(text: &[u8]) -> Result<Entry, String> {
    // An array of the values would be taken for an object, which nobody means.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err("it is not a JSON object".to_owned());
    }
    let line: Line = serde_json::from_slice(text).map_err(|error| {
        let (said, column) = (error.to_string(), error.column());
        let position = format!(" at line {} column {column}", error.line());
        format!("{} (column {column})", cut(said.strip_suffix(&position).unwrap_or(&said)))
    })?;
    check_name("resource", &line.resource)?;
    let Line { resource, kind, capacity, seats, protects } = line;
    let (put, seats) = match (kind.as_str(), capacity, seats, protects) {
        ("quantity", Some(capacity), None, None) => {
            if capacity > CAPACITY_MAX {
                return Err(format!("capacity is {capacity}, and must be at most {CAPACITY_MAX}"));
            }
            (json!({ "kind": "quantity", "capacity": capacity }), Vec::new())
        }
        ("seats", None, Some(seats), None) => seat_map(&seats)?,
        ("lock", None, None, Some(protects)) => {
            (json!({ "kind": "lock", "protects": protects }), Vec::new())
        }
        ("quantity", ..) => return Err("a quantity has a capacity and nothing else".to_owned()),
        ("seats", ..) => return Err("a seat map has seats and nothing else".to_owned()),
        ("lock", ..) => return Err("a lock says what it protects and nothing else".to_owned()),
        (other, ..) => return Err(format!("kind is {:?}, and must be {KINDS}", cut(other))),
    };
    Ok(Entry { resource, put: put.to_string().into_bytes(), seats })
}

fn seat_map(seats: &[String]) -> Result<(serde_json::Value, Vec<Vec<u8>>), String> {
    if seats.is_empty() {
        return Err("a seat map has at least one seat".to_owned());
    }
    let mut seen = HashSet::with_capacity(seats.len());
    for seat in seats {
        check_name("a seat", seat)?;
        if !seen.insert(seat) {
            return Err(format!("seat {seat} is there twice"));
        }
    }
    let mut calls = seats.chunks(SEATS_A_CALL_MAX);
    let first = calls.next().unwrap_or_default();
    let put = json!({ "kind": "seats", "seats": first });
    if seats.len() == first.len() {
        return Ok((put, Vec::new()));
    }
    let calls = seats.chunks(SEATS_A_CALL_MAX);
    Ok((put, calls.map(|seats| json!({ "seats": seats }).to_string().into_bytes()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(text.as_bytes()).expect_err(text)
    }

    fn seats(count: usize) -> String {
        let seats: Vec<_> = (0..count).map(|seat| format!("S{seat}")).collect();
        json!({ "resource": "r", "kind": "seats", "seats": seats }).to_string()
    }

    #[test]
    fn good_lines_become_the_put_of_the_api() {
        for (line, put) in [
            (
                r#"{"resource":"a","kind":"quantity","capacity":0}"#,
                r#"{"capacity":0,"kind":"quantity"}"#,
            ),
            (
                r#" {"kind":"seats","seats":["A1"],"resource":"a"} "#,
                r#"{"kind":"seats","seats":["A1"]}"#,
            ),
            (
                r#"{"resource":"a","kind":"lock","protects":"x"}"#,
                r#"{"kind":"lock","protects":"x"}"#,
            ),
        ] {
            let entry = parse(line.as_bytes()).unwrap();
            assert_eq!((entry.resource.as_str(), &entry.put[..]), ("a", put.as_bytes()), "{line}");
            assert!(entry.seats.is_empty());
        }
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        for (line, part) in [
            ("", "not a JSON object"),
            ("[\"a\",\"quantity\",1]", "not a JSON object"),
            ("{", "EOF"),
            (r#"{"resource":"a","kind":"quantity","capacity":1,"x":2}"#, "unknown field `x`"),
            (r#"{"resource":"a","kind":"quantity","capacity":-1}"#, "invalid value"),
            (r#"{"resource":"a","kind":"quantity","capacity":1000000000001}"#, "at most"),
            (r#"{"resource":"a","kind":"quantity"}"#, "a quantity has a capacity"),
            (r#"{"resource":"a","kind":"quantity","capacity":1,"seats":[]}"#, "nothing else"),
            (r#"{"resource":"a/b","kind":"quantity","capacity":1}"#, "resource is named \"a/b\""),
            (r#"{"resource":"","kind":"quantity","capacity":1}"#, "names are 1 to 128"),
            (r#"{"resource":"a","kind":"seats","seats":[]}"#, "at least one seat"),
            (r#"{"resource":"a","kind":"seats","seats":["A","A"]}"#, "seat A is there twice"),
            (r#"{"resource":"a","kind":"seats","seats":["A 1"]}"#, "a seat is named \"A 1\""),
            (r#"{"resource":"a","kind":"calendar","capacity":1}"#, "kind is \"calendar\""),
            (r#"{"kind":"lock","protects":"x"}"#, "missing field `resource`"),
        ] {
            assert!(refused(line).contains(part), "{line}: {}", refused(line));
        }
    }

    #[test]
    fn more_seats_than_one_call_takes_are_added_by_further_calls() {
        let few = parse(seats(SEATS_A_CALL_MAX).as_bytes()).unwrap();
        assert!(few.seats.is_empty());
        let many = parse(seats(2 * SEATS_A_CALL_MAX + 1).as_bytes()).unwrap();
        assert_eq!(many.seats.len(), 3);
        let last: serde_json::Value = serde_json::from_slice(&many.seats[2]).unwrap();
        assert_eq!(last, json!({ "seats": ["S2000"] }));
        let put: serde_json::Value = serde_json::from_slice(&many.put).unwrap();
        assert_eq!(put["seats"].as_array().unwrap().len(), SEATS_A_CALL_MAX);
    }

    /// Never a panic; what is accepted is within the bounds that the API has.
    #[test]
    fn no_line_breaks_the_parser() {
        let iterations = std::env::var("EVENKEEL_FUZZ_ITERATIONS")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(5_000_u64);
        let seeds = [
            seats(3),
            r#"{"resource":"a","kind":"quantity","capacity":12}"#.to_owned(),
            r#"{"resource":"a","kind":"lock","protects":"x"}"#.to_owned(),
        ];
        let tokens: [&[u8]; 9] =
            [b"{", b"}", b"\"", b"[", b"\\u0000", b"\xff", b"1e999", b"null", b"\"kind\":"];
        let mut accepted = 0;
        for iteration in 0..iterations {
            let mut random = fastrand::Rng::with_seed(iteration);
            let mut text = seeds[random.usize(0..seeds.len())].clone().into_bytes();
            for _ in 0..random.usize(0..6) {
                let at = random.usize(0..text.len());
                match random.u8(0..3) {
                    0 => drop(text.remove(at)),
                    1 => text[at] = random.u8(..),
                    _ => drop(text.splice(at..at, tokens[random.usize(0..9)].iter().copied())),
                }
            }
            if let Ok(entry) = parse(&text) {
                accepted += 1;
                assert_eq!(check_name("it", &entry.resource), Ok(()), "{iteration}");
                assert!(serde_json::from_slice::<serde_json::Value>(&entry.put).is_ok());
            }
        }
        assert!(accepted > iterations / 20, "the mutations are so wild that nothing is tested");
    }
}
