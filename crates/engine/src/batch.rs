//! A batch: gather, decide, seal into one record.

use crate::{
    Answer, App, Barrier, Context, Delivered, Failure, Options, Output, Partition, Request, Stop,
    Time,
    idempotency::{self, Found},
    in_flight::{Open, Waiting},
    inbox::{self, Arrivals},
    outbox::Lanes,
    timers,
};
use evenkeel_log::{Hash, Kind};
use evenkeel_state::{Layer, StateError};
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Requests whose decision panicked are remembered up to this many, the oldest forgotten first.
const POISONED_MAX: usize = 1_024;

/// What became of one request.
enum Decision<A: App> {
    Answer(Result<A::Reply, Failure<A::Refusal>>, bool),
    /// More was due on its rows than one command may apply: it is decided again, in the next
    /// batch, so that others are not kept waiting for what is due on its rows.
    Again,
    /// The store could not be read, and may be once it was opened again.
    Unreadable(StateError),
}

impl<A: App, T, R> Partition<A, T, R> {
    /// Decides what waits, up to the size of a record, and submits it or leaves it open for more.
    pub(crate) fn decide_batch(&mut self, now: Time) {
        let offset = self.newest_tail().offset.next();
        let incarnation = self.incarnation();
        let linger_ms = self.options.linger_ms;
        let goes_on = self.open.is_some();
        let open = self.open.take().unwrap_or_else(|| Open::new(now, linger_ms));
        let Open { since, due, layer, touched, mail, mut commands } = open;
        let mut waiting = Waiting { touched, mail, ..Waiting::default() };
        let Self {
            id: partition,
            app,
            options,
            state,
            mailbox,
            in_flight,
            next_timer,
            timers_resume,
            poisoned,
            totals,
            refusing,
            lanes,
            arrivals,
            ..
        } = self;
        let mut unreadable = false;
        let layers: Vec<&Layer> = in_flight.iter().map(|entry| &entry.layer).collect();
        let mut tx = state.resume(&layers, layer);
        let (touched, mail) = (&mut waiting.touched, &mut waiting.mail);
        let outbox_max = (options.outbox_rows_max, options.outbox_bytes_max);
        let partition = *partition;
        let mut ctx = Context {
            tx: &mut tx,
            now,
            partition,
            incarnation,
            touched,
            next_timer,
            totals,
            mail,
            outbox_max,
        };
        let others_first = std::mem::take(&mut arrivals.crowded) && !mailbox.is_empty();
        unreadable |= do_due(app, &mut ctx, options, timers_resume, lanes);
        if !others_first {
            unreadable |= do_arrivals(app, &mut ctx, options, arrivals);
        }
        let decider = Decider { app, options };
        let mut delivered = Delivered { offset, at: now, replayed: false };
        let durable = state.applied().tail.offset;
        let mut buffered = Vec::new();
        let mut again = Vec::new();
        let is_full = |commands, bytes| {
            commands >= options.batch_commands_max || bytes >= options.batch_bytes_max
        };
        arrivals.crowded = is_full(commands, ctx.tx.bytes()) && !ctx.mail.done.is_empty();
        while !is_full(commands, ctx.tx.bytes())
            && let Some(request) = mailbox.pop()
        {
            commands += 1;
            let (outcome, replayed) = match decider.decide(&mut ctx, poisoned, &request) {
                Decision::Answer(outcome, replayed) => (outcome, replayed),
                Decision::Again => {
                    again.push(request);
                    continue;
                }
                Decision::Unreadable(error) => {
                    unreadable = true;
                    (Err(Failure::Unavailable(error.to_string())), false)
                }
            };
            delivered.replayed = replayed;
            if !*refusing && app.is_buffered(&request.command) {
                // It vouches for nothing that could still be lost.
                let delivered = Delivered { offset: durable, ..delivered };
                buffered.push(Output::Answer(request.ticket, Answer { outcome, delivered }));
                continue;
            }
            waiting.answers.push((request.ticket, request.deadline, Answer { outcome, delivered }));
        }
        for request in again.into_iter().rev() {
            mailbox.push_front(request.tenant, request.priority, request);
        }
        let is_full = is_full(commands, ctx.tx.bytes());
        if lanes.may_trim() && ctx.tx.rows() > 0 && ctx.tx.bytes() < options.batch_bytes_max {
            unreadable |= lanes.trim(&mut ctx, options);
        }
        let layer = tx.finish();
        self.store_failed |= unreadable;
        waiting.reads.append(&mut self.reads);
        waiting.touched.sort_unstable();
        waiting.touched.dedup();
        self.buffered = goes_on || !buffered.is_empty();
        self.outputs.append(&mut buffered);
        let may_linger = commands > 0 && !is_full && now < due;
        self.submit_or_linger((since, now, due), layer, waiting, may_linger.then_some(commands));
    }

