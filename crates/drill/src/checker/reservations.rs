//! The sequential model of one resource: which answers its operations may have.
//!
//! Expiry needs no operation of its own: by the record time in an answer, all that is due then has
//! expired and nothing else. An answer without a time was given at the first time that fits it.

use super::linear::{Model, STAMPS};
use super::resource::{Expiry, Hold, Phase, Resource, Wrong};
use crate::history::{Answer, Capacity, Places, Refusal, Request};
use std::collections::BTreeSet;
use std::sync::Arc;

/// One resource and what it has to give.
pub(crate) struct Reservations {
    pub(crate) capacity: Capacity,
    /// Holds that operations name; others are forgotten once they are resolved.
    pub(crate) named: BTreeSet<Arc<str>>,
    /// Ids that operations name and no answer told.
    pub(crate) untold: BTreeSet<Arc<str>>,
}

/// What was asked, as the model needs it.
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) places: Option<Arc<Places>>,
    /// The key, where other operations use it too.
    pub(crate) key: Option<Arc<str>>,
    /// What to call the new hold when nobody was told its id.
    pub(crate) name: Arc<str>,
}

/// What was told.
pub(crate) struct Told {
    pub(crate) answer: Result<Answer, Refusal>,
    pub(crate) at_ms: Option<u64>,
}

type Next = Result<Vec<Resource>, Wrong>;

impl Model for Reservations {
    type State = Resource;
    type Op = Asked;
    type Ret = Told;

    fn init(&self) -> Resource {
        Resource::default()
    }

    fn step(&self, state: &Resource, op: &Asked, ret: Option<&Told>) -> Vec<Resource> {
        self.apply(state, op, ret).unwrap_or_default()
    }

    /// By record time, and new holds also by fence.
    fn stamps(&self, op: &Asked, ret: &Told) -> [Option<u64>; STAMPS] {
        match (&op.request, &ret.answer) {
            (Request::Hold { ttl_ms, .. }, Ok(Answer::Held { fence, expires_at_ms, .. })) => {
                let at_ms = ret.at_ms.or_else(|| expires_at_ms.checked_sub(*ttl_ms));
                [at_ms, Some(*fence)]
            }
            (Request::Extend { ttl_ms, .. }, Ok(Answer::Extended { expires_at_ms })) => {
                [ret.at_ms.or_else(|| expires_at_ms.checked_sub(*ttl_ms)), None]
            }
            _ => [ret.at_ms, None],
        }
    }
}

impl Reservations {
    /// As [`Model::step`], but says why not.
    pub(crate) fn apply(&self, state: &Resource, op: &Asked, ret: Option<&Told>) -> Next {
        match op.request.hold() {
            Some(hold) if self.untold.contains(hold) && !state.holds.contains_key(hold) => {
                self.apply_unheard(state, op, ret, &hold.into())
            }
            _ => self.apply_named(state, op, ret),
        }
    }

    /// The operation may be about any hold that was taken unheard.
    fn apply_unheard(
        &self,
        state: &Resource,
        op: &Asked,
        ret: Option<&Told>,
        hold: &Arc<str>,
    ) -> Next {
        let direct = self.apply_named(state, op, ret);
        let unheard = state.holds.iter().filter(|(_, hold)| !hold.told);
        let bound = unheard.flat_map(|(name, _)| {
            let mut bound = state.clone();
            bound.tell(name, hold);
            self.apply_named(&bound, op, ret).unwrap_or_default()
        });
        let next: Vec<Resource> = bound.chain(direct.clone().unwrap_or_default()).collect();
        if next.is_empty() { direct } else { Ok(next) }
    }

