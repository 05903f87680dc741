//! Taking jobs in.

use super::{
    Enqueued, JobId, NewJob, PRIORITY_MAX, Refusal, Reply, Settings, State, When,
    after::{After, in_vain},
    order::key_hash,
    subject::Subject,
    tables::{Body, Ended, Job, JobBodies, Jobs, KeyHash, Unique, UniqueJobs},
};
use evenkeel_engine::{Context, Stop, TenantId, Time};
use evenkeel_log::Hash;
use evenkeel_state::{Read, StateError};

/// Takes jobs in, all or none. One that is there already is answered and takes no room.
pub(super) fn enqueue(
    subject: &mut Subject<'_, '_, '_>,
    partitions: u16,
    jobs: &[NewJob],
) -> Result<Reply, Stop<Refusal>> {
    if subject.queue.settings.draining {
        return Err(Stop::Refused(Refusal::Draining));
    }
    let mut taken = Vec::with_capacity(jobs.len());
    for job in jobs {
        taken.push(match take_in(subject, partitions, job, true)? {
            Taken::In(enqueued) => enqueued,
            Taken::InVain(_, id) => return Err(Stop::Refused(Refusal::NoAfter(id))),
        });
    }
    Ok(Reply::Enqueued(taken))
}

/// Takes in jobs that another partition sent, however many wait. One that can never run is a dead
/// letter from the first.
pub(super) fn take_in_delivered(
    ctx: &mut Context<'_, '_>,
    key: (TenantId, String),
    (partition, partitions): (u16, u16),
    settings: &Settings,
    jobs: &[NewJob],
) -> Result<(), StateError> {
    let mut subject = Subject::open_or_create(ctx, key, partition, settings)?;
    subject.learn(settings);
    for job in jobs {
        match take_in(&mut subject, partitions, job, false) {
            Ok(Taken::In(_)) => {}
            Ok(Taken::InVain(number, id)) => {
                if let Some(mut job) = subject.ctx.tx.get::<Jobs>(&number)? {
                    subject.die(number, &mut job, in_vain(id))?;
                }
            }
            Err(Stop::State(error)) => return Err(error),
            Err(Stop::Refused(no)) => unreachable!("nothing is refused: {no:?}"),
        }
    }
    subject.save().map(|_| ())
}

/// A job that was taken in.
enum Taken {
    /// Or was there already.
    In(Enqueued),
    /// This one, which was to run after one that will never be done.
    InVain(u64, JobId),
}

fn take_in(
    subject: &mut Subject<'_, '_, '_>,
    partitions: u16,
    new: &NewJob,
    is_bounded: bool,
) -> Result<Taken, Stop<Refusal>> {
    let unique = unique_hash(new);
    if let Some(hash) = unique
        && let Some(Unique(number)) = subject.ctx.tx.get::<UniqueJobs>(&(subject.queue.id, hash))?
        && let Some(job) = subject.ctx.tx.get::<Jobs>(&number)?
    {
        return Ok(Taken::In(Enqueued { job: number, state: job.state, duplicate: true }));
    }
    let priority = new.priority.min(PRIORITY_MAX);
    if is_bounded {
        check_backlog(subject, priority)?;
    }
    let number = subject.new_number()?;
    let (pending, in_vain) = match subject.wait_for(number, &new.after, partitions)? {
        After::Pending(pending) => (pending, None),
        After::Never(id) => (0, Some(id)),
    };
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
    let taken = Taken::In(Enqueued { job: number, state, duplicate: false });
    Ok(in_vain.map_or(taken, |id| Taken::InVain(number, id)))
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
