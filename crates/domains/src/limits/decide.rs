//! Decisions: what a command counts, or why it counts nothing.

use super::{
    Action, Algorithm, Check, CheckResult, Command, Refusal, Reply, concurrency,
    gcra::Rate,
    policy::NS_A_MS,
    sliding_window::Window,
    sweep,
    tables::{Key, Keys, RowKey, Slots},
};
use evenkeel_engine::{Context, Stop, TenantId, Time};
use evenkeel_state::{Read, StateError, Table};

type Decided = Result<Reply, Stop<Refusal>>;

/// What counting a check would change.
enum Change {
    /// The subject's row.
    Put {
        row: Key,
        /// There is none yet.
        is_new: bool,
    },
    /// A lease more, of a subject that has these slots.
    Take(Option<Slots>),
}

/// Ends leases that are due on the subjects, a bounded number; answers whether more are.
pub fn expire(
    ctx: &mut Context<'_, '_>,
    tenant: TenantId,
    command: &Command,
) -> Result<bool, StateError> {
    let mut count_max = concurrency::EXPIRE_MAX;
    let counted = |check: &&Check| check.policy().algorithm == Algorithm::Concurrency;
    for check in command.checks.iter().filter(counted) {
        let key = (tenant, check.key());
        let Some(Key::Concurrency(slots)) = ctx.tx.get::<Keys>(&key)? else { continue };
        let (slots, expired) = concurrency::expire(ctx, key, slots, count_max)?;
        count_max -= expired;
        if slots.used > 0 && slots.first_due <= ctx.now() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The sweep's timer is due.
pub fn timer(ctx: &mut Context<'_, '_>, _: u64) -> Result<(), StateError> {
    sweep::turn(ctx)
}

/// Decides `command`.
pub fn decide(ctx: &mut Context<'_, '_>, tenant: TenantId, command: &Command) -> Decided {
    match &command.action {
        Action::Check { peek, lease } => check(ctx, tenant, &command.checks, *peek, *lease),
        Action::Refund { counted_at } => give_back(ctx, tenant, &command.checks, Some(*counted_at)),
        Action::GiveBack => give_back(ctx, tenant, &command.checks, None),
        Action::Reset => {
            only_counted(&command.checks)?;
            for check in &command.checks {
                let key = (tenant, check.key());
                if ctx.tx.contains::<Keys>(&key)? {
                    ctx.tx.delete::<Keys>(&key);
                }
            }
            changed(ctx, tenant, &command.checks)
        }
        Action::Release { lease } => concurrency::release(ctx, tenant, lease),
        Action::Renew { lease, ttl_ms } => concurrency::renew(ctx, tenant, lease, *ttl_ms),
    }
}

/// Gives back what `checks` counted, at `counted_at` if that is known.
fn give_back(
    ctx: &mut Context<'_, '_>,
    tenant: TenantId,
    checks: &[Check],
    counted_at: Option<Time>,
) -> Decided {
    only_counted(checks)?;
    for check in checks {
        refund(ctx, (tenant, check.key()), check, counted_at)?;
    }
    changed(ctx, tenant, checks)
}

/// Slots are given back by releasing them.
fn only_counted(checks: &[Check]) -> Result<(), Stop<Refusal>> {
    let slots = checks.iter().find(|check| check.policy().algorithm == Algorithm::Concurrency);
    slots.map_or(Ok(()), |check| {
        Err(Stop::Refused(Refusal::WrongAlgorithm(check.policy().algorithm)))
    })
}

/// All or nothing: each check is counted before the next is decided, so that two of one subject add
/// up; if one does not fit, all of that is undone and each is answered as it then stands.
fn check(
    ctx: &mut Context<'_, '_>,
    tenant: TenantId,
    checks: &[Check],
    peek: bool,
    lease: u64,
) -> Decided {
    let before = ctx.tx.savepoint();
    let mut results = Vec::with_capacity(checks.len());
    let mut refused = false;
    for (index, check) in checks.iter().enumerate() {
        let (mut result, change) = assess(&*ctx.tx, ctx.now(), tenant, check, check.cost())?;
        if result.allowed {
            let number = lease.wrapping_add(index as u64);
            result.lease = apply(ctx, (tenant, check.key()), check, change, number)?;
        } else {
            shadow(&mut result, check);
            refused |= !result.allowed;
        }
        results.push(result);
    }
    if !peek && !refused {
        return Ok(Reply::Checked(results));
    }
    ctx.tx.rollback(before);
    // What does not fit and is alone was answered as it stands.
    if peek || checks.len() > 1 {
        for (check, result) in checks.iter().zip(&mut results) {
            uncount(&*ctx.tx, ctx.now(), tenant, check, result)?;
        }
    }
    if peek { Ok(Reply::Checked(results)) } else { Err(Stop::Refused(Refusal::Limited(results))) }
}

/// What a limit that only watches answers to a check that does not fit.
fn shadow(result: &mut CheckResult, check: &Check) {
    if check.policy().shadow {
        result.allowed = true;
        result.shadow_refused = true;
        result.retry_after_ns = None;
    }
}

/// Turns the answer about something counted into one about the same, not counted.
fn uncount(
    read: &impl Read,
    now: Time,
    tenant: TenantId,
    check: &Check,
    result: &mut CheckResult,
) -> Result<(), StateError> {
    let (stands, _) = assess(read, now, tenant, check, 0)?;
    result.remaining = stands.remaining;
    result.reset_after_ns = stands.reset_after_ns;
    result.lease = None;
    Ok(())
}

/// What `check` would be answered at `now`, were nothing else asked.
pub(super) fn peek(
    read: &impl Read,
    now: Time,
    tenant: TenantId,
    check: &Check,
) -> Result<CheckResult, StateError> {
    let (mut result, _) = assess(read, now, tenant, check, check.cost())?;
    if !result.allowed {
        shadow(&mut result, check);
    }
    uncount(read, now, tenant, check, &mut result)?;
    Ok(result)
}

/// Decides about `cost` units of `check`'s subject, and says what counting them would change.
fn assess(
    read: &impl Read,
    now: Time,
    tenant: TenantId,
    check: &Check,
    cost: u64,
) -> Result<(CheckResult, Change), StateError> {
    let key = (tenant, check.key());
    let policy = check.policy();
    let row = read.get::<Keys>(&key)?;
    let is_new = row.is_none();
    let (result, row) = match (policy.algorithm, row) {
        (Algorithm::Gcra, None) => gcra(check, 0, now, cost),
        (Algorithm::Gcra, Some(Key::Gcra { tat_ns })) => gcra(check, tat_ns, now, cost),
        (Algorithm::SlidingWindow, None) => {
            window(check, Window::new(policy.period_ms, now), now, cost)
        }
        (Algorithm::SlidingWindow, Some(Key::SlidingWindow(counted))) => {
            window(check, counted.advanced(policy.period_ms, now), now, cost)
        }
        (Algorithm::Concurrency, None) => {
            let result = concurrency::assess(read, now, key, None, check, cost)?;
            return Ok((result, Change::Take(None)));
        }
        (Algorithm::Concurrency, Some(Key::Concurrency(slots))) => {
            let result = concurrency::assess(read, now, key, Some(slots), check, cost)?;
            return Ok((result, Change::Take(Some(slots))));
        }
        // The algorithm is part of the hash: such a row is damaged.
        (_, Some(_)) => return Err(StateError::Row { table: Keys::NAME }),
    };
    Ok((result, Change::Put { row, is_new }))
}

fn gcra(check: &Check, tat_ns: u64, now: Time, cost: u64) -> (CheckResult, Key) {
    let (result, tat_ns) = rate(check).check(known(check, tat_ns, now), ns(now), cost);
    (result, Key::Gcra { tat_ns })
}

fn rate(check: &Check) -> Rate {
    Rate::of(check.policy())
}

/// A limit's policy may have changed since; one that comes with its request is taken at its word,
/// as `CL.THROTTLE` does.
fn known(check: &Check, tat_ns: u64, now: Time) -> u64 {
    let named = !check.subject().limit.is_empty();
    if named { rate(check).within(tat_ns, ns(now)) } else { tat_ns }
}

fn window(check: &Check, mut window: Window, now: Time, cost: u64) -> (CheckResult, Key) {
    let result = window.check(check.policy().quantity, now, cost);
    (result, Key::SlidingWindow(window))
}

/// Counts a check that was allowed; answers the number of the lease that was taken.
fn apply(
    ctx: &mut Context<'_, '_>,
    key: RowKey,
    check: &Check,
    change: Change,
    number: u64,
) -> Result<Option<u64>, StateError> {
    // What costs nothing changes nothing.
    if check.cost() == 0 {
        return Ok(None);
    }
    match change {
        Change::Put { row, is_new } => {
            if is_new {
                sweep::arm(ctx)?;
            }
            ctx.tx.put::<Keys>(&key, &row);
            Ok(None)
        }
        Change::Take(slots) => concurrency::take(ctx, key, slots, check, number).map(Some),
    }
}

/// Gives back what `check` counted at `counted_at`, as far as its subject still holds it; if that is
/// not known, as far as it is safe.
fn refund(
    ctx: &mut Context<'_, '_>,
    key: RowKey,
    check: &Check,
    counted_at: Option<Time>,
) -> Result<(), StateError> {
    let now = ctx.now();
    let (row, full) = match ctx.tx.get::<Keys>(&key)? {
        Some(Key::Gcra { tat_ns }) => {
            let counted_ns = counted_at.map_or(0, |counted_at| ns(counted_at.min(now)));
            let tat_ns = known(check, tat_ns, now);
            let tat_ns = rate(check).refund(tat_ns, ns(now), check.cost(), counted_ns);
            (Key::Gcra { tat_ns }, tat_ns <= ns(now))
        }
        Some(Key::SlidingWindow(window)) => {
            let mut window = window.advanced(check.policy().period_ms, now);
            match counted_at {
                Some(counted_at) => window.refund(check.cost(), counted_at.min(now)),
                None => window.give_back(check.cost()),
            }
            let full = window.is_idle(now);
            (Key::SlidingWindow(window), full)
        }
        Some(Key::Concurrency(_)) => return Err(StateError::Row { table: Keys::NAME }),
        None => return Ok(()),
    };
    if full {
        ctx.tx.delete::<Keys>(&key);
    } else {
        ctx.tx.put::<Keys>(&key, &row);
    }
    Ok(())
}

/// How the subjects are now.
fn changed(ctx: &Context<'_, '_>, tenant: TenantId, checks: &[Check]) -> Decided {
    let now = ctx.now();
    let results = checks
        .iter()
        .map(|check| assess(&*ctx.tx, now, tenant, check, 0).map(|(result, _)| result))
        .collect::<Result<_, StateError>>()?;
    Ok(Reply::Changed(results))
}

/// Record time in nanoseconds.
pub(super) fn ns(time: Time) -> u64 {
    time.0.saturating_mul(NS_A_MS)
}
