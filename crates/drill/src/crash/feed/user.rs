//! A user: asks one thing after the other, each until it is answered, in a session of their own.

use super::{Phase, STAR, Told, USERS, follow, wire};
use crate::{
    history::feed::{Bond, Item, Outcome, Page, Place, Request},
    load::{Client, Endpoint, RequestWriter},
};
use fastrand::Rng;
use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

/// Between two requests.
const PACE_MS: Range<u64> = 5..40;
/// Before a user asks again.
const RETRY: Duration = Duration::from_millis(10);
/// Nobody posts more: what is kept of anybody is all of it.
const POSTS: u64 = 1_500;
/// What the star posts, one right after the other.
const BURST: Range<u64> = 20..60;
/// How much room a large body takes.
const LARGE_BYTES: usize = 20 * 1024;

pub(super) struct User {
    name: &'static str,
    rng: Rng,
    told: Arc<Told>,
    endpoint: Endpoint,
    writer: RequestWriter,
    connection: Option<Client>,
    /// By partition: what this user has seen.
    session: BTreeMap<u16, (u64, String)>,
    posted: u64,
    /// Their own posts that were not taken back.
    own: Vec<u64>,
    /// What they have read last.
    read: Vec<Place>,
}

impl User {
    pub(super) fn new(
        name: &'static str,
        seed: u64,
        endpoint: &Endpoint,
        told: &Arc<Told>,
    ) -> Self {
        Self {
            name,
            rng: Rng::with_seed(seed),
            told: Arc::clone(told),
            endpoint: endpoint.clone(),
            writer: endpoint.writer(),
            connection: None,
            session: BTreeMap::new(),
            posted: 0,
            own: Vec::new(),
            read: Vec::new(),
        }
    }

    /// Until nothing more is to be asked.
    pub(super) async fn run(mut self) -> Self {
        if self.name != STAR {
            self.carry_out(follow(STAR)).await;
        }
        while !self.told.is_past(Phase::Kills) {
            self.do_something().await;
            let pause = self.rng.u64(PACE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        self
    }

    /// Posts something more.
    pub(super) async fn say_goodbye(&mut self) {
        let request = self.post();
        self.carry_out(request).await;
    }

    async fn do_something(&mut self) {
        let other = *self.rng.choice(&USERS).filter(|other| **other != self.name).unwrap_or(&STAR);
        let set = |bond, on| Request::Set { bond, other: other.to_owned(), on };
        let may_post = self.posted < POSTS;
        let request = match self.rng.u8(0..40) {
            0..2 if may_post && self.name == STAR => return self.burst().await,
            0..8 if may_post => self.post(),
            8..10 if !self.own.is_empty() => {
                let post = self.own.swap_remove(self.rng.usize(0..self.own.len()));
                Request::Delete { post }
            }
            10..15 if other != self.name => set(Bond::Follow, true),
            15 if other != self.name => set(Bond::Follow, false),
            16 if other != self.name && self.rng.u8(0..4) == 0 => set(Bond::Block, true),
            17 if other != self.name => set(Bond::Block, false),
            18 if other != self.name => set(Bond::Mute, true),
            19..21 if other != self.name => set(Bond::Mute, false),
            21..25 => match self.rng.choice(&self.read).cloned() {
                Some((post, author)) => {
                    let on = self.rng.u8(0..4) > 0;
                    Request::React { author, post, kind: "heart".to_owned(), on }
                }
                None => return,
            },
            _ => {
                let of = if self.rng.u8(0..3) == 0 { other } else { self.name };
                return self.read(of).await;
            }
        };
        self.carry_out(request).await;
    }

    fn post(&mut self) -> Request {
        self.posted += 1;
        let client_id = format!("{}-{}", self.name, self.posted);
        let large = self.rng.u8(0..80) == 0;
        let body = wire::body(self.name, self.posted, if large { LARGE_BYTES } else { 0 });
        Request::Post { client_id, body }
    }

    async fn burst(&mut self) {
        let posts = self.rng.u64(BURST).min(POSTS - self.posted);
        for _ in 0..posts {
            let request = self.post();
            self.carry_out(request).await;
        }
    }

    /// Reads some pages of a timeline.
    async fn read(&mut self, of: &str) {
        let freshness = match self.rng.u8(0..5) {
            0 => Some("session".to_owned()),
            1 => Some("eventual".to_owned()),
            2 => Some(format!("bounded;max_staleness_ms={}", self.rng.u64(0..400))),
            _ => None,
        };
        let in_session = freshness.as_deref() != Some("eventual");
        let (limit, pages) = (self.rng.usize(1..60), self.rng.usize(1..4));
        let (mut before, mut cursor) = (None, None);
        self.read.clear();
        for _ in 0..pages {
            let request = Request::Read { of: of.to_owned(), before, limit, in_session };
            let asked = (freshness.as_deref(), cursor.as_deref());
            let Some((outcome, next)) = self.ask_until(request, asked).await else { return };
            let Outcome::Page(Page { items, .. }) = outcome else { return };
            self.read.extend(items.iter().map(Item::place));
            (before, cursor) = (items.last().map(Item::place), next);
            if cursor.is_none() {
                return;
            }
        }
    }

    async fn carry_out(&mut self, request: Request) {
        if let Some((Outcome::Posted { post, .. }, _)) = self.ask_until(request, (None, None)).await
        {
            self.own.push(post);
        }
    }

    /// Asks until there is an answer that decides it, and where that goes on. Every attempt is an operation.
    /// None: it has no place any more.
    async fn ask_until(
        &mut self,
        request: Request,
        (freshness, cursor): (Option<&str>, Option<&str>),
    ) -> Option<(Outcome, Option<String>)> {
        loop {
            let answered = self.ask(&request, freshness, cursor).await;
            if let Some((outcome, next)) = answered {
                match outcome {
                    Outcome::TurnedAway(_) | Outcome::Unknown => {}
                    decided => return Some((decided, next)),
                }
            }
            // A read need not be asked again once nobody asks any more.
            if matches!(request, Request::Read { .. }) && self.told.is_past(Phase::Kills) {
                return None;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Asks once. None: there was nobody to ask.
    async fn ask(
        &mut self,
        request: &Request,
        freshness: Option<&str>,
        cursor: Option<&str>,
    ) -> Option<(Outcome, Option<String>)> {
        let mut client = match self.connection.take().filter(Client::is_usable) {
            Some(client) => client,
            None => self.endpoint.connect().await.ok()?,
        };
        let session = match request {
            Request::Read { in_session: false, .. } => None,
            _ => Some(wire::tokens(&self.session)),
        };
        let headers = (freshness, session.as_deref());
        let bytes = wire::request(&mut self.writer, self.name, request, cursor, headers);
        let operation = self.told.call(self.name, wire::written_down(request));
        let called_ms = self.told.called_ms(operation);
        let answered = match client.call(bytes).await {
            Ok(reply) => {
                wire::learn(&mut self.session, &reply);
                let answered = wire::outcome(request, &reply, called_ms);
                self.connection = Some(client);
                answered
            }
            Err(_) => (Outcome::Unknown, None),
        };
        self.told.returns(operation, answered.0.clone());
        Some(answered)
    }
}
