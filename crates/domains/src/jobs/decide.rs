//! Decisions: what a command does to jobs, or why it does nothing.

use super::{
    Action, Command, Done, LeaseId, Refusal, Reply, Standing, State, Take,
    enqueue::enqueue,
    lease::{check_length, lease},
    lifecycle::standing,
    replay::{self, replay, retry},
    settle::settle,
    subject::Subject,
    tables::{Ended, Job, Jobs, NoteKind},
};
use evenkeel_engine::{Context, Stop, TenantId};
use evenkeel_state::{Read, StateError};

type Decided = Result<Reply, Stop<Refusal>>;

/// Applies what is due on the queue. That there is more is nobody's concern: a lease that is over is
/// no longer live, whether or not its turn to be ended has come.
pub fn expire(
    ctx: &mut Context<'_, '_>,
    tenant: TenantId,
    command: &Command,
) -> Result<bool, StateError> {
    let now = ctx.now();
    match Subject::open(ctx, (tenant, command.queue.clone()))? {
        Some(subject) if subject.queue.timer.is_some_and(|timer| timer <= now) => settle(subject)?,
        _ => {}
    }
    Ok(false)
}

/// A queue's timer is due.
pub fn timer(ctx: &mut Context<'_, '_>, id: u64) -> Result<(), StateError> {
    let Ok(id) = u32::try_from(id) else { return Ok(()) };
    Subject::by_id(ctx, id)?.map_or(Ok(()), settle)
}

/// Decides `command`; there are `partitions` of data.
pub fn decide(
    ctx: &mut Context<'_, '_>,
    partitions: u16,
    tenant: TenantId,
    command: &Command,
) -> Decided {
    let key = (tenant, command.queue.clone());
    let mut subject = match &command.action {
        Action::Enqueue(_) => {
            Subject::open_or_create(ctx, key, command.partition, &command.settings)?
        }
        action => match Subject::open(ctx, key)? {
            Some(subject) => subject,
            None => return none(action),
        },
    };
    subject.learn(&command.settings);
    let reply = decide_about(&mut subject, partitions, &command.action)?;
    subject.save()?;
    Ok(reply)
}

/// Of a queue of which nothing has ever been here.
fn none(action: &Action) -> Decided {
    match action {
        Action::Lease { .. } => {
            let next = super::Next { leasable: 0, due: None };
            Ok(Reply::Leased(Vec::new(), next))
        }
        Action::Replay { .. } => {
            let nothing = super::Replayed { jobs: Vec::new(), skipped: 0, next: None };
            Ok(Reply::Replayed(nothing))
        }
        Action::CompleteMany(done) => {
            Ok(Reply::Each(done.iter().map(|_| Err(Refusal::NoJob)).collect()))
        }
        _ => Err(Stop::Refused(Refusal::NoJob)),
    }
}

fn decide_about(subject: &mut Subject<'_, '_, '_>, partitions: u16, action: &Action) -> Decided {
    let standing = match action {
        Action::Enqueue(jobs) => return enqueue(subject, partitions, jobs),
        Action::Lease { worker, max, lease_ms } => return lease(subject, worker, *max, *lease_ms),
        Action::Replay { filter, after, max, dry_run, pace, by } => {
            let (after, max, dry_run, pace) = (*after, *max, *dry_run, *pace);
            return replay(subject, &replay::Request { filter, after, max, dry_run, pace, by });
        }
        Action::Retry { job, by } => return retry(subject, *job, by),
        Action::Complete { job, lease, result } => {
            complete(subject, *job, *lease, result.as_ref())?
        }
        Action::CompleteMany(done) => return complete_many(subject, done),
        Action::AndNext(word, take) => return and_next(subject, partitions, word, take),
        Action::Fail { job, lease, error, retry } => fail(subject, *job, *lease, error, *retry)?,
        Action::Extend { job, lease, lease_ms } => extend(subject, *job, *lease, *lease_ms)?,
        Action::Snooze { job, lease, delay_ms } => snooze(subject, *job, *lease, *delay_ms)?,
        Action::Progress { job, lease, progress: text } => progress(subject, *job, *lease, text)?,
        Action::Cancel { job } => cancel(subject, *job)?,
    };
    Ok(Reply::Job(standing))
}

/// What a lease that is named may do.
enum Held {
    /// What it is for: the job is its own.
    Live(Job),
    /// Nothing more: it has ended in just this way.
    Again(Standing),
}

/// The one place where a worker's word is compared with what is so: job, attempt and lease.
fn held(
    subject: &Subject<'_, '_, '_>,
    number: u64,
    lease: LeaseId,
    ending: Ended,
) -> Result<Held, Stop<Refusal>> {
    let job = find(subject, number)?;
    let theirs = job.attempt == lease.attempt && job.fence == lease.fence;
    if theirs && job.is_live(subject.ctx.now()) {
        return Ok(Held::Live(job));
    }
    if theirs && ending != Ended::Not && job.ended == ending {
        return Ok(Held::Again(standing(number, &job)));
    }
    Err(Stop::Refused(Refusal::StaleLease(standing(number, &job))))
}

fn find(subject: &Subject<'_, '_, '_>, number: u64) -> Result<Job, Stop<Refusal>> {
    let job = subject.ctx.tx.get::<Jobs>(&number)?;
    job.filter(|job| job.queue == subject.queue.id).ok_or(Stop::Refused(Refusal::NoJob))
}

