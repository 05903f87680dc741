//! The chat peer: a WebSocket chat server over Redis Streams and Pub/Sub, as a careful team would
//! write it, which speaks Evenkeel's realtime protocol as far as the benchmark needs it.
//!
//! `redis_chat ADDRESS REDIS_ADDRESS`
//!
//! - A send is `XADD` to the conversation's stream and `PUBLISH` to its channel, in pipelines over
//!   one multiplexed connection, and acknowledged after `XADD`'s reply. With `appendfsync always`
//!   Redis syncs before it replies, and before it passes on what was published.
//! - The process numbers a conversation's messages itself (`XADD … 0-n`), so that what is published
//!   beside the `XADD` can say its number. So one process owns a conversation, as a partition's
//!   owner does in Evenkeel; several would need a script, which costs Redis more.
//! - One Pub/Sub connection a process; a message is encoded once and shared by its readers here.
//! - A resume is `XRANGE` from the position.
//!
//! What it does not do, and Evenkeel does: it knows no members and no keys, and a message that is
//! sent again is stored again.

mod frames;
mod http;
mod hub;
mod socket;
mod store;

use std::sync::Arc;

use hub::Hub;
use store::Store;
use tokio::net::TcpListener;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The allocator that Evenkeel has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As many as Evenkeel has on the machine that is measured.
const WORKERS: usize = 2;

/// What all connections use.
struct Server {
    store: Store,
    hub: Hub,
}

fn main() -> Result<(), AnyError> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, redis] = words.as_slice() else {
        return Err("usage: redis_chat ADDRESS REDIS_ADDRESS".into());
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    runtime.block_on(serve(address, redis))
}

async fn serve(address: &str, redis: &str) -> Result<(), AnyError> {
    let client = redis::Client::open(format!("redis://{redis}"))?;
    let server =
        Arc::new(Server { store: Store::start(&client).await?, hub: Hub::start(&client).await? });
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A connection that breaks ends alone.
        tokio::spawn(http::serve(stream, Arc::clone(&server)));
    }
}
