//! The arguments of `CL.THROTTLE` and `LIMIT.*` as requests. What is wrong with them is said here,
//! in Redis's words where it has some, in redis-cell's for its command.
//!
//! ```text
//! CL.THROTTLE   key max_burst count period [quantity]
//! LIMIT.CHECK   limit key [COST n] [SCOPE s] [limit key [COST n] [SCOPE s] ...] [ONCE id]
//! LIMIT.PEEK    limit key [COST n] [SCOPE s] [limit key ...]
//! LIMIT.REFUND  limit key [COST n] [SCOPE s] [limit key ...] COUNTED-AT unix-ms ONCE id
//! LIMIT.RESET   limit key [SCOPE s] [limit key ...]
//! LIMIT.RELEASE lease
//! LIMIT.RENEW   lease TTL-MS n
//! LIMIT.PUT     limit ALGORITHM gcra|sliding_window|concurrency QUANTITY n PERIOD-MS n [BURST n]
//!               [MODE exact|leased] [DURABILITY synced|buffered] [ON-UNAVAILABLE allow|deny]
//!               [SCOPED] [SHADOW]
//! LIMIT.GET     limit
//! LIMIT.DEL     limit
//! LIMIT.LIST    [AFTER limit] [COUNT n]
//! ```
//!
//! `LIMIT.CHECK per-user alice COST 2 per-tenant acme` admits the action if both limits do. Words
//! in capitals may be written small, in any order, each once. So a limit that is called `cost`,
//! `scope`, `once` or `counted-at` cannot be asked here: nobody could tell them apart.

use super::{
    parser::Command,
    service::{Check, Cost, Manage, Name, Request, Subject, Throttle},
    table,
    words::Words,
};
use bytes::Bytes;
use evenkeel_domains::limits::{
    CHECKS_MAX, Durability, KEY_BYTES_MAX, LeaseId, Mode, OnUnavailable, PERIOD_MS_MAX, Policy,
};
use evenkeel_engine::Time;
use smallvec::SmallVec;

/// Bytes of an id after `ONCE`.
const ONCE_BYTES_MAX: usize = 255;
/// Limits that `LIMIT.LIST` answers at once.
pub(super) const LIST_MAX: usize = 1_000;
/// And unless it is told how many.
const LIST_COUNT: usize = 100;
/// Bytes of a wrong word that are repeated.
const QUOTED_BYTES_MAX: usize = 128;

const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
const SYNTAX: &str = "ERR syntax error";
const NO_NAME: &str = "' is no name: a name is 1 to 128 of A-Z a-z 0-9 . _ : @ -";

/// What is wrong with a command, as it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) Vec<u8>);

impl Wrong {
    fn new(text: &'static str) -> Self {
        Self(text.as_bytes().to_vec())
    }

    /// With what a caller sent between two texts.
    pub(super) fn quoting(before: &str, quoted: &[u8], after: &str) -> Self {
        let quoted = &quoted[..quoted.len().min(QUOTED_BYTES_MAX)];
        Self([before.as_bytes(), quoted, after.as_bytes()].concat())
    }
}

/// The request that `command` is.
pub(super) fn decide(verb: table::Decide, command: Command<'_>) -> Result<Request, Wrong> {
    Ok(match verb {
        table::Decide::Throttle => Request::Throttle(throttle(command)?),
        table::Decide::Check => Request::Check(check(command, verb)?.0),
        table::Decide::Peek => Request::Check(check(command, verb)?.0),
        table::Decide::Reset => Request::Reset(check(command, verb)?.0),
        table::Decide::Refund => {
            let needed = || Wrong::new("ERR a refund needs COUNTED-AT and ONCE");
            let (check, counted_at) = check(command, verb)?;
            let counted_at = counted_at.filter(|_| check.once.is_some()).ok_or_else(needed)?;
            Request::Refund { check, counted_at }
        }
        table::Decide::Release | table::Decide::Renew => lease(verb, command)?,
    })
}

/// The request about limits that `command` is.
pub(super) fn manage(verb: table::Manage, command: Command<'_>) -> Result<Manage, Wrong> {
    let mut words = Arguments { command, at: 1 };
    let request = match verb {
        table::Manage::Put => {
            let limit = words.limit()?;
            Manage::Put { limit, policy: policy(&mut words)? }
        }
        table::Manage::Get => Manage::Get { limit: words.limit()? },
        table::Manage::Delete => Manage::Delete { limit: words.limit()? },
        table::Manage::List => list(&mut words)?,
    };
    words.end()?;
    Ok(request)
}

