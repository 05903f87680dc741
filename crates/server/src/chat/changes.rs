//! What changes a conversation.

use super::{
    access::{actor, conversation},
    requests::{
        ConversationRequest, EditRequest, MemberRequest, ReadRequest, SendRequest, check_name,
    },
    views::{ChangedBody, ConversationBody, MemberBody, ReadBody, SentBody},
};
use crate::{
    answer::{Answer, Delivered, life_of},
    call::Call,
    code::Code,
    problem::Problem,
    reservations::EmptyRequest,
};
use evenkeel_domains::{
    Command, Reply,
    chat::{self, Action, Reaction},
};
use hyper::{Method, StatusCode};

type Answered = Result<Answer, Problem>;

/// `PUT /v1/conversations/{c}`
pub(crate) async fn put_conversation(mut call: Call) -> Answered {
    let conversation = conversation(&call)?;
    let action = call.document::<ConversationRequest>().await?.action()?;
    let by = actor(&call, None)?;
    change(&call, conversation, by, action).await
}

/// `PUT /v1/conversations/{c}/members/{u}`
pub(crate) async fn put_member(mut call: Call) -> Answered {
    let (conversation, user) = (conversation(&call)?, call.name(1)?);
    let request = call.document::<MemberRequest>().await?;
    let role = request.role();
    let by = actor(&call, named_by(request.by)?)?;
    change(&call, conversation, by, Action::PutMember { user, role }).await
}

/// `DELETE /v1/conversations/{c}/members/{u}`
pub(crate) async fn remove_member(call: Call) -> Answered {
    let (conversation, user) = (conversation(&call)?, call.name(1)?);
    let by = by_parameter(&call)?;
    change(&call, conversation, by, Action::RemoveMember { user }).await
}

/// `PUT /v1/conversations/{c}/messages/by-client-id/{client_id}`
pub(crate) async fn send(mut call: Call) -> Answered {
    let (conversation, client_id) = (conversation(&call)?, call.name(1)?);
    let mut request = call.document::<SendRequest>().await?;
    let sender = request.sender.take();
    let by = actor(&call, None)?;
    let sender = sender.or_else(|| by.clone());
    let sender = sender.ok_or_else(|| Problem::field("sender", "must be given"))?;
    let action = Action::Send(request.outgoing(client_id, sender)?);
    change(&call, conversation, by, action).await
}

/// `PATCH /v1/conversations/{c}/messages/{seq}`
pub(crate) async fn edit(mut call: Call) -> Answered {
    let (conversation, seq) = (conversation(&call)?, message_of(&call)?);
    let mut request = call.document::<EditRequest>().await?;
    let by = actor(&call, named_by(request.by.take())?)?;
    change(&call, conversation, by, request.action(seq)?).await
}

/// `DELETE /v1/conversations/{c}/messages/{seq}`
pub(crate) async fn delete(call: Call) -> Answered {
    let (conversation, seq) = (conversation(&call)?, message_of(&call)?);
    let by = by_parameter(&call)?;
    change(&call, conversation, by, Action::Delete { seq }).await
}

/// `PUT|DELETE /v1/conversations/{c}/messages/{seq}/reactions/{kind}/{user}`
pub(crate) async fn react(mut call: Call) -> Answered {
    let on = call.route.method == Method::PUT;
    if on {
        call.document::<EmptyRequest>().await?;
    }
    let (conversation, reaction) = reaction_of(&call)?;
    let by = actor(&call, None)?;
    let action = if on { Action::React(reaction) } else { Action::Unreact(reaction) };
    change(&call, conversation, by, action).await
}

/// `PUT /v1/conversations/{c}/read/{u}`
pub(crate) async fn read(mut call: Call) -> Answered {
    let (conversation, user) = (conversation(&call)?, call.name(1)?);
    let ReadRequest { seq } = call.document::<ReadRequest>().await?;
    let by = actor(&call, None)?;
    change(&call, conversation, by, Action::Read { user, seq }).await
}

/// The message that a path names. What cannot be a sequence names none.
pub(super) fn message_of(call: &Call) -> Result<u64, Problem> {
    let name = call.name(1)?;
    let seq = name.parse::<u64>().ok().filter(|seq| seq.to_string() == name);
    seq.ok_or_else(|| Problem::new(Code::NotFound, "there is no such message"))
}

fn reaction_of(call: &Call) -> Result<(String, Reaction), Problem> {
    let reaction = Reaction { seq: message_of(call)?, kind: call.name(2)?, by: call.name(3)? };
    Ok((conversation(call)?, reaction))
}

/// On whose behalf something without a body is done.
fn by_parameter(call: &Call) -> Result<Option<String>, Problem> {
    let by = call.parameters()?.get("by").map(str::to_owned);
    actor(call, named_by(by)?)
}

fn named_by(by: Option<String>) -> Result<Option<String>, Problem> {
    by.as_ref().map_or(Ok(()), |by| check_name("by", by))?;
    Ok(by)
}

async fn change(call: &Call, conversation: String, by: Option<String>, action: Action) -> Answered {
    let command = chat::Command { conversation, by, action };
    let (reply, delivered) = call.command(Command::Chat(command)).await?;
    let Reply::Chat(reply) = reply else {
        unreachable!("a change of a conversation is answered by its domain")
    };
    Ok(answer(&reply, &delivered).delivered(delivered))
}

fn answer(reply: &chat::Reply, delivered: &Delivered) -> Answer {
    let created = |new: bool| if new { StatusCode::CREATED } else { StatusCode::OK };
    match reply {
        chat::Reply::Conversation(view, new) => {
            Answer::json(created(*new), &ConversationBody::new(view, life_of(&delivered.as_of)))
        }
        chat::Reply::Member(view, new) => Answer::json(created(*new), &MemberBody::new(view)),
        chat::Reply::Removed => Answer::empty(),
        chat::Reply::Sent(sent) => Answer::json(created(!sent.duplicate), &SentBody::new(sent)),
        chat::Reply::Changed { message, seq } => {
            Answer::json(StatusCode::OK, &ChangedBody { message: *message, seq: *seq })
        }
        chat::Reply::Read { seq, unread } => {
            Answer::json(StatusCode::OK, &ReadBody { seq: *seq, unread: *unread })
        }
    }
}
