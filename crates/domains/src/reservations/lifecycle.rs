//! A hold's life: taken, then resolved exactly once. Every change of a resource's counters, of a
//! seat and of a hold's state is made here, so that the invariant has one place to be kept in.

use super::{
    Hold, HoldState, HoldView, Places, RETENTION_MS, Refusal, Resource, SeatState,
    tables::{Due, HoldChange, Holds, ReservationEvent, Seat, Seats},
};
use crate::{
    rules::{Happened, InForce},
    view_of,
};
use evenkeel_engine::{Context, Stop, TenantId, Time};
use evenkeel_state::{Order, Read, StateError};

/// Due holds and old events that one step handles.
const SETTLE_MAX: usize = 256;
/// Effects after which one step stops: with the largest hold and the largest command on top, a
/// record still holds it.
const SETTLE_BYTES_MAX: usize = 64 * 1_024;

/// A resource while a command changes it; [`Subject::save`] writes it back.
pub(super) struct Subject<'s, 'c, 't> {
    pub(super) ctx: &'s mut Context<'c, 't>,
    pub(super) key: (TenantId, String),
    pub(super) resource: Resource,
    /// Whether there is anything to write back: a repeated confirmation, say, changes nothing and
    /// costs no append.
    pub(super) changed: bool,
    /// What is enqueued when something happens to its holds.
    pub(super) rules: Option<InForce<'s>>,
}

