//! A worker's questions to its server, asked again while the server is busy or away.

use crate::{
    client::{Answer, Api, ApiError},
    failure::Failure,
};
use evenkeel_drill::load::Endpoint;
use serde::Serialize;
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout_at};

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A server that asks for more patience than this is asked again all the same.
const RETRY_AFTER_S_MAX: u64 = 30;

/// What all jobs of a worker ask through.
pub(super) struct Calls {
    /// The address of the queue, such as `/v1/queues/mail`.
    queue: String,
    url: String,
    endpoint: Endpoint,
    /// Connections that nobody uses now; never more than there were jobs at once.
    idle: Mutex<Vec<Api>>,
    /// Whether the server's absence was told.
    away: AtomicBool,
}

/// Nothing was heard in time.
#[derive(Debug)]
pub(super) struct Unheard(pub(super) String);

impl Calls {
    pub(super) fn new(endpoint: Endpoint, url: String, queue: &str) -> Self {
        let queue = format!("/v1/queues/{queue}");
        let (idle, away) = (Mutex::default(), AtomicBool::new(false));
        Self { queue, url, endpoint, idle, away }
    }

    /// About the queue itself; waits for the server as long as it takes.
    pub(super) async fn queue(&self) -> Result<Answer, ApiError> {
        let mut api = self.idle();
        let answer = self.patiently(&mut api, "GET", &self.queue, None).await;
        self.keep(api);
        answer
    }

    /// Asks over a connection of the caller's own, as long as it takes.
    pub(super) async fn lease(
        &self,
        api: &mut Api,
        body: &impl Serialize,
    ) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(body)?;
        let path = format!("{}/lease", self.queue);
        Ok(self.patiently(api, "POST", &path, Some(&body)).await?)
    }

    /// Says `what` about a job, and again until there is an answer or it is `until`. All that a
    /// worker says names its lease, and may be repeated.
    pub(super) async fn say(
        &self,
        job: &str,
        what: &str,
        body: &impl Serialize,
        until: Instant,
    ) -> Result<Answer, Unheard> {
        let body = serde_json::to_vec(body).map_err(|error| Unheard(error.to_string()))?;
        let path = format!("{}/jobs/{job}/{what}", self.queue);
        let mut api = self.idle();
        let answer = self.patiently(&mut api, "POST", &path, Some(&body));
        match timeout_at(until, answer).await {
            Ok(Ok(answer)) => {
                self.keep(api);
                Ok(answer)
            }
            Ok(Err(error)) => Err(Unheard(error.to_string())),
            Err(_) => Err(Unheard(format!("no answer from {} in time", self.url))),
        }
    }

    /// Asks until there is an answer that asking again would not change.
    async fn patiently(
        &self,
        api: &mut Api,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<Answer, ApiError> {
        let (mut pause, mut failed) = (PAUSE_MIN, false);
        loop {
            let asked = match api.send(method, path, body).await {
                Ok(answer) if matches!(answer.status, 429 | 503 | 504) => {
                    self.is_back();
                    answer.retry_after_s.map(|s| Duration::from_secs(s.min(RETRY_AFTER_S_MAX)))
                }
                // A proxy before a server that is away, while it is started again.
                Ok(answer) if answer.status == 502 => {
                    self.is_away(&"502 Bad Gateway");
                    answer.retry_after_s.map(|s| Duration::from_secs(s.min(RETRY_AFTER_S_MAX)))
                }
                Ok(answer) => {
                    self.is_back();
                    return Ok(answer);
                }
                Err(ApiError::Unreachable { source, .. }) => {
                    // The first may only mean that a connection had aged.
                    if failed {
                        self.is_away(&source);
                    }
                    failed = true;
                    None
                }
                Err(error) => return Err(error),
            };
            // Many workers that lost the same server must not come back at one moment.
            sleep(asked.unwrap_or_default() + pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn is_away(&self, why: &impl std::fmt::Display) {
        if !self.away.swap(true, Ordering::Relaxed) {
            eprintln!("evenkeel: no answer from {} ({why}); waiting for it", self.url);
        }
    }

    fn is_back(&self) {
        if self.away.swap(false, Ordering::Relaxed) {
            eprintln!("evenkeel: {} answers again", self.url);
        }
    }

    fn idle(&self) -> Api {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| Api::new(self.endpoint.clone(), self.url.clone()))
    }

    fn keep(&self, api: Api) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(api);
    }
}
