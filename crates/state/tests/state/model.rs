//! Random histories against a plain map.

use crate::common::{Chain, Marks, Note, Notes};
use evenkeel_log::{Kind, PartitionId, Record};
use evenkeel_state::{Layer, Order, Read, Savepoint, State, Store, Tx};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};

type Key = (String, u16);

#[derive(Debug, Clone)]
enum Write {
    Put(Key, Vec<u8>),
    Delete(Key),
    Mark(u16),
    Unmark(u16),
    DropNotes,
    DropNotesOf(String),
    DropMarks,
    Savepoint,
    Rollback,
}

#[derive(Debug, Clone)]
enum Step {
    /// Decide a batch, and put it in flight.
    Batch(Vec<Write>),
    /// The oldest in flight is in the log: its owner commits it, or a follower applies it.
    Committed {
        as_owner: bool,
    },
    /// Those in flight are lost.
    Refused,
    Freeze,
    Flush,
    /// Memory is lost, and replayed.
    Restart,
}

#[derive(Debug, Clone)]
struct Query {
    notes: (Bound<Key>, Bound<Key>),
    marks: (Bound<u16>, Bound<u16>),
    prefix: String,
    after: Option<Key>,
    order: Order,
    limit: usize,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[ab]{1,2}", Just("a name longer than keys inline".into())]
}

fn key() -> impl Strategy<Value = Key> {
    (text(), prop_oneof![0..4_u16, Just(255), Just(256), Just(u16::MAX)])
}

