//! A counterexample in plain words: which promise broke, for whom, and the history that shows it.

mod chat;
mod feed;
mod jobs;
mod limits;

use super::Breakage;
use crate::{
    checker::Violation,
    history::{Answer, Operation, Outcome, Places, Refusal, Request},
    sim::{Broken, Plan, Told, run},
};
use serde::Serialize;
use std::fmt;

/// A run that shows a broken promise.
#[derive(Debug, Clone, Serialize)]
pub struct Counterexample {
    /// What was taken away.
    pub breakage: &'static str,
    /// In these words.
    pub takes_away: &'static str,
    /// What that guarantee is for.
    pub protects: &'static str,
    /// Finds it again.
    pub seed: u64,
    /// What broke.
    pub violations: Vec<Violation>,
    /// What clients did and heard, in order.
    pub history: Vec<String>,
    /// What went wrong around them.
    pub faults: Vec<String>,
}

impl Counterexample {
    pub(super) fn new(breakage: &Breakage, seed: u64, plan: &Plan, broken: Broken) -> Self {
        let run = run(plan, broken);
        Self {
            breakage: breakage.name,
            takes_away: breakage.takes_away,
            protects: breakage.protects,
            seed,
            history: match &run.told {
                Told::Reservations(told) => {
                    told.operations.iter().enumerate().map(describe).collect()
                }
                Told::Limits(told) => limits::describe(told),
                Told::Chat(told) => chat::describe(told, run.verdict.violations.first()),
                Told::Feed(told) => feed::describe(told, run.verdict.violations.first()),
                Told::Jobs(told) => jobs::describe(told, run.verdict.violations.first()),
            },
            violations: run.verdict.violations,
            faults: run.trace,
        }
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Taken away: {}.", self.takes_away)?;
        writeln!(f, "It is there for: {}.", self.protects)?;
        if let Some(violation) = self.violations.first() {
            writeln!(f, "\nBROKEN  {violation}")?;
        }
        writeln!(f, "\nThe shortest history that shows it (seed {}):", self.seed)?;
        for line in &self.history {
            writeln!(f, "  {line}")?;
        }
        if !self.faults.is_empty() {
            writeln!(f, "\nMeanwhile:")?;
            for line in &self.faults {
                writeln!(f, "  {line}")?;
            }
        }
        write!(f, "\nAgain: evenkeel drill sim --break {} --seed {}", self.breakage, self.seed)
    }
}

fn describe((index, operation): (usize, &Operation)) -> String {
    let Operation { client, resource, key, request, called, returned } = operation;
    let key = key.as_ref().map_or(String::new(), |key| format!(" (key {key})"));
    let (when, heard) = match returned {
        None => ("?".to_owned(), "never heard of it again".to_owned()),
        Some((at, outcome)) => (at.to_string(), words(outcome)),
    };
    let asked = asked(request);
    format!(
        "{index:>2}. [{called:>3}–{when:>3}] client {client} {asked} of {resource}{key}: {heard}"
    )
}

fn asked(request: &Request) -> String {
    match request {
        Request::Hold { places, ttl_ms } => {
            let places = match places {
                Places::Quantity(quantity) => quantity.to_string(),
                Places::Seats(seats) => seats.join("+"),
            };
            format!("asks to hold {places} for {ttl_ms} ms")
        }
        Request::Confirm { hold, .. } => format!("confirms hold {hold}"),
        Request::Release { hold } => format!("releases hold {hold}"),
        Request::Extend { hold, ttl_ms } => format!("extends hold {hold} by {ttl_ms} ms"),
        Request::Cancel { hold } => format!("cancels hold {hold}"),
        Request::Read => "counts the places".to_owned(),
    }
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok { answer, replayed, .. } => {
            let again = if *replayed { " (the stored answer)" } else { "" };
            let what = match answer {
                Answer::Held { hold, expires_at_ms, .. } => {
                    format!("held, as hold {hold} until {expires_at_ms}")
                }
                Answer::Confirmed { hold, .. } => format!("confirmed, as hold {hold}"),
                Answer::Released => "released".to_owned(),
                Answer::Extended { expires_at_ms } => format!("extended until {expires_at_ms}"),
                Answer::Cancelled => "cancelled".to_owned(),
                Answer::Counted { available, held, confirmed } => {
                    format!("{available} free, {held} held, {confirmed} confirmed")
                }
            };
            format!("yes: {what}{again}")
        }
        Outcome::Refused { refusal, .. } => match refusal {
            Refusal::SoldOut => "no: sold out".to_owned(),
            Refusal::SeatTaken(seats) => format!("no: {} taken", seats.join(", ")),
            Refusal::HoldExpired => "no: it has expired".to_owned(),
            Refusal::WrongState => "no: the hold is in no state for that".to_owned(),
            Refusal::NoHold => "no: there is no such hold".to_owned(),
        },
        Outcome::TurnedAway(why) => format!("turned away, no effect: {why}"),
        Outcome::Unknown => "no answer; it may or may not have happened".to_owned(),
    }
}
