//! Feeds: what is posted, who follows whom, and the timelines that come of it, over several partitions.

pub(crate) mod declared;
mod golden;
mod properties;
mod ways;

pub(crate) use golden::told;

use crate::driver::{Driver, TENANT};
use evenkeel_domains::{
    Command, Domains, Found, Query, Refusal, Reply,
    feed::{
        self, Action, ArrivalsPage, Listed, PostView, Start, Tie, TimelineItem, UserView, What,
        behind_since,
    },
    user_partition,
};
use evenkeel_engine::{Delivery, Failure, Mark, Options, Stop};
use evenkeel_log::{Incarnation, PartitionId};
use evenkeel_state::Order;
use std::collections::VecDeque;

pub(crate) fn command(user: &str, by: Option<&str>, action: Action) -> Command {
    let (user, by) = (user.to_owned(), by.map(str::to_owned));
    Command::Feed(feed::Command { user, by, action })
}

pub(crate) fn post(client_id: &str, body: &str) -> Action {
    Action::Post { client_id: client_id.to_owned(), body: body.to_owned() }
}

pub(crate) fn follow(author: &str, on: bool) -> Action {
    Action::Follow { author: author.to_owned(), on }
}

pub(crate) fn tie(other: &str, tie: Tie, on: bool) -> Action {
    Action::Tie { other: other.to_owned(), tie, on }
}

pub(crate) fn react(post: u64, kind: &str, reactor: &str, on: bool) -> Action {
    Action::React { post, kind: kind.to_owned(), reactor: reactor.to_owned(), on }
}

/// Something on its way between partitions.
enum Carried {
    Delivery(PartitionId, Delivery),
    /// To whom, by whom.
    Done(PartitionId, PartitionId, Mark),
}

/// Several partitions, and what is on its way between them.
pub(crate) struct Town {
    pub(crate) drivers: Vec<Driver>,
    on_its_way: VecDeque<Carried>,
}

impl Town {
    pub(crate) fn of(partitions: u16) -> Self {
        Self::with(partitions, &Options::default())
    }

    pub(crate) fn with(partitions: u16, options: &Options) -> Self {
        let domains = Domains { partitions, ..Domains::default() };
        let driver = |id| Driver::knowing(domains.clone(), PartitionId(id), options.clone());
        Self { drivers: (0..partitions).map(driver).collect(), on_its_way: VecDeque::new() }
    }

    pub(crate) fn place(&self, user: &str) -> usize {
        let partitions = u16::try_from(self.drivers.len()).unwrap();
        usize::from(user_partition(TENANT, user, partitions).0)
    }

