//! The heaviest keys and tenants of a partition, by a sketch of fixed size.
//!
//! *Space-Saving* (Metwally, Agrawal, El Abbadi: Efficient computation of frequent and top-k elements in
//! data streams, 2005) with a filter before it (Homem, Carvalho: Finding top-k elements in data
//! streams, 2010). Of `n` counted units and [`SLOTS`] slots: whoever has more than `n / SLOTS` is in it,
//! no count is too low, and each is too high by at most its `error`, which is at most `n / SLOTS`.
//!
//! Counts are of a window of [`WINDOW_MS`]; what is read is the last whole one.

use evenkeel_domains::{Command, limits};
use evenkeel_engine::{TenantId, Time};
use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
};

/// How long a window is.
pub const WINDOW_MS: u64 = 10_000;
/// Keys, and tenants, that are counted one by one.
pub const SLOTS: usize = 64;
/// Of these the heaviest are shown.
pub const SHOWN_MAX: usize = 8;
const FILTER_CELLS: usize = 1_024;
/// A key is shown so far.
const LABEL_BYTES_MAX: usize = 64;

/// One of the heaviest, in the last whole window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeavyHitter {
    /// Whose.
    pub tenant: TenantId,
    /// What: none of a tenant as a whole.
    pub key: Option<String>,
    /// Requests, and tokens of leases, at most.
    pub count: u64,
    /// How much of `count` may be others'.
    pub error: u64,
}

/// A partition's heaviest in the last whole window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heaviest {
    /// When the window ended.
    pub until: Time,
    /// The heaviest first.
    pub keys: Vec<HeavyHitter>,
    /// The heaviest first.
    pub tenants: Vec<HeavyHitter>,
}

/// What a partition counts in this window.
pub(crate) struct Heavy {
    keys: Sketch,
    tenants: Sketch,
    ends: Time,
    hasher: RandomState,
}

impl Default for Heavy {
    fn default() -> Self {
        let (keys, tenants) = (Sketch::default(), Sketch::default());
        Self { keys, tenants, ends: Time(0), hasher: RandomState::new() }
    }
}

impl Heavy {
    /// Counts a command.
    pub(crate) fn count(&mut self, tenant: TenantId, command: &Command) {
        let (id, units) = match command {
            Command::Limits(command) => match (command.checks().first(), command.action()) {
                (Some(check), limits::Action::Lease { tokens }) => {
                    (self.id(tenant, check.key()), *tokens)
                }
                (Some(check), _) => (self.id(tenant, check.key()), 1),
                (None, _) => return,
            },
            Command::Reservations(command) => (self.id(tenant, command.resource.as_str()), 1),
            Command::Jobs(command) => (self.id(tenant, command.queue.as_str()), 1),
            Command::Schedules(command) => {
                (self.id(tenant, ("schedules", command.schedule.as_str())), 1)
            }
            Command::Chat(command) => (self.id(tenant, ("chat", command.conversation.as_str())), 1),
            Command::Feed(command) => (self.id(tenant, ("feed", command.user.as_str())), 1),
            Command::Meta(_) => return,
        };
        let label = || HeavyHitter { tenant, key: Some(label(command)), count: 0, error: 0 };
        self.keys.count(id, units, label);
        let whole = || HeavyHitter { tenant, key: None, count: 0, error: 0 };
        self.tenants.count(self.hasher.hash_one(tenant), units, whole);
    }

    fn id(&self, tenant: TenantId, key: impl std::hash::Hash) -> u64 {
        self.hasher.hash_one((tenant, key))
    }

    /// The window's heaviest if it is over at `now`: then the next begins. It ended when it was to, also
    /// where nothing has happened since: what was heavy an hour ago is not now.
    pub(crate) fn turn(&mut self, now: Time) -> Option<Heaviest> {
        if now < self.ends {
            return None;
        }
        let until = std::mem::replace(&mut self.ends, now.plus_ms(WINDOW_MS));
        Some(Heaviest { until, keys: self.keys.take(), tenants: self.tenants.take() })
    }
}

/// What a command is about, as people write it.
fn label(command: &Command) -> String {
    let mut label = match command {
        Command::Limits(command) => {
            let Some(check) = command.checks().first() else { return String::new() };
            let subject = check.subject();
            let named = [Some(subject.limit.as_str()), subject.scope.as_deref()];
            let key = String::from_utf8_lossy(&subject.key);
            let parts = named.into_iter().flatten().filter(|part| !part.is_empty());
            parts.chain([&*key]).collect::<Vec<_>>().join(" ")
        }
        Command::Reservations(command) => command.resource.clone(),
        Command::Jobs(command) => command.queue.clone(),
        Command::Schedules(command) => command.schedule.clone(),
        Command::Chat(command) => command.conversation.clone(),
        Command::Feed(command) => command.user.clone(),
        Command::Meta(_) => String::new(),
    };
    if label.len() > LABEL_BYTES_MAX {
        let end = (0..=LABEL_BYTES_MAX).rev().find(|end| label.is_char_boundary(*end));
        label.truncate(end.unwrap_or(0));
        label.push('…');
    }
    label
}

struct Sketch {
    slots: Vec<Slot>,
    places: HashMap<u64, usize>,
    /// What was counted for those without a slot, by hash.
    filter: Box<[u64; FILTER_CELLS]>,
}