    fn apply_named(&self, state: &Resource, op: &Asked, ret: Option<&Told>) -> Next {
        if op.key.as_ref().is_some_and(|key| state.keys.contains(key)) {
            // An unanswered attempt has nothing left to do; only a refusal can be wrong here.
            return Err(Wrong::KeyForgotten);
        }
        let mut next = state.clone();
        let mut after = match ret {
            Some(Told { answer: Err(refusal), at_ms }) => {
                self.refused(&mut next, op, refusal, *at_ms)?;
                return Ok(vec![next]);
            }
            Some(Told { answer: Ok(answer), at_ms }) => {
                self.answered(&mut next, op, answer, *at_ms)?;
                vec![next]
            }
            None => self.unanswered(next, op)?,
        };
        for next in &mut after {
            next.keys.extend(op.key.clone());
            next.holds.retain(|id, hold| {
                matches!(hold.phase, Phase::Held | Phase::Confirmed)
                    || self.named.contains(id)
                    || !hold.told && !self.untold.is_empty()
            });
        }
        Ok(after)
    }

    fn answered(
        &self,
        next: &mut Resource,
        op: &Asked,
        answer: &Answer,
        at_ms: Option<u64>,
    ) -> Result<(), Wrong> {
        match (&op.request, answer) {
            (Request::Hold { ttl_ms, .. }, Answer::Held { hold, fence, expires_at_ms }) => {
                let decided = expires_at_ms.checked_sub(*ttl_ms).ok_or(Wrong::Nonsense)?;
                if at_ms.is_some_and(|at_ms| at_ms != decided) {
                    return Err(Wrong::Nonsense);
                }
                next.advance(decided)?;
                next.raise_fence(*fence)?;
                let expiry = Expiry::At(*expires_at_ms);
                let hold = Some(hold.as_str().into());
                self.take(next, hold, op, op.places.clone(), Phase::Held, expiry)
            }
            (Request::Confirm { hold, reacquire }, Answer::Confirmed { hold: by, fence }) => {
                if by == hold {
                    return resolve(next, hold, at_ms, Phase::Confirmed);
                }
                if !reacquire {
                    return Err(Wrong::Nonsense);
                }
                self.reacquire(next, hold, op, Some((by.as_str().into(), *fence)), at_ms)
            }
            (Request::Release { hold }, Answer::Released) => {
                resolve(next, hold, at_ms, Phase::Released)
            }
            (Request::Extend { hold, ttl_ms }, Answer::Extended { expires_at_ms }) => {
                let decided = expires_at_ms.checked_sub(*ttl_ms).ok_or(Wrong::Nonsense)?;
                next.advance(at_ms.unwrap_or(decided))?;
                held(next, hold)?.expiry = Expiry::At(*expires_at_ms);
                Ok(())
            }
            (Request::Cancel { hold }, Answer::Cancelled) => cancel(next, hold, at_ms),
            (Request::Read, Answer::Counted { available, held, confirmed }) => {
                let at_ms = match at_ms {
                    Some(at_ms) => Some(at_ms).filter(|at| next.counts(*at, *held, *confirmed)),
                    None => next.counts_from(*held, *confirmed),
                };
                let whole = available + held + confirmed == self.capacity.places();
                next.advance(at_ms.filter(|_| whole).ok_or(Wrong::Miscounted)?)
            }
            _ => Err(Wrong::Nonsense),
        }
    }

    /// What an operation may have done whose answer nobody heard: at the earliest time at which
    /// it can have had an effect, since that leaves most open.
    fn unanswered(&self, mut next: Resource, op: &Asked) -> Next {
        let mut late = next.clone();
        match &op.request {
            Request::Hold { ttl_ms, places } => {
                let from = next.fits_from(&self.capacity, places).ok_or(Wrong::NotFree)?;
                next.advance(from)?;
                let expiry = Expiry::NotBefore(from.saturating_add(*ttl_ms));
                self.take(&mut next, None, op, op.places.clone(), Phase::Held, expiry)?;
            }
            Request::Confirm { hold, reacquire: true } => {
                let in_time = resolve(&mut next, hold, None, Phase::Confirmed).map(|()| next);
                let again = self.reacquire(&mut late, hold, op, None, None).map(|()| late);
                return match (in_time, again) {
                    (Ok(next), Ok(late)) => Ok(vec![late, next]),
                    (Ok(only), Err(_)) | (Err(_), Ok(only)) => Ok(vec![only]),
                    (Err(wrong), Err(_)) => Err(wrong),
                };
            }
            Request::Confirm { hold, .. } => resolve(&mut next, hold, None, Phase::Confirmed)?,
            Request::Release { hold } => resolve(&mut next, hold, None, Phase::Released)?,
            Request::Extend { hold, ttl_ms } => {
                let from = next.now_ms.saturating_add(*ttl_ms);
                held(&mut next, hold)?.expiry = Expiry::NotBefore(from);
            }
            Request::Cancel { hold } => cancel(&mut next, hold, None)?,
            Request::Read => return Ok(Vec::new()),
        }
        Ok(vec![next])
    }

