//! Limits in the simulator: clients that check and refund, and edges that admit from leased tokens.
//!
//! Each node has an edge, which goes and comes back with it. Clients ask a node; a check of a
//! leased limit is its edge's to decide, everything else goes on to the partition.

mod edge;

use super::{
    client::ATTEMPTS_MAX,
    judge::{self, Verdict},
    machines::{Answered, BEGIN_MS, Machines, Workload},
    node::{Asker, Ticket},
    plan::{CheckSize, Intent, Plan, Step},
    run::{Broken, Run, Told},
    world::CLIENT_TIMEOUT_MS,
};
use crate::{
    checker,
    history::limits::{Counts, LimitHistory, Operation, Outcome, Request, Rule},
};
use edge::Edge;
pub(super) use edge::Lease;
use evenkeel_domains::{
    Command, Domains, Refusal, Reply,
    limits::{self, Action, Algorithm, Check, Mode, Policy, Subject},
};
use evenkeel_engine::{Answer, Failure, Role, Time};

/// Subjects of every run.
pub(super) const SUBJECTS: usize = 4;
const KEY: &str = "ada";

pub(super) enum Event {
    ClientNext(usize),
    Arrive {
        node: usize,
        ticket: Ticket,
    },
    Reply {
        ticket: Ticket,
        outcome: Outcome,
    },
    ClientTimeout(Ticket),
    /// An edge's request for tokens is where it was sent.
    LeaseArrives {
        to: usize,
        lease: Lease,
    },
    LeaseAnswered {
        lease: Lease,
        answer: Box<Answer<Domains>>,
    },
    LeaseTimeout(Lease),
}

/// A limit, with one subject.
pub(super) struct Limit {
    name: &'static str,
    policy: Policy,
}

/// Small, so that they are used up within a run.
fn subjects() -> [Limit; SUBJECTS] {
    let window = |quantity, period_ms| Policy::of(Algorithm::SlidingWindow, quantity, period_ms);
    let leased = |policy: Policy| Policy { mode: Mode::Leased, ..policy };
    [
        Limit { name: "gcra", policy: Policy::gcra(2, 2_000, 3) },
        Limit { name: "window", policy: window(4, 700) },
        Limit { name: "leased-gcra", policy: leased(Policy::gcra(16, 800, 31)) },
        Limit { name: "leased-window", policy: leased(window(32, 600)) },
    ]
}

fn rule(policy: &Policy, edges: usize) -> Rule {
    let counts = match policy.algorithm {
        Algorithm::Gcra => Counts::Gcra { at_once: policy.burst + 1 },
        Algorithm::SlidingWindow | Algorithm::Concurrency => Counts::SlidingWindow,
    };
    let leased = policy.mode == Mode::Leased;
    let beyond = leased.then(|| edges as u64 * policy.lease_tokens());
    Rule { counts, quantity: policy.quantity, period_ms: policy.period_ms, beyond }
}

impl Limit {
    fn check(&self, units: u64) -> Check {
        let subject = Subject { limit: self.name.into(), scope: None, key: KEY.into() };
        Check::new(subject, self.policy, units).expect("it has no scope and a short key")
    }

    fn command(&self, units: u64, action: Action) -> Command {
        let command = limits::Command::new(vec![self.check(units)], action);
        Command::Limits(command.expect("it is one check"))
    }

    /// What a check of this size costs. A leased limit is large, so that a lease is more than a
    /// unit, and its large checks use it up all the same.
    fn units(&self, size: CheckSize) -> u64 {
        match (size, self.is_leased()) {
            (CheckSize::Small, _) => 1,
            (CheckSize::Large, false) => 3,
            (CheckSize::Large, true) => 10,
        }
    }

    fn is_leased(&self) -> bool {
        self.policy.mode == Mode::Leased
    }
}

struct Client {
    steps: std::vec::IntoIter<Step>,
    current: Option<Attempt>,
    step_number: u64,
    node: usize,
    /// What it was admitted and has not given back, with the subject of each.
    admitted: Vec<(usize, Request)>,
}

/// A request under way.
#[derive(Clone)]
struct Attempt {
    operation: usize,
    subject: usize,
    request: Request,
    retry_key: Option<String>,
    number: u32,
}

pub(super) struct World {
    machines: Machines<Event>,
    broken: Broken,
    limits: [Limit; SUBJECTS],
    edges: Vec<Edge>,
    clients: Vec<Client>,
    history: LimitHistory,
    /// The life of each node in which what it had counted was last forgotten.
    forgotten: Vec<u64>,
}

