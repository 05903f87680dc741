//! Reservations as one would first write them: lists, searched from end to end.

use evenkeel_domains::reservations::{
    Action, HoldChange, HoldState, HoldView, Kind, Late, Places, RETENTION_MS, Refusal, Reply,
    ReservationEvent, ResourceView, SeatState, SeatView, Spec,
};
use evenkeel_engine::Time;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) now: Time,
    pub(crate) resources: BTreeMap<String, Resource>,
}

#[derive(Debug)]
pub(crate) struct Resource {
    name: String,
    kind: Kind,
    /// Of seats, one for each.
    units: u64,
    seats: BTreeSet<String>,
    protects: Option<String>,
    pub(crate) holds: Vec<HoldView>,
    taken_ever: u64,
    /// All that ever were.
    pub(crate) events: Vec<(Time, ReservationEvent)>,
}

impl Model {
    /// What is due at `now` happens.
    pub(crate) fn advance(&mut self, now: Time) {
        assert!(now >= self.now, "time does not go back");
        self.now = now;
        for resource in self.resources.values_mut() {
            resource.expire(now);
        }
    }

    pub(crate) fn decide(&mut self, name: &str, action: &Action) -> Result<Reply, Refusal> {
        let now = self.now;
        let Some(resource) = self.resources.get_mut(name) else {
            let Action::Put(spec) = action else { return Err(Refusal::NoResource) };
            let resource = Resource::create(name, spec, now);
            let view = resource.view();
            self.resources.insert(name.to_owned(), resource);
            return Ok(Reply::Resource(view, true));
        };
        match action {
            Action::Put(spec) => resource.put(spec, now),
            Action::AddSeats(seats) => resource.add_seats(seats, now),
            Action::Hold { holder, ttl_ms, places } => {
                resource.hold(holder, places, now, now.plus_ms(*ttl_ms), false)
            }
            Action::Confirm { hold, late } => resource.confirm(*hold, *late, now),
            Action::Release { hold } => match resource.state(*hold)? {
                HoldState::Held => resource.change(*hold, HoldChange::Released, now),
                HoldState::Released => resource.answer(*hold),
                HoldState::Expired => Err(Refusal::HoldExpired),
                state => Err(Refusal::NotHeld(state)),
            },
            Action::Extend { hold, ttl_ms } => match resource.state(*hold)? {
                HoldState::Held => {
                    resource.find(*hold)?.expires_at = now.plus_ms(*ttl_ms);
                    resource.change(*hold, HoldChange::Extended, now)
                }
                HoldState::Expired => Err(Refusal::HoldExpired),
                state => Err(Refusal::NotHeld(state)),
            },
            Action::Cancel { hold } => match resource.state(*hold)? {
                HoldState::Confirmed => resource.change(*hold, HoldChange::Cancelled, now),
                HoldState::Cancelled => resource.answer(*hold),
                state => Err(Refusal::NotConfirmed(state)),
            },
        }
    }
}

impl Resource {
    fn create(name: &str, spec: &Spec, now: Time) -> Self {
        let (kind, units, seats, protects) = match spec {
            Spec::Seats(seats) => (Kind::Seats, 0, seats.iter().cloned().collect(), None),
            Spec::Quantity(units) => (Kind::Quantity, *units, BTreeSet::new(), None),
            Spec::Lock { protects } => (Kind::Lock, 1, BTreeSet::new(), Some(protects.clone())),
        };
        let name = name.to_owned();
        let (holds, events) = (Vec::new(), Vec::new());
        let mut resource =
            Self { name, kind, units, seats, protects, holds, taken_ever: 0, events };
        let capacity = resource.capacity();
        resource.events.push((now, ReservationEvent::Created { capacity }));
        resource
    }

    fn capacity(&self) -> u64 {
        if self.kind == Kind::Seats { self.seats.len() as u64 } else { self.units }
    }

    fn units_in(&self, state: HoldState) -> u64 {
        let holds = self.holds.iter().filter(|hold| hold.state == state);
        holds.map(|hold| hold.places.units()).sum()
    }

    fn taken(&self) -> u64 {
        self.units_in(HoldState::Held) + self.units_in(HoldState::Confirmed)
    }

    pub(crate) fn view(&self) -> ResourceView {
        ResourceView {
            resource: self.name.clone(),
            kind: self.kind,
            protects: self.protects.clone(),
            capacity: self.capacity(),
            held: self.units_in(HoldState::Held),
            confirmed: self.units_in(HoldState::Confirmed),
            sequence: self.events.len() as u64,
        }
    }

    pub(crate) fn seats(&self) -> Vec<SeatView> {
        let view = |seat: &String| {
            let owner = self.owner(seat);
            let state = owner.map_or(SeatState::Free, |hold| match hold.state {
                HoldState::Held => SeatState::Held,
                _ => SeatState::Confirmed,
            });
            SeatView { seat: seat.clone(), state, hold: owner.map(|hold| hold.fence) }
        };
        self.seats.iter().map(view).collect()
    }

    fn owner(&self, seat: &String) -> Option<&HoldView> {
        self.holds.iter().find(|hold| {
            matches!(hold.state, HoldState::Held | HoldState::Confirmed)
                && matches!(&hold.places, Places::Seats(seats) if seats.contains(seat))
        })
    }

    fn expire(&mut self, now: Time) {
        let mut due: Vec<(Time, u64)> = self
            .holds
            .iter()
            .filter(|hold| hold.state == HoldState::Held && hold.expires_at <= now)
            .map(|hold| (hold.expires_at, hold.fence))
            .collect();
        due.sort_unstable();
        self.holds.retain(|hold| match (hold.state, hold.resolved_at) {
            (HoldState::Confirmed, _) | (_, None) => true,
            (_, Some(at)) => at.plus_ms(RETENTION_MS) > now,
        });
        for (_, fence) in due {
            self.change(fence, HoldChange::Expired, now).expect("it was found");
        }
    }

