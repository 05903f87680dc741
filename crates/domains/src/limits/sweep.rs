//! The sweep for keys that are full again: it forgets them, so that memory follows the live set.
//!
//! A partition looks through its keys a few hundred at a time, one pass at most every
//! [`SWEEP_EVERY_MS`], and not at all while it has none. A key goes in the first pass that begins
//! after it has become full, so at latest one interval and two passes after; a pass over *n* keys
//! takes *n* / 25,600 seconds, or as long as the partition needs for that many small batches.

use super::{
    DOMAIN, concurrency,
    tables::{Key, Keys, RowKey, Sweep, SweepState},
};
use evenkeel_engine::Context;
use evenkeel_state::{Order, Read, StateError};
use std::ops::Bound;

/// Keys that one turn looks at.
pub const SWEEP_ROWS_MAX: usize = 256;
/// From the beginning of a pass to that of the next, at least.
pub const SWEEP_EVERY_MS: u64 = 30_000;
/// From a turn to the next in the same pass.
const SWEEP_TURN_MS: u64 = 10;
/// A partition has one sweep.
const ENTITY: u64 = 0;

/// Has the sweep come, if it does not already: whoever puts a key that was not there calls this.
pub(super) fn arm(ctx: &mut Context<'_, '_>) -> Result<(), StateError> {
    if ctx.tx.contains::<SweepState>(&())? {
        return Ok(());
    }
    let began = ctx.now().plus_ms(SWEEP_EVERY_MS);
    ctx.tx.put::<SweepState>(&(), &Sweep { cursor: None, began });
    ctx.set_timer(began, DOMAIN, ENTITY);
    Ok(())
}

/// Looks at the next keys.
pub(super) fn turn(ctx: &mut Context<'_, '_>) -> Result<(), StateError> {
    let Some(mut sweep) = ctx.tx.get::<SweepState>(&())? else { return Ok(()) };
    let now = ctx.now();
    let from_start = sweep.cursor.is_none();
    let from = sweep.cursor.map_or(Bound::Unbounded, Bound::Excluded);
    let range = (from, Bound::Unbounded);
    let rows = ctx.tx.scan::<Keys>(range, Order::Ascending, SWEEP_ROWS_MAX)?;
    let mut whole = rows.len() < SWEEP_ROWS_MAX;
    let mut kept = false;
    let mut leases_max = concurrency::EXPIRE_MAX;
    for (key, row) in rows {
        kept |= settle(ctx, key, row, &mut leases_max)?;
        if leases_max == 0 {
            // This key may have more: the next turn begins with it.
            whole = false;
            break;
        }
        sweep.cursor = Some(key);
    }
    // Only of a pass of one turn is it certain that no key has come behind it.
    if whole && from_start && !kept {
        ctx.tx.delete::<SweepState>(&());
        return Ok(());
    }
    let due = if whole {
        sweep = Sweep { cursor: None, began: sweep.began.plus_ms(SWEEP_EVERY_MS).max(now) };
        sweep.began.max(now.plus_ms(SWEEP_TURN_MS))
    } else {
        now.plus_ms(SWEEP_TURN_MS)
    };
    ctx.tx.put::<SweepState>(&(), &sweep);
    ctx.set_timer(due, DOMAIN, ENTITY);
    Ok(())
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
        Key::Gcra { tat_ns } => tat_ns <= super::decide::ns(now),
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
