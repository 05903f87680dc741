//! Rounds: what happened in a conversation is told to its members' inboxes, some members a step.
//!
//! A message costs no row in any inbox. It makes its conversation *due*, and the partition's one timer
//! goes round: whatever happened since the last time is told together, as how things stand, so that a
//! conversation in which much happens tells no more often than one in which little does, and one that
//! is busy while others wait waits its turn. How late that makes an inbox, each inbox says.
//!
//! The same timer takes deletions into the members' counts where there are many, so that counting never has
//! to look at more: with what inboxes leave it, since nobody waits for that.

use super::{
    conversation::{Subject, Unfolded},
    inbox::Words,
    tables::{Deletions, Fold, Folds, Members, RoundDue, RoundTimer, Rounds},
};
use crate::Domains;
use evenkeel_engine::{Context, Entity, Time};
use evenkeel_state::{Found, Order, Read, StateError};
use std::ops::Bound;

/// The least time from the end of one round of a conversation to the beginning of the next.
pub const ROUND_EVERY_MS: u64 = 200;
/// Members that the conversations of a partition tell in one step, together.
pub const STEP_MEMBERS_MAX: usize = 256;
/// The least time from one step to the next: what is told in one step goes to each partition together.
pub const STEP_EVERY_MS: u64 = 160;
/// Conversations that one step looks at.
const STEP_CONVERSATIONS_MAX: usize = 256;
/// Conversations whose deletions one step takes into counts.
const STEP_FOLDS_MAX: usize = 16;
/// Deletions that were taken in and are forgotten with each new one: more than come, so that none stays.
const FORGOTTEN_A_DELETION: u64 = 4;
/// A timer that is over for so long did not come.
const LOST_AFTER_MS: u64 = 10_000;
/// The entity of the timer; no conversation has it.
pub(super) const TIMER: u64 = 0;

impl Subject<'_, '_, '_> {
    /// Something happened that all inboxes are to be told.
    pub(super) fn tell_all(&mut self) -> Result<(), StateError> {
        self.changed = true;
        let now = self.ctx.now();
        let round = &mut self.row.round;
        if round.due.is_some() {
            if !round.after.is_empty() && round.again.is_none() {
                round.again = Some(now);
            }
            return Ok(());
        }
        let due = now.max(round.ended_at.plus_ms(ROUND_EVERY_MS));
        self.begin_round(due)
    }

    fn begin_round(&mut self, due: Time) -> Result<(), StateError> {
        self.row.round.due = Some(due);
        self.row.round.after.clear();
        self.ctx.tx.put::<Rounds>(&(due.0, self.row.id), &());
        self.ctx.touch(ROUNDS);
        aim(self.ctx, due)
    }

    /// Up to `room` members after this one, by name.
    fn some_members(&self, after: &str, room: usize) -> Result<Found<Members>, StateError> {
        let after = Bound::Excluded((self.row.id, after.to_owned()));
        let end = Bound::Excluded((self.row.id + 1, String::new()));
        self.ctx.tx.scan::<Members>((after, end), Order::Ascending, room)
    }

    /// Tells up to `room` members, and ends the round after the last of them. Answers how many it told.
    fn go_round(
        &mut self,
        domains: &Domains,
        room: usize,
        words: &mut Words,
    ) -> Result<usize, StateError> {
        let rows = self.some_members(&self.row.round.after, room)?;
        let unfolded = Unfolded::of(&*self.ctx.tx, &self.row)?;
        let told_now = rows.len();
        for ((_, user), member) in rows {
            let told = unfolded.told(&self.row, &user, &member);
            self.row.round.after.clone_from(&user);
            words.add(domains, &self.key, user, Some((member.role, told)));
        }
        if told_now < room {
            self.end_round()?;
        }
        self.changed = true;
        Ok(told_now)
    }

    fn end_round(&mut self) -> Result<(), StateError> {
        if let Some(due) = self.row.round.due.take() {
            self.ctx.tx.delete::<Rounds>(&(due.0, self.row.id));
        }
        self.row.round.after.clear();
        self.row.round.ended_at = self.ctx.now();
        match self.row.round.again.take() {
            // No later than that after what it is for, so that what is due tells how late inboxes are.
            Some(again) => self.begin_round(again.plus_ms(ROUND_EVERY_MS)),
            None => Ok(()),
        }
    }

    /// A message was deleted: has deletions taken into the members' counts once there are many, and forgets
    /// some that were.
    pub(super) fn fold_some(&mut self) -> Result<(), StateError> {
        let last = self.row.folded.min(self.row.forgotten + FORGOTTEN_A_DELETION);
        for number in self.row.forgotten + 1..=last {
            self.ctx.tx.delete::<Deletions>(&(self.row.id, number));
        }
        self.row.forgotten = last;
        let unfolded = self.row.deletions - self.row.folded;
        if self.row.fold.is_none() && unfolded >= super::FOLD_AT {
            self.row.fold = Some(Fold { through: self.row.deletions, after: String::new() });
            self.ctx.tx.put::<Folds>(&self.row.id, &());
            aim(self.ctx, self.ctx.now())?;
        }
        Ok(())
    }

    /// Takes deletions into the counts of up to `room` members. Answers of how many.
    fn go_on_folding(&mut self, room: usize) -> Result<usize, StateError> {
        let Some(Fold { through, after }) = self.row.fold.take() else { return Ok(0) };
        let rows = self.some_members(&after, room)?;
        let unfolded = Unfolded::of(&*self.ctx.tx, &self.row)?;
        let looked_at = rows.len();
        let last = rows.last().map(|((_, user), _)| user.clone());
        for ((_, user), mut member) in rows {
            let gone = unfolded.for_member(&user, &member, through);
            if gone > 0 {
                member.passed += gone;
                member.folded = through;
                self.put_member(&user, &member);
            }
        }
        match last.filter(|_| looked_at == room) {
            Some(after) => self.row.fold = Some(Fold { through, after }),
            None => {
                self.row.folded = through;
                self.ctx.tx.delete::<Folds>(&self.row.id);
            }
        }
        self.changed = true;
        Ok(looked_at)
    }
}

