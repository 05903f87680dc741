//! A simulated worker: leases, and goes through what its day has in store for the jobs in hand.

use super::{super::plan::jobs::LEASE_MS, Caller, Event, World};
use crate::{
    history::jobs::{Given, Kind, Lease, Operation, Outcome, Request, Word},
    sim::{client::ATTEMPTS_MAX, plan::Intent, plan::Way, run::BrokenJobs},
};
use fastrand::Rng;
use std::collections::VecDeque;

/// Jobs that a worker with nothing else in store takes at once.
const CALM_MAX: u32 = 3;

#[derive(Default)]
pub(super) struct Worker {
    /// Which life of its process this is.
    life: u64,
    /// What is in store for the jobs that it gets next, and how many those are.
    store: Option<(u32, Way)>,
    /// Jobs in hand.
    hands: usize,
}

/// A job in hand.
pub(super) struct Hand {
    client: usize,
    job: String,
    lease: Lease,
    kind: Kind,
    row: String,
    acts: VecDeque<Act>,
    /// What the worker knows of whether the effect has happened.
    seen: Option<bool>,
    /// How often the word that is due was sent.
    attempts: u32,
    /// It has said how it ended.
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Wait(u64),
    /// Asks whether the effect has happened, outside of the transaction in which it does.
    Ask,
    Effect,
    Say(Word),
    SayTwice(Word),
    Die,
}

/// What is in store for a job.
fn acts(rng: &mut Rng, way: Way, poison: bool, broken: BrokenJobs) -> VecDeque<Act> {
    let work = Act::Wait(rng.u64(5..40));
    let pause = Act::Wait(LEASE_MS + rng.u64(30..400));
    let complete = Act::Say(Word::Complete);
    let (first, then) =
        if broken.ack_first { (complete, Act::Effect) } else { (Act::Effect, complete) };
    let acts = match way {
        _ if poison => vec![work, Act::Die],
        Way::Well => vec![work, first, then],
        Way::Slowly => {
            let extend = Act::Say(Word::Extend { lease_ms: 2 * LEASE_MS });
            let half = Act::Wait(LEASE_MS / 2);
            vec![half, extend, Act::Say(Word::Progress), Act::Wait(LEASE_MS), first, then]
        }
        Way::Paused => vec![pause, first, then],
        Way::PausedBefore => vec![work, first, pause, then],
        // All at once, as when what they call is down.
        Way::Fails { retry } => vec![Act::Wait(10), Act::Say(Word::Fail { retry })],
        Way::Snoozes => vec![work, Act::Say(Word::Snooze { delay_ms: rng.u64(20..300) })],
        Way::Dies => vec![work, Act::Die],
        Way::DiesAfter if rng.bool() => vec![work, first, Act::Die],
        Way::DiesAfter => vec![work, first, then, Act::Die],
        Way::Twice => vec![work, Act::Effect, Act::SayTwice(Word::Complete)],
        Way::SpeaksAgain => {
            let fail = Act::Say(Word::Fail { retry: true });
            let extend = Act::Say(Word::Extend { lease_ms: LEASE_MS });
            vec![work, first, then, Act::Wait(rng.u64(1..60)), fail, extend]
        }
    };
    let ask = broken.check_outside.then_some(Act::Ask);
    ask.into_iter().chain(acts).collect()
}

impl World {
    fn worker(&mut self, client: usize) -> &mut Worker {
        self.clients[client].worker.as_mut().expect("only workers lease")
    }

    pub(super) fn seek_after(&mut self, client: usize, ms: u64) {
        let life = self.worker(client).life;
        self.machines.later(ms, Event::Seek { client, life });
    }

    /// Asks for jobs, once it is known what is in store for them.
    pub(super) fn seek(&mut self, client: usize, life: u64) {
        if self.worker(client).life != life {
            return;
        }
        if self.rests() {
            return self.seek_after(client, 100);
        }
        let Some((max, _)) = self.worker(client).store else {
            let step = self.clients[client].steps.next();
            let (pause_ms, store) = match step.map(|step| (step.pause_ms, step.intent)) {
                Some((pause_ms, Intent::Work { max, way })) => {
                    (pause_ms, (u32::try_from(max).unwrap_or(u32::MAX), way))
                }
                _ => (0, (CALM_MAX, Way::Well)),
            };
            self.worker(client).store = Some(store);
            return self.seek_after(client, pause_ms + 1);
        };
        self.call(client, Caller::Worker(client), Request::Lease { max, wait_ms: 0 }, None);
    }

    pub(super) fn worker_hears(&mut self, client: usize, outcome: Outcome) {
        let jobs = match outcome {
            Outcome::Leased { jobs } if !jobs.is_empty() => jobs,
            _ => {
                // Perhaps the other queue has some.
                self.clients[client].place ^= 1;
                let pause = self.machines.rng.u64(40..150);
                return self.seek_after(client, pause);
            }
        };
        let (_, way) = self.worker(client).store.take().unwrap_or((0, Way::Well));
        self.worker(client).hands = jobs.len();
        for given in jobs {
            self.take(client, way, given);
        }
    }

