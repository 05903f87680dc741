//! Which partitions have jobs ready, of each queue, and the workers that wait for some.
//!
//! Owners say how many jobs of a queue there are to lease, whenever a record has changed that; a worker
//! is led to partitions that have some, and the jobs that it was led to count as gone until the owner
//! says otherwise. So a number here may be too large for a moment, and then a worker finds less and
//! waits on at its old place. It is never too small for long: what a worker was led to and did not ask
//! for is given back, be it that its wait ended or it went just when it was led; and everything else that makes jobs ready is a record. A worker that waits costs
//! nothing, and the one that has waited longest is woken first.

use evenkeel_domains::jobs::{ByState, Readiness, State, Totals};
use evenkeel_engine::{TenantId, Time};
use evenkeel_log::PartitionId;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// Workers that may wait on this node at once, over all queues.
const WAITING_MAX: usize = 65_536;
/// Rates are of about so long.
const RATE_MS: f64 = 30_000.0;

/// Jobs that a worker is led to: where, and how many.
pub(super) type Led = Vec<(PartitionId, u64)>;

/// The map. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct ReadyMap(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    queues: HashMap<TenantId, HashMap<String, Line>>,
    waiting: usize,
    /// The place of the next worker that comes to wait.
    next: u64,
}

/// One queue.
#[derive(Default)]
struct Line {
    /// Jobs to lease, of the partitions that have any.
    ready: BTreeMap<PartitionId, u64>,
    /// Where a worker was led last.
    last: Option<PartitionId>,
    /// By their place: the longest first.
    waiting: BTreeMap<u64, Waiting>,
    /// How the queue is in each partition that has ever had a job.
    known: BTreeMap<PartitionId, Readiness>,
    came: Rate,
    went: Rate,
}

struct Waiting {
    want: u64,
    lead: oneshot::Sender<Promise>,
    /// What it is led to goes into this: if it never looks, that is given back.
    promise: Promise,
}

/// How a queue is, over all partitions of this node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueueState {
    /// How many jobs are in each state, in the order of [`State::ALL`].
    pub counts: ByState,
    /// What has happened.
    pub totals: Totals,
    /// Since when the oldest job is ready that is, at the earliest.
    pub oldest_ready: Option<Time>,
    /// Workers that wait here.
    pub workers_waiting: u64,
    /// Jobs that came a second, of late.
    pub came_per_s: f64,
    /// Jobs that were done or given up a second, of late; those that were cancelled are not counted.
    pub went_per_s: f64,
}

impl QueueState {
    /// Jobs that wait, for whatever.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        let waiting = [State::Waiting, State::Scheduled, State::Retry, State::Ready];
        waiting.into_iter().map(|state| self.counts[state as usize]).sum()
    }

    /// When the backlog is worked off if it goes on as of late; none if it does not shrink.
    #[must_use]
    pub fn drains_in_ms(&self) -> Option<u64> {
        let backlog = self.backlog();
        let shrinks_per_s = self.went_per_s - self.came_per_s;
        if backlog == 0 {
            return Some(0);
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an estimate; a float becomes the nearest integer there is"
        )]
        let drains_in_ms = (backlog as f64 / shrinks_per_s * 1_000.0) as u64;
        // Slower than one a minute is no rate to foretell anything by.
        (shrinks_per_s > 1.0 / 60.0).then_some(drains_in_ms)
    }
}

/// Events a second, the older the less they count.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    events: f64,
    at: Time,
}

impl Rate {
    fn add(&mut self, events: u64, now: Time) {
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let events = events as f64;
        *self = Self { events: self.left(now) + events, at: now.max(self.at) };
    }

    fn left(&self, now: Time) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let passed_ms = now.0.saturating_sub(self.at.0) as f64;
        self.events * (-passed_ms / RATE_MS).exp()
    }

    fn per_s(&self, now: Time) -> f64 {
        self.left(now) / (RATE_MS / 1_000.0)
    }
}

/// What a worker that asks is told.
pub(super) enum Answer {
    /// There are jobs.
    Led(Promise),
    /// There are none; it may wait.
    Wait(Place, oneshot::Receiver<Promise>),
    /// As many wait as may.
    Full,
}

/// A place among those that wait; given up when it is dropped.
pub(super) struct Place {
    map: ReadyMap,
    tenant: TenantId,
    queue: String,
    at: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let lines = &mut *self.map.lines();
        if let Some(line) = lines.line(self.tenant, &self.queue)
            && line.waiting.remove(&self.at).is_some()
        {
            lines.waiting -= 1;
        }
    }
}