/// Since when inboxes may not know what happened in a conversation of this partition; none if they know
/// all.
pub fn behind_since(read: &impl Read) -> Result<Option<Time>, StateError> {
    let RoundDue { from, .. } = read.get::<RoundTimer>(&())?.unwrap_or_default();
    let oldest = read.scan::<Rounds>((from.0, 0).., Order::Ascending, 1)?;
    Ok(oldest.first().map(|((due, _), ())| Time(*due).minus_ms(ROUND_EVERY_MS)))
}

/// What is told whenever that changes.
pub const ROUNDS: Entity = Entity { domain: super::DOMAIN, id: TIMER };

/// Sets the partition's timer for a round that begins at `due`, unless it is set for earlier.
fn aim(ctx: &mut Context<'_, '_>, due: Time) -> Result<(), StateError> {
    let mut row = ctx.tx.get::<RoundTimer>(&())?.unwrap_or_default();
    let before = row.from;
    row.from = before.min(due);
    let at = due.max(row.stepped_at.plus_ms(STEP_EVERY_MS));
    // One that is long over did not come: what it was to do failed.
    let is_lost = |set: Time| set.plus_ms(LOST_AFTER_MS) < ctx.now();
    let is_sooner = row.timer.is_none_or(|set| set > at || is_lost(set));
    if is_sooner {
        if let Some(set) = row.timer.replace(at) {
            ctx.clear_timer(set, super::DOMAIN, TIMER);
        }
        ctx.set_timer(at, super::DOMAIN, TIMER);
    }
    if is_sooner || row.from < before {
        ctx.tx.put::<RoundTimer>(&(), &row);
    }
    Ok(())
}

/// The partition's timer is due: goes on with the rounds that wait longest.
pub(super) fn step(ctx: &mut Context<'_, '_>, domains: &Domains) -> Result<(), StateError> {
    let RoundDue { from, .. } = ctx.tx.get::<RoundTimer>(&())?.unwrap_or_default();
    let now = ctx.now();
    // What begins meanwhile sets no timer: that is done here, for all.
    let stepping = RoundDue { timer: Some(now), from, stepped_at: now };
    ctx.tx.put::<RoundTimer>(&(), &stepping);
    ctx.touch(ROUNDS);
    let waiting = ctx.tx.scan::<Rounds>((from.0, 0).., Order::Ascending, STEP_CONVERSATIONS_MAX)?;
    let (mut room, mut words) = (STEP_MEMBERS_MAX, Words::default());
    for ((due, id), ()) in waiting {
        if Time(due) > now || room == 0 {
            break;
        }
        match Subject::of_id(ctx, id)? {
            Some(mut subject) => {
                room -= subject.go_round(domains, room, &mut words)?.min(room);
                subject.save();
            }
            None => ctx.tx.delete::<Rounds>(&(due, id)),
        }
    }
    words.send(ctx)?;
    fold_on(ctx, room)?;
    let first = ctx.tx.scan::<Rounds>((from.0, 0).., Order::Ascending, 1)?;
    let next = first.first().map(|((due, _), ())| Time(*due));
    let folds = !ctx.tx.scan::<Folds>(.., Order::Ascending, 1)?.is_empty();
    let soonest = now.plus_ms(STEP_EVERY_MS);
    let timer = next.map(|due| due.max(soonest)).or(folds.then_some(soonest));
    let timer = if folds { timer.min(Some(soonest)) } else { timer };
    if let Some(due) = timer {
        ctx.set_timer(due, super::DOMAIN, TIMER);
    }
    // Nothing that begins from now on is due before: rows that are gone are not looked through again.
    let from = next.unwrap_or(now);
    ctx.tx.put::<RoundTimer>(&(), &RoundDue { timer, from, ..stepping });
    Ok(())
}

/// Goes on taking deletions into counts, with what inboxes have left of a step, but some in any case.
fn fold_on(ctx: &mut Context<'_, '_>, room: usize) -> Result<(), StateError> {
    let mut room = room.max(STEP_MEMBERS_MAX / 4);
    for (id, ()) in ctx.tx.scan::<Folds>(.., Order::Ascending, STEP_FOLDS_MAX)? {
        match Subject::of_id(ctx, id)? {
            Some(mut subject) => {
                room -= subject.go_on_folding(room)?.min(room);
                subject.save();
            }
            None => ctx.tx.delete::<Folds>(&id),
        }
        if room == 0 {
            break;
        }
    }
    Ok(())
}
