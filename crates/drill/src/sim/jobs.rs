//! Jobs in the simulator: clients that enqueue and cancel, workers that lease and do, and what those
//! write to.
//!
//! Two of three clients are workers, unless they have no steps. When they are used up one goes on with good
//! days until nothing is left that anybody could do: then every job must have ended, or have something
//! in its way.

mod asking;
mod downstream;
mod look;
mod settings;
mod worker;

use super::{
    client::ATTEMPTS_MAX,
    judge::{self, Verdict},
    machines::{Answered, BEGIN_MS, Machines, Workload},
    node::{Asker, Ticket},
    plan::{FAULTS_END_MS, Intent, Plan, Step, jobs::enqueues},
    run::{Broken, Run, Told},
    world::CLIENT_TIMEOUT_MS,
};
use crate::{
    checker,
    history::jobs::{JobHistory, Operation, Outcome, Request, place_of},
};
use downstream::Downstream;
use evenkeel_domains::jobs::Settings;
use std::collections::BTreeMap;
use worker::{Hand, Worker};

/// The queues of every run, each in a partition of its own: jobs of one that wait for jobs of the other do
/// so by the outbox.
const QUEUES: [&str; 2] = ["mail", "bills"];
const PARTITIONS: u16 = QUEUES.len() as u16;
const LOOK_EVERY_MS: u64 = 50;
/// Looks in a row that must find nothing left to do.
const QUIET_LOOKS: u32 = 4;
/// Without faults, whatever can be done is done within this.
const DRAINS_WITHIN_MS: u64 = 30_000;

pub(super) enum Event {
    /// A client's next step, or its current one again.
    Next(usize),
    Arrive {
        node: usize,
        operation: usize,
    },
    Reply {
        operation: usize,
        outcome: Outcome,
    },
    Timeout(usize),
    /// A worker of this life looks for jobs.
    Seek {
        client: usize,
        life: u64,
    },
    /// A job in hand goes on.
    Act(u64),
    Look,
}

/// Who waits for an answer.
#[derive(Clone, Copy)]
enum Caller {
    Client(usize),
    Worker(usize),
    Hand {
        hand: u64,
        client: usize,
    },
    /// Whoever said something twice.
    Aside,
}

struct Client {
    steps: std::vec::IntoIter<Step>,
    /// What it asks, under which key, and how often it has.
    current: Option<(Request, Option<String>, u32)>,
    /// Of which queue.
    place: u16,
    step_number: u64,
    /// Of each partition, which node it asks.
    nodes: [usize; QUEUES.len()],
    /// Jobs that it knows of.
    known: Vec<String>,
    /// None of one that enqueues.
    worker: Option<Worker>,
}

pub(super) struct World {
    machines: Machines<Event>,
    broken: Broken,
    settings: Settings,
    clients: Vec<Client>,
    calls: BTreeMap<usize, Caller>,
    hands: BTreeMap<u64, Hand>,
    next_hand: u64,
    downstream: Downstream,
    history: JobHistory,
    /// Looks in a row that found nothing left to do.
    quiet: u32,
}

pub(super) fn run(plan: &Plan, broken: Broken) -> Run {
    let mut world = World::new(plan, broken);
    world.run();
    if world.machines.failure.is_none() {
        world.history.end = world.end();
    }
    let restless = (!world.rests()).then_some("somebody always had something left to do");
    let is_read = world.history.end.is_some();
    let mut verdict = Verdict::default();
    verdict.violations.extend(checker::check_jobs(&world.history).violations);
    verdict.violations.extend(judge::came_to_rest(&world.machines, restless, is_read));
    verdict.violations.extend(judge::came_back(&world.machines));
    let text = serde_json::to_vec(&world.history).expect("a history is plain data");
    let fingerprint = judge::fingerprint(&world.machines, &text);
    let World { history, machines, .. } = world;
    Run { told: Told::Jobs(history), verdict, fingerprint, trace: machines.trace }
}

