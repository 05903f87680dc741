//! Dead letters that come back: as they were, with their budgets full, as if they had never failed.

use super::{
    Cursor, DeadFilter, Pace, REPLAY_JOBS_MAX, Refusal, Replayed, Reply, State,
    enqueue::check_backlog,
    lifecycle::standing,
    subject::Subject,
    tables::{
        Ended, Job, JobIndex, JobNotes, Jobs, Note, NoteKind, QueueEvent, Unique, UniqueJobs,
    },
};
use evenkeel_engine::{Stop, Time};
use evenkeel_state::{Order, Read, StateError};

/// Dead letters that one command looks at.
const REPLAY_SCAN_MAX: usize = 500;

type Decided = Result<Reply, Stop<Refusal>>;

/// Which dead letters, and who wants them back.
pub(super) struct Request<'a> {
    pub(super) filter: &'a DeadFilter,
    pub(super) after: Option<Cursor>,
    pub(super) max: u32,
    pub(super) dry_run: bool,
    pub(super) pace: Option<Pace>,
    pub(super) by: &'a str,
}

pub(super) fn replay(subject: &mut Subject<'_, '_, '_>, request: &Request<'_>) -> Decided {
    let max = usize::try_from(request.max).unwrap_or(usize::MAX).min(REPLAY_JOBS_MAX);
    let rows = dead(subject, request.after, request.filter)?;
    let mut replayed = Replayed { jobs: Vec::new(), skipped: 0, next: request.after };
    let mut whole = rows.len() < REPLAY_SCAN_MAX;
    for cursor in rows {
        if replayed.jobs.len() == max {
            whole = false;
            break;
        }
        let number = cursor.number;
        if let Some(mut job) = subject.ctx.tx.get::<Jobs>(&number)?
            && matches(subject, number, &job, request.filter)?
        {
            if let Err(full) = check_backlog(subject, job.priority) {
                if replayed.jobs.is_empty() {
                    return Err(full);
                }
                whole = false;
                break;
            }
            if other_job(subject, number, &job)?.is_some() {
                replayed.skipped += 1;
            } else {
                if !request.dry_run {
                    let before = replayed.jobs.len() as u64;
                    let delay_ms = request.pace.map_or(0, |pace| pace.delay_ms(before));
                    revive(subject, number, &mut job, delay_ms)?;
                }
                replayed.jobs.push(number);
            }
        }
        replayed.next = Some(cursor);
    }
    if whole {
        replayed.next = None;
    }
    if !request.dry_run {
        audit(subject, request.by, &replayed.jobs);
    }
    Ok(Reply::Replayed(replayed))
}

pub(super) fn retry(subject: &mut Subject<'_, '_, '_>, number: u64, by: &str) -> Decided {
    let job = subject.ctx.tx.get::<Jobs>(&number)?;
    let job = job.filter(|job| job.queue == subject.queue.id);
    let mut job = job.ok_or(Stop::Refused(Refusal::NoJob))?;
    if job.state != State::Dead {
        return Err(Stop::Refused(Refusal::NotDead(job.state)));
    }
    if let Some(job) = other_job(subject, number, &job)? {
        return Err(Stop::Refused(Refusal::UniqueKeyTaken { job }));
    }
    check_backlog(subject, job.priority)?;
    revive(subject, number, &mut job, 0)?;
    audit(subject, by, &[number]);
    Ok(Reply::Job(standing(number, &job)))
}

fn audit(subject: &mut Subject<'_, '_, '_>, by: &str, jobs: &[u64]) {
    if let (Some(first), Some(last)) = (jobs.first(), jobs.last()) {
        let (by, count) = (by.to_owned(), jobs.len() as u64);
        subject.emit(&QueueEvent::Replayed { by, count, jobs: (*first, *last) });
    }
}

/// The next dead letters, in the order in which they died.
fn dead(
    subject: &Subject<'_, '_, '_>,
    after: Option<Cursor>,
    filter: &DeadFilter,
) -> Result<Vec<Cursor>, StateError> {
    let (id, slot) = (subject.queue.id, State::Dead as u8);
    let Some(first) = subject.queue.first[State::Dead as usize] else { return Ok(Vec::new()) };
    let from = first.max(filter.from.unwrap_or(first));
    let mut from = (id, slot, from.0, 0);
    if let Some(cursor) = after {
        from = from.max((id, slot, cursor.at, cursor.number.saturating_add(1)));
    }
    let until = filter.until.unwrap_or(Time(u64::MAX));
    if (from.2, from.3) >= (until.0, 0) {
        return Ok(Vec::new());
    }
    let range = from..(id, slot, until.0, 0);
    let rows = subject.ctx.tx.scan::<JobIndex>(range, Order::Ascending, REPLAY_SCAN_MAX)?;
    let cursor = |((_, slot, at, number), ())| Cursor { slot, at, number };
    Ok(rows.into_iter().map(cursor).collect())
}

/// Whether a dead letter is one of those asked for; its time is looked at by whoever found it.
pub(super) fn is_meant(job: &Job, error: Option<&Note>, filter: &DeadFilter) -> bool {
    let kind = filter.kind.as_ref().is_none_or(|kind| *kind == job.kind);
    let text = error.map_or("", |note| note.text.as_str());
    kind && filter.error.as_ref().is_none_or(|error| text.contains(error.as_str()))
}

fn matches(
    subject: &Subject<'_, '_, '_>,
    number: u64,
    job: &Job,
    filter: &DeadFilter,
) -> Result<bool, StateError> {
    let error = match filter.error {
        Some(_) => subject.ctx.tx.get::<JobNotes>(&(number, NoteKind::Error as u8))?,
        None => None,
    };
    Ok(is_meant(job, error.as_ref(), filter))
}

/// The job that has the unique key of `job`, if it is another.
fn other_job(
    subject: &Subject<'_, '_, '_>,
    number: u64,
    job: &Job,
) -> Result<Option<u64>, StateError> {
    let Some(hash) = job.unique else { return Ok(None) };
    let unique = subject.ctx.tx.get::<UniqueJobs>(&(subject.queue.id, hash))?;
    Ok(unique.map(|unique| unique.0).filter(|other| *other != number))
}

/// It keeps its place if it is still in its line, else it joins that again. What it was to run after
/// is not waited for any more: who brings it back knows better.
fn revive(
    subject: &mut Subject<'_, '_, '_>,
    number: u64,
    job: &mut Job,
    delay_ms: u64,
) -> Result<(), StateError> {
    if let Some(hash) = job.unique {
        subject.ctx.tx.put::<UniqueJobs>(&(subject.queue.id, hash), &Unique(number));
    }
    job.failures = 0;
    job.crashes = 0;
    job.pending = 0;
    job.cancel = false;
    job.ended = Ended::Not;
    job.run_at = subject.ctx.now().plus_ms(delay_ms);
    let turn = if job.in_line { subject.spare(number, job)? } else { subject.join(number, job)? };
    let (state, at) = subject.belongs(job, turn);
    subject.shift(number, job, state, at);
    Ok(())
}
