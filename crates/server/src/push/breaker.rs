//! Whether a destination is worth calling at all. Closed: it is. After a row of failures it opens, and
//! for a while nobody is called; then it is half open, and one call probes. If that is answered the
//! breaker closes, else the next while is twice as long. Time is passed in, in milliseconds of a clock
//! that never goes back; there is no task here.
//!
//! A job that its consumer chokes on must not shut out the others: of failures that were answered, a
//! job counts once in a row. That nobody answered is no job's fault, and always counts.

use evenkeel_domains::jobs::JobId;

/// Failures in a row that open it.
pub(super) const ROW: usize = 5;
/// The first pause.
const PAUSE_MS: u64 = 1_000;
/// The longest pause, before jitter: 5 minutes.
pub(super) const PAUSE_MS_MAX: u64 = 300_000;
/// By how much of itself a pause is longer or shorter, in percent, so that nodes do not probe at once.
const JITTER_PERCENT: u64 = 20;

/// What it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Closed,
    Open,
    HalfOpen,
}

/// What an attempt remembers: before which change of the breaker it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Began(u64);

#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// Grows with every change between open and closed: what began before says nothing any more.
    changes: u64,
    /// How often it has opened.
    opened: u64,
    /// Tells one destination's pauses from another's.
    seed: u64,
}

#[derive(Debug)]
enum State {
    /// The failures in a row: of which job, if it was answered.
    Closed {
        row: Vec<Option<JobId>>,
    },
    Open {
        until_ms: u64,
        pause_ms: u64,
        probing: bool,
    },
}

