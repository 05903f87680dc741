//! One resource as the sequential model sees it: holds, their life, and what is free.
//!
//! Where nobody was told when a hold expires, it may have expired at any time from some moment
//! on; such a hold never makes an answer wrong that could be right either way.

use crate::history::{Capacity, Places};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Due holds that a server settles in one step. What is left over is counted a while longer.
const SETTLED_A_STEP_MAX: usize = 256;

/// Why an answer cannot be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It gives places that are another's.
    NotFree,
    /// It refuses places that are free.
    StillFree,
    /// It finds no hold where there is one, or one where there is none.
    Lost,
    /// It treats a hold as held that was resolved otherwise.
    Resolved,
    /// It treats a hold as held after its time.
    Lapsed,
    /// It treats a hold as resolved that is held.
    StillHeld,
    /// Its fence is not larger than those before it.
    FenceBack,
    /// Its record time is before that of what came before it.
    TimeBack,
    /// It counts places otherwise than they are.
    Miscounted,
    /// It refuses a key whose request had its effect.
    KeyForgotten,
    /// It says something that no answer to this request says.
    Nonsense,
}

/// Where a hold is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Held,
    Confirmed,
    Released,
    Expired,
    Cancelled,
}

/// Until when a hold is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Expiry {
    At(u64),
    /// At this time or later: nobody was told.
    NotBefore(u64),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Hold {
    pub(crate) places: Arc<Places>,
    pub(crate) phase: Phase,
    pub(crate) expiry: Expiry,
    /// The hold that took the same places again.
    pub(crate) again: Option<Arc<str>>,
    /// Whether its id was told to anyone; else it goes by a name of ours.
    pub(crate) told: bool,
}

/// A resource between two operations.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Resource {
    /// The latest record time that is certain.
    pub(crate) now_ms: u64,
    /// The largest fence given.
    pub(crate) fence: u64,
    pub(crate) holds: BTreeMap<Arc<str>, Hold>,
    /// Keys whose request had its effect.
    pub(crate) keys: BTreeSet<Arc<str>>,
    /// Units that expired in too large a heap to be settled at once.
    unsettled: u64,
}

impl Resource {
    /// Lets record time pass to `at_ms`, and what is due then expire.
    pub(crate) fn advance(&mut self, at_ms: u64) -> Result<(), Wrong> {
        if at_ms < self.now_ms {
            return Err(Wrong::TimeBack);
        }
        self.now_ms = at_ms;
        let due = |hold: &&mut Hold| {
            hold.phase == Phase::Held && matches!(hold.expiry, Expiry::At(at) if at <= at_ms)
        };
        let (mut count, mut units) = (0, 0);
        for hold in self.holds.values_mut().filter(due) {
            hold.phase = Phase::Expired;
            units += hold.places.units();
            count += 1;
        }
        if count > SETTLED_A_STEP_MAX {
            self.unsettled += units;
        }
        Ok(())
    }

    /// Whether `hold` may have expired already, for all that anyone was told.
    fn may_be_over(&self, hold: &Hold) -> bool {
        hold.phase == Phase::Held
            && matches!(hold.expiry, Expiry::NotBefore(from) if from <= self.now_ms)
    }

    fn certain(&self) -> impl Iterator<Item = &Hold> {
        self.possible().filter(|hold| !self.may_be_over(hold))
    }

    fn possible(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values().filter(|hold| matches!(hold.phase, Phase::Held | Phase::Confirmed))
    }

    /// Whether `places` may be free: nobody has them for certain.
    pub(crate) fn may_fit(&self, capacity: &Capacity, places: &Places) -> bool {
        match (capacity, places) {
            (Capacity::Quantity(capacity), Places::Quantity(units)) => {
                self.certain().map(|hold| hold.places.units()).sum::<u64>() + units <= *capacity
            }
            (Capacity::Seats(all), Places::Seats(seats)) => {
                seats.iter().all(|seat| all.contains(seat) && !has(self.certain(), seat))
            }
            _ => false,
        }
    }

