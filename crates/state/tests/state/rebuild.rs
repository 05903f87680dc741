//! A state that is rebuilt is the state that was lost.

use crate::common::{Chain, Marks, Note, Notes, flush};
use evenkeel_log::PartitionId;
use evenkeel_state::{Snapshot, State, Store, Tx};

fn write_some(tx: &mut Tx<'_>, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(..40) {
        let key = (format!("name {}", random.u8(..20)), random.u16(..20));
        match random.u8(..10) {
            0 => tx.delete::<Marks>(&key.1),
            1 => tx.put::<Marks>(&key.1, &()),
            2..5 => tx.delete::<Notes>(&key),
            _ => tx.put::<Notes>(&key, &Note::of([random.u8(..); 30])),
        }
    }
    if random.u8(..20) == 0 {
        tx.drop_prefix::<Notes>(&format!("name {}", random.u8(..20)));
    }
}

/// Partitions that share a store, and each its log.
struct Node {
    store: Store,
    chains: Vec<Chain>,
    states: Vec<State>,
}

impl Node {
    fn new() -> Self {
        let store = Store::memory().unwrap();
        let partitions = [PartitionId(0), PartitionId(1), PartitionId::META];
        let chains: Vec<Chain> = partitions.into_iter().map(Chain::new).collect();
        let states = chains.iter().map(|chain| chain.open(&store)).collect();
        Self { store, chains, states }
    }

    fn run(&mut self, batches: usize, random: &mut fastrand::Rng) {
        for _ in 0..batches {
            let at = random.usize(..self.chains.len());
            let state = &mut self.states[at];
            self.chains[at].batch(state, |tx| write_some(tx, random));
            if random.u8(..8) == 0 {
                flush(&self.store, state);
            }
        }
    }
}

#[test]
fn a_snapshot_and_the_log_give_the_live_state() {
    for seed in 0..10 {
        let mut random = fastrand::Rng::with_seed(seed);
        let directory = tempfile::tempdir().unwrap();
        let mut node = Node::new();
        node.run(100, &mut random);
        let written = node.store.write_snapshot(directory.path()).unwrap();
        node.run(30, &mut random);

        let found = Snapshot::newest(directory.path()).unwrap().snapshot.unwrap();
        assert_eq!(found, written);
        let store = Store::memory().unwrap();
        store.restore(&found).unwrap();
        for part in found.parts() {
            assert_eq!(store.hash(part.partition).unwrap(), (part.applied, part.hash));
        }
        for (chain, live) in node.chains.iter().zip(&node.states) {
            let from = store.applied(chain.partition).unwrap();
            assert_eq!(found.applied(chain.partition).copied().unwrap_or_default(), from);
            let rebuilt = chain.open(&store);
            assert_eq!(rebuilt.hash().unwrap(), live.hash().unwrap(), "seed {seed}");
            assert_eq!(rebuilt.applied(), live.applied());
        }
    }
}

#[test]
fn a_file_that_is_opened_again_and_the_log_give_the_live_state() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let mut random = fastrand::Rng::with_seed(11);
    let mut node = Node::new();
    node.store = Store::open(&path, 1 << 20).unwrap();
    node.states = node.chains.iter().map(|chain| chain.open(&node.store)).collect();
    node.run(100, &mut random);
    let hashes: Vec<_> = node.states.iter().map(|state| state.hash().unwrap()).collect();
    let chains = node.chains;
    drop((node.store, node.states));

    let store = Store::open(&path, 1 << 20).unwrap();
    let reopened = || chains.iter().map(|chain| chain.open(&store).hash().unwrap());
    assert!(!store.is_empty().unwrap());
    assert_eq!(reopened().collect::<Vec<_>>(), hashes);
    store.reopen().unwrap();
    assert_eq!(reopened().collect::<Vec<_>>(), hashes);
}

#[test]
fn the_hash_says_every_byte_and_no_layer() {
    let store = Store::memory().unwrap();
    let mut chain = Chain::new(PartitionId(0));
    let mut state = chain.open(&store);
    let mut seen = vec![state.hash().unwrap()];
    let rows = [("a", "b"), ("ab", ""), ("", "ab"), ("a", "c")];
    for (name, text) in rows {
        chain.batch(&mut state, |tx| tx.put::<Notes>(&(name.into(), 1), &Note::of(text)));
        seen.push(state.hash().unwrap());
    }
    let last = seen[rows.len()];
    let distinct: std::collections::HashSet<_> = seen.drain(..).collect();
    assert_eq!(distinct.len(), rows.len() + 1);

    let frozen = state.freeze().unwrap();
    assert_eq!(state.hash().unwrap(), last);
    store.flush(&frozen).unwrap();
    assert_eq!(state.hash().unwrap(), last);
    state.flushed().unwrap();
    assert_eq!(state.hash().unwrap(), last);
    assert_eq!(store.hash(PartitionId(0)).unwrap(), (*state.applied(), last));
}
