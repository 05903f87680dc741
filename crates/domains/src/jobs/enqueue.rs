//! Taking jobs in.

use super::{
    Enqueued, NewJob, PRIORITY_MAX, Refusal, Reply, State, When,
    order::key_hash,
    subject::Subject,
    tables::{Body, Ended, Job, JobBodies, Jobs, KeyHash, Unique, UniqueJobs},
};
use evenkeel_engine::{Stop, Time};
use evenkeel_log::Hash;
use evenkeel_state::Read;

/// Takes jobs in, all or none. One that is there already is answered and takes no room.
pub(super) fn enqueue(
    subject: &mut Subject<'_, '_, '_>,
    jobs: &[NewJob],
) -> Result<Reply, Stop<Refusal>> {
    if subject.queue.settings.draining {
        return Err(Stop::Refused(Refusal::Draining));
    }
    let taken: Result<_, _> = jobs.iter().map(|job| take_in(subject, job)).collect();
    Ok(Reply::Enqueued(taken?))
}

fn take_in(subject: &mut Subject<'_, '_, '_>, new: &NewJob) -> Result<Enqueued, Stop<Refusal>> {
    let unique = unique_hash(new);
    if let Some(hash) = unique
        && let Some(Unique(number)) = subject.ctx.tx.get::<UniqueJobs>(&(subject.queue.id, hash))?
        && let Some(job) = subject.ctx.tx.get::<Jobs>(&number)?
    {
        return Ok(Enqueued { job: number, state: job.state, duplicate: true });
    }
    let priority = new.priority.min(PRIORITY_MAX);
    check_backlog(subject, priority)?;
    let number = subject.new_number()?;
    let pending = subject.wait_for(number, &new.after)?;
    let now = subject.ctx.now();
    let mut job = Job {
        queue: subject.queue.id,
        kind: new.kind.clone(),
        priority,
        state: State::Waiting,
        at: now,
        created_at: now,
        run_at: run_at(new.when, now),
        attempt: 0,
        failures: 0,
        crashes: 0,
        fence: 0,
        ended: Ended::Not,
        leased_at: Time(0),
        worker: None,
        pending,
        waited_for: false,
        ordering: new.ordering_key.as_deref().map(key_hash),
        in_line: false,
        unique,
        cancel: false,
        notes: 0,
    };
    if let Some(hash) = unique {
        subject.ctx.tx.put::<UniqueJobs>(&(subject.queue.id, hash), &Unique(number));
    }
    let body = Body {
        payload: new.payload.clone(),
        ordering_key: new.ordering_key.clone(),
        unique_key: new.unique_key.clone(),
        after: new.after.clone(),
        trace: new.trace.clone(),
    };
    subject.ctx.tx.put::<JobBodies>(&number, &body);
    let turn = subject.join(number, &mut job)?;
    let (state, at) = subject.belongs(&job, turn);
    subject.put_in(number, &mut job, state, at);
    subject.total(&job, |totals| &mut totals.enqueued);
    Ok(Enqueued { job: number, state, duplicate: false })
}

/// Whether one more job of this priority may wait.
pub(super) fn check_backlog(
    subject: &Subject<'_, '_, '_>,
    priority: u8,
) -> Result<(), Stop<Refusal>> {
    let backlog = subject.queue.backlog();
    let max = subject.queue.settings.backlog_max(priority);
    if backlog < max { Ok(()) } else { Err(Stop::Refused(Refusal::BacklogFull { backlog, max })) }
}

fn run_at(when: When, now: Time) -> Time {
    match when {
        When::Now => now,
        When::DelayMs(delay_ms) => now.plus_ms(delay_ms),
        When::At(at) => at,
    }
}

/// Names a unique key, within its ordering key or none.
fn unique_hash(new: &NewJob) -> Option<KeyHash> {
    let unique = new.unique_key.as_deref()?;
    let mut bytes = Vec::with_capacity(2 + 2 * 128);
    bytes.push(u8::from(new.ordering_key.is_some()));
    // Names have no zero inside.
    bytes.extend_from_slice(new.ordering_key.as_deref().unwrap_or_default().as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(unique.as_bytes());
    Some(Hash::of(&bytes).0)
}
