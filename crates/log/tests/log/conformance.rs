//! The suite that every backend passes, and a backend that does not.

use super::fixtures::block_on;
use evenkeel_log::conformance;
use evenkeel_log::faults::FaultFiles;
use evenkeel_log::sim::SimLog;
use evenkeel_log::{LocalLog, LocalOptions, Log};
use std::sync::Arc;

/// Small enough to rotate often; one record may need a larger segment of its own.
fn small_segments() -> LocalOptions {
    LocalOptions { init: true, segment_bytes: 64 * 1024, ..LocalOptions::default() }
}

#[test]
fn sim_conforms() {
    block_on(conformance::suite(async || SimLog::new()));
}

#[test]
fn local_conforms_in_memory() {
    block_on(conformance::suite(async || {
        let files = Arc::new(FaultFiles::new(3));
        files.short_writes(true);
        LocalLog::over(files, &small_segments(), [1; 16]).unwrap().0
    }));
}

#[test]
fn local_conforms_on_the_real_file_system() {
    let directories = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    block_on(conformance::suite(async || {
        count.set(count.get() + 1);
        let directory = directories.path().join(count.get().to_string());
        LocalLog::open(&directory, &small_segments()).unwrap().0
    }));
    assert!(count.get() > 5, "every property has a log of its own");
}

fn fails_without_tail_check(property: impl AsyncFn(&SimLog) + std::panic::RefUnwindSafe) {
    let outcome = std::panic::catch_unwind(|| {
        let log = SimLog::new();
        log.with_core(|core| core.check_tail = false);
        block_on(property(&log));
    });
    assert!(outcome.is_err(), "a log that does not check its tail must not conform");
}

#[test]
fn the_suite_notices_a_log_that_does_not_check_its_tail() {
    fails_without_tail_check(conformance::offset_and_hash_are_both_checked);
    fails_without_tail_check(conformance::one_of_two_owners_wins);
    fails_without_tail_check(conformance::after_a_refused_record_the_next_is_refused);
    fails_without_tail_check(conformance::the_same_record_again_conflicts);
    fails_without_tail_check(conformance::genesis_is_only_at_1);
}

/// The futures must be able to move between threads, whatever the backend.
#[test]
fn futures_are_send() {
    fn is_send<T: Send>(_: &T) {}
    fn check<L: Log>(log: &L) {
        is_send(&log.tail(evenkeel_log::PartitionId(1)));
        is_send(&log.tail_past(evenkeel_log::PartitionId(1), evenkeel_log::Offset(1)));
    }
    check(&SimLog::new());
}
