//! What the domain's "no" is answered with.

use crate::{code::Code, problem::Problem};
use evenkeel_domains::feed::{FOLLOWING_MAX, REACTION_KINDS_MAX, Refusal, TIES_MAX};

/// The problem that `refusal` is answered with.
pub(crate) fn refused(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::NoPost => {
            let detail = "there is no such post, or it is not kept any more";
            Problem::new(Code::NotFound, detail)
        }
        Refusal::NotYours => {
            let detail = "nobody acts for somebody else, or reads their timeline";
            Problem::new(Code::Forbidden, detail)
        }
        Refusal::Oneself => {
            Problem::new(Code::Oneself, "nobody follows, blocks or mutes themselves")
        }
        Refusal::Blocked => {
            Problem::new(Code::Blocked, "one of the two users has blocked the other")
        }
        Refusal::ClientIdTaken { post } => Problem::new(
            Code::IdempotencyConflict,
            "the user has posted something else under this client_id",
        )
        .with("post", *post),
        Refusal::TooManyFollowed => {
            let detail = format!("a user can follow {FOLLOWING_MAX} others");
            Problem::new(Code::TooManyFollowed, detail)
        }
        Refusal::TooManyTies => {
            let detail = format!("a user can block and mute {TIES_MAX} others");
            Problem::new(Code::TooManyTies, detail)
        }
        Refusal::TooManyReactions => {
            let detail = format!("a post can have {REACTION_KINDS_MAX} kinds of reactions");
            Problem::new(Code::TooManyReactions, detail)
        }
    }
}
