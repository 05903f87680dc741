//! Decisions: what a command does to a schedule, or why it does nothing.

use super::{
    Action, Command, Refusal, Reply, SCHEDULES_MAX, Spec, Timetable, TimingError, Totals,
    firing::{Subject, Surroundings},
    queries::describe,
    tables::{
        Count, Schedule, ScheduleCounter, ScheduleCounts, ScheduleName, ScheduleNames,
        ScheduleSpecs, Schedules,
    },
};
use evenkeel_engine::{Context, Stop, TenantId};
use evenkeel_state::{Read, StateError};

type Decided = Result<Reply, Stop<Refusal>>;

/// Fires what is due of the schedule; answers whether more is.
pub(crate) fn expire(
    ctx: &mut Context<'_, '_>,
    tenant: TenantId,
    command: &Command,
    around: Surroundings<'_>,
) -> Result<bool, StateError> {
    settle(ctx, (tenant, command.schedule.clone()), around)
}

/// A schedule's timer is due.
pub(crate) fn timer(
    ctx: &mut Context<'_, '_>,
    id: u64,
    around: Surroundings<'_>,
) -> Result<(), StateError> {
    let Some(ScheduleName { tenant, name }) = ctx.tx.get::<ScheduleNames>(&id)? else {
        return Ok(());
    };
    settle(ctx, (tenant, name), around).map(|_| ())
}

fn settle(
    ctx: &mut Context<'_, '_>,
    key: (TenantId, String),
    around: Surroundings<'_>,
) -> Result<bool, StateError> {
    let now = ctx.now();
    let row = ctx.tx.get::<Schedules>(&key)?;
    let Some(row) = row.filter(|row| row.next.is_some_and(|next| next <= now)) else {
        return Ok(false);
    };
    let mut subject = Subject { ctx, key, row };
    let more = subject.settle(around)?;
    subject.save();
    Ok(more)
}

/// Decides `command`.
pub(crate) fn decide(
    ctx: &mut Context<'_, '_>,
    tenant: TenantId,
    command: &Command,
    around: Surroundings<'_>,
) -> Decided {
    let key = (tenant, command.schedule.clone());
    let row = ctx.tx.get::<Schedules>(&key)?;
    if let Action::Put(spec) = &command.action {
        return put(ctx, key, row, spec, around);
    }
    let row = row.ok_or(Stop::Refused(Refusal::NoSchedule))?;
    let subject = Subject { ctx, key, row };
    match &command.action {
        Action::Put(_) => unreachable!("it is decided above"),
        Action::Pause => pause(subject),
        Action::Resume => resume(subject),
        Action::Delete => delete(subject),
    }
}

fn put(
    ctx: &mut Context<'_, '_>,
    key: (TenantId, String),
    row: Option<Schedule>,
    spec: &Spec,
    around: Surroundings<'_>,
) -> Decided {
    let now = ctx.now();
    let old = match &row {
        Some(row) => ctx.tx.get::<ScheduleSpecs>(&row.id)?,
        None => None,
    };
    // An interval goes on from where it was unless it is another.
    let same = old.as_ref().is_some_and(|old| old.timing == spec.timing);
    let since = row.as_ref().filter(|_| same).map_or(now, |row| row.since);
    let refused = |refusal| Err(Stop::Refused(refusal));
    let timetable = match Timetable::new(&spec.timing, since) {
        Ok(timetable) => timetable,
        Err(error) => return refused(Refusal::BadTiming(error)),
    };
    let Some(next) = timetable.next_after(now) else {
        return refused(Refusal::BadTiming(TimingError::Never));
    };
    if around.queue(key.0, &spec.queue).is_none() {
        return refused(Refusal::NoQueue { queue: spec.queue.clone() });
    }
    let new = row.is_none();
    let row = match row {
        Some(row) => row,
        None => create(ctx, &key)?,
    };
    if old.as_ref() != Some(spec) {
        ctx.tx.put::<ScheduleSpecs>(&row.id, spec);
    }
    let before = row.clone();
    let mut subject = Subject { ctx, key, row };
    subject.row.since = since;
    let is_due = subject.row.next.is_some_and(|next| next <= now);
    if let Some(old) = old.filter(|_| is_due && !same) {
        subject.miss(&old)?;
    }
    // What is due of the same timing goes on firing.
    let goes_on = is_due && same;
    if !(subject.row.paused || goes_on) {
        subject.aim(Some(next));
    }
    let view = describe(&subject.key.1, &subject.row, spec.clone());
    if new || subject.row != before {
        subject.save();
    }
    Ok(Reply::Schedule(Box::new(view), new))
}

