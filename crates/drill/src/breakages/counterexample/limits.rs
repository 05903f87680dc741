//! A history of limits in plain words.

use crate::history::limits::{Counts, LimitHistory, Operation, Outcome, Request, Rule};

/// The limits that anybody asked about, then what each client did and heard, with the times of both.
pub(super) fn describe(told: &LimitHistory) -> Vec<String> {
    let asked = |limit: &&String| told.operations.iter().any(|one| one.limit == **limit);
    let limits = told.rules.keys().filter(asked).map(|limit| say(limit, &told.rules[limit]));
    let operations = told.operations.iter().enumerate().map(operation);
    limits.chain(operations).collect()
}

fn say(limit: &str, rule: &Rule) -> String {
    let Rule { quantity, period_ms, .. } = rule;
    let counts = match rule.counts {
        Counts::Gcra { at_once } => format!("{quantity} in {period_ms} ms, {at_once} at once"),
        Counts::SlidingWindow => format!("{quantity} in any {period_ms} ms"),
    };
    let beyond = rule.beyond.map_or(String::new(), |beyond| format!(", leased: {beyond} more"));
    format!("limit {limit}: {counts}{beyond}")
}

fn operation((index, operation): (usize, &Operation)) -> String {
    let Operation { client, limit, retry_key, request, called_ms, returned, .. } = operation;
    let asked = match request {
        Request::Check { units } => format!("asks for {units} of {limit}"),
        Request::Refund { of, units, .. } => {
            format!("gives back the {units} of {limit} of operation {of}")
        }
    };
    let key = retry_key.as_ref().map_or(String::new(), |key| format!(" (key {key})"));
    let (when, heard) = match returned {
        None => ("?".to_owned(), "never heard of it again".to_owned()),
        Some((at_ms, outcome)) => (at_ms.to_string(), words(outcome)),
    };
    format!("{index:>2}. [{called_ms:>4}–{when:>4} ms] client {client} {asked}{key}: {heard}")
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Admitted { counted_at_ms: Some(at_ms) } => format!("yes, counted at {at_ms} ms"),
        Outcome::Admitted { counted_at_ms: None } => "yes (the stored answer)".to_owned(),
        Outcome::Refused => "no: it does not fit".to_owned(),
        Outcome::GivenBack => "given back".to_owned(),
        Outcome::TurnedAway(why) => format!("turned away, no effect: {why}"),
        Outcome::Unknown => "no answer; it may or may not have happened".to_owned(),
    }
}
