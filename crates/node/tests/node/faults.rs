//! Disks that are full, fail or decay, and code that panics.

use crate::{
    files::Gate,
    harness::{
        End, Machine, TestNode, ask, command, hashes, hold, hold_of, name_in, put, resource,
        runtime, unavailable,
    },
};
use evenkeel_domains::reservations::{Action, Spec};
use evenkeel_engine::Failure;
use evenkeel_log::{HEADER_BYTES, PartitionId, faults::Operation};
use evenkeel_node::{CallOptions, NodeError};
use std::{ops::ControlFlow, time::Duration};
use tokio::task::JoinSet;

/// Holds until the log is full; answers how many were taken.
pub(crate) async fn fill(node: &TestNode, name: &str) -> u64 {
    let mut taken = 0;
    loop {
        match hold(node, name).await {
            Ok(_) => taken += 1,
            refused => {
                let why = unavailable(refused);
                assert!(why.contains("space"), "{why}");
                return taken;
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_writes_and_is_no_more_once_there_is_space() {
    let machine = Machine::new();
    let (one, other) = (name_in(0, 0), name_in(1, 0));
    let expected = machine.life(End::Kill, async |node| {
        put(node, &one, 1_000_000).await;
        put(node, &other, 1_000_000).await;
        let mut held = 0;
        for _ in 0..2 {
            machine.disk.space(Some(0));
            held += fill(node, &one).await;
            assert!(held > 0, "the segment that is begun has space");
            assert_eq!(resource(node, &one).await.unwrap().held, held, "reads go on");
            assert!(unavailable(hold(node, &other).await).contains("space"));
            assert_eq!(resource(node, &other).await.unwrap().held, 0, "there was no effect");
            // A flush needs a checkpoint, which finds no room either: nothing hangs on that.
            node.snapshot().await.unwrap();
            let flushes = node.stats().flushes;
            machine.disk.space(None);
            hold(node, &one).await.unwrap();
            held += 1;
            node.snapshot().await.unwrap();
            assert!(node.stats().flushes > flushes, "flushes go on as well");
        }
        assert_eq!(resource(node, &one).await.unwrap().held, held);
        (hashes(node).await, held)
    });
    machine.life(End::Shutdown, async |node| {
        assert_eq!((hashes(node).await, resource(node, &one).await.unwrap().held), expected);
    });
}

#[test]
fn a_node_opens_on_a_full_disk_to_be_read() {
    let machine = Machine::new();
    let name = name_in(0, 0);
    let session = machine.life(End::Kill, async |node| {
        put(node, &name, 1_000_000).await;
        let seen = ask(node, hold_of(&name, 1), CallOptions::default()).await.unwrap().as_of;
        machine.disk.space(Some(0));
        fill(node, &name).await;
        // Whatever is left of the segment is used up, so that not even an owner can announce.
        while ask(
            node,
            command(&name, Action::Put(Spec::Quantity(7_000_000))),
            CallOptions::default(),
        )
        .await
        .is_ok()
        {}
        seen
    });
    machine.disk.space(Some(0));
    let runtime = runtime();
    runtime.block_on(async {
        let node = machine.open().await.unwrap();
        let options = CallOptions { session, ..CallOptions::default() };
        // What was answered is not forgotten because it is not led.
        unavailable(ask(&node, hold_of(&name, 1), options).await);
        machine.disk.space(None);
        // Every partition is led as soon as it can be.
        while !node.stats().partitions.iter().all(|partition| partition.leads) {
            tokio::task::yield_now().await;
        }
        hold(&node, &name).await.unwrap();
        assert!(node.shutdown().await);
    });
}

#[test]
fn a_failed_sync_ends_the_node() {
    let mut machine = Machine::new();
    // So large that the next one is not prepared yet: that syncs as well.
    machine.options.segment_bytes = 4 << 20;
    let name = name_in(0, 0);
    machine.life(End::Kill, async |node| {
        put(node, &name, 100).await;
        hold(node, &name).await.unwrap();
        machine.disk.fail(Operation::Sync, 1);
        let deadline = Some(Duration::from_millis(50));
        let options = CallOptions { deadline, ..CallOptions::default() };
        let answer = ask(node, hold_of(&name, 1), options).await.map(|called| called.answer);
        assert_eq!(answer, Err(NodeError::Failed(Failure::OutcomeUnknown)));
        let why = node.failed().await;
        assert!(why.contains("sync"), "{why}");
        while node.stats().log_failed.is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(unavailable(hold(node, &name).await), why);
        assert!(!node.shutdown().await, "nothing can be finished, and nobody waits for it");
    });
    machine.life(End::Shutdown, async |node| {
        let held = resource(node, &name).await.unwrap().held;
        assert!(held == 1 || held == 2, "the unknown one may have made it: {held}");
        hold(node, &name).await.unwrap();
    });
}

#[test]
fn a_corrupt_record_stops_its_partition_and_no_other() {
    let machine = Machine::new();
    let names: Vec<String> = (0..4).map(|partition| name_in(partition, 0)).collect();
    machine.life(End::Kill, async |node| {
        for name in &names {
            put(node, name, 100).await;
        }
        node.snapshot().await.unwrap();
        for name in &names {
            for _ in 0..5 {
                hold(node, name).await.unwrap();
            }
        }
    });
    let mut places = Vec::new();
    evenkeel_log::inspect(&machine.disk, |placed| {
        if placed.record.header().partition == PartitionId(1) && !placed.record.body().is_empty() {
            places.push((placed.segment.to_owned(), placed.position));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let (segment, position) = &places[2];
    machine.disk.flip(segment, position + HEADER_BYTES as u64 + 3, 0);
    machine.life(End::Shutdown, async |node| {
        let stats = node.stats();
        for partition in &stats.partitions {
            let damaged = partition.partition == PartitionId(1);
            assert_eq!(partition.quarantined.is_some(), damaged, "{partition:?}");
            assert_eq!(partition.leads, !damaged);
        }
        for refused in
            [unavailable(hold(node, &names[1]).await), unavailable(resource(node, &names[1]).await)]
        {
            assert!(refused.contains(segment.as_str()), "says where: {refused}");
        }
        for other in [0, 2, 3] {
            hold(node, &names[other]).await.unwrap();
            assert_eq!(resource(node, &names[other]).await.unwrap().held, 6);
        }
        // Of the damaged one nothing can be trimmed; of the others something may.
        node.snapshot().await.unwrap();
    });
}

#[test]
fn a_log_whose_writer_panics_hangs_nobody() {
    let machine = Machine::new();
    let name = name_in(0, 0);
    machine.life(End::Kill, async |node| {
        put(node, &name, 100).await;
        machine.files.set(Gate::Panic);
        assert!(hold(node, &name).await.is_err());
        let why = node.failed().await;
        assert!(why.contains("unexpectedly"), "{why}");
        assert!(!node.shutdown().await);
        machine.files.set(Gate::Open);
    });
    machine.life(End::Shutdown, async |node| {
        hold(node, &name).await.unwrap();
    });
}

/// A batch that no record can hold is a mistake of this program, which the defaults exclude. It
/// is made here to have a partition panic.
#[test]
fn a_partition_that_panics_hangs_nobody_and_leaves_the_others_alone() {
    let mut machine = Machine::new();
    machine.options.engine.batch_bytes_max = usize::MAX;
    let (one, other) = (name_in(0, 0), name_in(1, 0));
    machine.life(End::Kill, async |node| {
        put(node, &one, 10).await;
        put(node, &other, 10).await;
        // Everything that arrives while this is written becomes one batch.
        machine.files.set(Gate::Shut);
        let first = tokio::spawn({
            let (node, name) = (node.clone(), one.clone());
            async move { hold(&node, &name).await }
        });
        machine.files.held().await;
        let mut asked = JoinSet::new();
        for number in 1..9 {
            let (node, name) = (node.clone(), name_in(0, number));
            let seats: Vec<String> = (0..1_000).map(|seat| format!("{seat:0120}")).collect();
            asked.spawn(async move {
                let put = command(&name, Action::Put(Spec::Seats(seats)));
                ask(&node, put, CallOptions::default()).await.map(|called| called.answer)
            });
        }
        while node.stats().partitions[0].waiting < 8 {
            tokio::task::yield_now().await;
        }
        machine.files.set(Gate::Open);
        // What was in the same partition's hands goes down with it, even if it is durable.
        let first = first.await.unwrap().map(drop);
        assert!([Ok(()), Err(NodeError::Failed(Failure::OutcomeUnknown))].contains(&first));
        while let Some(answer) = asked.join_next().await {
            assert_eq!(answer.unwrap(), Err(NodeError::Failed(Failure::OutcomeUnknown)));
        }
        let why = unavailable(hold(node, &one).await);
        assert!(why.contains("unexpectedly"), "{why}");
        assert!(unavailable(resource(node, &one).await).contains("unexpectedly"));
        hold(node, &other).await.unwrap();
        node.snapshot().await.unwrap();
        assert!(node.shutdown().await, "the others are finished");
    });
    machine.options.engine.batch_bytes_max = evenkeel_engine::Options::default().batch_bytes_max;
    machine.life(End::Shutdown, async |node| {
        hold(node, &one).await.unwrap();
    });
}
