//! What is asked in a run, drawn at random.

use crate::driver::reservation;
use evenkeel_domains::{
    Command,
    reservations::{Action, Late, Places, RETENTION_MS, Spec},
};
use proptest::prelude::*;

/// One thing that happens.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Commands that arrive together, each perhaps with an idempotency key.
    Ask(Vec<(Command, Option<u8>)>),
    Pass(u64),
    /// From now on appends wait, or do not.
    HoldBack(bool),
    Land,
    Checkpoint,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let asks = proptest::collection::vec((command(), proptest::option::of(0..6_u8)), 1..5);
    let step = prop_oneof![
        12 => asks.prop_map(Step::Ask),
        4 => pass().prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::HoldBack),
        2 => Just(Step::Land),
        1 => Just(Step::Checkpoint),
    ];
    let rest = proptest::collection::vec(step, 1..60);
    (opening(), rest).prop_map(|(opening, rest)| opening.into_iter().chain(rest).collect())
}

/// Mostly there is something to hold from the start.
fn opening() -> impl Strategy<Value = Option<Step>> {
    let put =
        |name: &'static str| spec(name).prop_map(move |spec| reservation(name, Action::Put(spec)));
    let puts = (put("seats"), put("units"), put("lock")).prop_map(|(seats, units, lock)| {
        Step::Ask([seats, units, lock].map(|put| (put, None)).into())
    });
    proptest::option::weighted(0.9, puts)
}

fn pass() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..30_u64, 1 => Just(RETENTION_MS / 2), 1 => Just(RETENTION_MS)]
}

fn command() -> impl Strategy<Value = Command> {
    let resource = proptest::sample::select(&["seats", "units", "lock"][..]);
    resource.prop_flat_map(|name| action(name).prop_map(move |action| reservation(name, action)))
}

fn action(resource: &'static str) -> impl Strategy<Value = Action> {
    // Now and then of a kind that the resource is not.
    let kinds: [&str; 8] =
        [resource, resource, resource, resource, resource, resource, "seats", "units"];
    let kind = proptest::sample::select(kinds.to_vec());
    let hold = (kind.clone().prop_flat_map(places), ttl_ms(), 0..3_u8).prop_map(
        |(places, ttl_ms, holder)| Action::Hold { holder: format!("u{holder}"), ttl_ms, places },
    );
    let late = prop_oneof![Just(Late::Refuse), Just(Late::Reacquire)];
    prop_oneof![
        2 => kind.prop_flat_map(spec).prop_map(Action::Put),
        1 => seats(0).prop_map(Action::AddSeats),
        10 => hold,
        5 => (fence(), late).prop_map(|(hold, late)| Action::Confirm { hold, late }),
        3 => fence().prop_map(|hold| Action::Release { hold }),
        2 => (fence(), ttl_ms()).prop_map(|(hold, ttl_ms)| Action::Extend { hold, ttl_ms }),
        3 => fence().prop_map(|hold| Action::Cancel { hold }),
    ]
}

fn seats(least: usize) -> impl Strategy<Value = Vec<String>> {
    proptest::sample::subsequence(vec!["A", "B", "C", "D", "E", "F"], least..=6)
        .prop_map(|seats| seats.into_iter().map(str::to_owned).collect())
}

fn places(kind: &'static str) -> BoxedStrategy<Places> {
    match kind {
        "seats" => proptest::sample::subsequence(vec!["A", "B", "C", "D", "E", "F"], 1..=3)
            .prop_map(|seats| Places::Seats(seats.into_iter().map(str::to_owned).collect()))
            .boxed(),
        "units" => (1..4_u64).prop_map(Places::Quantity).boxed(),
        _ => Just(Places::Lock).boxed(),
    }
}

fn spec(kind: &'static str) -> BoxedStrategy<Spec> {
    match kind {
        "seats" => seats(3).prop_map(Spec::Seats).boxed(),
        "units" => (0..9_u64).prop_map(Spec::Quantity).boxed(),
        _ => {
            (0..2_u8).prop_map(|number| Spec::Lock { protects: format!("export {number}") }).boxed()
        }
    }
}

fn ttl_ms() -> impl Strategy<Value = u64> {
    prop_oneof![1 => 1..60_u64, 1 => Just(100_000)]
}

fn fence() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 1..4_u64, 2 => 1..12_u64].prop_map(|sequence| (1 << 38) + sequence)
}
