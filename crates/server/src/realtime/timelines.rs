//! Timelines that a connection follows.
//!
//! A timeline has no room of its own with its owner: what comes to a partition is one sequence, of which each
//! reader passes by what is not for them. So each timeline that is followed has a task, which reads on when
//! something has come and hands its session one page at a time: a slow reader costs a page, and holds nobody up.

use super::{
    close::Why,
    frames::{self, Id},
    session::{End, Session},
    subscriptions::SUBSCRIPTIONS_MAX,
};
use crate::{
    code::Code, failure, feed::arrival_body, json, problem::Problem, sse::PAGE_EVENTS_MAX,
};
use evenkeel_domains::{
    Scope,
    feed::{ArrivalsPage, Found, Query, Start, What},
};
use evenkeel_engine::Position;
use evenkeel_node::{Node, NodeError, ReadOptions, Tenant};
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::sleep,
};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// Pages that wait for a session, of all of its timelines.
const PAGES_WAITING: usize = 4;
/// What comes within so long is read together.
const READ_EVERY: Duration = Duration::from_millis(50);

/// All timelines that a connection follows.
#[derive(Debug, Default)]
pub(super) struct Timelines {
    all: HashMap<Arc<str>, Timeline>,
    last: u32,
    /// How pages come here: made for the first, since it takes memory that most connections do not need.
    way: Option<(mpsc::Sender<Turned>, mpsc::Receiver<Turned>)>,
}

/// One of them.
#[derive(Debug)]
struct Timeline {
    number: u32,
    after: Start,
    /// What its client called the wish for it; taken when that is answered.
    id: Id,
    is_announced: bool,
    task: JoinHandle<()>,
}

impl Drop for Timeline {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A page that was read.
#[derive(Debug)]
pub(super) struct Turned {
    user: Arc<str>,
    number: u32,
    page: Result<ArrivalsPage, NodeError>,
}

impl Timelines {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The next page that was read.
    pub(super) async fn next(&mut self) -> Turned {
        match &mut self.way {
            Some((_, pages)) => pages.recv().await.expect("a sender is kept here"),
            None => std::future::pending().await,
        }
    }

    pub(super) fn remove(&mut self, user: &str) {
        self.all.remove(user);
    }

    /// Those that are not to be followed any more.
    pub(super) fn unless(&self, may: impl Fn(&str) -> bool) -> Vec<Arc<str>> {
        self.all.keys().filter(|user| !may(user)).cloned().collect()
    }
}

impl Session {
    pub(super) fn subscribe_timeline(
        &mut self,
        id: Id,
        user: &str,
        after: Start,
    ) -> Result<(), Problem> {
        let Some(who) = &self.who else { unreachable!("it is asked by somebody known") };
        if self.timelines.all.contains_key(user) {
            return Err(Problem::invalid("that is followed already on this connection"));
        }
        if self.subscriptions.len() + self.timelines.len() >= SUBSCRIPTIONS_MAX {
            let detail = format!("one connection can follow {SUBSCRIPTIONS_MAX} things");
            return Err(Problem::new(Code::QuotaExceeded, detail));
        }
        let user: Arc<str> = user.into();
        self.timelines.last += 1;
        let (to_session, _) =
            self.timelines.way.get_or_insert_with(|| mpsc::channel(PAGES_WAITING));
        let reader = Reader {
            node: self.edge.node.clone(),
            tenant: who.tenant().clone(),
            user: Arc::clone(&user),
            by: who.user.clone(),
            number: self.timelines.last,
            to_session: to_session.clone(),
        };
        let (number, task) = (reader.number, tokio::spawn(reader.run(after)));
        self.timelines.all.insert(user, Timeline { number, after, id, is_announced: false, task });
        Ok(())
    }

