//! The outbox: work for other partitions, written in the same record as what it follows from.
//!
//! A row is an item for one destination, under a sequence of its own for each destination. It is
//! delivered once its record is durable, again and again until the destination has acknowledged it, and
//! is deleted with a later record. Nothing is read from the log and nothing is scanned that is not
//! about to be delivered: `OutboxHeads` says where the rows of each destination begin and end.
//!
//! What it is *not*: a queue that anything else reads, or a promise of when. How a delivery travels is
//! the runtime's affair; it may be lost, come late, twice and out of order. What arrives is in
//! `inbox`.

use crate::{
    App, Context, Options, Output, Partition, Role, TenantId, Time,
    tables::{Outbox, OutboxHeads},
    timers,
};
use evenkeel_log::{Incarnation, PartitionId};
use evenkeel_state::{Order, Read, Row, StateError, Tx};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long an acknowledgement is waited for, before the same is delivered again.
const RESEND_MS: u64 = 100;
/// The longest that is waited, after some deliveries in vain.
const RESEND_MS_MAX: u64 = 5_000;
/// How long rows that were acknowledged wait for a record to be deleted with.
const TRIM_AFTER_MS: u64 = 1_000;
/// So many of them wait for nothing.
const TRIM_ROWS: u64 = 256;
/// Rows that one batch deletes.
const TRIM_ROWS_MAX: usize = 1_024;

/// Names an item among all that one partition ever sent to another. Later ones are greater, also
/// after a restore: that continues the sequence in another incarnation, and what the log lost by it
/// differs from what takes its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mark {
    /// In which life of the source's log it was sent.
    pub incarnation: Incarnation,
    /// Its sequence for this destination, from 1 without gaps.
    pub sequence: u64,
}

impl Row for Mark {
    fn encode(&self, out: &mut Vec<u8>) {
        evenkeel_state::encode_versioned(1, &(self.incarnation.0, self.sequence), out);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (incarnation, sequence) = evenkeel_state::decode_versioned(1, bytes)?;
        Some(Self { incarnation: Incarnation(incarnation), sequence })
    }
}

/// An item on its way; stored under its destination and sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// In which life of the source's log it was sent.
    pub incarnation: Incarnation,
    /// On whose behalf.
    pub tenant: TenantId,
    /// When.
    pub at: Time,
    /// The [`App::Item`], encoded.
    pub item: Vec<u8>,
}

impl Row for Parcel {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(1);
        out.extend_from_slice(&self.incarnation.0.to_be_bytes());
        out.extend_from_slice(&self.tenant.0.to_be_bytes());
        out.extend_from_slice(&self.at.0.to_be_bytes());
        out.extend_from_slice(&self.item);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&1, rest) = bytes.split_first()? else { return None };
        let (incarnation, rest) = rest.split_first_chunk::<4>()?;
        let (tenant, rest) = rest.split_first_chunk::<4>()?;
        let (at, item) = rest.split_first_chunk::<8>()?;
        Some(Self {
            incarnation: Incarnation(u32::from_be_bytes(*incarnation)),
            tenant: TenantId(u32::from_be_bytes(*tenant)),
            at: Time(u64::from_be_bytes(*at)),
            item: item.to_vec(),
        })
    }
}

/// The rows of one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The last that was acknowledged and deleted: incarnation and sequence.
    gone: (u32, u64),
    /// The last that was sent.
    last: (u32, u64),
    /// Bytes of the items between.
    bytes: u64,
}
evenkeel_state::row!(Head, version = 1);

impl Head {
    fn rows(&self) -> u64 {
        self.last.1 - self.gone.1
    }

    fn gone(&self) -> Mark {
        Mark { incarnation: Incarnation(self.gone.0), sequence: self.gone.1 }
    }

    fn has_room(&self, (rows_max, bytes_max): (u64, u64)) -> bool {
        self.rows() < rows_max && self.bytes < bytes_max
    }
}

/// Items of one partition for another, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Whose they are.
    pub from: PartitionId,
    /// The one before the first; the default if that is the first ever.
    pub after: Mark,
    /// The items; each is one further in sequence.
    pub parcels: Vec<Parcel>,
}

impl Delivery {
    /// The last of its items.
    #[must_use]
    pub fn last(&self) -> Mark {
        self.parcels.last().map_or(self.after, |last| Mark {
            incarnation: last.incarnation,
            sequence: self.after.sequence + self.parcels.len() as u64,
        })
    }
}