impl Workload for World {
    type Event = Event;

    fn machines(&mut self) -> &mut Machines<Event> {
        &mut self.machines
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Next(client) => self.ask(client),
            Event::Arrive { node, operation } => self.arrive(node, operation),
            Event::Reply { operation, outcome } => self.hear(operation, outcome),
            Event::Timeout(operation) => self.hear(operation, Outcome::Unknown),
            Event::Seek { client, life } => self.seek(client, life),
            Event::Act(hand) => self.act(hand),
            Event::Look => {
                let drained = self.all_is_enqueued() && self.is_drained();
                self.quiet = if drained { self.quiet + 1 } else { 0 };
                self.machines.later(LOOK_EVERY_MS, Event::Look);
            }
        }
    }

    fn answered(&mut self, answered: Answered) {
        if let Answered::Decided(Asker::Client(ticket), answer) = answered {
            let place = self.history.operations[ticket.operation].place;
            let outcome = asking::outcome(place, answer);
            if matches!(outcome, Outcome::TurnedAway(_)) {
                self.clients[ticket.client].nodes[usize::from(place)] += 1;
            }
            if !self.machines.loses(6) {
                let delay = self.machines.travel_ms();
                let operation = ticket.operation;
                self.machines.later(delay, Event::Reply { operation, outcome });
            }
        }
    }

    fn is_done(&mut self) -> bool {
        let gives_up = self.now_ms() > FAULTS_END_MS + DRAINS_WITHIN_MS;
        (self.rests() || gives_up) && judge::all_is_known(&self.machines)
    }
}

impl World {
    fn new(plan: &Plan, broken: Broken) -> Self {
        let settings = settings::of(plan.seed, broken.jobs);
        let client = |(number, steps): (usize, &Vec<Step>)| Client {
            steps: steps.clone().into_iter(),
            current: None,
            place: 0,
            step_number: 0,
            nodes: [0; QUEUES.len()],
            known: Vec::new(),
            worker: (!enqueues(number) && !steps.is_empty()).then(Worker::default),
        };
        let mut world = Self {
            machines: Machines::of_partitions(PARTITIONS, plan, broken, Vec::new()),
            broken,
            settings,
            clients: plan.clients.iter().enumerate().map(client).collect(),
            calls: BTreeMap::new(),
            hands: BTreeMap::new(),
            next_hand: 0,
            downstream: Downstream::new(broken.jobs),
            history: JobHistory::new(settings::rules(&settings::of(plan.seed, Default::default()))),
            quiet: 0,
        };
        for client in 0..world.clients.len() {
            match &world.clients[client].worker {
                Some(_) => world.seek_after(client, 1),
                None => world.next_step(client),
            }
        }
        world.machines.later(LOOK_EVERY_MS, Event::Look);
        world
    }

    /// Since the run began.
    fn now_ms(&self) -> u64 {
        self.machines.now_ms - BEGIN_MS
    }

    fn all_is_enqueued(&self) -> bool {
        self.clients.iter().all(|client| {
            client.worker.is_some()
                || client.current.is_none() && client.steps.as_slice().is_empty()
        })
    }

    /// Whoever enqueues has done so, and workers find nothing more.
    fn rests(&self) -> bool {
        let works = self.clients.iter().any(|client| client.worker.is_some());
        let quiet = self.quiet >= QUIET_LOOKS || !works;
        quiet && self.hands.is_empty() && self.all_is_enqueued()
    }

