//! The world: virtual time, messages, appends and faults, all from one seed.

use super::{
    client::{self, ATTEMPTS_MAX, Attempt, Client},
    judge,
    logs::SimLog,
    node::{self, SimNode, Ticket},
    plan::{FAULTS_END_MS, FaultKind, Plan, Scene, inventory},
    subscriber::Subscriber,
};
use crate::history::{History, Outcome as Heard, Request};
use evenkeel_domains::{Domains, Found, Query, reservations};
use evenkeel_engine::{Answer, Barrier, Failure, Options, Outcome, Output, Role, Switches, Time};
use evenkeel_log::{Incarnation, Record};
use evenkeel_state::Frozen;
use fastrand::Rng;
use std::collections::BTreeMap;

/// Virtual time after which a run that has not completed never will.
const END_MS: u64 = 120_000;
/// A client hears nothing for so long, and asks again.
const CLIENT_TIMEOUT_MS: u64 = 300;
/// A request is dropped if it is not decided within this.
const DEADLINE_MS: u64 = 250;
/// The driver of an append stops waiting after this.
const APPEND_TIMEOUT_MS: u64 = 100;
const TICK_MS: u64 = 20;
const RESTART_MS: u64 = 80;

/// What is switched off for this run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Broken {
    /// In the engine.
    pub engine: Switches,
    /// The log appends without looking at its tail.
    pub no_tail_check: bool,
    /// The disk says "synced" and is not.
    pub no_fsync: bool,
    /// Time is what the node's wall clock says.
    pub wall_clock: bool,
}

/// What a run left behind.
pub struct Run {
    /// What clients did and heard.
    pub history: History,
    /// What else was seen, and what is wrong.
    pub verdict: judge::Verdict,
    /// A hash over the log's bytes and the history: the same seed gives the same.
    pub fingerprint: evenkeel_log::Hash,
    /// What happened, in words, for a counterexample.
    pub trace: Vec<String>,
}

enum Event {
    Tick(usize),
    ClientNext(usize),
    Arrive { node: usize, ticket: Ticket },
    Reply { ticket: Ticket, outcome: Heard },
    ClientTimeout(Ticket),
    AppendLands { node: usize, life: u64, id: u64, record: Record, answered: bool },
    AppendAnswer { node: usize, life: u64, id: u64, outcome: Outcome },
    Flush { node: usize, life: u64, frozen: Frozen },
    Fault(FaultKind),
    PowerGone,
    Restart(usize),
    Observe,
}

pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) now_ms: u64,
    rng: Rng,
    queue: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    pub(super) log: SimLog,
    pub(super) nodes: Vec<SimNode>,
    clients: Vec<Client>,
    pub(super) subscribers: Vec<Subscriber>,
    pub(super) history: History,
    /// When each operation was called and returned, in virtual time.
    pub(super) times_ms: Vec<(u64, Option<u64>)>,
    pub(super) trace: Vec<String>,
    pub(super) failure: Option<String>,
    /// The power will go at some change to the disk.
    power_going: bool,
}

/// Runs `plan`.
#[must_use]
pub fn run(plan: &Plan, broken: Broken) -> Run {
    let mut world = World::new(plan.clone(), broken);
    world.set_up();
    world.schedule_plan();
    world.run_until_done();
    judge::judge(world)
}

impl World {
    fn new(plan: Plan, broken: Broken) -> Self {
        let (log, nodes, barrier) = match plan.scene {
            Scene::Cluster => (SimLog::shared(!broken.no_tail_check), 2, Barrier::Append),
            Scene::Local => (SimLog::disk(plan.seed, broken.no_fsync), 1, Barrier::Free),
        };
        let options =
            Options { depth: plan.depth, barrier, switches: broken.engine, ..Options::default() };
        let nodes =
            (0..nodes).map(|node| SimNode::new(node, options.clone(), broken.wall_clock)).collect();
        let clients = plan.clients.iter().cloned().enumerate();
        Self {
            rng: Rng::with_seed(plan.seed),
            clients: clients.map(|(id, steps)| Client::new(id as u64, steps)).collect(),
            subscribers: inventory().into_iter().map(|(name, _)| Subscriber::new(name)).collect(),
            plan,
            now_ms: 1_000,
            queue: BTreeMap::new(),
            scheduled: 0,
            log,
            nodes,
            history: History::new(inventory()),
            times_ms: Vec::new(),
            trace: Vec::new(),
            failure: None,
            power_going: false,
        }
    }

