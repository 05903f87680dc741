//! How far views elsewhere, which the outbox feeds, are behind what happened in a partition: what is yet to be
//! told, or is on its way. It may say too much, never too little.
//!
//! Plain code: the simulator drives it as a node does.

use evenkeel_engine::{OutboxStats, Time};
use std::collections::VecDeque;

/// What partitions make of what others tell them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// What conversations tell their members.
    Inboxes,
    /// What authors tell their followers.
    Feeds,
}

impl View {
    pub(crate) const ALL: [Self; 2] = [Self::Inboxes, Self::Feeds];
}

/// Steps that are remembered until what they told has arrived.
const TOLD_MAX: usize = 64;

/// What a partition knows of it.
#[derive(Debug, Default)]
pub struct Lateness {
    /// Since when there is something to tell.
    untold_since: Option<Time>,
    /// What they have told and may be on its way: when it was sent, and since when it had happened.
    told: VecDeque<(Time, Time)>,
}

impl Lateness {
    /// At `now`, it begins to lead. What is on its way then was told in an earlier life: nobody knows since when
    /// it had happened.
    pub fn begin(&mut self, now: Time) {
        self.told.push_back((now, Time(1)));
    }

    /// At `now`, there has been something to tell since `since`.
    pub fn untold(&mut self, since: Option<Time>, now: Time) {
        if self.untold_since == since {
            return;
        }
        if let Some(told) = std::mem::replace(&mut self.untold_since, since) {
            self.told.push_back((now, told));
        }
        // Of many that wait, two are as late as both together.
        if self.told.len() > TOLD_MAX
            && let Some((at, newer)) = self.told.pop_back()
            && let Some(last) = self.told.back_mut()
        {
            *last = (at, newer.min(last.1));
        }
    }

    /// Forgets what has arrived everywhere, of a partition whose outbox stands so.
    pub fn settle(&mut self, outbox: &OutboxStats, leads: bool) {
        let sent = sent(outbox, leads);
        while self.told.front().is_some_and(|(at, _)| sent.is_none_or(|sent| sent > *at)) {
            self.told.pop_front();
        }
    }

    /// Since when something is not in the views of one partition, of one that leads or does not, and whose outbox
    /// for that stands so.
    pub fn behind(&self, outbox: &OutboxStats, leads: bool) -> Option<Time> {
        let sent = sent(outbox, leads);
        // What was told before what is on its way has arrived.
        let told = self.told.iter().filter(|(at, _)| sent.is_some_and(|sent| sent <= *at));
        let told = told.map(|(_, since)| *since).min();
        [self.untold_since, told, sent].into_iter().flatten().min()
    }
}

/// When the oldest was sent that is on its way.
fn sent(outbox: &OutboxStats, leads: bool) -> Option<Time> {
    // Who does not lead knows nothing of what is on its way; it may be of any time.
    let is_known = outbox.is_known && leads;
    let is_on_its_way = outbox.rows > 0 || !is_known;
    is_on_its_way.then(|| outbox.oldest.filter(|_| is_known).unwrap_or(Time(1)))
}

/// How often a survey asks each partition. What one hands on to another, which has yet to tell it, is with
/// one of them at every moment, but may be with neither when that one is asked: when it is asked again, it is there.
pub const SURVEY_ROUNDS: usize = 2;

/// How late a view is over all partitions, which are asked one after the other while they go on.
#[derive(Debug, Clone, Copy)]
pub struct Survey {
    now: Time,
    behind: Option<Time>,
}

impl Survey {
    /// Begins: nobody was asked before `now`.
    #[must_use]
    pub fn new(now: Time) -> Self {
        Self { now, behind: None }
    }

    /// A partition has said since when something of it is not in the view.
    pub fn hear(&mut self, behind: Option<Time>) {
        self.behind = [self.behind, behind].into_iter().flatten().min();
    }

    /// How late it is at `now`, which may be after the survey: what has happened since then may be missing too.
    #[must_use]
    pub fn late_ms(&self, now: Time) -> u64 {
        // What happened within that millisecond may be missing.
        let behind = self.behind.map_or(0, |behind| (now.0 + 1).saturating_sub(behind.0));
        behind.max(now.0.saturating_sub(self.now.0))
    }
}

/// How fresh a view is to be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// When it was asked for: what happened before that is fresh enough for everybody.
    pub began: Time,
    /// How late it may be.
    pub bound_ms: u64,
    /// When it is given up.
    pub deadline: Time,
}

/// What a survey comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surveyed {
    /// It is fresh enough, and so late.
    Fresh {
        /// By so much.
        late_ms: u64,
    },
    /// It may be, a moment later.
    NotYet,
    /// It is not, and nobody waits any longer.
    TooLate {
        /// By so much.
        late_ms: u64,
    },
}

