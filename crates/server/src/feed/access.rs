//! Who asks of a feed: the user whose token it is, or the product's back end.

use crate::{auth::Caller, call::Call, code::Code, problem::Problem};

/// The user whose token `call` comes with; `None` if the back end asks for itself.
pub(super) fn actor(call: &Call) -> Result<Option<String>, Problem> {
    Ok(actor_of(&call.caller)?.map(str::to_owned))
}

/// The same of `caller`.
pub(crate) fn actor_of(caller: &Caller) -> Result<Option<&str>, Problem> {
    let Some(user) = &caller.user else { return Ok(None) };
    if user.conversations.is_some() {
        let detail = "the token is good for some conversations, and for nothing else";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    Ok(Some(&user.name))
}
