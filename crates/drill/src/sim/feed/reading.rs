//! How a timeline is read: first it is found out how late it is, and waited until that will do.

use super::{Event, PARTITIONS, USERS, World, asking};
use crate::{
    history::feed::{Outcome, Page, Place, Request},
    sim::{machines::BEGIN_MS, node::SimPartition, plan::Scene},
};
use evenkeel_domains::{
    Found, Query,
    feed::{self, What},
};
use evenkeel_engine::{Delivered, Role, Time};
use evenkeel_log::Offset;
use evenkeel_node::{Lateness, SURVEY_ROUNDS, Survey, Surveyed, Wanted};

/// Who waits for a timeline to be fresher waits so long at most.
const DEADLINE_MS: u64 = 250;
const LOOK_AGAIN_MS: u64 = 5;

/// A read on its way through a node.
pub(in crate::sim) struct Reading {
    pub(super) operation: usize,
    pub(super) node: usize,
    client: usize,
    /// In which of its lives.
    life: u64,
    wanted: Wanted,
    survey: Survey,
    /// How often a partition was asked.
    asked: usize,
    /// When the survey began; then, what the timeline is complete to.
    complete_to: Option<Time>,
}

/// What a node knows of how late views elsewhere are.
pub(super) struct Views {
    life: u64,
    /// Whether it has looked at what there is to tell, since it leads.
    has_looked: bool,
    lateness: Lateness,
}

impl Views {
    pub(super) fn new(life: u64) -> Self {
        Self { life, has_looked: false, lateness: Lateness::default() }
    }

    pub(super) fn step_down(&mut self) {
        self.has_looked = false;
    }
}

impl World {
    /// What a node knows: nothing of what it knew in an earlier life.
    pub(super) fn views(&mut self, node: usize) -> &mut Views {
        let life = self.machines.nodes[node].life;
        let views = &mut self.views[node];
        if views.life != life {
            *views = Views::new(life);
        }
        views
    }

    /// There is something to tell followers elsewhere, or less of it.
    pub(super) fn untold(&mut self, node: usize) {
        let now = Time(self.machines.now_ms);
        let Some(partition) = &self.machines.nodes[node].partition else { return };
        if let Ok(since) = feed::behind_since(&partition.view()) {
            self.views(node).lateness.untold(since, now);
        }
    }

    /// Whoever begins to lead looks at what there is to tell.
    pub(super) fn look_at_new_owners(&mut self) {
        for node in 0..self.views.len() {
            if self.machines.nodes[node].role() == Some(Role::Owner)
                && !std::mem::replace(&mut self.views(node).has_looked, true)
            {
                self.untold(node);
            }
        }
    }

    /// Since when something of this node's partition is not in timelines elsewhere.
    fn behind(&mut self, node: usize) -> Option<Time> {
        let Some(partition) = &self.machines.nodes[node].partition else { return Some(Time(1)) };
        let (outbox, leads) = (partition.outbox_stats(), partition.role() == Role::Owner);
        self.views(node).lateness.behind(&outbox, leads)
    }

    /// A read has come to a node.
    pub(super) fn read(&mut self, node: usize, operation: usize, client: usize) {
        let now = Time(self.machines.now_ms);
        let bound_ms = self.clients[client].current.as_ref().map_or(0, |one| one.bound_ms);
        let reading = Reading {
            operation,
            node,
            client,
            life: self.machines.nodes[node].life,
            wanted: Wanted { began: now, bound_ms, deadline: now.plus_ms(DEADLINE_MS) },
            survey: Survey::new(now),
            asked: 0,
            complete_to: None,
        };
        match self.scene {
            Scene::Local => self.survey(reading),
            Scene::Cluster => self.look(&reading),
        }
    }