pub(super) fn run(plan: &Plan, broken: Broken) -> Run {
    let mut world = World::new(plan, broken);
    world.run();
    let mut verdict = Verdict::default();
    verdict.violations.extend(checker::check_limits(&world.history).violations);
    verdict.violations.extend(judge::came_back(&world.machines));
    let text = serde_json::to_vec(&world.history).expect("a history is plain data");
    let fingerprint = judge::fingerprint(&world.machines, &text);
    let World { history, machines, .. } = world;
    Run { told: Told::Limits(history), verdict, fingerprint, trace: machines.trace }
}

impl Workload for World {
    type Event = Event;

    fn machines(&mut self) -> &mut Machines<Event> {
        &mut self.machines
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::ClientNext(client) => self.ask(client),
            Event::Arrive { node, ticket } => self.arrive(node, ticket),
            Event::Reply { ticket, outcome } => self.hear(ticket, outcome),
            Event::ClientTimeout(ticket) => self.hear(ticket, Outcome::Unknown),
            Event::LeaseArrives { to, lease } => self.lease_arrives(to, lease),
            Event::LeaseAnswered { lease, answer } => self.lease_answered(lease, *answer),
            Event::LeaseTimeout(lease) => self.lease_timeout(lease),
        }
    }

    fn answered(&mut self, answered: Answered) {
        match answered {
            Answered::Decided(Asker::Client(ticket), answer) => {
                if matches!(answer.outcome, Err(Failure::Unavailable(_))) {
                    self.clients[ticket.client].node += 1;
                }
                self.send_reply(ticket, outcome(answer));
            }
            Answered::Decided(Asker::Edge(lease), answer) => {
                if !self.machines.loses(6) {
                    let delay = self.machines.travel_ms();
                    let answer = Box::new(answer);
                    self.machines.later(delay, Event::LeaseAnswered { lease, answer });
                }
            }
            Answered::Decided(Asker::Nobody, _)
            | Answered::Found(..)
            | Answered::Deposed(_)
            | Answered::Changed { .. }
            | Answered::SteppedDown(_) => {}
        }
    }

    fn settled(&mut self) {
        if self.broken.window_reset {
            self.forget_after_restarts();
        }
    }

    fn is_done(&mut self) -> bool {
        let idle = |client: &Client| client.current.is_none() && client.steps.as_slice().is_empty();
        self.clients.iter().all(idle) && judge::all_is_known(&self.machines)
    }
}

impl World {
    fn new(plan: &Plan, broken: Broken) -> Self {
        let machines = Machines::new(plan, broken, Vec::new());
        let nodes = machines.nodes.len();
        let rules = subjects().map(|limit| (limit.name.to_owned(), rule(&limit.policy, nodes)));
        let client = |steps: &Vec<Step>| Client {
            steps: steps.clone().into_iter(),
            current: None,
            step_number: 0,
            node: 0,
            admitted: Vec::new(),
        };
        let mut world = Self {
            machines,
            broken,
            limits: subjects(),
            edges: (0..nodes).map(|_| Edge::new(0)).collect(),
            clients: plan.clients.iter().map(client).collect(),
            history: LimitHistory::new(rules),
            forgotten: vec![0; nodes],
        };
        for client in 0..world.clients.len() {
            world.next_step(client);
        }
        world
    }

    fn now(&self) -> Time {
        Time(self.machines.now_ms)
    }

    fn next_step(&mut self, client: usize) {
        let id = client;
        let client = &mut self.clients[client];
        let (step, request) = loop {
            let Some(step) = client.steps.next() else { return };
            client.step_number += 1;
            match step.intent {
                Intent::Check { size } => {
                    let units = self.limits[step.resource].units(size);
                    break (step, Request::Check { units });
                }
                Intent::Refund => {
                    let of = client.admitted.iter().rposition(|(of, _)| *of == step.resource);
                    if let Some(of) = of {
                        let (_, refund) = client.admitted.remove(of);
                        break (step, refund);
                    }
                }
                _ => {}
            }
        };
        let refund = matches!(request, Request::Refund { .. });
        // A check with a key is never decided from tokens; refunds have one always.
        let keyed = refund || step.keyed && !self.limits[step.resource].is_leased();
        let retry_key = keyed.then(|| format!("c{id}-{}", client.step_number));
        let subject = step.resource;
        client.current = Some(Attempt { operation: 0, subject, request, retry_key, number: 0 });
        self.machines.later(step.pause_ms + 1, Event::ClientNext(id));
    }

