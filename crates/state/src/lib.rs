//! The state of a partition: typed, ordered tables that are *derived* from its log.
//!
//! A [`Layer`] is a sorted set of effects (puts, deletes, dropped prefixes). It is the one mechanism
//! here: a transaction's overlay, a batch on its way to the log, the memtable and the frozen memtable
//! that is being flushed are all layers, read newest first, over the rows in a [`Store`] (redb).
//!
//! ```text
//!  Tx ─ finish ─▶ Layer ─ encode ─▶ record body ─▶ log
//!                   └──── commit ─▶ memtable ─ freeze ─▶ frozen ─ flush ─▶ redb ─▶ snapshot files
//!  follower: record ─ apply ─────────▶┘
//! ```
//!
//! Nothing here is needed for durability: a store may be deleted and is rebuilt from a snapshot and
//! the log. Nothing here appends to a log, reads a clock, starts a thread or knows what a row means.

mod applied;
mod base;
mod effects;
mod error;
mod hash;
mod key;
mod layer;
mod levels;
mod memo;
mod row;
mod snapshot;
mod state;
mod store;
mod table;
mod tx;

pub use applied::Applied;
pub use effects::{Effect, Effects};
pub use error::{ApplyError, EffectsError, SnapshotError, StateError};
pub use key::{KeyBytes, KeyCodec, decode_text, encode_text};
pub use layer::Layer;
pub use memo::Memo;
pub use row::{Row, decode_versioned, encode_versioned};
pub use snapshot::{Newest, Snapshot, SnapshotPart};
pub use state::{Frozen, State, View};
pub use store::Store;
pub use table::{Found, Order, Read, Table};
pub use tx::{Savepoint, Tx};
