//! How a timeline is read: first it is found out how late it is, and waited until that will do.

use super::{Event, PARTITIONS, World, asking, kept::Loading};
use crate::{
    history::feed::{Item, Outcome, Page, Place, Request},
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
    whom: Whom,
    node: usize,
    /// In which of its lives.
    life: u64,
    wanted: Wanted,
    survey: Survey,
    /// How often a partition was asked.
    asked: usize,
    /// When the survey began, and how late it found timelines to be; none where nothing is said of it.
    found: Option<(Time, u64)>,
}

/// Whom a read is for.
pub(super) enum Whom {
    /// Whoever asked.
    Asker { operation: usize, client: usize },
    /// Everybody, for a while.
    Cache(Loading),
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
                let now = Time(self.machines.now_ms);
                self.views(node).lateness.begin(now);
                self.untold(node);
            }
        }
    }

    /// Since when something of this node's partition is not in timelines of another's.
    fn behind(&mut self, node: usize, of: usize) -> Option<Time> {
        let to = self.machines.nodes[of].partition.as_ref().map(SimPartition::id);
        let Some(partition) = &self.machines.nodes[node].partition else { return Some(Time(1)) };
        let (outbox, leads) = (partition.outbox_stats(), partition.role() == Role::Owner);
        let there = to.map_or(outbox, |to| partition.outbox_stats_to(to));
        let lateness = &mut self.views(node).lateness;
        lateness.settle(&outbox, leads);
        lateness.behind(&there, leads)
    }

    /// A read has come to a node; if it is up.
    pub(super) fn read(&mut self, node: usize, operation: usize, client: usize) {
        if self.machines.nodes[node].partition.is_none() {
            return;
        }
        match self.scene {
            Scene::Local if self.accepts_kept(operation, client) => {
                self.look_up(node, operation, client, false);
            }
            _ => self.read_anew(node, operation, client),
        }
    }

    /// Reads what a client asks for, as it is now.
    pub(super) fn read_anew(&mut self, node: usize, operation: usize, client: usize) {
        let bound_ms = self.bound_ms(client);
        self.begin(node, Whom::Asker { operation, client }, bound_ms);
    }

    /// How late what a client asks for may be.
    pub(super) fn bound_ms(&self, client: usize) -> u64 {
        self.clients[client].current.as_ref().map_or(0, |one| one.bound_ms)
    }

    pub(super) fn begin(&mut self, node: usize, whom: Whom, bound_ms: u64) {
        let now = Time(self.machines.now_ms);
        let reading = Reading {
            whom,
            node,
            life: self.machines.nodes[node].life,
            wanted: Wanted { began: now, bound_ms, deadline: now.plus_ms(DEADLINE_MS) },
            survey: Survey::new(now),
            asked: 0,
            found: None,
        };
        match self.scene {
            Scene::Local => self.survey(reading),
            Scene::Cluster => self.look(reading),
        }
    }

    /// Asks the next partition; all are of one process, and go on meanwhile.
    pub(super) fn survey(&mut self, mut reading: Reading) {
        if self.machines.nodes[reading.node].life != reading.life {
            return;
        }
        let now = Time(self.machines.now_ms);
        if reading.asked == 0 {
            (reading.survey, reading.found) = (Survey::new(now), Some((now, 0)));
        }
        let place = reading.asked % usize::from(PARTITIONS);
        let asked = self.machines.nodes_of(place).start;
        let behind = self.behind(asked, reading.node);
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
                reading.found = reading.found.map(|(at, _)| (at, late_ms));
                let pause = self.machines.rng.u64(0..4);
                self.machines.later(pause, Event::Look(reading));
            }
            Surveyed::NotYet => {
                reading.asked = 0;
                self.machines.later(LOOK_AGAIN_MS, Event::Survey(reading));
            }
            Surveyed::TooLate { late_ms } => {
                self.fail(reading.whom, format!("the view is {late_ms} ms late"));
            }
        }
    }

    fn fail(&mut self, whom: Whom, why: String) {
        match whom {
            Whom::Asker { operation, .. } => {
                self.answer(operation, Outcome::TurnedAway(why), Offset(0));
            }
            Whom::Cache(loading) => self.loaded(loading, Err(why)),
        }
    }

    /// Reads a timeline as it is at a node.
    pub(super) fn look(&mut self, mut reading: Reading) {
        let (node, life) = (reading.node, reading.life);
        let there = &self.machines.nodes[node];
        let Some(partition) = there.partition.as_ref().filter(|_| there.life == life) else {
            return;
        };
        let offset = partition.tail().offset;
        let may_read = match &reading.whom {
            Whom::Asker { operation, client } => self.may_read(partition, *operation, *client),
            Whom::Cache(_) => partition.role() == Role::Owner,
        };
        if !may_read {
            let why = "it does not lead, or has not come so far".to_owned();
            return self.fail(reading.whom, why);
        }
        let timeline = match &reading.whom {
            Whom::Cache(loading) => self.timeline(node, &loading.of, None, super::kept::LIMIT),
            Whom::Asker { operation, .. } => match self.history.operations[*operation]
                .request
                .clone()
            {
                Request::Read { of, before, limit, .. } => self.timeline(node, &of, before, limit),
                _ => return,
            },
        };
        // What comes meanwhile may be missing, and what a follow has yet to bring.
        if let (Some(_), Some((_, _, filling_since))) = (reading.found, &timeline) {
            let now = Time(self.machines.now_ms);
            reading.survey.hear(*filling_since);
            match reading.wanted.judge_at(&reading.survey, now) {
                Surveyed::Fresh { late_ms } => reading.found = Some((now, late_ms)),
                Surveyed::NotYet => {
                    reading.asked = 0;
                    return self.machines.later(LOOK_AGAIN_MS, Event::Survey(reading));
                }
                Surveyed::TooLate { late_ms } => {
                    return self.fail(reading.whom, format!("the view is {late_ms} ms late"));
                }
            }
        }
        let found = reading.found;
        match reading.whom {
            Whom::Cache(loading) => {
                let late_ms = found.map_or(0, |(_, late_ms)| late_ms);
                let kept = timeline.map(|(items, next, _)| ((items, next), offset, late_ms));
                let kept = kept.ok_or_else(|| "it cannot be read".to_owned());
                let pause = self.machines.rng.u64(0..4);
                self.machines.later(pause, Event::Loaded(loading, kept));
            }
            Whom::Asker { operation, .. } => {
                let Some((items, next, _)) = timeline else { return };
                let complete_to_ms =
                    found.map(|(at, late_ms)| at.0.saturating_sub(late_ms + BEGIN_MS));
                let (is_last, offset_) = (next.is_none(), Some(offset.0));
                let page = Page { items, is_last, offset: offset_, complete_to_ms };
                self.answer(operation, Outcome::Page(page), offset);
            }
        }
    }

    /// One machine answers what it leads; another node, what the session has seen.
    fn may_read(&self, partition: &SimPartition, operation: usize, client: usize) -> bool {
        match self.scene {
            Scene::Local => partition.role() == Role::Owner,
            Scene::Cluster => self.has_seen_no_more(partition.tail().offset, operation, client),
        }
    }

    /// Whether what is of this offset is not older than what a client has seen, or the client does not mind.
    pub(super) fn has_seen_no_more(&self, offset: Offset, operation: usize, client: usize) -> bool {
        let asked = &self.history.operations[operation];
        let Request::Read { in_session, .. } = asked.request else { return true };
        let place = self.place_of(&asked.user, &asked.request);
        !in_session || offset >= self.clients[client].session[place]
    }

    /// A page of a timeline, as a node has it, where it goes on, and since when some of it has yet to come.
    pub(super) fn timeline(
        &self,
        node: usize,
        user: &str,
        before: Option<Place>,
        limit: usize,
    ) -> Option<(Vec<Item>, Option<Place>, Option<Time>)> {
        match self.find(node, user, What::Timeline { before, limit })? {
            feed::Found::Timeline(page) => {
                let items = page.items.into_iter().map(asking::timeline_item).collect();
                Some((items, page.next, page.filling_since))
            }
            _ => unreachable!("a timeline is answered"),
        }
    }

    /// What a node answers to the product's back end.
    pub(super) fn find(&self, node: usize, user: &str, what: What) -> Option<feed::Found> {
        let at = Time(self.machines.now_ms);
        let delivered = Delivered { offset: Offset(0), at, replayed: false };
        let query = feed::Query { user: user.to_owned(), by: None, what };
        match self.machines.nodes[node].query(&Query::Feed(query), delivered)? {
            Found::Feed(found) => Some(found),
            _ => unreachable!("a feed is answered"),
        }
    }
}
