//! Decisions: what a command does to a resource, or why it does nothing.

use super::{
    Action, Command, Hold, HoldState, Kind, Late, Places, Refusal, Reply, Resource, ResourceView,
    SEATS_A_CALL_MAX, SeatState, Spec,
    lifecycle::{Subject, view},
    tables::{
        Counter, Holds, ReservationEvent, ResourceCounter, ResourceName, ResourceNames, Resources,
        Seat, Seats,
    },
};
use crate::Domains;
use evenkeel_engine::{Context, Stop, StreamHead, TenantId};
use evenkeel_state::{Order, Read, StateError};
use std::collections::BTreeSet;

type Decided = Result<Reply, Stop<Refusal>>;

/// Applies what is due on the resource; answers whether more is.
pub fn expire(
    ctx: &mut Context<'_, '_>,
    domains: &Domains,
    tenant: TenantId,
    command: &Command,
) -> Result<bool, StateError> {
    let now = ctx.now();
    let key = (tenant, command.resource.clone());
    match ctx.tx.get::<Resources>(&key)? {
        Some(resource) if resource.timer.is_some_and(|timer| timer <= now) => {
            let rules = domains.rules(tenant);
            settle(Subject { ctx, key, resource, changed: false, rules })
        }
        _ => Ok(false),
    }
}

/// A resource's timer is due.
pub fn timer(ctx: &mut Context<'_, '_>, domains: &Domains, id: u64) -> Result<(), StateError> {
    let Some(ResourceName { tenant, name }) = ctx.tx.get::<ResourceNames>(&id)? else {
        return Ok(());
    };
    let key = (tenant, name);
    let Some(resource) = ctx.tx.get::<Resources>(&key)? else { return Ok(()) };
    let rules = domains.rules(tenant);
    settle(Subject { ctx, key, resource, changed: false, rules }).map(|_| ())
}

fn settle(mut subject: Subject<'_, '_, '_>) -> Result<bool, StateError> {
    let more = subject.settle()?;
    subject.save();
    Ok(more)
}

/// Decides `command`.
pub fn decide(
    ctx: &mut Context<'_, '_>,
    domains: &Domains,
    tenant: TenantId,
    command: &Command,
) -> Decided {
    let key = (tenant, command.resource.clone());
    let Some(resource) = ctx.tx.get::<Resources>(&key)? else {
        return match &command.action {
            Action::Put(spec) => create(ctx, key, spec),
            _ => Err(Stop::Refused(Refusal::NoResource)),
        };
    };
    let rules = domains.rules(tenant);
    let mut subject = Subject { ctx, key, resource, changed: false, rules };
    let reply = match &command.action {
        Action::Put(spec) => put(&mut subject, spec)?,
        Action::AddSeats(seats) => {
            if subject.resource.kind != Kind::Seats {
                return Err(Stop::Refused(Refusal::WrongKind(subject.resource.kind)));
            }
            add_seats(&mut subject, seats)?;
            answer(&subject, false)
        }
        Action::Hold { holder, ttl_ms, places } => {
            hold(&mut subject, holder, *ttl_ms, places.clone())?
        }
        Action::Confirm { hold, late } => confirm(&mut subject, *hold, *late)?,
        Action::Release { hold } => release(&mut subject, *hold)?,
        Action::Extend { hold, ttl_ms } => extend(&mut subject, *hold, *ttl_ms)?,
        Action::Cancel { hold } => cancel(&mut subject, *hold)?,
    };
    subject.save();
    Ok(reply)
}

fn create(ctx: &mut Context<'_, '_>, key: (TenantId, String), spec: &Spec) -> Decided {
    let id = ctx.tx.get::<ResourceCounter>(&())?.map_or(1, |counter| counter.0);
    ctx.tx.put::<ResourceCounter>(&(), &Counter(id + 1));
    let name = ResourceName { tenant: key.0, name: key.1.clone() };
    ctx.tx.put::<ResourceNames>(&id, &name);
    let (kind, capacity, protects) = match spec {
        Spec::Seats(_) => (Kind::Seats, 0, None),
        Spec::Quantity(capacity) => (Kind::Quantity, *capacity, None),
        Spec::Lock { protects } => (Kind::Lock, 1, Some(protects.clone())),
    };
    let resource = Resource {
        id,
        kind,
        capacity,
        held: 0,
        confirmed: 0,
        next_fence: 1,
        events: StreamHead::default(),
        timer: None,
        protects,
    };
    // There is no rule for what happens here.
    let mut subject = Subject { ctx, key, resource, changed: false, rules: None };
    if let Spec::Seats(seats) = spec {
        let named: BTreeSet<&str> = seats.iter().map(String::as_str).collect();
        for seat in &named {
            put_free_seat(&mut subject, seat);
        }
        subject.resource.capacity = named.len() as u64;
    }
    let capacity = subject.resource.capacity;
    subject.emit_event(&ReservationEvent::Created { capacity });
    let reply = answer(&subject, true);
    subject.save();
    Ok(reply)
}