fn throttle(command: Command<'_>) -> Result<Throttle, Wrong> {
    if !(5..=6).contains(&command.len()) {
        return Err(Wrong::new(
            "Cell error: Usage: cl.throttle <key> <max_burst> <count per period> <period> \
             [<quantity>]",
        ));
    }
    let integer = |n| {
        let bytes = command.get(n).unwrap_or(b"1");
        let unreadable = || Wrong::quoting("Cell error: Couldn't parse as integer: ", bytes, "");
        let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<i64>().ok());
        number.ok_or_else(unreadable)
    };
    let (max_burst, count) = (integer(2)?, integer(3)?);
    let (period_s, quantity) = (integer(4)?, integer(5)?);
    let rules = [
        (max_burst >= -1, "Cell error: max_burst must not be less than -1"),
        (count >= 0, "Cell error: count per period must not be negative"),
        (period_s >= 0, "Cell error: period must not be negative"),
        (quantity >= 0, "Cell error: quantity must not be negative"),
    ];
    if let Some((_, broken)) = rules.into_iter().find(|(kept, _)| !kept) {
        return Err(Wrong::new(broken));
    }
    let key = command.shared(1).expect("its arguments were counted");
    Ok(Throttle { key: checked_key(key)?, max_burst, count, period_s, quantity })
}

/// Limits, what is limited, how much, and when that was counted.
fn check(command: Command<'_>, verb: table::Decide) -> Result<(Check, Option<Time>), Wrong> {
    use table::Decide::{Check as Checks, Peek, Refund, Reset};
    let mut words = Arguments { command, at: 1 };
    let mut costs = SmallVec::new();
    let (mut once, mut counted_at) = (None, None);
    while !words.is_empty() {
        if costs.len() == CHECKS_MAX {
            let text = format!("ERR at most {CHECKS_MAX} limits may be asked at once");
            return Err(Wrong(text.into_bytes()));
        }
        let mut subject = words.subject()?;
        let mut cost = None;
        loop {
            if verb != Reset && words.takes("COST") {
                set(&mut cost, words.number()?)?;
            } else if words.takes("SCOPE") {
                set(&mut subject.scope, words.name()?)?;
            } else if matches!(verb, Checks | Refund) && words.takes("ONCE") {
                set(&mut once, words.once()?)?;
            } else if verb == Refund && words.takes("COUNTED-AT") {
                set(&mut counted_at, Time(words.number()?))?;
            } else {
                break;
            }
        }
        costs.push(Cost { subject, cost: cost.unwrap_or(1) });
    }
    Ok((Check { costs, peek: verb == Peek, once }, counted_at))
}

fn lease(verb: table::Decide, command: Command<'_>) -> Result<Request, Wrong> {
    let mut words = Arguments { command, at: 1 };
    let text = words.next()?;
    let found = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<LeaseId>().ok());
    let lease = found.ok_or_else(|| Wrong::quoting("ERR '", &text, "' is no lease"))?;
    if verb == table::Decide::Release {
        return Ok(Request::Release(lease));
    }
    if !words.takes("TTL-MS") {
        return Err(Wrong::new(SYNTAX));
    }
    let ttl_ms = words.number()?;
    if !(1..=PERIOD_MS_MAX).contains(&ttl_ms) {
        return Err(Wrong(format!("ERR TTL-MS must be 1 to {PERIOD_MS_MAX}").into_bytes()));
    }
    Ok(Request::Renew { lease, ttl_ms })
}

fn policy(words: &mut Arguments<'_>) -> Result<Policy, Wrong> {
    let (mut algorithm, mut quantity, mut period_ms, mut burst) = (None, None, None, None);
    let (mut mode, mut durability, mut on_unavailable) = (None, None, None);
    let (mut scoped, mut shadow) = (None, None);
    while !words.is_empty() {
        if words.takes("ALGORITHM") {
            set(&mut algorithm, words.one_of("ALGORITHM")?)?;
        } else if words.takes("QUANTITY") {
            set(&mut quantity, words.number()?)?;
        } else if words.takes("PERIOD-MS") {
            set(&mut period_ms, words.number()?)?;
        } else if words.takes("BURST") {
            set(&mut burst, words.number()?)?;
        } else if words.takes("MODE") {
            set(&mut mode, words.one_of("MODE")?)?;
        } else if words.takes("DURABILITY") {
            set(&mut durability, words.one_of("DURABILITY")?)?;
        } else if words.takes("ON-UNAVAILABLE") {
            set(&mut on_unavailable, words.one_of("ON-UNAVAILABLE")?)?;
        } else if words.takes("SCOPED") {
            set(&mut scoped, ())?;
        } else if words.takes("SHADOW") {
            set(&mut shadow, ())?;
        } else {
            return Err(Wrong::new(SYNTAX));
        }
    }
    let missing = || Wrong::new("ERR a limit needs ALGORITHM, QUANTITY and PERIOD-MS");
    Ok(Policy {
        algorithm: algorithm.ok_or_else(missing)?,
        quantity: quantity.ok_or_else(missing)?,
        period_ms: period_ms.ok_or_else(missing)?,
        burst: burst.unwrap_or(0),
        scoped: scoped.is_some(),
        mode: mode.unwrap_or(Mode::Exact),
        durability: durability.unwrap_or(Durability::Synced),
        on_unavailable: on_unavailable.unwrap_or(OnUnavailable::Deny),
        shadow: shadow.is_some(),
    })
}

