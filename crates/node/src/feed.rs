//! Feeds, whose views are fed by the outbox.

use crate::{
    Called, Node, NodeError, ReadOptions, Tenant,
    lateness::{SURVEY_ROUNDS, Survey, Surveyed, View, Wanted},
};
use evenkeel_domains::{
    Found, Query,
    feed::{self, Listed, TimelinePage, What},
};
use evenkeel_log::{Files, PartitionId};
use std::time::Duration;

/// Whoever waits for a view to be fresher looks at least this often whether it is.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

impl<F: Files> Node<F> {
    /// What `query` asks for. Where other partitions tell of it, it is as late as the answer says, and no later
    /// than is asked for.
    pub async fn feed(
        &self,
        tenant: &Tenant,
        query: feed::Query,
        options: ReadOptions,
    ) -> Result<Called<feed::Found>, NodeError> {
        let is_told = matches!(
            query.what,
            What::User | What::Timeline { .. } | What::People { listed: Listed::Followers, .. }
        );
        let query = Query::Feed(query);
        if !is_told {
            return self.query(tenant, query, options).await.map(of_feed);
        }
        let place = self.partition_of(tenant, query.scope());
        let wanted = self.wanted(query.path(), &options);
        loop {
            let mut survey = self.survey(View::Feeds, place, &wanted).await?;
            let called = of_feed(self.query(tenant, query.clone(), options.clone()).await?);
            // What comes meanwhile may be missing, and what a follow has yet to bring.
            if let feed::Found::Timeline(TimelinePage { filling_since, .. }) = &called.answer {
                survey.hear(*filling_since);
            }
            match wanted.judge_at(&survey, self.now()) {
                Surveyed::Fresh { late_ms } => {
                    return Ok(Called { staleness_ms: late_ms, ..called });
                }
                Surveyed::TooLate { late_ms } => return Err(NodeError::NotUpToBound { late_ms }),
                // Nobody says when what a follow brings has come; what has aged meanwhile is surveyed anew.
                Surveyed::NotYet => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// How fresh a view is to be that is read on a path.
    pub(crate) fn wanted(&self, path: &str, options: &ReadOptions) -> Wanted {
        let (began, settings) = (self.now(), self.settings(path));
        let deadline = began.plus_ms(options.deadline_ms_by(&settings));
        // Where nothing may be stale, what happened before is in it.
        let bound_ms = options.may_be_stale_ms_by(&settings).unwrap_or(0);
        Wanted { began, bound_ms, deadline }
    }

    /// Waits until a view of a partition is as fresh as is wanted. Answers how late it may be.
    pub(crate) async fn survey(
        &self,
        view: View,
        of: PartitionId,
        wanted: &Wanted,
    ) -> Result<Survey, NodeError> {
        loop {
            let forward = self.0.forward.next(view, of);
            let mut survey = Survey::new(self.now());
            for _ in 0..SURVEY_ROUNDS {
                for owner in self.0.owners.values() {
                    survey.hear(owner.gauges.behind(view, of));
                }
            }
            match wanted.judge(&survey) {
                Surveyed::Fresh { .. } => return Ok(survey),
                Surveyed::TooLate { late_ms } => return Err(NodeError::NotUpToBound { late_ms }),
                Surveyed::NotYet => drop(tokio::time::timeout(LOOK_AGAIN, forward).await),
            }
        }
    }
}

fn of_feed(called: Called<Found>) -> Called<feed::Found> {
    called.map(|found| {
        let Found::Feed(found) = found else { unreachable!("a feed is answered") };
        found
    })
}
