//! Decisions: what a command counts, or why it counts nothing.

use super::{
    Action, Algorithm, Check, CheckResult, Command, Policy, Refusal, Reply, concurrency,
    gcra::{Level, Rate, ns},
    sliding_window::Window,
    sweep,
    tables::{Key, Keys, RowKey, Slots},
};
use evenkeel_engine::{Context, Stop, TenantId, Time};
use evenkeel_state::{Read, StateError, Table};

type Decided = Result<Reply, Stop<Refusal>>;

/// What counting a check leaves of its subject's row.
struct Change {
    row: Key,
    /// There was none.
    is_new: bool,
}

/// Ends leases that are due on the subjects, a bounded number, and has new policies take keys over;
/// answers whether more leases are due.
pub fn expire(
    ctx: &mut Context<'_, '_>,
    tenant: TenantId,
    command: &Command,
) -> Result<bool, StateError> {
    let (Action::Check { .. } | Action::Lease { .. }) = command.action else {
        return Ok(false);
    };
    let mut count_max = concurrency::EXPIRE_MAX;
    for check in &command.checks {
        let key = (tenant, check.key());
        if check.policy().algorithm != Algorithm::Concurrency {
            if is_named(check) {
                take_over(ctx, key, check)?;
            }
            continue;
        }
        let Some(Key::Concurrency(slots)) = ctx.tx.get::<Keys>(&key)? else { continue };
        let (slots, expired) = concurrency::expire(ctx, key, slots, count_max)?;
        count_max -= expired;
        if slots.used > 0 && slots.first_due <= ctx.now() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Has the policy of `check` take its subject over, if it may: also if the check is then refused, or
/// units would go on coming back as the policy before has it.
fn take_over(ctx: &mut Context<'_, '_>, key: RowKey, check: &Check) -> Result<(), StateError> {
    let now = ctx.now();
    let period_ms = check.policy().period_ms;
    let taken_over = match ctx.tx.get::<Keys>(&key)? {
        Some(Key::Gcra(level)) => {
            let after = level.taken_over(Rate::of(check.policy()), now);
            (after != level).then_some(Key::Gcra(after))
        }
        Some(Key::SlidingWindow(window)) if window.may_be_taken_over(period_ms, now) => {
            Some(Key::SlidingWindow(window.taken_over(period_ms, now)))
        }
        _ => None,
    };
    if let Some(row) = taken_over {
        ctx.tx.put::<Keys>(&key, &row);
    }
    Ok(())
}

/// A policy that comes with its request is taken at its word, as `CL.THROTTLE` does.
fn is_named(check: &Check) -> bool {
    !check.subject().limit.is_empty()
}

/// The sweep's timer is due.
pub fn timer(ctx: &mut Context<'_, '_>, _: u64) -> Result<(), StateError> {
    sweep::turn(ctx)
}

/// Decides `command`.
pub fn decide(ctx: &mut Context<'_, '_>, tenant: TenantId, command: &Command) -> Decided {
    match &command.action {
        Action::Check { lease } => check(ctx, tenant, &command.checks, *lease),
        Action::Lease { tokens } => lease(ctx, tenant, &command.checks[0], *tokens),
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

/// All or nothing.
fn check(ctx: &mut Context<'_, '_>, tenant: TenantId, checks: &[Check], lease: u64) -> Decided {
    let Plan { mut results, changes, refused } = plan(&*ctx.tx, ctx.now(), tenant, checks)?;
    if refused {
        // What does not fit and is alone was answered as it stands.
        if checks.len() > 1 {
            uncount(&*ctx.tx, ctx.now(), tenant, checks, &mut results)?;
        }
        return Err(Stop::Refused(Refusal::Limited(results)));
    }
    for (index, (check, change)) in checks.iter().zip(changes).enumerate() {
        let Some(change) = change else { continue };
        let number = lease.wrapping_add(index as u64);
        results[index].lease = apply(ctx, (tenant, check.key()), check, &change, number)?;
    }
    Ok(Reply::Checked(results))
}

/// What `checks` would be answered at `now`, were nothing else asked.
pub(super) fn peek(
    read: &impl Read,
    now: Time,
    tenant: TenantId,
    checks: &[Check],
) -> Result<Vec<CheckResult>, StateError> {
    let mut results = plan(read, now, tenant, checks)?.results;
    uncount(read, now, tenant, checks, &mut results)?;
    Ok(results)
}

/// What becomes of checks that are asked together.
struct Plan {
    results: Vec<CheckResult>,
    /// Of each that counts.
    changes: Vec<Option<Change>>,
    /// Whether one of them does not fit, so that none may be counted.
    refused: bool,
}

/// Decides about each check as those before it leave its subject, so that two of one subject add up.
fn plan(
    read: &impl Read,
    now: Time,
    tenant: TenantId,
    checks: &[Check],
) -> Result<Plan, StateError> {
    let mut plan =
        Plan { results: Vec::with_capacity(checks.len()), changes: Vec::new(), refused: false };
    plan.changes.reserve(checks.len());
    for (index, check) in checks.iter().enumerate() {
        let same = |earlier: &&Check| earlier.key() == check.key();
        let before = checks[..index].iter().zip(&plan.changes).rev();
        let before =
            before.filter(|(earlier, _)| same(earlier)).find_map(|(_, change)| change.as_ref());
        let (row, is_new) = match before {
            Some(change) => (Some(change.row.clone()), false),
            None => {
                let row = read.get::<Keys>(&(tenant, check.key()))?;
                let is_new = row.is_none();
                (row, is_new)
            }
        };
        let (mut result, row) = assess(read, now, tenant, check, row, check.cost())?;
        let mut change = None;
        if result.allowed {
            // What costs nothing changes nothing.
            change = (check.cost() > 0).then_some(Change { row, is_new });
        } else {
            let earlier: u64 =
                checks[..index].iter().filter(same).map(Check::cost).fold(0, u64::saturating_add);
            if earlier > 0 {
                // All of the subject's must fit at once: that may be later, or never.
                let row = read.get::<Keys>(&(tenant, check.key()))?;
                let cost = earlier.saturating_add(check.cost());
                result.retry_after_ns =
                    assess(read, now, tenant, check, row, cost)?.0.retry_after_ns;
            }
            shadow(&mut result, check);
            plan.refused |= !result.allowed;
        }
        plan.results.push(result);
        plan.changes.push(change);
    }
    Ok(plan)
}

/// Counts as much of `tokens` as there is, if that is what `check` needs.
fn lease(ctx: &mut Context<'_, '_>, tenant: TenantId, check: &Check, tokens: u64) -> Decided {
    let key = (tenant, check.key());
    let row = ctx.tx.get::<Keys>(&key)?;
    let is_new = row.is_none();
    let (stands, _) = assess(&*ctx.tx, ctx.now(), tenant, check, row.clone(), 0)?;
    let tokens = tokens.min(stands.remaining).max(check.cost());
    let (result, row) = assess(&*ctx.tx, ctx.now(), tenant, check, row, tokens)?;
    if !result.allowed {
        return Err(Stop::Refused(Refusal::Limited(vec![result])));
    }
    apply(ctx, key, check, &Change { row, is_new }, 0)?;
    Ok(Reply::Leased { tokens, result })
}

/// What a limit that only watches answers to a check that does not fit.
fn shadow(result: &mut CheckResult, check: &Check) {
    if check.policy().shadow {
        result.allowed = true;
        result.shadow_refused = true;
        result.retry_after_ns = None;
    }
}

/// Turns answers about what would be counted into ones about the same, not counted.
fn uncount(
    read: &impl Read,
    now: Time,
    tenant: TenantId,
    checks: &[Check],
    results: &mut [CheckResult],
) -> Result<(), StateError> {
    for (check, result) in checks.iter().zip(results) {
        let stands = stands(read, now, tenant, check)?;
        result.remaining = stands.remaining;
        result.reset_after_ns = stands.reset_after_ns;
    }
    Ok(())
}

/// How the subject of `check` is now.
fn stands(
    read: &impl Read,
    now: Time,
    tenant: TenantId,
    check: &Check,
) -> Result<CheckResult, StateError> {
    let row = read.get::<Keys>(&(tenant, check.key()))?;
    Ok(assess(read, now, tenant, check, row, 0)?.0)
}

/// Decides about `cost` units of `check`'s subject, whose row is `row`, and says what counting them
/// leaves of that.
fn assess(
    read: &impl Read,
    now: Time,
    tenant: TenantId,
    check: &Check,
    row: Option<Key>,
    cost: u64,
) -> Result<(CheckResult, Key), StateError> {
    let policy = check.policy();
    Ok(match (policy.algorithm, row) {
        (Algorithm::Gcra, None) if is_named(check) => {
            gcra(check, Level::new(Rate::of(policy), now), now, cost)
        }
        (Algorithm::Gcra, Some(Key::Gcra(level))) => gcra(check, level, now, cost),
        (Algorithm::Gcra, None) => throttle(check, 0, now, cost),
        (Algorithm::Gcra, Some(Key::Throttle { tat_ns })) => throttle(check, tat_ns, now, cost),
        (Algorithm::SlidingWindow, None) => {
            window(check, Window::new(policy.period_ms, now), now, cost)
        }
        (Algorithm::SlidingWindow, Some(Key::SlidingWindow(counted))) => {
            window(check, counted, now, cost)
        }
        (Algorithm::Concurrency, None) => slots(read, tenant, check, Slots::none(), now, cost)?,
        (Algorithm::Concurrency, Some(Key::Concurrency(taken))) => {
            slots(read, tenant, check, taken, now, cost)?
        }
        // The algorithm is part of the hash, and so is the limit's name: such a row is damaged.
        (_, Some(_)) => return Err(StateError::Row { table: Keys::NAME }),
    })
}

fn throttle(check: &Check, tat_ns: u64, now: Time, cost: u64) -> (CheckResult, Key) {
    let (result, tat_ns) = Rate::throttle(check.policy()).check(tat_ns, ns(now), cost);
    (result, Key::Throttle { tat_ns })
}

fn gcra(check: &Check, level: Level, now: Time, cost: u64) -> (CheckResult, Key) {
    let rate = Rate::of(check.policy());
    let mut level = level.taken_over(rate, now);
    let result = level.check(rate, now, cost);
    (result, Key::Gcra(level))
}

fn window(check: &Check, window: Window, now: Time, cost: u64) -> (CheckResult, Key) {
    let Policy { quantity, period_ms, .. } = *check.policy();
    let mut window = window.taken_over(period_ms, now);
    let result = window.check(quantity, period_ms, now, cost);
    (result, Key::SlidingWindow(window))
}

fn slots(
    read: &impl Read,
    tenant: TenantId,
    check: &Check,
    slots: Slots,
    now: Time,
    cost: u64,
) -> Result<(CheckResult, Key), StateError> {
    let result = concurrency::assess(read, now, (tenant, check.key()), slots, check, cost)?;
    Ok((result, Key::Concurrency(slots.with(check, now))))
}

/// Counts a check that was allowed; answers the number of the lease that was taken.
fn apply(
    ctx: &mut Context<'_, '_>,
    key: RowKey,
    check: &Check,
    change: &Change,
    number: u64,
) -> Result<Option<u64>, StateError> {
    if change.is_new {
        sweep::arm(ctx)?;
    }
    ctx.tx.put::<Keys>(&key, &change.row);
    match check.policy().algorithm {
        Algorithm::Concurrency => concurrency::take(ctx, key, check, number).map(Some),
        Algorithm::Gcra | Algorithm::SlidingWindow => Ok(None),
    }
}

/// Gives back what `check` counted at `counted_at`, as far as its subject still holds it; if that is
/// not known, as far as it is safe. Nothing of what came with its policy: nobody knows by which it was
/// counted.
fn refund(
    ctx: &mut Context<'_, '_>,
    key: RowKey,
    check: &Check,
    counted_at: Option<Time>,
) -> Result<(), StateError> {
    let now = ctx.now();
    let policy = check.policy();
    let (row, full) = match ctx.tx.get::<Keys>(&key)? {
        Some(Key::Gcra(mut level)) => {
            // Without a time it may all have come back by itself.
            if let Some(counted_at) = counted_at {
                level.refund(Rate::of(policy), now, check.cost(), counted_at.min(now));
            }
            (Key::Gcra(level), level.is_idle(now))
        }
        Some(Key::SlidingWindow(mut window)) => {
            window = window.taken_over(policy.period_ms, now);
            match counted_at {
                Some(at) => window.refund(policy.period_ms, check.cost(), at.min(now)),
                None => window.give_back(policy.period_ms, check.cost()),
            }
            let full = window.is_idle(now);
            (Key::SlidingWindow(window), full)
        }
        Some(Key::Concurrency(_)) => return Err(StateError::Row { table: Keys::NAME }),
        Some(Key::Throttle { .. }) | None => return Ok(()),
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
    let results: Result<_, StateError> =
        checks.iter().map(|check| stands(&*ctx.tx, now, tenant, check)).collect();
    Ok(Reply::Changed(results?))
}
