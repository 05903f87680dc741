//! Conversations in the simulator: users who talk, each with a device that follows what they are in over a
//! connection that breaks, and readers who page through what there is.
//!
//! What sends events to those who follow is the node's own [`Live`], one a simulated process.
//! Every user does what their steps say, and then all are left alone until every inbox was told, every
//! reader has read to the end, and whoever is gone is not shown any more.

mod asking;
mod devices;
mod end;
mod observer;

use super::{
    client::ATTEMPTS_MAX,
    judge::{self, Verdict},
    machines::{Answered, BEGIN_MS, Machines, Workload},
    node::{Asker, Ticket},
    plan::{FAULTS_END_MS, Intent, Plan, Step, Talk},
    run::{Broken, Run, Told},
    world::CLIENT_TIMEOUT_MS,
};
use crate::{
    checker,
    history::chat::{ChatHistory, Delivery, Operation, Outcome, Reader, Request, Seen},
};
use devices::Device;
use evenkeel_domains::{
    Command,
    chat::{self, Action, Role},
};
use evenkeel_node::{FollowTicket, Live};
use observer::Observer;
use std::collections::BTreeMap;

/// The conversations of every run, each in a partition of its own. Users' inboxes are in both.
const CONVERSATIONS: [&str; 2] = ["lobby", "team"];
const PARTITIONS: u16 = CONVERSATIONS.len() as u16;
/// Whoever takes part, as many as there are clients.
const USERS: [&str; 5] = ["ada", "bob", "cyd", "dan", "eve"];
const OBSERVE_EVERY_MS: u64 = 35;
/// Without faults, all is told within this: those who are gone without a word longest.
const SETTLES_WITHIN_MS: u64 = 20_000;

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
    /// A wish to follow arrives at a node.
    Follow {
        node: usize,
        ticket: FollowTicket,
    },
    /// Word that somebody does not follow any more arrives at a node.
    Unfollow {
        node: usize,
        entity: u64,
    },
    /// A device takes what waits for it.
    Hear(usize),
    /// A device asks to follow, on this connection.
    Connect {
        device: usize,
        connection: u64,
        place: usize,
    },
    Observe,
}

struct Client {
    steps: std::vec::IntoIter<Step>,
    /// What it asks of which conversation, and how often it has.
    current: Option<(usize, Request, u32)>,
    /// Of what it says now, so much is left to say.
    more: u8,
    said: u64,
    /// Its latest message in each conversation.
    latest: [Option<u64>; CONVERSATIONS.len()],
    /// Of each partition, which node it asks.
    nodes: [usize; CONVERSATIONS.len()],
}

pub(super) struct World {
    machines: Machines<Event>,
    broken: Broken,
    clients: Vec<Client>,
    devices: Vec<Device>,
    observers: Vec<Observer>,
    /// Of each node: what follows there, in which of its lives.
    lives: Vec<(u64, Live)>,
    /// What a wall clock said when a message came, with the breakage `order-by-wall-clock`.
    stamps: BTreeMap<(String, String), u64>,
    calls: BTreeMap<usize, usize>,
    history: ChatHistory,
}

