//! Checks that several partitions count: in each, side by side; and if one does not fit, what the
//! others counted is given back. No limit ever admits more than it says by that. One may admit less,
//! by what such a check asked of it:
//!
//! - from being counted until it is given back: usually two appends, at most [`GIVING_BACK_MS_MAX`];
//! - if it cannot be given back in that time, or the process ends before: until it flows back by
//!   itself, as anything that was counted does, within a period or the time that its cost refills in;
//! - likewise if nobody knows whether a partition counted: that is not given back, since something
//!   given back without having been counted would be admitted twice.
//!
//! Slots of concurrency limits are released; one that cannot be ends with its time.

use super::{Asked, Checked, Part, Terms, Verdict, command_of, join, random, see, together};
use crate::{CallOptions, Called, Node, NodeError, Tenant};
use evenkeel_domains::{
    Command, Reply,
    limits::{self, Action, Algorithm, Check},
};
use evenkeel_engine::{Failure, Priority, Time};
use evenkeel_log::Files;
use std::{pin::pin, time::Duration};
use tokio::{
    sync::{Semaphore, SemaphorePermit, oneshot},
    time::{sleep, timeout},
};

/// Checks over several partitions that are under way in this process, until what they counted in
/// vain is given back; the next is overloaded.
const ACROSS_MAX: usize = 4_096;
/// How long it is tried to give back what was counted in vain.
const GIVING_BACK_MS_MAX: u64 = 5_000;
const PAUSE: Duration = Duration::from_millis(5);
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_millis(500);

static ACROSS: Semaphore = Semaphore::const_new(ACROSS_MAX);

/// Counts in each partition or in none, within the deadline. What is left to be done then outlives
/// this call, and whoever made it.
pub(super) async fn check<F: Files>(
    node: &Node<F>,
    tenant: &Tenant,
    parts: Vec<Part>,
    options: CallOptions,
) -> Asked {
    let Ok(permit) = ACROSS.try_acquire() else {
        return overloaded(node, parts);
    };
    let (tell, told) = oneshot::channel();
    let across = Across { node: node.clone(), tenant: tenant.clone(), parts, _permit: permit };
    tokio::spawn(across.run(options, tell));
    told.await.unwrap_or_else(|_| Err(Failure::OutcomeUnknown.into()))
}

fn overloaded<F: Files>(node: &Node<F>, parts: Vec<Part>) -> Asked {
    let mut answers = Vec::new();
    for part in parts {
        let error = Failure::Overloaded.into();
        answers.push((part.places, node.stand_in(error, &Terms::of(&part.checks))?));
    }
    Ok(join(answers))
}

struct Across<F: Files> {
    node: Node<F>,
    tenant: Tenant,
    parts: Vec<Part>,
    /// Until nothing more is done about them.
    _permit: SemaphorePermit<'static>,
}

impl<F: Files> Across<F> {
    async fn run(self, options: CallOptions, tell: oneshot::Sender<Asked>) {
        let answer_by = self.answer_by(&options);
        let counts = self.parts.iter().map(|part| {
            let (checks, options) = (part.checks.clone(), options.clone());
            self.node.count(&self.tenant, part.partition, checks, options)
        });
        let mut answers = together(counts).await;
        let fits = |answer: &Asked| answer.as_ref().is_ok_and(|called| called.answer.allowed);
        // If nobody listens any more it stays counted, as after any answer that is lost.
        if answers.iter().all(fits) {
            let _ = tell.send(self.join(answers));
            return;
        }
        let undoing = self.undoing(&answers);
        for called in answers.iter_mut().flatten() {
            // Whoever is told no gets no slot.
            for verdict in &mut called.answer.verdicts {
                verdict.lease = None;
                verdict.result.lease = None;
            }
        }
        let mut undone = pin!(together(undoing.into_iter().map(|undo| self.undo(undo))));
        let left_ms = answer_by.0.saturating_sub(self.node.now().0);
        match timeout(Duration::from_millis(left_ms), &mut undone).await {
            Ok(undone) => {
                undone.into_iter().flatten().for_each(|undone| undone.take_in(&mut answers));
                let _ = tell.send(self.join(answers));
            }
            Err(_) => {
                let _ = tell.send(self.join(answers));
                undone.await;
            }
        }
    }

