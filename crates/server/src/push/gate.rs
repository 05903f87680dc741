//! How many attempts may begin at one destination: what its concurrency allows, its breaker, and the
//! time that it asked to be left alone. All that is known of a destination is here; what becomes of a
//! job is not. Time is passed in; there is no task here.

use super::{
    aimd::{self, Aimd},
    breaker::{self, Breaker, Shown},
};
use evenkeel_domains::jobs::JobId;

/// What an attempt has told of the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// It took the job.
    Succeeded,
    /// It said no, without being overloaded: it may be the job's fault.
    Refused,
    /// It failed at it, or did not answer in time: that may be the job's fault too.
    Failed,
    /// Nobody was there.
    Unreachable,
    /// It asks to be left alone for so long.
    Busy { wait_ms: u64 },
    /// It wants no more.
    Gone,
    /// Nothing: the attempt was given up.
    Abandoned,
}

/// An attempt that has begun; it must be given back.
#[derive(Debug)]
#[must_use]
pub(super) struct Ticket {
    aimd: aimd::Began,
    breaker: breaker::Began,
    /// Since when the gate knows this destination.
    era: u64,
    /// How often anybody had said how it is to be pushed.
    said: u64,
}

/// One destination.
#[derive(Debug)]
pub(super) struct Gate {
    aimd: Aimd,
    breaker: Breaker,
    seed: u64,
    in_flight: u32,
    /// Until when it is left alone because it said so.
    busy_until_ms: u64,
    /// Whether it said that it wants no more.
    gone: bool,
    era: u64,
    said: u64,
}

/// What is shown of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) breaker: Shown,
    pub(super) concurrency: u32,
    pub(super) in_flight: u32,
    pub(super) opened: u64,
    /// For how long nothing will be sent, of what is known now.
    pub(super) wait_ms: u64,
}

impl Gate {
    pub(super) fn new(concurrency_max: u32, seed: u64) -> Self {
        Self {
            aimd: Aimd::new(concurrency_max),
            breaker: Breaker::new(seed),
            seed,
            in_flight: 0,
            busy_until_ms: 0,
            gone: false,
            era: 0,
            said: 0,
        }
    }

    /// It is another destination from now on, of which nothing is known. What is under way goes on.
    pub(super) fn forget(&mut self, concurrency_max: u32) {
        let (in_flight, era) = (self.in_flight, self.era + 1);
        *self = Self { in_flight, era, ..Self::new(concurrency_max, self.seed) };
    }

    /// Somebody has said anew how it is to be pushed, with this maximum: if it wanted no more before,
    /// it may be asked again.
    pub(super) fn put(&mut self, concurrency_max: u32) {
        self.aimd.set_max(concurrency_max);
        self.gone = false;
        self.said += 1;
    }

    /// How many attempts may begin.
    pub(super) fn free(&self, now_ms: u64) -> u32 {
        if self.gone || now_ms < self.busy_until_ms {
            return 0;
        }
        let free = self.aimd.limit().saturating_sub(self.in_flight);
        self.breaker.allows(now_ms).map_or(free, |most| free.min(most))
    }

