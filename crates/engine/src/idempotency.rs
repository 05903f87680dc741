//! Idempotency, once for every domain: what makes a retry safe.
//!
//! The key's fingerprint and the reply are written in the same record as the effect, so there is
//! no moment at which one is durable without the other. Keys live in two generations a path and
//! tenant: new ones go into the current, lookups see both, and each window's end drops the older
//! whole. So a key is remembered for at least one window and at most two, and nothing inside its
//! window is ever evicted: at the byte limit, which is a tenant's over all of its paths, *new* keys
//! are refused.

use crate::{Context, TenantId, tables};
use evenkeel_state::{Order, Read, Row, StateError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The timer domain that the engine itself uses.
pub(crate) const ENGINE_DOMAIN: u8 = 0;
/// What a remembered key costs beside its reply: both keys, fingerprint, node overhead.
const ROW_OVERHEAD_BYTES: u64 = 64;

/// What a request carries to be safe to retry. Made at the edge, where there are cores to spare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// Which path: a number that the domains assign and never reuse.
    pub path: u8,
    /// A hash of the partition key and the caller's key: the scope beyond path and tenant.
    pub key: [u8; 16],
    /// A hash of the request.
    pub fingerprint: [u8; 16],
    /// For how long, at least, the key is remembered.
    pub window_ms: u64,
}

/// The stored row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) fingerprint: [u8; 16],
    pub(crate) reply: Vec<u8>,
}

impl Row for Remembered {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(1);
        out.extend_from_slice(&self.fingerprint);
        out.extend_from_slice(&self.reply);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&1, rest) = bytes.split_first()? else { return None };
        let (fingerprint, reply) = rest.split_first_chunk::<16>()?;
        Some(Self { fingerprint: *fingerprint, reply: reply.to_vec() })
    }
}

/// The generations of one path and tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    generation: u32,
    /// The longest window of the keys in the current generation.
    window_ms: u64,
    bytes_current: u64,
    bytes_previous: u64,
}
evenkeel_state::row!(Usage, version = 1);

impl Usage {
    fn bytes(&self) -> u64 {
        self.bytes_current + self.bytes_previous
    }
}

/// What each tenant's keys take, over its paths, as of what was decided last: the sums of rows, at
/// hand. A tenant that is not here is added up anew, so that whatever casts doubt on a sum only
/// has to forget it.
#[derive(Debug, Default)]
pub(crate) struct Totals(BTreeMap<TenantId, u64>);

impl Totals {
    /// Decisions were taken back.
    pub(crate) fn forget_all(&mut self) {
        self.0.clear();
    }

    /// A reply was remembered.
    pub(crate) fn add(&mut self, tenant: TenantId, bytes: u64) {
        if let Some(total) = self.0.get_mut(&tenant) {
            *total += bytes;
        }
    }
}

/// What is known of a key.
pub(crate) enum Found {
    /// Nothing; with what the other keys of its path and tenant take.
    New(Usage),
    Replay(Vec<u8>),
    Conflict,
    QuotaExceeded,
}

/// Looks a key up in both generations.
pub(crate) fn find(
    ctx: &mut Context<'_, '_>,
    tenant: TenantId,
    request: &Idempotency,
    bytes_max: u64,
) -> Result<Found, StateError> {
    let usage = ctx.tx.get::<tables::Usage>(&(request.path, tenant))?.unwrap_or_default();
    let generations = [
        (usage.generation, usage.bytes_current),
        (usage.generation.wrapping_sub(1), usage.bytes_previous),
    ];
    for (generation, bytes) in generations {
        let key = (request.path, tenant, generation, request.key);
        if bytes > 0
            && let Some(row) = ctx.tx.get::<tables::Remembered>(&key)?
        {
            let same = row.fingerprint == request.fingerprint;
            return Ok(if same { Found::Replay(row.reply) } else { Found::Conflict });
        }
    }
    let full = total(ctx, tenant)? >= bytes_max;
    Ok(if full { Found::QuotaExceeded } else { Found::New(usage) })
}

/// What the tenant's keys take, over all paths.
fn total(ctx: &mut Context<'_, '_>, tenant: TenantId) -> Result<u64, StateError> {
    if let Some(total) = ctx.totals.0.get(&tenant) {
        return Ok(*total);
    }
    let mut total = 0;
    let mut path = Some(0);
    // The rows are in order of path, then tenant: from path to path, not from row to row.
    while let Some(from) = path {
        let next = ctx.tx.scan::<tables::Usage>((from, tenant).., Order::Ascending, 1)?;
        let Some(((found, of), usage)) = next.first() else { break };
        if *of == tenant {
            total += usage.bytes();
        }
        path = if *of < tenant { Some(*found) } else { found.checked_add(1) };
    }
    ctx.totals.0.insert(tenant, total);
    Ok(total)
}

/// Remembers a key and its reply in the current generation. `usage` is what [`find`] answered.
/// Answers what that takes, for [`Totals::add`] once it is certain to stay.
pub(crate) fn remember(
    ctx: &mut Context<'_, '_>,
    tenant: TenantId,
    request: &Idempotency,
    mut usage: Usage,
    reply: Vec<u8>,
) -> u64 {
    let scope = (request.path, tenant);
    if usage.bytes() == 0 {
        let due = ctx.now.plus_ms(request.window_ms);
        ctx.set_timer(due, ENGINE_DOMAIN, timer_entity(request.path, tenant));
    }
    // The longest that any key of this generation was promised.
    usage.window_ms = usage.window_ms.max(request.window_ms);
    let bytes = reply.len() as u64 + ROW_OVERHEAD_BYTES;
    usage.bytes_current += bytes;
    ctx.tx.put::<tables::Usage>(&scope, &usage);
    let key = (request.path, tenant, usage.generation, request.key);
    ctx.tx.put::<tables::Remembered>(&key, &Remembered { fingerprint: request.fingerprint, reply });
    bytes
}

/// The window of a path and tenant has passed: drops the older generation and begins a new one.
pub(crate) fn rotate(ctx: &mut Context<'_, '_>, entity: u64) -> Result<(), StateError> {
    let (path, tenant) = timer_scope(entity);
    ctx.totals.0.remove(&tenant);
    let Some(mut usage) = ctx.tx.get::<tables::Usage>(&(path, tenant))? else { return Ok(()) };
    if usage.bytes_previous > 0 {
        let older = (path, tenant, usage.generation.wrapping_sub(1));
        ctx.tx.drop_prefix::<tables::Remembered>(&older);
    }
    usage.generation = usage.generation.wrapping_add(1);
    usage.bytes_previous = usage.bytes_current;
    usage.bytes_current = 0;
    if usage.bytes_previous > 0 {
        ctx.set_timer(ctx.now.plus_ms(usage.window_ms), ENGINE_DOMAIN, entity);
    }
    usage.window_ms = 0;
    ctx.tx.put::<tables::Usage>(&(path, tenant), &usage);
    Ok(())
}

fn timer_entity(path: u8, tenant: TenantId) -> u64 {
    u64::from(path) << 32 | u64::from(tenant.0)
}

fn timer_scope(entity: u64) -> (u8, TenantId) {
    let path = u8::try_from(entity >> 32 & 0xff).expect("masked to eight bits");
    let tenant = u32::try_from(entity & u64::from(u32::MAX)).expect("masked to 32 bits");
    (path, TenantId(tenant))
}
