//! Leasing: which jobs a worker is given.
//!
//! Each priority has a lane of the jobs that are ready, oldest first. The next job is the one, of the
//! lanes' heads, that comes first by *virtual start*: since when it is ready, and `ageing_ms` later
//! for each priority that it is below the highest. So a job is overtaken by those of a higher
//! priority, but only while they are not that much younger: the lowest runs too. A lease costs a look
//! at each lane that has jobs, whatever the backlog.

use super::{
    LEASE_BYTES_MAX, LEASE_JOBS_MAX, LeaseId, Leased, PRIORITY_MAX, Refusal, Reply, State,
    subject::Subject,
    tables::{Body, Ended, JobBodies, JobIndex, JobNotes, Jobs, Note, NoteKind},
};
use evenkeel_engine::{Stop, Time};
use evenkeel_state::{Order, Read, StateError};
use std::collections::VecDeque;

type Decided = Result<Reply, Stop<Refusal>>;

/// The jobs of one priority that may be taken, oldest first.
struct Heads {
    priority: u8,
    jobs: VecDeque<(Time, u64)>,
}

pub(super) fn lease(
    subject: &mut Subject<'_, '_, '_>,
    worker: &str,
    max: u32,
    lease_ms: Option<u64>,
) -> Decided {
    let settings = subject.queue.settings;
    let lease_ms = lease_ms.unwrap_or(settings.lease_ms);
    check_length(subject, lease_ms)?;
    let max = usize::try_from(max).unwrap_or(usize::MAX).min(LEASE_JOBS_MAX);
    let free = usize::try_from(subject.queue.slots()).unwrap_or(usize::MAX).min(max);
    let mut lanes = heads(subject, free)?;
    let mut leased: Vec<Leased> = Vec::new();
    let mut bytes = 0;
    while leased.len() < free && bytes < LEASE_BYTES_MAX {
        let start = |heads: &Heads| {
            let (at, number) = *heads.jobs.front()?;
            let below = u64::from(PRIORITY_MAX - heads.priority);
            Some((at.plus_ms(below.saturating_mul(settings.ageing_ms)), number))
        };
        let next = lanes.iter_mut().filter(|heads| !heads.jobs.is_empty()).min_by_key(|h| start(h));
        let Some(heads) = next else { break };
        let Some((at, number)) = heads.jobs.pop_front() else { break };
        // The lane goes on with the next; where there is none in sight, right after this one.
        let lane = &mut subject.queue.lanes[usize::from(heads.priority)];
        lane.first = heads.jobs.front().copied().unwrap_or((at, number + 1));
        let Some(job) = give(subject, number, worker, lease_ms)? else { continue };
        bytes += job.payload.len();
        leased.push(job);
    }
    if !leased.is_empty() {
        subject.queue.leased_at = Some(subject.ctx.now());
    }
    let next = subject.next();
    Ok(Reply::Leased(leased, next))
}

/// Whether the queue has leases of this length.
pub(super) fn check_length(
    subject: &Subject<'_, '_, '_>,
    lease_ms: u64,
) -> Result<(), Stop<Refusal>> {
    let max_ms = subject.queue.settings.lease_ms_max;
    if lease_ms > max_ms {
        return Err(Stop::Refused(Refusal::LeaseTooLong { max_ms }));
    }
    Ok(())
}

/// Up to `max` jobs of each lane.
fn heads(subject: &Subject<'_, '_, '_>, max: usize) -> Result<Vec<Heads>, StateError> {
    let mut lanes = Vec::new();
    for priority in (0..=PRIORITY_MAX).rev() {
        if max == 0 || subject.queue.lanes[usize::from(priority)].count == 0 {
            continue;
        }
        let start = subject.lane_start(priority);
        let end = (start.0, start.1, u64::MAX, u64::MAX);
        let rows = subject.ctx.tx.scan::<JobIndex>(start..=end, Order::Ascending, max)?;
        let jobs = rows.into_iter().map(|((_, _, at, number), ())| (Time(at), number)).collect();
        lanes.push(Heads { priority, jobs });
    }
    Ok(lanes)
}

fn give(
    subject: &mut Subject<'_, '_, '_>,
    number: u64,
    worker: &str,
    lease_ms: u64,
) -> Result<Option<Leased>, StateError> {
    let (Some(mut job), Some(body)) =
        (subject.ctx.tx.get::<Jobs>(&number)?, subject.ctx.tx.get::<JobBodies>(&number)?)
    else {
        return Ok(None);
    };
    assert!(job.state == State::Ready, "I9: only a job that is ready is leased");
    let now = subject.ctx.now();
    let expires_at = now.plus_ms(lease_ms);
    let kind = subject.kind(&job);
    kind.leases += 1;
    kind.wait_ms += now.0.saturating_sub(job.at.0);
    job.leased_at = now;
    job.attempt += 1;
    job.fence = subject.ctx.fence(subject.queue.next_fence);
    subject.queue.next_fence += 1;
    job.ended = Ended::Not;
    job.worker = Some(worker.to_owned());
    subject.shift(number, &mut job, State::Leased, expires_at);
    let progress = if job.notes & NoteKind::Progress.bit() == 0 {
        None
    } else {
        subject.ctx.tx.get::<JobNotes>(&(number, NoteKind::Progress as u8))?
    };
    let Body { payload, ordering_key, trace, .. } = body;
    Ok(Some(Leased {
        job: number,
        lease: LeaseId { attempt: job.attempt, fence: job.fence },
        expires_at,
        kind: job.kind,
        payload,
        priority: job.priority,
        ordering_key,
        trace,
        created_at: job.created_at,
        failures: job.failures,
        crashes: job.crashes,
        progress: progress.map(|Note { text, .. }| text),
    }))
}
