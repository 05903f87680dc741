//! What a queue says, and names as they are written.

use super::tight;
use crate::driver::{Driver, TENANT, meta};
use evenkeel_domains::{
    Reply,
    jobs::{JobId, LeaseId, Settings, SettingsError},
    meta::{self as metas, QueueMode},
};
use evenkeel_engine::Options;
use std::collections::BTreeSet;

#[test]
fn retries_wait_longer_each_time_and_apart() {
    let settings = Settings { max_attempts: 9, jitter_percent: 20, ..tight() };
    let waits = |failures| -> BTreeSet<u64> {
        (0..100).map(|number| settings.backoff_ms(number, failures, failures)).collect()
    };
    for (failures, wait_ms) in [(1, 100), (2, 200), (3, 400), (9, 1_000), (64, 1_000)] {
        let waits = waits(failures);
        let (least, most) = (*waits.first().unwrap(), *waits.last().unwrap());
        assert!(least >= wait_ms * 8 / 10 && most <= wait_ms * 12 / 10, "{least} {most}");
        assert!(waits.len() > 20, "a stampede is spread: {waits:?}");
    }
    let even = Settings { jitter_percent: 0, ..settings };
    assert_eq!(even.backoff_ms(1, 1, 1), 100);
    assert_eq!(settings.backoff_ms(7, 2, 2), settings.backoff_ms(7, 2, 2), "and always the same");
}

#[test]
fn settings_have_rules() {
    let legal = Settings::of(4);
    assert_eq!(legal.check(16), Ok(()));
    let wrong = [
        (Settings { spread: 0, ..legal }, SettingsError::Spread { partitions: 16 }),
        (Settings { spread: 17, ..legal }, SettingsError::Spread { partitions: 16 }),
        (Settings { concurrency_limit: Some(3), ..legal }, SettingsError::Limit { spread: 4 }),
        (Settings { max_backlog: 3, ..legal }, SettingsError::Backlog { spread: 4 }),
        (Settings { max_attempts: 0, ..legal }, SettingsError::Attempts),
        (Settings { max_crashes: 0, ..legal }, SettingsError::Attempts),
        (Settings { backoff_base_ms: 0, ..legal }, SettingsError::Backoff),
        (Settings { backoff_max_ms: 1, ..legal }, SettingsError::Backoff),
        (Settings { jitter_percent: 101, ..legal }, SettingsError::Jitter),
        (Settings { lease_ms: 0, ..legal }, SettingsError::Lease),
        (Settings { lease_ms_max: 1, ..legal }, SettingsError::Lease),
        (Settings { retention_ms: u64::MAX, ..legal }, SettingsError::Retention),
        (Settings { dead_retention_ms: 0, ..legal }, SettingsError::Retention),
        (Settings { result_bytes_max: u32::MAX, ..legal }, SettingsError::Result),
    ];
    for (settings, error) in wrong {
        assert_eq!(settings.check(16), Err(error));
    }
}

#[test]
fn shares_are_the_whole() {
    for limit in [4, 5, 7, 100] {
        let whole =
            Settings { concurrency_limit: Some(limit), max_backlog: limit, ..Settings::of(4) };
        let shares: Vec<Settings> = (0..4).map(|position| whole.share(position)).collect();
        let limits: Vec<u64> = shares.iter().filter_map(|share| share.concurrency_limit).collect();
        assert_eq!(limits.iter().sum::<u64>(), limit);
        assert!(limits.iter().max().unwrap() - limits.iter().min().unwrap() <= 1);
        assert_eq!(shares.iter().map(|share| share.max_backlog).sum::<u64>(), limit);
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    let job = JobId { partition: 3, number: (1 << 38) + 7 };
    assert_eq!(job.to_string().parse(), Ok(job));
    let lease = LeaseId { attempt: 2, fence: (1 << 38) + 9 };
    assert_eq!(lease.to_string().parse(), Ok(lease));
    for wrong in ["", ".", "1", "1.", ".1", "1.2.3", "+1.2", "1.+2", "1.-2", "70000.1", " 1.2"] {
        assert_eq!(wrong.parse::<JobId>(), Err(()), "{wrong}");
    }
    assert_eq!("1.99999999999999999999".parse::<LeaseId>(), Err(()));
}

/// Partitions keep the latest settings that they have seen, also of a queue that was deleted.
#[test]
fn a_queue_that_is_put_again_is_later_than_what_it_was() {
    let mut driver = Driver::new(Options::default());
    let version = |driver: &mut Driver, action| match driver.ask(meta(action), None).unwrap() {
        Reply::Meta(metas::Reply::Queue(settings, _)) => settings.version,
        Reply::Meta(metas::Reply::Done) => 0,
        other => panic!("{other:?}"),
    };
    let (tenant, name) = (TENANT, || "q".to_owned());
    let settings = || Box::new(Settings::of(0));
    let put = || metas::Action::PutQueue {
        tenant,
        name: name(),
        settings: settings(),
        push: None,
        partitions: 16,
    };
    let mode = |mode| metas::Action::SetQueueMode { tenant, name: name(), mode };
    version(&mut driver, put());
    for one in [QueueMode::Paused, QueueMode::Open, QueueMode::Paused] {
        version(&mut driver, mode(one));
    }
    let drained = version(&mut driver, mode(QueueMode::Draining));
    version(&mut driver, metas::Action::DeleteQueue { tenant, name: name() });
    // A millisecond is the least that a record's time goes on by.
    driver.pass(1);
    assert!(version(&mut driver, put()) > drained, "it is not draining any more");
}
