//! Feeds in the simulator: users over several partitions who post, follow, part, react and read their
//! timelines, each in a session of their own; and subscribers, who follow what comes to those.
//!
//! How late a timeline is, is found out as a node does, by the node's own code, from what each partition
//! says of itself. That is where one process has all partitions: it is what is served. In a cluster nothing is said of it,
//! and timelines are read from whichever node has what the session has seen.
//!
//! Every user does what their steps say, and then all are left alone until every post has come to where it is
//! read.

mod asking;
mod end;
mod kept;
mod reading;
mod subscribers;

use super::{
    client::ATTEMPTS_MAX,
    judge::{self, Verdict},
    machines::{Answered, BEGIN_MS, Machines, Workload},
    node::{Asker, Ticket},
    plan::{FAULTS_END_MS, Intent, Plan, Scene, Social, Step},
    run::{Broken, Run, Told},
    world::CLIENT_TIMEOUT_MS,
};
use crate::{
    checker,
    history::feed::{Bond, FeedHistory, Operation, Outcome, Page, Place, Request},
};
use evenkeel_domains::{Command, feed, is_view, user_partition};
use evenkeel_engine::TenantId;
use evenkeel_log::Offset;
use kept::{Cache, Loading, Read};
use reading::{Reading, Views};
use std::collections::BTreeMap;
use subscribers::Subscriber;

/// Whoever takes part; the first as many as there are clients do something themselves. All follow the first.
pub(super) const USERS: [&str; 5] = ["star", "bob", "cyd", "dan", "eve"];
const PARTITIONS: u16 = 3;
/// Who follows whom before anything goes wrong, by number.
const FOLLOWS: [(usize, usize); 7] = [(1, 0), (2, 0), (3, 0), (4, 0), (0, 1), (2, 1), (3, 2)];
const OBSERVE_EVERY_MS: u64 = 35;
/// Without faults, all has come to where it is read within this.
const SETTLES_WITHIN_MS: u64 = 20_000;
/// When nothing was on its way for so long, nothing comes any more: counts are told after
/// [`feed::COUNTS_EVERY_MS`].
const QUIET_MS: u64 = 2 * feed::COUNTS_EVERY_MS;

pub(super) enum Event {
    /// A client's next request, or its current one again.
    Next(usize),
    Arrive {
        node: usize,
        operation: usize,
    },
    /// A node asks one more of its partitions how late timelines are.
    Survey(Reading),
    /// A node reads a timeline.
    Look(Reading),
    /// What was read to be kept comes to who keeps it.
    Loaded(Loading, Result<Read, String>),
    Reply {
        operation: usize,
        outcome: Outcome,
        offset: Offset,
    },
    Timeout(usize),
    Observe,
}

/// What a client asks.
#[derive(Clone)]
struct Current {
    request: Request,
    /// Of a read: how late it may be.
    bound_ms: u64,
    attempts: u32,
}

struct Client {
    steps: std::vec::IntoIter<Step>,
    current: Option<Current>,
    /// Of what it posts now, so much is left.
    more: u8,
    /// Of what it reads now, so many pages are.
    pages: u8,
    posted: u64,
    /// Its own latest post.
    latest: Option<u64>,
    /// What it has read last.
    read: Vec<Place>,
    /// Of each partition, which node it asks.
    nodes: [usize; PARTITIONS as usize],
    /// Of each partition, what it has seen.
    session: [Offset; PARTITIONS as usize],
}

