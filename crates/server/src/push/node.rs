//! The node as whoever has the jobs, and the pushing of its queues.

use super::{
    board::Pushes,
    options::PushOptions,
    pushers,
    source::{Ask, Pushed, QueueId, Source, SourceError},
};
use evenkeel_domains::{
    Command, Refusal,
    jobs::{self, Action, JobId, Leased, Standing},
    meta,
};
use evenkeel_engine::Time;
use evenkeel_node::{CallOptions, LeaseRequest, MetaView, Node, NodeError, SessionToken, Tenant};
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// How often the copy of `meta` is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Pushes the queues of `node` that have a push, until `shutdown` completes; then finishes what was
/// begun, within [`PushOptions::drain_timeout`], or gives it back. How each stands is in `pushes`.
pub async fn serve(
    node: Node,
    options: PushOptions,
    pushes: Pushes,
    shutdown: impl Future<Output = ()>,
) {
    let jobs = Arc::new(NodeJobs { node, answered: Mutex::new(None) });
    #[cfg(feature = "tls")]
    pushers::run(jobs, options, pushes, super::tls::Tls::of_system(), shutdown).await;
    #[cfg(not(feature = "tls"))]
    pushers::run(jobs, options, pushes, shutdown).await;
}

/// The jobs of a node.
struct NodeJobs {
    node: Node,
    /// As of when the queues were last answered.
    answered: Mutex<Option<SessionToken>>,
}

impl NodeJobs {
    fn is_answered(&self, view: &MetaView) -> bool {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) == view.as_of
    }
}

impl Source for NodeJobs {
    fn pushed(&self) -> Vec<Pushed> {
        let view = self.node.meta();
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = view.as_of;
        let mut all = Vec::new();
        for (name, id) in &view.meta.tenants {
            let Some(pushes) = view.meta.pushes.get(id) else { continue };
            let tenant = Tenant { id: *id, name: name.as_str().into() };
            for (queue, push) in pushes.iter().filter(|(_, push)| push.disabled.is_none()) {
                let Some(settings) = view.meta.queue(*id, queue) else { continue };
                let id = QueueId { tenant: tenant.clone(), queue: queue.as_str().into() };
                all.push(Pushed { id, settings: *settings, push: push.clone() });
            }
        }
        all
    }

    async fn changed(&self) {
        while self.is_answered(&self.node.meta()) {
            sleep(LOOK_EVERY).await;
        }
    }

    async fn lease(
        &self,
        queue: &QueueId,
        ask: Ask<'_>,
        mut ended: watch::Receiver<bool>,
    ) -> Result<Vec<(JobId, Leased)>, SourceError> {
        let request = LeaseRequest {
            queue: queue.queue.as_ref().to_owned(),
            worker: ask.worker.to_owned(),
            max: usize::try_from(ask.max).unwrap_or(usize::MAX),
            wait: ask.wait,
            lease_ms: Some(ask.lease_ms),
        };
        let ended = async move {
            // An error says that there is nobody left who would wait.
            let _ = ended.wait_for(|ended| *ended).await;
        };
        let leased = self.node.lease(&queue.tenant, &request, CallOptions::default(), ended).await;
        leased.map(|called| called.answer.jobs).map_err(failed)
    }

    async fn job(
        &self,
        queue: &QueueId,
        job: JobId,
        action: Action,
    ) -> Result<Standing, SourceError> {
        let options = CallOptions::default();
        let told = self.node.job(&queue.tenant, &queue.queue, job, action, options).await;
        told.map(|called| called.answer).map_err(failed)
    }

    async fn disable(
        &self,
        queue: &QueueId,
        version: u64,
        reason: &str,
    ) -> Result<(), SourceError> {
        let action = meta::Action::DisablePush {
            tenant: queue.tenant.id,
            name: queue.queue.as_ref().to_owned(),
            version,
            reason: reason.to_owned(),
        };
        let command = Command::Meta(meta::Command { action });
        let told = self.node.command(&queue.tenant, command, CallOptions::default()).await;
        told.map(drop).map_err(failed)
    }

    fn now(&self) -> Time {
        self.node.now()
    }
}

fn failed(error: NodeError) -> SourceError {
    match error {
        NodeError::NoQueue => SourceError::Stale,
        NodeError::Refused { refusal: Refusal::Jobs(refusal), .. } => match refusal {
            jobs::Refusal::StaleLease(_) | jobs::Refusal::NoJob => SourceError::Stale,
            refusal => SourceError::Refused(refusal.code()),
        },
        error => SourceError::Unavailable(error.to_string()),
    }
}