    /// Takes the places of an expired hold again, confirmed, as the hold `told` of, with its fence;
    /// at the first time at which they may be free, if nobody knows when.
    fn reacquire(
        &self,
        next: &mut Resource,
        hold: &str,
        op: &Asked,
        told: Option<(Arc<str>, u64)>,
        at_ms: Option<u64>,
    ) -> Result<(), Wrong> {
        next.advance(at_ms.unwrap_or_else(|| end_of(next, hold)))?;
        lapse(next, hold);
        let by = told.as_ref().map_or(&op.name, |(by, _)| by);
        let again = next.holds.get(hold).and_then(|hold| hold.again.clone());
        if let Some(again) = again.filter(|again| next.holds.get(again).is_some_and(|h| !h.told)) {
            next.tell(&again, by);
        }
        let expired = next.holds.get_mut(hold).ok_or(Wrong::Lost)?;
        match (expired.phase, &expired.again) {
            (Phase::Expired, Some(again)) if again == by => return Ok(()),
            (Phase::Expired, None) => {}
            (Phase::Held, _) => return Err(Wrong::StillHeld),
            _ => return Err(Wrong::Resolved),
        }
        expired.again = Some(by.clone());
        let places = expired.places.clone();
        if let Some((_, fence)) = &told {
            next.raise_fence(*fence)?;
        }
        if at_ms.is_none() {
            let from = next.fits_from(&self.capacity, &places).ok_or(Wrong::NotFree)?;
            next.advance(from)?;
        }
        let expiry = Expiry::At(next.now_ms);
        self.take(next, told.map(|told| told.0), op, Some(places), Phase::Confirmed, expiry)
    }

    fn take(
        &self,
        next: &mut Resource,
        told: Option<Arc<str>>,
        op: &Asked,
        places: Option<Arc<Places>>,
        phase: Phase,
        expiry: Expiry,
    ) -> Result<(), Wrong> {
        let places = places.ok_or(Wrong::Nonsense)?;
        if !next.may_fit(&self.capacity, &places) {
            return Err(Wrong::NotFree);
        }
        let hold = Hold { places, phase, expiry, again: None, told: told.is_some() };
        next.take(&told.unwrap_or_else(|| op.name.clone()), hold)
    }

    fn refused(
        &self,
        next: &mut Resource,
        op: &Asked,
        refusal: &Refusal,
        at_ms: Option<u64>,
    ) -> Result<(), Wrong> {
        if let Some(at_ms) = at_ms {
            next.advance(at_ms)?;
        }
        let hold = op.request.hold();
        match (refusal, hold) {
            (Refusal::NoHold, Some(hold)) if !next.holds.contains_key(hold) => Ok(()),
            (Refusal::NoHold, Some(_)) => Err(Wrong::Lost),
            (Refusal::SoldOut | Refusal::SeatTaken(_), _) => {
                self.refused_places(next, op, refusal, at_ms)
            }
            (Refusal::HoldExpired, Some(hold)) => {
                next.advance(at_ms.unwrap_or_else(|| end_of(next, hold)))?;
                lapse(next, hold);
                match next.holds.get(hold).ok_or(Wrong::Lost)?.phase {
                    Phase::Expired => Ok(()),
                    Phase::Held => Err(Wrong::StillHeld),
                    _ => Err(Wrong::Resolved),
                }
            }
            (Refusal::WrongState, Some(hold)) => {
                let phase = next.holds.get(hold).ok_or(Wrong::Lost)?.phase;
                match (&op.request, phase) {
                    (Request::Cancel { .. }, Phase::Confirmed) => Err(Wrong::Resolved),
                    (Request::Cancel { .. }, _) => Ok(()),
                    (_, Phase::Held) => Err(Wrong::StillHeld),
                    _ => Ok(()),
                }
            }
            _ => Err(Wrong::Nonsense),
        }
    }

