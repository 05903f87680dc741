//! The bodies that callers get.

use crate::{chat::Counts, json::Verbatim, time::Rfc3339};
use evenkeel_domains::feed::{PersonView, PostView, PostedView, TimelineItem, UserView};
use serde::Serialize;
use utoipa::ToSchema;

/// Where a post is.
#[derive(Serialize, ToSchema)]
#[schema(as = Posted)]
pub(crate) struct PostedBody {
    /// Its number, among its author's.
    post: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
    /// Whether it was there already.
    duplicate: bool,
}

impl PostedBody {
    pub(super) fn new(view: &PostedView) -> Self {
        Self { post: view.post, at: Rfc3339(view.at), duplicate: view.duplicate }
    }
}

/// It is as was asked.
#[derive(Serialize, ToSchema)]
#[schema(as = Set)]
pub(crate) struct SetBody {
    /// Whether it was otherwise before.
    pub(super) changed: bool,
}

/// Somebody's page.
#[derive(Serialize, ToSchema)]
#[schema(as = FeedUser)]
pub(crate) struct FeedUserBody<'u> {
    user: &'u str,
    /// Posts that are kept.
    posts: u64,
    followers: u64,
    following: u64,
}

impl<'u> FeedUserBody<'u> {
    pub(super) fn new(user: &'u str, view: &UserView) -> Self {
        let UserView { posts, followers, following } = *view;
        Self { user, posts, followers, following }
    }
}

/// A post as it is now.
#[derive(Serialize, ToSchema)]
#[schema(as = FeedPost)]
pub(crate) struct FeedPostBody<'p> {
    /// Its number, among its author's.
    post: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Rfc3339,
    /// What it says.
    #[schema(value_type = Object)]
    body: Verbatim<'p>,
    /// How many reactions of each kind it has.
    #[schema(value_type = Object)]
    reactions: Counts<'p>,
}

impl<'p> FeedPostBody<'p> {
    pub(super) fn new(view: &'p PostView) -> Self {
        Self {
            post: view.post,
            at: Rfc3339(view.at()),
            body: Verbatim(&view.body),
            reactions: Counts(&view.reactions),
        }
    }
}

/// A page of somebody's posts.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedPostList<'p> {
    pub(super) items: Vec<FeedPostBody<'p>>,
    /// Where the list goes on; null only at its end.
    pub(super) cursor: Option<String>,
}

/// A post in a timeline.
#[derive(Serialize, ToSchema)]
#[schema(as = TimelineItem)]
pub(crate) struct TimelineBody<'t> {
    author: &'t str,
    #[serde(flatten)]
    post: FeedPostBody<'t>,
}

impl<'t> TimelineBody<'t> {
    pub(super) fn new(item: &'t TimelineItem) -> Self {
        Self { author: &item.author, post: FeedPostBody::new(&item.post) }
    }
}

/// A page of a timeline.
#[derive(Serialize, ToSchema)]
pub(crate) struct TimelineList<'t> {
    pub(super) items: Vec<TimelineBody<'t>>,
    /// Where the list goes on; null only at its end.
    pub(super) cursor: Option<String>,
}

/// Somebody in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = Person)]
pub(crate) struct PersonBody<'p> {
    user: &'p str,
    #[schema(value_type = String, format = DateTime)]
    since: Rfc3339,
}

impl<'p> PersonBody<'p> {
    pub(super) fn new(view: &'p PersonView) -> Self {
        Self { user: &view.user, since: Rfc3339(view.since) }
    }
}

/// A page of users.
#[derive(Serialize, ToSchema)]
pub(crate) struct PersonList<'p> {
    pub(super) items: Vec<PersonBody<'p>>,
    /// Where the list goes on; null only at its end.
    pub(super) cursor: Option<String>,
}