impl Subject<'_, '_, '_> {
    pub(super) fn save(self) {
        let Resource { capacity, held, confirmed, .. } = self.resource;
        assert!(held + confirmed <= capacity, "I3: never more held + confirmed than capacity");
        if self.changed {
            self.ctx.touch(view_of(super::DOMAIN, self.key.0, &self.key.1));
            self.ctx.tx.put::<super::tables::Resources>(&self.key, &self.resource);
        }
    }

    /// Takes `places` in `state`, or says why not.
    pub(super) fn take(
        &mut self,
        holder: &str,
        places: Places,
        expires_at: Time,
        state: HoldState,
    ) -> Result<HoldView, Stop<Refusal>> {
        let units = places.units();
        if let Places::Seats(seats) = &places {
            self.check_seats_free(seats)?;
        }
        if units > self.resource.available() {
            let available = self.resource.available();
            return Err(Stop::Refused(Refusal::SoldOut { available }));
        }
        let fence = self.ctx.fence(self.resource.next_fence);
        self.resource.next_fence += 1;
        let now = self.ctx.now();
        let resolved_at = (state != HoldState::Held).then_some(now);
        let hold = Hold {
            state,
            holder: holder.to_owned(),
            places,
            created_at: now,
            expires_at,
            resolved_at,
            reacquired_as: None,
        };
        self.emit(HoldChange::Held, fence, &hold)?;
        match state {
            HoldState::Held => {
                self.resource.held += units;
                self.set_seats(&hold.places, SeatState::Held, fence);
                self.set_due(fence, expires_at);
            }
            HoldState::Confirmed => {
                self.resource.confirmed += units;
                self.set_seats(&hold.places, SeatState::Confirmed, fence);
                self.emit(HoldChange::Confirmed, fence, &hold)?;
            }
            HoldState::Released | HoldState::Expired | HoldState::Cancelled => {
                unreachable!("a hold begins held or confirmed")
            }
        }
        self.ctx.tx.put::<Holds>(&(self.resource.id, fence), &hold);
        Ok(view(fence, hold))
    }

    /// Ends the time in which `hold` is held: the one way out of `Held`.
    pub(super) fn resolve(
        &mut self,
        fence: u64,
        hold: &mut Hold,
        to: HoldState,
    ) -> Result<(), StateError> {
        assert!(hold.state == HoldState::Held, "I4: a hold resolves once");
        let units = hold.places.units();
        self.resource.held -= units;
        self.ctx.tx.delete::<Due>(&(self.resource.id, hold.expires_at.0, fence));
        let change = match to {
            HoldState::Confirmed => HoldChange::Confirmed,
            HoldState::Released => HoldChange::Released,
            HoldState::Expired => HoldChange::Expired,
            HoldState::Held | HoldState::Cancelled => unreachable!("no resolution of a held hold"),
        };
        if to == HoldState::Confirmed {
            self.resource.confirmed += units;
            self.set_seats(&hold.places, SeatState::Confirmed, fence);
        } else {
            self.set_seats(&hold.places, SeatState::Free, 0);
            self.set_due(fence, self.ctx.now().plus_ms(RETENTION_MS));
        }
        hold.state = to;
        hold.resolved_at = Some(self.ctx.now());
        self.emit(change, fence, hold)?;
        self.put_hold(fence, hold);
        Ok(())
    }

    /// Gives back a confirmed hold.
    pub(super) fn cancel(&mut self, fence: u64, hold: &mut Hold) -> Result<(), StateError> {
        assert!(hold.state == HoldState::Confirmed, "only a confirmed hold is cancelled");
        self.resource.confirmed -= hold.places.units();
        self.set_seats(&hold.places, SeatState::Free, 0);
        self.set_due(fence, self.ctx.now().plus_ms(RETENTION_MS));
        hold.state = HoldState::Cancelled;
        hold.resolved_at = Some(self.ctx.now());
        self.emit(HoldChange::Cancelled, fence, hold)?;
        self.put_hold(fence, hold);
        Ok(())
    }

    /// Moves the expiry of a held hold.
    pub(super) fn extend(
        &mut self,
        fence: u64,
        hold: &mut Hold,
        expires_at: Time,
    ) -> Result<(), StateError> {
        self.ctx.tx.delete::<Due>(&(self.resource.id, hold.expires_at.0, fence));
        hold.expires_at = expires_at;
        self.set_due(fence, expires_at);
        self.emit(HoldChange::Extended, fence, hold)?;
        self.put_hold(fence, hold);
        Ok(())
    }

    pub(super) fn put_hold(&mut self, fence: u64, hold: &Hold) {
        self.ctx.tx.put::<Holds>(&(self.resource.id, fence), hold);
    }

    /// Does what is due, a bounded amount: expires holds, forgets what was kept long enough.
    /// Answers whether more is due.
    pub(super) fn settle(&mut self) -> Result<bool, StateError> {
        let now = self.ctx.now();
        let Some(timer) = self.resource.timer.filter(|timer| *timer <= now) else {
            return Ok(false);
        };
        let id = self.resource.id;
        // Nothing is due before the timer: what was is deleted, and not worth passing over.
        let range = (id, timer.0, 0)..(id + 1, 0, 0);
        let due = self.ctx.tx.scan::<Due>(range, Order::Ascending, SETTLE_MAX + 1)?;
        let before = self.ctx.tx.savepoint();
        let mut count = 0;
        for ((_, at, fence), ()) in due.iter().take(SETTLE_MAX) {
            if *at > now.0 || self.ctx.tx.bytes_since(&before) >= SETTLE_BYTES_MAX {
                break;
            }
            count += 1;
            match self.ctx.tx.get::<Holds>(&(id, *fence))? {
                Some(mut hold) if hold.state == HoldState::Held => {
                    self.resolve(*fence, &mut hold, HoldState::Expired)?;
                }
                _ => {
                    self.ctx.tx.delete::<Due>(&(id, *at, *fence));
                    self.ctx.tx.delete::<Holds>(&(id, *fence));
                }
            }
        }
        let entity = self.resource.entity();
        let old = now.minus_ms(RETENTION_MS);
        self.ctx.trim_events(entity, &mut self.resource.events, old, SETTLE_MAX)?;
        let next_hold = due.get(count).map(|((_, at, _), ())| Time(*at));
        let next_event = (!self.resource.events.is_empty())
            .then(|| self.resource.events.first_at.plus_ms(RETENTION_MS));
        self.rearm(next_hold.into_iter().chain(next_event).min());
        Ok(next_hold.is_some_and(|at| at <= now))
    }

    /// Records an event; what it makes due in time is retention, which the timer sees to.
    pub(super) fn emit_event(&mut self, event: &ReservationEvent) {
        self.changed = true;
        let data = postcard::to_stdvec(event).expect("an event is plain data: it encodes");
        let entity = self.resource.entity();
        self.ctx.emit(entity, &mut self.resource.events, data);
        let due = self.resource.events.first_at.plus_ms(RETENTION_MS);
        self.arm(due);
    }

    fn emit(&mut self, change: HoldChange, fence: u64, hold: &Hold) -> Result<(), StateError> {
        let sequence = self.resource.events.next;
        self.emit_event(&ReservationEvent::Hold {
            change,
            fence,
            holder: hold.holder.clone(),
            places: hold.places.clone(),
            expires_at: hold.expires_at,
        });
        let Some(rules) = &self.rules else { return Ok(()) };
        let resource = &self.key.1;
        rules.apply(self.ctx, &Happened { resource, sequence, change, fence, hold })
    }

    /// A seat that is named twice is taken by its first mention.
    fn check_seats_free(&self, seats: &[String]) -> Result<(), Stop<Refusal>> {
        let (mut missing, mut taken) = (Vec::new(), Vec::new());
        for (at, seat) in seats.iter().enumerate() {
            if seats[..at].contains(seat) {
                taken.push(seat.clone());
                continue;
            }
            match self.ctx.tx.get::<Seats>(&(self.resource.id, seat.clone()))? {
                None => missing.push(seat.clone()),
                Some(row) if row.state != SeatState::Free => taken.push(seat.clone()),
                Some(_) => {}
            }
        }
        if !missing.is_empty() {
            return Err(Stop::Refused(Refusal::NoSeat(missing)));
        }
        if !taken.is_empty() {
            return Err(Stop::Refused(Refusal::SeatTaken(taken)));
        }
        Ok(())
    }

    fn set_seats(&mut self, places: &Places, state: SeatState, hold: u64) {
        let Places::Seats(seats) = places else { return };
        for seat in seats {
            let key = (self.resource.id, seat.clone());
            self.ctx.tx.put::<Seats>(&key, &Seat { state, hold });
        }
    }

    fn set_due(&mut self, fence: u64, at: Time) {
        self.ctx.tx.put::<Due>(&(self.resource.id, at.0, fence), &());
        self.arm(at);
    }

    /// Has the timer set no later than `at`.
    fn arm(&mut self, at: Time) {
        if self.resource.timer.is_none_or(|timer| at < timer) {
            self.rearm(Some(at));
        }
    }

    fn rearm(&mut self, at: Option<Time>) {
        self.changed = true;
        if let Some(old) = self.resource.timer.take() {
            self.ctx.clear_timer(old, super::DOMAIN, self.resource.id);
        }
        if let Some(at) = at {
            self.ctx.set_timer(at, super::DOMAIN, self.resource.id);
            self.resource.timer = Some(at);
        }
    }
}

/// A hold as answered.
pub(super) fn view(fence: u64, hold: Hold) -> HoldView {
    HoldView {
        fence,
        state: hold.state,
        holder: hold.holder,
        places: hold.places,
        created_at: hold.created_at,
        expires_at: hold.expires_at,
        resolved_at: hold.resolved_at,
        reacquired_as: hold.reacquired_as,
    }
}