    /// Whether `places` may be taken: somebody may have one of them.
    pub(crate) fn may_be_taken(&self, capacity: &Capacity, places: &Places) -> bool {
        match places {
            Places::Quantity(units) => {
                let taken: u64 = self.possible().map(|hold| hold.places.units()).sum();
                taken + units > capacity.places()
            }
            Places::Seats(seats) => seats.iter().any(|seat| has(self.possible(), seat)),
        }
    }

    /// The times from now on at which something changes by itself, now among them.
    fn times(&self) -> Vec<u64> {
        let held = self.holds.values().filter(|hold| hold.phase == Phase::Held);
        let ends = held.map(|hold| match hold.expiry {
            Expiry::At(at) | Expiry::NotBefore(at) => at,
        });
        let mut times: Vec<u64> =
            ends.filter(|at| *at > self.now_ms).chain([self.now_ms]).collect();
        times.sort_unstable();
        times
    }

    /// The first time from now on at which `places` may be free.
    pub(crate) fn fits_from(&self, capacity: &Capacity, places: &Places) -> Option<u64> {
        self.times().into_iter().find(|at| {
            let mut then = self.clone();
            then.advance(*at).is_ok() && then.may_fit(capacity, places)
        })
    }

    /// The first time from now on at which a count of places may be right.
    pub(crate) fn counts_from(&self, held: u64, confirmed: u64) -> Option<u64> {
        self.times().into_iter().find(|at| self.counts(*at, held, confirmed))
    }

    /// Takes places that [`Resource::may_fit`].
    pub(crate) fn take(&mut self, id: &Arc<str>, hold: Hold) -> Result<(), Wrong> {
        let now_ms = self.now_ms;
        for other in self.holds.values_mut() {
            let over = matches!(other.expiry, Expiry::NotBefore(from) if from <= now_ms);
            let mut seats = hold.places.seats().iter();
            if over && other.phase == Phase::Held && seats.any(|seat| has([&*other], seat)) {
                other.phase = Phase::Expired;
            }
        }
        match self.holds.insert(id.clone(), hold) {
            Some(_) => Err(Wrong::FenceBack),
            None => Ok(()),
        }
    }

    /// Somebody was told the id of a hold that went by a name of ours.
    pub(crate) fn tell(&mut self, name: &Arc<str>, id: &Arc<str>) {
        if let Some(mut hold) = self.holds.remove(name) {
            hold.told = true;
            self.holds.insert(id.clone(), hold);
        }
        for hold in self.holds.values_mut().filter(|hold| hold.again.as_ref() == Some(name)) {
            hold.again = Some(id.clone());
        }
    }

    /// Notes the fence of a new hold.
    pub(crate) fn raise_fence(&mut self, fence: u64) -> Result<(), Wrong> {
        if fence <= self.fence {
            return Err(Wrong::FenceBack);
        }
        self.fence = fence;
        Ok(())
    }

    /// Whether a count of places may be right. It may still count what is due at `at_ms`.
    pub(crate) fn counts(&self, at_ms: u64, held: u64, confirmed: u64) -> bool {
        let sum = |phase: Phase, over: &dyn Fn(&Hold) -> bool| -> u64 {
            let in_phase = self.holds.values().filter(|hold| hold.phase == phase && !over(hold));
            in_phase.map(|hold| hold.places.units()).sum()
        };
        let due = |hold: &Hold| match hold.expiry {
            Expiry::At(at) | Expiry::NotBefore(at) => at <= at_ms,
        };
        let least = sum(Phase::Held, &due);
        let most = sum(Phase::Held, &|_| false) + self.unsettled;
        (least..=most).contains(&held) && confirmed == sum(Phase::Confirmed, &|_| false)
    }
}

fn has<'h>(holds: impl IntoIterator<Item = &'h Hold>, seat: &String) -> bool {
    holds.into_iter().any(|hold| hold.places.seats().contains(seat))
}