    /// Sends the current request, as a new attempt.
    fn ask(&mut self, client: usize) {
        let Some(attempt) = self.clients[client].current.clone() else { return };
        let operation = self.history.call(Operation {
            client: client as u64,
            limit: self.limits[attempt.subject].name.to_owned(),
            key: KEY.to_owned(),
            retry_key: attempt.retry_key.clone(),
            request: attempt.request.clone(),
            called_ms: self.machines.now_ms - BEGIN_MS,
            returned: None,
        });
        let number = attempt.number + 1;
        self.clients[client].current = Some(Attempt { operation, number, ..attempt });
        let ticket = Ticket { client, operation };
        let node = self.clients[client].node % self.machines.nodes.len();
        if !self.machines.loses(4) {
            let delay = self.machines.travel_ms();
            self.machines.later(delay, Event::Arrive { node, ticket });
        }
        self.machines.later(CLIENT_TIMEOUT_MS, Event::ClientTimeout(ticket));
    }

    fn arrive(&mut self, node: usize, ticket: Ticket) {
        let Operation { limit, request, retry_key, .. } =
            self.history.operations[ticket.operation].clone();
        let subject = self.limits.iter().position(|other| other.name == limit);
        let subject = subject.expect("only known limits are asked for");
        let limit = &self.limits[subject];
        let (command, retry_key) = match request {
            Request::Check { units } if limit.is_leased() => {
                return self.edge_decides(node, subject, (ticket, units));
            }
            Request::Check { units } => {
                (limit.command(units, Action::Check { lease: 0 }), retry_key)
            }
            Request::Refund { units, counted_at_ms, .. } => {
                let counted_at = Time(counted_at_ms + BEGIN_MS);
                let retry_key = retry_key.filter(|_| !self.broken.refund_twice);
                (limit.command(units, Action::Refund { counted_at }), retry_key)
            }
        };
        self.machines.submit(node, Asker::Client(ticket), command, retry_key.as_deref());
    }

    fn send_reply(&mut self, ticket: Ticket, outcome: Outcome) {
        if !self.machines.loses(6) {
            let delay = self.machines.travel_ms();
            self.machines.later(delay, Event::Reply { ticket, outcome });
        }
    }

    /// A client hears an answer, or gives the attempt up.
    fn hear(&mut self, ticket: Ticket, outcome: Outcome) {
        let client = &mut self.clients[ticket.client];
        let Some(attempt) = client.current.clone() else { return };
        if attempt.operation != ticket.operation {
            return;
        }
        if let (
            Request::Check { units },
            Outcome::Admitted { counted_at_ms: Some(counted_at_ms) },
        ) = (&attempt.request, &outcome)
        {
            let (of, units, counted_at_ms) = (ticket.operation, *units, *counted_at_ms);
            let refund = Request::Refund { of, units, counted_at_ms };
            client.admitted.push((attempt.subject, refund));
        }
        let again = attempt.number < ATTEMPTS_MAX
            && match &outcome {
                Outcome::Admitted { .. } | Outcome::Refused | Outcome::GivenBack => false,
                Outcome::TurnedAway(_) => true,
                Outcome::Unknown => {
                    client.node += 1;
                    attempt.retry_key.is_some()
                }
            };
        self.history.returns(ticket.operation, self.machines.now_ms - BEGIN_MS, outcome);
        if again {
            let pause = self.machines.rng.u64(5..60);
            self.machines.later(pause, Event::ClientNext(ticket.client));
        } else {
            self.clients[ticket.client].current = None;
            self.next_step(ticket.client);
        }
    }

    /// The breakage `window-reset-on-restart`: what a process that was started anew leads by is
    /// empty.
    fn forget_after_restarts(&mut self) {
        for node in 0..self.machines.nodes.len() {
            let life = self.machines.nodes[node].life;
            let leads = self.machines.nodes[node].role() == Some(Role::Owner);
            if !leads || self.forgotten[node] == life {
                continue;
            }
            self.forgotten[node] = life;
            for subject in 0..SUBJECTS {
                let reset = self.limits[subject].command(1, Action::Reset);
                self.machines.submit(node, Asker::Nobody, reset, None);
            }
        }
    }
}

/// What an answer says, in the words of a history.
fn outcome(answer: Answer<Domains>) -> Outcome {
    let counted_at_ms =
        (!answer.delivered.replayed).then(|| answer.delivered.at.0.saturating_sub(BEGIN_MS));
    match answer.outcome {
        Ok(Reply::Limits(limits::Reply::Checked(_))) => Outcome::Admitted { counted_at_ms },
        Ok(Reply::Limits(limits::Reply::Changed(_))) => Outcome::GivenBack,
        Ok(_) => unreachable!("only checks and refunds are asked for"),
        Err(Failure::Refused(Refusal::Limits(_))) => Outcome::Refused,
        Err(Failure::OutcomeUnknown) => Outcome::Unknown,
        Err(failure) => Outcome::TurnedAway(failure.to_string()),
    }
}