/// What a record means for other partitions, once it is durable.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// Destinations whose rows in the outbox it changes.
    pub(crate) changed: Vec<u16>,
    /// Sources, and how far their work is then done.
    pub(crate) done: Vec<(PartitionId, Mark)>,
    /// It has dead deliveries, or forgets some.
    pub(crate) dead: bool,
    /// What was decided last sent more than there is room for.
    pub(crate) is_full: bool,
}

impl Context<'_, '_> {
    /// Sends an [`App::Item`] to another partition, or to this one, with the record that holds what else
    /// is decided here: both come to be, or neither does. It is done there once, after everything that
    /// was sent there before. If there is no room for it, the command has no effect and is refused as
    /// overloaded.
    pub fn send(
        &mut self,
        to: PartitionId,
        tenant: TenantId,
        item: &impl Serialize,
    ) -> Result<(), StateError> {
        let mut head = self.tx.get::<OutboxHeads>(&to.0)?.unwrap_or_default();
        self.mail.is_full |= !head.has_room(self.outbox_max);
        let item = postcard::to_stdvec(item).expect("an item is plain data: it encodes");
        head.last = (self.incarnation.0, head.last.1 + 1);
        head.bytes += item.len() as u64;
        let parcel = Parcel { incarnation: self.incarnation, tenant, at: self.now, item };
        self.tx.put::<Outbox>(&(to.0, head.last.1), &parcel);
        self.tx.put::<OutboxHeads>(&to.0, &head);
        self.changes_outbox(to.0);
        Ok(())
    }

    /// Whether a command may send to `to`: what sends without one, and can wait, waits until it may.
    pub fn has_room(&self, to: PartitionId) -> Result<bool, StateError> {
        let head = self.tx.get::<OutboxHeads>(&to.0)?.unwrap_or_default();
        Ok(head.has_room(self.outbox_max))
    }

    fn changes_outbox(&mut self, to: u16) {
        if !self.mail.changed.contains(&to) {
            self.mail.changed.push(to);
        }
    }
}

/// How the outbox stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxStats {
    /// Items that are not acknowledged.
    pub rows: u64,
    /// When the oldest of them was sent, or before; none if there is none, or if that is not known yet.
    pub oldest: Option<Time>,
    /// Whether these numbers are known: not before the first look after taking over.
    pub is_known: bool,
    /// Deliveries that could not be done and are kept.
    pub dead: u64,
}

/// What an owner knows of its outbox without reading it.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<u16, Lane>,
    /// When something is to be delivered, deleted or read; `None` if nothing is.
    pub(crate) wake: Option<Time>,
    /// When rows are to be deleted even if there is nothing else to decide.
    trim_due: Option<Time>,
    /// For some destination there is twice as much as there is room for.
    pub(crate) is_overfull: bool,
    /// The heads are yet to be read.
    is_unread: bool,
}

/// What is on its way to one destination.
#[derive(Debug, Default)]
struct Lane {
    /// As committed.
    head: Head,
    /// The last that the destination has acknowledged.
    acked: Mark,
    /// When the first was of those that are not deleted yet.
    acked_at: Option<Time>,
    /// Up to here rows are deleted by what is in flight.
    trimmed: u64,
    /// The last that was delivered and not acknowledged, and when it is delivered again.
    sent: Option<(Mark, Time)>,
    attempt: u32,
    oldest: Option<Time>,
}

impl Lane {
    fn new(head: Head) -> Self {
        Self { head, acked: head.gone(), ..Self::default() }
    }

    fn unacknowledged(&self) -> u64 {
        self.head.last.1 - self.acked.sequence
    }

    fn may_trim(&self) -> u64 {
        self.acked.sequence.saturating_sub(self.trimmed.max(self.head.gone.1))
    }

    fn trim_due(&self) -> Option<Time> {
        let since = self.acked_at.filter(|_| self.may_trim() > 0)?;
        Some(if self.may_trim() >= TRIM_ROWS { Time(0) } else { since.plus_ms(TRIM_AFTER_MS) })
    }

    fn send_due(&self) -> Option<Time> {
        (self.unacknowledged() > 0).then(|| self.sent.map_or(Time(0), |(_, again)| again))
    }
}

impl Lanes {
    /// Of an owner that has just begun to lead.
    pub(crate) fn unread() -> Self {
        Self { is_unread: true, wake: Some(Time(0)), ..Self::default() }
    }

    /// Decisions were taken back.
    pub(crate) fn forget_trims(&mut self, options: &Options) {
        self.lanes.values_mut().for_each(|lane| lane.trimmed = 0);
        self.review(options);
    }

    /// Whether rows that were acknowledged are to be deleted now, whatever else is decided.
    pub(crate) fn must_trim(&self, now: Time) -> bool {
        self.trim_due.is_some_and(|due| due <= now)
    }

