//! What time does: ticks that are due fire, or are counted as missed.
//!
//! A tick that fires is one item for the partition of its job, in the same record as the schedule's
//! row with the tick after it: whoever restarts finds both or neither, and the outbox delivers the
//! item once.

use super::{
    Missed, Spec, Timetable,
    tables::{Schedule, ScheduleSpecs, Schedules},
};
use crate::{
    Item,
    jobs::{self, NewJob, Spread, When},
    meta::Meta,
};
use evenkeel_engine::{Context, TenantId, Time};
use evenkeel_log::Hash;
use evenkeel_state::{Read, StateError};

/// A tick that fires no later than this is in time: what a restart or a busy partition takes.
pub const GRACE_MS: u64 = 30_000;
/// Late ticks that fire one after the other, if late ones do at all; those after them are missed.
pub const CATCH_UP_MAX: u64 = 1_000;
/// Missed ticks of a cron expression that are counted at once, one by one: of more, only so many are.
pub const COUNTED_MAX: u64 = 1_000;
/// Ticks that fire in one step; further ones in the next.
pub const STEP_TICKS_MAX: usize = 16;
/// Payloads after which a step ends.
pub const STEP_BYTES_MAX: usize = 128 * 1_024;

/// What a schedule meets outside its own rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// How many partitions there are.
    pub(crate) partitions: u16,
    /// The queues and tenants that there are.
    pub(crate) meta: &'a Meta,
}

/// One schedule while something happens to it. What has changed is written by [`Subject::save`].
pub(super) struct Subject<'a, 'c, 't> {
    pub(super) ctx: &'a mut Context<'c, 't>,
    pub(super) key: (TenantId, String),
    pub(super) row: Schedule,
}

