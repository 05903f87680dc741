//! [`SimLog`]: the simulated log behind the [`Log`] trait, with outcomes that a test chooses or a
//! seed draws.

use super::SimCore;
use crate::rng::SplitMix64;
use crate::{AppendError, Log, Offset, PartitionId, ReadError, Record, Tail};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What becomes of one append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// What the log itself decides.
    Normal,
    /// It lands, if the log allows it, but the answer is `Indeterminate`.
    AnswerLost,
    /// The answer is `Indeterminate`, and it is tried that many calls later.
    Late(u32),
    /// The answer is `Indeterminate`, and it is never tried.
    Lost,
    /// Refused as if the tail were another, with no effect.
    Conflict,
    /// Refused for want of space, with no effect.
    Full,
}

/// How often a seed draws each fate, in thousandths; the rest is [`Fate::Normal`].
#[derive(Debug, Clone, Copy, Default)]
pub struct FateRates {
    /// [`Fate::AnswerLost`].
    pub answer_lost: u32,
    /// [`Fate::Late`], up to 8 calls later.
    pub late: u32,
    /// [`Fate::Lost`].
    pub lost: u32,
    /// [`Fate::Conflict`].
    pub conflict: u32,
    /// [`Fate::Full`].
    pub full: u32,
}

/// A log in memory whose appends meet chosen fates.
#[derive(Debug)]
pub struct SimLog {
    state: Mutex<State>,
    /// Counts what landed, to wake who waits for a tail.
    landed: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    core: SimCore,
    rng: SplitMix64,
    rates: FateRates,
    chosen: VecDeque<Fate>,
    /// Records that land late, and after how many more calls.
    late: Vec<(u32, Record)>,
}

impl SimLog {
    /// A log in which nothing goes wrong until a fate is chosen.
    #[must_use]
    pub fn new() -> Self {
        Self::seeded(0, FateRates::default())
    }

    /// A log whose fates are drawn by `seed`.
    #[must_use]
    pub fn seeded(seed: u64, rates: FateRates) -> Self {
        let state = State {
            core: SimCore::new(),
            rng: SplitMix64::new(seed),
            rates,
            chosen: VecDeque::new(),
            late: Vec::new(),
        };
        Self { state: Mutex::new(state), landed: watch::Sender::new(0) }
    }

    /// The next append that has none chosen yet meets `fate`.
    pub fn choose(&self, fate: Fate) {
        self.lock().chosen.push_back(fate);
    }

    /// Everything that was to land late lands now.
    pub fn settle(&self) {
        let mut state = self.lock();
        for (_, record) in std::mem::take(&mut state.late) {
            // It lands or it does not: nobody is waiting for the answer.
            let _ = state.core.append(record);
        }
        drop(state);
        self.wake();
    }

    /// Looks at or changes the log itself.
    pub fn with_core<T>(&self, work: impl FnOnce(&mut SimCore) -> T) -> T {
        work(&mut self.lock().core)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.landed.send_modify(|landed| *landed += 1);
    }

    /// One more call: what is due lands.
    fn enter(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let mut due = Vec::new();
        state.late.retain_mut(|(calls, record)| {
            *calls = calls.saturating_sub(1);
            if *calls == 0 {
                due.push(record.clone());
            }
            *calls > 0
        });
        let any = !due.is_empty();
        for record in due {
            let _ = state.core.append(record);
        }
        if any {
            self.wake();
        }
        state
    }

    fn submit(&self, record: Record) -> Result<Tail, AppendError> {
        let mut state = self.enter();
        let unknown = || AppendError::Indeterminate("the simulated answer was lost".to_owned());
        let outcome = match state.fate() {
            Fate::Normal => state.core.append(record),
            Fate::AnswerLost => {
                let _ = state.core.append(record);
                Err(unknown())
            }
            Fate::Late(calls) => {
                state.late.push((calls.max(1), record));
                Err(unknown())
            }
            Fate::Lost => Err(unknown()),
            Fate::Conflict => {
                Err(AppendError::Conflict { tail: state.core.tail(record.header().partition) })
            }
            Fate::Full => Err(AppendError::Full("the simulated disk is full".to_owned())),
        };
        drop(state);
        self.wake();
        outcome
    }
}

impl Default for SimLog {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn fate(&mut self) -> Fate {
        if let Some(chosen) = self.chosen.pop_front() {
            return chosen;
        }
        let drawn = self.rng.below(1000);
        let later = 1 + u32::try_from(self.rng.below(8)).expect("it is below 8");
        let rates = self.rates;
        let mut bound = 0;
        let fates = [
            (rates.answer_lost, Fate::AnswerLost),
            (rates.late, Fate::Late(later)),
            (rates.lost, Fate::Lost),
            (rates.conflict, Fate::Conflict),
            (rates.full, Fate::Full),
        ];
        for (rate, fate) in fates {
            bound += rate as usize;
            if drawn < bound {
                return fate;
            }
        }
        Fate::Normal
    }
}

impl Log for SimLog {
    fn append(&self, record: Record) -> impl Future<Output = Result<Tail, AppendError>> + Send {
        std::future::ready(self.submit(record))
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        self.enter().core.read(partition, from, bytes_max)
    }

    async fn tail(&self, partition: PartitionId) -> Result<Tail, ReadError> {
        Ok(self.enter().core.tail(partition))
    }

    async fn tail_past(&self, partition: PartitionId, past: Offset) -> Result<Tail, ReadError> {
        let mut landed = self.landed.subscribe();
        loop {
            landed.mark_unchanged();
            let tail = self.enter().core.tail(partition);
            if tail.offset > past {
                return Ok(tail);
            }
            if landed.changed().await.is_err() {
                return Err(ReadError::Io("the simulated log is gone".to_owned()));
            }
        }
    }

    async fn trim(&self, partition: PartitionId, below: Offset) -> Result<(), ReadError> {
        self.enter().core.trim(partition, below);
        Ok(())
    }
}
