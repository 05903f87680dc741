//! Timelines over HTTP, at the address that Evenkeel has them at.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use redis::aio::MultiplexedConnection;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::AnyError;

/// As many as Evenkeel has on the machine that is measured.
const WORKERS: usize = 2;
/// Posts that a list has: what is read is its beginning.
const POSTS: usize = 200;
const PAGE: usize = 50;
/// Of an answer, beside its posts.
const FRAME_BYTES: usize = 24;

const JSON: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

#[derive(Deserialize)]
struct PageQuery {
    limit: isize,
}

/// Every timeline is the same.
pub(crate) fn constant(address: &str, bytes: usize) -> Result<(), AnyError> {
    let posts: Vec<String> = (0..PAGE).map(|number| post(number, bytes)).collect();
    let body = Bytes::from(page(&posts.join(",")));
    let timeline = |State(body): State<Bytes>| async move { (JSON, body) };
    serve(address, async { Ok(Router::new().route(ROUTE, get(timeline)).with_state(body)) })
}

/// A timeline is what the user's list begins with.
pub(crate) fn lists(
    address: &str,
    redis: &str,
    name: &str,
    readers: u32,
    bytes: usize,
) -> Result<(), AnyError> {
    let routes = async {
        let client = redis::Client::open(format!("redis://{redis}"))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        for reader in 0..readers {
            let posts: Vec<String> = (0..POSTS).map(|number| post(number, bytes)).collect();
            let mut push = redis::cmd("RPUSH");
            push.arg(format!("{name}-{reader}")).arg(posts);
            push.query_async::<()>(&mut connection).await?;
        }
        Ok(Router::new().route(ROUTE, get(timeline)).with_state(connection))
    };
    serve(address, routes)
}

const ROUTE: &str = "/v1/feeds/{user}/timeline";

async fn timeline(
    State(mut connection): State<MultiplexedConnection>,
    Path(user): Path<String>,
    Query(PageQuery { limit }): Query<PageQuery>,
) -> Response {
    let mut range = redis::cmd("LRANGE");
    range.arg(user).arg(0).arg(limit - 1);
    match range.query_async::<Vec<String>>(&mut connection).await {
        Ok(posts) => (JSON, page(&posts.join(","))).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn page(posts: &str) -> String {
    format!(r#"{{"items":[{posts}],"cursor":null}}"#)
}

/// One of the posts of which a page has so many bytes.
fn post(number: usize, page_bytes: usize) -> String {
    let post = |text: &str| {
        format!(r#"{{"author":"bench-u1","post":{number},"body":{{"text":"{text}"}}}}"#)
    };
    let bytes = page_bytes.saturating_sub(FRAME_BYTES) / PAGE;
    // The comma behind it is of it.
    post(&"x".repeat(bytes.saturating_sub(post("").len() + 1)))
}

fn serve(
    address: &str,
    routes: impl Future<Output = Result<Router, AnyError>>,
) -> Result<(), AnyError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    runtime.block_on(async {
        let routes = routes.await?;
        let listener = TcpListener::bind(address).await?.tap_io(|stream| {
            // Without it an answer may wait, which is slower and nothing else.
            let _ = stream.set_nodelay(true);
        });
        Ok(axum::serve(listener, routes).await?)
    })
}
