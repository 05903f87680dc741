//! Checks that several partitions count: in each, side by side; and if one does not fit, what the
//! others counted is given back. No limit ever admits more than it says by that. One may admit less,
//! by what such a check asked of it:
//!
//! - from being counted until it is given back: usually two appends. That is tried again, for at most
//!   [`GIVING_BACK_MS_MAX`], only where it certainly had no effect: so it needs no idempotency key,
//!   which would be remembered, and take of the tenant's space, for days;
//! - if it cannot be given back in that time, or nobody knows whether it was, or the process is killed
//!   before: until it flows back by itself, as anything that was counted does, within a period or the
//!   time that its cost refills in;
//! - likewise if nobody knows whether a partition counted: that is not given back, since something
//!   given back without having been counted would be admitted twice.
//!
//! Slots of concurrency limits are released, which may be tried again whatever is known, since a slot
//! is released once; one that cannot be ends with its time.
//!
//! A node that ends waits for all of that.

use super::{Asked, Checked, Part, Place, Terms, Verdict, command_of, join, see, together};
use crate::{CallOptions, Called, Node, NodeError, SessionToken, Tenant};
use evenkeel_domains::{
    Command, Reply,
    limits::{self, Action, Algorithm, Check, CheckResult},
};
use evenkeel_engine::{Failure, Priority};
use evenkeel_log::Files;
use std::{pin::pin, time::Duration};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

/// How long it is tried to give back what was counted in vain.
const GIVING_BACK_MS_MAX: u64 = 5_000;
const PAUSE: Duration = Duration::from_millis(5);
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Counts in each partition or in none, within the deadline. What is left to be done then outlives
/// this call, and whoever made it.
pub(super) async fn check<F: Files>(
    node: &Node<F>,
    tenant: &Tenant,
    parts: Vec<Part>,
    options: CallOptions,
) -> Asked {
    let Some(place) = node.0.underway.enter(tenant.id) else {
        return overloaded(node, parts);
    };
    let (tell, told) = oneshot::channel();
    let across = Across { node: node.clone(), tenant: tenant.clone(), parts, _place: place };
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
    _place: Place,
}

impl<F: Files> Across<F> {
    async fn run(self, options: CallOptions, tell: oneshot::Sender<Asked>) {
        let answer_ms = self.node.deadline_ms("limits.check", options.deadline);
        let answer_by = self.node.now().plus_ms(answer_ms);
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
                undone.into_iter().flatten().for_each(|undone| self.take_in(undone, &mut answers));
                let _ = tell.send(self.join(answers));
            }
            Err(_) => {
                let _ = tell.send(self.join(answers));
                undone.await;
            }
        }
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
                undoing.push(Undo { part, places, command: command_of(checks, action) });
            }
            let leases = verdicts.iter().enumerate();
            undoing.extend(leases.filter_map(|(place, verdict)| {
                let command = limits::Command::release(verdict.lease?);
                Some(Undo { part, places: vec![place], command })
            }));
        }
        undoing
    }

    /// Has something taken back, once, trying for as long as it may succeed.
    async fn undo(&self, undo: Undo) -> Option<Undone> {
        let partition = self.parts[undo.part].partition;
        let give_up = self.node.now().plus_ms(GIVING_BACK_MS_MAX);
        let mut pause = PAUSE;
        loop {
            let left_ms = give_up.0.saturating_sub(self.node.now().0);
            let options = CallOptions {
                deadline: Some(Duration::from_millis(left_ms)),
                // It makes room.
                priority: Some(Priority::Critical),
                ..CallOptions::default()
            };
            let command = Command::Limits(undo.command.clone());
            match self.node.command_at(partition, &self.tenant, command, options).await {
                Ok(Called { answer, as_of, .. }) => {
                    let results = match answer {
                        Reply::Limits(limits::Reply::Changed(results)) => results,
                        _ => Vec::new(),
                    };
                    return Some(Undone { undo, results, as_of });
                }
                // The slot is free already.
                Err(NodeError::Refused { as_of, .. }) => {
                    return Some(Undone { undo, results: Vec::new(), as_of: vec![as_of] });
                }
                Err(error) if left_ms > 0 && undo.may_be_tried_again(&error) => {
                    sleep(pause.min(Duration::from_millis(left_ms))).await;
                    pause = (2 * pause).min(PAUSE_MAX);
                }
                Err(error) => {
                    tracing::warn!(%error, "what was counted in vain is not given back");
                    return None;
                }
            }
        }
    }

    /// Has the answer say how the subjects are now.
    fn take_in(&self, undone: Undone, answers: &mut [Asked]) {
        let Undone { undo: Undo { part, places, .. }, results, as_of: seen } = undone;
        let Ok(Called { answer: Checked { verdicts, .. }, as_of, .. }) = &mut answers[part] else {
            return;
        };
        seen.into_iter().for_each(|token| see(as_of, token));
        let checks = &self.parts[part].checks;
        let slots = |check: &Check| check.policy().algorithm == Algorithm::Concurrency;
        for (place, now) in places.iter().zip(results) {
            verdicts[*place].result.remaining = now.remaining;
            verdicts[*place].result.reset_after_ns = now.reset_after_ns;
        }
        // Nothing is said of slots that are released: they are free for the check that took them, and
        // for those after it of the same subject.
        for place in places.into_iter().filter(|place| slots(&checks[*place])) {
            let released = &checks[place];
            let seen_taken = checks.iter().zip(&mut *verdicts).skip(place);
            for (_, verdict) in seen_taken.filter(|(check, _)| check.key() == released.key()) {
                let result = &mut verdict.result;
                result.remaining += released.cost();
                if result.remaining == result.quantity {
                    result.reset_after_ns = 0;
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
}

impl Undo {
    /// Whether to do it again cannot give back twice: it had no effect, or has one only once.
    fn may_be_tried_again(&self, error: &NodeError) -> bool {
        let NodeError::Failed(failure) = error else { return false };
        match failure {
            Failure::Overloaded | Failure::Unavailable(_) | Failure::DeadlineExceeded => true,
            Failure::OutcomeUnknown => matches!(self.command.action(), Action::Release { .. }),
            _ => false,
        }
    }
}

struct Undone {
    undo: Undo,
    /// How the subjects of a refund are now.
    results: Vec<CheckResult>,
    as_of: Vec<SessionToken>,
}

/// A limit that only watches lets through what it did not count, and slots are released.
fn is_refundable(check: &Check, verdict: &Verdict) -> bool {
    let counted = check.cost() > 0 && !verdict.result.shadow_refused && !verdict.degraded;
    counted && check.policy().algorithm != Algorithm::Concurrency
}