    fn refused_places(
        &self,
        next: &mut Resource,
        op: &Asked,
        refusal: &Refusal,
        at_ms: Option<u64>,
    ) -> Result<(), Wrong> {
        let places = match (&op.request, op.request.hold()) {
            (Request::Hold { places, .. }, _) => Arc::new(places.clone()),
            (Request::Confirm { reacquire: true, .. }, Some(hold)) => {
                next.advance(at_ms.unwrap_or_else(|| end_of(next, hold)))?;
                lapse(next, hold);
                let hold = next.holds.get(hold).ok_or(Wrong::Lost)?;
                if hold.phase != Phase::Expired {
                    return Err(Wrong::StillHeld);
                }
                hold.places.clone()
            }
            _ => return Err(Wrong::Nonsense),
        };
        let right = match refusal {
            Refusal::SeatTaken(seats) if !seats.is_empty() => seats.iter().all(|seat| {
                let one = Places::Seats(vec![seat.clone()]);
                places.seats().contains(seat) && next.may_be_taken(&self.capacity, &one)
            }),
            _ => next.may_be_taken(&self.capacity, &places),
        };
        if right { Ok(()) } else { Err(Wrong::StillFree) }
    }
}

/// Ends the time in which a hold is held. Again, it changes nothing.
fn resolve(next: &mut Resource, hold: &str, at_ms: Option<u64>, to: Phase) -> Result<(), Wrong> {
    next.advance(at_ms.unwrap_or(next.now_ms))?;
    if next.holds.get(hold).is_some_and(|hold| hold.phase == to) {
        return Ok(());
    }
    held(next, hold)?.phase = to;
    Ok(())
}

fn cancel(next: &mut Resource, hold: &str, at_ms: Option<u64>) -> Result<(), Wrong> {
    next.advance(at_ms.unwrap_or(next.now_ms))?;
    let hold = next.holds.get_mut(hold).ok_or(Wrong::Lost)?;
    match hold.phase {
        Phase::Confirmed | Phase::Cancelled => hold.phase = Phase::Cancelled,
        Phase::Held => return Err(Wrong::StillHeld),
        Phase::Released | Phase::Expired => return Err(Wrong::Resolved),
    }
    Ok(())
}

fn held<'n>(next: &'n mut Resource, hold: &str) -> Result<&'n mut Hold, Wrong> {
    let hold = next.holds.get_mut(hold).ok_or(Wrong::Lost)?;
    match hold.phase {
        Phase::Held => Ok(hold),
        Phase::Expired => Err(Wrong::Lapsed),
        _ => Err(Wrong::Resolved),
    }
}

/// The first time from now on at which `hold` may be over.
fn end_of(next: &Resource, hold: &str) -> u64 {
    match next.holds.get(hold) {
        Some(Hold {
            phase: Phase::Held, expiry: Expiry::At(at) | Expiry::NotBefore(at), ..
        }) => next.now_ms.max(*at),
        _ => next.now_ms,
    }
}

/// Has a hold be over that may be.
fn lapse(next: &mut Resource, hold: &str) {
    let now_ms = next.now_ms;
    if let Some(hold) = next.holds.get_mut(hold)
        && hold.phase == Phase::Held
        && matches!(hold.expiry, Expiry::NotBefore(from) if from <= now_ms)
    {
        hold.phase = Phase::Expired;
    }
}
