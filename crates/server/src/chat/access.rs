//! Who does something in a conversation: the user whose token it is, or whom the product's back end
//! names.

use crate::{auth::Caller, call::Call, code::Code, problem::Problem};

/// The user on whose behalf `call` is; `None` if the back end asks for itself. A user speaks for
/// themselves alone.
pub(super) fn actor(call: &Call, named: Option<String>) -> Result<Option<String>, Problem> {
    let Some(user) = &call.caller.user else { return Ok(named) };
    if named.is_some_and(|named| named != user.name) {
        return Err(not_them());
    }
    Ok(Some(user.name.clone()))
}

/// The conversation that the path names, if the caller's token is good for it.
pub(super) fn conversation(call: &Call) -> Result<String, Problem> {
    let conversation = call.name(0)?;
    check_reach(&call.caller, &conversation)?;
    Ok(conversation)
}

/// Whether `caller` may ask about `conversation` at all.
pub(crate) fn check_reach(caller: &Caller, conversation: &str) -> Result<(), Problem> {
    if caller.user.as_ref().is_none_or(|user| user.reaches(conversation)) {
        return Ok(());
    }
    Err(Problem::new(Code::Forbidden, "the token is good for other conversations only"))
}

/// The user whose inbox the path names, if the caller may see it.
pub(super) fn inbox_owner(call: &Call) -> Result<String, Problem> {
    let owner = call.name(0)?;
    let Some(user) = &call.caller.user else { return Ok(owner) };
    if user.name != owner {
        return Err(not_them());
    }
    if user.conversations.is_some() {
        let detail = "an inbox has all conversations, and the token is good for some only";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    Ok(owner)
}

fn not_them() -> Problem {
    Problem::new(Code::Forbidden, "the token is of another user")
}
