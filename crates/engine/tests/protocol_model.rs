//! The protocol of the log and the engine as a small exhaustive model: what one partition's log, its
//! would-be owners and their clients may do in any order, explored completely for small bounds.
//!
//! It is a model of the *rules*, not of the engine's code: it was here first, and the engine, the
//! simulator and the backends keep to the rules it proved. It knows no time, no batches of more
//! than one command and no liveness; those belong to the simulator.
//!
//! How the world is cut down, and why nothing is lost by it:
//! - **Answers of the log are not messages.** An append that landed may be learned of at any later
//!   time ([`Action::Learn`] reads what occupies the offset), so a prompt, a late and a lost answer
//!   are the same step at another moment.
//! - **The wire is a set of records.** One that stays is late, one that never lands was lost;
//!   [`Action::Lose`] and [`Action::Resubmit`] say so in the open. A record whose offset is
//!   occupied can never land again and leaves the set.
//! - **A request is decided when it arrives.** A slow one is only a request with an easier promise.
//!   A command may arrive twice at any owners: a retry, or a copy that the network made.
//! - A restart is a crash followed, some time, by a take-over; A tries first, by symmetry.
//!
//! Findings, each kept by a mutation below that yields a counterexample:
//! - The tail's *hash* is needed as soon as two records are in flight: a successor's `Announce` may
//!   land where the first was refused, and the second would pass on its offset alone.
//! - A refused append may still be ours, from an earlier submission: only the record that occupies
//!   the offset tells. If it was trimmed, nothing tells: the answer is `outcome_unknown`.
//! - A barrier must be a record appended *after* the request came. A record already in flight may
//!   have landed before a successor took over, and proves nothing about the time since.
//! - An `Announce` must be unique to the process that sends it. The record header alone (epoch,
//!   offset, predecessor, time) can be byte for byte the same from two processes that read the same
//!   tail; both then find "ours" in the log, lead the same epoch, and take each other's identical
//!   barriers for their own.

//!
//! Exploration is a plain breadth-first search ([`explore`]): a counterexample is a shortest one.

#[path = "protocol_model/explore.rs"]
mod explore;
#[path = "protocol_model/rules.rs"]
mod rules;
#[path = "protocol_model/world.rs"]
mod world;

use explore::{Exploration, explore};
use rules::{Bounds, Event, Mutation, Protocol};
use world::Promise;

/// Asserts that the mutated protocol breaks `promise`, and shows how.
fn assert_breaks(mutation: Mutation, bounds: Bounds, promise: Promise) {
    let found = explore(&Protocol::new(mutation, bounds), &[promise]);
    let Some((_, steps)) = found.counterexample else {
        panic!("{mutation:?} keeps {promise:?} in all of {} states", found.states);
    };
    eprintln!("{mutation:?} breaks {promise:?} within {} states:", found.states);
    for step in steps {
        eprintln!("  {step}");
    }
}

/// Asserts that no promise is broken anywhere within `bounds`.
fn assert_keeps_all(mutation: Mutation, bounds: Bounds) -> Exploration {
    let found = explore(&Protocol::new(mutation, bounds), &Promise::ALL);
    assert_eq!(found.counterexample, None, "{mutation:?} in {bounds:?}");
    found
}

#[test]
fn the_protocol_keeps_its_promises_in_every_interleaving() {
    let found = assert_keeps_all(Mutation::None, Bounds::FULL);
    eprintln!("{} states, all of them", found.states);
    for event in Event::ALL {
        assert!(found.events.contains(&event), "the model never reaches {event:?}");
    }
    assert!(found.states > 100_000, "the bounds leave too little to explore");
}

#[test]
fn an_offset_alone_is_no_fence_with_two_records_in_flight() {
    assert_breaks(Mutation::OffsetOnly, Bounds::SMALL, Promise::FencedAppends);
}

#[test]
fn an_offset_alone_is_a_fence_with_one_record_in_flight() {
    let bounds = Bounds { in_flight: 1, ..Bounds::SMALL };
    assert_keeps_all(Mutation::OffsetOnly, bounds);
}

#[test]
fn absence_is_no_evidence() {
    assert_breaks(Mutation::AbsentMeansNotAppended, Bounds::SMALL, Promise::DeniedHasNoEffect);
}

#[test]
fn a_refused_append_may_be_ours() {
    assert_breaks(Mutation::ConflictMeansNoEffect, Bounds::SMALL, Promise::DeniedHasNoEffect);
}

#[test]
fn a_trimmed_offset_tells_nothing() {
    assert_breaks(Mutation::TrimmedMeansNoEffect, Bounds::SMALL, Promise::DeniedHasNoEffect);
}

#[test]
fn a_refusal_waits_for_its_barrier() {
    assert_breaks(Mutation::UnfencedRefusal, Bounds::SMALL, Promise::FencedAnswers);
}

#[test]
fn a_barrier_is_younger_than_what_waits_for_it() {
    let bounds = Bounds { reads: 2, ..Bounds::SMALL };
    assert_breaks(Mutation::BarrierInFlight, bounds, Promise::FencedAnswers);
}

#[test]
fn an_acknowledgement_waits_for_the_append() {
    assert_breaks(Mutation::AckBeforeAppend, Bounds::SMALL, Promise::AcknowledgedIsInTheLog);
}

#[test]
fn a_key_needs_its_row() {
    assert_breaks(Mutation::NoIdempotencyRow, Bounds::SMALL, Promise::OneEffectAKey);
}

#[test]
fn an_owner_serves_only_once_its_announce_is_acknowledged() {
    assert_breaks(Mutation::ServeBeforeAnnounced, Bounds::SMALL, Promise::FencedAnswers);
}

#[test]
fn an_announce_is_unique_to_its_process() {
    let bounds = Bounds { reads: 2, ..Bounds::SMALL };
    assert_breaks(Mutation::AnonymousAnnounce, bounds, Promise::FencedAnswers);
}