    /// Asks the next partition; all are of one process, and go on meanwhile.
    pub(super) fn survey(&mut self, mut reading: Reading) {
        if self.machines.nodes[reading.node].life != reading.life {
            return;
        }
        let now = Time(self.machines.now_ms);
        if reading.asked == 0 {
            (reading.survey, reading.complete_to) = (Survey::new(now), Some(now));
        }
        let place = reading.asked % usize::from(PARTITIONS);
        let asked = self.machines.nodes_of(place).start;
        let behind = self.behind(asked);
        reading.survey.hear(behind);
        reading.asked += 1;
        if reading.asked < SURVEY_ROUNDS * usize::from(PARTITIONS) {
            // A thread that asks may be held up between two partitions.
            let is_held_up = self.machines.rng.u8(0..8) == 0;
            let pause = if is_held_up { self.machines.rng.u64(1..40) } else { 0 };
            return self.machines.later(pause, Event::Survey(reading));
        }
        match reading.wanted.judge(&reading.survey) {
            Surveyed::Fresh { late_ms } => {
                reading.complete_to = reading.complete_to.map(|at| Time(at.0 - late_ms));
                let pause = self.machines.rng.u64(0..3);
                self.machines.later(pause, Event::Look(reading));
            }
            Surveyed::NotYet => {
                reading.asked = 0;
                self.machines.later(LOOK_AGAIN_MS, Event::Survey(reading));
            }
            Surveyed::TooLate { late_ms } => {
                let why = format!("the view is {late_ms} ms late");
                self.answer(reading.operation, Outcome::TurnedAway(why), Offset(0));
            }
        }
    }

    /// Reads a timeline as it is at a node.
    pub(super) fn look(&mut self, reading: &Reading) {
        let &Reading { operation, node, client, life, complete_to, .. } = reading;
        let Request::Read { before, limit, in_session } =
            self.history.operations[operation].request.clone()
        else {
            return;
        };
        let found = &self.machines.nodes[node];
        let Some(partition) = found.partition.as_ref().filter(|_| found.life == life) else {
            return;
        };
        let offset = partition.tail().offset;
        if !self.may_read(partition, client, in_session) {
            let why = "it does not lead, or has not come so far".to_owned();
            return self.answer(operation, Outcome::TurnedAway(why), Offset(0));
        }
        let Some((items, next)) = self.timeline(node, USERS[client], before, limit) else { return };
        let page = Page {
            items,
            is_last: next.is_none(),
            offset: Some(offset.0),
            complete_to_ms: complete_to.map(|at| at.0.saturating_sub(BEGIN_MS)),
        };
        self.answer(operation, Outcome::Page(page), offset);
    }

    /// One machine answers what it leads; another node, what the session has seen.
    fn may_read(&self, partition: &SimPartition, client: usize, in_session: bool) -> bool {
        match self.scene {
            Scene::Local => partition.role() == Role::Owner,
            Scene::Cluster => {
                let session = &self.clients[client].session;
                !in_session || partition.tail().offset >= session[self.places[client]]
            }
        }
    }

    /// A page of a timeline, as a node has it, and where it goes on.
    pub(super) fn timeline(
        &self,
        node: usize,
        user: &str,
        before: Option<Place>,
        limit: usize,
    ) -> Option<(Vec<crate::history::feed::Item>, Option<Place>)> {
        match self.find(node, user, What::Timeline { before, limit })? {
            feed::Found::Timeline(items, next) => {
                Some((items.into_iter().map(asking::timeline_item).collect(), next))
            }
            _ => unreachable!("a timeline is answered"),
        }
    }

    /// What a node answers to the user themselves.
    pub(super) fn find(&self, node: usize, user: &str, what: What) -> Option<feed::Found> {
        let at = Time(self.machines.now_ms);
        let delivered = Delivered { offset: Offset(0), at, replayed: false };
        let query = feed::Query { user: user.to_owned(), by: Some(user.to_owned()), what };
        match self.machines.nodes[node].query(&Query::Feed(query), delivered)? {
            Found::Feed(found) => Some(found),
            _ => unreachable!("a feed is answered"),
        }
    }
}