    /// Whether there is something to delete if a record is written anyway.
    pub(crate) fn may_trim(&self) -> bool {
        self.trim_due.is_some()
    }

    /// Works out anew what the lanes come to.
    fn review(&mut self, options: &Options) {
        let lanes = || self.lanes.values();
        let (rows_max, bytes_max) = (2 * options.outbox_rows_max, 2 * options.outbox_bytes_max);
        let trim_due = lanes().filter_map(Lane::trim_due).min();
        let send_due = lanes().filter_map(Lane::send_due).min();
        let is_overfull =
            lanes().any(|lane| lane.head.rows() >= rows_max || lane.head.bytes >= bytes_max);
        (self.trim_due, self.is_overfull) = (trim_due, is_overfull);
        self.wake = trim_due.into_iter().chain(send_due).min();
    }

    /// Deletes some of what was acknowledged. Answers whether the store could not be read; then it is
    /// tried again later.
    pub(crate) fn trim(&mut self, ctx: &mut Context<'_, '_>, options: &Options) -> bool {
        let trimmed = self.try_trim(ctx);
        self.review(options);
        match trimmed {
            Ok(()) => false,
            Err(error) => {
                self.trim_due = Some(ctx.now.plus_ms(timers::RETRY_MS));
                error.is_store_failure()
            }
        }
    }

    fn try_trim(&mut self, ctx: &mut Context<'_, '_>) -> Result<(), StateError> {
        let mut left = TRIM_ROWS_MAX;
        let wanted = self.lanes.iter_mut().filter(|(_, lane)| lane.may_trim() > 0);
        for (to, lane) in wanted {
            if left == 0 {
                break;
            }
            left -= trim_lane(ctx.tx, *to, lane, left)?;
            ctx.changes_outbox(*to);
        }
        Ok(())
    }
}

/// Deletes the rows that one destination has acknowledged, as far as `max`. Answers how many.
fn trim_lane(tx: &mut Tx<'_>, to: u16, lane: &mut Lane, max: usize) -> Result<usize, StateError> {
    let mut head = tx.get::<OutboxHeads>(&to)?.unwrap_or_default();
    let rows = (to, head.gone.1 + 1)..=(to, lane.acked.sequence);
    let rows = tx.scan::<Outbox>(rows, Order::Ascending, max)?;
    for ((_, sequence), parcel) in &rows {
        head.gone = (parcel.incarnation.0, *sequence);
        head.bytes = head.bytes.saturating_sub(parcel.item.len() as u64);
        tx.delete::<Outbox>(&(to, *sequence));
    }
    tx.put::<OutboxHeads>(&to, &head);
    lane.trimmed = head.gone.1;
    if rows.is_empty() {
        // Nothing is there that could be deleted.
        lane.trimmed = lane.acked.sequence;
    }
    Ok(rows.len())
}

impl<A: App, T, R> Partition<A, T, R> {
    /// How the outbox stands, as far as it is committed.
    #[must_use]
    pub fn outbox_stats(&self) -> OutboxStats {
        let lanes = || self.lanes.lanes.values();
        OutboxStats {
            rows: lanes().map(Lane::unacknowledged).sum(),
            oldest: lanes().filter_map(|lane| lane.oldest).min(),
            is_known: !self.lanes.is_unread,
            dead: self.dead,
        }
    }

    /// The same of what is for one partition.
    #[must_use]
    pub fn outbox_stats_to(&self, to: PartitionId) -> OutboxStats {
        let lane = self.lanes.lanes.get(&to.0);
        OutboxStats {
            rows: lane.map_or(0, Lane::unacknowledged),
            oldest: lane.and_then(|lane| lane.oldest),
            is_known: !self.lanes.is_unread,
            dead: self.dead,
        }
    }

    /// The partition `by` has done everything up to `through`, for good. May come at any time, also late
    /// and twice.
    pub fn acknowledged(&mut self, by: PartitionId, through: Mark) {
        if self.role != Role::Owner {
            return;
        }
        let view = self.state.view();
        let Some(lane) = self.lanes.lanes.get_mut(&by.0) else { return };
        if through.sequence <= lane.acked.sequence || through.sequence > lane.head.last.1 {
            return;
        }
        // What was answered to an earlier life of this log may name another item by this number.
        let is_ours = lane.sent.is_some_and(|(sent, _)| sent == through)
            || view
                .get::<Outbox>(&(by.0, through.sequence))
                .is_ok_and(|row| row.is_some_and(|row| row.incarnation == through.incarnation));
        if !is_ours {
            return;
        }
        lane.acked = through;
        lane.acked_at = lane.acked_at.or(Some(self.time));
        lane.attempt = 0;
        lane.oldest = lane.oldest.filter(|_| lane.unacknowledged() > 0);
        // What is left of a delivery is being done.
        let left = lane.sent.filter(|(sent, _)| *sent > through);
        lane.sent = left.map(|(sent, _)| (sent, self.time.plus_ms(RESEND_MS)));
        self.lanes.review(&self.options);
    }