pub(super) struct World {
    machines: Machines<Event>,
    scene: Scene,
    /// By number, the partition of each user.
    places: [usize; USERS.len()],
    clients: Vec<Client>,
    subscribers: Vec<Subscriber>,
    /// Of each node, what it knows of how late views elsewhere are.
    views: Vec<Views>,
    /// What the one process keeps of timelines.
    cache: Cache,
    /// Since when nothing is on its way.
    quiet_since_ms: Option<u64>,
    calls: BTreeMap<usize, usize>,
    history: FeedHistory,
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
    verdict.violations.extend(checker::check_feed(&world.history).violations);
    verdict.violations.extend(judge::came_to_rest(&world.machines, restless, is_read));
    verdict.violations.extend(judge::came_back(&world.machines));
    let text = serde_json::to_vec(&world.history).expect("a history is plain data");
    let fingerprint = judge::fingerprint(&world.machines, &text);
    let World { history, machines, .. } = world;
    Run { told: Told::Feed(history), verdict, fingerprint, trace: machines.trace }
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
            Event::Survey(reading) => self.survey(reading),
            Event::Look(reading) => self.look(reading),
            Event::Loaded(loading, read) => self.loaded(loading, read),
            Event::Reply { operation, outcome, offset } => {
                self.hear_answer(operation, outcome, offset);
            }
            Event::Timeout(operation) => {
                self.hear_answer(operation, Outcome::Unknown, Offset(0));
            }
            Event::Observe => {
                self.observe();
                self.machines.later(OBSERVE_EVERY_MS, Event::Observe);
            }
        }
    }

    fn answered(&mut self, answered: Answered) {
        match answered {
            Answered::Decided(Asker::Client(Ticket { operation, .. }), answer) => {
                let offset = answer.delivered.offset;
                self.answer(operation, asking::outcome(answer), offset);
            }
            Answered::Changed { node, entity } if entity == feed::WORK => self.untold(node),
            Answered::Changed { node, entity } if is_view(entity) => self.forget(node, entity),
            Answered::SteppedDown(node) => self.views(node).step_down(),
            _ => {}
        }
    }

    fn settled(&mut self) {
        self.look_at_new_owners();
    }

    fn is_done(&mut self) -> bool {
        let now_ms = self.now_ms();
        if self.restless().is_some() || !judge::all_is_known(&self.machines) {
            self.quiet_since_ms = None;
            return now_ms > FAULTS_END_MS + SETTLES_WITHIN_MS
                && judge::all_is_known(&self.machines);
        }
        now_ms > *self.quiet_since_ms.get_or_insert(now_ms) + QUIET_MS
    }
}

impl World {
    fn new(plan: &Plan, broken: Broken) -> Self {
        let places = USERS.map(|user| user_partition(TenantId(0), user, PARTITIONS).0.into());
        let setup = asking::setup(plan.seed);
        let commands = setup
            .iter()
            .map(|(user, request)| (places[*user], asking::command(USERS[*user], request)));
        let commands: Vec<(usize, Command)> =
            commands.filter_map(|(place, command)| Some((place, command?))).collect();
        let client = |steps: &Vec<Step>| Client {
            steps: steps.clone().into_iter(),
            current: None,
            more: 0,
            pages: 0,
            posted: 0,
            latest: None,
            read: Vec::new(),
            nodes: Default::default(),
            session: Default::default(),
        };
        let machines = Machines::of_partitions(PARTITIONS, plan, broken, commands);
        let mut world = Self {
            views: machines.nodes.iter().map(|node| Views::new(node.life)).collect(),
            machines,
            scene: plan.scene,
            places,
            clients: plan.clients.iter().map(client).collect(),
            subscribers: Vec::new(),
            cache: Cache::new(broken.kept, plan.seed),
            quiet_since_ms: None,
            calls: BTreeMap::new(),
            history: FeedHistory::default(),
        };
        world.write_down(setup);
        for user in USERS {
            world.subscribe(user);
        }
        for client in 0..world.clients.len() {
            world.next_step(client);
        }
        world.machines.later(10, Event::Observe);
        world
    }

    /// Since the run began.
    fn now_ms(&self) -> u64 {
        self.machines.now_ms - BEGIN_MS
    }

    /// The partition that is asked.
    fn place_of(&self, user: &str, request: &Request) -> usize {
        let whose = match request {
            Request::React { author: whose, .. } | Request::Read { of: whose, .. } => whose,
            _ => user,
        };
        USERS.iter().position(|one| *one == whose).map_or(0, |number| self.places[number])
    }

    fn next_step(&mut self, id: usize) {
        loop {
            let client = &mut self.clients[id];
            let Some(step) = client.steps.next() else { return };
            let Intent::Feed(social) = step.intent else { continue };
            let mut bound_ms = 0;
            match social {
                Social::Burst(times) => client.more = times - 1,
                Social::Read { pages, bound_ms: bound, .. } => {
                    client.pages = pages - 1;
                    bound_ms = bound.unwrap_or(u64::MAX);
                }
                _ => {}
            }
            if let Some(request) = client.request(id, step.resource, social) {
                client.current = Some(Current { request, bound_ms, attempts: 0 });
                self.machines.later(step.pause_ms + 1, Event::Next(id));
                return;
            }
        }
    }

    /// Sends the current request of a client, as a new attempt.
    fn ask(&mut self, id: usize) {
        let Some(current) = &mut self.clients[id].current else { return };
        current.attempts += 1;
        let request = current.request.clone();
        let place = self.place_of(USERS[id], &request);
        let operation = self.history.call(Operation {
            user: USERS[id].to_owned(),
            request,
            called_ms: self.now_ms(),
            returned: None,
        });
        self.calls.insert(operation, id);
        let nodes = self.machines.nodes_of(place);
        let node = nodes.start + self.clients[id].nodes[place] % nodes.len();
        if !self.machines.loses(4) {
            let delay = self.machines.travel_ms();
            self.machines.later(delay, Event::Arrive { node, operation });
        }
        self.machines.later(CLIENT_TIMEOUT_MS, Event::Timeout(operation));
    }