    fn take(&mut self, client: usize, way: Way, given: Given) {
        let acts = acts(&mut self.machines.rng, way, given.poison, self.broken.jobs);
        let Given { job, lease, kind, ordering_key, .. } = given;
        let row = ordering_key.unwrap_or_else(|| job.clone());
        let (seen, attempts, ended) = (None, 0, false);
        self.next_hand += 1;
        let hand = Hand { client, job, lease, kind, row, acts, seen, attempts, ended };
        self.hands.insert(self.next_hand, hand);
        self.machines.later(0, Event::Act(self.next_hand));
    }

    /// A job in hand goes on; unless its worker has died.
    pub(super) fn act(&mut self, id: u64) {
        loop {
            let Some(hand) = self.hands.get_mut(&id) else { return };
            let client = hand.client;
            match hand.acts.front().copied() {
                None => return self.put_down(id),
                Some(Act::Wait(ms)) => {
                    hand.acts.pop_front();
                    return self.machines.later(ms, Event::Act(id));
                }
                Some(Act::Ask) => {
                    hand.acts.pop_front();
                    hand.seen = Some(self.downstream.is_charged(&hand.job));
                }
                Some(Act::Effect) => {
                    hand.acts.pop_front();
                    if self.effect(id) == Outcome::Fenced {
                        return self.put_down(id);
                    }
                }
                Some(Act::Say(word)) => {
                    hand.attempts += 1;
                    return self.say(id, word, Caller::Hand { hand: id, client });
                }
                Some(Act::SayTwice(word)) => {
                    hand.acts.pop_front();
                    hand.acts.push_front(Act::Say(word));
                    self.say(id, word, Caller::Aside);
                }
                Some(Act::Die) => return self.dies(client),
            }
        }
    }

    fn say(&mut self, id: u64, word: Word, caller: Caller) {
        let Some(Hand { client, job, lease, .. }) = self.hands.get(&id) else { return };
        let (client, job, lease) = (*client, job.clone(), *lease);
        self.call(client, caller, Request::Word { job, lease, word }, None);
    }

    fn effect(&mut self, id: u64) -> Outcome {
        let Some(hand) = self.hands.get(&id) else { return Outcome::Unknown };
        let outcome = match hand.kind {
            Kind::Put => self.downstream.put(&hand.row, hand.lease.fence),
            Kind::Charge => self.downstream.charge(&hand.job, hand.seen),
        };
        let (job, lease, kind, row) = (hand.job.clone(), hand.lease, hand.kind, hand.row.clone());
        let client = hand.client as u64;
        self.records(client, Request::Effect { job, lease, kind, row }, outcome.clone());
        outcome
    }

    /// Records what is not asked of the queue.
    fn records(&mut self, client: u64, request: Request, outcome: Outcome) {
        let called_ms = self.now_ms();
        let (place, retry_key, returned) = (0, None, None);
        let operation = Operation { client, place, retry_key, request, called_ms, returned };
        let operation = self.history.call(operation);
        self.history.returns(operation, called_ms, outcome);
    }

    /// A worker's process is gone, with what it had in hand and what it waited for.
    fn dies(&mut self, client: usize) {
        self.records(client as u64, Request::Dies, Outcome::Applied);
        let operations = &self.history.operations;
        self.calls.retain(|operation, _| operations[*operation].client != client as u64);
        self.hands.retain(|_, hand| hand.client != client);
        let life = self.worker(client).life + 1;
        *self.worker(client) = Worker { life, ..Worker::default() };
        let restart = self.machines.rng.u64(30..150);
        self.seek_after(client, restart);
    }

    /// Nothing more is to be done about a job in hand.
    fn put_down(&mut self, id: u64) {
        let Some(Hand { client, .. }) = self.hands.remove(&id) else { return };
        let worker = self.worker(client);
        worker.hands -= 1;
        if worker.hands == 0 {
            let pause = self.machines.rng.u64(1..20);
            self.seek_after(client, pause);
        }
    }

    pub(super) fn hand_hears(&mut self, id: u64, client: usize, outcome: &Outcome) {
        let Some(hand) = self.hands.get_mut(&id) else { return };
        let Some(Act::Say(word)) = hand.acts.front().copied() else { return };
        match outcome {
            Outcome::TurnedAway(_) | Outcome::Unknown if hand.attempts < ATTEMPTS_MAX => {
                let pause = self.machines.rng.u64(5..60);
                return self.machines.later(pause, Event::Act(id));
            }
            Outcome::Stands { cancel, .. } => {
                hand.acts.pop_front();
                if *cancel && !word.ends() {
                    hand.acts = VecDeque::from([Act::Say(Word::Fail { retry: true })]);
                }
            }
            // Who spoke when its lease was over goes on in spite of being told.
            Outcome::Stale { .. } if hand.ended => {
                hand.acts.pop_front();
            }
            _ => hand.acts.clear(),
        }
        let hand = self.hands.get_mut(&id).filter(|hand| hand.client == client);
        if let Some(hand) = hand {
            hand.attempts = 0;
            hand.ended |= word.ends();
            self.act(id);
        }
    }
}
