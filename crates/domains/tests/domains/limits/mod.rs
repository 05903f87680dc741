//! Limits: each algorithm against a model, then what they have in common, through the engine.

mod changes;
mod gcra;
mod given_back;
mod leased;
mod slots;
mod sweep;
mod together;
mod window;

use crate::driver::{Answered, Driver, ID, TENANT};
use evenkeel_domains::{
    Command, Domains, Found, Query, Refusal, Reply as AnyReply,
    limits::{self, Action, Algorithm, Check, CheckResult, Policy, Reply, Subject},
};
use evenkeel_engine::{Failure, Options, Partition, Stop, Time};
use evenkeel_log::{Incarnation, Record};
use evenkeel_state::{Effect, Layer, State, Store};
use std::collections::BTreeSet;

/// Of [`Limits::rows`]: where the leases are.
pub(crate) const LEASES: usize = 1;

/// A partition that counts.
pub(crate) struct Limits {
    pub(crate) driver: Driver,
}

impl Limits {
    pub(crate) fn new() -> Self {
        Self { driver: Driver::new(Options::default()) }
    }

    /// Who leads after a crash, and knows what is in the log alone.
    pub(crate) fn led_anew(log: Vec<Record>, now: Time) -> Self {
        let store = Store::memory().unwrap();
        let state = State::open(&store, ID).unwrap();
        let mut driver = Driver::new(Options::default());
        driver.partition = Partition::new(ID, Domains::default(), Options::default(), state);
        log.iter().for_each(|record| driver.partition.follow(record).unwrap());
        (driver.log, driver.store, driver.now) = (log, store, now);
        driver.partition.announce(now);
        driver.settle();
        Self { driver }
    }

    pub(crate) fn ask(
        &mut self,
        checks: Vec<Check>,
        action: Action,
    ) -> Result<Reply, Failure<Refusal>> {
        reply(self.driver.ask(command(checks, action), None))
    }

    /// The results, of a yes or a no.
    pub(crate) fn check(
        &mut self,
        checks: Vec<Check>,
    ) -> Result<Vec<CheckResult>, Vec<CheckResult>> {
        self.check_as(0, checks)
    }

    /// The same with a number for its leases.
    pub(crate) fn check_as(
        &mut self,
        lease: u64,
        checks: Vec<Check>,
    ) -> Result<Vec<CheckResult>, Vec<CheckResult>> {
        match self.ask(checks, Action::Check { lease }) {
            Ok(Reply::Checked(results)) => Ok(results),
            Err(Failure::Refused(Refusal::Limits(limits::Refusal::Limited(results)))) => {
                Err(results)
            }
            other => panic!("{other:?}"),
        }
    }

    /// From committed state.
    pub(crate) fn peek(&self, check: Check) -> CheckResult {
        self.peek_all(vec![check]).remove(0)
    }

    /// The same of several.
    pub(crate) fn peek_all(&self, checks: Vec<Check>) -> Vec<CheckResult> {
        let query = Query::Limits(limits::Query::Peek { checks });
        let view = self.driver.partition.view();
        match evenkeel_domains::query(&view, self.driver.now, Incarnation(1), TENANT, &query) {
            Ok(Found::Limits(limits::Found::Peeked(results))) => results,
            Ok(other) => panic!("{other:?}"),
            Err(Stop::Refused(refusal)) => panic!("{refusal:?}"),
            Err(Stop::State(error)) => panic!("{error}"),
        }
    }

    /// Rows of keys, and of their leases.
    pub(crate) fn rows(&self) -> [usize; LEASES + 1] {
        let leases = rows(&self.driver.log, "limit_leases");
        assert_eq!(leases, rows(&self.driver.log, "limit_leases_due"));
        [rows(&self.driver.log, "limit_keys"), leases]
    }
}

/// The rows of a table that a log leaves.
pub(crate) fn rows(log: &[Record], table: &str) -> usize {
    let mut rows = BTreeSet::new();
    let of = |key: &[u8]| evenkeel_domains::table_name(key[0]) == Some(table);
    for record in log {
        let layer = Layer::decode(record.body()).unwrap();
        for effect in layer.effects() {
            match effect {
                Effect::Put { key, .. } if of(key) => _ = rows.insert(key.to_vec()),
                Effect::Delete { key } if of(key) => assert!(rows.remove(key), "it was there"),
                _ => {}
            }
        }
    }
    rows.len()
}

pub(crate) fn command(checks: Vec<Check>, action: Action) -> Command {
    Command::Limits(match action {
        Action::Release { lease } => limits::Command::release(lease),
        Action::Renew { lease, ttl_ms } => limits::Command::renew(lease, ttl_ms),
        action => limits::Command::new(checks, action).unwrap(),
    })
}

pub(crate) fn reply(answered: Answered) -> Result<Reply, Failure<Refusal>> {
    answered.map(|reply| match reply {
        AnyReply::Limits(reply) => reply,
        other => panic!("{other:?}"),
    })
}

pub(crate) fn policy(algorithm: Algorithm, quantity: u64, period_ms: u64) -> Policy {
    Policy::of(algorithm, quantity, period_ms)
}

/// Of a limit that has its key's name too: no two of them share a row.
pub(crate) fn check(policy: Policy, key: &str, cost: u64) -> Check {
    let scope = policy.scoped.then(|| "acme".to_owned());
    let subject = Subject { limit: format!("limit-{key}"), scope, key: key.into() };
    Check::new(subject, policy, cost).unwrap()
}