    fn resize(&mut self, before: u64, now: Time) {
        let capacity = self.capacity();
        if capacity != before {
            self.events.push((now, ReservationEvent::CapacityChanged { capacity }));
        }
    }

    fn put(&mut self, spec: &Spec, now: Time) -> Result<Reply, Refusal> {
        let before = self.capacity();
        match (self.kind, spec) {
            (Kind::Quantity, Spec::Quantity(units)) => {
                let taken = self.taken();
                if *units < taken {
                    return Err(Refusal::CapacityInUse { taken });
                }
                self.units = *units;
            }
            (Kind::Seats, Spec::Seats(seats)) => {
                let wanted: BTreeSet<String> = seats.iter().cloned().collect();
                let gone = self.seats.difference(&wanted);
                let taken = gone.filter(|seat| self.owner(seat).is_some()).count() as u64;
                if taken > 0 {
                    return Err(Refusal::CapacityInUse { taken });
                }
                self.seats = wanted;
            }
            (Kind::Lock, Spec::Lock { protects }) => self.protects = Some(protects.clone()),
            (kind, _) => return Err(Refusal::WrongKind(kind)),
        }
        self.resize(before, now);
        Ok(Reply::Resource(self.view(), false))
    }

    fn add_seats(&mut self, seats: &[String], now: Time) -> Result<Reply, Refusal> {
        if self.kind != Kind::Seats {
            return Err(Refusal::WrongKind(self.kind));
        }
        let before = self.capacity();
        self.seats.extend(seats.iter().cloned());
        self.resize(before, now);
        Ok(Reply::Resource(self.view(), false))
    }

    fn hold(
        &mut self,
        holder: &str,
        places: &Places,
        now: Time,
        expires_at: Time,
        confirmed: bool,
    ) -> Result<Reply, Refusal> {
        match (self.kind, places) {
            (Kind::Seats, Places::Seats(wanted)) => {
                let of = |wrong: &dyn Fn(&String) -> bool| {
                    wanted.iter().filter(|seat| wrong(seat)).cloned().collect::<Vec<String>>()
                };
                let missing = of(&|seat| !self.seats.contains(seat));
                let taken = of(&|seat| self.owner(seat).is_some());
                if !missing.is_empty() {
                    return Err(Refusal::NoSeat(missing));
                }
                if !taken.is_empty() {
                    return Err(Refusal::SeatTaken(taken));
                }
            }
            (Kind::Quantity, Places::Quantity(_)) | (Kind::Lock, Places::Lock) => {}
            (kind, _) => return Err(Refusal::WrongKind(kind)),
        }
        let available = self.capacity() - self.taken();
        if places.units() > available {
            return Err(Refusal::SoldOut { available });
        }
        self.taken_ever += 1;
        let fence = (1 << 38) + self.taken_ever;
        self.holds.push(HoldView {
            fence,
            state: HoldState::Held,
            holder: holder.to_owned(),
            places: places.clone(),
            created_at: now,
            expires_at,
            resolved_at: None,
            reacquired_as: None,
        });
        let held = self.change(fence, HoldChange::Held, now);
        if confirmed { self.change(fence, HoldChange::Confirmed, now) } else { held }
    }

    fn confirm(&mut self, fence: u64, late: Late, now: Time) -> Result<Reply, Refusal> {
        if self.kind == Kind::Lock {
            return Err(Refusal::LockNotConfirmable);
        }
        match self.state(fence)? {
            HoldState::Held => self.change(fence, HoldChange::Confirmed, now),
            HoldState::Confirmed => self.answer(fence),
            HoldState::Expired if late == Late::Refuse => Err(Refusal::HoldExpired),
            HoldState::Expired => {
                let old = self.find(fence)?.clone();
                if let Some(again) = old.reacquired_as {
                    return match self.state(again)? {
                        HoldState::Confirmed => self.answer(again),
                        state => Err(Refusal::NotHeld(state)),
                    };
                }
                let reply = self.hold(&old.holder, &old.places, now, old.expires_at, true)?;
                self.find(fence)?.reacquired_as = Some((1 << 38) + self.taken_ever);
                Ok(reply)
            }
            state => Err(Refusal::NotHeld(state)),
        }
    }

    fn find(&mut self, fence: u64) -> Result<&mut HoldView, Refusal> {
        self.holds.iter_mut().find(|hold| hold.fence == fence).ok_or(Refusal::NoHold)
    }

    fn state(&mut self, fence: u64) -> Result<HoldState, Refusal> {
        Ok(self.find(fence)?.state)
    }

    fn answer(&mut self, fence: u64) -> Result<Reply, Refusal> {
        Ok(Reply::Hold(self.find(fence)?.clone()))
    }

    fn change(&mut self, fence: u64, change: HoldChange, now: Time) -> Result<Reply, Refusal> {
        let hold = self.find(fence)?;
        let (state, resolved) = match change {
            HoldChange::Held | HoldChange::Extended => (HoldState::Held, None),
            HoldChange::Confirmed => (HoldState::Confirmed, Some(now)),
            HoldChange::Released => (HoldState::Released, Some(now)),
            HoldChange::Expired => (HoldState::Expired, Some(now)),
            HoldChange::Cancelled => (HoldState::Cancelled, Some(now)),
        };
        (hold.state, hold.resolved_at) = (state, resolved);
        let hold = hold.clone();
        let event = ReservationEvent::Hold {
            change,
            fence,
            holder: hold.holder.clone(),
            places: hold.places.clone(),
            expires_at: hold.expires_at,
        };
        self.events.push((now, event));
        Ok(Reply::Hold(hold))
    }
}
