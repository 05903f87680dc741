//! A worker: does well with most jobs; with the others it is late, dies, fails, or speaks out of
//! turn.

use super::{LEASE_MS, Phase, Told, caller::Caller};
use crate::{
    history::jobs::{Given, Outcome, Request, Word},
    load::Endpoint,
};
use fastrand::Rng;
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// How long one waits for jobs: until when there are kills no longer than a life of the server, at
/// most; and then for so long that it is judged if it was in vain.
const WAITS_MS: [u64; 4] = [0, 100, 200, 300];
const LONG_WAIT_MS: u64 = 1_500;
/// Whoever asks without waiting, and in vain, asks again after this.
const PAUSE: Duration = Duration::from_millis(30);
/// Until a worker that died is replaced.
const REPLACED_MS: std::ops::Range<u64> = 20..120;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Wait(u64),
    Effect,
    Say(Word),
    Die,
}

/// The worker's process goes on, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    GoesOn,
    Ends,
}

pub(super) struct Worker {
    rng: Rng,
    caller: Caller,
}

impl Worker {
    pub(super) fn new(id: u64, seed: u64, endpoint: &Endpoint, told: &Arc<Told>) -> Self {
        let seed = seed.wrapping_mul(1_000).wrapping_add(800 + id);
        Self { rng: Rng::with_seed(seed), caller: Caller::new(id, endpoint, told) }
    }

    /// Works until nobody needs it. Those who replace it have numbers that are `apart`.
    pub(super) async fn run(mut self, apart: u64, patient: bool) {
        loop {
            while self.serve(patient).await == Life::GoesOn {}
            self.caller.told.does(self.caller.id, Request::Dies, Outcome::Applied);
            self.caller.become_another(self.caller.id + apart);
            tokio::time::sleep(Duration::from_millis(self.rng.u64(REPLACED_MS))).await;
        }
    }

    /// Asks for jobs once, and does them.
    async fn serve(&mut self, patient: bool) -> Life {
        let waits = patient || self.caller.told.is_past(Phase::Kills);
        let wait_ms = if waits { LONG_WAIT_MS } else { WAITS_MS[self.rng.usize(0..4)] };
        let max = if patient { 1 } else { self.rng.u32(1..4) };
        let outcome = self.caller.ask(None, &Request::Lease { max, wait_ms }).await;
        match outcome {
            Outcome::Leased { jobs } if !jobs.is_empty() => {
                for given in jobs {
                    if self.work(given).await == Life::Ends {
                        return Life::Ends;
                    }
                }
            }
            Outcome::Leased { .. } if wait_ms > 0 => {}
            _ => tokio::time::sleep(PAUSE).await,
        }
        Life::GoesOn
    }

    async fn work(&mut self, given: Given) -> Life {
        let calm = self.caller.told.is_past(Phase::Calm);
        let mut acts = acts(&mut self.rng, given.poison, calm);
        let mut ended = false;
        while let Some(act) = acts.pop_front() {
            match act {
                Act::Wait(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                Act::Die => return Life::Ends,
                Act::Effect => {
                    if self.effect(&given) == Outcome::Fenced {
                        break;
                    }
                }
                Act::Say(word) => match self.say(&given, word).await {
                    // Who is to stop says that it has.
                    Outcome::Stands { cancel: true, .. } if !word.ends() => {
                        acts = VecDeque::from([Act::Say(Word::Fail { retry: true })]);
                    }
                    Outcome::Stands { .. } => ended |= word.ends(),
                    // Who spoke when its lease was over goes on in spite of being told.
                    Outcome::Stale { .. } if ended => {}
                    _ => break,
                },
            }
        }
        Life::GoesOn
    }

    fn effect(&self, given: &Given) -> Outcome {
        let Given { job, lease, kind, ordering_key, .. } = given;
        let row = ordering_key.as_ref().unwrap_or(job);
        let effect =
            Request::Effect { job: job.clone(), lease: *lease, kind: *kind, row: row.clone() };
        self.caller.told.effect(self.caller.id, &effect)
    }

    async fn say(&mut self, given: &Given, word: Word) -> Outcome {
        let Given { job, lease, .. } = given;
        let request = Request::Word { job: job.clone(), lease: *lease, word };
        let outcome = self.caller.carry_out(None, &request).await;
        if word == Word::Complete && matches!(outcome, Outcome::Stands { .. }) {
            self.caller.told.done().insert(job.clone());
        }
        outcome
    }
}

/// What is in store for a job.
fn acts(rng: &mut Rng, poison: bool, calm: bool) -> VecDeque<Act> {
    let work = Act::Wait(rng.u64(1..15));
    let pause = Act::Wait(LEASE_MS + rng.u64(20..300));
    let (effect, complete) = (Act::Effect, Act::Say(Word::Complete));
    let chance = if calm { 100 } else { rng.u8(0..100) };
    let acts = match chance {
        _ if poison => vec![work, Act::Die],
        0..4 => {
            let extend = Act::Say(Word::Extend { lease_ms: 2 * LEASE_MS });
            let half = Act::Wait(LEASE_MS / 2);
            vec![half, extend, Act::Say(Word::Progress), Act::Wait(LEASE_MS), effect, complete]
        }
        4..7 => vec![pause, effect, complete],
        7..9 => vec![work, effect, pause, complete],
        9..15 => vec![work, Act::Say(Word::Fail { retry: true })],
        15..16 => vec![work, Act::Say(Word::Fail { retry: false })],
        16..19 => vec![work, effect, Act::Say(Word::Fail { retry: true })],
        19..24 => vec![work, Act::Say(Word::Snooze { delay_ms: rng.u64(0..150) })],
        24..28 => vec![work, Act::Die],
        28..31 => vec![work, effect, Act::Die],
        31..32 => vec![work, effect, complete, Act::Die],
        32..36 => vec![work, effect, complete, complete],
        36..39 => {
            let fail = Act::Say(Word::Fail { retry: true });
            let extend = Act::Say(Word::Extend { lease_ms: LEASE_MS });
            vec![work, effect, complete, Act::Wait(rng.u64(1..60)), fail, extend, complete]
        }
        _ => vec![work, effect, complete],
    };
    acts.into()
}
