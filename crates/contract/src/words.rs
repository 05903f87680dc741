//! Facts and settings in words, so that an explanation changes when they do and nobody types
//! twice what the code knows.

use std::fmt;

use crate::path::{Access, Coordination, Durability, Idempotency, Order, PartitionKey};
use crate::registry::Contract;
use crate::settings::{Level, Refusals, Settings};

pub(crate) fn milliseconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2} ms"))
}

pub(crate) fn changed<T: PartialEq + fmt::Display>(now: &T, default: &T) -> String {
    if now == default { String::new() } else { format!(" (changed; default {default})") }
}

pub(crate) fn freshness(contract: &Contract) -> String {
    let (settings, defaults) = (&contract.settings, &contract.path.defaults);
    let Some(level) = settings.consistency else {
        return "decided on the newest state, by the one owner of the partition".to_owned();
    };
    let meaning = match (level, settings.max_staleness_ms) {
        (Level::Linearizable, _) => {
            "linearizable: at least as new as everything acknowledged before the request".to_owned()
        }
        (Level::Session, _) => {
            "session: at least as new as what the caller has seen and written itself".to_owned()
        }
        (Level::Bounded, Some(bound_ms)) => format!("bounded: never older than {bound_ms} ms"),
        (Level::Bounded, None) => "bounded".to_owned(),
        (Level::Eventual, _) => "eventual: whatever the replica has".to_owned(),
    };
    let was = match defaults.consistency {
        Some(default) if default != level => changed(&level, &default),
        _ => match (settings.max_staleness_ms, defaults.max_staleness_ms) {
            (Some(now), Some(default)) => changed(&now, &default),
            _ => String::new(),
        },
    };
    let others: Vec<&str> = contract.path.facts.levels.iter().map(|level| level.name()).collect();
    format!("{meaning}{was}; a caller may ask for: {}", others.join(", "))
}

pub(crate) fn refusals(contract: &Contract) -> String {
    let codes = contract.path.facts.refusal_codes.join(", ");
    let may = |codes: &str| {
        if codes.is_empty() { String::new() } else { format!("; may refuse: {codes}") }
    };
    match contract.settings.refusals {
        None => may(&codes).trim_start_matches("; ").to_owned(),
        Some(Refusals::Fenced) => format!(
            "fenced: a \"no\" waits for a barrier and is as true as a \"yes\"{}",
            may(&codes)
        ),
    }
}

pub(crate) fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Logged => "answered only when the record it rests on is durable in the log",
        Durability::Buffered => {
            "answered before its record is durable: a crash may lose the last moments"
        }
        Durability::NotLogged => "",
    }
}

pub(crate) fn spent(coordination: Coordination, access: Access) -> &'static str {
    match (coordination, access) {
        (Coordination::None, _) => "none: any replica answers from what it has",
        (Coordination::Some, Access::Read) => "some: it waits for a copy that is recent enough",
        (Coordination::Some, Access::Write) => {
            "some: not every answer rests on a confirmed place in the log"
        }
        (Coordination::Linearizable, _) => {
            "linearizable: every answer rests on a confirmed place in the log, shared by all \
             requests of one batch"
        }
    }
}

pub(crate) fn boundary(key: PartitionKey) -> String {
    match key {
        PartitionKey::Key(name) => format!(
            "by {name}: everything of one {name} is in one partition, decided one request after \
             another; between two of them nothing is coordinated"
        ),
        PartitionKey::All => "none: every partition is asked and the answers are merged".to_owned(),
        PartitionKey::Meta => {
            "the meta partition, which every node follows with a copy of its own".to_owned()
        }
    }
}

pub(crate) fn order(order: Order, key: PartitionKey) -> String {
    let scope = match key {
        PartitionKey::Key(name) => format!("per {name}"),
        PartitionKey::Meta => "per deployment".to_owned(),
        PartitionKey::All => "across partitions".to_owned(),
    };
    match order {
        Order::PerKey => format!("one order {scope}, the same for every reader"),
        Order::Dense => {
            format!("one order {scope}, numbered without gaps, the same for every reader")
        }
        Order::ByName => "by name, for paging; it says nothing about time".to_owned(),
        Order::None => "none".to_owned(),
    }
}

pub(crate) fn how_long(settings: &Settings) -> String {
    match (settings.consistency, settings.max_staleness_ms) {
        (None, _) => "as long as the contract of the read that shows it allows".to_owned(),
        (Some(Level::Linearizable), _) => "not at all at the moment of answering".to_owned(),
        (Some(Level::Session), _) => {
            "never behind the caller's own session; behind others for as long as a replica lags"
                .to_owned()
        }
        (Some(Level::Bounded), Some(bound_ms)) => format!("at most {bound_ms} ms"),
        (Some(Level::Bounded | Level::Eventual), _) => {
            "without a bound; every answer says how long in Evenkeel-Staleness-Ms".to_owned()
        }
    }
}

pub(crate) fn idempotency(contract: &Contract) -> String {
    let (settings, defaults) = (&contract.settings, &contract.path.defaults);
    match (contract.path.facts.idempotency, settings.idempotency_window_s) {
        (Idempotency::Read, _) => "a read: repeating it changes nothing".to_owned(),
        (Idempotency::Natural, _) => {
            "repeating the request arrives at the same state; it takes no key".to_owned()
        }
        (Idempotency::Exempt, _) => "each call is a new one; it takes no key".to_owned(),
        (Idempotency::Keyed, None) => "with an Idempotency-Key: one effect a key".to_owned(),
        (Idempotency::Keyed, Some(window_s)) => {
            let was = defaults
                .idempotency_window_s
                .map_or_else(String::new, |default| changed(&window_s, &default));
            format!(
                "with an Idempotency-Key: at most one effect a key for {}{was}; a repeat gets the \
                 stored answer, another request under the same key gets idempotency_conflict",
                seconds(window_s)
            )
        }
    }
}

fn seconds(value_s: u64) -> String {
    match value_s {
        s if s.is_multiple_of(3_600) => format!("{s} s ({} h)", s / 3_600),
        s if s.is_multiple_of(60) => format!("{s} s ({} min)", s / 60),
        s => format!("{s} s"),
    }
}

pub(crate) fn bytes(value: u32) -> String {
    if value.is_multiple_of(1_024) {
        format!("{} KiB", value / 1_024)
    } else {
        format!("{value} bytes")
    }
}
