//! Tables to test with, and a log that is only a chain of records.

use evenkeel_log::{Epoch, Header, Incarnation, Kind, Offset, PartitionId, Record, Tail};
use evenkeel_state::{Layer, State, Store, Table, Tx};

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Note {
    pub(crate) text: Vec<u8>,
}
evenkeel_state::row!(Note, version = 1);

impl Note {
    pub(crate) fn of(text: impl AsRef<[u8]>) -> Self {
        Self { text: text.as_ref().to_vec() }
    }
}

/// Keys of several parts.
pub(crate) struct Notes;
impl Table for Notes {
    const ID: u8 = 7;
    const NAME: &'static str = "notes";
    type Key = (String, u16);
    type Row = Note;
}

/// The greatest table id, and rows without bytes.
pub(crate) struct Marks;
impl Table for Marks {
    const ID: u8 = 255;
    const NAME: &'static str = "marks";
    type Key = u16;
    type Row = ();
}

/// The records of one partition, in order.
pub(crate) struct Chain {
    pub(crate) partition: PartitionId,
    pub(crate) records: Vec<Record>,
}

impl Chain {
    /// Only `Genesis`.
    pub(crate) fn new(partition: PartitionId) -> Self {
        let mut chain = Self { partition, records: Vec::new() };
        chain.append(Kind::Genesis, &Layer::default());
        chain
    }

    pub(crate) fn tail(&self) -> Tail {
        self.records.last().map_or(Tail::EMPTY, Record::tail)
    }

    pub(crate) fn header(&self, kind: Kind) -> Header {
        Header {
            kind,
            partition: self.partition,
            incarnation: Incarnation(1),
            epoch: Epoch(0),
            offset: Offset(self.tail().offset.0 + 1),
            time_ms: 1_000 + self.tail().offset.0,
            writer: 0,
            prev: self.tail().hash,
        }
    }

    pub(crate) fn append(&mut self, kind: Kind, layer: &Layer) -> Record {
        let mut body = Vec::new();
        layer.encode(&mut body);
        let record = Record::new(self.header(kind), &body);
        self.records.push(record.clone());
        record
    }

    /// The state as far as the store has it, and then as far as the chain does.
    pub(crate) fn open(&self, store: &Store) -> State {
        let mut state = State::open(store, self.partition).unwrap();
        let applied = state.applied().tail.offset.0 as usize;
        for record in &self.records[applied..] {
            state.apply(record).unwrap();
        }
        state
    }

    /// Decides, appends and commits one batch.
    pub(crate) fn batch(&mut self, state: &mut State, decide: impl FnOnce(&mut Tx<'_>)) {
        let mut tx = state.begin(&[]);
        decide(&mut tx);
        let layer = tx.finish();
        let record = self.append(Kind::Batch, &layer);
        state.commit(&record, layer).unwrap();
    }
}

/// Flushes all that is applied.
pub(crate) fn flush(store: &Store, state: &mut State) {
    store.flush(&state.freeze().unwrap()).unwrap();
    state.flushed().unwrap();
}

/// How often a loop over random input runs.
pub(crate) fn iterations(default: usize) -> usize {
    let asked = std::env::var("EVENKEEL_FUZZ_ITERATIONS").ok();
    asked.map_or(default, |text| text.parse().expect("EVENKEEL_FUZZ_ITERATIONS is a number"))
}