    fn next_step(&mut self, client: usize) {
        let id = client;
        let client = &mut self.clients[client];
        let (step, request) = loop {
            let Some(step) = client.steps.next() else { return };
            client.step_number += 1;
            match &step.intent {
                Intent::Enqueue(jobs) => {
                    let request = asking::enqueue(jobs, step.resource, &client.known);
                    break (step, request);
                }
                Intent::CancelJob => {
                    if let Some(job) = client.known.last().cloned() {
                        break (step, Request::Cancel { job });
                    }
                }
                _ => {}
            }
        };
        // To cancel is the same however often it is said.
        let keyed = step.keyed && matches!(request, Request::Enqueue(_));
        let retry_key = keyed.then(|| format!("c{id}-{}", client.step_number));
        client.place = match &request {
            Request::Cancel { job } => place_of(job),
            _ => u16::try_from(step.resource).unwrap_or_default(),
        };
        client.current = Some((request, retry_key, 0));
        self.machines.later(step.pause_ms + 1, Event::Next(id));
    }

    /// Sends the current request of a client, as a new attempt.
    fn ask(&mut self, client: usize) {
        let Some((request, retry_key, attempts)) = &mut self.clients[client].current else {
            return;
        };
        *attempts += 1;
        let (request, retry_key) = (request.clone(), retry_key.clone());
        self.call(client, Caller::Client(client), request, retry_key);
    }

    fn call(
        &mut self,
        client: usize,
        caller: Caller,
        request: Request,
        retry_key: Option<String>,
    ) -> usize {
        let called_ms = self.now_ms();
        let place = match &request {
            Request::Word { job, .. } | Request::Cancel { job } => place_of(job),
            _ => self.clients[client].place,
        };
        let operation = self.history.call(Operation {
            client: client as u64,
            place,
            retry_key,
            request,
            called_ms,
            returned: None,
        });
        self.calls.insert(operation, caller);
        let nodes = self.machines.nodes_of(usize::from(place));
        let node = nodes.start + self.clients[client].nodes[usize::from(place)] % nodes.len();
        if !self.machines.loses(4) {
            let delay = self.machines.travel_ms();
            self.machines.later(delay, Event::Arrive { node, operation });
        }
        self.machines.later(CLIENT_TIMEOUT_MS, Event::Timeout(operation));
        operation
    }

    fn arrive(&mut self, node: usize, operation: usize) {
        let asked = &self.history.operations[operation];
        let Some(command) = asking::command(&self.settings, asked) else { return };
        let (retry_key, client) = (asked.retry_key.clone(), asked.client as usize);
        let asker = Asker::Client(Ticket { client, operation });
        self.machines.submit(node, asker, command, retry_key.as_deref());
    }

    /// Somebody hears an answer, or gives the attempt up; unless it is dead, or has.
    fn hear(&mut self, operation: usize, outcome: Outcome) {
        let Some(caller) = self.calls.remove(&operation) else { return };
        let now_ms = self.now_ms();
        let Operation { client, place, .. } = &self.history.operations[operation];
        let (client, place) = (*client as usize, usize::from(*place));
        if outcome == Outcome::Unknown {
            self.clients[client].nodes[place] += 1;
        }
        self.history.returns(operation, now_ms, outcome.clone());
        match caller {
            Caller::Client(client) => self.client_hears(client, &outcome),
            Caller::Worker(client) => self.worker_hears(client, outcome),
            Caller::Hand { hand, client } => self.hand_hears(hand, client, &outcome),
            Caller::Aside => {}
        }
    }

    fn client_hears(&mut self, id: usize, outcome: &Outcome) {
        let client = &mut self.clients[id];
        let Some((request, retry_key, attempts)) = &client.current else { return };
        if let Outcome::Enqueued { jobs, .. } = outcome {
            client.known.extend(jobs.iter().map(|taken| taken.job.clone()));
        }
        let repeats = retry_key.is_some() || matches!(request, Request::Cancel { .. });
        let again = *attempts < ATTEMPTS_MAX
            && match outcome {
                Outcome::TurnedAway(_) => true,
                Outcome::Unknown => repeats,
                _ => false,
            };
        if again {
            let pause = self.machines.rng.u64(5..60);
            self.machines.later(pause, Event::Next(id));
        } else {
            client.current = None;
            self.next_step(id);
        }
    }
}
