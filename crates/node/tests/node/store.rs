//! A state store whose device fails, or is slow: nothing acknowledged is lost, and serving goes on
//! once it can.

use crate::{
    harness::{
        End, Machine, TestNode, ask, hashes, hold, name_in, put, resource, set_contracts,
        unavailable,
    },
    state_disk::{Health, StateDisk},
};
use evenkeel_node::CallOptions;
use std::time::Duration;

const MANY: u64 = 50;

fn names() -> Vec<String> {
    (0..4).map(|partition| name_in(partition, 0)).collect()
}

fn on(disk: &StateDisk) -> Machine {
    let mut machine = Machine::new();
    machine.state = Some(disk.clone());
    machine
}

/// Holds until one is taken: those before it certainly had no effect.
async fn hold_at_last(node: &TestNode, name: &str) {
    loop {
        match hold(node, name).await {
            Ok(_) => return,
            refused => drop(unavailable(refused)),
        }
        tokio::task::yield_now().await;
    }
}

async fn held(node: &TestNode) -> Vec<u64> {
    let mut held = Vec::new();
    for name in names() {
        held.push(resource(node, &name).await.unwrap().held);
    }
    held
}

#[test]
fn reads_that_fail_are_answered_and_the_store_is_opened_again() {
    let disk = StateDisk::default();
    let machine = on(&disk);
    let before = machine.life(End::Kill, async |node| {
        for name in names() {
            put(node, &name, 1_000).await;
            // More rows than fit into the one page that redb keeps at hand.
            for _ in 0..MANY {
                hold(node, &name).await.unwrap();
            }
        }
        for round in 1..4 {
            // From here on everything is in the store, and nowhere else but in the log.
            node.snapshot().await.unwrap();
            disk.set(Health::FailsReads);
            for name in names() {
                let why = unavailable(resource(node, &name).await);
                assert!(why.contains("state store"), "{why}");
                let why = unavailable(hold(node, &name).await);
                assert!(why.contains("state store"), "{why}");
            }
            disk.set(Health::Well);
            for name in names() {
                while resource(node, &name).await.is_err() {
                    tokio::task::yield_now().await;
                }
                hold_at_last(node, &name).await;
            }
            assert_eq!(held(node).await, [MANY + round; 4], "what was refused had no effect");
        }
        hashes(node).await
    });
    machine.life(End::Shutdown, async |node| {
        assert_eq!(hashes(node).await, before);
        assert_eq!(held(node).await, [MANY + 3; 4]);
    });
}

#[test]
fn a_flush_that_fails_is_tried_again_and_loses_nothing() {
    let disk = StateDisk::default();
    let machine = on(&disk);
    let before = machine.life(End::Kill, async |node| {
        for name in names() {
            put(node, &name, 1_000).await;
        }
        disk.set(Health::FailsWrites);
        let why = node.snapshot().await.unwrap_err();
        assert!(why.contains("state store"), "{why}");
        assert!(node.stats().store_error.is_some());
        disk.set(Health::Well);
        for name in names() {
            hold_at_last(node, &name).await;
        }
        while node.stats().store_error.is_some() {
            tokio::task::yield_now().await;
        }
        assert_eq!(held(node).await, [1; 4]);
        hashes(node).await
    });
    machine.life(End::Shutdown, async |node| assert_eq!(hashes(node).await, before));
}

/// Whoever hears that `meta` was changed finds it changed. To know it nothing has to be read, so that
/// a device that fails leaves nobody in doubt.
#[test]
fn a_change_of_meta_that_was_answered_is_in_force() {
    let disk = StateDisk::default();
    let machine = on(&disk);
    machine.life(End::Shutdown, async |node| {
        for name in names() {
            put(node, &name, 1_000).await;
            for _ in 0..MANY {
                hold(node, &name).await.unwrap();
            }
        }
        for operations in 0..12 {
            while node.snapshot().await.is_err() {}
            disk.set(Health::FailsOnce(operations));
            let (uncertain, certain) = (60_000 - operations as u64, 1_000 + operations as u64);
            match ask(node, set_contracts(uncertain), CallOptions::default()).await {
                Ok(_) => assert_eq!(deadline_in_force(node), uncertain),
                refused => drop(unavailable(refused)),
            }
            disk.set(Health::Well);
            while ask(node, set_contracts(certain), CallOptions::default()).await.is_err() {}
            assert_eq!(deadline_in_force(node), certain);
        }
    });
}

fn deadline_in_force(node: &TestNode) -> u64 {
    node.meta().registry.get("reservations.hold").unwrap().settings.deadline_ms
}

/// One operation of a flush, of a snapshot or of a read fails, whichever comes to it.
#[test]
fn a_device_that_fails_once_is_hardly_noticed() {
    let disk = StateDisk::default();
    let machine = on(&disk);
    let before = machine.life(End::Kill, async |node| {
        for name in names() {
            put(node, &name, 1_000_000).await;
        }
        let mut taken = [0; 4];
        let mut failures = 0;
        for operations in (0..160).step_by(3) {
            disk.set(Health::FailsOnce(operations));
            // It may be what fails.
            let _ = node.snapshot().await;
            failures += usize::from(disk.health() == Health::Well);
            for (name, taken) in names().iter().zip(&mut taken) {
                hold_at_last(node, name).await;
                *taken += 1;
            }
            disk.set(Health::Well);
        }
        assert!(failures > 20, "the device failed {failures} times only");
        while held_or_none(node).await != Some(taken.to_vec()) {
            tokio::task::yield_now().await;
        }
        hashes(node).await
    });
    machine.life(End::Shutdown, async |node| assert_eq!(hashes(node).await, before));
}

/// `None` while the store is being opened again.
async fn held_or_none(node: &TestNode) -> Option<Vec<u64>> {
    let mut held = Vec::new();
    for name in names() {
        held.push(resource(node, &name).await.ok()?.held);
    }
    Some(held)
}

#[test]
fn when_flushes_fall_behind_commands_are_refused_and_reads_go_on() {
    let disk = StateDisk::default();
    let mut machine = on(&disk);
    machine.options.memtable_bytes = 32 << 10;
    machine.options.maintenance_every = Duration::from_secs(3_600);
    let before = machine.life(End::Kill, async |node| {
        for name in names() {
            put(node, &name, 1_000_000).await;
        }
        let mut taken = vec![0; 4];
        for _ in 0..2 {
            let stall = disk.stall();
            let mut refused = 0;
            while refused < 4 {
                assert!(taken.iter().sum::<u64>() < 2_000, "nothing is refused: {taken:?}");
                refused = 0;
                for (name, taken) in names().iter().zip(&mut taken) {
                    match hold(node, name).await {
                        Ok(_) => *taken += 1,
                        no => {
                            let why = unavailable(no);
                            assert!(why.contains("not flushed as fast"), "{why}");
                            refused += 1;
                        }
                    }
                }
            }
            let stats = node.stats();
            let bytes: u64 = stats.partitions.iter().map(|stats| stats.memtable_bytes).sum();
            let most = 4 * machine.options.memtable_bytes as u64;
            assert!(bytes > most, "{bytes} bytes are not too many");
            assert!(bytes < most + (32 << 10), "one command more at most: {bytes} bytes");
            assert_eq!(held(node).await, taken, "reads go on");
            drop(stall);
            for (name, taken) in names().iter().zip(&mut taken) {
                hold_at_last(node, name).await;
                *taken += 1;
            }
            assert_eq!(held(node).await, taken, "what was refused had no effect");
        }
        hashes(node).await
    });
    machine.life(End::Shutdown, async |node| assert_eq!(hashes(node).await, before));
}
