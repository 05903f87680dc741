//! A post that is pushed to each follower.
//!
//! The requests are written as Redis takes them, without a client library, so that what is measured is
//! Redis.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use crate::AnyError;

const CONNECTIONS: u32 = 4;
/// Followers in one pipeline.
const PIPELINE: u32 = 1_000;
/// Posts that each follower's list keeps.
const KEPT: u32 = 800;

/// One unmeasured post makes the lists; then so many are measured.
pub(crate) fn measure(redis: &str, followers: u32, posts: u32) -> Result<(), AnyError> {
    push(redis, followers, 0)?;
    let mut pushed_us = Vec::new();
    for post in 1..=posts {
        let begun = Instant::now();
        push(redis, followers, post)?;
        pushed_us.push(begun.elapsed().as_micros().to_string());
    }
    let pushed_us = pushed_us.join(",");
    let report = format!("{{\"followers\":{followers},\"pushed_us\":[{pushed_us}]}}\n");
    Ok(std::io::stdout().write_all(report.as_bytes())?)
}

/// Pushes a post to all; answers when the last has it.
fn push(redis: &str, followers: u32, post: u32) -> Result<(), AnyError> {
    std::thread::scope(|scope| {
        let shares: Vec<_> = (0..CONNECTIONS)
            .map(|share| scope.spawn(move || push_share(redis, followers, share, post)))
            .collect();
        shares.into_iter().try_for_each(|share| share.join().map_err(|_| "a thread panicked")?)
    })
}

fn push_share(redis: &str, followers: u32, share: u32, post: u32) -> Result<(), AnyError> {
    let mut stream = TcpStream::connect(redis)?;
    stream.set_nodelay(true)?;
    let number = format!("{:016}", 1_767_225_600_000_000 + u64::from(post));
    let last = (KEPT - 1).to_string();
    let mut mine = (share..followers).step_by(CONNECTIONS as usize).peekable();
    let mut requests = Vec::new();
    while mine.peek().is_some() {
        requests.clear();
        let mut replies = 0;
        for follower in mine.by_ref().take(PIPELINE as usize) {
            let key = format!("f:{follower}");
            write_request(&mut requests, &["LPUSH", &key, &number])?;
            write_request(&mut requests, &["LTRIM", &key, "0", &last])?;
            replies += 2;
        }
        stream.write_all(&requests)?;
        read_replies(&mut stream, replies)?;
    }
    Ok(())
}

fn write_request(out: &mut Vec<u8>, words: &[&str]) -> Result<(), AnyError> {
    write!(out, "*{}\r\n", words.len())?;
    for word in words {
        write!(out, "${}\r\n{word}\r\n", word.len())?;
    }
    Ok(())
}

/// Each is one line: a number, or OK.
fn read_replies(stream: &mut TcpStream, mut replies: usize) -> Result<(), AnyError> {
    let mut bytes = [0; 16 * 1024];
    let mut begins_line = true;
    while replies > 0 {
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Err("Redis closed the connection".into());
        }
        for &byte in &bytes[..count] {
            if begins_line && byte == b'-' {
                return Err("Redis refused a request".into());
            }
            begins_line = byte == b'\n';
            replies -= usize::from(begins_line);
        }
    }
    Ok(())
}