/// Jobs that a worker was led to and has yet to ask for: given back when it is dropped before.
pub(super) struct Promise {
    map: ReadyMap,
    tenant: TenantId,
    queue: String,
    pub(super) led: Led,
}

impl Promise {
    /// It was asked for, but for `left`: what is not there is known to the owner.
    pub(super) fn settle(mut self, left: Led) {
        self.led = left;
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.led.is_empty() {
            self.map.give_back(self.tenant, &self.queue, &self.led);
        }
    }
}

impl ReadyMap {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leads a worker that wants up to `want` jobs; `place` is where it waited before, if it did.
    pub(super) fn ask(
        &self,
        tenant: TenantId,
        queue: &str,
        want: u64,
        place: Option<Place>,
    ) -> Answer {
        // Dropped before the lock is taken: its end takes the lock too.
        let before = place.map(|place| place.at);
        let lines = &mut *self.lines();
        if lines.line(tenant, queue).is_none() {
            lines.queues.entry(tenant).or_default().insert(queue.to_owned(), Line::default());
        }
        let next = lines.next;
        let full = lines.waiting >= WAITING_MAX;
        let line = lines.line(tenant, queue).expect("it was put there if it was not");
        let led = line.take(want);
        if !led.is_empty() {
            return Answer::Led(self.promise(tenant, queue, led));
        }
        if full {
            return Answer::Full;
        }
        let at = before.unwrap_or(next);
        let (lead, led) = oneshot::channel();
        let promise = self.promise(tenant, queue, Led::new());
        line.waiting.insert(at, Waiting { want, lead, promise });
        lines.waiting += 1;
        lines.next = next.max(at) + 1;
        let place = Place { map: self.clone(), tenant, queue: queue.to_owned(), at };
        Answer::Wait(place, led)
    }

    /// Leads a worker to this partition, if it has jobs: it is about to ask something of it anyway.
    pub(super) fn ask_here(
        &self,
        tenant: TenantId,
        queue: &str,
        partition: PartitionId,
        want: u64,
    ) -> Option<Promise> {
        let lines = &mut *self.lines();
        let line = lines.line(tenant, queue)?;
        let count = *line.ready.get(&partition)?;
        let taken = count.min(want);
        if taken == count {
            line.ready.remove(&partition);
        } else {
            line.ready.insert(partition, count - taken);
        }
        Some(self.promise(tenant, queue, vec![(partition, taken)]))
    }

    /// What a worker was led to, as something that is given back unless it is asked for.
    fn promise(&self, tenant: TenantId, queue: &str, led: Led) -> Promise {
        Promise { map: self.clone(), tenant, queue: queue.to_owned(), led }
    }

    fn give_back(&self, tenant: TenantId, queue: &str, led: &Led) {
        let lines = &mut *self.lines();
        let Some(line) = lines.line(tenant, queue) else { return };
        for (partition, count) in led {
            // Where it was refused because it is led here no more, nobody else is to be led.
            if line.known.contains_key(partition) {
                *line.ready.entry(*partition).or_default() += count;
            }
        }
        lines.waiting -= line.serve();
    }

    /// How a queue is in a partition that begins to be led.
    pub(crate) fn begin(&self, partition: PartitionId, readiness: Readiness, now: Time) {
        let before = readiness.totals;
        self.know(partition, readiness, before, now);
    }

    /// How it is after a record that changed it.
    pub(crate) fn learn(&self, partition: PartitionId, readiness: Readiness, now: Time) {
        self.know(partition, readiness, Totals::default(), now);
    }

    /// `unknown` is what had happened there if nothing is known of that.
    fn know(&self, partition: PartitionId, readiness: Readiness, unknown: Totals, now: Time) {
        let lines = &mut *self.lines();
        let Readiness { tenant, queue, next, totals, .. } = &readiness;
        if lines.line(*tenant, queue).is_none() {
            lines.queues.entry(*tenant).or_default().insert(queue.clone(), Line::default());
        }
        let line = lines.line(*tenant, queue).expect("it was put there if it was not");
        if next.leasable > 0 {
            line.ready.insert(partition, next.leasable);
        } else {
            line.ready.remove(&partition);
        }
        let before = line.known.get(&partition).map_or(unknown, |before| before.totals);
        line.came.add(totals.enqueued.saturating_sub(before.enqueued), now);
        line.went.add(gone(totals).saturating_sub(gone(&before)), now);
        line.known.insert(partition, readiness);
        let served = line.serve();
        lines.waiting -= served;
    }

    /// A partition is not led here any more.
    pub(crate) fn forget(&self, partition: PartitionId) {
        for line in self.lines().queues.values_mut().flat_map(HashMap::values_mut) {
            line.ready.remove(&partition);
            line.known.remove(&partition);
        }
    }

