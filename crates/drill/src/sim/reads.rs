//! What reads cost that wait for the log, beside reads that do not: many who read a timeline, two who post to it, and
//! two nodes over a log elsewhere, in virtual time. For a part of the time the log takes nothing.
//!
//! Nothing is judged here: the runs that are have faults.

use super::{
    logs::PARTITION,
    machines::{Answered, BEGIN_MS, Machines, Workload},
    node::{Asker, Ticket},
    plan::{Fault, FaultKind, Plan, Product, Scene},
    run::Broken,
    world::CLIENT_TIMEOUT_MS,
};
use evenkeel_domains::{
    Command, Found, Query,
    feed::{self, Action, What},
};
use evenkeel_engine::{Delivered, Time};
use evenkeel_log::Offset;
use std::ops::Range;

const USER: &str = "ada";
const WRITERS: usize = 2;
/// Between a post that was acknowledged and the next.
const POSTS_EVERY_MS: u64 = 20;
const PAGE: usize = 20;
/// A replica that has not what a session has seen looks again after this.
const LOOK_AGAIN_MS: u64 = 2;

/// How reads are asked.
#[derive(Debug, Clone, Copy)]
pub struct ReadsPlan {
    /// What is drawn while it runs.
    pub seed: u64,
    /// Who reads, one page after the other.
    pub readers: usize,
    /// For so long, in virtual time.
    pub duration_ms: u64,
    /// Whether each read waits for the log.
    pub linearized: bool,
}

/// What became of reads.
#[derive(Debug, Clone, Default)]
pub struct ReadsRun {
    /// How long each took that was answered, while the log took what there was.
    pub latencies_ms: Vec<u64>,
    /// Posts that were acknowledged then.
    pub posts: u64,
    /// How long that was.
    pub well_ms: u64,
    /// Records that the log took in all.
    pub records: u64,
    /// Reads that were asked while the log took nothing, and those of them that were answered in time.
    pub while_away: (u64, u64),
}

impl ReadsPlan {
    /// Whoever reads waits so long.
    pub const WAITS_MS: u64 = CLIENT_TIMEOUT_MS;

    /// When the log takes nothing: a fifth of the time.
    #[must_use]
    pub fn away(&self) -> Range<u64> {
        self.duration_ms * 2 / 5..self.duration_ms * 3 / 5
    }
}

enum Event {
    Ask(usize),
    Arrive {
        node: usize,
        ticket: Ticket,
    },
    /// None: it asks another.
    Reply {
        ticket: Ticket,
        offset: Option<Offset>,
    },
    Timeout(Ticket),
}

/// Somebody who asks one thing after the other.
#[derive(Clone, Copy, Default)]
struct Client {
    /// Counts what was asked.
    call: usize,
    called_ms: u64,
    session: Offset,
    /// Which node is asked, where that is not any.
    node: usize,
}

struct World {
    machines: Machines<Event>,
    plan: ReadsPlan,
    /// The readers, and then the writers.
    clients: Vec<Client>,
    run: ReadsRun,
}

/// Has reads asked.
#[must_use]
pub fn measure_reads(plan: ReadsPlan) -> ReadsRun {
    let away = plan.away();
    let log_away = FaultKind::LogAway { ms: away.end - away.start };
    let scene = Plan {
        seed: plan.seed,
        scene: Scene::Cluster,
        product: Product::Feed,
        depth: 1,
        lossy: false,
        clients: Vec::new(),
        faults: vec![Fault { at_ms: away.start, kind: log_away }],
    };
    let machines = Machines::new(&scene, Broken::default(), Vec::new());
    let before = machines.log.tail(PARTITION).offset.0;
    let clients = vec![Client::default(); plan.readers + WRITERS];
    let mut world = World { machines, plan, clients, run: ReadsRun::default() };
    for client in 0..world.clients.len() {
        let pause = world.machines.rng.u64(1..POSTS_EVERY_MS);
        world.machines.later(pause, Event::Ask(client));
    }
    world.run();
    let World { machines, run, .. } = world;
    let records = machines.log.tail(PARTITION).offset.0 - before;
    ReadsRun { records, well_ms: plan.duration_ms - (away.end - away.start), ..run }
}

impl Workload for World {
    type Event = Event;