    /// Submits a decided batch of so many commands, or leaves it open if it may linger and nobody waits.
    fn submit_or_linger(
        &mut self,
        (since, now, due): (Time, Time, Time),
        layer: Layer,
        waiting: Waiting<A, T, R>,
        may_linger: Option<usize>,
    ) {
        let nobody_waits = waiting.is_empty() && waiting.mail.done.is_empty();
        match may_linger.filter(|_| nobody_waits && !layer.is_empty() && !self.checkpoint_wanted) {
            Some(commands) => {
                let Waiting { touched, mail, .. } = waiting;
                self.open = Some(Open { since, due, layer, touched, mail, commands });
            }
            None => self.submit_batch((since, now), layer, waiting),
        }
    }

    /// Submits a decided batch, or answers it at once if nothing needs to be appended for it.
    fn submit_batch(&mut self, times: (Time, Time), layer: Layer, waiting: Waiting<A, T, R>) {
        let kind = if std::mem::take(&mut self.checkpoint_wanted) {
            Kind::Checkpoint
        } else {
            Kind::Batch
        };
        let switches = self.options.switches;
        let fenced = self.options.barrier == Barrier::Free || switches.unfenced_refusal;
        if layer.is_empty() && kind == Kind::Batch && (fenced || waiting.is_empty()) {
            return self.answer_without_record(waiting);
        }
        if switches.ack_before_append {
            let Waiting { answers, reads, touched, mail } = waiting;
            self.answer_now(answers, reads);
            let nobody = Waiting { touched, mail, ..Waiting::default() };
            return self.submit_record(kind, times, layer, nobody);
        }
        self.submit_record(kind, times, layer, waiting);
    }

    /// Nothing changed and nobody else can lead: the answers wait only for what they have read.
    fn answer_without_record(&mut self, waiting: Waiting<A, T, R>) {
        let Waiting { mut answers, mut reads, mut mail, .. } = waiting;
        let offset = self.newest_tail().offset;
        answers.iter_mut().for_each(|(_, _, answer)| answer.delivered.offset = offset);
        match self.in_flight.back_mut() {
            Some(last) if !self.options.switches.unfenced_refusal => {
                let deadlines = answers.iter().filter_map(|(_, deadline, _)| *deadline);
                last.deadline = deadlines.chain(last.deadline).min();
                last.answers.append(&mut answers);
                last.reads.append(&mut reads);
                last.mail.done.append(&mut mail.done);
            }
            _ => {
                self.answer_now(answers, reads);
                self.post(mail, self.time);
            }
        }
    }

    fn answer_now(&mut self, answers: Vec<(T, Option<Time>, Answer<A>)>, reads: Vec<R>) {
        let answers = answers.into_iter().map(|(ticket, _, answer)| Output::Answer(ticket, answer));
        self.outputs.extend(answers);
        self.outputs.extend(reads.into_iter().map(Output::Read));
    }
}

/// Does what time and the outbox have due. Answers whether the store could not be read.
fn do_due<A: App>(
    app: &A,
    ctx: &mut Context<'_, '_>,
    options: &Options,
    timers_resume: &mut Time,
    lanes: &mut Lanes,
) -> bool {
    let now = ctx.now;
    let mut unreadable = false;
    if ctx.next_timer.is_some_and(|due| due.max(*timers_resume) <= now)
        && let Err(error) = timers::fire_due(app, ctx, options)
    {
        *timers_resume = now.plus_ms(timers::RETRY_MS);
        unreadable |= error.is_store_failure();
    }
    if lanes.must_trim(now) {
        unreadable |= lanes.trim(ctx, options);
    }
    unreadable
}

/// Does what has arrived from other partitions. Answers whether the store could not be read.
fn do_arrivals<A: App>(
    app: &A,
    ctx: &mut Context<'_, '_>,
    options: &Options,
    arrivals: &mut Arrivals,
) -> bool {
    let done = inbox::do_arrivals(app, ctx, options, arrivals);
    done.is_err_and(|error| error.is_store_failure())
}