    /// How a queue is.
    pub(super) fn state(&self, tenant: TenantId, queue: &str, now: Time) -> QueueState {
        let lines = &mut *self.lines();
        lines.line(tenant, queue).map_or_else(QueueState::default, |line| line.state(now))
    }

    /// How every queue is.
    pub(super) fn states(&self, now: Time) -> Vec<(TenantId, String, QueueState)> {
        let lines = self.lines();
        let each = lines.queues.iter().flat_map(|(tenant, queues)| {
            queues.iter().map(|(queue, line)| (*tenant, queue.clone(), line.state(now)))
        });
        each.collect()
    }

    /// The queues of which a partition knows settings of this version.
    pub(super) fn versions(&self) -> Vec<(PartitionId, TenantId, String, u64)> {
        let lines = self.lines();
        let known = lines.queues.values().flat_map(HashMap::values).flat_map(|line| &line.known);
        let version = |(partition, known): (&PartitionId, &Readiness)| {
            (*partition, known.tenant, known.queue.clone(), known.version)
        };
        known.map(version).collect()
    }
}

/// Jobs that wait no more, for good: those that died and came back count again.
fn gone(totals: &Totals) -> u64 {
    totals.completed + totals.died
}

impl Lines {
    fn line(&mut self, tenant: TenantId, queue: &str) -> Option<&mut Line> {
        self.queues.get_mut(&tenant)?.get_mut(queue)
    }
}

impl Line {
    /// Leads one worker, beginning behind the partition where the one before it was led.
    fn take(&mut self, want: u64) -> Led {
        let mut led = Led::new();
        let mut left = want;
        while left > 0 {
            let from = self.last.map_or(0, |last| last.0.saturating_add(1));
            let after = self.ready.range(PartitionId(from)..).next();
            let Some((partition, count)) = after.or_else(|| self.ready.iter().next()) else {
                break;
            };
            let (partition, count) = (*partition, *count);
            let taken = count.min(left);
            if taken == count {
                self.ready.remove(&partition);
            } else {
                self.ready.insert(partition, count - taken);
            }
            self.last = Some(partition);
            left -= taken;
            led.push((partition, taken));
        }
        led
    }

    /// Leads those who wait, as far as there are jobs. Answers how many wait no more.
    fn serve(&mut self) -> usize {
        let mut served = 0;
        while !self.ready.is_empty()
            && let Some((_, Waiting { want, lead, mut promise })) = self.waiting.pop_first()
        {
            served += 1;
            promise.led = self.take(want);
            if let Err(mut promise) = lead.send(promise) {
                // It has just gone. Here, as the end of a promise takes the lock.
                for (partition, count) in std::mem::take(&mut promise.led) {
                    *self.ready.entry(partition).or_default() += count;
                }
            }
        }
        served
    }

