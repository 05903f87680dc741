//! How far views elsewhere, which the outbox feeds, are behind what happened in a partition: what is yet to be
//! told, or is on its way. It may say too much, never too little.

use evenkeel_engine::Time;
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

/// What is known of it.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    /// Since when there is something to tell.
    untold_since: Option<Time>,
    /// What they have told and may be on its way: when it was sent, and since when it had happened.
    told: VecDeque<(Time, Time)>,
}

impl Lateness {
    /// At `now`, there has been something to tell since `since`.
    pub(crate) fn untold(&mut self, since: Option<Time>, now: Time) {
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

    /// Since when something is not in the views, if the oldest that is on its way was sent at `sent`.
    pub(crate) fn since(&mut self, sent: Option<Time>) -> Option<Time> {
        // What was told before that has arrived.
        while self.told.front().is_some_and(|(at, _)| sent.is_none_or(|sent| sent > *at)) {
            self.told.pop_front();
        }
        let told = self.told.iter().map(|(_, since)| *since).min();
        [self.untold_since, told, sent].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_late_until_it_has_arrived() {
        let mut late = Lateness::default();
        late.untold(Some(Time(10)), Time(12));
        assert_eq!(late.since(None), Some(Time(10)));
        late.untold(None, Time(50));
        assert_eq!(late.since(Some(Time(50))), Some(Time(10)), "it is on its way");
        assert_eq!(late.since(Some(Time(51))), Some(Time(51)), "only what was sent later is");
        assert_eq!(late.since(None), None);
    }

    /// Something is always on its way, and conversations begin to have something to tell all the time.
    #[test]
    fn under_load_it_is_as_late_as_it_is_and_no_later() {
        let mut late = Lateness::default();
        for now in 1_000..200_000_u64 {
            // A step every 160 ms; and what is on its way was sent in the last 100.
            let step = now / 160 * 160;
            late.untold(Some(Time(step - 160)), Time(now));
            let since = late.since(Some(Time(now - 100))).unwrap();
            assert!(now - since.0 <= 3 * 160 + 100, "{since:?} at {now}");
        }
    }
}
