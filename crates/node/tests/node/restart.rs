//! What a restart keeps: everything, however the life before ended.

use crate::harness::{
    End, Machine, PARTITIONS, ask, events, hashes, hold, hold_of, name_in, put, resource, runtime,
};
use evenkeel_domains::{Command, Domains, meta};
use evenkeel_engine::{Partition, Time};
use evenkeel_log::{Incarnation, LocalLog, LocalOptions, Log, PartitionId};
use evenkeel_node::{CallOptions, Clock};
use std::sync::Arc;

fn keyed(key: &str) -> CallOptions {
    CallOptions { idempotency_key: Some(key.to_owned()), ..CallOptions::default() }
}

fn create_key() -> Command {
    let action = meta::Action::CreateKey {
        id: "public".to_owned(),
        secret_hash: [9; 32],
        tenant: "acme".to_owned(),
        scopes: vec!["reservations:write".to_owned()],
        label: "tests".to_owned(),
    };
    Command::Meta(meta::Command { action })
}

fn set_contracts() -> Command {
    let settings = r#"{"deadline_ms":250}"#.to_owned();
    let action = meta::Action::SetContracts(vec![("reservations.hold".to_owned(), settings)]);
    Command::Meta(meta::Command { action })
}

#[test]
fn a_restart_keeps_everything_however_the_life_before_ended() {
    for end in [End::Shutdown, End::Kill, End::PowerLoss] {
        let machine = Machine::new();
        let names: Vec<String> = (0..4).map(|partition| name_in(partition, 0)).collect();
        let before = machine.life(end, async |node| {
            for name in &names {
                put(node, name, 10).await;
                hold(node, name).await.unwrap();
            }
            ask(node, hold_of(&names[0], 2), keyed("k1")).await.unwrap();
            ask(node, create_key(), CallOptions::default()).await.unwrap();
            ask(node, set_contracts(), CallOptions::default()).await.unwrap();
            let seen = events(node, &names[0], None).await;
            assert_eq!(seen.events.len(), 3, "created, held, held");
            (hashes(node).await, seen, node.now())
        });
        machine.life(End::Shutdown, async |node| {
            let (hashes_before, seen, time_before) = before;
            assert_eq!(hashes(node).await, hashes_before, "{end:?}");
            assert!(node.now() >= time_before, "record time never goes back");
            assert_eq!(resource(node, &names[0]).await.unwrap().held, 3);
            let again = ask(node, hold_of(&names[0], 2), keyed("k1")).await.unwrap();
            assert!(again.replayed, "the key is remembered");
            let meta = node.meta();
            assert_eq!(meta.meta.keys["public"].tenant, "acme");
            let settings = meta.registry.get("reservations.hold").unwrap().settings;
            assert_eq!(settings.deadline_ms, 250, "the contract's settings hold");
            assert!(node.tenant("acme").is_ok());
            let page = events(node, &names[0], Some(seen.next)).await;
            assert!(page.events.is_empty() && !page.reset, "the position is still good: {page:?}");
            hold(node, &names[0]).await.unwrap();
            let page = events(node, &names[0], Some(seen.next)).await;
            assert_eq!(page.events.len(), 1, "and what comes after it is found");
        });
    }
}

#[test]
fn the_clock_starts_no_earlier_than_the_last_record() {
    let later = Time(32_503_680_000_000);
    assert!(Clock::start(later).now() >= later, "whatever the wall clock says");
    assert!(Clock::start(Time(0)).now() > Time(1_577_836_800_000), "else the wall clock rules");
}

#[test]
fn answers_of_one_life_are_older_than_those_of_the_next() {
    let machine = Machine::new();
    let name = name_in(1, 0);
    let mut last = Time(0);
    for life in 0..4 {
        machine.life(End::Kill, async |node| {
            if life == 0 {
                put(node, &name, 100).await;
            }
            for _ in 0..5 {
                let called = ask(node, hold_of(&name, 1), CallOptions::default()).await.unwrap();
                assert!(called.at >= last);
                last = called.at;
            }
        });
    }
    machine.life(End::Kill, async |node| {
        assert_eq!(resource(node, &name).await.unwrap().held, 20);
    });
}

/// The wall clock was set back since the last record, or was wrong before.
#[test]
fn a_node_whose_log_is_ahead_of_the_wall_clock_goes_on_from_the_log() {
    let machine = Machine::new();
    let later = Time(32_503_680_000_000);
    runtime().block_on(async {
        let options =
            LocalOptions { init: true, segment_bytes: 64 << 10, ..LocalOptions::default() };
        let files = Arc::new(machine.files.clone());
        let (log, _) = LocalLog::over(files, &options, [3; 16]).unwrap();
        for id in (0..PARTITIONS).map(PartitionId).chain([PartitionId::META]) {
            log.append(Partition::<Domains, (), ()>::genesis(id, Incarnation(1), later))
                .await
                .unwrap();
        }
    });
    machine.life(End::Shutdown, async |node| {
        assert!(node.now() >= later);
        put(node, &name_in(0, 0), 1).await;
        hold(node, &name_in(0, 0)).await.unwrap();
    });
}