    fn machines(&mut self) -> &mut Machines<Event> {
        &mut self.machines
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Ask(client) => self.ask(client),
            Event::Arrive { node, ticket } => self.arrive(node, ticket),
            Event::Reply { ticket, offset } => self.hear(ticket, offset),
            Event::Timeout(ticket) => {
                if self.is_current(ticket) {
                    self.machines.later(1, Event::Ask(ticket.client));
                }
            }
        }
    }

    fn answered(&mut self, answered: Answered) {
        let (ticket, offset) = match answered {
            Answered::Found(Asker::Client(ticket), _) => (ticket, Some(Offset(0))),
            Answered::Decided(Asker::Client(ticket), answer) => {
                (ticket, answer.outcome.is_ok().then_some(answer.delivered.offset))
            }
            Answered::Deposed(Asker::Client(ticket)) => (ticket, None),
            _ => return,
        };
        self.reply(ticket, offset);
    }

    fn is_done(&mut self) -> bool {
        self.now_ms() >= self.plan.duration_ms
    }
}

impl World {
    fn now_ms(&self) -> u64 {
        self.machines.now_ms - BEGIN_MS
    }

    fn is_reader(&self, client: usize) -> bool {
        client < self.plan.readers
    }

    fn is_current(&self, ticket: Ticket) -> bool {
        self.clients[ticket.client].call == ticket.operation
    }

    fn ask(&mut self, id: usize) {
        let called_ms = self.now_ms();
        let any = self.machines.rng.usize(self.machines.nodes_of(0));
        let linearized = self.plan.linearized || !self.is_reader(id);
        let client = &mut self.clients[id];
        client.call += 1;
        client.called_ms = called_ms;
        let ticket = Ticket { client: id, operation: client.call };
        let node = if linearized { client.node % self.machines.nodes.len() } else { any };
        if self.is_reader(id) && self.plan.away().contains(&called_ms) {
            self.run.while_away.0 += 1;
        }
        let delay = self.machines.travel_ms();
        self.machines.later(delay, Event::Arrive { node, ticket });
        self.machines.later(CLIENT_TIMEOUT_MS, Event::Timeout(ticket));
    }

    fn arrive(&mut self, node: usize, ticket: Ticket) {
        if !self.is_current(ticket) {
            return;
        }
        if !self.is_reader(ticket.client) {
            let post = Action::Post {
                client_id: format!("{}-{}", ticket.client, ticket.operation),
                body: "\"hello\"".to_owned(),
            };
            let command = feed::Command { user: USER.to_owned(), by: None, action: post };
            return self.machines.submit(node, Asker::Client(ticket), Command::Feed(command), None);
        }
        let what = What::Timeline { before: None, limit: PAGE };
        let query = Query::Feed(feed::Query { user: USER.to_owned(), by: None, what });
        if self.plan.linearized {
            return self.machines.read(node, Asker::Client(ticket), query);
        }
        let there = &self.machines.nodes[node];
        let offset = there.partition.as_ref().map_or(Offset(0), |one| one.tail().offset);
        let at = Time(self.machines.now_ms);
        let delivered = Delivered { offset, at, replayed: false };
        let has_seen = offset >= self.clients[ticket.client].session;
        match there.query(&query, delivered).filter(|_| has_seen) {
            Some(Found::Feed(_)) => self.reply(ticket, Some(offset)),
            _ => self.machines.later(LOOK_AGAIN_MS, Event::Arrive { node, ticket }),
        }
    }

    fn reply(&mut self, ticket: Ticket, offset: Option<Offset>) {
        let delay = self.machines.travel_ms();
        self.machines.later(delay, Event::Reply { ticket, offset });
    }

    fn hear(&mut self, ticket: Ticket, offset: Option<Offset>) {
        if !self.is_current(ticket) {
            return;
        }
        let (now_ms, is_reader) = (self.now_ms(), self.is_reader(ticket.client));
        let client = &mut self.clients[ticket.client];
        match offset {
            Some(offset) => {
                client.session = client.session.max(offset);
                let away = self.plan.away().contains(&client.called_ms);
                match (is_reader, away) {
                    (true, true) => self.run.while_away.1 += 1,
                    (true, false) => self.run.latencies_ms.push(now_ms - client.called_ms),
                    (false, _) => self.run.posts += u64::from(!away),
                }
            }
            None => client.node += 1,
        }
        // Whatever else comes of it comes too late.
        client.call += 1;
        let pause = if is_reader { 1 } else { POSTS_EVERY_MS };
        self.machines.later(pause, Event::Ask(ticket.client));
    }
}
