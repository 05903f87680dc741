//! `evenkeel bench feed`: timelines, posts, follows, somebody whom a million follow, and a stampede.

use super::Measurement;
use crate::{client::ServerArgs, failure::Failure};
use clap::ValueEnum;
use evenkeel_drill::load::feed::{FeedBench, FeedReport, FeedWorkload};

/// What is done in feeds.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Row {
    /// Put users there who follow each other by a power law, and post; for timeline and stampede.
    Graph,
    /// Pages of the timelines of a graph's readers, while posts arrive.
    Timeline,
    /// Put somebody there whom very many follow; for celebrity.
    Followers,
    /// That one posts: until followers see it, and what others notice, who read at --rate.
    Celebrity,
    /// Many post, whom ten follow each.
    Posts,
    /// Many begin to follow.
    Follow,
    /// All --connections ask at once for a timeline of a graph's reader that nobody has asked for.
    Stampede,
}

/// Measure feeds.
#[derive(Debug, clap::Args)]
pub(super) struct Feed {
    /// What is done in feeds.
    #[arg(value_enum)]
    row: Row,
    /// What the names of the users begin with.
    #[arg(long, default_value = "bench")]
    name: String,
    /// How many users post; 20,000 if not given, 1,000 for followers and celebrity, 2,000 for posts.
    #[arg(long)]
    users: Option<u32>,
    /// graph: who follows whom is drawn with this.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// graph, timeline, stampede: how many the readers follow, each.
    #[arg(long, default_value_t = 200)]
    following: u32,
    /// graph, timeline: how many readers follow so many.
    #[arg(long, default_value_t = 64)]
    readers: u32,
    /// graph, followers: posts of each user.
    #[arg(long, default_value_t = 5)]
    posts_each: u32,
    /// timeline, celebrity: posts a second by random users meanwhile; none if 0.
    #[arg(long, value_name = "PER_S", default_value_t = 500.0)]
    posts_per_s: f64,
    /// Posts a page.
    #[arg(long, default_value_t = 50)]
    page: u32,
    /// The level that timelines are read at: linearizable, session, bounded or eventual.
    #[arg(long, value_name = "LEVEL")]
    consistency: Option<String>,
    /// followers, celebrity: how many.
    #[arg(long, default_value_t = 1_000_000)]
    followers: u32,
    /// celebrity: posts a second by the star.
    #[arg(long, value_name = "PER_S", default_value_t = 10.0)]
    star_per_s: f64,
    /// celebrity: followers, spread over all partitions, who look for each post.
    #[arg(long, default_value_t = 64)]
    sample: u32,
    #[command(flatten)]
    pub(super) measurement: Measurement,
    #[command(flatten)]
    server: ServerArgs,
}

const USERS: u32 = 20_000;
const USERS_BESIDE_STAR: u32 = 1_000;
const USERS_OF_RING: u32 = 2_000;
/// Pages a second that others read beside the star.
const READS_BESIDE_STAR: f64 = 1_000.0;

pub(super) async fn feed(mut args: Feed) -> Result<FeedReport, Failure> {
    let (following, readers, posts_each) = (args.following, args.readers, args.posts_each);
    let (followers, posts_per_s) = (args.followers, args.posts_per_s);
    let mut users = USERS;
    let workload = match args.row {
        Row::Graph => FeedWorkload::Graph { following, readers, posts_each },
        Row::Timeline => FeedWorkload::Timeline { following, readers, posts_per_s },
        Row::Followers => {
            users = USERS_BESIDE_STAR;
            FeedWorkload::Followers { followers, posts_each }
        }
        Row::Celebrity => {
            users = USERS_BESIDE_STAR;
            args.measurement.rate.get_or_insert(READS_BESIDE_STAR);
            let (star_per_s, sample) = (args.star_per_s, args.sample);
            FeedWorkload::Celebrity { followers, star_per_s, posts_per_s, sample }
        }
        Row::Posts => {
            users = USERS_OF_RING;
            FeedWorkload::Posts
        }
        Row::Follow => FeedWorkload::Follow,
        Row::Stampede => FeedWorkload::Stampede { following },
    };
    let bench = FeedBench {
        api_key: args.server.api_key()?,
        timeout: args.server.timeout(),
        target: args.server.url,
        plan: args.measurement.plan()?,
        workload,
        name: args.name,
        users: args.users.unwrap_or(users),
        seed: args.seed,
        page: args.page,
        consistency: args.consistency,
    };
    Ok(bench.run().await?)
}