    fn answer_by(&self, options: &CallOptions) -> Time {
        self.node.now().plus_ms(self.node.check_deadline_ms(options.deadline))
    }

    fn join(&self, answers: Vec<Asked>) -> Asked {
        let places = self.parts.iter().map(|part| part.places.clone());
        let answers: Result<Vec<_>, NodeError> =
            places.zip(answers).map(|(places, answer)| Ok((places, answer?))).collect();
        Ok(join(answers?))
    }

    /// What takes back all that was counted.
    fn undoing(&self, answers: &[Asked]) -> Vec<Undo> {
        let mut undoing = Vec::new();
        for (part, (asked, answer)) in self.parts.iter().zip(answers).enumerate() {
            // Of a refusal nothing was counted, of a failure nobody knows.
            let Some(called) = answer.as_ref().ok().filter(|called| called.answer.allowed) else {
                continue;
            };
            let verdicts = &called.answer.verdicts;
            let counted = asked.checks.iter().zip(verdicts).enumerate();
            let (places, checks): (Vec<usize>, Vec<Check>) = counted
                .filter(|(_, (check, verdict))| is_refundable(check, verdict))
                .map(|(place, (check, _))| (place, check.clone()))
                .unzip();
            if !checks.is_empty() {
                let action = Action::Refund { counted_at: called.at };
                let key = Some(format!("undo-{:016x}{:016x}", random(), random()));
                let command = command_of(checks, action);
                undoing.push(Undo { part, places, command, key });
            }
            undoing.extend(verdicts.iter().filter_map(|verdict| verdict.lease).map(|lease| {
                let command = limits::Command::release(lease);
                Undo { part, places: Vec::new(), command, key: None }
            }));
        }
        undoing
    }

    /// Has something taken back, once, trying for as long as it may succeed.
    async fn undo(&self, undo: Undo) -> Option<Undone> {
        let give_up = self.node.now().plus_ms(GIVING_BACK_MS_MAX);
        let mut pause = PAUSE;
        loop {
            let options = CallOptions {
                idempotency_key: undo.key.clone(),
                // It makes room.
                priority: Some(Priority::Critical),
                ..CallOptions::default()
            };
            let command = Command::Limits(undo.command.clone());
            match self.node.command(&self.tenant, command, options).await {
                Ok(called) => return Some(Undone { undo, called }),
                // The slot is free already.
                Err(NodeError::Refused { .. }) => return None,
                Err(NodeError::Failed(_)) if self.node.now() < give_up => {
                    sleep(pause).await;
                    pause = (2 * pause).min(PAUSE_MAX);
                }
                Err(error) => {
                    tracing::warn!(%error, "what was counted in vain is not given back");
                    return None;
                }
            }
        }
    }
}

/// What takes something back.
struct Undo {
    /// Which part counted it.
    part: usize,
    /// As which of its checks.
    places: Vec<usize>,
    command: limits::Command,
    key: Option<String>,
}

struct Undone {
    undo: Undo,
    called: Called<Reply>,
}

impl Undone {
    /// Has the answer say how the subjects are now.
    fn take_in(self, answers: &mut [Asked]) {
        let Ok(Called { answer: Checked { verdicts, .. }, as_of, .. }) =
            &mut answers[self.undo.part]
        else {
            return;
        };
        if let Reply::Limits(limits::Reply::Changed(results)) = self.called.answer {
            for (place, now) in self.undo.places.into_iter().zip(results) {
                verdicts[place].result.remaining = now.remaining;
                verdicts[place].result.reset_after_ns = now.reset_after_ns;
            }
        }
        self.called.as_of.into_iter().for_each(|token| see(as_of, token));
    }
}

/// A limit that only watches lets through what it did not count, and slots are released.
fn is_refundable(check: &Check, verdict: &Verdict) -> bool {
    let counted = check.cost() > 0 && !verdict.result.shadow_refused && !verdict.degraded;
    counted && check.policy().algorithm != Algorithm::Concurrency
}