    /// A record of this time is durable that changes the outbox of these destinations.
    pub(crate) fn outbox_changed(&mut self, changed: &[u16], at: Time) {
        if changed.is_empty() || self.lanes.is_unread {
            return;
        }
        for to in changed {
            let Ok(head) = self.state.view().get::<OutboxHeads>(to) else {
                // All of them are read again, as soon as that is possible.
                self.lanes = Lanes::unread();
                return;
            };
            let head = head.unwrap_or_default();
            let lane = self.lanes.lanes.entry(*to).or_insert_with(|| Lane::new(head));
            lane.head = head;
            if lane.unacknowledged() > 0 {
                lane.oldest = lane.oldest.or(Some(at));
            }
            lane.acked_at = lane.acked_at.filter(|_| lane.acked.sequence > head.gone.1);
        }
        self.lanes.review(&self.options);
    }

    /// Does what the outbox has due: reads where it stands, delivers.
    pub(crate) fn drive_outbox(&mut self, now: Time) {
        let done = self.read_heads().and_then(|()| self.deliver_due(now));
        self.lanes.review(&self.options);
        if let Err(error) = done {
            self.store_failed |= error.is_store_failure();
            self.lanes.wake = Some(now.plus_ms(timers::RETRY_MS));
        }
    }

    /// Whether the heads are to be read before anything is decided.
    fn read_heads(&mut self) -> Result<(), StateError> {
        if !self.lanes.is_unread {
            return Ok(());
        }
        self.dead = self.count_dead()?;
        let heads = self.view().scan::<OutboxHeads>(.., Order::Ascending, usize::MAX)?;
        self.lanes.lanes = heads.into_iter().map(|(to, head)| (to, Lane::new(head))).collect();
        self.lanes.is_unread = false;
        Ok(())
    }

    /// Delivers to each destination of which nothing is awaited, or was for too long.
    fn deliver_due(&mut self, now: Time) -> Result<(), StateError> {
        let mut done = Ok(());
        for (to, lane) in &mut self.lanes.lanes {
            if lane.send_due().is_none_or(|due| due > now) {
                continue;
            }
            let parcels = match read_parcels(&self.state.view(), *to, lane, &self.options) {
                Ok(parcels) => parcels,
                // It holds up nobody else's.
                Err(error) => {
                    done = Err(error);
                    continue;
                }
            };
            let Some(first) = parcels.first() else { continue };
            lane.oldest = Some(first.at);
            let delivery = Delivery { from: self.id, after: lane.acked, parcels };
            let pause_ms = (RESEND_MS << lane.attempt.min(8)).min(RESEND_MS_MAX);
            lane.sent = Some((delivery.last(), now.plus_ms(pause_ms)));
            lane.attempt += 1;
            self.outputs.push(Output::Deliver { to: PartitionId(*to), delivery });
        }
        done
    }
}

/// The first items that `to` has not acknowledged: as many as one delivery may have.
fn read_parcels(
    read: &impl Read,
    to: u16,
    lane: &Lane,
    options: &Options,
) -> Result<Vec<Parcel>, StateError> {
    /// Rows that are read at once: they may be large.
    const CHUNK: usize = 32;
    let mut parcels: Vec<Parcel> = Vec::new();
    let mut bytes = 0;
    loop {
        let next = lane.acked.sequence + 1 + parcels.len() as u64;
        let room = options.delivery_rows_max.saturating_sub(parcels.len()).min(CHUNK);
        let rows = (to, next)..=(to, lane.head.last.1);
        let rows = read.scan::<Outbox>(rows, Order::Ascending, room)?;
        let is_last = rows.len() < CHUNK;
        for ((_, sequence), parcel) in rows {
            let expected = lane.acked.sequence + 1 + parcels.len() as u64;
            debug_assert_eq!(sequence, expected, "the outbox has no gaps");
            bytes += parcel.item.len();
            if bytes > options.delivery_bytes_max && !parcels.is_empty() {
                return Ok(parcels);
            }
            parcels.push(parcel);
        }
        if is_last {
            return Ok(parcels);
        }
    }
}
