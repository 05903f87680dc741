//! What the domain's "no" is answered with.

use crate::{code::Code, problem::Problem};
use evenkeel_domains::chat::{EDITS_MAX, MEMBERS_MAX, REACTION_KINDS_MAX, READ_STEP_MAX, Refusal};

/// The problem that `refusal` is answered with.
pub(crate) fn refused(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::NoConversation => Problem::new(Code::NotFound, "there is no such conversation"),
        Refusal::NoMessage => {
            let detail = "there is no such message, or it is not kept any more";
            Problem::new(Code::NotFound, detail)
        }
        Refusal::NotAMember { user } => {
            Problem::new(Code::NotAMember, format!("{user:?} is not a member of the conversation"))
                .with("user", user.as_str())
        }
        Refusal::RoleTooLow { needs } => {
            let detail = format!("it takes the role {} in the conversation", needs.name());
            Problem::new(Code::Forbidden, detail).with("role", needs.name())
        }
        Refusal::NotYours => {
            Problem::new(Code::Forbidden, "nobody speaks, reacts, reads or edits for somebody else")
        }
        Refusal::ClientIdTaken { seq } => Problem::new(
            Code::IdempotencyConflict,
            "the sender has sent something else under this client_id",
        )
        .with("seq", *seq),
        Refusal::MessageDeleted => Problem::new(Code::MessageDeleted, "the message was deleted"),
        Refusal::TooManyEdits => {
            let detail = format!("a message can be edited {EDITS_MAX} times");
            Problem::new(Code::TooManyEdits, detail)
        }
        Refusal::TooManyReactions => {
            let detail = format!("a message can have {REACTION_KINDS_MAX} kinds of reactions");
            Problem::new(Code::TooManyReactions, detail)
        }
        Refusal::TooManyMembers => {
            let detail = format!("a conversation can have {MEMBERS_MAX} members");
            Problem::new(Code::TooManyMembers, detail)
        }
        Refusal::ReadTooFar => Problem::new(
            Code::ReadTooFar,
            format!("more than {READ_STEP_MAX} messages lie between, on either side"),
        ),
    }
}