fn complete(
    subject: &mut Subject<'_, '_, '_>,
    number: u64,
    lease: LeaseId,
    result: Option<&String>,
) -> Result<Standing, Stop<Refusal>> {
    let mut job = match held(subject, number, lease, Ended::Completed)? {
        Held::Live(job) => job,
        Held::Again(standing) => return Ok(standing),
    };
    if let Some(result) = result {
        let max_bytes = subject.queue.settings.result_bytes_max;
        if u32::try_from(result.len()).map_or(true, |bytes| bytes > max_bytes) {
            return Err(Stop::Refused(Refusal::ResultTooLarge { max_bytes }));
        }
        subject.note(number, &mut job, NoteKind::Result, result.clone());
    }
    job.ended = Ended::Completed;
    subject.total(&job, |totals| &mut totals.completed);
    subject.ran(&job);
    subject.end(number, &mut job, State::Done)?;
    Ok(standing(number, &job))
}

/// The word first: whose word is not taken is given nothing, and that nothing can be given does not take
/// the word back.
fn and_next(
    subject: &mut Subject<'_, '_, '_>,
    partitions: u16,
    word: &Action,
    take: &Take,
) -> Decided {
    let Reply::Job(standing) = decide_about(subject, partitions, word)? else {
        unreachable!("the word is about one job")
    };
    let Take { worker, max, lease_ms } = take;
    match lease(subject, worker, *max, *lease_ms) {
        Ok(Reply::Leased(leased, _)) => Ok(Reply::Said(standing, leased)),
        Ok(_) => unreachable!("a lease is answered by jobs"),
        Err(Stop::Refused(_)) => Ok(Reply::Said(standing, Vec::new())),
        Err(Stop::State(error)) => Err(Stop::State(error)),
    }
}

/// Each for itself: one that is refused changes nothing, and nothing for the others.
fn complete_many(subject: &mut Subject<'_, '_, '_>, done: &[Done]) -> Decided {
    let mut each = Vec::with_capacity(done.len());
    for Done { job, lease, result } in done {
        each.push(match complete(subject, *job, *lease, result.as_ref()) {
            Ok(standing) => Ok(standing),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::State(error)) => return Err(Stop::State(error)),
        });
    }
    Ok(Reply::Each(each))
}

fn fail(
    subject: &mut Subject<'_, '_, '_>,
    number: u64,
    lease: LeaseId,
    error: &str,
    retry: bool,
) -> Result<Standing, Stop<Refusal>> {
    let mut job = match held(subject, number, lease, Ended::Failed)? {
        Held::Live(job) => job,
        Held::Again(standing) => return Ok(standing),
    };
    subject.fail(number, &mut job, error.to_owned(), retry)?;
    Ok(standing(number, &job))
}

fn extend(
    subject: &mut Subject<'_, '_, '_>,
    number: u64,
    lease: LeaseId,
    lease_ms: u64,
) -> Result<Standing, Stop<Refusal>> {
    let Held::Live(mut job) = held(subject, number, lease, Ended::Not)? else {
        unreachable!("an extension does not end a lease")
    };
    check_length(subject, lease_ms)?;
    let expires_at = subject.ctx.now().plus_ms(lease_ms);
    subject.shift(number, &mut job, State::Leased, expires_at);
    Ok(standing(number, &job))
}

fn snooze(
    subject: &mut Subject<'_, '_, '_>,
    number: u64,
    lease: LeaseId,
    delay_ms: u64,
) -> Result<Standing, Stop<Refusal>> {
    let mut job = match held(subject, number, lease, Ended::Snoozed)? {
        Held::Live(job) => job,
        Held::Again(standing) => return Ok(standing),
    };
    subject.ran(&job);
    job.ended = Ended::Snoozed;
    job.worker = None;
    if job.cancel {
        subject.end(number, &mut job, State::Cancelled)?;
    } else {
        job.run_at = subject.ctx.now().plus_ms(delay_ms);
        subject.start(number, &mut job)?;
    }
    Ok(standing(number, &job))
}

fn progress(
    subject: &mut Subject<'_, '_, '_>,
    number: u64,
    lease: LeaseId,
    text: &str,
) -> Result<Standing, Stop<Refusal>> {
    let Held::Live(mut job) = held(subject, number, lease, Ended::Not)? else {
        unreachable!("progress does not end a lease")
    };
    let noted = job.notes;
    subject.note(number, &mut job, NoteKind::Progress, text.to_owned());
    if job.notes != noted {
        subject.ctx.tx.put::<Jobs>(&number, &job);
    }
    Ok(standing(number, &job))
}

/// A job that a worker has is told to stop when the worker next speaks, and stops at the latest when
/// its lease ends; a worker that completes it meanwhile was faster.
fn cancel(subject: &mut Subject<'_, '_, '_>, number: u64) -> Result<Standing, Stop<Refusal>> {
    let mut job = find(subject, number)?;
    match job.state {
        State::Done => return Err(Stop::Refused(Refusal::Over(State::Done))),
        State::Cancelled => {}
        State::Leased if job.cancel => {}
        State::Leased => {
            job.cancel = true;
            subject.ctx.tx.put::<Jobs>(&number, &job);
        }
        _ => subject.end(number, &mut job, State::Cancelled)?,
    }
    Ok(standing(number, &job))
}