fn list(words: &mut Arguments<'_>) -> Result<Manage, Wrong> {
    let (mut after, mut count) = (None, None);
    while !words.is_empty() {
        if words.takes("AFTER") {
            set(&mut after, words.name()?)?;
        } else if words.takes("COUNT") {
            let number = usize::try_from(words.number()?).ok();
            let legal = number.filter(|count| (1..=LIST_MAX).contains(count));
            let legal = legal.ok_or_else(|| Wrong::new("ERR COUNT must be 1 to 1000"))?;
            set(&mut count, legal)?;
        } else {
            return Err(Wrong::new(SYNTAX));
        }
    }
    Ok(Manage::List { after, count: count.unwrap_or(LIST_COUNT) })
}

/// Sets what is said once.
fn set<T>(place: &mut Option<T>, value: T) -> Result<(), Wrong> {
    if place.replace(value).is_some() { Err(Wrong::new(SYNTAX)) } else { Ok(()) }
}

fn checked_key(key: Bytes) -> Result<Bytes, Wrong> {
    if key.len() > KEY_BYTES_MAX {
        return Err(Wrong::new("ERR a key may have at most 512 bytes"));
    }
    Ok(key)
}

/// A command's arguments, one after the other.
struct Arguments<'a> {
    command: Command<'a>,
    at: usize,
}

impl Arguments<'_> {
    fn is_empty(&self) -> bool {
        self.at == self.command.len()
    }

    fn end(&self) -> Result<(), Wrong> {
        if self.is_empty() { Ok(()) } else { Err(Wrong::new(SYNTAX)) }
    }

    /// Takes the next argument if it is `word`.
    fn takes(&mut self, word: &str) -> bool {
        let is = |next: &[u8]| next.eq_ignore_ascii_case(word.as_bytes());
        let taken = self.command.get(self.at).is_some_and(is);
        self.at += usize::from(taken);
        taken
    }

    fn next(&mut self) -> Result<Bytes, Wrong> {
        let next = self.command.shared(self.at).ok_or_else(|| Wrong::new(SYNTAX))?;
        self.at += 1;
        Ok(next)
    }

    fn number(&mut self) -> Result<u64, Wrong> {
        let bytes = self.command.get(self.at).ok_or_else(|| Wrong::new(SYNTAX))?;
        self.at += 1;
        let digits = bytes.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(bytes).ok().filter(|_| digits);
        text.and_then(|text| text.parse().ok()).ok_or_else(|| Wrong::new(NOT_AN_INTEGER))
    }

    fn name(&mut self) -> Result<Name, Wrong> {
        let bytes = self.next()?;
        Name::new(bytes.clone()).ok_or_else(|| Wrong::quoting("ERR '", &bytes, NO_NAME))
    }

    /// The name of a limit, which is no word of the syntax.
    fn limit(&mut self) -> Result<Name, Wrong> {
        let name = self.name()?;
        let taken = ["COST", "SCOPE", "ONCE", "COUNTED-AT"];
        if taken.iter().any(|word| word.eq_ignore_ascii_case(name.as_str())) {
            return Err(Wrong::new(SYNTAX));
        }
        Ok(name)
    }

    fn subject(&mut self) -> Result<Subject, Wrong> {
        let limit = self.limit()?;
        let key = checked_key(self.next()?)?;
        Ok(Subject { limit, scope: None, key })
    }

    fn once(&mut self) -> Result<Bytes, Wrong> {
        let id = self.next()?;
        let printable = id.iter().all(|byte| (b' '..=b'~').contains(byte));
        if id.is_empty() || id.len() > ONCE_BYTES_MAX || !printable {
            return Err(Wrong::new("ERR an id after ONCE is 1 to 255 printable characters"));
        }
        Ok(id)
    }

    fn one_of<T: Words>(&mut self, option: &'static str) -> Result<T, Wrong> {
        let word = self.next()?;
        T::from_word(&word).ok_or_else(|| {
            let known: Vec<_> = T::WORDS.iter().map(|(_, word)| *word).collect();
            Wrong(format!("ERR {option} must be one of {}", known.join(", ")).into_bytes())
        })
    }
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