impl Subject<'_, '_, '_> {
    pub(super) fn save(self) {
        self.ctx.tx.put::<Schedules>(&self.key, &self.row);
    }

    /// Has `next` be the tick that comes next.
    pub(super) fn aim(&mut self, next: Option<Time>) {
        if next == self.row.next {
            return;
        }
        if let Some(was) = self.row.next {
            self.ctx.clear_timer(was, super::DOMAIN, self.row.id);
        }
        if let Some(next) = next {
            self.ctx.set_timer(next, super::DOMAIN, self.row.id);
        }
        self.row.next = next;
    }

    pub(super) fn spec(&self) -> Result<Spec, StateError> {
        let spec = self.ctx.tx.get::<ScheduleSpecs>(&self.row.id)?;
        Ok(spec.expect("a schedule is written together with what it says"))
    }

    /// Ticks that are due and have not fired never will: it is paused, or due at other times now.
    pub(super) fn miss_what_is_due(&mut self, timetable: &Timetable) {
        let now = self.ctx.now();
        if let Some(tick) = self.row.next.filter(|tick| *tick <= now) {
            let passed = timetable.passed(tick, now.plus_ms(1), COUNTED_MAX);
            self.row.totals.missed += passed.count;
        }
        self.row.caught_up = 0;
    }

    /// Fires what is due, a bounded number of ticks; answers whether more is.
    pub(super) fn settle(&mut self, around: Surroundings<'_>) -> Result<bool, StateError> {
        let now = self.ctx.now();
        let Some(due) = self.row.next.filter(|tick| *tick <= now) else { return Ok(false) };
        let spec = self.spec()?;
        let timetable = match Timetable::new(&spec.timing, self.row.since) {
            Ok(timetable) => timetable,
            // A zone that was put is not among those of this version.
            Err(error) => {
                self.row.last_error = Some((now, error.to_string()));
                self.aim(None);
                return Ok(false);
            }
        };
        let next = self.fire_due(due, &spec, &timetable, around)?;
        let more = next.is_some_and(|next| next <= now);
        if !more {
            self.row.caught_up = 0;
        }
        self.aim(next);
        Ok(more)
    }

    /// Answers the first tick that has not been dealt with.
    fn fire_due(
        &mut self,
        due: Time,
        spec: &Spec,
        timetable: &Timetable,
        around: Surroundings<'_>,
    ) -> Result<Option<Time>, StateError> {
        let now = self.ctx.now();
        let in_time = now.minus_ms(GRACE_MS);
        let mut room = (STEP_BYTES_MAX / spec.job.payload.len().max(1)).clamp(1, STEP_TICKS_MAX);
        let mut next = Some(due);
        while let Some(tick) = next.filter(|tick| *tick <= now) {
            let late = tick < in_time;
            let is_missed = match spec.missed {
                Missed::Skip => late,
                Missed::Once => false,
                Missed::All => late && self.row.caught_up >= CATCH_UP_MAX,
            };
            if is_missed {
                let passed = timetable.passed(tick, in_time, COUNTED_MAX);
                self.row.totals.missed += passed.count;
                next = passed.next;
                continue;
            }
            if room == 0 {
                break;
            }
            room -= 1;
            if late && spec.missed == Missed::Once {
                let passed = timetable.passed(tick, now.plus_ms(1), COUNTED_MAX);
                self.row.totals.missed += passed.count - 1;
                self.fire(passed.last, spec, around)?;
                next = passed.next;
                continue;
            }
            self.row.caught_up += u64::from(late);
            self.fire(tick, spec, around)?;
            next = timetable.next_after(tick);
        }
        Ok(next)
    }

    fn fire(
        &mut self,
        tick: Time,
        spec: &Spec,
        around: Surroundings<'_>,
    ) -> Result<(), StateError> {
        let now = self.ctx.now();
        let (tenant, name) = &self.key;
        let tenant = *tenant;
        let Some((tenant_name, settings)) = around.queue(tenant, &spec.queue) else {
            self.row.totals.failed += 1;
            self.row.last_error = Some((now, format!("there is no queue {:?}", spec.queue)));
            return Ok(());
        };
        let (ordering_key, unique_key) = (&spec.job.ordering_key, &spec.job.unique_key);
        let drawn = drawn(name, tick);
        let spread = Spread::of(ordering_key.as_deref(), unique_key.as_deref(), &[], drawn);
        let (queue, partitions) = (&spec.queue, around.partitions);
        let to = jobs::place(tenant_name, queue, settings, spread, partitions);
        let position = jobs::position(tenant_name, queue, settings, to, partitions);
        let item = Item::Jobs(jobs::Item::Enqueue {
            queue: queue.clone(),
            partition: to.0,
            settings: Box::new(settings.share(position.unwrap_or_default())),
            jobs: vec![job(spec)],
        });
        self.ctx.send(to, tenant, &item)?;
        self.row.totals.fired += 1;
        self.row.last_run_at = Some(now);
        Ok(())
    }
}

impl<'a> Surroundings<'a> {
    /// What a queue says, and the name of its tenant, by which it is routed.
    pub(super) fn queue(
        self,
        tenant: TenantId,
        queue: &str,
    ) -> Option<(&'a str, &'a jobs::Settings)> {
        let settings = self.meta.queue(tenant, queue)?;
        let mut tenants = self.meta.tenants.iter();
        let (name, _) = tenants.find(|(_, known)| **known == tenant)?;
        Some((name, settings))
    }
}

fn job(spec: &Spec) -> NewJob {
    let job = &spec.job;
    NewJob {
        kind: job.kind.clone(),
        payload: job.payload.clone(),
        unique_key: job.unique_key.clone(),
        ordering_key: job.ordering_key.clone(),
        priority: job.priority,
        when: When::Now,
        after: Vec::new(),
        trace: None,
    }
}

/// A number that spreads jobs without keys over their queue's partitions: the same for the same tick.
fn drawn(schedule: &str, tick: Time) -> u64 {
    let mut bytes = schedule.as_bytes().to_vec();
    bytes.push(0);
    bytes.extend_from_slice(&tick.0.to_be_bytes());
    let Hash(hash) = Hash::of(&bytes);
    hash[..8].iter().fold(0, |drawn, byte| drawn << 8 | u64::from(*byte))
}