    /// When that may be more without any attempt ending, if it will be.
    pub(super) fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let next_ms = self.breaker.until_ms().unwrap_or(0).max(self.busy_until_ms);
        (!self.gone && next_ms > now_ms).then_some(next_ms)
    }

    /// An attempt begins. Whoever begins it has asked whether it may.
    pub(super) fn begin(&mut self) -> Ticket {
        self.in_flight += 1;
        Ticket {
            aimd: self.aimd.begin(self.in_flight),
            breaker: self.breaker.begin(),
            era: self.era,
            said: self.said,
        }
    }

    /// An attempt at `job` has ended.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is given back once")]
    pub(super) fn end(&mut self, ticket: Ticket, signal: Signal, job: JobId, now_ms: u64) {
        assert!(self.in_flight > 0, "an attempt ends once");
        self.in_flight -= 1;
        if ticket.era != self.era {
            return;
        }
        let Ticket { aimd, breaker, era: _, said } = ticket;
        match signal {
            Signal::Succeeded => {
                self.aimd.succeeded(aimd);
                self.breaker.succeeded(breaker);
            }
            Signal::Refused => self.breaker.failed(breaker, Some(job), now_ms),
            Signal::Failed => {
                self.aimd.failed(aimd);
                self.breaker.failed(breaker, Some(job), now_ms);
            }
            Signal::Unreachable => {
                self.aimd.failed(aimd);
                self.breaker.failed(breaker, None, now_ms);
            }
            Signal::Busy { wait_ms } => {
                self.aimd.failed(aimd);
                self.breaker.answered(breaker);
                self.busy_until_ms = self.busy_until_ms.max(now_ms.saturating_add(wait_ms));
            }
            Signal::Gone => {
                self.breaker.answered(breaker);
                self.gone |= said == self.said;
            }
            Signal::Abandoned => self.breaker.abandoned(breaker),
        }
    }

    pub(super) fn standing(&self, now_ms: u64) -> Standing {
        Standing {
            breaker: self.breaker.shown(now_ms),
            concurrency: self.aimd.limit(),
            in_flight: self.in_flight,
            opened: self.breaker.opened(),
            wait_ms: self.next_ms(now_ms).map_or(0, |next_ms| next_ms - now_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn job(number: u64) -> JobId {
        JobId { partition: 0, number }
    }

    fn once(gate: &mut Gate, signal: Signal, number: u64, now_ms: u64) {
        let ticket = gate.begin();
        gate.end(ticket, signal, job(number), now_ms);
    }

    #[test]
    fn while_it_is_open_nothing_may_begin() {
        let mut gate = Gate::new(8, 1);
        assert_eq!(gate.free(0), 4);
        for _ in 0..breaker::ROW {
            once(&mut gate, Signal::Unreachable, 1, 0);
        }
        assert_eq!(gate.free(0), 0);
        let next_ms = gate.next_ms(0).unwrap();
        assert_eq!((gate.free(next_ms - 1), gate.free(next_ms)), (0, 1));
        once(&mut gate, Signal::Succeeded, 1, next_ms);
        assert_eq!(
            (gate.free(next_ms), gate.next_ms(next_ms)),
            (2, None),
            "halved to one, and one more"
        );
    }

    #[test]
    fn a_destination_that_asks_for_it_is_left_alone_and_is_not_down() {
        let mut gate = Gate::new(8, 1);
        for number in 0..20 {
            once(&mut gate, Signal::Busy { wait_ms: 500 }, number, 100);
        }
        once(&mut gate, Signal::Busy { wait_ms: 10 }, 1, 100);
        assert_eq!((gate.free(599), gate.next_ms(100)), (0, Some(600)));
        assert_eq!(gate.standing(100).breaker, Shown::Closed);
        assert_eq!(gate.free(600), 1);
    }

    #[test]
    fn one_that_is_gone_is_not_called_until_somebody_says_so() {
        let mut gate = Gate::new(8, 1);
        once(&mut gate, Signal::Gone, 1, 0);
        assert_eq!((gate.free(u64::MAX), gate.next_ms(0)), (0, None));
        gate.put(8);
        assert_eq!(gate.free(0), 4);
        let before = gate.begin();
        gate.put(8);
        gate.end(before, Signal::Gone, job(1), 0);
        assert_eq!(gate.free(0), 4, "what it said before that is not what it was asked after it");
    }

    #[test]
    fn another_destination_owes_nothing_to_the_one_before() {
        let mut gate = Gate::new(8, 1);
        let late = gate.begin();
        (0..breaker::ROW).for_each(|_| once(&mut gate, Signal::Unreachable, 1, 0));
        gate.forget(8);
        assert_eq!(gate.free(0), 3, "one is still under way");
        gate.end(late, Signal::Gone, job(1), 0);
        assert_eq!(gate.free(0), 4);
    }

    proptest! {
        /// Whatever happens: never more than may, nothing while it is open or left alone, one probe at
        /// a time, and never shut for good.
        #[test]
        fn it_lets_in_what_it_may_and_always_again(
            max in 1..12_u32,
            seed: u64,
            steps in proptest::collection::vec((0..8_u8, 0..50_usize, 0..2_000_u64), 0..300),
        ) {
            let mut gate = Gate::new(max, seed);
            let (mut now_ms, mut under_way, mut busy_until_ms) = (0, Vec::new(), 0);
            for (step, which, wait_ms) in steps {
                now_ms += wait_ms / 8;
                if step == 0 && gate.free(now_ms) > 0 {
                    let shown = gate.standing(now_ms).breaker;
                    prop_assert!(shown != Shown::Open && now_ms >= busy_until_ms);
                    under_way.push(gate.begin());
                    prop_assert!(shown != Shown::HalfOpen || gate.free(now_ms) == 0);
                } else if !under_way.is_empty() && step > 0 {
                    let ticket = under_way.swap_remove(which % under_way.len());
                    let signal = match step {
                        1 | 2 => Signal::Succeeded,
                        3 => Signal::Refused,
                        4 => Signal::Failed,
                        5 => Signal::Unreachable,
                        6 => Signal::Busy { wait_ms },
                        _ => Signal::Abandoned,
                    };
                    if step == 6 {
                        busy_until_ms = busy_until_ms.max(now_ms + wait_ms);
                    }
                    gate.end(ticket, signal, job(which as u64), now_ms);
                }
                prop_assert_eq!(gate.standing(now_ms).in_flight as usize, under_way.len());
                prop_assert!(under_way.len() <= max as usize);
            }
            for ticket in under_way {
                gate.end(ticket, Signal::Abandoned, job(1), now_ms);
            }
            let next_ms = gate.next_ms(now_ms).unwrap_or(now_ms);
            prop_assert!(gate.free(next_ms) > 0, "{:?}", gate);
            prop_assert!(next_ms - now_ms <= 2 * breaker::PAUSE_MS_MAX);
        }
    }
}