    /// A page of a timeline was read.
    pub(super) async fn turn_timeline(&mut self, turned: Turned) -> Result<(), End> {
        let Turned { user, number, page } = turned;
        // It may have been given up meanwhile, and be followed anew.
        let Some(timeline) = self.timelines.all.get_mut(&user) else { return Ok(()) };
        if timeline.number != number {
            return Ok(());
        }
        let topic = frames::timeline(&user);
        let (id, after) = (timeline.id.take(), timeline.after);
        let was_announced = std::mem::replace(&mut timeline.is_announced, true);
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                self.timelines.remove(&user);
                let problem = failure::problem(error);
                let text = if was_announced {
                    frames::unsubscribed(&topic, problem.code.meaning().code, None)
                } else {
                    frames::failed(id.as_deref(), &problem)
                };
                return self.write(text).await;
            }
        };
        if page.reset {
            self.edge.counters.streams_reset.fetch_add(1, Relaxed);
            let reload = format!("/v1/feeds/{user}/timeline");
            self.write(frames::reset(
                &topic,
                page.next,
                &reload,
                "the timeline, at the level session,",
            ))
            .await?;
            return Err(Why::InsufficientState.into());
        }
        if !was_announced {
            let begins = match (after, page.events.first()) {
                (Start::After(position), _) => position,
                (_, Some(first)) => {
                    Position { sequence: first.position.sequence - 1, ..first.position }
                }
                (_, None) => page.next,
            };
            self.write(frames::subscribed(&topic, begins, id.as_deref())).await?;
        }
        for view in &page.events {
            let text = json::written(&arrival_body(&user, view));
            let text = Utf8Bytes::try_from(text).expect("JSON is UTF-8");
            self.write(text).await?;
        }
        Ok(())
    }
}

/// What reads one timeline on.
struct Reader {
    node: Node,
    tenant: Tenant,
    user: Arc<str>,
    by: Option<Arc<str>>,
    number: u32,
    to_session: mpsc::Sender<Turned>,
}

impl Reader {
    /// Reads until history is gone, nothing can be read, or nobody wants it.
    async fn run(self, mut after: Start) {
        let mut grown: Option<watch::Receiver<()>> = None;
        let mut is_first = true;
        loop {
            let page = self.page(after).await;
            let (entity, is_last, next) = match &page {
                Ok(page) if !page.reset => (page.entity, page.is_last, page.next),
                _ => return self.hand_over(page).await.unwrap_or_default(),
            };
            let has_events = page.as_ref().is_ok_and(|page| !page.events.is_empty());
            if (is_first || has_events) && self.hand_over(page).await.is_none() {
                return;
            }
            is_first = false;
            after = Start::After(next);
            if !is_last {
                continue;
            }
            match &mut grown {
                // What comes from now on is noticed; what has come meanwhile is read first.
                None => {
                    let scope = Scope::User(&self.user);
                    grown = self.node.watch(&self.tenant, scope, entity).await;
                    if grown.is_none() {
                        let gone = Err(NodeError::not_served());
                        return self.hand_over(gone).await.unwrap_or_default();
                    }
                }
                Some(changed) => {
                    if changed.changed().await.is_err() {
                        let gone = Err(NodeError::not_served());
                        return self.hand_over(gone).await.unwrap_or_default();
                    }
                    sleep(READ_EVERY).await;
                }
            }
        }
    }

    async fn page(&self, after: Start) -> Result<ArrivalsPage, NodeError> {
        let what = What::Arrivals { after, limit: PAGE_EVENTS_MAX };
        let (user, by) = (self.user.to_string(), self.by.as_deref().map(str::to_owned));
        let query = Query { user, by, what };
        let found = self.node.feed(&self.tenant, query, ReadOptions::default()).await?.answer;
        let Found::Arrivals(page) = found else { unreachable!("what came is answered") };
        Ok(page)
    }

    /// Waits until the session has room for it; none if it is gone.
    async fn hand_over(&self, page: Result<ArrivalsPage, NodeError>) -> Option<()> {
        let turned = Turned { user: Arc::clone(&self.user), number: self.number, page };
        self.to_session.send(turned).await.ok()
    }
}