fn bound<T: std::fmt::Debug + Clone>(
    key: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Bound<T>> {
    prop_oneof![
        Just(Bound::Unbounded),
        key.clone().prop_map(Bound::Included),
        key.prop_map(Bound::Excluded),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        12 => (key(), vec(any::<u8>(), 0..4)).prop_map(|(key, row)| Write::Put(key, row)),
        6 => key().prop_map(Write::Delete),
        4 => (0..6_u16).prop_map(Write::Mark),
        3 => (0..6_u16).prop_map(Write::Unmark),
        1 => Just(Write::DropNotes),
        1 => text().prop_map(Write::DropNotesOf),
        1 => Just(Write::DropMarks),
        3 => Just(Write::Savepoint),
        3 => Just(Write::Rollback),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => vec(write(), 0..12).prop_map(Step::Batch),
        8 => any::<bool>().prop_map(|as_owner| Step::Committed { as_owner }),
        1 => Just(Step::Refused),
        3 => Just(Step::Freeze),
        3 => Just(Step::Flush),
        1 => Just(Step::Restart),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let key = key().boxed();
    let order = prop_oneof![Just(Order::Ascending), Just(Order::Descending)];
    (
        (bound(key.clone()), bound(key.clone())),
        (bound(0..6_u16), bound(0..6_u16)),
        text(),
        proptest::option::of(key),
        order,
        0..6_usize,
    )
        .prop_map(|(notes, marks, prefix, after, order, limit)| Query {
            notes,
            marks,
            prefix,
            after,
            order,
            limit,
        })
}

/// What the tables should hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    notes: BTreeMap<Key, Note>,
    marks: BTreeMap<u16, ()>,
}

impl Model {
    fn write(&mut self, write: &Write) {
        match write.clone() {
            Write::Put(key, row) => drop(self.notes.insert(key, Note { text: row })),
            Write::Delete(key) => drop(self.notes.remove(&key)),
            Write::Mark(key) => drop(self.marks.insert(key, ())),
            Write::Unmark(key) => drop(self.marks.remove(&key)),
            Write::DropNotes => self.notes.clear(),
            Write::DropNotesOf(name) => self.notes.retain(|key, _| key.0 != name),
            Write::DropMarks => self.marks.clear(),
            Write::Savepoint | Write::Rollback => {}
        }
    }

    fn check(&self, read: &impl Read, query: &Query) {
        for key in self.notes.keys().chain(&query.after) {
            assert_eq!(read.get::<Notes>(key).unwrap(), self.notes.get(key).cloned());
        }
        for key in 0..6 {
            assert_eq!(read.contains::<Marks>(&key).unwrap(), self.marks.contains_key(&key));
        }
        let (order, limit) = (query.order, query.limit);
        let all = read.scan::<Notes>(.., Order::Ascending, usize::MAX).unwrap();
        assert_eq!(all, Vec::from_iter(self.notes.clone()));
        let notes = read.scan::<Notes>(query.notes.clone(), order, limit).unwrap();
        assert_eq!(notes, within(&self.notes, order, limit, |key| query.notes.contains(key)));
        let marks = read.scan::<Marks>(query.marks, order, limit).unwrap();
        assert_eq!(marks, within(&self.marks, order, limit, |key| query.marks.contains(key)));
        let after = query.after.as_ref();
        let page = read.scan_prefix::<Notes>(&query.prefix, after, order, limit).unwrap();
        let expected = within(&self.notes, order, limit, |key| {
            let beyond = after.is_none_or(|after| match order {
                Order::Ascending => key > after,
                Order::Descending => key < after,
            });
            key.0 == query.prefix && beyond
        });
        assert_eq!(page, expected);
    }
}

fn within<K: Clone, V: Clone>(
    rows: &BTreeMap<K, V>,
    order: Order,
    limit: usize,
    within: impl Fn(&K) -> bool,
) -> Vec<(K, V)> {
    let found = rows.iter().filter(|(key, _)| within(key));
    let found = found.map(|(key, row)| (key.clone(), row.clone()));
    match order {
        Order::Ascending => found.take(limit).collect(),
        Order::Descending => found.rev().take(limit).collect(),
    }
}

/// A batch in flight, and what the tables should hold with it.
struct InFlight {
    layer: Layer,
    after: Model,
}

struct Run {
    store: Store,
    chain: Chain,
    state: State,
    committed: Model,
    in_flight: Vec<InFlight>,
}

impl Run {
    fn new(partition: PartitionId) -> Self {
        let store = Store::memory().unwrap();
        for neighbour in [partition.0.wrapping_sub(1), partition.0.wrapping_add(1)] {
            occupy(&store, PartitionId(neighbour));
        }
        let chain = Chain::new(partition);
        let state = chain.open(&store);
        Self { store, chain, state, committed: Model::default(), in_flight: Vec::new() }
    }

    fn step(&mut self, step: &Step, query: &Query) {
        match step {
            Step::Batch(writes) => self.batch(writes, query),
            Step::Committed { as_owner } => self.commit(*as_owner),
            Step::Refused => self.in_flight.clear(),
            Step::Freeze => drop(self.state.freeze()),
            Step::Flush => {
                if let Some(frozen) = self.state.frozen() {
                    self.store.flush(frozen).unwrap();
                    // The store is newer than what the state still holds frozen.
                    self.committed.check(&self.state.view(), query);
                }
                self.state.flushed().unwrap();
                assert_eq!(self.state.frozen().map(|frozen| frozen.applied), None);
            }
            Step::Restart => {
                self.in_flight.clear();
                self.state = self.chain.open(&self.store);
            }
        }
        self.committed.check(&self.state.view(), query);
    }

    fn batch(&mut self, writes: &[Write], query: &Query) {
        let below: Vec<&Layer> = self.in_flight.iter().map(|batch| &batch.layer).collect();
        let mut model = self.in_flight.last().map_or(&self.committed, |batch| &batch.after).clone();
        let mut tx = self.state.begin(&below);
        let mut savepoints: Vec<(Savepoint, Model)> = Vec::new();
        for write in writes {
            match write {
                Write::Savepoint => savepoints.push((tx.savepoint(), model.clone())),
                Write::Rollback => {
                    if let Some((savepoint, before)) = savepoints.pop() {
                        tx.rollback(savepoint);
                        assert_eq!((tx.rows_since(&savepoint), tx.bytes_since(&savepoint)), (0, 0));
                        model = before;
                    }
                }
                write => {
                    model.write(write);
                    write_into(&mut tx, write);
                }
            }
            model.check(&tx, query);
        }
        let bytes = tx.bytes();
        let layer = tx.finish();
        check_codec(&layer, bytes);
        self.in_flight.push(InFlight { layer, after: model });
    }

    fn commit(&mut self, as_owner: bool) {
        if self.in_flight.is_empty() {
            return;
        }
        let InFlight { layer, after } = self.in_flight.remove(0);
        let record: Record = self.chain.append(Kind::Batch, &layer);
        if as_owner {
            self.state.commit(&record, layer).unwrap();
        } else {
            self.state.apply(&record).unwrap();
        }
        self.committed = after;
    }
}

fn write_into(tx: &mut Tx<'_>, write: &Write) {
    match write.clone() {
        Write::Put(key, text) => tx.put::<Notes>(&key, &Note { text }),
        Write::Delete(key) => tx.delete::<Notes>(&key),
        Write::Mark(key) => tx.put::<Marks>(&key, &()),
        Write::Unmark(key) => tx.delete::<Marks>(&key),
        Write::DropNotes => tx.drop_prefix::<Notes>(&()),
        Write::DropNotesOf(name) => tx.drop_prefix::<Notes>(&name),
        Write::DropMarks => tx.drop_prefix::<Marks>(&()),
        Write::Savepoint | Write::Rollback => {}
    }
}

fn check_codec(layer: &Layer, bytes: usize) {
    let mut body = Vec::new();
    layer.encode(&mut body);
    assert_eq!((body.len(), body.len()), (bytes, layer.bytes()));
    assert_eq!(Layer::decode(&body).as_ref(), Ok(layer));
}

/// Rows that nobody but their own partition may see.
fn occupy(store: &Store, partition: PartitionId) {
    let mut chain = Chain::new(partition);
    let mut state = chain.open(store);
    chain.batch(&mut state, |tx| {
        for number in [0, 1, u16::MAX] {
            tx.put::<Notes>(&(String::new(), number), &Note::of("a neighbour's"));
            tx.put::<Marks>(&number, &());
        }
    });
    crate::common::flush(store, &mut state);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_history_reads_like_a_plain_map(
        partition in prop_oneof![Just(0_u16), Just(255), Just(u16::MAX)],
        steps in vec((step(), query()), 1..40),
    ) {
        let mut run = Run::new(PartitionId(partition));
        for (step, query) in &steps {
            run.step(step, query);
        }
        let live = run.state.hash().unwrap();
        let replayed = run.chain.open(&Store::memory().unwrap());
        prop_assert_eq!(replayed.hash().unwrap(), live);
        prop_assert_eq!(replayed.applied(), run.state.applied());
    }
}
