//! What changes a feed.

use super::{
    access::actor,
    requests::PostRequest,
    views::{PostedBody, SetBody},
};
use crate::{answer::Answer, call::Call, code::Code, problem::Problem, reservations::EmptyRequest};
use evenkeel_domains::{
    Command, Reply,
    feed::{self, Action, Tie},
};
use hyper::{Method, StatusCode};

type Answered = Result<Answer, Problem>;

/// `POST /v1/feeds/{u}/posts`
pub(crate) async fn post(mut call: Call) -> Answered {
    let action = call.document::<PostRequest>().await?.action()?;
    change(&call, action).await
}

/// `DELETE /v1/feeds/{u}/posts/{p}`
pub(crate) async fn delete(call: Call) -> Answered {
    let post = post_of(&call)?;
    change(&call, Action::Delete { post }).await
}

/// `PUT|DELETE /v1/feeds/{u}/follows/{v}`
pub(crate) async fn follow(call: Call) -> Answered {
    set(call, |call, on| Ok(Action::Follow { author: call.name(1)?, on })).await
}

/// `PUT|DELETE /v1/feeds/{u}/blocks/{v}`
pub(crate) async fn block(call: Call) -> Answered {
    set(call, |call, on| Ok(Action::Tie { other: call.name(1)?, tie: Tie::Block, on })).await
}

/// `PUT|DELETE /v1/feeds/{u}/mutes/{v}`
pub(crate) async fn mute(call: Call) -> Answered {
    set(call, |call, on| Ok(Action::Tie { other: call.name(1)?, tie: Tie::Mute, on })).await
}

/// `PUT|DELETE /v1/feeds/{u}/posts/{p}/reactions/{kind}/{by}`
pub(crate) async fn react(call: Call) -> Answered {
    set(call, |call, on| {
        let (kind, reactor) = (call.name(2)?, call.name(3)?);
        Ok(Action::React { post: post_of(call)?, kind, reactor, on })
    })
    .await
}

/// The post that a path names. What cannot be a number names none.
pub(super) fn post_of(call: &Call) -> Result<u64, Problem> {
    let name = call.name(1)?;
    let post = name.parse::<u64>().ok().filter(|post| post.to_string() == name);
    post.ok_or_else(|| Problem::new(Code::NotFound, "there is no such post"))
}

/// Something that the address says whole: that it is to be so, or not.
async fn set(
    mut call: Call,
    action: impl FnOnce(&Call, bool) -> Result<Action, Problem>,
) -> Answered {
    let on = call.route.method == Method::PUT;
    if on {
        call.document::<EmptyRequest>().await?;
    }
    let action = action(&call, on)?;
    change(&call, action).await
}

async fn change(call: &Call, action: Action) -> Answered {
    let (user, by) = (call.name(0)?, actor(call)?);
    let command = feed::Command { user, by, action };
    let (reply, delivered) = call.command(Command::Feed(command)).await?;
    let Reply::Feed(reply) = reply else {
        unreachable!("a change of a feed is answered by its domain")
    };
    let answer = match reply {
        feed::Reply::Posted(posted) => {
            let status = if posted.duplicate { StatusCode::OK } else { StatusCode::CREATED };
            Answer::json(status, &PostedBody::new(&posted))
        }
        feed::Reply::Deleted(changed) | feed::Reply::Set(changed) => {
            Answer::json(StatusCode::OK, &SetBody { changed })
        }
    };
    Ok(answer.delivered(delivered))
}
