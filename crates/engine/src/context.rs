//! What domain code may see and do while it decides.

use crate::{Entity, Time, idempotency::Totals, outbox::Mail, tables::Timers};
use evenkeel_log::{Incarnation, PartitionId};
use evenkeel_state::Tx;

/// The transaction, the time, and the mechanisms that all domains share.
pub struct Context<'c, 't> {
    /// The rows.
    pub tx: &'c mut Tx<'t>,
    pub(crate) now: Time,
    pub(crate) partition: PartitionId,
    pub(crate) incarnation: Incarnation,
    pub(crate) touched: &'c mut Vec<Entity>,
    pub(crate) next_timer: &'c mut Option<Time>,
    pub(crate) totals: &'c mut Totals,
    pub(crate) mail: &'c mut Mail,
    /// Rows and bytes that one destination's outbox has room for.
    pub(crate) outbox_max: (u64, u64),
}

impl Context<'_, '_> {
    /// The time of the whole batch.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// The life of the log in which this is decided: positions that are handed out name it.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// A fence: `sequence` made to keep growing over a restore. Fits a JSON integer (53 bits) as
    /// long as there are fewer than 2¹⁵ incarnations of fewer than 2³⁸ fences each.
    #[must_use]
    pub fn fence(&self, sequence: u64) -> u64 {
        debug_assert!(sequence < 1 << 38, "an entity hands out fewer than 2^38 fences");
        (u64::from(self.incarnation.0) << 38) + sequence
    }

    /// Calls the domain back at `due` for `entity`.
    pub fn set_timer(&mut self, due: Time, domain: u8, entity: u64) {
        self.tx.put::<Timers>(&(due.0, domain, entity), &());
        if self.next_timer.is_none_or(|next| due < next) {
            *self.next_timer = Some(due);
        }
    }

    /// Takes a timer back.
    pub fn clear_timer(&mut self, due: Time, domain: u8, entity: u64) {
        self.tx.delete::<Timers>(&(due.0, domain, entity));
    }
}
