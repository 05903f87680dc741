//! The ceiling: a bare HTTP server that only makes requests durable. A request is decoded,
//! goes through a channel into a batch, the batch is written and synced, and all of it is
//! answered. It keeps no state and no promise beyond that.
//!
//! `bare ADDRESS FILE`

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path as FilePath;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{post, put};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// The file is allocated once and written round and round, so that a sync writes data only.
const FILE_BYTES: u64 = 256 * 1024 * 1024;
const BATCH_MAX: usize = 4096;
const QUEUE_MAX: usize = 16 * 1024;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Hold {
    holder: String,
    ttl_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seats: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Held {
    hold: String,
    fence: u64,
    state: &'static str,
    #[serde(flatten)]
    request: Hold,
}

struct Append {
    bytes: Vec<u8>,
    answer: oneshot::Sender<u64>,
}

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, path] = words.as_slice() else {
        return Err("usage: bare ADDRESS FILE".into());
    };
    let file = allocate(FilePath::new(path))?;
    let (appends, queue) = sync_channel(QUEUE_MAX);
    std::thread::spawn(move || write_batches(&file, &queue));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(address, appends))
}

async fn serve(address: &str, appends: SyncSender<Append>) -> Result<(), AnyError> {
    let app = Router::new()
        .route("/v1/resources/{r}", put(async || StatusCode::CREATED))
        .route("/v1/resources/{r}/holds", post(hold))
        .with_state(appends);
    let listener = tokio::net::TcpListener::bind(address).await?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await?;
    Ok(())
}

async fn hold(
    State(appends): State<SyncSender<Append>>,
    Path(resource): Path<String>,
    headers: HeaderMap,
    Json(request): Json<Hold>,
) -> Result<(StatusCode, Json<Held>), StatusCode> {
    let key = headers.get("idempotency-key");
    let key = key.map_or(&b""[..], |key| key.as_bytes());
    // About as many bytes as the effects of a hold.
    let mut bytes = Vec::with_capacity(256);
    for part in [resource.as_bytes(), key, request.holder.as_bytes()] {
        bytes.extend_from_slice(part);
    }
    bytes.resize(256, 0);
    let (answer, answered) = oneshot::channel();
    appends
        .try_send(Append { bytes, answer })
        .map_err(|_| StatusCode::TOO_MANY_REQUESTS)?;
    let fence = answered
        .await
        .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let held = Held {
        hold: format!("{fence:016x}"),
        fence,
        state: "held",
        request,
    };
    Ok((StatusCode::CREATED, Json(held)))
}

fn allocate(path: &FilePath) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    let zeros = vec![0; 1024 * 1024];
    for at in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;
    Ok(file)
}

/// One batch after the other: whatever waits is written and synced at once. A failed write
/// ends the thread, and with it every request.
fn write_batches(file: &File, queue: &Receiver<Append>) {
    let mut at = 0;
    let mut fence = 0;
    let mut bytes = Vec::new();
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while let Ok(first) = queue.recv() {
        bytes.clear();
        batch.push(first);
        while batch.len() < BATCH_MAX
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        for append in &batch {
            bytes.extend_from_slice(&append.bytes);
        }
        if at + bytes.len() as u64 > FILE_BYTES {
            at = 0;
        }
        let written = file
            .write_all_at(&bytes, at)
            .and_then(|()| file.sync_data());
        if written.is_err() {
            return;
        }
        at += bytes.len() as u64;
        for append in batch.drain(..) {
            fence += 1;
            // The caller may have gone.
            let _ = append.answer.send(fence);
        }
    }
}