impl Breaker {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: State::Closed { row: Vec::new() }, changes: 0, opened: 0, seed }
    }

    /// What it is at this time.
    pub(super) fn shown(&self, now_ms: u64) -> Shown {
        match self.state {
            State::Closed { .. } => Shown::Closed,
            State::Open { until_ms, .. } if now_ms < until_ms => Shown::Open,
            State::Open { .. } => Shown::HalfOpen,
        }
    }

    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    /// How many more may be called now; none means no bound here.
    pub(super) fn allows(&self, now_ms: u64) -> Option<u32> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until_ms, probing, .. } => {
                Some(u32::from(now_ms >= until_ms && !probing))
            }
        }
    }

    /// When it may be half open, if it is open.
    pub(super) fn until_ms(&self) -> Option<u64> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until_ms, .. } => Some(until_ms),
        }
    }

    /// An attempt begins that was allowed.
    pub(super) fn begin(&mut self) -> Began {
        if let State::Open { probing, .. } = &mut self.state {
            *probing = true;
        }
        Began(self.changes)
    }

    /// It was answered, if not with a yes, by one who is there.
    pub(super) fn answered(&mut self, began: Began) {
        if began == Began(self.changes) && matches!(self.state, State::Open { .. }) {
            self.close();
        }
    }

    /// It has succeeded.
    pub(super) fn succeeded(&mut self, began: Began) {
        if began == Began(self.changes) {
            self.close();
        }
    }

    /// It has failed: `job` if that may be what it failed of.
    pub(super) fn failed(&mut self, began: Began, job: Option<JobId>, now_ms: u64) {
        if began != Began(self.changes) {
            return;
        }
        match &mut self.state {
            State::Closed { row } => {
                if job.is_none() || !row.contains(&job) {
                    row.push(job);
                }
                if row.len() >= ROW {
                    self.open(now_ms, PAUSE_MS);
                }
            }
            State::Open { pause_ms, .. } => {
                let pause_ms = pause_ms.saturating_mul(2).min(PAUSE_MS_MAX);
                self.open(now_ms, pause_ms);
            }
        }
    }

    /// It has come to nothing that would say anything.
    pub(super) fn abandoned(&mut self, began: Began) {
        if let State::Open { probing, .. } = &mut self.state
            && began == Began(self.changes)
        {
            *probing = false;
        }
    }

    fn close(&mut self) {
        if matches!(self.state, State::Open { .. }) {
            self.changes += 1;
        }
        self.state = State::Closed { row: Vec::new() };
    }

    fn open(&mut self, now_ms: u64, pause_ms: u64) {
        self.changes += 1;
        self.opened += 1;
        let until_ms = now_ms.saturating_add(self.with_jitter(pause_ms));
        self.state = State::Open { until_ms, pause_ms, probing: false };
    }

    /// The same pause is never the same for two destinations or two nodes, nor twice running.
    fn with_jitter(&self, pause_ms: u64) -> u64 {
        let jitter_ms = pause_ms * JITTER_PERCENT / 100;
        // SplitMix64's finalizer (Steele, Lea and Flood, 2014).
        let mut mixed = self.seed.wrapping_add(self.changes.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        pause_ms - jitter_ms + mixed % (2 * jitter_ms + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(number: u64) -> Option<JobId> {
        Some(JobId { partition: 0, number })
    }

    fn fail(breaker: &mut Breaker, job: Option<JobId>, now_ms: u64) {
        let began = breaker.begin();
        breaker.failed(began, job, now_ms);
    }

    #[test]
    fn a_row_opens_it_and_probes_close_it() {
        let mut breaker = Breaker::new(7);
        for number in 1..ROW as u64 {
            fail(&mut breaker, job(number), 0);
        }
        assert_eq!(breaker.shown(0), Shown::Closed);
        let began = breaker.begin();
        breaker.succeeded(began);
        for _ in 1..ROW {
            fail(&mut breaker, None, 0);
        }
        assert_eq!(breaker.shown(0), Shown::Closed, "the success has ended the row");
        fail(&mut breaker, None, 10);
        assert_eq!((breaker.shown(10), breaker.allows(10)), (Shown::Open, Some(0)));
        let mut now_ms = 10;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let until_ms = breaker.until_ms().unwrap();
            pauses.push(until_ms - now_ms);
            assert_eq!(breaker.allows(until_ms - 1), Some(0));
            assert_eq!(
                (breaker.shown(until_ms), breaker.allows(until_ms)),
                (Shown::HalfOpen, Some(1))
            );
            let began = breaker.begin();
            assert_eq!(breaker.allows(until_ms), Some(0), "one probe at a time");
            now_ms = until_ms + 3;
            breaker.failed(began, job(1), now_ms);
        }
        let wanted = (0..12).map(|doublings| (PAUSE_MS << doublings).min(PAUSE_MS_MAX));
        for (pause_ms, wanted_ms) in pauses.into_iter().zip(wanted) {
            assert!((wanted_ms * 8 / 10..=wanted_ms * 12 / 10).contains(&pause_ms), "{pause_ms}");
        }
        let began = breaker.begin();
        breaker.answered(began);
        assert_eq!((breaker.shown(now_ms), breaker.allows(now_ms)), (Shown::Closed, None));
        assert_eq!(breaker.opened(), 13);
    }

    #[test]
    fn one_job_that_fails_again_and_again_does_not_open_it() {
        let mut breaker = Breaker::new(7);
        for _ in 0..100 {
            fail(&mut breaker, job(1), 0);
        }
        assert_eq!(breaker.shown(0), Shown::Closed);
        for number in 2..=ROW as u64 {
            fail(&mut breaker, job(number), 0);
        }
        assert_eq!(breaker.shown(0), Shown::Open);
    }

    #[test]
    fn what_began_before_a_change_says_nothing_after_it() {
        let mut breaker = Breaker::new(7);
        let late: Vec<Began> = (0..3).map(|_| breaker.begin()).collect();
        (0..ROW).for_each(|_| fail(&mut breaker, None, 0));
        let until_ms = breaker.until_ms();
        breaker.succeeded(late[0]);
        breaker.failed(late[1], None, 5);
        breaker.abandoned(late[2]);
        assert_eq!((breaker.until_ms(), breaker.shown(0)), (until_ms, Shown::Open));
        let probe = breaker.begin();
        breaker.abandoned(late[2]);
        let until_ms = until_ms.unwrap();
        assert_eq!(breaker.allows(until_ms), Some(0), "the probe is still under way");
        breaker.abandoned(probe);
        assert_eq!(breaker.allows(until_ms), Some(1), "and gives its place back");
    }

    #[test]
    fn two_destinations_do_not_probe_together() {
        let untils = (0..100).map(|seed| {
            let mut breaker = Breaker::new(seed);
            (0..ROW).for_each(|_| fail(&mut breaker, None, 0));
            breaker.until_ms().unwrap()
        });
        let mut untils: Vec<u64> = untils.collect();
        untils.sort_unstable();
        untils.dedup();
        assert!(untils.len() > 50, "{untils:?}");
    }
}
