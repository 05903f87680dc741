//! The edge: every request passes here once. It is identified, let in or refused, handed to its
//! handler, and answered; failures become problems, and everything is counted and logged, each in
//! one place. What the operations do is in their own modules.

use crate::{
    answer::{Answer, Body, REQUEST_ID},
    auth::{self, Needs},
    call::Call,
    chat,
    code::Code,
    contracts, feed, jobs, keys, limits,
    meters::Meters,
    ops,
    options::ServerOptions,
    page,
    problem::Problem,
    reads::Reads,
    realtime, reservations,
    routes::{self, Found, Operation, ROUTES, Route},
    schedules,
    text::push_decimal,
    time::wall_clock,
    token_keys, top,
};
use evenkeel_contract::{Meter, Outcome, Path};
use evenkeel_node::Node;
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{ALLOW, HeaderValue},
    http::request::Parts,
};
use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, watch};

/// The edge of one server.
pub(crate) struct Edge {
    pub(crate) node: Node,
    pub(crate) options: ServerOptions,
    /// What is promised and measured at each route, in the order of the table.
    pub(crate) served: Vec<Served>,
    /// A permit for every event stream that may still be opened.
    pub(crate) streams: Arc<Semaphore>,
    /// A permit for every WebSocket that may still be opened.
    pub(crate) realtime: Arc<Semaphore>,
    /// Turns true when the server is told to stop.
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) counters: Counters,
    pub(crate) meters: Meters,
    /// Answers that are kept for a moment.
    pub(crate) reads: Arc<Reads>,
    requests: AtomicU64,
    /// What this process's request ids begin with.
    request_prefix: String,
}

/// A route's promise and its counters, if it has a contract.
pub(crate) struct Served {
    pub(crate) path: Option<&'static Path>,
    pub(crate) meter: Option<Arc<Meter>>,
}

/// What is counted beside the paths.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) unauthenticated: AtomicU64,
    pub(crate) streams_reset: AtomicU64,
    /// Those that were closed, by why.
    pub(crate) realtime_closed: Closed,
    /// Frames of theirs that made no sense.
    pub(crate) realtime_nonsense: AtomicU64,
}

/// How many connections were closed, by why.
#[derive(Debug, Default)]
pub(crate) struct Closed([AtomicU64; realtime::Why::ALL.len()]);

