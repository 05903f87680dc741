//! The machines: nodes, their log, virtual time and faults, whatever is asked of them.
//!
//! They carry out what the engine says and hand its answers to a [`Workload`], which asks.

use super::{
    logs::SimLog,
    node::{self, Asker, SimNode},
    plan::{FAULTS_END_MS, Fault, FaultKind, Plan, Scene},
    run::Broken,
};
use evenkeel_domains::{Command, Domains, Found, Query};
use evenkeel_engine::{
    Answer, Barrier, Delivery, Entity, Mark, Options, Outcome, Output, Role, Time,
};
use evenkeel_log::{Incarnation, PartitionId, Record};
use evenkeel_state::Frozen;
use fastrand::Rng;
use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

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
/// Of the letters between partitions, so many are lost; of the others, as many come twice, or late.
const LETTERS_LOST_PERCENT: u8 = 15;

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
    /// An entity has something new at this node.
    Changed {
        node: usize,
        entity: Entity,
    },
    /// This node leads no longer.
    SteppedDown(usize),
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
    /// A delivery, or that one was done, arrives at a node.
    Letter {
        node: usize,
        letter: Letter,
    },
    Fault(FaultKind),
    PowerGone,
    Restart(usize),
}

/// What one partition tells another.
#[derive(Clone)]
pub(super) enum Letter {
    Deliver(Delivery),
    Done { by: PartitionId, through: Mark },
}

pub(super) struct Machines<E> {
    pub(super) now_ms: u64,
    pub(super) rng: Rng,
    pub(super) log: SimLog,
    pub(super) nodes: Vec<SimNode>,
    pub(super) trace: Vec<String>,
    pub(super) failure: Option<String>,
    partitions: usize,
    scene: Scene,
    lossy: bool,
    faults: Vec<Fault>,
    queue: BTreeMap<(u64, u64), Event<E>>,
    scheduled: u64,
    answers: VecDeque<Answered>,
    /// The power will go at some change to the disk.
    power_going: bool,
    /// Until then the log takes nothing.
    log_away_until_ms: u64,
}

impl<E> Machines<E> {
    /// Brings the partition into being, and does `setup` before anything goes wrong.
    pub(super) fn new(plan: &Plan, broken: Broken, setup: Vec<Command>) -> Self {
        let setup = setup.into_iter().map(|command| (0, command)).collect();
        Self::of_partitions(1, plan, broken, setup)
    }

    /// The same of several, which work for each other: first all nodes of the first, then all of the
    /// next. What is set up goes to the partition that it names.
    pub(super) fn of_partitions(
        partitions: u16,
        plan: &Plan,
        broken: Broken,
        setup: Vec<(usize, Command)>,
    ) -> Self {
        let (log, nodes, barrier) = match plan.scene {
            Scene::Cluster => (SimLog::shared(!broken.no_tail_check), 2, Barrier::Append),
            Scene::Local => (SimLog::disk(plan.seed, broken.no_fsync), 1, Barrier::Free),
        };
        let options =
            Options { depth: plan.depth, barrier, switches: broken.engine, ..Options::default() };
        let domains = Domains { partitions, switches: broken.domains, ..Domains::default() };
        let processes = (0..partitions).flat_map(|id| (0..nodes).map(move |_| PartitionId(id)));
        let nodes = (0..)
            .zip(processes)
            .map(|(number, id)| {
                SimNode::new(number, id, (options.clone(), domains.clone()), broken.wall_clock)
            })
            .collect();
        let mut machines = Self {
            now_ms: BEGIN_MS,
            rng: Rng::with_seed(plan.seed),
            log,
            nodes,
            trace: Vec::new(),
            failure: None,
            partitions: usize::from(partitions),
            scene: plan.scene,
            lossy: plan.lossy,
            faults: plan.faults.clone(),
            queue: BTreeMap::new(),
            scheduled: 0,
            answers: VecDeque::new(),
            power_going: false,
            log_away_until_ms: 0,
        };
        machines.set_up(setup);
        machines.schedule();
        machines
    }

    fn set_up(&mut self, setup: Vec<(usize, Command)>) {
        for node in 0..self.nodes.len() {
            self.nodes[node].start().expect("an empty store opens");
        }
        for partition in 0..self.partitions {
            let first = self.nodes_of(partition).start;
            let id = self.nodes[first].id;
            let genesis = node::SimPartition::genesis(id, Incarnation(1), Time(self.now_ms));
            self.log.append(&genesis);
            self.nodes[first].wants_lead = true;
            self.nodes[first].follow(&self.log, self.now_ms).expect("a new log can be followed");
            self.settle_without_delay(first);
        }
        for (partition, command) in setup {
            let first = self.nodes_of(partition).start;
            let request = node::request(Asker::Nobody, command, None, Time(u64::MAX));
            let partition = self.nodes[first].partition.as_mut().expect("it was started");
            partition.submit(request);
            self.settle_without_delay(first);
        }
    }

    /// Every partition.
    pub(super) fn ids(&self) -> impl Iterator<Item = PartitionId> {
        (0..self.partitions).map(|partition| self.nodes[self.nodes_of(partition).start].id)
    }

    /// The nodes of the so-manyth partition.
    pub(super) fn nodes_of(&self, partition: usize) -> Range<usize> {
        let nodes = self.nodes.len() / self.partitions;
        partition * nodes..(partition + 1) * nodes
    }