    pub(crate) fn ask_by(
        &mut self,
        user: &str,
        by: Option<&str>,
        action: Action,
    ) -> Result<feed::Reply, feed::Refusal> {
        let place = self.place(user);
        match self.drivers[place].ask(command(user, by, action), None) {
            Ok(Reply::Feed(reply)) => Ok(reply),
            Err(Failure::Refused(Refusal::Feed(refusal))) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn ask(&mut self, user: &str, action: Action) -> Result<feed::Reply, feed::Refusal> {
        self.ask_by(user, None, action)
    }

    /// Posts something new; answers its number.
    pub(crate) fn post(&mut self, user: &str, client_id: &str, body: &str) -> u64 {
        match self.ask(user, post(client_id, body)) {
            Ok(feed::Reply::Posted(posted)) if !posted.duplicate => posted.post,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn follow(&mut self, user: &str, author: &str) {
        self.ask(user, follow(author, true)).unwrap();
    }

    /// Time passes in all of them.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.drivers.iter_mut().for_each(|driver| driver.pass(ms));
    }

    /// Carries up to so much of what is on its way, what was sent first.
    pub(crate) fn carry(&mut self, most: usize) -> usize {
        for (from, driver) in self.drivers.iter_mut().enumerate() {
            let from = PartitionId(u16::try_from(from).unwrap());
            let sent = driver.sent.drain(..);
            self.on_its_way.extend(sent.map(|(to, delivery)| Carried::Delivery(to, delivery)));
            let done = driver.acknowledged.drain(..);
            self.on_its_way.extend(done.map(|(to, mark)| Carried::Done(to, from, mark)));
        }
        let most = most.min(self.on_its_way.len());
        for carried in self.on_its_way.drain(..most) {
            let to = match carried {
                Carried::Delivery(to, delivery) => {
                    self.drivers[usize::from(to.0)].partition.deliver(delivery);
                    to
                }
                Carried::Done(to, by, through) => {
                    self.drivers[usize::from(to.0)].partition.acknowledged(by, through);
                    to
                }
            };
            self.drivers[usize::from(to.0)].settle();
        }
        most
    }

    /// Lets time pass until nothing is on its way or to be told.
    pub(crate) fn quiet(&mut self) {
        let mut still = 0;
        for _ in 0..2_000 {
            self.pass(feed::COUNTS_EVERY_MS / 2);
            let carried = self.carry(usize::MAX);
            let is_behind = self
                .drivers
                .iter()
                .any(|driver| behind_since(&driver.partition.view()).unwrap().is_some());
            still = if carried == 0 && !is_behind { still + 1 } else { 0 };
            // Counts are told within a while, and what was told is acknowledged.
            if still == 6 {
                return;
            }
        }
        panic!("it never gets quiet");
    }

    pub(crate) fn find(
        &self,
        user: &str,
        by: Option<&str>,
        what: What,
    ) -> Result<feed::Found, feed::Refusal> {
        let driver = &self.drivers[self.place(user)];
        let view = driver.partition.view();
        let (user, by) = (user.to_owned(), by.map(str::to_owned));
        let query = Query::Feed(feed::Query { user, by, what });
        match evenkeel_domains::query(&view, driver.now, Incarnation(1), TENANT, &query) {
            Ok(Found::Feed(found)) => Ok(found),
            Ok(other) => panic!("{other:?}"),
            Err(Stop::Refused(Refusal::Feed(refusal))) => Err(refusal),
            Err(error) => panic!("{error:?}"),
        }
    }

    /// A timeline from its top, or from a place, page by page.
    pub(crate) fn timeline_from(
        &self,
        user: &str,
        mut before: Option<(u64, String)>,
        limit: usize,
    ) -> Vec<TimelineItem> {
        let mut all = Vec::new();
        loop {
            let what = What::Timeline { before, limit };
            let feed::Found::Timeline(page) = self.find(user, None, what).unwrap() else {
                panic!()
            };
            let is_full = page.items.len() == limit;
            assert!(is_full || page.next.is_none(), "a page is full but for the last");
            all.extend(page.items);
            if page.next.is_none() {
                return all;
            }
            before = page.next;
        }
    }

    pub(crate) fn timeline(&self, user: &str) -> Vec<TimelineItem> {
        self.timeline_from(user, None, 3)
    }

    /// What a timeline says, newest first.
    pub(crate) fn said(&self, user: &str) -> Vec<String> {
        self.timeline(user).into_iter().map(|item| item.post.body).collect()
    }

    /// A user's own page.
    pub(crate) fn posts(&self, user: &str) -> Vec<PostView> {
        let (mut before, mut all) = (None, Vec::new());
        loop {
            let what = What::Posts { before, limit: 2 };
            let feed::Found::Posts(posts, next) = self.find(user, None, what).unwrap() else {
                panic!()
            };
            all.extend(posts);
            if next.is_none() {
                return all;
            }
            before = next;
        }
    }

    /// Names in a list, page by page.
    pub(crate) fn people(&self, user: &str, listed: Listed, order: Order) -> Vec<String> {
        let (mut after, mut all) = (None, Vec::new());
        loop {
            let what = What::People { listed, after, order, limit: 2 };
            let feed::Found::People(people, next) = self.find(user, None, what).unwrap() else {
                panic!()
            };
            all.extend(people.into_iter().map(|person| person.user));
            if next.is_none() {
                return all;
            }
            after = next;
        }
    }

    pub(crate) fn user(&self, user: &str) -> UserView {
        match self.find(user, None, What::User) {
            Ok(feed::Found::User(view)) => view,
            other => panic!("{other:?}"),
        }
    }

    /// Whether posts from before the user followed somebody are still to come.
    pub(crate) fn is_filling(&self, user: &str) -> bool {
        match self.find(user, None, What::Timeline { before: None, limit: 1 }) {
            Ok(feed::Found::Timeline(page)) => page.filling_since.is_some(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn dead(&self) -> u64 {
        self.drivers.iter().map(|driver| driver.partition.outbox_stats().dead).sum()
    }

    pub(crate) fn arrivals(&self, user: &str, after: Start, limit: usize) -> ArrivalsPage {
        match self.find(user, None, What::Arrivals { after, limit }) {
            Ok(feed::Found::Arrivals(page)) => page,
            other => panic!("{other:?}"),
        }
    }
}
