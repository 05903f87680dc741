//! The feed peers: a timeline that is a list in Redis, or a constant.
//!
//! ```text
//! redis_feed constant ADDRESS BYTES
//! redis_feed lists ADDRESS REDIS_ADDRESS NAME READERS BYTES
//! redis_feed push REDIS_ADDRESS FOLLOWERS POSTS
//! ```
//!
//! - `constant` answers every timeline with the same body of about so many bytes: what the HTTP server
//!   alone costs.
//! - `lists` answers the timeline of a user with `LRANGE` of their list, of which it fills one for each
//!   of `NAME-0`, `NAME-1`, … first: pages of 50 posts, of about so many bytes.
//! - `push` posts for somebody with so many followers, as a careful team would: `LPUSH` and `LTRIM` for
//!   each follower, in pipelines over several connections. It prints, as JSON, how long each post took
//!   until the last follower had it. What is pushed is the number of a post, the least that there is.

mod push;
mod serve;

use std::process::ExitCode;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The allocator that Evenkeel has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("redis_feed: {error}\n"),
            );
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), AnyError> {
    match words {
        ["constant", address, bytes] => serve::constant(address, bytes.parse()?),
        ["lists", address, redis, name, readers, bytes] => {
            serve::lists(address, redis, name, readers.parse()?, bytes.parse()?)
        }
        ["push", redis, followers, posts] => {
            push::measure(redis, followers.parse()?, posts.parse()?)
        }
        _ => Err("usage: redis_feed constant|lists|push …; see the head of main.rs".into()),
    }
}
