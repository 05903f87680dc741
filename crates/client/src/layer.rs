//! The tower layer: asks before each request whether it fits, and answers those that do not with a
//! problem (RFC 9457) in the service's stead. What is counted, and how, is the limit's own policy.

use crate::client::{Answer, Check, CheckError, Client};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    http::request::Parts,
};
use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tower_layer::Layer;
use tower_service::Service;

/// How long an answer may take, unless it is told otherwise.
const DEADLINE: Duration = Duration::from_millis(250);
/// What requests are counted under if nobody says.
const ALL: &str = "all";
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

type Names = Arc<dyn Fn(&Parts) -> String + Send + Sync>;

/// What becomes of a request when Evenkeel does not answer in time, or cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnavailable {
    /// It is let through, uncounted.
    Allow,
    /// It is answered 503.
    #[default]
    Deny,
}

/// Limits every request of a service by one limit of Evenkeel.
///
/// A request that fits goes on, and its response gets the headers `RateLimit` and
/// `RateLimit-Policy`. One that does not is answered 429 with `Retry-After`. Where the limit itself
/// says what happens while nobody can count it (`on_unavailable`), that is what happens; a refusal
/// of that kind is 503.
///
/// It is for limits by time. A slot of a `concurrency` limit would stay taken until its time is
/// over, because nothing here releases it.
#[derive(Clone)]
pub struct RateLimitLayer {
    client: Client,
    limit: Arc<str>,
    key: Option<Names>,
    scope: Option<Names>,
    deadline: Duration,
    on_unavailable: OnUnavailable,
}

impl RateLimitLayer {
    /// By `limit`, which must be there when the first request comes. All requests count together.
    #[must_use]
    pub fn new(client: &Client, limit: &str) -> Self {
        Self {
            client: client.clone(),
            limit: limit.into(),
            key: None,
            scope: None,
            deadline: DEADLINE,
            on_unavailable: OnUnavailable::default(),
        }
    }

    /// The same, each request counted under what `key` makes of its head: a user, an address. A
    /// request whose key Evenkeel does not take (it has at most 512 bytes) is answered 400.
    #[must_use]
    pub fn key(mut self, key: impl Fn(&Parts) -> String + Send + Sync + 'static) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    /// The same for a limit that is `scoped`: what the scope of a request is.
    #[must_use]
    pub fn scope(mut self, scope: impl Fn(&Parts) -> String + Send + Sync + 'static) -> Self {
        self.scope = Some(Arc::new(scope));
        self
    }

    /// The same with at most `deadline` for an answer, of 250 ms unless given.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The same with `on_unavailable` for when there is no answer; requests are denied unless given.
    #[must_use]
    pub fn on_unavailable(mut self, on_unavailable: OnUnavailable) -> Self {
        self.on_unavailable = on_unavailable;
        self
    }

    /// Asks about a request with this head: the headers of its response, or what it is refused with.
    async fn admit(&self, key: String, scope: Option<String>) -> Result<HeaderMap, Refusal> {
        let check = Check { limit: &self.limit, scope: scope.as_deref(), key: &key };
        let answer = self.client.check(&check, self.deadline).await;
        match answer {
            Ok(Answer { allowed: true, headers, .. }) => Ok(headers),
            Ok(Answer { degraded: true, headers, .. }) => Err(Refusal::unavailable(headers)),
            Ok(Answer { headers, .. }) => Err(Refusal::limited(headers)),
            Err(CheckError::Invalid(detail)) => Err(Refusal::invalid(&self.limit, &detail)),
            Err(error) => {
                let (why, limit) = (in_full(&error), &*self.limit);
                tracing::warn!(why, limit, "a request could not be counted");
                match self.on_unavailable {
                    OnUnavailable::Allow => Ok(HeaderMap::new()),
                    OnUnavailable::Deny => Err(Refusal::unavailable(HeaderMap::new())),
                }
            }
        }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit { inner, layer: self.clone() }
    }
}

impl fmt::Debug for RateLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, limit, deadline, on_unavailable, .. } = self;
        f.debug_struct("RateLimitLayer")
            .field("client", client)
            .field("limit", limit)
            .field("deadline", deadline)
            .field("on_unavailable", on_unavailable)
            .finish_non_exhaustive()
    }
}

/// A service whose requests are limited: what [`RateLimitLayer`] makes.
#[derive(Debug, Clone)]
pub struct RateLimit<S> {
    inner: S,
    layer: RateLimitLayer,
}

impl<S, B, R> Service<Request<B>> for RateLimit<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: From<String>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that said that it is ready is called; a clone may not be.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        let layer = self.layer.clone();
        let (head, body) = request.into_parts();
        let key = layer.key.as_ref().map_or_else(|| ALL.to_owned(), |key| key(&head));
        let scope = layer.scope.as_ref().map(|scope| scope(&head));
        Box::pin(async move {
            match layer.admit(key, scope).await {
                Ok(headers) => {
                    let mut response = inner.call(Request::from_parts(head, body)).await?;
                    response.headers_mut().extend(headers);
                    Ok(response)
                }
                Err(refusal) => Ok(refusal.response()),
            }
        })
    }
}

/// What a request is answered that does not go on.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    detail: String,
    headers: HeaderMap,
}

impl Refusal {
    fn limited(headers: HeaderMap) -> Self {
        let detail = "as much was done as the limit allows for now".to_owned();
        Self { status: StatusCode::TOO_MANY_REQUESTS, code: "limited", detail, headers }
    }

    fn unavailable(mut headers: HeaderMap) -> Self {
        headers.entry(RETRY_AFTER).or_insert(HeaderValue::from_static("1"));
        let detail = "nobody can say now whether a limit is reached".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code: "unavailable", detail, headers }
    }

    /// Whoever asked may have chosen the key, so it is theirs to change.
    fn invalid(limit: &str, detail: &str) -> Self {
        tracing::warn!(detail, limit, "a request has no key that can be counted");
        let detail = "the request cannot be counted as it is".to_owned();
        let (status, code) = (StatusCode::BAD_REQUEST, "invalid_request");
        Self { status, code, detail, headers: HeaderMap::new() }
    }

    fn response<R: From<String>>(self) -> Response<R> {
        let Self { status, code, detail, headers } = self;
        let body = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "code": code,
            "detail": detail,
            "retryable": status != StatusCode::BAD_REQUEST,
            "side_effects": "none",
        });
        let mut response = Response::new(R::from(body.to_string()));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        response
    }
}

/// An error with what it came from.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
