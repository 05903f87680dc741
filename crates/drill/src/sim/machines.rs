//! The machines: nodes, their log, virtual time and faults, whatever is asked of them.
//!
//! They carry out what the engine says and hand its answers to a [`Workload`], which asks.
//!
//! There is one partition. What it sends to others it is delivered itself, each time as if it came from
//! there: so it is both ends of as many ways as it sends along, and each has its own order.

use super::{
    logs::{self, SimLog},
    node::{self, Asker, SimNode},
    plan::{FAULTS_END_MS, Fault, FaultKind, Plan, Scene},
    run::Broken,
};
use evenkeel_domains::{Command, Domains, Found, Query};
use evenkeel_engine::{Answer, Barrier, Delivery, Mark, Options, Outcome, Output, Role, Time};
use evenkeel_log::{Incarnation, PartitionId, Record};
use evenkeel_state::Frozen;
use fastrand::Rng;
use std::collections::{BTreeMap, VecDeque};

/// Virtual time at which a run begins.
pub(super) const BEGIN_MS: u64 = 1_000;
/// Virtual time after which a run that has not completed never will.
const END_MS: u64 = 120_000;
/// A request is dropped if it is not decided within this.
const DEADLINE_MS: u64 = 250;
/// The driver of an append stops waiting after this.
const APPEND_TIMEOUT_MS: u64 = 100;
const TICK_MS: u64 = 20;
const RESTART_MS: u64 = 80;

/// What asks the machines, and hears them.
pub(super) trait Workload {
    /// What it has happen later.
    type Event;

    fn machines(&mut self) -> &mut Machines<Self::Event>;
    /// Something that it wanted happens now.
    fn handle(&mut self, event: Self::Event);
    /// An owner answers.
    fn answered(&mut self, answered: Answered);
    /// Everything that happens now has happened.
    fn settled(&mut self) {}
    /// Whether nobody wants anything more, and all is known.
    fn is_done(&mut self) -> bool;

    /// Runs to the end.
    fn run(&mut self) {
        while let Some(((at_ms, _), event)) = self.machines().queue.pop_first() {
            self.machines().now_ms = at_ms;
            let over = self.machines().faults_are_over();
            if over && self.is_done() || self.machines().failure.is_some() {
                return;
            }
            if at_ms > END_MS {
                let why = "a request was never answered, though all faults were over";
                self.machines().failure = Some(why.into());
                return;
            }
            match event {
                Event::Asked(event) => self.handle(event),
                event => self.machines().handle(event),
            }
            // An answer may have another asked for.
            while let Some(answered) = self.machines().next_answer() {
                self.answered(answered);
            }
            self.settled();
        }
    }
}

/// What an owner answered.
pub(super) enum Answered {
    Decided(Asker, Answer<Domains>),
    Found(Asker, Found),
    /// It leads no longer, so that a read is not answered.
    Deposed(Asker),
}

pub(super) enum Event<E> {
    /// By the workload.
    Asked(E),
    Tick(usize),
    AppendLands {
        node: usize,
        life: u64,
        id: u64,
        record: Record,
        answered: bool,
    },
    AppendAnswer {
        node: usize,
        life: u64,
        id: u64,
        outcome: Outcome,
    },
    Flush {
        node: usize,
        life: u64,
        frozen: Frozen,
    },
    Delivery(Delivery),
    Acknowledged {
        by: PartitionId,
        through: Mark,
    },
    Fault(FaultKind),
    PowerGone,
    Restart(usize),
}

pub(super) struct Machines<E> {
    pub(super) now_ms: u64,
    pub(super) rng: Rng,
    pub(super) log: SimLog,
    pub(super) nodes: Vec<SimNode>,
    pub(super) trace: Vec<String>,
    pub(super) failure: Option<String>,
    scene: Scene,
    lossy: bool,
    faults: Vec<Fault>,
    queue: BTreeMap<(u64, u64), Event<E>>,
    scheduled: u64,
    answers: VecDeque<Answered>,
    /// The power will go at some change to the disk.
    power_going: bool,
}