/// Makes an existing resource match `spec`; a no-op if it does.
fn put(subject: &mut Subject<'_, '_, '_>, spec: &Spec) -> Decided {
    match (subject.resource.kind, spec) {
        (Kind::Quantity, Spec::Quantity(capacity)) => {
            let taken = subject.resource.held + subject.resource.confirmed;
            if *capacity < taken {
                return Err(Stop::Refused(Refusal::CapacityInUse { taken }));
            }
            set_capacity(subject, *capacity);
        }
        (Kind::Seats, Spec::Seats(seats)) => replace_seats(subject, seats)?,
        (Kind::Lock, Spec::Lock { protects }) => {
            subject.changed |= subject.resource.protects.as_ref() != Some(protects);
            subject.resource.protects = Some(protects.clone());
        }
        (kind, _) => return Err(Stop::Refused(Refusal::WrongKind(kind))),
    }
    Ok(answer(subject, false))
}

fn set_capacity(subject: &mut Subject<'_, '_, '_>, capacity: u64) {
    if capacity != subject.resource.capacity {
        subject.resource.capacity = capacity;
        subject.emit_event(&ReservationEvent::CapacityChanged { capacity });
    }
}

/// Seats that are not listed go, if they are free.
fn replace_seats(subject: &mut Subject<'_, '_, '_>, seats: &[String]) -> Result<(), Stop<Refusal>> {
    let id = subject.resource.id;
    let range = (id, String::new())..(id + 1, String::new());
    let limit = SEATS_A_CALL_MAX + 1;
    let existing = subject.ctx.tx.scan::<Seats>(range, Order::Ascending, limit)?;
    if existing.len() == limit {
        return Err(Stop::Refused(Refusal::TooManySeats));
    }
    let wanted: BTreeSet<&str> = seats.iter().map(String::as_str).collect();
    let mut taken = 0;
    let mut removed = 0;
    for (key, seat) in existing.iter().filter(|(key, _)| !wanted.contains(key.1.as_str())) {
        if seat.state == SeatState::Free {
            subject.ctx.tx.delete::<Seats>(key);
            removed += 1;
        } else {
            taken += 1;
        }
    }
    if taken > 0 {
        return Err(Stop::Refused(Refusal::CapacityInUse { taken }));
    }
    let known: BTreeSet<&str> = existing.iter().map(|(key, _)| key.1.as_str()).collect();
    let mut added = 0;
    for seat in wanted.difference(&known) {
        put_free_seat(subject, seat);
        added += 1;
    }
    set_capacity(subject, subject.resource.capacity - removed + added);
    Ok(())
}

fn add_seats(subject: &mut Subject<'_, '_, '_>, seats: &[String]) -> Result<(), StateError> {
    let mut added = 0;
    for seat in seats {
        if subject.ctx.tx.get::<Seats>(&(subject.resource.id, seat.clone()))?.is_none() {
            put_free_seat(subject, seat);
            added += 1;
        }
    }
    set_capacity(subject, subject.resource.capacity + added);
    Ok(())
}

fn put_free_seat(subject: &mut Subject<'_, '_, '_>, seat: &str) {
    let key = (subject.resource.id, seat.to_owned());
    subject.ctx.tx.put::<Seats>(&key, &Seat { state: SeatState::Free, hold: 0 });
}

fn hold(subject: &mut Subject<'_, '_, '_>, holder: &str, ttl_ms: u64, places: Places) -> Decided {
    let fits = matches!(
        (subject.resource.kind, &places),
        (Kind::Seats, Places::Seats(_))
            | (Kind::Quantity, Places::Quantity(_))
            | (Kind::Lock, Places::Lock)
    );
    if !fits {
        return Err(Stop::Refused(Refusal::WrongKind(subject.resource.kind)));
    }
    let expires_at = subject.ctx.now().plus_ms(ttl_ms);
    subject.take(holder, places, expires_at, HoldState::Held).map(Reply::Hold)
}