impl<A: App, T, R> Waiting<A, T, R> {
    /// Whether no caller waits.
    fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.reads.is_empty()
    }
}

struct Decider<'a, A: App> {
    app: &'a A,
    options: &'a Options,
}

impl<A: App> Decider<'_, A> {
    /// Decides one request: what it changed is in the transaction if, and only if, it is a yes.
    fn decide<T>(
        &self,
        ctx: &mut Context<'_, '_>,
        poisoned: &mut VecDeque<Hash>,
        request: &Request<A, T>,
    ) -> Decision<A> {
        if request.deadline.is_some_and(|deadline| deadline <= ctx.now) {
            return Decision::Answer(Err(Failure::DeadlineExceeded), false);
        }
        if !poisoned.is_empty() && poisoned.contains(&fingerprint(request)) {
            return Decision::Answer(Err(Failure::Internal), false);
        }
        let before = ctx.tx.savepoint();
        let decided = catch_unwind(AssertUnwindSafe(|| self.try_decide(ctx, request)));
        match decided {
            Ok(Ok(decision)) => decision,
            Ok(Err(error)) => {
                ctx.tx.rollback(before);
                if error.is_store_failure() {
                    Decision::Unreadable(error)
                } else {
                    // A row that no try will read: to open the store again helps nobody.
                    Decision::Answer(Err(Failure::Internal), false)
                }
            }
            Err(_) => {
                ctx.tx.rollback(before);
                if poisoned.len() == POISONED_MAX {
                    poisoned.pop_front();
                }
                poisoned.push_back(fingerprint(request));
                Decision::Answer(Err(Failure::Internal), false)
            }
        }
    }

    fn try_decide<T>(
        &self,
        ctx: &mut Context<'_, '_>,
        request: &Request<A, T>,
    ) -> Result<Decision<A>, StateError> {
        let remembers = !self.options.switches.no_idempotency_row;
        let mut new_key = None;
        if let Some(key) = request.idempotency.as_ref().filter(|_| remembers) {
            let bytes_max = self.options.idempotency_bytes_max;
            match idempotency::find(ctx, request.tenant, key, bytes_max)? {
                Found::New(usage) => new_key = Some((key, usage)),
                Found::Replay(reply) => return Ok(replay::<A>(&reply)),
                Found::Conflict => {
                    return Ok(Decision::Answer(Err(Failure::IdempotencyConflict), false));
                }
                Found::QuotaExceeded => {
                    return Ok(Decision::Answer(Err(Failure::QuotaExceeded), false));
                }
            }
        }
        let more = self.app.expire(ctx, request.tenant, &request.command)?;
        let before = ctx.tx.savepoint();
        ctx.mail.is_full = false;
        let reply = match self.app.decide(ctx, request.tenant, &request.command) {
            Ok(reply) => reply,
            Err(Stop::State(error)) => return Err(error),
            Err(Stop::Refused(refusal)) => {
                ctx.tx.rollback(before);
                return Ok(if more {
                    Decision::Again
                } else {
                    Decision::Answer(Err(Failure::Refused(refusal)), false)
                });
            }
        };
        if ctx.mail.is_full {
            ctx.tx.rollback(before);
            return Ok(Decision::Answer(Err(Failure::Overloaded), false));
        }
        let remembered = new_key.map(|(key, usage)| {
            let bytes = postcard::to_stdvec(&reply).expect("a reply is plain data: it encodes");
            idempotency::remember(ctx, request.tenant, key, usage, bytes)
        });
        if ctx.tx.rows_since(&before) > self.options.command_rows_max
            || ctx.tx.bytes_since(&before) > self.options.command_bytes_max
        {
            ctx.tx.rollback(before);
            return Ok(Decision::Answer(Err(Failure::TooLarge), false));
        }
        if let Some(bytes) = remembered {
            ctx.totals.add(request.tenant, bytes);
        }
        Ok(Decision::Answer(Ok(reply), false))
    }
}

/// A stored reply. One that cannot be read any more is an internal error, never a new effect.
fn replay<A: App>(reply: &[u8]) -> Decision<A> {
    let reply = postcard::from_bytes(reply).map_err(|_| Failure::Internal);
    Decision::Answer(reply, true)
}

fn fingerprint<A: App, T>(request: &Request<A, T>) -> Hash {
    let bytes = postcard::to_stdvec(&(request.tenant, &request.command));
    Hash::of(&bytes.expect("a command is plain data: it encodes"))
}
