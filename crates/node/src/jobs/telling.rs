//! Changes of what a queue says, of which its partitions are told: what falls due when nobody asks goes
//! by what they know, and so does who is woken.

use super::places;
use crate::{CallOptions, Called, Node, NodeError, Tenant, node::Inner};
use evenkeel_domains::{
    Command, Reply,
    jobs::{Action, Settings},
    meta,
};
use evenkeel_engine::Failure;
use evenkeel_log::{Files, PartitionId};
use std::{
    panic::resume_unwind,
    sync::{Arc, Weak},
    time::Duration,
};

/// How often a partition is told again that did not answer.
const TELL_AGAIN_EVERY: Duration = Duration::from_secs(1);

impl<F: Files> Node<F> {
    /// Has `meta` change what a queue says, and the queue's partitions learn it: also if who asked is gone
    /// by then, or workers would wait beside jobs that nobody tells them of.
    pub async fn change_queue(
        &self,
        tenant: &Tenant,
        queue: &str,
        action: meta::Action,
        options: CallOptions,
    ) -> Result<Called<Reply>, NodeError> {
        let (node, tenant, queue) = (self.clone(), tenant.clone(), queue.to_owned());
        let changed = tokio::spawn(async move {
            let command = Command::Meta(meta::Command { action });
            let called = node.command(&tenant, command, options).await?;
            node.tell_settings(&tenant, &queue).await;
            Ok(called)
        });
        changed.await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(Failure::OutcomeUnknown.into()),
        })
    }

    /// Has the partitions of a queue learn its newest settings. One that does not answer is told again
    /// until it does; one that is not served, at the next start.
    async fn tell_settings(&self, tenant: &Tenant, queue: &str) {
        let Ok(settings) = self.queue_settings(tenant, queue) else { return };
        let places = places(&tenant.name, queue, &settings, self.0.partitions).collect();
        let untold = self.tell(tenant, queue, &settings, places).await;
        if !untold.is_empty() {
            let (node, queue) = (Arc::downgrade(&self.0), queue.to_owned());
            tokio::spawn(tell_again(node, tenant.clone(), queue, settings.version, untold));
        }
    }

    /// Tells `partitions`; answers those that have to be told again.
    async fn tell(
        &self,
        tenant: &Tenant,
        queue: &str,
        settings: &Settings,
        partitions: Vec<PartitionId>,
    ) -> Vec<PartitionId> {
        let command = |partition: &PartitionId| {
            let action = Action::Lease { worker: String::new(), max: 0, lease_ms: None };
            let command = self.of_queue(tenant, queue, settings, *partition, action).ok()?;
            Some((*partition, command, CallOptions::default()))
        };
        let commands: Vec<_> = partitions.iter().filter_map(command).collect();
        let asked: Vec<_> = commands.iter().map(|(partition, ..)| *partition).collect();
        let told = self.commands_at(tenant, commands).await;
        let mut untold = Vec::new();
        for (partition, told) in asked.into_iter().zip(told) {
            let Err(error) = told else { continue };
            tracing::warn!(queue, %partition, %error, "a partition has yet to learn a queue's settings");
            if self.is_served(partition) {
                untold.push(partition);
            }
        }
        untold
    }

    /// At a start: has partitions learn the settings of queues of which they know older ones.
    pub(crate) async fn tell_older_settings(&self) {
        let view = self.meta();
        let mut queues: Vec<(Tenant, String)> = Vec::new();
        for (_, tenant, queue, version) in self.0.ready.versions() {
            let is_older =
                view.meta.queue(tenant, &queue).is_some_and(|newest| newest.version > version);
            if is_older
                && !queues.iter().any(|(known, name)| known.id == tenant && *name == queue)
                && let Some((name, id)) = view.meta.tenants.iter().find(|(_, id)| **id == tenant)
            {
                queues.push((Tenant { id: *id, name: name.as_str().into() }, queue));
            }
        }
        for (tenant, queue) in queues {
            self.tell_settings(&tenant, &queue).await;
        }
    }
}

/// Until all are told, or others are to be told something newer, or the node is gone.
async fn tell_again<F: Files>(
    node: Weak<Inner<F>>,
    tenant: Tenant,
    queue: String,
    version: u64,
    mut untold: Vec<PartitionId>,
) {
    while !untold.is_empty() {
        tokio::time::sleep(TELL_AGAIN_EVERY).await;
        let Some(node) = node.upgrade().map(Node) else { return };
        let Ok(settings) = node.queue_settings(&tenant, &queue) else { return };
        if settings.version != version {
            return;
        }
        untold = node.tell(&tenant, &queue, &settings, untold).await;
    }
}
