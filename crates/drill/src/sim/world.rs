//! Reservations in the simulator: clients that hold, confirm and give back, and subscribers.

use super::{
    client::{self, ATTEMPTS_MAX, Attempt, Client},
    judge,
    machines::{Answered, Machines, Workload},
    node::{self, Asker, Ticket},
    plan::{Plan, inventory},
    run::{Broken, Run},
    subscriber::Subscriber,
};
use crate::history::{History, Outcome as Heard, Request};
use evenkeel_domains::{Domains, Found, Query, reservations};
use evenkeel_engine::{Answer, Failure};

/// A client hears nothing for so long, and asks again.
pub(super) const CLIENT_TIMEOUT_MS: u64 = 300;
const OBSERVE_EVERY_MS: u64 = 35;

pub(super) enum Event {
    ClientNext(usize),
    Arrive { node: usize, ticket: Ticket },
    Reply { ticket: Ticket, outcome: Heard },
    ClientTimeout(Ticket),
    Observe,
}

pub(super) struct World {
    pub(super) machines: Machines<Event>,
    clients: Vec<Client>,
    pub(super) subscribers: Vec<Subscriber>,
    pub(super) history: History,
    /// When each operation was called and returned, in virtual time.
    pub(super) times_ms: Vec<(u64, Option<u64>)>,
}

pub(super) fn run(plan: &Plan, broken: Broken) -> Run {
    let mut world = World::new(plan, broken);
    world.run();
    judge::judge(world)
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
            Event::ClientTimeout(ticket) => self.hear(ticket, Heard::Unknown),
            Event::Observe => {
                self.observe();
                self.machines.later(OBSERVE_EVERY_MS, Event::Observe);
            }
        }
    }

    fn answered(&mut self, answered: Answered) {
        match answered {
            Answered::Decided(Asker::Client(ticket), answer) => self.answer(ticket, answer),
            Answered::Found(
                Asker::Client(ticket),
                Found::Reservations(reservations::Found::Resource(view)),
            ) => self.send_reply(ticket, client::counted(&view)),
            Answered::Deposed(Asker::Client(ticket)) => {
                self.send_reply(ticket, Heard::TurnedAway("not the owner".into()));
            }
            _ => {}
        }
    }

    fn is_done(&mut self) -> bool {
        self.clients
            .iter()
            .all(|client| client.current.is_none() && client.steps.as_slice().is_empty())
            && judge::is_quiet(self)
    }
}

impl World {
    fn new(plan: &Plan, broken: Broken) -> Self {
        let clients = plan.clients.iter().cloned().enumerate();
        let mut world = Self {
            machines: Machines::new(plan, broken, node::setup()),
            clients: clients.map(|(id, steps)| Client::new(id as u64, steps)).collect(),
            subscribers: inventory().into_iter().map(|(name, _)| Subscriber::new(name)).collect(),
            history: History::new(inventory()),
            times_ms: Vec::new(),
        };
        for client in 0..world.clients.len() {
            world.next_step(client);
        }
        world.machines.later(10, Event::Observe);
        world
    }

    fn next_step(&mut self, client: usize) {
        let Some((pause_ms, resource, request, key)) = self.clients[client].next_request() else {
            return;
        };
        let attempt = Attempt { operation: 0, resource, request, key, number: 0 };
        self.clients[client].current = Some(attempt);
        self.machines.later(pause_ms + 1, Event::ClientNext(client));
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
        self.times_ms.push((self.machines.now_ms, None));
        let current = Attempt { operation, number: attempt.number + 1, ..attempt };
        self.clients[client].current = Some(current);
        let ticket = Ticket { client, operation };
        let node = self.clients[client].node % self.machines.nodes.len();
        if !self.machines.loses(4) {
            let delay = self.machines.travel_ms();
            self.machines.later(delay, Event::Arrive { node, ticket });
        }
        self.machines.later(CLIENT_TIMEOUT_MS, Event::ClientTimeout(ticket));
    }

    fn arrive(&mut self, node: usize, ticket: Ticket) {
        let operation = &self.history.operations[ticket.operation];
        let (name, key) = (operation.resource.clone(), operation.key.clone());
        let command = client::command(&name, key.as_deref(), &operation.request);
        let asker = Asker::Client(ticket);
        if let Some(command) = command {
            self.machines.submit(node, asker, command, key.as_deref());
        } else {
            let query = Query::Reservations(reservations::Query::Resource { resource: name });
            self.machines.read(node, asker, query);
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer<Domains>) {
        let request = self.history.operations[ticket.operation].request.clone();
        let turned_away = matches!(answer.outcome, Err(Failure::Unavailable(_)));
        self.send_reply(ticket, client::outcome(&request, answer));
        if turned_away {
            self.clients[ticket.client].node += 1;
        }
    }

    fn send_reply(&mut self, ticket: Ticket, outcome: Heard) {
        if !self.machines.loses(6) {
            let delay = self.machines.travel_ms();
            self.machines.later(delay, Event::Reply { ticket, outcome });
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
        self.times_ms[ticket.operation].1 = Some(self.machines.now_ms);
        self.history.returns(ticket.operation, outcome);
        if again {
            let pause = self.machines.rng.u64(5..60);
            self.machines.later(pause, Event::ClientNext(ticket.client));
        } else {
            self.clients[ticket.client].current = None;
            self.next_step(ticket.client);
        }
    }

    /// Subscribers read on, each from some node that has what it has seen.
    fn observe(&mut self) {
        for index in 0..self.subscribers.len() {
            let node = self.machines.rng.usize(0..self.machines.nodes.len());
            let limit = self.machines.rng.usize(1..4);
            self.subscribers[index].read(&self.machines.nodes[node], limit, self.machines.now_ms);
        }
    }
}
