//! `celebrity`: somebody whom very many follow posts, and others post and read.
//!
//! Four windows a repeat, each warmed up: the others alone; the others and the star; the others, the
//! star, and a sample of the followers who look for each post, at one level and at another. What the others notice is the
//! difference of the first two, in which nobody looks.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::super::driver::{Plan, drive};
use super::super::endpoint::Endpoint;
use super::super::report::{Report, Run};
use super::options::FeedBenchError;
use super::people::People;
use super::posts::Posts;
use super::seen::{LEVELS, Sample, SeenReport};
use super::timelines::{Timelines, at_rate, with_posts};

/// Somebody with so many followers; the first of them, a ring, are the others.
pub(super) struct Celebrity {
    pub(super) endpoint: Endpoint,
    pub(super) people: People,
    /// Of the others.
    pub(super) timelines: Timelines,
    pub(super) followers: u32,
    pub(super) star_per_s: f64,
    /// Of all the others together.
    pub(super) posts_per_s: f64,
    /// Followers who look for each post.
    pub(super) sample: u32,
}

/// What was measured beside each other.
#[derive(Debug, Clone, Serialize)]
pub struct CelebrityReport {
    /// The star's followers.
    pub followers: u32,
    /// The others while the star is silent.
    pub alone: Beside,
    /// The same while the star posts.
    pub beside_star: Beside,
    /// The star's posts meanwhile, each until it is acknowledged.
    pub star: Report,
    /// Until the followers see them; one a level and repeat.
    pub seen: Vec<SeenReport>,
}

/// What the others did.
#[derive(Debug, Clone, Serialize)]
pub struct Beside {
    /// Their posts.
    pub posts: Report,
    /// Pages of their timelines.
    pub reads: Report,
}

impl Celebrity {
    pub(super) async fn run(self, plan: Plan) -> Result<CelebrityReport, FeedBenchError> {
        let sample =
            Sample::choose(&self.endpoint, &self.people, self.followers, self.sample).await?;
        let once = Plan { repeats: 1, ..plan };
        let star_plan = at_rate(once, self.star_per_s);
        let star = self.people.star();
        let stars: Arc<[String]> = Arc::new([star.clone()]);
        let (mut alone, mut beside_star) = (Windows::default(), Windows::default());
        let (mut stars_runs, mut seen) = (Vec::new(), Vec::new());
        for _ in 0..plan.repeats {
            alone.add(self.others(once).await?);
            let posts = Posts { endpoint: self.endpoint.clone(), authors: Arc::clone(&stars) };
            let posts = async { Ok(drive(Arc::new(posts), star_plan).await?) };
            let (others, posts) = tokio::try_join!(self.others(once), posts)?;
            beside_star.add(others);
            stars_runs.extend(posts.runs);
            for level in LEVELS {
                let time = once.warmup + once.duration;
                let watch = sample.watch(&star, level, self.star_per_s, time);
                let (_, watched) = tokio::try_join!(self.others(once), watch)?;
                seen.push(watched);
            }
        }
        Ok(CelebrityReport {
            followers: self.followers,
            alone: alone.report("the star being silent", plan, self.posts_per_s),
            beside_star: beside_star.report("beside the star", plan, self.posts_per_s),
            star: Report::new("the star's posts".to_owned(), &star_plan, stars_runs),
            seen,
        })
    }

    async fn others(&self, plan: Plan) -> Result<(Report, Report), FeedBenchError> {
        let authors = Arc::clone(&self.timelines.users);
        let posts = Posts { endpoint: self.endpoint.clone(), authors };
        let beside = Some((posts, self.posts_per_s));
        let (reads, posts) = with_posts(self.timelines.clone(), plan, beside).await?;
        let missing = || FeedBenchError::Options("the others post at some rate");
        Ok((reads, posts.ok_or_else(missing)?))
    }
}

/// Windows of the same kind, in different repeats.
#[derive(Default)]
struct Windows {
    reads: Vec<Run>,
    posts: Vec<Run>,
}

impl Windows {
    fn add(&mut self, (reads, posts): (Report, Report)) {
        self.reads.extend(reads.runs);
        self.posts.extend(posts.runs);
    }

    fn report(self, when: &str, plan: Plan, posts_per_s: f64) -> Beside {
        let posts = format!("others' posts, {when}");
        Beside {
            posts: Report::new(posts, &at_rate(plan, posts_per_s), self.posts),
            reads: Report::new(format!("others' timelines, {when}"), &plan, self.reads),
        }
    }
}

impl fmt::Display for CelebrityReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "feed celebrity · {} followers\n", self.followers)?;
        for Beside { posts, reads } in [&self.alone, &self.beside_star] {
            writeln!(out, "{posts}\n{reads}")?;
        }
        writeln!(out, "{}", self.star)?;
        self.seen.iter().try_for_each(|seen| seen.fmt(out))
    }
}