fn create(ctx: &mut Context<'_, '_>, key: &(TenantId, String)) -> Result<Schedule, Stop<Refusal>> {
    let Count(count) = ctx.tx.get::<ScheduleCounts>(&key.0)?.unwrap_or_default();
    if count >= SCHEDULES_MAX {
        return Err(Stop::Refused(Refusal::TooManySchedules));
    }
    ctx.tx.put::<ScheduleCounts>(&key.0, &Count(count + 1));
    let Count(last) = ctx.tx.get::<ScheduleCounter>(&())?.unwrap_or_default();
    let id = last + 1;
    ctx.tx.put::<ScheduleCounter>(&(), &Count(id));
    let name = ScheduleName { tenant: key.0, name: key.1.clone() };
    ctx.tx.put::<ScheduleNames>(&id, &name);
    let now = ctx.now();
    Ok(Schedule {
        id,
        created_at: now,
        since: now,
        paused: false,
        next: None,
        caught_up: 0,
        totals: Totals::default(),
        last_run_at: None,
        last_error: None,
    })
}

fn pause(mut subject: Subject<'_, '_, '_>) -> Decided {
    let spec = subject.spec()?;
    if !subject.row.paused {
        subject.miss(&spec)?;
        subject.aim(None);
        subject.row.paused = true;
        return Ok(saved(subject, spec));
    }
    Ok(answer(&subject, spec))
}

fn resume(mut subject: Subject<'_, '_, '_>) -> Decided {
    let spec = subject.spec()?;
    if !subject.row.paused {
        return Ok(answer(&subject, spec));
    }
    subject.row.paused = false;
    let now = subject.ctx.now();
    let timetable = Timetable::new(&spec.timing, subject.row.since);
    match timetable.map(|timetable| timetable.next_after(now)) {
        Ok(next) => subject.aim(next),
        // A zone that was put is not among those of this version.
        Err(error) => subject.row.last_error = Some((now, error.to_string())),
    }
    Ok(saved(subject, spec))
}

fn delete(mut subject: Subject<'_, '_, '_>) -> Decided {
    subject.aim(None);
    let Subject { ctx, key, row } = subject;
    ctx.tx.delete::<Schedules>(&key);
    ctx.tx.delete::<ScheduleNames>(&row.id);
    ctx.tx.delete::<ScheduleSpecs>(&row.id);
    let Count(count) = ctx.tx.get::<ScheduleCounts>(&key.0)?.unwrap_or_default();
    ctx.tx.put::<ScheduleCounts>(&key.0, &Count(count.saturating_sub(1)));
    Ok(Reply::Deleted)
}

impl Subject<'_, '_, '_> {
    /// Counts as missed what is due of what the schedule says, or said.
    fn miss(&mut self, spec: &Spec) -> Result<(), StateError> {
        // Of a zone that is gone nothing is due.
        if let Ok(timetable) = Timetable::new(&spec.timing, self.row.since) {
            self.miss_what_is_due(&timetable);
        }
        Ok(())
    }
}

fn saved(subject: Subject<'_, '_, '_>, spec: Spec) -> Reply {
    let reply = answer(&subject, spec);
    subject.save();
    reply
}

fn answer(subject: &Subject<'_, '_, '_>, spec: Spec) -> Reply {
    Reply::Schedule(Box::new(describe(&subject.key.1, &subject.row, spec)), false)
}