    fn arrive(&mut self, node: usize, operation: usize) {
        let Some(client) = self.calls.get(&operation).copied() else { return };
        let Operation { user, request, .. } = &self.history.operations[operation];
        match asking::command(user, request) {
            Some(command) => {
                let asker = Asker::Client(Ticket { client, operation });
                self.machines.submit(node, asker, command, None);
            }
            None => self.read(node, operation, client),
        }
    }

    /// What a node answers travels back, or is lost.
    fn answer(&mut self, operation: usize, outcome: Outcome, offset: Offset) {
        if !self.machines.loses(6) {
            let delay = self.machines.travel_ms();
            self.machines.later(delay, Event::Reply { operation, outcome, offset });
        }
    }

    /// A client hears an answer, or gives the attempt up. Everything that it asks can be asked again.
    fn hear_answer(&mut self, operation: usize, outcome: Outcome, offset: Offset) {
        let Some(id) = self.calls.remove(&operation) else { return };
        let now_ms = self.now_ms();
        let Operation { user, request, .. } = &self.history.operations[operation];
        let place = self.place_of(user, request);
        let client = &mut self.clients[id];
        client.session[place] = client.session[place].max(offset);
        let again = matches!(outcome, Outcome::TurnedAway(_) | Outcome::Unknown);
        if again {
            client.nodes[place] += 1;
        }
        client.learn(request, &outcome);
        let next = client.follow_up(id, request, &outcome);
        self.history.returns(operation, now_ms, outcome);
        let Some(current) = &mut client.current else { return };
        if again && current.attempts < ATTEMPTS_MAX {
            let pause = self.machines.rng.u64(5..60);
            self.machines.later(pause, Event::Next(id));
        } else if let Some(request) = next {
            (current.request, current.attempts) = (request, 0);
            self.machines.later(1, Event::Next(id));
        } else {
            client.current = None;
            self.next_step(id);
        }
    }
}

impl Client {
    fn request(&mut self, id: usize, other: usize, social: Social) -> Option<Request> {
        let name = |number: usize| USERS[number].to_owned();
        Some(match social {
            Social::Post | Social::Burst(_) => {
                self.posted += 1;
                self.post(id, "")
            }
            Social::Again { same } => {
                (self.posted > 0).then(|| self.post(id, if same { "" } else { ", or not" }))?
            }
            Social::Delete => Request::Delete { post: self.latest.take()? },
            Social::Set { bond, on } => Request::Set { bond, other: name(other), on },
            Social::React { on } => {
                let (post, author) =
                    self.read.iter().find(|(_, author)| *author == USERS[other])?;
                let (author, kind) = (author.clone(), "heart".to_owned());
                Request::React { author, post: *post, kind, on }
            }
            Social::Read { own, bound_ms, limit, .. } => {
                let of = name(if own { id } else { other });
                Request::Read { of, before: None, limit, in_session: bound_ms.is_some() }
            }
        })
    }

    fn post(&self, id: usize, more: &str) -> Request {
        let client_id = format!("p{}", self.posted);
        Request::Post { client_id, body: format!("\"{} {}{more}\"", USERS[id], self.posted) }
    }

    fn learn(&mut self, request: &Request, outcome: &Outcome) {
        match outcome {
            Outcome::Posted { post, .. } => self.latest = Some(*post),
            Outcome::Page(page) => {
                if matches!(request, Request::Read { before: None, .. }) {
                    self.read.clear();
                }
                self.read.extend(page.items.iter().map(crate::history::feed::Item::place));
            }
            _ => {}
        }
    }

    /// What comes of an answer: the rest of a burst, or the next page.
    fn follow_up(&mut self, id: usize, request: &Request, outcome: &Outcome) -> Option<Request> {
        match (request, outcome) {
            (Request::Post { .. }, Outcome::Posted { .. }) if self.more > 0 => {
                self.more -= 1;
                self.request(id, 0, Social::Post)
            }
            (
                Request::Read { of, limit, in_session, .. },
                Outcome::Page(Page { items, is_last, .. }),
            ) if self.pages > 0 && !is_last => {
                self.pages -= 1;
                let (of, before) = (of.clone(), Some(items.last()?.place()));
                Some(Request::Read { of, before, limit: *limit, in_session: *in_session })
            }
            _ => None,
        }
    }
}

/// The bond of a tie.
fn tie(bond: Bond) -> Option<feed::Tie> {
    match bond {
        Bond::Follow => None,
        Bond::Block => Some(feed::Tie::Block),
        Bond::Mute => Some(feed::Tie::Mute),
    }
}
