//! What a query finds: whether anything is left to do, and in the end every job.

use super::{
    super::{judge, machines::BEGIN_MS},
    QUEUES, QUIET_LOOKS, World, asking,
};
use crate::history::jobs::{End, Last};
use evenkeel_domains::{
    Found, Query,
    jobs::{self, JobId, State},
};
use evenkeel_engine::{Delivered, Time};
use evenkeel_log::Offset;
use std::collections::BTreeMap;

impl World {
    fn find(&self, query: jobs::Query) -> Option<jobs::Found> {
        let owner = judge::owner(&self.machines)?;
        let at = Time(self.machines.now_ms);
        let delivered = Delivered { offset: Offset(0), at, replayed: false };
        match owner.query(&Query::Jobs(query), delivered)? {
            Found::Jobs(found) => Some(found),
            _ => unreachable!("a read of jobs is answered by their domain"),
        }
    }

    /// Whether no job can be had, now or later.
    pub(super) fn is_drained(&self) -> bool {
        let can_run = [State::Scheduled, State::Retry, State::Ready, State::Leased];
        let owner = judge::owner(&self.machines).and_then(|owner| owner.partition.as_ref());
        let all_is_told = owner.is_some_and(|owner| owner.outbox_stats().rows == 0);
        all_is_told
            && QUEUES.iter().all(|queue| {
                let query = jobs::Query::Queue { queue: (*queue).into(), after: None };
                let Some(jobs::Found::Queue(view)) = self.find(query) else { return false };
                can_run.iter().all(|state| view.counts[*state as usize] == 0)
            })
    }

    /// Every job that there is.
    pub(super) fn end(&self) -> Option<End> {
        let mut jobs = BTreeMap::new();
        for place in 0..QUEUES.len() {
            self.list(place, &mut jobs)?;
        }
        Some(End { jobs, drained: self.quiet >= QUIET_LOOKS && self.rests() })
    }

    fn list(&self, place: usize, found: &mut BTreeMap<String, Last>) -> Option<()> {
        let mut after = None;
        loop {
            let (queue, limit) = (QUEUES[place].to_owned(), usize::MAX);
            let page =
                self.find(jobs::Query::Jobs { queue, state: None, kind: None, after, limit });
            let Some(jobs::Found::Jobs(page, next)) = page else { return None };
            for view in page {
                let (name, last) = self.last(place, view.job)?;
                found.insert(name, last);
            }
            after = next;
            if after.is_none() {
                return Some(());
            }
        }
    }

    fn last(&self, place: usize, number: u64) -> Option<(String, Last)> {
        let (queue, place) = (QUEUES[place].to_owned(), u16::try_from(place).ok()?);
        let job = JobId { partition: place, number };
        let found = self.find(jobs::Query::Job { queue, job })?;
        let jobs::Found::Job(detail) = found else { return None };
        let jobs::JobView { state, attempt, failures, crashes, created_at, .. } = detail.job;
        let (state, ordering_key) = (asking::state(state), detail.ordering_key);
        let created_ms = created_at.0.saturating_sub(BEGIN_MS);
        let after = detail.after.iter().map(ToString::to_string).collect();
        let last = Last { state, attempt, failures, crashes, ordering_key, created_ms, after };
        Some((asking::name(place, number), last))
    }
}
