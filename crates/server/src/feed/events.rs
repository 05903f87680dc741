//! Something that came to a timeline, as its readers get it, on whatever way.

use crate::{json::Verbatim, time::Rfc3339};
use evenkeel_domains::feed::{ArrivalView, post_at};
use serde::Serialize;

/// An event.
#[derive(Serialize)]
pub(crate) struct ArrivalBody<'e> {
    position: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    entity: String,
    /// When it was posted.
    at: Rfc3339,
    data: ArrivalData<'e>,
}

#[derive(Serialize)]
struct ArrivalData<'e> {
    author: &'e str,
    post: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Verbatim<'e>>,
}

/// An event of the timeline of `user`.
pub(crate) fn arrival_body<'e>(user: &str, view: &'e ArrivalView) -> ArrivalBody<'e> {
    let kind = if view.body.is_some() { "feed.posted" } else { "feed.deleted" };
    let body = view.body.as_deref().map(Verbatim);
    ArrivalBody {
        position: view.position.to_string(),
        kind,
        entity: format!("timeline:{user}"),
        at: Rfc3339(post_at(view.post)),
        data: ArrivalData { author: &view.author, post: view.post, body },
    }
}
