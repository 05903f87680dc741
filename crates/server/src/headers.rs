//! The headers that callers steer a request with. A header that cannot be understood is refused
//! by name, never ignored: a deadline or a freshness that is silently dropped is a broken promise.

use crate::{code::Code, problem::Problem};
use evenkeel_contract::Level;
use evenkeel_engine::Priority;
use evenkeel_node::SessionToken;
use hyper::HeaderMap;
use std::time::Duration;

pub(crate) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
const DEADLINE: &str = "Evenkeel-Deadline-Ms";
const CONSISTENCY: &str = "Evenkeel-Consistency";
const SESSION: &str = "Evenkeel-Session";
const PRIORITY: &str = "Evenkeel-Priority";

/// The longest idempotency key.
const KEY_BYTES_MAX: usize = 255;
/// Session tokens that one request may carry.
const TOKENS_MAX: usize = 128;
/// The longest deadline that is understood: an hour. A path's contract may allow less.
const DEADLINE_MS_MAX: u64 = 3_600_000;

/// What makes a retry safe: quoted or bare.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(text) = once(headers, IDEMPOTENCY_KEY)? else {
        return Ok(None);
    };
    let rule = "must be 1 to 255 visible characters, in double quotes or without any";
    let bare = match text.strip_prefix('"') {
        Some(quoted) => {
            quoted.strip_suffix('"').ok_or_else(|| Problem::bad_header(IDEMPOTENCY_KEY, rule))?
        }
        None => text,
    };
    let legal = (1..=KEY_BYTES_MAX).contains(&bare.len()) && !bare.contains('"');
    if !legal {
        return Err(Problem::bad_header(IDEMPOTENCY_KEY, rule));
    }
    Ok(Some(bare.to_owned()))
}

/// How long the caller waits.
pub(crate) fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let Some(text) = once(headers, DEADLINE)? else {
        return Ok(None);
    };
    text.parse()
        .ok()
        .filter(|ms| (1..=DEADLINE_MS_MAX).contains(ms))
        .map(|ms| Some(Duration::from_millis(ms)))
        .ok_or_else(|| {
            Problem::bad_header(DEADLINE, "must be a number of milliseconds from 1 to 3600000")
        })
}

/// What is refused first.
pub(crate) fn priority(headers: &HeaderMap) -> Result<Option<Priority>, Problem> {
    match once(headers, PRIORITY)? {
        None => Ok(None),
        Some("critical") => Ok(Some(Priority::Critical)),
        Some("default") => Ok(Some(Priority::Default)),
        Some("sheddable") => Ok(Some(Priority::Sheddable)),
        Some(_) => Err(Problem::bad_header(PRIORITY, "must be critical, default or sheddable")),
    }
}

/// How fresh a read must be; one of `levels`.
///
/// On one machine every answer is the owner's and 0 ms old, so a bound is checked for its form
/// and then kept whatever it is.
pub(crate) fn consistency(
    headers: &HeaderMap,
    levels: &'static [Level],
) -> Result<Option<(Level, Option<u64>)>, Problem> {
    let Some(text) = once(headers, CONSISTENCY)? else {
        return Ok(None);
    };
    let mut bound_ms = None;
    let (name, bound) = match text.split_once(';') {
        Some((name, bound)) => (name.trim(), Some(bound.trim())),
        None => (text.trim(), None),
    };
    let wrong = |rule: &str| Problem::bad_header(CONSISTENCY, rule);
    let level = Level::from_name(name)
        .ok_or_else(|| wrong("must begin with linearizable, session, bounded or eventual"))?;
    if let Some(bound) = bound {
        bound_ms = bound.strip_prefix("max_staleness_ms=").and_then(|ms| ms.parse::<u64>().ok());
        if level != Level::Bounded || bound_ms.is_none() {
            return Err(wrong(
                "takes max_staleness_ms=<milliseconds> after bounded; and nothing else",
            ));
        }
    }
    if !levels.contains(&level) {
        let names: Vec<&str> = levels.iter().map(|level| level.name()).collect();
        return Err(wrong(&format!("must be one of {} for this read", names.join(", "))));
    }
    Ok(Some((level, bound_ms)))
}

