//! What was made of rows is what making it anew gives, whatever happens to them.

use crate::common::Chain;
use evenkeel_log::{Kind, PartitionId};
use evenkeel_state::{Layer, Memo, Order, Read, StateError, Store, Table};
use proptest::{collection::vec, prelude::*};
use std::sync::Arc;

/// Keys that begin with a number.
struct Parts;
impl Table for Parts {
    const ID: u8 = 20;
    const NAME: &'static str = "parts";
    type Key = (u64, u16);
    type Row = ();
}

/// Keys that are one.
struct Wholes;
impl Table for Wholes {
    const ID: u8 = 21;
    const NAME: &'static str = "wholes";
    type Key = u64;
    type Row = ();
}

/// How many rows there are of each.
#[derive(Debug, PartialEq, Eq)]
struct Count(usize, bool);
impl Memo for Count {
    const KIND: u8 = 1;
    const TABLES: &'static [u8] = &[Parts::ID, Wholes::ID];

    fn make(read: &impl Read, number: u64) -> Result<Self, StateError> {
        let parts = read.scan_prefix::<Parts>(&number, None, Order::Ascending, usize::MAX)?;
        Ok(Self(parts.len(), read.contains::<Wholes>(&number)?))
    }

    fn bytes(&self) -> usize {
        32
    }
}

/// The same of one table only.
struct HasWhole(bool);
impl Memo for HasWhole {
    const KIND: u8 = 2;
    const TABLES: &'static [u8] = &[Wholes::ID];

    fn make(read: &impl Read, number: u64) -> Result<Self, StateError> {
        read.contains::<Wholes>(&number).map(Self)
    }

    fn bytes(&self) -> usize {
        8
    }
}

#[derive(Debug, Clone)]
enum Write {
    Part(u64, u16, bool),
    Whole(u64, bool),
    DropPartsOf(u64),
    DropWholes,
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        6 => (0..4_u64, 0..3_u16, any::<bool>()).prop_map(|(a, b, on)| Write::Part(a, b, on)),
        4 => (0..4_u64, any::<bool>()).prop_map(|(number, on)| Write::Whole(number, on)),
        1 => (0..4_u64).prop_map(Write::DropPartsOf),
        1 => Just(Write::DropWholes),
    ]
}

proptest! {
    #[test]
    fn what_is_kept_is_what_is_made_anew(
        batches in vec((vec(write(), 0..5), vec(0..4_u64, 0..4), any::<bool>(), any::<bool>()), 1..30),
    ) {
        let store = Store::memory().unwrap();
        let mut chain = Chain::new(PartitionId(3));
        let mut state = chain.open(&store);
        for (writes, asked, as_owner, flushes) in batches {
            let mut tx = state.begin(&[]);
            for write in writes {
                match write {
                    Write::Part(number, part, true) => tx.put::<Parts>(&(number, part), &()),
                    Write::Part(number, part, false) => tx.delete::<Parts>(&(number, part)),
                    Write::Whole(number, true) => tx.put::<Wholes>(&number, &()),
                    Write::Whole(number, false) => tx.delete::<Wholes>(&number),
                    Write::DropPartsOf(number) => tx.drop_prefix::<Parts>(&(number,)),
                    Write::DropWholes => tx.drop_prefix::<Wholes>(&()),
                }
            }
            // Who decides sees what was decided before, and nothing of it is kept.
            for number in &asked {
                let made = Count::make(&tx, *number).unwrap();
                prop_assert_eq!(&*tx.memo::<Count>(*number).unwrap(), &made);
            }
            let layer: Layer = tx.finish();
            let record = chain.append(Kind::Batch, &layer);
            if as_owner {
                state.commit(&record, layer).unwrap();
            } else {
                state.apply(&record).unwrap();
            }
            if flushes && let Some(frozen) = state.freeze() {
                store.flush(&frozen).unwrap();
                state.flushed().unwrap();
            }
            let view = state.view();
            for number in asked {
                prop_assert_eq!(&*view.memo::<Count>(number).unwrap(), &Count::make(&view, number).unwrap());
                let has_whole = view.contains::<Wholes>(&number).unwrap();
                prop_assert_eq!(view.memo::<HasWhole>(number).unwrap().0, has_whole);
            }
        }
    }
}

#[test]
fn what_is_asked_for_again_is_not_made_again() {
    let store = Store::memory().unwrap();
    let mut chain = Chain::new(PartitionId(3));
    let mut state = chain.open(&store);
    let first = state.view().memo::<Count>(1).unwrap();
    assert!(Arc::ptr_eq(&first, &state.view().memo::<Count>(1).unwrap()));
    for (number, is_kept) in [(2, true), (1, false)] {
        let mut tx = state.begin(&[]);
        tx.put::<Parts>(&(number, 0), &());
        let layer = tx.finish();
        let record = chain.append(Kind::Batch, &layer);
        state.commit(&record, layer).unwrap();
        let again = state.view().memo::<Count>(1).unwrap();
        assert_eq!(Arc::ptr_eq(&first, &again), is_kept);
    }
}
