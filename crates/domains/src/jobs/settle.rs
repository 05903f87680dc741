//! What time does to a queue: leases end, jobs are due, those that waited are told, what was kept
//! long enough is forgotten. A bounded amount at once.

use super::{
    State, after,
    subject::{KEPT, Subject, TIMED},
    tables::{EVENT_RETENTION_MS, Job, JobIndex, Jobs},
};
use evenkeel_engine::Time;
use evenkeel_state::{Order, Read, Savepoint, StateError};

/// Jobs of each state that one step handles.
const SETTLE_MAX: usize = 128;
/// Effects after which one step stops: with the largest command on top, a record still holds it.
const SETTLE_BYTES_MAX: usize = 48 * 1_024;
/// Rows after which it does.
const SETTLE_ROWS_MAX: usize = 512;

/// Does what is due.
pub(super) fn settle(mut subject: Subject<'_, '_, '_>) -> Result<(), StateError> {
    let before = subject.ctx.tx.savepoint();
    let mut elsewhere = Vec::new();
    for state in TIMED {
        subject.settle_state(state, &before)?;
    }
    if !is_enough(&subject, &before) {
        elsewhere = subject.tell_waiters(&before)?;
    }
    // Last, so that nobody who waits is held up by what nobody waits for.
    for state in KEPT {
        subject.settle_state(state, &before)?;
    }
    let old = subject.ctx.now().minus_ms(EVENT_RETENTION_MS);
    let entity = subject.queue.entity();
    subject.ctx.trim_events(entity, &mut subject.queue.events, old, SETTLE_MAX)?;
    subject.rearm_for_next();
    let ctx = subject.save()?;
    elsewhere.iter().try_for_each(|to| after::tell(ctx, to))
}

/// Whether one step has done enough.
pub(super) fn is_enough(subject: &Subject<'_, '_, '_>, before: &Savepoint) -> bool {
    let tx = &subject.ctx.tx;
    tx.bytes_since(before) >= SETTLE_BYTES_MAX || tx.rows_since(before) >= SETTLE_ROWS_MAX
}

impl Subject<'_, '_, '_> {
    fn settle_state(&mut self, state: State, before: &Savepoint) -> Result<(), StateError> {
        let until = self.due_until(state);
        let index = state as usize;
        let Some(first) = self.queue.first[index].filter(|first| *first <= until) else {
            return Ok(());
        };
        let (id, slot) = (self.queue.id, state as u8);
        let range = (id, slot, first.0, 0)..=(id, slot, u64::MAX, u64::MAX);
        let rows = self.ctx.tx.scan::<JobIndex>(range, Order::Ascending, SETTLE_MAX + 1)?;
        let due = rows.iter().take(SETTLE_MAX).take_while(|(key, ())| key.2 <= until.0).count();
        // Before anything is put there that is due earlier.
        self.queue.first[index] = rows.get(due).map(|(key, ())| Time(key.2));
        self.changed = true;
        for (key, ()) in &rows[..due] {
            if is_enough(self, before) {
                let first = &mut self.queue.first[index];
                *first = Some(first.map_or(Time(key.2), |first| first.min(Time(key.2))));
                return Ok(());
            }
            let job = self.ctx.tx.get::<Jobs>(&key.3)?;
            if let Some(mut job) = job.filter(|job| job.state == state) {
                self.is_due(key.3, &mut job)?;
            }
        }
        Ok(())
    }

    fn is_due(&mut self, number: u64, job: &mut Job) -> Result<(), StateError> {
        match job.state {
            State::Leased => self.crash(number, job),
            State::Scheduled | State::Retry => {
                self.shift(number, job, State::Ready, self.ctx.now());
                Ok(())
            }
            State::Done | State::Cancelled | State::Dead => self.forget(number, job),
            State::Waiting | State::Ready => unreachable!("nothing is due of a job that waits"),
        }
    }
}
