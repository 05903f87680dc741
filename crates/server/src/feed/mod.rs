//! Feeds over HTTP: bodies in, bodies out, and what comes to a timeline as it comes.

mod access;
mod changes;
mod events;
mod reads;
mod refusals;
mod requests;
mod stream;
mod views;

pub(crate) use access::actor_of;
pub(crate) use changes::{block, delete, follow, mute, post, react};
pub(crate) use events::arrival_body;
pub(crate) use reads::{get_post, people, posts, reactions, timeline, user};
pub(crate) use refusals::refused;
pub(crate) use requests::PostRequest;
pub(crate) use stream::stream;
pub(crate) use views::{
    FeedPostBody, FeedPostList, FeedUserBody, PersonBody, PersonList, PostedBody, SetBody,
    TimelineBody, TimelineList,
};