pub(super) fn run(plan: &Plan, broken: Broken) -> Run {
    let mut world = World::new(plan, broken);
    world.run();
    let restless = world.restless();
    if world.machines.failure.is_none() {
        world.history.end = world.end();
    }
    let is_read = world.history.end.is_some();
    let mut verdict = Verdict::default();
    verdict.violations.extend(checker::check_chat(&world.history).violations);
    verdict.violations.extend(judge::came_to_rest(&world.machines, restless, is_read));
    verdict.violations.extend(judge::came_back(&world.machines));
    let text = serde_json::to_vec(&world.history).expect("a history is plain data");
    let fingerprint = judge::fingerprint(&world.machines, &text);
    let World { history, machines, .. } = world;
    Run { told: Told::Chat(history), verdict, fingerprint, trace: machines.trace }
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
            Event::Reply { operation, outcome } => self.hear_answer(operation, outcome),
            Event::Timeout(operation) => self.hear_answer(operation, Outcome::Unknown),
            Event::Follow { node, ticket } => self.follow(node, ticket),
            Event::Unfollow { node, entity } => self.live(node).part([entity]),
            Event::Hear(device) => self.hear(device),
            Event::Connect { device, connection, place } => self.connect(device, connection, place),
            Event::Observe => {
                self.observe();
                self.sweep();
                self.machines.later(OBSERVE_EVERY_MS, Event::Observe);
            }
        }
    }

    fn answered(&mut self, answered: Answered) {
        match answered {
            Answered::Decided(Asker::Client(ticket), answer) => {
                let outcome = asking::outcome(answer);
                let Ticket { client, operation } = ticket;
                if matches!(outcome, Outcome::TurnedAway(_)) {
                    let place = self.place_of(operation);
                    self.clients[client].nodes[place] += 1;
                }
                if !self.machines.loses(6) {
                    let delay = self.machines.travel_ms();
                    self.machines.later(delay, Event::Reply { operation, outcome });
                }
            }
            Answered::Changed { node, entity } if entity.domain == chat::DOMAIN => {
                self.send_live(node, entity.id);
            }
            Answered::SteppedDown(node) => self.live(node).give_up(),
            _ => {}
        }
    }

    fn is_done(&mut self) -> bool {
        let gives_up = self.now_ms() > FAULTS_END_MS + SETTLES_WITHIN_MS;
        (gives_up || self.restless().is_none()) && judge::all_is_known(&self.machines)
    }
}

impl World {
    fn new(plan: &Plan, broken: Broken) -> Self {
        let users = USERS.iter().zip(&plan.clients).map(|(user, _)| (*user).to_owned());
        let members: BTreeMap<String, Role> = users.map(|user| (user, Role::Writer)).collect();
        let setup = CONVERSATIONS.iter().enumerate().map(|(place, conversation)| {
            let action = Action::Put { members: members.clone(), retention_ms: None };
            let conversation = (*conversation).to_owned();
            (place, Command::Chat(chat::Command { conversation, by: None, action }))
        });
        let client = |steps: &Vec<Step>| Client {
            steps: steps.clone().into_iter(),
            current: None,
            more: 0,
            said: 0,
            latest: Default::default(),
            nodes: Default::default(),
        };
        let machines = Machines::of_partitions(PARTITIONS, plan, broken, setup.collect());
        let mut world = Self {
            lives: machines.nodes.iter().map(|node| (node.life, Live::default())).collect(),
            machines,
            broken,
            clients: plan.clients.iter().map(client).collect(),
            devices: Vec::new(),
            observers: Vec::new(),
            stamps: BTreeMap::new(),
            calls: BTreeMap::new(),
            history: ChatHistory::default(),
        };
        for (client, user) in (0..plan.clients.len()).zip(USERS) {
            let readers = CONVERSATIONS.map(|conversation| {
                world.reader(format!("the device of {user}"), conversation, Some(user))
            });
            world.devices.push(Device::new(user, readers, broken.chat));
            world.connect_all(client, 1);
            world.machines.later(1, Event::Hear(client));
            world.next_step(client);
        }
        for conversation in CONVERSATIONS {
            let reader = world.reader(format!("a reader of {conversation}"), conversation, None);
            world.observers.push(Observer::new(reader));
        }
        world.machines.later(10, Event::Observe);
        world
    }

    fn reader(&mut self, name: String, conversation: &str, user: Option<&str>) -> usize {
        self.history.readers.push(Reader {
            name,
            conversation: conversation.to_owned(),
            user: user.map(str::to_owned),
            ..Reader::default()
        });
        self.history.readers.len() - 1
    }

    fn sees(&mut self, reader: usize, what: Delivery) {
        let at_ms = self.now_ms();
        self.history.seen.push(Seen { reader, at_ms, what });
    }

    /// Since the run began.
    fn now_ms(&self) -> u64 {
        self.machines.now_ms - BEGIN_MS
    }

    fn place_of(&self, operation: usize) -> usize {
        let name = &self.history.operations[operation].conversation;
        CONVERSATIONS.iter().position(|other| other == name).unwrap_or_default()
    }

