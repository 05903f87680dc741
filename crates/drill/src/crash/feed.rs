//! Feeds under kills: users who post, one of whom all follow and who posts in bursts, and who follow, part, react and
//! read timelines; and subscribers, who follow what comes to those. All that they ask and hear goes into a
//! history that the checker judges.

mod look;
mod subscriber;
mod told;
mod user;
mod wire;

use super::{CrashError, LOOK_EVERY, server::Server, within};
use crate::{
    checker::{self, FeedReport, Violation},
    history::feed::{Bond, FeedHistory, Request},
    load::Endpoint,
};
use serde::Serialize;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use subscriber::Subscriber;
use tokio::task::JoinHandle;
use told::{Phase, Told};
use user::User;

/// Whoever takes part. All follow the first.
const USERS: [&str; 8] = ["star", "bob", "cyd", "dan", "eve", "fay", "gus", "hal"];
const STAR: &str = USERS[0];
/// How long a caller waits for an answer.
const DEADLINE_MS: u64 = 1_000;
/// What an answer may take beyond that, on a machine that does more than it can.
const MARGIN_MS: u64 = 5_000;
const REQUEST_TIMEOUT: Duration = Duration::from_millis(DEADLINE_MS + 2 * MARGIN_MS);
/// How long they go on under no more kills.
const CALM: Duration = Duration::from_millis(2_000);
/// What was asked is answered within this, once there are no more kills.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// All has come to where it is read within this.
const COMES_WITHIN: Duration = Duration::from_secs(30);

/// What became of feeds.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DrilledFeeds {
    /// Users.
    pub users: usize,
    /// Posts that are there in the end.
    pub posts: u64,
    /// Posts that were repeated and found to be there already.
    pub duplicates: u64,
    /// Pages of timelines that were read.
    pub pages: u64,
    /// Posts of others that had to be in those.
    pub due: u64,
    /// Arrivals that subscribers were sent.
    pub delivered: u64,
    /// Connections by which they asked for what follows a position.
    pub resumed: u64,
    /// Items of timelines that were compared with what asking every author gives.
    pub compared: u64,
}

impl fmt::Display for DrilledFeeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { users, posts, duplicates, pages, due, delivered, resumed, compared } = self;
        writeln!(
            f,
            "feeds: {posts} posts of {users} users; {pages} pages of timelines read, in which {due} posts of \
             others had to be; {duplicates} repeated posts were there already"
        )?;
        write!(
            f,
            "feeds: {delivered} arrivals delivered, resumed {resumed} times; {compared} items of timelines \
             compared"
        )
    }
}

/// What was found of feeds.
#[derive(Default)]
pub(super) struct Drilled {
    pub(super) feeds: DrilledFeeds,
    pub(super) violations: Vec<Violation>,
    pub(super) undecided: Vec<String>,
}

/// The feeds of a drill, as they go on.
pub(super) struct Feeds {
    endpoint: Endpoint,
    told: Arc<Told>,
    /// They end when nothing more is to be asked.
    users: Vec<JoinHandle<User>>,
    /// They end when all is over.
    readers: Vec<JoinHandle<()>>,
}

impl Feeds {
    pub(super) async fn begin(server: &Server, seed: u64) -> Result<Self, CrashError> {
        let endpoint = server.endpoint_of(server.key(), REQUEST_TIMEOUT).await?;
        let told = Arc::new(Told::new());
        let seed = |id: u64| seed.wrapping_mul(1_000).wrapping_add(800 + id);
        let mut readers =
            vec![tokio::spawn(look::look_at_followers(endpoint.clone(), told.clone()))];
        for user in USERS {
            let subscriber = Subscriber::new(user, &endpoint, &told);
            readers.push(tokio::spawn(subscriber.run()));
        }
        let users =
            (0..).zip(USERS).map(|(id, user)| User::new(user, seed(id), &endpoint, &told).run());
        let users = users.map(tokio::spawn).collect();
        Ok(Self { endpoint, told, users, readers })
    }

    /// Has everybody be answered, and looks at what is there then.
    pub(super) async fn end(self) -> Result<Ended, CrashError> {
        let Self { endpoint, told, users, readers } = self;
        let mut undecided = Vec::new();
        tokio::time::sleep(CALM).await;
        told.begin(Phase::Quiet);
        let users = async {
            let mut all = Vec::new();
            for user in users {
                let user: User =
                    user.await.map_err(|error| CrashError::Answer(error.to_string()))?;
                all.push(user);
            }
            // What is posted last comes last: whoever has that has everything.
            for user in &mut all {
                user.say_goodbye().await;
            }
            Ok::<_, CrashError>(())
        };
        match tokio::time::timeout(ANSWERED_WITHIN, users).await {
            Ok(ended) => ended?,
            Err(_) => undecided.push("what was asked of feeds was not answered in time".to_owned()),
        }
        let mut end = look::all(&endpoint).await?;
        // What does not come in time is for the checker to say.
        within(COMES_WITHIN, || told.have_last(&end)).await;
        let began = Instant::now();
        while !look::counts_are_told(&end) && began.elapsed() < COMES_WITHIN {
            tokio::time::sleep(LOOK_EVERY).await;
            end = look::all(&endpoint).await?;
        }
        told.begin(Phase::Over);
        for reader in readers {
            reader.await.map_err(|error| CrashError::Answer(error.to_string()))?;
        }
        let resumed = told.resumed();
        Ok(Ended { history: told.finish(end), resumed, undecided })
    }
}

/// What was told, and what could not be.
pub(super) struct Ended {
    history: FeedHistory,
    resumed: u64,
    undecided: Vec<String>,
}

/// What is there for good once all is over.
pub(super) fn lists() -> impl Iterator<Item = String> {
    let lists = ["posts", "followers", "following"];
    USERS.iter().flat_map(move |user| lists.map(|list| format!("/v1/feeds/{user}/{list}")))
}

/// Judges what was told.
pub(super) fn judge(ended: Ended) -> Drilled {
    let Ended { history, resumed, undecided } = ended;
    let FeedReport { violations, posts, compared, pages, due, delivered, .. } =
        checker::check_feed(&history);
    let feeds = DrilledFeeds {
        users: USERS.len(),
        posts,
        duplicates: told::duplicates(&history),
        pages,
        due,
        delivered,
        resumed,
        compared,
    };
    Drilled { feeds, violations, undecided }
}

/// That somebody is to follow somebody.
fn follow(author: &str) -> Request {
    Request::Set { bond: Bond::Follow, other: author.to_owned(), on: true }
}