impl<E> Machines<E> {
    /// Brings the partition into being, and does `setup` before anything goes wrong.
    pub(super) fn new(plan: &Plan, broken: Broken, setup: Vec<Command>) -> Self {
        let (log, nodes, barrier) = match plan.scene {
            Scene::Cluster => (SimLog::shared(!broken.no_tail_check), 2, Barrier::Append),
            Scene::Local => (SimLog::disk(plan.seed, broken.no_fsync), 1, Barrier::Free),
        };
        let options =
            Options { depth: plan.depth, barrier, switches: broken.engine, ..Options::default() };
        let nodes =
            (0..nodes).map(|node| SimNode::new(node, options.clone(), broken.wall_clock)).collect();
        let mut machines = Self {
            now_ms: BEGIN_MS,
            rng: Rng::with_seed(plan.seed),
            log,
            nodes,
            trace: Vec::new(),
            failure: None,
            scene: plan.scene,
            lossy: plan.lossy,
            faults: plan.faults.clone(),
            queue: BTreeMap::new(),
            scheduled: 0,
            answers: VecDeque::new(),
            power_going: false,
        };
        machines.set_up(setup);
        machines.schedule();
        machines
    }

    fn set_up(&mut self, setup: Vec<Command>) {
        let genesis =
            node::SimPartition::genesis(logs::PARTITION, Incarnation(1), Time(self.now_ms));
        self.log.append(&genesis);
        for node in 0..self.nodes.len() {
            self.nodes[node].start().expect("an empty store opens");
        }
        self.nodes[0].wants_lead = true;
        self.nodes[0].follow(&self.log, self.now_ms).expect("a new log can be followed");
        self.settle_without_delay(0);
        for command in setup {
            let request = node::request(Asker::Nobody, command, None, Time(u64::MAX));
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

    fn schedule(&mut self) {
        for node in 0..self.nodes.len() {
            self.after(1, Event::Tick(node));
        }
        for fault in self.faults.clone() {
            self.after(fault.at_ms, Event::Fault(fault.kind));
        }
    }

    /// Has `event` happen in so long.
    pub(super) fn later(&mut self, ms: u64, event: E) {
        self.after(ms, Event::Asked(event));
    }

    fn after(&mut self, ms: u64, event: Event<E>) {
        self.scheduled += 1;
        self.queue.insert((self.now_ms + ms, self.scheduled), event);
    }

    /// Whether faults may still strike; before the end they may, after it nothing is lost.
    pub(super) fn faulty(&self) -> bool {
        self.lossy && self.now_ms < BEGIN_MS + FAULTS_END_MS
    }

    /// Whether a message is lost, of which `percent` are while anything is.
    pub(super) fn loses(&mut self, percent: u8) -> bool {
        self.faulty() && self.rng.u8(0..100) < percent
    }

    /// How long a message takes.
    pub(super) fn travel_ms(&mut self) -> u64 {
        self.rng.u64(1..5)
    }

    fn faults_are_over(&self) -> bool {
        self.now_ms > BEGIN_MS + FAULTS_END_MS.min(self.last_fault_ms())
    }

    fn last_fault_ms(&self) -> u64 {
        self.faults.last().map_or(0, |fault| fault.at_ms + 2 * RESTART_MS)
    }

    fn next_answer(&mut self) -> Option<Answered> {
        self.answers.pop_front()
    }

    fn handle(&mut self, event: Event<E>) {
        match event {
            Event::Asked(_) => unreachable!("the workload handles what it asked for"),
            Event::Tick(node) => {
                self.drive(node);
                self.touch_owners();
                self.after(TICK_MS, Event::Tick(node));
            }
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
            Event::Delivery(delivery) => {
                self.owners(|partition| partition.deliver(delivery.clone()));
            }
            Event::Acknowledged { by, through } => {
                self.owners(|partition| partition.acknowledged(by, through));
            }
            Event::Fault(kind) => self.strike(&kind),
            Event::PowerGone => self.power_gone(),
            Event::Restart(node) => self.restart(node),
        }
    }

    /// Gives `command` to a node, if it is up.
    pub(super) fn submit(
        &mut self,
        node: usize,
        asker: Asker,
        command: Command,
        key: Option<&str>,
    ) {
        let deadline = self.nodes[node].now(self.now_ms).plus_ms(DEADLINE_MS);
        let Some(partition) = &mut self.nodes[node].partition else { return };
        partition.submit(node::request(asker, command, key, deadline));
        self.drive(node);
    }

    /// Asks a node to read, if it is up.
    pub(super) fn read(&mut self, node: usize, asker: Asker, query: Query) {
        let Some(partition) = &mut self.nodes[node].partition else { return };
        if partition.role() == Role::Owner {
            partition.read((asker, query));
        } else {
            self.answers.push_back(Answered::Deposed(asker));
        }
        self.drive(node);
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
        let deposed = lost.into_iter().map(|(asker, _)| Answered::Deposed(asker));
        self.answers.extend(deposed);
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

    fn carry_out(&mut self, node: usize, output: Output<Domains, Asker, (Asker, Query)>) {
        let life = self.nodes[node].life;
        match output {
            Output::Append { id, attempt, record } => {
                self.submit_append(node, life, id, attempt, record);
            }
            Output::Answer(asker, answer) => {
                self.answers.push_back(Answered::Decided(asker, answer));
            }
            Output::Read((asker, query)) => {
                let Some(partition) = &self.nodes[node].partition else { return };
                let delivered = partition.delivered_now();
                if let Some(found) = self.nodes[node].query(&query, delivered) {
                    self.answers.push_back(Answered::Found(asker, found));
                }
            }
            Output::Changed(_) => {}
            Output::Deliver { to, delivery } => {
                let delivery = Delivery { from: to, ..delivery };
                self.post(|| Event::Delivery(delivery.clone()));
            }
            Output::Acknowledge { to, through } => {
                self.post(|| Event::Acknowledged { by: to, through });
            }
            Output::Flush(frozen) => {
                let delay = self.rng.u64(1..60);
                self.after(delay, Event::Flush { node, life, frozen });
            }
            Output::SteppedDown(why) => self.say(&format!("node {node} steps down: {why}")),
        }
    }

    /// Has something happen between partitions: perhaps not, perhaps late, perhaps twice.
    fn post(&mut self, event: impl Fn() -> Event<E>) {
        if self.loses(10) {
            return;
        }
        if self.loses(20) {
            let late = self.rng.u64(5..400);
            self.after(late, event());
        }
        let delay = self.travel_ms();
        self.after(delay, event());
    }

    /// Whoever believes that it leads takes what comes from other partitions.
    fn owners(&mut self, take: impl Fn(&mut node::SimPartition)) {
        for node in 0..self.nodes.len() {
            if let Some(partition) = &mut self.nodes[node].partition {
                take(partition);
                self.drive(node);
            }
        }
    }

    fn submit_append(&mut self, node: usize, life: u64, id: u64, attempt: u32, record: Record) {
        let pause = if attempt > 0 { 10 } else { 0 };
        let lands = pause + self.rng.u64(1..6);
        let fate = if self.faulty() { self.rng.u8(0..100) } else { 0 };
        let unknown = Event::AppendAnswer { node, life, id, outcome: Outcome::Indeterminate };
        match (fate, self.scene) {
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
        let local = self.scene == Scene::Local;
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
        if self.scene == Scene::Local {
            self.log.down(power);
        }
        self.after(RESTART_MS, Event::Restart(node));
    }

    fn restart(&mut self, node: usize) {
        let opened = if self.scene == Scene::Local { self.log.open(false) } else { Ok(()) };
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

    /// An owner that has nothing to append does not hear that it was deposed, which harms nobody;
    /// but a run ends only when all is known, so each is now and then given something to append.
    fn touch_owners(&mut self) {
        if self.faulty() || self.rng.u8(0..20) > 0 {
            return;
        }
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
        self.trace.push(format!("{:>6} ms  {what}", self.now_ms - BEGIN_MS));
    }
}
