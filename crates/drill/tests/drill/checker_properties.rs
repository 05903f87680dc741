//! Random histories: what is right stays right however it overlaps and whatever goes unheard;
//! one wrong answer in a history without overlap is always found.

use crate::reference::{Choice, Reference, operation};
use crate::script::{RESOURCE, replayed};
use evenkeel_drill::checker::check;
use evenkeel_drill::history::{Answer, Capacity, History, Operation, Outcome, Refusal, Request};
use proptest::prelude::*;

/// Enough to judge nearly all of them; the rest, with very many unheard operations, would take
/// time and not find more.
const STEPS_MAX: usize = 5_000;
/// Logical time between two decisions: room for intervals to begin and end in between.
const GAP: u64 = 1_000;

fn capacity() -> impl Strategy<Value = Capacity> {
    prop_oneof![
        (1_u64..8).prop_map(Capacity::Quantity),
        (1_usize..6).prop_map(|seats| {
            Capacity::Seats((0..seats).map(|number| format!("S{number}")).collect())
        }),
    ]
}

fn text(history: &History) -> String {
    let mut text = Vec::new();
    history.write_ndjson(&mut text).expect("memory takes every write");
    String::from_utf8(text).expect("JSON is UTF-8")
}

fn run(capacity: &Capacity, choices: &[Choice]) -> Vec<(Request, Outcome)> {
    let mut reference = Reference::new(capacity.clone());
    choices.iter().map(|choice| reference.does(*choice)).collect()
}

fn history(capacity: Capacity, mut operations: Vec<Operation>) -> History {
    operations.sort_by_key(|operation| operation.called);
    let mut history = History::new([(RESOURCE.to_owned(), capacity)]);
    history.operations = operations;
    history
}

/// How one decision is seen from outside.
#[derive(Debug, Clone)]
struct View {
    before: u64,
    after: u64,
    /// Nobody hears of it.
    unheard: bool,
    /// An earlier attempt that went unheard, and a later one that is told again.
    retried: bool,
    /// Its answer does not say when it was decided.
    timeless: bool,
}

fn view() -> impl Strategy<Value = View> {
    let width = 0..5 * GAP;
    (width.clone(), width, any::<u8>()).prop_map(|(before, after, bits)| View {
        before,
        after,
        unheard: bits % 10 == 0,
        retried: bits % 7 == 0,
        timeless: bits % 5 == 0,
    })
}

/// What clients may see of decisions that were made in this order.
fn seen(number: u64, (request, outcome): (Request, Outcome), view: &View) -> Vec<Operation> {
    // Time starts late enough for the first to begin early.
    let decided = (number + 10) * GAP;
    let (called, returned) = (decided - view.before - 1, decided + view.after + 1);
    let key = view.retried.then(|| format!("key {number}"));
    let outcome = match outcome {
        Outcome::Ok { answer, replayed, .. } if view.timeless => {
            Outcome::Ok { answer, replayed, at_ms: None }
        }
        Outcome::Refused { refusal, .. } if view.timeless => {
            Outcome::Refused { refusal, at_ms: None }
        }
        other => other,
    };
    let mut seen = Vec::new();
    if view.retried && matches!(outcome, Outcome::Ok { .. }) && request != Request::Read {
        let unheard = Some((called - 1, Outcome::Unknown));
        seen.push(operation(request.clone(), key.clone(), called - 2, unheard));
        let told = Some((returned + 2, replayed(outcome.clone())));
        seen.push(operation(request.clone(), key.clone(), returned + 1, told));
    }
    let returned = (!view.unheard).then_some((returned, outcome));
    seen.push(operation(request, key, called, returned));
    seen
}