fn confirm(subject: &mut Subject<'_, '_, '_>, fence: u64, late: Late) -> Decided {
    if subject.resource.kind == Kind::Lock {
        return Err(Stop::Refused(Refusal::LockNotConfirmable));
    }
    let mut hold = find(subject, fence)?;
    match effective(subject, &hold) {
        HoldState::Held => subject.resolve(fence, &mut hold, HoldState::Confirmed)?,
        HoldState::Confirmed => {}
        HoldState::Expired if late == Late::Reacquire => return reacquire(subject, fence, hold),
        HoldState::Expired => return Err(Stop::Refused(Refusal::HoldExpired)),
        state => return Err(Stop::Refused(Refusal::NotHeld(state))),
    }
    Ok(Reply::Hold(view(fence, hold)))
}

/// The payment came too late: takes the same places again, confirmed at once, as a new hold, so
/// that the expired one stays what it is. Asked twice, the same new hold is answered.
fn reacquire(subject: &mut Subject<'_, '_, '_>, fence: u64, mut hold: Hold) -> Decided {
    if let Some(fence) = hold.reacquired_as {
        let again = find(subject, fence)?;
        return match again.state {
            HoldState::Confirmed => Ok(Reply::Hold(view(fence, again))),
            state => Err(Stop::Refused(Refusal::NotHeld(state))),
        };
    }
    if hold.state == HoldState::Held {
        subject.resolve(fence, &mut hold, HoldState::Expired)?;
    }
    let (holder, places, expires_at) = (hold.holder.clone(), hold.places.clone(), hold.expires_at);
    let again = subject.take(&holder, places, expires_at, HoldState::Confirmed)?;
    hold.reacquired_as = Some(again.fence);
    subject.put_hold(fence, &hold);
    Ok(Reply::Hold(again))
}

fn release(subject: &mut Subject<'_, '_, '_>, fence: u64) -> Decided {
    let mut hold = find(subject, fence)?;
    match effective(subject, &hold) {
        HoldState::Held => subject.resolve(fence, &mut hold, HoldState::Released)?,
        HoldState::Released => {}
        HoldState::Expired => return Err(Stop::Refused(Refusal::HoldExpired)),
        state => return Err(Stop::Refused(Refusal::NotHeld(state))),
    }
    Ok(Reply::Hold(view(fence, hold)))
}

fn extend(subject: &mut Subject<'_, '_, '_>, fence: u64, ttl_ms: u64) -> Decided {
    let mut hold = find(subject, fence)?;
    match effective(subject, &hold) {
        HoldState::Held => {
            let expires_at = subject.ctx.now().plus_ms(ttl_ms);
            subject.extend(fence, &mut hold, expires_at)?;
        }
        HoldState::Expired => return Err(Stop::Refused(Refusal::HoldExpired)),
        state => return Err(Stop::Refused(Refusal::NotHeld(state))),
    }
    Ok(Reply::Hold(view(fence, hold)))
}

fn cancel(subject: &mut Subject<'_, '_, '_>, fence: u64) -> Decided {
    let mut hold = find(subject, fence)?;
    match effective(subject, &hold) {
        HoldState::Confirmed => subject.cancel(fence, &mut hold)?,
        HoldState::Cancelled => {}
        state => return Err(Stop::Refused(Refusal::NotConfirmed(state))),
    }
    Ok(Reply::Hold(view(fence, hold)))
}

fn find(subject: &Subject<'_, '_, '_>, fence: u64) -> Result<Hold, Stop<Refusal>> {
    let hold = subject.ctx.tx.get::<Holds>(&(subject.resource.id, fence))?;
    hold.ok_or(Stop::Refused(Refusal::NoHold))
}

/// A hold that is due counts as expired, whether or not its turn to be settled has come.
fn effective(subject: &Subject<'_, '_, '_>, hold: &Hold) -> HoldState {
    if hold.state == HoldState::Held && !hold.is_live(subject.ctx.now()) {
        return HoldState::Expired;
    }
    hold.state
}

fn answer(subject: &Subject<'_, '_, '_>, created: bool) -> Reply {
    Reply::Resource(describe(&subject.key.1, &subject.resource), created)
}

/// A resource as answered.
pub(super) fn describe(name: &str, resource: &Resource) -> ResourceView {
    ResourceView {
        resource: name.to_owned(),
        kind: resource.kind,
        protects: resource.protects.clone(),
        capacity: resource.capacity,
        held: resource.held,
        confirmed: resource.confirmed,
        sequence: resource.events.next - 1,
    }
}
