//! Work that goes from partition to partition and back: jobs in one wait for jobs in another. Between
//! them letters are lost, late, doubled and out of order, owners die and are deposed, and yet a job is
//! given to a worker only after all that it waits for, and each is.

use super::{
    judge,
    machines::{Answered, Machines, Workload},
    node::{Asker, Ticket},
    plan::Plan,
    run::Broken,
};
use crate::checker::Violation;
use evenkeel_domains::{
    Command, Reply,
    jobs::{self, Action, JobId, LeaseId, NewJob, Settings, When},
};
use std::collections::BTreeSet;

/// Where jobs wait.
const HERE: u16 = 0;
/// Where what they wait for is.
const THERE: u16 = 1;
const LINES: usize = 6;
const RETRY_MS: u64 = 300;
const WORK_EVERY_MS: u64 = 25;
/// What all lines wait for is done only after this.
const LAST_AFTER_MS: u64 = 4_000;
/// The queues of a line: what is done soon, what is done last, and what waits for both.
const QUEUES: [&str; 3] = ["soon", "last", "waits"];

pub(super) enum Event {
    /// A line asks, or asks again, for its next job to be taken in.
    Ask(usize),
    /// A worker of a queue looks for work.
    Work(usize),
}

/// Three jobs, taken in one after the other.
#[derive(Default)]
struct Line {
    jobs: Vec<JobId>,
}

struct Relay {
    machines: Machines<Event>,
    lines: Vec<Line>,
    /// Which node of each partition is asked.
    nodes: [usize; 2],
    /// What those that wait were given to.
    started: BTreeSet<u64>,
    /// What is done last is done.
    last_done: BTreeSet<u64>,
    wrong: Option<String>,
}

/// What is wrong with a run of `plan`'s faults over two partitions, if anything is; and how many jobs
/// were started.
#[must_use]
pub fn relay(plan: &Plan, broken: Broken) -> (Option<String>, usize) {
    let machines = Machines::of_partitions(2, plan, broken, Vec::new());
    let lines = (0..LINES).map(|_| Line::default()).collect();
    let (started, last_done) = (BTreeSet::new(), BTreeSet::new());
    let mut relay = Relay { machines, lines, nodes: [0; 2], started, last_done, wrong: None };
    for line in 0..LINES {
        relay.machines.later(1 + 200 * line as u64, Event::Ask(line));
    }
    (0..QUEUES.len()).for_each(|queue| relay.machines.later(1, Event::Work(queue)));
    relay.run();
    let broke = judge::came_back(&relay.machines);
    let wrong = relay.wrong.or(broke.map(|Violation { promise, .. }| promise));
    (wrong, relay.started.len())
}

fn partition_of(queue: usize) -> u16 {
    if QUEUES[queue] == "waits" { HERE } else { THERE }
}

fn command(queue: usize, action: Action) -> Command {
    let settings = Settings { lease_ms: 400, max_crashes: 1_000, ..Settings::of(1) };
    let (queue, partition) = (QUEUES[queue].to_owned(), partition_of(queue));
    Command::Jobs(jobs::Command { queue, partition, settings: Box::new(settings), action })
}

impl Workload for Relay {
    type Event = Event;

    fn machines(&mut self) -> &mut Machines<Event> {
        &mut self.machines
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Ask(line) => self.ask(line),
            Event::Work(queue) => self.work(queue),
        }
    }

    fn answered(&mut self, answered: Answered) {
        let Answered::Decided(Asker::Client(ticket), answer) = answered else { return };
        let Ok(Reply::Jobs(reply)) = answer.outcome else {
            // Perhaps another node leads.
            self.nodes[usize::from(partition_of(ticket.operation))] += 1;
            return;
        };
        match reply {
            jobs::Reply::Enqueued(taken) => self.taken(ticket, taken[0].job),
            jobs::Reply::Leased(leased, _) => {
                for job in leased {
                    self.leased(ticket.operation, job.job, job.lease);
                }
            }
            _ => {}
        }
    }

    fn is_done(&mut self) -> bool {
        self.wrong.is_some()
            || self.started.len() == LINES
                && self.machines.outboxes_are_empty()
                && judge::all_is_known(&self.machines)
    }
}

impl Relay {
    fn submit(&mut self, queue: usize, ticket: Ticket, action: Action, key: Option<&str>) {
        let partition = usize::from(partition_of(queue));
        let nodes = self.machines.nodes_of(partition);
        let node = nodes.start + self.nodes[partition] % nodes.len();
        self.machines.submit(node, Asker::Client(ticket), command(queue, action), key);
    }

    /// The next job of a line, under one key however often it is asked for.
    fn ask(&mut self, line: usize) {
        let at = self.lines[line].jobs.len();
        if at == QUEUES.len() {
            return;
        }
        let after = if QUEUES[at] == "waits" { self.lines[line].jobs.clone() } else { Vec::new() };
        let job = NewJob {
            kind: "step".to_owned(),
            payload: "{}".to_owned(),
            unique_key: None,
            ordering_key: None,
            priority: 5,
            when: When::Now,
            after,
            trace: None,
        };
        let key = format!("line-{line}-{at}");
        let ticket = Ticket { client: line, operation: at };
        self.submit(at, ticket, Action::Enqueue(vec![job]), Some(&key));
        self.machines.later(RETRY_MS, Event::Ask(line));
    }

    fn taken(&mut self, ticket: Ticket, number: u64) {
        let line = &mut self.lines[ticket.client];
        if line.jobs.len() == ticket.operation {
            line.jobs.push(JobId { partition: partition_of(ticket.operation), number });
            self.machines.later(1, Event::Ask(ticket.client));
        }
    }

    fn work(&mut self, queue: usize) {
        self.machines.later(WORK_EVERY_MS, Event::Work(queue));
        let since_ms = self.machines.now_ms.saturating_sub(super::machines::BEGIN_MS);
        if QUEUES[queue] == "last" && since_ms < LAST_AFTER_MS {
            return;
        }
        let ticket = Ticket { client: LINES, operation: queue };
        let lease = Action::Lease { worker: "w".to_owned(), max: 2, lease_ms: None };
        self.submit(queue, ticket, lease, None);
    }

    /// A worker has a job, and is done with it at once. Whether that is heard or not, it will have it
    /// again if not.
    fn leased(&mut self, queue: usize, job: u64, lease: LeaseId) {
        match QUEUES[queue] {
            "waits" => self.started(job),
            "last" => drop(self.last_done.insert(job)),
            _ => {}
        }
        let ticket = Ticket { client: LINES, operation: queue };
        self.submit(queue, ticket, Action::Complete { job, lease, result: None }, None);
    }

    fn started(&mut self, job: u64) {
        self.started.insert(job);
        let line =
            self.lines.iter().find(|line| line.jobs.get(2).is_some_and(|id| id.number == job));
        let early = line.is_some_and(|line| !self.last_done.contains(&line.jobs[1].number));
        if early {
            let now_ms = self.machines.now_ms;
            self.wrong.get_or_insert(format!(
                "at {now_ms} ms a worker got job {job} before all that it waits for was done: work of \
                 another partition took effect twice"
            ));
        }
    }
}
