//! Something that is followed, as Server-Sent Events (the WHATWG HTML standard, "Server-sent events").
//!
//! Pages are read when the reader has taken the last one, never before, so a slow reader costs no
//! buffer. A reader is watching before it reads the page that it then waits after: no event can
//! fall between the two.

use crate::{
    answer::{Answer, Body, Delivered, Pull, Stream},
    auth::{self, Caller, Needs},
    call::Call,
    code::Code,
    edge::Edge,
    problem::Problem,
    query::{self, Parameters},
    time::wall_clock,
};
use bytes::Bytes;
use evenkeel_domains::Scope;
use evenkeel_engine::{Entity, Position};
use evenkeel_node::{Called, Node, ReadOptions, Tenant};
use hyper::{HeaderMap, StatusCode, header::HeaderValue};
use serde::Serialize;
use std::{
    future::Future,
    io::Write,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::sleep,
};

/// Events of one page.
pub(crate) const PAGE_EVENTS_MAX: usize = 256;
const LAST_EVENT_ID: &str = "last-event-id";
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Where a reader begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum From {
    Now,
    Start,
    After(Position),
}

/// Some events that follow one another.
pub(crate) struct Page {
    /// What to watch for more.
    pub(crate) entity: Entity,
    /// The position after which to read on.
    pub(crate) next: Position,
    /// What followed the position asked for is gone, or it is none.
    pub(crate) reset: bool,
    /// Nothing follows for this reader.
    pub(crate) ends: bool,
    /// There is more to read already.
    pub(crate) more: bool,
    /// The events, as [`frame`]s.
    pub(crate) frames: Vec<u8>,
}

/// Something whose events can be read from any position.
pub(crate) trait Source: Send + Sync + Sized + 'static {
    /// The events after `from`.
    fn page(
        &self,
        node: &Node,
        tenant: &Tenant,
        from: From,
        options: ReadOptions,
    ) -> impl Future<Output = Result<Called<Page>, Problem>> + Send;
    /// Where it is.
    fn scope(&self) -> Scope<'_>;
    /// What to read anew when history is gone, in words and as an address.
    fn reload(&self) -> (&'static str, String);
}

/// Answers `call` with the events of `source`, from where the caller says.
pub(crate) async fn follow(call: Call, source: impl Source) -> Result<Answer, Problem> {
    let from = begin(&call.parameters()?, &call.parts.headers)?;
    let options = call.read_options()?;
    let permit = Arc::clone(&call.edge.streams)
        .try_acquire_owned()
        .map_err(|_| Problem::new(Code::Overloaded, "as many event streams are open as may be"))?;
    let mut follower = Follower {
        stopping: call.edge.stopping.clone(),
        edge: call.edge,
        needs: call.route.needs,
        caller: call.caller,
        source,
        after: None,
        grown: None,
        ended: false,
        _permit: permit,
    };
    // The first page is read before the answer begins, so that what is wrong is still a problem.
    let called = follower.page(from, options).await?;
    let (page, delivered) = Delivered::split(called);
    let mut first = Vec::new();
    if matches!(from, From::Now) {
        open_frame(&mut first, page.next);
    }
    follower.take(&page, &mut first);
    if first.is_empty() {
        // Something to read at once, so that the reader knows that it is connected.
        first.extend_from_slice(b": following\n\n");
    }
    let body = Body::Pulled(Stream::new(Begun { first: first.into(), follower }));
    Ok(Answer::new(StatusCode::OK, EVENT_STREAM, body).delivered(delivered))
}

/// A reader that reconnects says where it was, whatever the address it was given once says.
fn begin(parameters: &Parameters<'_>, headers: &HeaderMap) -> Result<From, Problem> {
    let rule = "must be a position that an event carried";
    if let Some(id) = headers.get(LAST_EVENT_ID) {
        let position = id.to_str().ok().and_then(|id| id.parse().ok());
        return position.map(From::After).ok_or_else(|| Problem::bad_header("Last-Event-ID", rule));
    }
    match parameters.get("since") {
        None => Ok(From::Now),
        Some("start") => Ok(From::Start),
        Some(since) => {
            let position = since.parse();
            position.map(From::After).map_err(|()| query::bad("since", rule))
        }
    }
}

