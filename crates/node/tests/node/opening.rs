//! When a node does not open, and why it says so.

use crate::harness::{End, Machine, PARTITIONS, hashes, hold, name_in, put, runtime};
use evenkeel_domains::Domains;
use evenkeel_engine::{Partition, Time};
use evenkeel_log::{Incarnation, LocalLog, LocalOptions, Log, PartitionId};
use evenkeel_node::{Node, NodeOptions};
use evenkeel_state::Store;
use std::{fs, sync::Arc};

fn real(directory: &std::path::Path, init: bool) -> NodeOptions {
    NodeOptions {
        init,
        partitions: 2,
        segment_bytes: 64 << 10,
        ..NodeOptions::new(directory.to_owned())
    }
}

#[test]
fn a_second_node_on_one_directory_is_told_who_has_it() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let first = Node::open(real(directory.path(), true)).await.unwrap();
        let refused = Node::open(real(directory.path(), true)).await.map(drop).unwrap_err();
        let me = format!("process {}", std::process::id());
        assert!(refused.to_string().contains(&me), "{refused}");
        assert!(first.shutdown().await);
        drop(first);
        Node::open(real(directory.path(), false)).await.unwrap().shutdown().await;
    });
}

#[test]
fn an_empty_directory_is_not_taken_for_a_log() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let refused = Node::open(real(directory.path(), false)).await.map(drop).unwrap_err();
        assert!(refused.to_string().contains("--init"), "{refused}");
    });
    let mut machine = Machine::new();
    machine.options.init = false;
    let refused = runtime().block_on(machine.open()).map(drop).unwrap_err();
    assert!(refused.to_string().contains("no log"), "{refused}");
}

#[test]
fn a_half_finished_bootstrap_is_completed_only_where_asked_for() {
    let mut machine = Machine::new();
    runtime().block_on(async {
        let options =
            LocalOptions { init: true, segment_bytes: 64 << 10, ..LocalOptions::default() };
        let files = Arc::new(machine.files.clone());
        let (log, _) = LocalLog::over(files, &options, [3; 16]).unwrap();
        for id in [0, 1].map(PartitionId) {
            let genesis = Partition::<Domains, (), ()>::genesis(id, Incarnation(1), Time(1));
            log.append(genesis).await.unwrap();
        }
    });
    machine.options.init = false;
    let refused = runtime().block_on(machine.open()).map(drop).unwrap_err();
    assert!(refused.to_string().contains("not created completely"), "{refused}");
    machine.options.init = true;
    machine.life(End::Shutdown, async |node| {
        assert_eq!(node.stats().partitions.len(), usize::from(PARTITIONS) + 1);
        for partition in 0..PARTITIONS {
            put(node, &name_in(partition, 0), 1).await;
            hold(node, &name_in(partition, 0)).await.unwrap();
        }
    });
}

#[test]
fn the_number_of_partitions_is_that_of_the_log() {
    let mut machine = Machine::new();
    let name = name_in(3, 0);
    machine.life(End::Shutdown, async |node| put(node, &name, 1).await);
    machine.options.partitions = 9;
    machine.life(End::Shutdown, async |node| {
        hold(node, &name).await.unwrap();
        assert_eq!(node.stats().partitions.len(), usize::from(PARTITIONS) + 1);
    });
}

/// A state that was flushed, and what it hashes to.
fn flushed() -> (Machine, Vec<(PartitionId, evenkeel_log::Hash)>) {
    let machine = Machine::new();
    let hashes = machine.life(End::Kill, async |node| {
        put(node, &name_in(0, 0), 10).await;
        hold(node, &name_in(0, 0)).await.unwrap();
        node.snapshot().await.unwrap();
        hashes(node).await
    });
    (machine, hashes)
}

fn refusal(machine: &Machine) -> String {
    runtime().block_on(machine.open()).map(drop).unwrap_err().to_string()
}

/// It may be whole: nothing is known to be wrong with it.
#[test]
fn a_state_that_others_have_open_is_left_alone() {
    let (machine, before) = flushed();
    let path = machine.path("state.redb");
    let holder = Store::open(&path, 1 << 20).unwrap();
    let why = refusal(&machine);
    assert!(why.contains("state.redb") && why.contains("already open"), "{why}");
    assert!(path.is_file() && !machine.path("state.redb.damaged").exists());
    drop(holder);
    machine.life(End::Shutdown, async |node| assert_eq!(hashes(node).await, before));
    assert!(!machine.path("state.redb.damaged").exists());
}

#[test]
fn a_state_that_cannot_be_opened_is_left_alone() {
    let (machine, before) = flushed();
    let (path, elsewhere) = (machine.path("state.redb"), machine.path("elsewhere"));
    fs::rename(&path, &elsewhere).unwrap();
    fs::create_dir(&path).unwrap();
    let why = refusal(&machine);
    assert!(why.contains("state.redb") && why.contains("directory"), "{why}");
    assert!(path.is_dir() && !machine.path("state.redb.damaged").exists());
    fs::remove_dir(&path).unwrap();
    fs::rename(&elsewhere, &path).unwrap();
    machine.life(End::Shutdown, async |node| assert_eq!(hashes(node).await, before));
}