    fn next_step(&mut self, id: usize) {
        loop {
            let client = &mut self.clients[id];
            let Some(step) = client.steps.next() else { return };
            let Intent::Talk(talk) = step.intent else { continue };
            let place = step.resource;
            let pause_ms = step.pause_ms + 1;
            match talk {
                Talk::Vanish { with_a_word } => {
                    self.vanish(id, with_a_word);
                    continue;
                }
                Talk::Sleep { ms } => {
                    self.devices[id].sleeps_until_ms = self.machines.now_ms + ms;
                    continue;
                }
                Talk::Chatter(times) => client.more = times - 1,
                _ => {}
            }
            if let Some(request) = self.request(id, place, talk) {
                self.clients[id].current = Some((place, request, 0));
                self.machines.later(pause_ms, Event::Next(id));
                return;
            }
        }
    }

    fn request(&mut self, id: usize, place: usize, talk: Talk) -> Option<Request> {
        let heard = self.devices[id].last(place);
        let client = &mut self.clients[id];
        Some(match talk {
            Talk::Say | Talk::Chatter(_) => {
                client.said += 1;
                let client_id = format!("m{}", client.said);
                let body = format!("\"{} {}\"", USERS[id], client.said);
                Request::Send { client_id, body }
            }
            Talk::Edit => {
                let message = client.latest[place]?;
                client.said += 1;
                Request::Edit {
                    message,
                    body: format!("\"{} {}, mended\"", USERS[id], client.said),
                }
            }
            Talk::TakeBack => Request::Delete { message: client.latest[place].take()? },
            Talk::Read => Request::Read { message: Some(heard).filter(|heard| *heard > 0)? },
            Talk::Leave => Request::Leave,
            Talk::Join => Request::Join,
            Talk::Vanish { .. } | Talk::Sleep { .. } => return None,
        })
    }

    /// Sends the current request of a client, as a new attempt.
    fn ask(&mut self, id: usize) {
        let client = &mut self.clients[id];
        let Some((place, request, attempts)) = &mut client.current else { return };
        *attempts += 1;
        let (place, request) = (*place, request.clone());
        let asks = client.nodes[place];
        let operation = self.history.call(Operation {
            user: USERS[id].to_owned(),
            conversation: CONVERSATIONS[place].to_owned(),
            request,
            called_ms: self.machines.now_ms - BEGIN_MS,
            returned: None,
        });
        self.calls.insert(operation, id);
        let nodes = self.machines.nodes_of(place);
        let node = nodes.start + asks % nodes.len();
        if !self.machines.loses(4) {
            let delay = self.machines.travel_ms();
            self.machines.later(delay, Event::Arrive { node, operation });
        }
        self.machines.later(CLIENT_TIMEOUT_MS, Event::Timeout(operation));
    }

    fn arrive(&mut self, node: usize, operation: usize) {
        let asked = &self.history.operations[operation];
        let command = asking::command(asked);
        if let Request::Send { client_id, .. } = &asked.request {
            let name = (asked.user.clone(), client_id.clone());
            let stamp = self.machines.nodes[node].wall_ms(self.machines.now_ms);
            self.stamps.entry(name).or_insert(stamp);
        }
        if let Some(client) = self.calls.get(&operation) {
            let asker = Asker::Client(Ticket { client: *client, operation });
            self.machines.submit(node, asker, command, None);
        }
    }

    /// A client hears an answer, or gives the attempt up. Everything that it asks can be asked again.
    fn hear_answer(&mut self, operation: usize, outcome: Outcome) {
        let Some(id) = self.calls.remove(&operation) else { return };
        let now_ms = self.now_ms();
        let client = &mut self.clients[id];
        let Some((place, request, attempts)) = client.current.clone() else { return };
        if let (Request::Send { .. }, Outcome::Sent { seq, .. }) = (&request, &outcome) {
            client.latest[place] = Some(*seq);
        }
        let again = match &outcome {
            Outcome::TurnedAway(_) => true,
            Outcome::Unknown => {
                client.nodes[place] += 1;
                true
            }
            _ => false,
        };
        self.history.returns(operation, now_ms, outcome);
        if again && attempts < ATTEMPTS_MAX {
            let pause = self.machines.rng.u64(5..60);
            self.machines.later(pause, Event::Next(id));
            return;
        }
        client.current = None;
        if client.more > 0 {
            client.more -= 1;
            let next = self.request(id, place, Talk::Say).map(|request| (place, request, 0));
            self.clients[id].current = next;
            self.machines.later(1, Event::Next(id));
        } else {
            self.next_step(id);
        }
    }
}