/// A reader of one thing's events.
struct Follower<S> {
    edge: Arc<Edge>,
    /// Who reads: once they may not any more, it ends.
    caller: Caller,
    needs: Needs,
    source: S,
    /// The last event that was written; `None` before the first page.
    after: Option<Position>,
    /// Changes when there is more.
    grown: Option<watch::Receiver<()>>,
    stopping: watch::Receiver<bool>,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

/// A follower whose first piece is there already.
struct Begun<S> {
    first: Bytes,
    follower: Follower<S>,
}

impl<S: Source> Pull for Begun<S> {
    async fn pull(self) -> Option<(Bytes, Self)> {
        let Self { first, follower } = self;
        if !first.is_empty() {
            return Some((first, Self { first: Bytes::new(), follower }));
        }
        let (piece, follower) = follower.next().await?;
        Some((piece, Self { first: Bytes::new(), follower }))
    }
}

impl<S: Source> Follower<S> {
    /// The next events, or a comment after a while without any.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        let mut piece = Vec::new();
        while !self.ended && self.is_welcome() {
            let after = From::After(self.after?);
            let page = match self.page(after, ReadOptions::default()).await {
                Ok(called) => called.answer,
                // The reader comes back with its position, and then hears what is wrong.
                Err(_) => return None,
            };
            self.take(&page, &mut piece);
            if !piece.is_empty() {
                return Some((piece.into(), self));
            }
            if page.more {
                continue;
            }
            let Some(grown) = &mut self.grown else {
                let scope = self.source.scope();
                let watched = self.edge.node.watch(&self.caller.tenant, scope, page.entity);
                self.grown = Some(watched.await?);
                continue;
            };
            let quiet = tokio::select! {
                changed = grown.changed() => {
                    changed.ok()?;
                    false
                }
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
                () = sleep(self.edge.options.heartbeat) => true,
            };
            if quiet {
                // With where the reader is: what passed it by meanwhile it need not come back for.
                let mut piece = String::from(": still here\n\n");
                if let Some(after) = self.after {
                    piece.insert_str(0, &format!("id: {after}\n"));
                }
                return Some((piece.into(), self));
            }
        }
        None
    }

    async fn page(&self, from: From, options: ReadOptions) -> Result<Called<Page>, Problem> {
        self.source.page(&self.edge.node, &self.caller.tenant, from, options).await
    }

    /// Writes what `page` says and remembers where it ends.
    fn take(&mut self, page: &Page, out: &mut Vec<u8>) {
        self.after = Some(page.next);
        self.ended = page.reset || page.ends;
        if page.reset {
            self.edge.counters.streams_reset.fetch_add(1, Relaxed);
            reset_frame(out, self.source.reload(), page.next);
        }
        out.extend_from_slice(&page.frames);
    }

    fn is_welcome(&self) -> bool {
        let meta = self.edge.node.meta();
        auth::recheck(self.edge.options.auth, &self.caller, self.needs, &meta, wall_clock()).is_ok()
    }
}

fn open_frame(out: &mut Vec<u8>, position: Position) {
    #[derive(Serialize)]
    struct Open {
        position: String,
    }
    let open = Open { position: position.to_string() };
    frame(out, position, "open", &open);
}

/// History is gone: says from where to read on once everything was read anew.
fn reset_frame(out: &mut Vec<u8>, (what, address): (&str, String), position: Position) {
    #[derive(Serialize)]
    struct Reset {
        position: String,
        detail: String,
        reload: String,
    }
    let reset = Reset {
        position: position.to_string(),
        detail: format!(
            "the events after your position are not kept any more, or it is of another life of the \
             log; read {what} again, then follow from `position`"
        ),
        reload: address,
    };
    frame(out, position, "reset", &reset);
}

/// Writes one frame. JSON needs no line ends: those that a caller's has are between its parts, and become
/// spaces, so that its text is one `data` line.
pub(crate) fn frame(out: &mut Vec<u8>, position: Position, kind: &str, data: &impl Serialize) {
    write!(out, "id: {position}\nevent: {kind}\ndata: ").expect("a Vec takes whatever is written");
    let begins = out.len();
    serde_json::to_writer(&mut *out, data).expect("structs of strings and numbers serialise");
    for byte in &mut out[begins..] {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\n\n");
}
