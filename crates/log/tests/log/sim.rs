//! The simulated log's own promises: chosen fates, and the same seed twice.

use super::fixtures::{block_on, record};
use evenkeel_log::sim::{Fate, FateRates, SimCore, SimLog};
use evenkeel_log::{AppendError, Log, Offset, PartitionId, Tail};

const P: PartitionId = PartitionId(1);

#[test]
fn each_fate_answers_and_lands_as_it_says() {
    block_on(async {
        let cases = [
            (Fate::Normal, "Ok", true),
            (Fate::AnswerLost, "Indeterminate", true),
            (Fate::Late(100), "Indeterminate", false),
            (Fate::Lost, "Indeterminate", false),
            (Fate::Conflict, "Conflict", false),
            (Fate::Full, "Full", false),
        ];
        for (fate, answer, lands) in cases {
            let log = SimLog::new();
            log.choose(fate);
            let outcome = log.append(record(P, Tail::EMPTY, b"")).await;
            assert!(format!("{outcome:?}").contains(answer), "{fate:?}: {outcome:?}");
            let there = log.with_core(|core| core.tail(P)) != Tail::EMPTY;
            assert_eq!(there, lands, "{fate:?}");
        }
    });
}

#[test]
fn a_late_append_lands_later_unless_something_else_did() {
    block_on(async {
        let first = record(P, Tail::EMPTY, b"late");
        let log = SimLog::new();
        log.choose(Fate::Late(3));
        assert!(log.append(first.clone()).await.is_err());
        assert_eq!(log.tail(P).await.unwrap(), Tail::EMPTY);
        assert_eq!(log.tail(P).await.unwrap(), Tail::EMPTY);
        assert_eq!(log.tail(P).await.unwrap(), first.tail());

        let second = record(P, first.tail(), b"late");
        let other = record(P, first.tail(), b"in time");
        log.choose(Fate::Late(100));
        assert!(log.append(second).await.is_err());
        assert_eq!(log.append(other.clone()).await.unwrap(), other.tail());
        log.settle();
        assert_eq!(log.read(P, Offset(2), 1000).await.unwrap(), [other]);
    });
}

#[test]
fn the_same_seed_gives_the_same_outcomes() {
    let rates = FateRates { answer_lost: 100, late: 100, lost: 100, conflict: 100, full: 100 };
    let run = |seed| {
        block_on(async {
            let log = SimLog::seeded(seed, rates);
            let mut outcomes = String::new();
            for round in 0..200u8 {
                let at = log.tail(P).await.unwrap();
                let outcome = log.append(record(P, at, &[round])).await;
                outcomes.push_str(&format!("{outcome:?}\n"));
            }
            outcomes
        })
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn without_the_tail_check_a_deposed_owner_overwrites() {
    let mut core = SimCore::new();
    core.append(record(P, Tail::EMPTY, b"")).unwrap();
    let at = core.tail(P);
    core.append(record(P, at, b"acknowledged")).unwrap();
    let stale = record(P, at, b"stale");
    assert!(matches!(core.append(stale.clone()), Err(AppendError::Conflict { .. })));
    core.check_tail = false;
    assert_eq!(core.append(stale.clone()).unwrap(), stale.tail());
    assert_eq!(core.record(P, Offset(2)), Some(&stale));
    assert_eq!(core.tail(P), stale.tail());
}
