//! Timers: a table ordered by due time, drained a bounded number a batch.

use crate::{
    App, Context, Options, Partition, Time, idempotency, inbox,
    tables::{Parked, Timers},
};
use evenkeel_state::{Order, Read, StateError};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// After the state could not be read, timers wait so long.
pub(crate) const RETRY_MS: u64 = 100;

/// Fires what is due, as far as half a batch allows (the other half is for those who wait), and
/// learns when the next is.
///
/// `next_timer` is never later than the earliest timer: the scan begins there, or it would pass
/// over every timer that has fired since the last flush.
pub(crate) fn fire_due<A: App>(
    app: &A,
    ctx: &mut Context<'_, '_>,
    options: &Options,
) -> Result<(), StateError> {
    let from = ctx.next_timer.map_or(0, |next| next.0);
    let earliest = (from, 0, 0)..;
    let rows = ctx.tx.scan::<Timers>(earliest, Order::Ascending, options.timers_max + 1)?;
    let now = ctx.now;
    let due = rows.iter().take(options.timers_max).take_while(|(key, ())| key.0 <= now.0).count();
    *ctx.next_timer = rows.get(due).map(|(key, ())| Time(key.0));
    for (key, ()) in &rows[..due] {
        let full = ctx.tx.bytes() >= options.batch_bytes_max / 2;
        let fired = if full { Ok(()) } else { fire(app, ctx, *key) };
        if full || fired.is_err() {
            // What has fired may have set an earlier one again.
            let next = ctx.next_timer.map_or(key.0, |next| next.0.min(key.0));
            *ctx.next_timer = Some(Time(next));
            return fired;
        }
    }
    Ok(())
}

impl<A: App, T, R> Partition<A, T, R> {
    /// How many timers are due at `now` and have not fired, as far as `max`.
    pub fn timers_due(&self, now: Time, max: usize) -> Result<usize, StateError> {
        let due = (0, 0, 0)..(now.0.saturating_add(1), 0, 0);
        Ok(self.view().scan::<Timers>(due, Order::Ascending, max)?.len())
    }
}

/// Fires one timer. One whose handler panics, or finds a row that no try will read, is parked: it
/// is not tried again, and not lost.
fn fire<A: App>(app: &A, ctx: &mut Context<'_, '_>, key: (u64, u8, u64)) -> Result<(), StateError> {
    let (_, domain, entity) = key;
    let before = ctx.tx.savepoint();
    ctx.tx.delete::<Timers>(&key);
    let fired = catch_unwind(AssertUnwindSafe(|| match domain {
        idempotency::ENGINE_DOMAIN if entity == inbox::DEAD_TIMER => inbox::forget_old(ctx),
        idempotency::ENGINE_DOMAIN => idempotency::rotate(ctx, entity),
        _ => app.timer(ctx, domain, entity),
    }));
    match fired {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.is_store_failure() => {
            ctx.tx.rollback(before);
            Err(error)
        }
        Ok(Err(_)) | Err(_) => {
            ctx.tx.rollback(before);
            ctx.tx.delete::<Timers>(&key);
            ctx.tx.put::<Parked>(&key, &());
            Ok(())
        }
    }
}