    fn state(&self, now: Time) -> QueueState {
        let mut state = QueueState {
            workers_waiting: self.waiting.len() as u64,
            came_per_s: self.came.per_s(now),
            went_per_s: self.went.per_s(now),
            ..QueueState::default()
        };
        for known in self.known.values() {
            for (count, more) in state.counts.iter_mut().zip(known.counts) {
                *count += more;
            }
            state.oldest_ready = match (state.oldest_ready, known.oldest_ready) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            let Totals { enqueued, completed, failed, crashed, died } = known.totals;
            state.totals.enqueued += enqueued;
            state.totals.completed += completed;
            state.totals.failed += failed;
            state.totals.crashed += crashed;
            state.totals.died += died;
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_domains::jobs::Next;

    const TENANT: TenantId = TenantId(0);

    fn learn(map: &ReadyMap, partition: u16, leasable: u64) {
        let readiness = Readiness {
            tenant: TENANT,
            queue: "q".into(),
            version: 1,
            next: Next { leasable, due: None },
            counts: ByState::default(),
            totals: Totals::default(),
            oldest_ready: None,
        };
        map.learn(PartitionId(partition), readiness, Time(0));
    }

    fn led(map: &ReadyMap, want: u64) -> Led {
        match map.ask(TENANT, "q", want, None) {
            Answer::Led(promise) => asked(promise),
            Answer::Wait(..) | Answer::Full => Led::new(),
        }
    }

    /// What it was led to is asked for.
    fn asked(mut promise: Promise) -> Led {
        std::mem::take(&mut promise.led)
    }

    fn wait(map: &ReadyMap, want: u64) -> (Place, oneshot::Receiver<Promise>) {
        match map.ask(TENANT, "q", want, None) {
            Answer::Wait(place, led) => (place, led),
            Answer::Led(_) | Answer::Full => panic!("there is nothing"),
        }
    }

    #[test]
    fn workers_are_led_round_the_partitions_that_have_jobs() {
        let map = ReadyMap::default();
        learn(&map, 3, 2);
        learn(&map, 7, 5);
        assert_eq!(led(&map, 1), [(PartitionId(3), 1)]);
        assert_eq!(led(&map, 2), [(PartitionId(7), 2)]);
        assert_eq!(led(&map, 3), [(PartitionId(3), 1), (PartitionId(7), 2)]);
        assert_eq!(led(&map, 3), [(PartitionId(7), 1)]);
        assert_eq!(led(&map, 3), []);
    }

    #[test]
    fn who_waits_longest_is_woken_first_and_no_more_than_there_are_jobs() {
        let map = ReadyMap::default();
        let (_first, mut one) = wait(&map, 1);
        let (gone, _) = wait(&map, 1);
        let (_third, mut three) = wait(&map, 2);
        let (_fourth, mut four) = wait(&map, 1);
        drop(gone);
        learn(&map, 1, 2);
        assert_eq!(one.try_recv().map(asked), Ok(vec![(PartitionId(1), 1)]));
        assert_eq!(three.try_recv().map(asked), Ok(vec![(PartitionId(1), 1)]));
        assert!(four.try_recv().is_err());
        assert_eq!(map.lines().waiting, 1);
    }

    #[test]
    fn what_is_not_asked_for_is_given_back() {
        let map = ReadyMap::default();
        let (_place, mut led) = wait(&map, 1);
        learn(&map, 1, 1);
        let promise = led.try_recv().unwrap();
        let (_next, mut next) = wait(&map, 5);
        drop(promise);
        assert_eq!(next.try_recv().map(asked), Ok(vec![(PartitionId(1), 1)]));
        map.promise(TENANT, "q", vec![(PartitionId(1), 1)]).settle(Led::new());
        let (_last, mut last) = wait(&map, 1);
        assert!(last.try_recv().is_err());
    }

    #[test]
    fn nothing_is_given_back_where_nothing_is_led_any_more() {
        let map = ReadyMap::default();
        learn(&map, 1, 1);
        let Answer::Led(promise) = map.ask(TENANT, "q", 1, None) else { panic!("there is one") };
        let (_place, mut next) = wait(&map, 1);
        map.forget(PartitionId(1));
        let led = promise.led.clone();
        promise.settle(led);
        assert!(next.try_recv().is_err(), "it would be refused like the one before");
        assert_eq!(map.lines().waiting, 1);
        learn(&map, 1, 1);
        assert_eq!(next.try_recv().map(asked), Ok(vec![(PartitionId(1), 1)]), "it is led again");
    }

    #[test]
    fn who_goes_just_when_it_is_led_leaves_that_to_the_next() {
        let map = ReadyMap::default();
        let (place, lead) = wait(&map, 1);
        learn(&map, 1, 1);
        // Its wait has ended, or its connection: it never looks.
        drop((place, lead));
        assert_eq!(led(&map, 1), [(PartitionId(1), 1)]);
        let (place, lead) = wait(&map, 1);
        let (_next, mut next) = wait(&map, 1);
        learn(&map, 2, 1);
        drop((place, lead));
        assert_eq!(next.try_recv().map(asked), Ok(vec![(PartitionId(2), 1)]));
    }

    #[test]
    fn who_found_nothing_waits_on_at_its_old_place() {
        let map = ReadyMap::default();
        let (first, mut one) = wait(&map, 1);
        let (_second, mut two) = wait(&map, 1);
        learn(&map, 1, 1);
        asked(one.try_recv().unwrap());
        let Answer::Wait(_again, mut one) = map.ask(TENANT, "q", 1, Some(first)) else { panic!() };
        learn(&map, 1, 1);
        assert_eq!(one.try_recv().map(asked), Ok(vec![(PartitionId(1), 1)]));
        assert!(two.try_recv().is_err());
    }

    #[test]
    fn rates_foretell_when_a_backlog_is_worked_off() {
        let mut state = QueueState { went_per_s: 3.0, came_per_s: 1.0, ..QueueState::default() };
        assert_eq!(state.drains_in_ms(), Some(0));
        state.counts[State::Ready as usize] = 100;
        assert_eq!(state.drains_in_ms(), Some(50_000));
        state.came_per_s = 3.0;
        assert_eq!(state.drains_in_ms(), None);
        let mut rate = Rate::default();
        for second in 0..600 {
            rate.add(5, Time(second * 1_000));
        }
        assert!((4.5..5.5).contains(&rate.per_s(Time(599_000))));
        assert!(rate.per_s(Time(900_000)) < 0.01);
    }
}