/// An answer that cannot be right where this one was; `None` if there is none to be sure of.
fn wrong(request: &Request, outcome: &Outcome) -> Option<Outcome> {
    let (answer, refusal, at_ms) = match outcome {
        Outcome::Ok { answer, at_ms, .. } => (Some(answer), None, *at_ms),
        Outcome::Refused { refusal, at_ms } => (None, Some(refusal), *at_ms),
        Outcome::TurnedAway(_) | Outcome::Unknown => return None,
    };
    let yes = |answer: Answer| Some(Outcome::Ok { answer, replayed: false, at_ms });
    let no = |refusal: Refusal| Some(Outcome::Refused { refusal, at_ms });
    match (request, answer, refusal) {
        (Request::Hold { .. }, Some(_), _) => no(Refusal::SoldOut),
        (Request::Hold { ttl_ms, .. }, _, Some(_)) => yes(Answer::Held {
            hold: "another".to_owned(),
            fence: 1 << 40,
            expires_at_ms: at_ms? + ttl_ms,
        }),
        (
            Request::Confirm { .. } | Request::Extend { .. } | Request::Release { .. },
            Some(_),
            _,
        ) => no(Refusal::HoldExpired),
        (Request::Cancel { .. }, Some(_), _) => no(Refusal::NoHold),
        (Request::Release { .. }, _, Some(Refusal::HoldExpired)) => yes(Answer::Released),
        (Request::Confirm { hold, .. }, _, Some(_)) => {
            yes(Answer::Confirmed { hold: hold.clone(), fence: 0 })
        }
        (Request::Cancel { hold }, _, Some(Refusal::NoHold)) if !hold.is_empty() => {
            yes(Answer::Cancelled)
        }
        (Request::Read, Some(Answer::Counted { available, held, confirmed }), _) => {
            let confirmed = confirmed + 1;
            if *available > 0 {
                yes(Answer::Counted { available: available - 1, held: *held, confirmed })
            } else {
                yes(Answer::Counted { available: 0, held: held.checked_sub(1)?, confirmed })
            }
        }
        _ => None,
    }
}

/// Whether a mutated answer is really another: a late confirmation that took its places again
/// may also be told that the hold has expired.
fn is_ambiguous(request: &Request, outcome: &Outcome) -> bool {
    match (request, outcome) {
        (Request::Confirm { hold, .. }, Outcome::Ok { answer, .. }) => {
            !matches!(answer, Answer::Confirmed { hold: by, .. } if by == hold)
        }
        _ => false,
    }
}

proptest! {
    // Nothing is written into the source tree: a failure is reproduced by its minimal input.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_right_is_never_called_wrong(
        capacity in capacity(),
        choices in prop::collection::vec(any::<Choice>(), 1..40),
        views in prop::collection::vec(view(), 40),
    ) {
        let decisions = run(&capacity, &choices).into_iter().zip(&views);
        let operations = (0..).zip(decisions).flat_map(|(number, (decision, view))| {
            seen(number, decision, view)
        });
        let history = history(capacity, operations.collect());
        let report = check(&history, None, STEPS_MAX);
        prop_assert!(report.violations.is_empty(), "{:?}\n{}", report.violations, text(&history));
    }

    #[test]
    fn one_wrong_answer_is_always_found(
        capacity in capacity(),
        choices in prop::collection::vec(any::<Choice>(), 1..40),
        which in any::<prop::sample::Index>(),
    ) {
        let mut decisions = run(&capacity, &choices);
        let which = which.index(decisions.len());
        let (request, outcome) = &decisions[which];
        let wrong = wrong(request, outcome).filter(|_| !is_ambiguous(request, outcome));
        let Some(wrong) = wrong else { return Ok(()) };
        decisions[which].1 = wrong;
        let plain = View { before: 0, after: 0, unheard: false, retried: false, timeless: false };
        let operations = (0..).zip(decisions).flat_map(|(number, decision)| {
            seen(number, decision, &plain)
        });
        let history = history(capacity, operations.collect());
        let report = check(&history, None, STEPS_MAX);
        prop_assert!(!report.violations.is_empty(), "operation {which} was not found out");
    }

    #[test]
    fn a_history_survives_being_written_down(
        capacity in capacity(),
        choices in prop::collection::vec(any::<Choice>(), 0..20),
    ) {
        let plain = View { before: 0, after: 0, unheard: false, retried: true, timeless: true };
        let decisions = (0..).zip(run(&capacity, &choices));
        let operations = decisions.flat_map(|(number, decision)| seen(number, decision, &plain));
        let history = history(capacity, operations.collect());
        let read = History::read_ndjson(text(&history).as_bytes()).unwrap();
        prop_assert_eq!(read.operations, history.operations);
        prop_assert_eq!(read.inventory, history.inventory);
    }
}