impl Wanted {
    /// Whether what a survey found will do.
    #[must_use]
    pub fn judge(&self, survey: &Survey) -> Surveyed {
        self.judge_at(survey, survey.now)
    }

    /// The same of what was read at `now`, after the survey.
    #[must_use]
    pub fn judge_at(&self, survey: &Survey, now: Time) -> Surveyed {
        let late_ms = survey.late_ms(now);
        if late_ms <= self.bound_ms || survey.behind.is_none_or(|behind| behind > self.began) {
            Surveyed::Fresh { late_ms }
        } else if now >= self.deadline {
            Surveyed::TooLate { late_ms }
        } else {
            Surveyed::NotYet
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The oldest that is on its way was sent then.
    fn sent(oldest: Option<u64>) -> OutboxStats {
        OutboxStats {
            rows: oldest.map_or(0, |_| 1),
            oldest: oldest.map(Time),
            is_known: true,
            dead: 0,
        }
    }

    fn since(late: &mut Lateness, oldest: Option<u64>) -> Option<Time> {
        late.settle(&sent(oldest), true);
        late.behind(&sent(oldest), true)
    }

    #[test]
    fn what_was_told_is_late_until_it_has_arrived() {
        let late = &mut Lateness::default();
        late.untold(Some(Time(10)), Time(12));
        assert_eq!(since(late, None), Some(Time(10)));
        late.untold(None, Time(50));
        assert_eq!(since(late, Some(50)), Some(Time(10)), "it is on its way");
        assert_eq!(late.behind(&sent(None), true), None, "to where it is not, it is not late");
        assert_eq!(since(late, Some(51)), Some(Time(51)), "only what was sent later is");
        assert_eq!(since(late, None), None);
        assert_eq!(
            late.behind(&sent(None), false),
            Some(Time(1)),
            "who does not lead knows nothing"
        );
    }

    /// Something is always on its way, and conversations begin to have something to tell all the time.
    #[test]
    fn under_load_it_is_as_late_as_it_is_and_no_later() {
        let late = &mut Lateness::default();
        for now in 1_000..200_000_u64 {
            // A step every 160 ms; and what is on its way was sent in the last 100.
            let step = now / 160 * 160;
            late.untold(Some(Time(step - 160)), Time(now));
            let since = since(late, Some(now - 100)).unwrap();
            assert!(now - since.0 <= 3 * 160 + 100, "{since:?} at {now}");
        }
    }

    #[test]
    fn what_was_told_in_an_earlier_life_may_be_of_any_time() {
        let late = &mut Lateness::default();
        late.begin(Time(50));
        late.untold(None, Time(50));
        assert_eq!(since(late, Some(40)), Some(Time(1)), "something from then is on its way");
        assert_eq!(since(late, Some(60)), Some(Time(60)), "it has arrived");
        late.begin(Time(70));
        assert_eq!(since(late, None), None, "nothing was on its way");
    }

    #[test]
    fn what_is_handed_on_meanwhile_is_not_missed() {
        // The second has something for the first, which has it, and has it to tell, once it was asked.
        let rounds = [[None, None], [Some(Time(10)), None]];
        let mut survey = Survey::new(Time(50));
        for behind in rounds.into_iter().take(SURVEY_ROUNDS).flatten() {
            survey.hear(behind);
        }
        let wanted =
            |bound_ms, deadline| Wanted { began: Time(50), bound_ms, deadline: Time(deadline) };
        assert_eq!(wanted(41, 90).judge(&survey), Surveyed::Fresh { late_ms: 41 });
        assert_eq!(wanted(40, 90).judge(&survey), Surveyed::NotYet);
        assert_eq!(wanted(40, 50).judge(&survey), Surveyed::TooLate { late_ms: 41 });
        let wanted = Wanted { began: Time(9), ..wanted(0, 90) };
        assert_eq!(wanted.judge(&survey), Surveyed::Fresh { late_ms: 41 }, "it is as of later");
        assert_eq!(survey.late_ms(Time(60)), 51, "what happens meanwhile may be missing too");
    }

    #[test]
    fn nothing_behind_is_not_late_and_something_of_this_millisecond_is() {
        let wanted = Wanted { began: Time(50), bound_ms: 0, deadline: Time(90) };
        let mut survey = Survey::new(Time(50));
        assert_eq!(wanted.judge(&survey), Surveyed::Fresh { late_ms: 0 });
        survey.hear(Some(Time(50)));
        assert_eq!(wanted.judge(&survey), Surveyed::NotYet, "it may have been answered before");
    }
}