    /// Brings the partition and its resources into being before anything goes wrong.
    fn set_up(&mut self) {
        let genesis =
            node::SimPartition::genesis(super::logs::PARTITION, Incarnation(1), Time(self.now_ms));
        self.log.append(&genesis);
        for node in 0..self.nodes.len() {
            self.nodes[node].start().expect("an empty store opens");
        }
        self.nodes[0].wants_lead = true;
        self.nodes[0].follow(&self.log, self.now_ms).expect("a new log can be followed");
        self.settle_without_delay(0);
        let ticket = Ticket { client: usize::MAX, operation: 0 };
        for command in node::setup() {
            let request = node::request(ticket, command, None, Time(u64::MAX));
            let partition = self.nodes[0].partition.as_mut().expect("it was started");
            partition.submit(request);
            self.settle_without_delay(0);
        }
    }

    fn settle_without_delay(&mut self, node: usize) {
        loop {
            let now = self.nodes[node].now(self.now_ms);
            let Some(partition) = &mut self.nodes[node].partition else { return };
            partition.poll(now);
            let outputs = partition.outputs();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                if let Output::Append { id, record, .. } = output {
                    let outcome = self.log.append(&record).expect("nothing goes wrong yet");
                    partition.appended(id, outcome);
                }
            }
        }
    }

    fn schedule_plan(&mut self) {
        for node in 0..self.nodes.len() {
            self.after(1, Event::Tick(node));
        }
        for client in 0..self.clients.len() {
            self.next_step(client);
        }
        for fault in self.plan.faults.clone() {
            self.after(fault.at_ms, Event::Fault(fault.kind));
        }
        self.after(10, Event::Observe);
    }

    fn after(&mut self, ms: u64, event: Event) {
        self.scheduled += 1;
        self.queue.insert((self.now_ms + ms, self.scheduled), event);
    }

    /// Whether faults may still strike; before the end they may, after it nothing is lost.
    fn faulty(&self) -> bool {
        self.plan.lossy && self.now_ms < 1_000 + FAULTS_END_MS
    }

    fn run_until_done(&mut self) {
        while let Some(((at_ms, _), event)) = self.queue.pop_first() {
            self.now_ms = at_ms;
            if self.is_done() || self.failure.is_some() {
                return;
            }
            if at_ms > END_MS {
                self.failure =
                    Some("a request was never answered, though all faults were over".into());
                return;
            }
            self.handle(event);
        }
    }

    fn is_done(&self) -> bool {
        let faults_over = self.now_ms > 1_000 + FAULTS_END_MS.min(self.last_fault_ms());
        let clients_done = self
            .clients
            .iter()
            .all(|client| client.current.is_none() && client.steps.as_slice().is_empty());
        faults_over && clients_done && judge::is_quiet(self)
    }

    fn last_fault_ms(&self) -> u64 {
        self.plan.faults.last().map_or(0, |fault| fault.at_ms + 2 * RESTART_MS)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Tick(node) => {
                self.drive(node);
                self.after(TICK_MS, Event::Tick(node));
            }
            Event::ClientNext(client) => self.ask(client),
            Event::Arrive { node, ticket } => self.arrive(node, ticket),
            Event::Reply { ticket, outcome } => self.hear(ticket, outcome),
            Event::ClientTimeout(ticket) => self.hear(ticket, Heard::Unknown),
            Event::AppendLands { node, life, id, record, answered } => {
                self.land(node, life, id, &record, answered);
            }
            Event::AppendAnswer { node, life, id, outcome } => {
                if self.nodes[node].life == life
                    && let Some(partition) = &mut self.nodes[node].partition
                {
                    partition.appended(id, outcome);
                    self.drive(node);
                }
            }
            Event::Flush { node, life, frozen } => {
                if self.nodes[node].life == life {
                    self.nodes[node].flush(&frozen);
                }
            }
            Event::Fault(kind) => self.strike(&kind),
            Event::PowerGone => self.power_gone(),
            Event::Restart(node) => self.restart(node),
            Event::Observe => {
                self.observe();
                self.after(35, Event::Observe);
            }
        }
    }

    /// Lets a node do what it can.
    fn drive(&mut self, node: usize) {
        let now_ms = self.now_ms;
        if self.nodes[node].role() == Some(Role::Follower) {
            self.consider_leading(node);
        }
        if let Err(why) = self.nodes[node].follow(&self.log, now_ms) {
            self.failure = Some(format!("node {node} cannot serve: {why}"));
            return;
        }
        let now = self.nodes[node].now(now_ms);
        let Some(partition) = &mut self.nodes[node].partition else { return };
        partition.poll(now);
        let outputs = partition.outputs();
        let lost = partition.lost_reads();
        for output in outputs {
            self.carry_out(node, output);
        }
        for (ticket, _) in lost {
            self.send_reply(ticket, Heard::TurnedAway("not the owner".into()));
        }
    }

    /// If nobody leads, somebody tries: leases decide who, and are not simulated.
    fn consider_leading(&mut self, node: usize) {
        let led = self.nodes.iter().any(|node| {
            matches!(node.role(), Some(Role::Owner | Role::Candidate)) || node.wants_lead
        });
        if !led {
            self.nodes[node].wants_lead = true;
        }
    }

    fn carry_out(&mut self, node: usize, output: Output<Domains, Ticket, (Ticket, usize)>) {
        let life = self.nodes[node].life;
        match output {
            Output::Append { id, attempt, record } => {
                self.submit_append(node, life, id, attempt, record);
            }
            Output::Answer(ticket, answer) => self.answer(ticket, answer),
            Output::Read((ticket, resource)) => {
                let Some(partition) = &self.nodes[node].partition else { return };
                let delivered = partition.delivered_now();
                let (name, _) = inventory().swap_remove(resource);
                let query = Query::Reservations(reservations::Query::Resource { resource: name });
                if let Some(Found::Reservations(reservations::Found::Resource(view))) =
                    self.nodes[node].query(&query, delivered)
                {
                    self.send_reply(ticket, client::counted(&view));
                }
            }
            Output::Changed(_) => {}
            Output::Flush(frozen) => {
                let delay = self.rng.u64(1..60);
                self.after(delay, Event::Flush { node, life, frozen });
            }
            Output::SteppedDown(why) => self.say(&format!("node {node} steps down: {why}")),
        }
    }

    fn submit_append(&mut self, node: usize, life: u64, id: u64, attempt: u32, record: Record) {
        let pause = if attempt > 0 { 10 } else { 0 };
        let lands = pause + self.rng.u64(1..6);
        let fate = if self.faulty() { self.rng.u8(0..100) } else { 0 };
        let unknown = Event::AppendAnswer { node, life, id, outcome: Outcome::Indeterminate };
        match (fate, self.plan.scene) {
            (0..=82, _) | (_, Scene::Local) => {
                self.after(lands, Event::AppendLands { node, life, id, record, answered: true });
            }
            (83..=88, _) => {
                self.say(&format!("node {node}: the answer of an append is lost"));
                self.after(lands, Event::AppendLands { node, life, id, record, answered: false });
                self.after(pause + APPEND_TIMEOUT_MS, unknown);
            }
            (89..=94, _) => {
                let late = pause + APPEND_TIMEOUT_MS + self.rng.u64(1..400);
                self.say(&format!("node {node}: an append lands late"));
                self.after(late, Event::AppendLands { node, life, id, record, answered: false });
                self.after(pause + APPEND_TIMEOUT_MS, unknown);
            }
            _ => {
                self.say(&format!("node {node}: an append is lost"));
                self.after(pause + APPEND_TIMEOUT_MS, unknown);
            }
        }
    }

    fn land(&mut self, node: usize, life: u64, id: u64, record: &Record, answered: bool) {
        let local = self.plan.scene == Scene::Local;
        if local && self.nodes[node].life != life {
            return;
        }
        match self.log.append(record) {
            Some(outcome) if answered => {
                let delay = self.rng.u64(1..4);
                self.after(delay, Event::AppendAnswer { node, life, id, outcome });
            }
            Some(_) => {}
            None => self.power_gone(),
        }
    }

    fn strike(&mut self, kind: &FaultKind) {
        match kind {
            FaultKind::Kill { node, wipe } => self.kill(*node, *wipe, false),
            FaultKind::PowerLoss { at_change } => {
                self.log.power_off_at(*at_change);
                self.power_going = true;
                self.after(60, Event::PowerGone);
            }
            FaultKind::TakeOver { node } => {
                if self.nodes[*node].role() == Some(Role::Follower) {
                    self.say(&format!("node {node} tries to take over"));
                    self.nodes[*node].wants_lead = true;
                    self.drive(*node);
                }
            }
            FaultKind::ClockStep { node, by_ms } => {
                self.say(&format!("the wall clock of node {node} jumps by {by_ms} ms"));
                self.nodes[*node].wall_offset_ms += by_ms;
            }
            FaultKind::Checkpoint { node } => {
                if let Some(partition) = &mut self.nodes[*node].partition {
                    partition.request_checkpoint();
                }
            }
        }
    }

    /// The power goes, unless it is off already.
    fn power_gone(&mut self) {
        if std::mem::take(&mut self.power_going) {
            if self.nodes[0].partition.is_some() {
                self.kill(0, false, true);
            } else {
                self.log.down(true);
            }
        }
    }

    fn kill(&mut self, node: usize, wipe: bool, power: bool) {
        if self.nodes[node].partition.is_none() {
            return;
        }
        let what = if power { "the machine loses power" } else { "the process is killed" };
        self.say(&format!("node {node}: {what}"));
        self.nodes[node].kill(wipe);
        if self.plan.scene == Scene::Local {
            self.log.down(power);
        }
        self.after(RESTART_MS, Event::Restart(node));
    }

    fn restart(&mut self, node: usize) {
        let opened = if self.plan.scene == Scene::Local { self.log.open(false) } else { Ok(()) };
        match opened.and_then(|()| self.nodes[node].start()) {
            Ok(()) => {}
            Err(_) if std::mem::take(&mut self.power_going) => {
                self.say("the power goes while the log recovers");
                self.log.down(true);
                self.after(RESTART_MS, Event::Restart(node));
            }
            Err(why) => self.failure = Some(format!("node {node} does not come back: {why}")),
        }
    }

    fn next_step(&mut self, client: usize) {
        let Some((pause_ms, resource, request, key)) = self.clients[client].next_request() else {
            return;
        };
        let attempt = Attempt { operation: 0, resource, request, key, number: 0 };
        self.clients[client].current = Some(attempt);
        self.after(pause_ms + 1, Event::ClientNext(client));
    }

    /// Sends the current request, as a new attempt.
    fn ask(&mut self, client: usize) {
        let Some(attempt) = self.clients[client].current.clone() else { return };
        let (name, _) = inventory().swap_remove(attempt.resource);
        let operation = self.history.call(
            client as u64,
            &name,
            attempt.key.as_deref(),
            attempt.request.clone(),
        );
        self.times_ms.push((self.now_ms, None));
        let current = Attempt { operation, number: attempt.number + 1, ..attempt };
        self.clients[client].current = Some(current);
        let ticket = Ticket { client, operation };
        let node = self.clients[client].node % self.nodes.len();
        if !(self.faulty() && self.rng.u8(0..100) < 4) {
            let delay = self.rng.u64(1..5);
            self.after(delay, Event::Arrive { node, ticket });
        }
        self.after(CLIENT_TIMEOUT_MS, Event::ClientTimeout(ticket));
    }

    fn arrive(&mut self, node: usize, ticket: Ticket) {
        let operation = &self.history.operations[ticket.operation];
        let (name, key) = (operation.resource.clone(), operation.key.clone());
        let command = client::command(&name, key.as_deref(), &operation.request);
        let deadline = self.nodes[node].now(self.now_ms).plus_ms(DEADLINE_MS);
        let Some(partition) = &mut self.nodes[node].partition else { return };
        match command {
            Some(command) => {
                partition.submit(node::request(ticket, command, key.as_deref(), deadline));
            }
            None if partition.role() == Role::Owner => {
                let resource = inventory().iter().position(|(other, _)| *other == name);
                partition.read((ticket, resource.expect("only known resources are asked for")));
            }
            None => self.send_reply(ticket, Heard::TurnedAway("not the owner".into())),
        }
        self.drive(node);
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer<Domains>) {
        if ticket.client == usize::MAX {
            return;
        }
        let request = self.history.operations[ticket.operation].request.clone();
        let turned_away = matches!(answer.outcome, Err(Failure::Unavailable(_)));
        self.send_reply(ticket, client::outcome(&request, answer));
        if turned_away {
            self.clients[ticket.client].node += 1;
        }
    }

    fn send_reply(&mut self, ticket: Ticket, outcome: Heard) {
        if !(self.faulty() && self.rng.u8(0..100) < 6) {
            let delay = self.rng.u64(1..5);
            self.after(delay, Event::Reply { ticket, outcome });
        }
    }

    /// A client hears an answer, or gives the attempt up.
    fn hear(&mut self, ticket: Ticket, outcome: Heard) {
        let client = &mut self.clients[ticket.client];
        let Some(attempt) = &client.current else { return };
        if attempt.operation != ticket.operation {
            return;
        }
        let attempt = attempt.clone();
        client.learn(attempt.resource, &outcome);
        let again = match &outcome {
            Heard::Ok { .. } | Heard::Refused { .. } => false,
            Heard::TurnedAway(_) => attempt.number < ATTEMPTS_MAX,
            Heard::Unknown => {
                client.node += 1;
                let safe = attempt.key.is_some() || attempt.request == Request::Read;
                safe && attempt.number < ATTEMPTS_MAX
            }
        };
        self.times_ms[ticket.operation].1 = Some(self.now_ms);
        self.history.returns(ticket.operation, outcome);
        if again {
            let pause = self.rng.u64(5..60);
            self.after(pause, Event::ClientNext(ticket.client));
        } else {
            self.clients[ticket.client].current = None;
            self.next_step(ticket.client);
        }
    }

    /// Subscribers read on, each from some node that has what it has seen.
    fn observe(&mut self) {
        for index in 0..self.subscribers.len() {
            let node = self.rng.usize(0..self.nodes.len());
            let limit = self.rng.usize(1..4);
            self.subscribers[index].read(&self.nodes[node], limit, self.now_ms);
        }
        if !self.faulty() && self.rng.u8(0..10) == 0 {
            self.touch_owners();
        }
    }

    /// An owner that has nothing to append does not hear that it was deposed, which harms nobody;
    /// but a run ends only when all is known, so each is given something to append.
    fn touch_owners(&mut self) {
        let tail = self.log.tail();
        for node in &mut self.nodes {
            if let Some(partition) = &mut node.partition
                && partition.role() == Role::Owner
                && partition.tail() != tail
                && !partition.is_in_flight()
            {
                partition.request_checkpoint();
            }
        }
    }

    fn say(&mut self, what: &str) {
        self.trace.push(format!("{:>6} ms  {what}", self.now_ms - 1_000));
    }
}
