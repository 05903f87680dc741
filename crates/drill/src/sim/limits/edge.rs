//! A node's edge, which admits from tokens: [`Tokens`] decides, this asks the owner, as the
//! node's runtime does.

use super::{Event, Outcome, SUBJECTS, World};
use crate::sim::{
    machines::BEGIN_MS,
    node::{Asker, Ticket},
};
use evenkeel_domains::{
    Domains, Refusal, Reply,
    limits::{self, Action, CheckResult, LEASES_MIN, Local, Policy, Tokens},
};
use evenkeel_engine::{Answer, Failure, Time};
use std::collections::VecDeque;

/// An edge hears nothing of the owner for so long, and answers that nobody can count.
const LEASE_TIMEOUT_MS: u64 = 150;

/// Names a request for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) struct Lease {
    /// Whose edge asks, in which of its lives.
    node: usize,
    life: u64,
    subject: usize,
    number: u64,
    tokens: u64,
    need: u64,
}

/// Who asks for how many units.
type Wanted = (Ticket, u64);

pub(super) struct Edge {
    life: u64,
    subjects: [Held; SUBJECTS],
    asked: u64,
    /// The node that it asks.
    target: usize,
}

/// What an edge has of one subject.
#[derive(Default)]
struct Held {
    tokens: Option<Tokens>,
    /// What was asked of the owner, and for whom. The others wait.
    asked: Option<(Lease, Wanted)>,
    waiting: VecDeque<Wanted>,
}

impl Edge {
    pub(super) fn new(life: u64) -> Self {
        Self { life, subjects: Default::default(), asked: 0, target: 0 }
    }
}

impl World {
    /// A check of a leased limit has come to `node`.
    pub(super) fn edge_decides(&mut self, node: usize, subject: usize, wanted: Wanted) {
        let Some(life) = self.life(node) else { return };
        if self.edges[node].life != life {
            self.edges[node] = Edge::new(life);
        }
        self.edges[node].subjects[subject].waiting.push_back(wanted);
        self.edge_goes_on(node, subject);
    }

    /// Decides what waits, until the owner must be asked.
    fn edge_goes_on(&mut self, node: usize, subject: usize) {
        let policy = self.edge_policy(subject);
        let now = self.now();
        loop {
            let edge = &mut self.edges[node];
            let held = &mut edge.subjects[subject];
            if held.asked.is_some() {
                return;
            }
            let Some(wanted @ (ticket, units)) = held.waiting.pop_front() else { return };
            let tokens = held.tokens.get_or_insert_with(|| Tokens::new(policy));
            match tokens.take(&policy, units, now) {
                Local::Decided { result, counted_at } => {
                    self.send_reply(ticket, told(&result, counted_at));
                }
                Local::Ask { tokens, need } => {
                    edge.asked += 1;
                    let number = edge.asked;
                    let life = edge.life;
                    let lease = Lease { node, life, subject, number, tokens, need };
                    held.asked = Some((lease, wanted));
                    self.ask_owner(lease);
                }
            }
        }
    }

    fn ask_owner(&mut self, lease: Lease) {
        let to = self.edges[lease.node].target % self.machines.nodes.len();
        if !self.machines.loses(4) {
            let delay = self.machines.travel_ms();
            self.machines.later(delay, Event::LeaseArrives { to, lease });
        }
        self.machines.later(LEASE_TIMEOUT_MS, Event::LeaseTimeout(lease));
    }

    pub(super) fn lease_arrives(&mut self, to: usize, lease: Lease) {
        let action = Action::Lease { tokens: lease.tokens };
        let command = self.limits[lease.subject].command(lease.need, action);
        self.machines.submit(to, Asker::Edge(lease), command, None);
    }

    /// The one for whom `lease` was asked for, if it is still awaited.
    fn awaited(&mut self, lease: Lease) -> Option<Wanted> {
        self.life(lease.node).filter(|life| *life == lease.life)?;
        let asked = &mut self.edges[lease.node].subjects[lease.subject].asked;
        asked.take_if(|(asked, _)| *asked == lease).map(|(_, wanted)| wanted)
    }

    pub(super) fn lease_answered(&mut self, lease: Lease, answer: Answer<Domains>) {
        // Tokens that nobody awaits any more are counted, and admit nothing.
        let Some((ticket, units)) = self.awaited(lease) else { return };
        let now = self.now();
        let edge = &mut self.edges[lease.node];
        let tokens = edge.subjects[lease.subject].tokens.as_mut().expect("it was asked for");
        let at = answer.delivered.at;
        let outcome = match answer.outcome {
            Ok(Reply::Limits(limits::Reply::Leased { tokens: given, result })) => {
                let (result, counted_at) = tokens.granted(given, result, at, (units, now));
                told(&result, counted_at)
            }
            Ok(_) => unreachable!("a lease is answered by tokens"),
            Err(Failure::Refused(Refusal::Limits(limits::Refusal::Limited(mut results)))) => {
                tokens.refused(results.swap_remove(0), (units, now));
                Outcome::Refused
            }
            Err(failure) => {
                edge.target += 1;
                Outcome::TurnedAway(failure.to_string())
            }
        };
        self.send_reply(ticket, outcome);
        self.edge_goes_on(lease.node, lease.subject);
    }

    pub(super) fn lease_timeout(&mut self, lease: Lease) {
        let Some((ticket, _)) = self.awaited(lease) else { return };
        self.edges[lease.node].target += 1;
        self.send_reply(ticket, Outcome::TurnedAway("nobody could count".into()));
        self.edge_goes_on(lease.node, lease.subject);
    }

    /// Which life of a node's process this is, if it is up.
    fn life(&self, node: usize) -> Option<u64> {
        let node = &self.machines.nodes[node];
        node.partition.is_some().then_some(node.life)
    }

    /// What an edge goes by. With the breakage `unbounded-lease` it takes all that there is, and
    /// keeps it for longer than a period.
    fn edge_policy(&self, subject: usize) -> Policy {
        let policy = self.limits[subject].policy;
        if !self.broken.unbounded_lease {
            return policy;
        }
        Policy {
            quantity: policy.quantity * LEASES_MIN,
            burst: policy.burst * LEASES_MIN,
            period_ms: policy.period_ms * LEASES_MIN,
            ..policy
        }
    }
}

fn told(result: &CheckResult, counted_at: Time) -> Outcome {
    if result.allowed {
        let counted_at_ms = Some(counted_at.0.saturating_sub(BEGIN_MS));
        Outcome::Admitted { counted_at_ms }
    } else {
        Outcome::Refused
    }
}
