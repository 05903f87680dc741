//! What `evenkeel bench feed` can be asked, and the run itself.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::super::client::ClientError;
use super::super::driver::{CONNECTIONS_MAX, DriveError, Pace, Plan, WorkloadError, drive};
use super::super::endpoint::{Endpoint, EndpointError};
use super::celebrity::Celebrity;
use super::filling::Filling;
use super::people::People;
use super::posts::{Follows, Posts};
use super::report::FeedReport;
use super::stampede::Stampede;
use super::timelines::Timelines;

const USERS_MAX: u32 = 10_000_000;
const PAGE_MAX: u32 = 1_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FeedWorkload {
    /// Puts a network there.
    Graph {
        /// Whom each reader follows.
        following: u32,
        /// Users who read and post nothing, beside those who do.
        readers: u32,
        /// Posts of each user.
        posts_each: u32,
    },
    /// Pages of the timelines of a graph's readers.
    Timeline {
        /// Whom each follows.
        following: u32,
        /// How many of them.
        readers: u32,
        /// Posts by random users meanwhile, which may be none.
        posts_per_s: f64,
    },
    /// Puts somebody there whom so many follow, and a ring of users among those.
    Followers {
        /// How many.
        followers: u32,
        /// Posts of each user of the ring.
        posts_each: u32,
    },
    /// What the posts of that one cost; the plan's pace is that of the others' reads.
    Celebrity {
        /// How many there are.
        followers: u32,
        /// Posts by the star.
        star_per_s: f64,
        /// Posts by the others.
        posts_per_s: f64,
        /// Followers who look for each post.
        sample: u32,
    },
    /// Posts by random users of a ring.
    Posts,
    /// Follows of ever new pairs.
    Follow,
    /// All connections ask for one timeline of a graph's readers that nobody has asked for; in each
    /// repeat for another.
    Stampede {
        /// Whom its user follows.
        following: u32,
    },
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum FeedBenchError {
    /// The options contradict themselves.
    #[error("{0}")]
    Options(&'static str),
    /// The target names no server.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A request outside of what is measured got no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A connection beside what is measured cannot be opened.
    #[error("cannot connect: {0}")]
    Connect(#[source] WorkloadError),
    /// The run could not begin or broke.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// A task panicked.
    #[error("a worker panicked: {0}")]
    Worker(#[source] tokio::task::JoinError),
    /// The server did not do what was asked.
    #[error("{0}")]
    Server(String),
}

/// A run against a server that is up.
#[derive(Debug, Clone)]
pub struct FeedBench {
    /// `host:port` or `http://host:port`.
    pub target: String,
    /// Sent as a bearer token.
    pub api_key: Option<String>,
    /// Bounds a connect and each request.
    pub timeout: Duration,
    /// How to measure.
    pub plan: Plan,
    /// What to measure.
    pub workload: FeedWorkload,
    /// What the names of the users begin with.
    pub name: String,
    /// How many post.
    pub users: u32,
    /// Of who follows whom.
    pub seed: u64,
    /// Posts a page.
    pub page: u32,
    /// The level that timelines are read at, as the header has it; the server's default if not given.
    pub consistency: Option<String>,
}

impl FeedBench {
    /// Measures, or puts there what is measured then.
    ///
    /// # Errors
    /// [`FeedBenchError`]; calls that fail are counted in the report.
    pub async fn run(self) -> Result<FeedReport, FeedBenchError> {
        self.check()?;
        let key = self.api_key.as_deref();
        let endpoint = Endpoint::resolve(&self.target, key, self.timeout).await?;
        let (plan, people) = (self.plan, self.people());
        let filling = || Filling {
            endpoint: endpoint.clone(),
            people: people.clone(),
            connections: plan.connections,
        };
        let posts = || Posts { endpoint: endpoint.clone(), authors: people.all().into() };
        let timelines = |users| self.timelines(&endpoint, users);
        Ok(match self.workload {
            FeedWorkload::Graph { following, readers, posts_each } => {
                FeedReport::Fill(filling().graph((following, readers), posts_each).await?)
            }
            FeedWorkload::Followers { followers, posts_each } => {
                FeedReport::Fill(filling().followers(followers, posts_each).await?)
            }
            FeedWorkload::Timeline { following, readers, posts_per_s } => {
                let users = (0..readers).map(|number| people.reader(following, number)).collect();
                let beside = (posts_per_s > 0.0).then(|| (posts(), posts_per_s));
                FeedReport::Timeline(Box::new(timelines(users).run(plan, beside).await?))
            }
            FeedWorkload::Celebrity { followers, star_per_s, posts_per_s, sample } => {
                let timelines = timelines(people.all());
                let celebrity = Celebrity {
                    endpoint,
                    people,
                    timelines,
                    followers,
                    star_per_s,
                    posts_per_s,
                    sample,
                };
                FeedReport::Celebrity(Box::new(celebrity.run(plan).await?))
            }
            FeedWorkload::Posts => {
                filling().ring().await?;
                FeedReport::Load(drive(Arc::new(posts()), plan).await?)
            }
            FeedWorkload::Follow => {
                let next = AtomicU64::new(0);
                FeedReport::Load(drive(Arc::new(Follows { endpoint, people, next }), plan).await?)
            }
            FeedWorkload::Stampede { following } => {
                let timelines = timelines(Vec::new());
                let stampede = Stampede { endpoint, people, timelines, following };
                FeedReport::Stampede(stampede.run(plan).await?)
            }
        })
    }

    /// Each kind has its own, so that one does not find what another left.
    fn people(&self) -> People {
        let kind = match self.workload {
            FeedWorkload::Graph { .. }
            | FeedWorkload::Timeline { .. }
            | FeedWorkload::Stampede { .. } => "",
            FeedWorkload::Followers { .. } | FeedWorkload::Celebrity { .. } => "-fan",
            FeedWorkload::Posts => "-ring",
            FeedWorkload::Follow => "-new",
        };
        People { name: format!("{}{kind}", self.name), users: self.users, seed: self.seed }
    }

    fn timelines(&self, endpoint: &Endpoint, users: Vec<String>) -> Timelines {
        let consistency = self.consistency.as_deref().map(Arc::from);
        Timelines { endpoint: endpoint.clone(), users: users.into(), page: self.page, consistency }
    }

    fn check(&self) -> Result<(), FeedBenchError> {
        let options = |problem| Err(FeedBenchError::Options(problem));
        if !(1..=CONNECTIONS_MAX).contains(&self.plan.connections) {
            return options("connections must be 1 to 16,384");
        }
        if self.plan.repeats == 0 || self.plan.duration.is_zero() {
            return options("it measures nothing");
        }
        if !(2..=USERS_MAX).contains(&self.users) || !(1..=PAGE_MAX).contains(&self.page) {
            return options("users must be 2 to 10,000,000, and posts a page 1 to 1,000");
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(is_name) {
            return options("a name is of letters, digits, - and _");
        }
        let level = self.consistency.as_deref().unwrap_or("none");
        if !level.bytes().all(|byte| byte.is_ascii_graphic()) {
            return options("a level is one word, as the header has it");
        }
        let is_rate = |rate: f64| (0.01..=1e7).contains(&rate);
        let open = matches!(self.plan.pace, Pace::Open { .. });
        match self.workload {
            FeedWorkload::Graph { following: 0, .. } | FeedWorkload::Graph { readers: 0, .. } => {
                options("a graph needs readers who follow somebody")
            }
            FeedWorkload::Timeline { readers: 0, .. } => options("timelines need readers"),
            FeedWorkload::Followers { followers, .. }
            | FeedWorkload::Celebrity { followers, .. }
                if !(self.users..=USERS_MAX).contains(&followers) =>
            {
                options("the users are among the followers, of whom there are up to 10,000,000")
            }
            FeedWorkload::Celebrity { star_per_s, posts_per_s, sample, .. }
                if sample == 0 || !is_rate(star_per_s) || !is_rate(posts_per_s) =>
            {
                options("a celebrity needs a sample and rates")
            }
            FeedWorkload::Stampede { .. } | FeedWorkload::Graph { .. } if open => {
                options("a rate is for what is measured over time")
            }
            _ => Ok(()),
        }
    }
}
