//! A timeline, followed.

use super::{access::actor, events::arrival_body};
use crate::{
    answer::Answer,
    call::Call,
    failure,
    problem::Problem,
    sse::{self, From, PAGE_EVENTS_MAX, Page, frame},
};
use evenkeel_domains::{
    Scope,
    feed::{Found, Query, Start, What},
};
use evenkeel_node::{Called, Node, ReadOptions, Tenant};

/// `GET /v1/feeds/{u}/timeline/stream`
pub(crate) async fn stream(call: Call) -> Result<Answer, Problem> {
    let (user, by) = (call.name(0)?, actor(&call)?);
    sse::follow(call, Timeline { user, by }).await
}

/// A timeline, as somebody may see it.
struct Timeline {
    user: String,
    by: Option<String>,
}

impl sse::Source for Timeline {
    async fn page(
        &self,
        node: &Node,
        tenant: &Tenant,
        from: From,
        options: ReadOptions,
    ) -> Result<Called<Page>, Problem> {
        let after = match from {
            From::Now => Start::Now,
            From::Start => Start::Oldest,
            From::After(position) => Start::After(position),
        };
        let what = What::Arrivals { after, limit: PAGE_EVENTS_MAX };
        let query = Query { user: self.user.clone(), by: self.by.clone(), what };
        let called = node.feed(tenant, query, options).await;
        Ok(called.map_err(failure::problem)?.map(|found| {
            let Found::Arrivals(page) = found else { unreachable!("what came is answered") };
            let mut frames = Vec::new();
            for event in &page.events {
                let body = arrival_body(&self.user, event);
                frame(&mut frames, event.position, body.kind, &body);
            }
            let (entity, next, reset) = (page.entity, page.next, page.reset);
            Page { entity, next, reset, ends: false, more: !page.is_last && !reset, frames }
        }))
    }

    fn scope(&self) -> Scope<'_> {
        Scope::User(&self.user)
    }

    fn reload(&self) -> (&'static str, String) {
        ("the timeline (at the level session)", format!("/v1/feeds/{}/timeline", self.user))
    }
}