/// What the caller has seen; of each partition the newest.
pub(crate) fn session(headers: &HeaderMap) -> Result<Vec<SessionToken>, Problem> {
    let mut tokens: Vec<SessionToken> = Vec::new();
    for value in headers.get_all(SESSION) {
        let text = value.to_str().map_err(|_| bad_session())?;
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let token: SessionToken = part.parse().map_err(|()| bad_session())?;
            merge(&mut tokens, token)?;
        }
    }
    Ok(tokens)
}

fn merge(tokens: &mut Vec<SessionToken>, token: SessionToken) -> Result<(), Problem> {
    let known = tokens.iter().position(|seen| seen.partition == token.partition);
    let Some(at) = known else {
        if tokens.len() == TOKENS_MAX {
            return Err(Problem::bad_header(SESSION, "may carry at most 128 tokens"));
        }
        tokens.push(token);
        return Ok(());
    };
    let seen = &mut tokens[at];
    if seen.incarnation != token.incarnation {
        return Err(Problem::new(
            Code::SessionReset,
            "the session tokens are of different incarnations of the log",
        ));
    }
    seen.offset = seen.offset.max(token.offset);
    Ok(())
}

fn bad_session() -> Problem {
    Problem::bad_header(SESSION, "must be what an answer carried")
}

/// The one value of a header.
fn once<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Problem::bad_header(name, "is given twice"));
    }
    value.to_str().map(Some).map_err(|_| Problem::bad_header(name, "must be visible ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        values
            .iter()
            .map(|value| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap()))
            .collect()
    }

    #[test]
    fn an_idempotency_key_is_quoted_or_bare() {
        let key = |value: &str| idempotency_key(&headers(IDEMPOTENCY_KEY, &[value]));
        assert_eq!(key("\"a b\""), Ok(Some("a b".to_owned())));
        assert_eq!(key("a-1"), Ok(Some("a-1".to_owned())));
        let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
        assert_eq!(key(&longest), Ok(Some(longest.clone())));
        for wrong in ["", "\"", "\"\"", "\"a", "a\"b", "é", too_long.as_str()] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
        assert!(idempotency_key(&headers(IDEMPOTENCY_KEY, &["a", "b"])).is_err());
    }

    #[test]
    fn freshness_is_a_level_that_the_path_has() {
        let level = |value: &str, levels| consistency(&headers(CONSISTENCY, &[value]), levels);
        let all = Level::ALL;
        assert_eq!(
            level("bounded;max_staleness_ms=250", all),
            Ok(Some((Level::Bounded, Some(250))))
        );
        assert_eq!(level("bounded; max_staleness_ms=0", all), Ok(Some((Level::Bounded, Some(0)))));
        assert_eq!(level("bounded", all), Ok(Some((Level::Bounded, None))));
        assert_eq!(level("linearizable", all), Ok(Some((Level::Linearizable, None))));
        assert!(level("linearizable", &[Level::Eventual]).is_err());
        for wrong in
            ["", "strong", "bounded;", "bounded;max_staleness_ms=-1", "session;max_staleness_ms=1"]
        {
            assert!(level(wrong, all).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sessions_are_merged_to_the_newest() {
        let merged = session(&headers(SESSION, &["1.2.3, 4.2.9", "1.2.7"])).unwrap();
        let texts: Vec<String> = merged.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["1.2.7", "4.2.9"]);
        let wrong = session(&headers(SESSION, &["1.2"])).unwrap_err();
        assert_eq!(wrong.code, Code::InvalidRequest);
        let torn = session(&headers(SESSION, &["1.2.3,1.3.1"])).unwrap_err();
        assert_eq!(torn.code, Code::SessionReset);
        let many: Vec<String> = (0..=TOKENS_MAX).map(|at| format!("{at}.1.1")).collect();
        assert!(session(&headers(SESSION, &[&many.join(",")])).is_err());
    }

    #[test]
    fn deadlines_and_priorities_have_bounds() {
        let ms = |value: &str| deadline(&headers(DEADLINE, &[value]));
        assert_eq!(ms("250"), Ok(Some(Duration::from_millis(250))));
        for wrong in ["0", "-1", "1.5", "3600001", "1e3", ""] {
            assert!(ms(wrong).is_err(), "{wrong}");
        }
        assert_eq!(priority(&headers(PRIORITY, &["critical"])), Ok(Some(Priority::Critical)));
        assert!(priority(&headers(PRIORITY, &["urgent"])).is_err());
    }
}
