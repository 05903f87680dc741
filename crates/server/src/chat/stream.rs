//! A conversation's events, followed.

use super::{
    access::{actor, conversation},
    events::event_body,
};
use crate::{
    answer::Answer,
    call::Call,
    failure,
    problem::Problem,
    sse::{self, From, PAGE_EVENTS_MAX, Page, frame},
};
use evenkeel_domains::{
    Found, Query, Scope,
    chat::{self, Found as Read, Start},
};
use evenkeel_node::{Called, Node, ReadOptions, Tenant};

/// `GET /v1/conversations/{c}/stream`
pub(crate) async fn stream(call: Call) -> Result<Answer, Problem> {
    let (name, by) = (conversation(&call)?, actor(&call, None)?);
    sse::follow(call, Conversation { name, by }).await
}

/// A conversation, as somebody may see it.
struct Conversation {
    name: String,
    by: Option<String>,
}

impl sse::Source for Conversation {
    async fn page(
        &self,
        node: &Node,
        tenant: &Tenant,
        from: From,
        options: ReadOptions,
    ) -> Result<Called<Page>, Problem> {
        let query = chat::Query::Events {
            conversation: self.name.clone(),
            by: self.by.clone(),
            after: match from {
                From::Now => Start::Now,
                From::Start => Start::Oldest,
                From::After(position) => Start::After(position),
            },
            limit: PAGE_EVENTS_MAX,
        };
        let called = node.query(tenant, Query::Chat(query), options).await;
        Ok(called.map_err(failure::problem)?.map(|found| {
            let Found::Chat(Read::Events(page)) = found else {
                unreachable!("events are answered")
            };
            let mut frames = Vec::new();
            for event in &page.events {
                let body = event_body(&self.name, event);
                frame(&mut frames, event.position, body.kind, &body);
            }
            let (entity, next, reset) = (page.entity, page.next, page.reset);
            Page { entity, next, reset, ends: false, more: false, frames }
        }))
    }

    fn scope(&self) -> Scope<'_> {
        Scope::Key { domain: "chat", key: self.name.as_str().into() }
    }

    fn reload(&self) -> (&'static str, String) {
        ("the conversation and its messages", format!("/v1/conversations/{}", self.name))
    }
}
