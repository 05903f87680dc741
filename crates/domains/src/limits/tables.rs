//! The tables of limits: key layouts and row types, nowhere else. Policies are rows of `meta`.
//!
//! | id | table | key | row |
//! |---|---|---|---|
//! | 0x30 | `Keys` | tenant, hash of the subject | `Key` |
//! | 0x31 | `Leases` | tenant, hash of the subject, number | `Lease` |
//! | 0x32 | `LeasesDue` | tenant, hash of the subject, time, number | `Due` |
//! | 0x33 | `SweepState` | — | `Sweep`, while there is any key |

use super::{gcra::Level, sliding_window::Window};
use crate::tables::tables;
use evenkeel_engine::{TenantId, Time};
use evenkeel_state::{Row, Table, row};
use serde::{Deserialize, Serialize};

/// The key of a subject's row.
pub(super) type RowKey = (TenantId, [u8; 16]);

/// What was counted for one subject. There is no row of one that is full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Key {
    /// By policies that came with the requests: when it is full again, in nanoseconds since 1970.
    Throttle { tat_ns: u64 },
    /// By GCRA of a named limit.
    Gcra(Level),
    /// Units by time.
    SlidingWindow(Window),
    /// Slots.
    Concurrency(Slots),
}
row!(Key, version = 1);

/// The slots of one subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slots {
    /// Slots of all rows in `Leases`, also of those that are due.
    pub(super) used: u64,
    /// No lease is due before.
    pub(super) first_due: Time,
}

/// Slots that are taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    pub(super) expires_at: Time,
    pub(super) slots: u64,
}
row!(Lease, version = 1);

/// What is free again when a lease is due: that of its row in `Leases`, which need not be read then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Due {
    pub(super) slots: u64,
}
row!(Due, version = 1);

/// How far the sweep for idle keys has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sweep {
    /// The last key looked at; none between two passes.
    pub(super) cursor: Option<RowKey>,
    /// When the next turn is.
    pub(super) due: Time,
}
row!(Sweep, version = 1);

tables! {
    Keys, 0x30, "limit_keys", RowKey, Key;
    Leases, 0x31, "limit_leases", (TenantId, [u8; 16], u64), Lease;
    LeasesDue, 0x32, "limit_leases_due", (TenantId, [u8; 16], u64, u64), Due;
    SweepState, 0x33, "limit_sweep", (), Sweep;
}

/// A row of [`Keys`] as whoever passes through all of them reads it: one that is damaged stops nobody.
pub(super) struct Perhaps(pub(super) Option<Key>);

impl Row for Perhaps {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|key| key.encode(out));
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self(Key::decode(bytes)))
    }
}

// The same table as `Keys`.
pub(super) struct AllKeys;

impl Table for AllKeys {
    const ID: u8 = 0x30;
    const NAME: &'static str = "limit_keys";
    type Key = RowKey;
    type Row = Perhaps;
}
