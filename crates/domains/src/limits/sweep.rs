//! The sweep for keys that are full again: it forgets them, so that memory follows the live set.
//!
//! A partition looks through its keys a few hundred at a time, and not at all while it has none. From the
//! end of a pass to the next it waits [`SWEEP_EVERY_MS`]. A key goes in the first pass that begins after it
//! has become full, so at latest one interval and two passes after; a pass over *n* keys takes
//! *n* / 25,600 seconds where it finds something to forget, *n* / 2,560 where it does not, or as long as the
//! partition needs for that many small records.
//!
//! A row that cannot be read is passed over. If the sweep has not come for several intervals (its timer
//! was parked), whoever puts a new key has it come again.

use super::{
    DOMAIN, concurrency,
    gcra::ns,
    tables::{AllKeys, Key, Keys, Perhaps, RowKey, Sweep, SweepState},
};
use evenkeel_engine::{Context, Time};
use evenkeel_state::{Order, Read, StateError};
use std::ops::Bound;

/// Keys that one turn looks at.
pub const SWEEP_ROWS_MAX: usize = 256;
/// From the end of a pass to the beginning of the next.
pub const SWEEP_EVERY_MS: u64 = 30_000;
/// From a turn that forgot something to the next in the same pass.
const SWEEP_TURN_MS: u64 = 10;
/// From one that did not: each turn is a record.
const SWEEP_IDLE_TURN_MS: u64 = 100;
/// A turn that is so late does not come any more.
const SWEEP_LOST_MS: u64 = 4 * SWEEP_EVERY_MS;
/// A partition has one sweep.
const ENTITY: u64 = 0;

/// Has the sweep come, if it does not already: whoever puts a key that was not there calls this.
pub(super) fn arm(ctx: &mut Context<'_, '_>) -> Result<(), StateError> {
    let sweep = ctx.tx.get::<SweepState>(&());
    let cursor = match sweep {
        Ok(Some(sweep)) if ctx.now() < sweep.due.plus_ms(SWEEP_LOST_MS) => return Ok(()),
        Ok(sweep) => sweep.and_then(|sweep| sweep.cursor),
        Err(error) if error.is_store_failure() => return Err(error),
        Err(_) => None,
    };
    let due = ctx.now().plus_ms(SWEEP_EVERY_MS);
    come(ctx, Sweep { cursor, due });
    Ok(())
}

fn come(ctx: &mut Context<'_, '_>, sweep: Sweep) {
    ctx.tx.put::<SweepState>(&(), &sweep);
    ctx.set_timer(sweep.due, DOMAIN, ENTITY);
}

/// Looks at the next keys.
pub(super) fn turn(ctx: &mut Context<'_, '_>) -> Result<(), StateError> {
    let Some(Sweep { mut cursor, due }) = ctx.tx.get::<SweepState>(&())? else { return Ok(()) };
    let now = ctx.now();
    if now < due {
        // A timer that was taken for lost: another comes.
        return Ok(());
    }
    let from_start = cursor.is_none();
    let range = (cursor.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
    let rows = ctx.tx.scan::<AllKeys>(range, Order::Ascending, SWEEP_ROWS_MAX)?;
    let mut whole = rows.len() < SWEEP_ROWS_MAX;
    let (mut kept, mut forgot) = (false, false);
    let mut leases_max = concurrency::EXPIRE_MAX;
    for (key, Perhaps(row)) in rows {
        let there = match row.map(|row| settle(ctx, key, row, &mut leases_max)) {
            Some(Ok(there)) => there,
            Some(Err(error)) if error.is_store_failure() => return Err(error),
            Some(Err(_)) | None => true,
        };
        kept |= there;
        forgot |= !there;
        if leases_max == 0 {
            // This key may have more: the next turn begins with it.
            whole = false;
            break;
        }
        cursor = Some(key);
    }
    forgot |= leases_max < concurrency::EXPIRE_MAX;
    // Only of a pass of one turn is it certain that no key has come behind it.
    if whole && from_start && !kept {
        ctx.tx.delete::<SweepState>(&());
        return Ok(());
    }
    come(ctx, next(now, whole, forgot, cursor));
    Ok(())
}

fn next(now: Time, whole: bool, forgot: bool, cursor: Option<RowKey>) -> Sweep {
    let (cursor, after_ms) = match (whole, forgot) {
        (true, _) => (None, SWEEP_EVERY_MS),
        (false, true) => (cursor, SWEEP_TURN_MS),
        (false, false) => (cursor, SWEEP_IDLE_TURN_MS),
    };
    Sweep { cursor, due: now.plus_ms(after_ms) }
}

/// Deletes a row that says nothing any more; answers whether it is still there.
fn settle(
    ctx: &mut Context<'_, '_>,
    key: RowKey,
    row: Key,
    leases_max: &mut usize,
) -> Result<bool, StateError> {
    let now = ctx.now();
    let idle = match row {
        Key::Throttle { tat_ns } => tat_ns <= ns(now),
        Key::Gcra(level) => level.is_idle(now),
        Key::SlidingWindow(window) => window.is_idle(now),
        Key::Concurrency(slots) => {
            let (slots, expired) = concurrency::expire(ctx, key, slots, *leases_max)?;
            *leases_max -= expired;
            return Ok(slots.used > 0);
        }
    };
    if idle {
        ctx.tx.delete::<Keys>(&key);
    }
    Ok(!idle)
}