impl Closed {
    pub(crate) fn count(&self, why: realtime::Why) {
        self.0[why as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn counts(&self) -> impl Iterator<Item = (realtime::Why, u64)> {
        realtime::Why::ALL.into_iter().zip(self.0.iter().map(|counter| counter.load(Relaxed)))
    }
}

impl Edge {
    pub(crate) fn new(
        node: Node,
        options: ServerOptions,
        meters: Meters,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let paths = evenkeel_domains::paths();
        let declared = |name: &str| paths.iter().copied().find(|path| path.name == name);
        let served = ROUTES.iter().map(|route| {
            let path = route.path.and_then(declared);
            Served { path, meter: path.and_then(|path| meters.get(path.name)) }
        });
        let mut request_prefix = String::from("req_");
        crate::text::push_hex(&mut request_prefix, &auth::entropy()[..6]);
        request_prefix.push('_');
        let reads = Arc::new(Reads::new(options.read_cache_bytes));
        let changed = Arc::clone(&reads);
        node.on_change(move |view, offset| changed.forget(view, offset));
        Self {
            reads,
            served: served.collect(),
            streams: Arc::new(Semaphore::new(options.streams_max)),
            realtime: Arc::new(Semaphore::new(options.realtime_max)),
            stopping,
            counters: Counters::default(),
            meters,
            requests: AtomicU64::new(0),
            request_prefix,
            node,
            options,
        }
    }

    /// The counters of a path.
    pub(crate) fn meter(&self, path: &str) -> Option<Arc<Meter>> {
        self.meters.get(path)
    }

    /// The clock of its meters.
    pub(crate) fn now_s(&self) -> u64 {
        self.meters.now_s()
    }

    /// Answers one request.
    pub(crate) async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let began = Instant::now();
        let request_id = self.next_request_id();
        let (parts, body) = request.into_parts();
        let found = routes::find(&parts.method, parts.uri.path());
        let route = match &found {
            Found::Route(index, route) => Some((*index, *route)),
            Found::OtherMethods(_) | Found::Nothing => None,
        };
        let (method, uri) = (parts.method.clone(), parts.uri.clone());
        let result = contained(Arc::clone(&self).answer(found, parts, body)).await;
        self.record(route, &result, began);
        log(&method, uri.path(), &result, &request_id, began);
        let response = match result {
            Ok(answer) => answer.respond(),
            Err(problem) => problem.respond(str::from_utf8(&request_id).unwrap_or_default()),
        };
        with_id(response, request_id)
    }

    /// The answer to whoever comes when there are as many connections as there may be.
    pub(crate) fn full(&self) -> Response<Body> {
        let id = self.next_request_id();
        let detail = "as many connections are open as may be; try again soon";
        let problem = Problem::new(Code::Unavailable, detail);
        let response = problem.respond(str::from_utf8(&id).unwrap_or_default());
        with_id(response, id)
    }

    async fn answer(
        self: Arc<Self>,
        found: Found,
        parts: Parts,
        body: Incoming,
    ) -> Result<Answer, Problem> {
        let (index, route) = match found {
            Found::Route(index, route) => (index, route),
            Found::OtherMethods(methods) => return Err(other_methods(&methods)),
            Found::Nothing => return self.file(&parts),
        };
        let (meta, now) = (self.node.meta(), wall_clock());
        let admitted =
            auth::admit(self.options.auth, route.needs, &parts.headers, &parts.uri, &meta, now);
        drop(meta);
        let caller = admitted.inspect_err(|problem| {
            if problem.code == Code::Unauthenticated {
                self.counters.unauthenticated.fetch_add(1, Relaxed);
            }
        })?;
        let path = self.served[index].path;
        let call = Call { edge: self, route, path, parts, caller, body: Some(body) };
        dispatch(route.operation, call).await
    }

    /// A file, where no operation is.
    fn file(&self, parts: &Parts) -> Result<Answer, Problem> {
        let file = self.options.files.iter().find(|file| file.path == parts.uri.path());
        let file = file.ok_or_else(|| {
            Problem::new(Code::NotFound, "nothing is at this address; see /openapi.json")
        })?;
        if ![Method::GET, Method::HEAD].contains(&parts.method) {
            return Err(other_methods(&[Method::GET]));
        }
        let (meta, needs) = (self.node.meta(), Needs::Nothing);
        auth::admit(self.options.auth, needs, &parts.headers, &parts.uri, &meta, wall_clock())?;
        Ok(page::file(file, auth::local_host(&parts.headers, &parts.uri)))
    }

    /// Counts a request, once, whatever became of it.
    fn record(
        &self,
        route: Option<(usize, &'static Route)>,
        result: &Result<Answer, Problem>,
        began: Instant,
    ) {
        let Some((index, route)) = route else { return };
        let Some(meter) = &self.served[index].meter else {
            return;
        };
        let delivered = result.as_ref().ok().and_then(|answer| answer.delivered.as_ref());
        let outcome = match result {
            Ok(answer) => answer
                .counted_as
                .map_or(Outcome::Ok, |code| Outcome::from_code(code.meaning().code)),
            Err(problem) => problem.outcome(),
        };
        let reads = route.method == Method::GET;
        let staleness = delivered.filter(|_| reads).map(|delivered| delivered.staleness_ms);
        let waited = result.as_ref().map_or(Duration::ZERO, |answer| answer.waited);
        self.meters.record(meter, outcome, (began + waited).min(Instant::now()), staleness);
        let Some(delivered) = delivered else { return };
        if delivered.replayed || !reads {
            self.meters.rested(meter, delivered.replayed, &delivered.as_of);
        }
    }

    fn next_request_id(&self) -> Vec<u8> {
        let number = self.requests.fetch_add(1, Relaxed);
        let mut id = Vec::with_capacity(self.request_prefix.len() + 12);
        id.extend_from_slice(self.request_prefix.as_bytes());
        push_decimal(&mut id, number);
        id
    }
}

fn with_id(mut response: Response<Body>, request_id: Vec<u8>) -> Response<Body> {
    let id = HeaderValue::from_maybe_shared(bytes::Bytes::from(request_id))
        .expect("a request id is letters, digits and underscores");
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

async fn dispatch(operation: Operation, call: Call) -> Result<Answer, Problem> {
    match operation {
        Operation::Hold => reservations::hold(call).await,
        Operation::Confirm => reservations::confirm(call).await,
        Operation::Release => reservations::release(call).await,
        Operation::Extend => reservations::extend(call).await,
        Operation::Cancel => reservations::cancel(call).await,
        Operation::GetHold => reservations::get_hold(call).await,
        Operation::GetResource => reservations::get_resource(call).await,
        Operation::PutResource => reservations::put_resource(call).await,
        Operation::AddSeats => reservations::add_seats(call).await,
        Operation::ListSeats => reservations::list_seats(call).await,
        Operation::ListHolds => reservations::list_holds(call).await,
        Operation::Events => Box::pin(reservations::events(call)).await,
        Operation::ListResources => reservations::list_resources(call).await,
        Operation::Check => limits::check(call).await,
        Operation::ReleaseSlot => limits::release(call).await,
        Operation::RenewSlot => limits::renew(call).await,
        Operation::Peek => limits::peek(call).await,
        Operation::Refund => limits::refund(call).await,
        Operation::ResetLimit => limits::reset(call).await,
        Operation::PutLimit => limits::put(call).await,
        Operation::GetLimit => limits::get(&call),
        Operation::ListLimits => limits::list(&call),
        Operation::DeleteLimit => limits::delete(call).await,
        Operation::Enqueue => jobs::enqueue(call).await,
        Operation::LeaseJobs => Box::pin(jobs::lease(call)).await,
        Operation::Complete => jobs::complete(call).await,
        Operation::CompleteMany => jobs::complete_many(call).await,
        Operation::Fail => jobs::fail(call).await,
        Operation::ExtendJob => jobs::extend(call).await,
        Operation::Snooze => jobs::snooze(call).await,
        Operation::Progress => jobs::progress(call).await,
        Operation::CancelJob => jobs::cancel(call).await,
        Operation::RetryJob => jobs::retry(call).await,
        Operation::GetJob => jobs::get_job(call).await,
        Operation::ListJobs => jobs::list_jobs(call).await,
        Operation::GetQueue => jobs::get(call).await,
        Operation::ListDead => jobs::dead(call).await,
        Operation::ReplayDead => Box::pin(jobs::replay(call)).await,
        Operation::QueueEvents => jobs::events(call).await,
        Operation::PutQueue => jobs::put(call).await,
        Operation::PauseQueue => jobs::pause(call).await,
        Operation::ResumeQueue => jobs::resume(call).await,
        Operation::DrainQueue => jobs::drain(call).await,
        Operation::DeleteQueue => jobs::delete(call).await,
        Operation::ListQueues => jobs::list(&call),
        Operation::PutSchedule => schedules::put(call).await,
        Operation::GetSchedule => schedules::get(call).await,
        Operation::ListSchedules => schedules::list(call).await,
        Operation::PauseSchedule => schedules::pause(call).await,
        Operation::ResumeSchedule => schedules::resume(call).await,
        Operation::DeleteSchedule => schedules::delete(call).await,
        Operation::PutConversation => chat::put_conversation(call).await,
        Operation::GetConversation => chat::get_conversation(call).await,
        Operation::PutMember => chat::put_member(call).await,
        Operation::RemoveMember => chat::remove_member(call).await,
        Operation::ListMembers => chat::list_members(call).await,
        Operation::SendMessage => chat::send(call).await,
        Operation::EditMessage => chat::edit(call).await,
        Operation::DeleteMessage => chat::delete(call).await,
        Operation::React | Operation::Unreact => chat::react(call).await,
        Operation::MarkRead => chat::read(call).await,
        Operation::ListMessages => chat::list_messages(call).await,
        Operation::GetMessage => chat::get_message(call).await,
        Operation::ListReactions => chat::list_reactions(call).await,
        Operation::GetInbox => Box::pin(chat::inbox(call)).await,
        Operation::StreamConversation => Box::pin(chat::stream(call)).await,
        Operation::PostToFeed => feed::post(call).await,
        Operation::DeletePost => feed::delete(call).await,
        Operation::ReactToPost | Operation::UnreactToPost => feed::react(call).await,
        Operation::Follow | Operation::Unfollow => feed::follow(call).await,
        Operation::Block | Operation::Unblock => feed::block(call).await,
        Operation::Mute | Operation::Unmute => feed::mute(call).await,
        Operation::GetTimeline => feed::timeline(call).await,
        Operation::StreamTimeline => Box::pin(feed::stream(call)).await,
        Operation::GetFeedUser => feed::user(call).await,
        Operation::ListPosts => feed::posts(call).await,
        Operation::GetPost => feed::get_post(call).await,
        Operation::ListPostReactions => feed::reactions(call).await,
        Operation::ListFollowers | Operation::ListFollowing => feed::people(call).await,
        Operation::ListBlocks | Operation::ListMutes => feed::people(call).await,
        Operation::Realtime => realtime::connect(call),
        Operation::CreateKey => keys::create(call).await,
        Operation::ListKeys => keys::list(&call),
        Operation::RevokeKey => keys::revoke(call).await,
        Operation::CreateTokenKey => token_keys::create(call).await,
        Operation::ListTokenKeys => token_keys::list(&call),
        Operation::RevokeTokenKey => token_keys::revoke(call).await,
        Operation::ListContracts => contracts::list(&call),
        Operation::GetContract => contracts::get(&call),
        Operation::Top => top::top(&call),
        Operation::Metrics => ops::metrics(call).await,
        Operation::Healthz => ops::healthz(&call),
        Operation::Readyz => ops::readyz(&call),
        Operation::OpenApi => ops::openapi(&call),
        Operation::Page => page::page(&call),
        Operation::ProblemPage => page::problem_page(&call),
    }
}

fn other_methods(methods: &[Method]) -> Problem {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let names = names.join(", ");
    let detail = format!("this address answers {names}");
    let allow = HeaderValue::from_str(&names).expect("methods are letters");
    Problem::new(Code::MethodNotAllowed, detail).header(ALLOW, allow)
}

/// Runs a handler so that its panic is the failure of one request and of nothing else.
async fn contained(
    handler: impl Future<Output = Result<Answer, Problem>>,
) -> Result<Answer, Problem> {
    let mut handler = pin!(handler);
    poll_fn(|cx| {
        // What the handler shares with others is locks and atomics that hold no broken state: a
        // request that panicked leaves nothing half done in this crate.
        match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
            Ok(poll) => poll,
            Err(panic) => Poll::Ready(Err(panicked(panic.as_ref()))),
        }
    })
    .await
}

fn panicked(panic: &(dyn Any + Send)) -> Problem {
    let why = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of unknown cause");
    tracing::error!(why, "a handler panicked");
    Problem::new(Code::Internal, "a defect of the program; its log says more under the request id")
        .effects_unknown()
}

/// One line a request: what went well only when asked for, what the server owes loudest.
fn log(
    method: &Method,
    path: &str,
    result: &Result<Answer, Problem>,
    request_id: &[u8],
    began: Instant,
) {
    let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let request_id = str::from_utf8(request_id).unwrap_or_default();
    match result {
        Ok(answer) => {
            let status = answer.status.as_u16();
            tracing::debug!(%method, path, status, took_us, request_id, "answered");
        }
        Err(problem) => {
            let (status, code) = (problem.status().as_u16(), problem.code.meaning().code);
            if status >= 500 {
                tracing::warn!(%method, path, status, code, took_us, request_id, "failed");
            } else {
                tracing::info!(%method, path, status, code, took_us, request_id, "refused");
            }
        }
    }
}