struct Slot {
    id: u64,
    hitter: HeavyHitter,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            slots: Vec::with_capacity(SLOTS),
            places: HashMap::with_capacity(SLOTS),
            filter: Box::new([0; FILTER_CELLS]),
        }
    }
}

impl Sketch {
    fn count(&mut self, id: u64, units: u64, label: impl FnOnce() -> HeavyHitter) {
        if let Some(place) = self.places.get(&id) {
            let count = &mut self.slots[*place].hitter.count;
            *count = count.saturating_add(units);
            return;
        }
        if self.slots.len() < SLOTS {
            self.places.insert(id, self.slots.len());
            self.slots.push(Slot { id, hitter: HeavyHitter { count: units, ..label() } });
            return;
        }
        let cell = cell(id);
        let before = self.filter[cell];
        let lightest = (0..SLOTS).min_by_key(|place| self.slots[*place].hitter.count);
        let place = lightest.expect("there are slots");
        let slot = &mut self.slots[place];
        let after = before.saturating_add(units);
        if after <= slot.hitter.count {
            self.filter[cell] = after;
            return;
        }
        // What the evicted one had may be anybody's of its cell from now on.
        let left = &mut self.filter[self::cell(slot.id)];
        *left = (*left).max(slot.hitter.count);
        self.places.remove(&slot.id);
        self.places.insert(id, place);
        let hitter = HeavyHitter { count: after, error: before, ..label() };
        self.slots[place] = Slot { id, hitter };
    }

    /// The heaviest, and begins anew.
    fn take(&mut self) -> Vec<HeavyHitter> {
        let mut all: Vec<_> = self.slots.drain(..).map(|slot| slot.hitter).collect();
        self.places.clear();
        self.filter.fill(0);
        all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.key.cmp(&b.key)));
        all.truncate(SHOWN_MAX);
        all
    }
}

fn cell(id: u64) -> usize {
    (id % FILTER_CELLS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: u64) -> HeavyHitter {
        HeavyHitter { tenant: TenantId(0), key: Some(number.to_string()), count: 0, error: 0 }
    }

    /// Many light ones, and few heavy ones among them.
    #[test]
    fn the_heavy_are_found_and_counted_within_the_error() {
        let hasher = RandomState::new();
        let mut sketch = Sketch::default();
        let mut total = 0;
        let mut count = |number: u64, units: u64| {
            total += units;
            sketch.count(hasher.hash_one(number), units, || numbered(number));
        };
        for round in 0..2_000_u64 {
            for light in 0..50 {
                count(1_000 + (round * 50 + light) % 20_000, 1);
            }
            (0..SHOWN_MAX as u64).for_each(|heavy| count(heavy, 4 + heavy));
        }
        let most = total / SLOTS as u64;
        let found = sketch.take();
        for (place, hitter) in found.iter().enumerate() {
            let heavy = (SHOWN_MAX - 1 - place) as u64;
            let truly = 2_000 * (4 + heavy);
            assert_eq!(hitter.key, Some(heavy.to_string()));
            assert!(hitter.error <= most, "{hitter:?}");
            assert!((truly..=truly + hitter.error).contains(&hitter.count), "{hitter:?}: {truly}");
        }
        assert!(sketch.take().is_empty(), "the next window begins with nothing");
    }

    /// The bounds of the sketch, against exact counts, where all are about as heavy.
    #[test]
    fn no_count_is_too_low_and_none_too_high_by_more_than_its_error() {
        let mut sketch = Sketch::default();
        let mut exact = HashMap::new();
        let mut state = 7_u64;
        let mut total = 0;
        for _ in 0..100_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (state >> 33) % 300;
            *exact.entry(number.to_string()).or_insert(0) += 1;
            total += 1;
            sketch.count(number.wrapping_mul(0x9e37_79b9_7f4a_7c15), 1, || numbered(number));
        }
        for hitter in sketch.take() {
            let truly = exact[hitter.key.as_ref().unwrap()];
            assert!(hitter.count >= truly && hitter.count - hitter.error <= truly, "{hitter:?}");
            assert!(hitter.error <= total / SLOTS as u64);
        }
    }

    /// Costs are any number, and so are the tokens that are asked for.
    #[test]
    fn a_count_that_is_too_large_stays_the_largest() {
        let mut sketch = Sketch::default();
        for number in 0..=SLOTS as u64 {
            (0..2).for_each(|_| sketch.count(number, u64::MAX, || numbered(number)));
        }
        assert!(sketch.take().iter().all(|hitter| hitter.count == u64::MAX));
    }

    #[test]
    fn a_window_ended_when_it_was_to_and_not_when_something_came_again() {
        let mut heavy = Heavy::default();
        heavy.turn(Time(1_000)).unwrap();
        let ends = 1_000 + WINDOW_MS;
        assert_eq!(heavy.turn(Time(ends - 1)), None);
        assert_eq!(heavy.turn(Time(ends + 3_600_000)).unwrap().until, Time(ends));
    }

    #[test]
    fn a_long_key_is_cut_between_characters() {
        let resource = "é".repeat(100);
        let command = evenkeel_domains::reservations::Command {
            resource,
            action: evenkeel_domains::reservations::Action::Release { hold: 1 },
        };
        let label = label(&Command::Reservations(command));
        assert_eq!(label, "é".repeat(LABEL_BYTES_MAX / 2) + "…");
    }
}