    /// Whether nothing is on its way from one partition to another, as far as their owners know.
    pub(super) fn outboxes_are_empty(&self) -> bool {
        let partitions = self.nodes.iter().filter_map(|node| node.partition.as_ref());
        let mut owners = partitions.filter(|partition| partition.role() == Role::Owner);
        owners.all(|owner| owner.outbox_stats().rows == 0)
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
            Event::Letter { node, letter } => {
                if let Some(partition) = &mut self.nodes[node].partition {
                    match letter {
                        Letter::Deliver(delivery) => partition.deliver(delivery),
                        Letter::Done { by, through } => partition.acknowledged(by, through),
                    }
                    self.drive(node);
                }
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
        let id = self.nodes[node].id;
        let led = self.nodes.iter().filter(|node| node.id == id).any(|node| {
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
            Output::Deliver { to, delivery } => self.carry(to, &Letter::Deliver(delivery)),
            Output::Acknowledge { to, through } => {
                let by = self.nodes[node].id;
                self.carry(to, &Letter::Done { by, through });
            }
            Output::Changed(entity) => {
                self.answers.push_back(Answered::Changed { node, entity });
            }
            Output::Flush(frozen) => {
                let delay = self.rng.u64(1..60);
                self.after(delay, Event::Flush { node, life, frozen });
            }
            Output::SteppedDown(why) => {
                self.say(&format!("node {node} steps down: {why}"));
                self.answers.push_back(Answered::SteppedDown(node));
            }
        }
    }

    /// Letters are lost, come late, twice and in any order, and to whoever does not lead. To a partition
    /// that there is not, none comes.
    fn carry(&mut self, to: PartitionId, letter: &Letter) {
        let nodes = usize::from(to.0);
        if nodes >= self.partitions || self.loses(LETTERS_LOST_PERCENT) {
            return;
        }
        let copies = if self.loses(LETTERS_LOST_PERCENT) { 2 } else { 1 };
        for _ in 0..copies {
            let late = self.loses(LETTERS_LOST_PERCENT);
            let ms = self.travel_ms() + if late { self.rng.u64(1..400) } else { 0 };
            let anyone = self.rng.usize(self.nodes_of(nodes));
            // Once all is well, it is known who leads.
            let leads = |node: &usize| self.nodes[*node].role() == Some(Role::Owner);
            let leader = self.nodes_of(nodes).find(leads).filter(|_| !self.faulty());
            let node = leader.unwrap_or(anyone);
            self.after(ms, Event::Letter { node, letter: letter.clone() });
        }
    }

    fn submit_append(&mut self, node: usize, life: u64, id: u64, attempt: u32, record: Record) {
        let away_ms = self.log_away_until_ms.saturating_sub(self.now_ms);
        let pause = away_ms + if attempt > 0 { 10 } else { 0 };
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
        // Plans know the nodes of one partition.
        let which = if self.partitions > 1 { self.rng.usize(0..self.partitions) } else { 0 };
        let first = self.nodes_of(which).start;
        match kind {
            FaultKind::Kill { node, wipe } => self.kill(first + *node, *wipe, false),
            FaultKind::PowerLoss { at_change } => {
                self.log.power_off_at(*at_change);
                self.power_going = true;
                self.after(60, Event::PowerGone);
            }
            FaultKind::TakeOver { node } => {
                let node = first + *node;
                if self.nodes[node].role() == Some(Role::Follower) {
                    self.say(&format!("node {node} tries to take over"));
                    self.nodes[node].wants_lead = true;
                    self.drive(node);
                }
            }
            FaultKind::ClockStep { node, by_ms } => {
                let node = first + *node;
                self.say(&format!("the wall clock of node {node} jumps by {by_ms} ms"));
                self.nodes[node].wall_offset_ms += by_ms;
            }
            FaultKind::LogAway { ms } => self.log_away_until_ms = self.now_ms + ms,
            FaultKind::Checkpoint { node } => {
                if let Some(partition) = &mut self.nodes[first + *node].partition {
                    partition.request_checkpoint();
                }
            }
        }
    }

    /// The power goes, unless it is off already.
    fn power_gone(&mut self) {
        if std::mem::take(&mut self.power_going) {
            if self.nodes.iter().any(|node| node.partition.is_some()) {
                self.kill(0, false, true);
            } else {
                self.log.down(true);
            }
        }
    }

    /// On one machine, a process has all partitions.
    fn kill(&mut self, node: usize, wipe: bool, power: bool) {
        let local = self.scene == Scene::Local;
        let nodes = if local { 0..self.nodes.len() } else { node..node + 1 };
        if nodes.clone().all(|node| self.nodes[node].partition.is_none()) {
            return;
        }
        let what = if power { "the machine loses power" } else { "the process is killed" };
        self.say(&format!("node {node}: {what}"));
        nodes.for_each(|node| self.nodes[node].kill(wipe));
        if local {
            self.log.down(power);
        }
        self.after(RESTART_MS, Event::Restart(node));
    }

    fn restart(&mut self, node: usize) {
        let local = self.scene == Scene::Local;
        let nodes = if local { 0..self.nodes.len() } else { node..node + 1 };
        let opened = if local { self.log.open(false) } else { Ok(()) };
        let started =
            opened.and_then(|()| nodes.into_iter().try_for_each(|node| self.nodes[node].start()));
        match started {
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
        for node in &mut self.nodes {
            let tail = self.log.tail(node.id);
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
