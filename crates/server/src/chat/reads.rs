//! What reads conversations, messages and inboxes.

use super::{
    access::{actor, conversation, inbox_owner},
    changes::message_of,
    views::{
        ConversationBody, InboxItem, InboxList, MemberBody, MemberList, MessageBody, MessageList,
        ReactionBody, ReactionList,
    },
};
use crate::{
    answer::{Answer, Delivered, life_of},
    call::{Call, Page},
    cursor::List,
    failure,
    problem::Problem,
    query::{self, Parameters},
    reads::{self, Kept, Written},
};
use evenkeel_domains::{
    Found, Query,
    chat::{self, Found as Read, From},
};
use evenkeel_engine::Time;
use hyper::StatusCode;

type Answered = Result<Answer, Problem>;

/// `GET /v1/conversations/{c}`
pub(crate) async fn get_conversation(call: Call) -> Answered {
    call.parameters()?;
    let (conversation, by) = (conversation(&call)?, actor(&call, None)?);
    // Whether an end user is a member is asked where that is known.
    if by.is_none()
        && let Some(found) = head(&call, &conversation).await?
    {
        return found.answer();
    }
    let (found, delivered) = read(&call, chat::Query::Conversation { conversation, by }).await?;
    let Read::Conversation(view) = found else { unreachable!("a conversation is answered") };
    let body = ConversationBody::new(&view, life_of(&delivered.as_of));
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}

/// A conversation's head, if what is kept of it will do.
async fn head(call: &Call, conversation: &str) -> Result<Option<reads::Found>, Problem> {
    reads::find(call, chat::DOMAIN, conversation, |options| {
        let (node, tenant) = (call.edge.node.clone(), call.caller.tenant.clone());
        let conversation = conversation.to_owned();
        async move {
            let query = chat::Query::Conversation { conversation, by: None };
            Kept::of(node.query(&tenant, Query::Chat(query), options).await, |found, as_of| {
                let Found::Chat(Read::Conversation(view)) = found else {
                    unreachable!("a conversation is answered")
                };
                Written::whole(&ConversationBody::new(&view, life_of(as_of)))
            })
        }
    })
    .await
}

/// `GET /v1/conversations/{c}/members`
pub(crate) async fn list_members(call: Call) -> Answered {
    let parameters = call.parameters()?;
    let (conversation, by) = (conversation(&call)?, actor(&call, None)?);
    let list = List(&["members", &call.caller.tenant.name, &conversation]);
    let Page { limit, after } = Page::of(&parameters, &list)?;
    let query = chat::Query::Members { conversation: conversation.clone(), by, after, limit };
    let (found, delivered) = read(&call, query).await?;
    let Read::Members(views, next) = found else { unreachable!("members are answered") };
    let items = views.iter().map(MemberBody::new).collect();
    let body = MemberList { items, cursor: next.map(|last| list.cursor(&last)) };
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}

/// `GET /v1/conversations/{c}/messages`
pub(crate) async fn list_messages(call: Call) -> Answered {
    let parameters = call.parameters()?;
    let (conversation, by) = (conversation(&call)?, actor(&call, None)?);
    let (way, from) = begin(&parameters)?;
    let list = List(&["messages", &call.caller.tenant.name, &conversation, way]);
    let Page { limit, after } = Page::of(&parameters, &list)?;
    let from = match after {
        Some(last) => {
            let rule = "is not one of this list";
            let last = last.parse().map_err(|_| query::bad("cursor", rule))?;
            if way == "after" { From::After(last) } else { From::Before(last) }
        }
        None => from,
    };
    let query = chat::Query::Messages { conversation: conversation.clone(), by, from, limit };
    let (found, delivered) = read(&call, query).await?;
    let Read::Messages(views, next) = found else { unreachable!("messages are answered") };
    let items = views.iter().map(MessageBody::new).collect();
    let body = MessageList { items, cursor: next.map(|last| list.cursor(&last.to_string())) };
    Ok(Answer::json(StatusCode::OK, &body).delivered(delivered))
}

/// Which way messages are read, and from where. Without either, from the newest back.
fn begin(parameters: &Parameters<'_>) -> Result<(&'static str, From), Problem> {
    let place = |name: &'static str, text: &str| {
        text.parse::<u64>().map_err(|_| query::bad(name, "must be the sequence of a message"))
    };
    match (parameters.get("after"), parameters.get("before")) {
        (Some(_), Some(_)) => Err(query::bad("before", "does not go together with after")),
        (Some(after), None) => Ok(("after", From::After(place("after", after)?))),
        (None, Some(before)) => Ok(("before", From::Before(place("before", before)?))),
        (None, None) => Ok(("before", From::Before(u64::MAX))),
    }
}

/// `GET /v1/conversations/{c}/messages/{seq}`
pub(crate) async fn get_message(call: Call) -> Answered {
    call.parameters()?;
    let (conversation, by) = (conversation(&call)?, actor(&call, None)?);
    let query = chat::Query::Message { conversation, by, seq: message_of(&call)? };
    let (found, delivered) = read(&call, query).await?;
    let Read::Message(view) = found else { unreachable!("a message is answered") };
    Ok(Answer::json(StatusCode::OK, &MessageBody::new(&view)).delivered(delivered))
}

/// `GET /v1/conversations/{c}/messages/{seq}/reactions`
pub(crate) async fn list_reactions(call: Call) -> Answered {
    let parameters = call.parameters()?;
    let (conversation, by) = (conversation(&call)?, actor(&call, None)?);
    let seq = message_of(&call)?;
    let list = List(&["reactions", &call.caller.tenant.name, &conversation, &seq.to_string()]);
    let Page { limit, after } = Page::of(&parameters, &list)?;
    // No kind has a space in it.
    let after = after.and_then(|last| {
        last.split_once(' ').map(|(kind, user)| (kind.to_owned(), user.to_owned()))
    });
    let query =
        chat::Query::Reactions { conversation: conversation.clone(), by, seq, after, limit };
    let (found, delivered) = read(&call, query).await?;
    let Read::Reactions(pairs, next) = found else { unreachable!("reactions are answered") };
    let items = pairs.iter().map(|(kind, user)| ReactionBody { kind, user }).collect();
    let cursor = next.map(|(kind, user)| list.cursor(&format!("{kind} {user}")));
    Ok(Answer::json(StatusCode::OK, &ReactionList { items, cursor }).delivered(delivered))
}

/// `GET /v1/users/{u}/inbox`
pub(crate) async fn inbox(call: Call) -> Answered {
    let parameters = call.parameters()?;
    let user = inbox_owner(&call)?;
    let list = List(&["inbox", &call.caller.tenant.name, &user]);
    let Page { limit, after } = Page::of(&parameters, &list)?;
    let after = after.map(|last| place_of(&last)).transpose()?;
    let options = call.read_options()?;
    let called = call.edge.node.inbox(&call.caller.tenant, &user, after, limit, options).await;
    let (page, delivered) = Delivered::split(called.map_err(failure::problem)?);
    let items = page.items.iter().map(InboxItem::new).collect();
    let cursor = page.next.map(|(at, name)| list.cursor(&format!("{} {name}", at.0)));
    Ok(Answer::json(StatusCode::OK, &InboxList { items, cursor }).delivered(delivered))
}

fn place_of(last: &str) -> Result<(Time, String), Problem> {
    let place =
        last.split_once(' ').and_then(|(at, name)| Some((Time(at.parse().ok()?), name.to_owned())));
    place.ok_or_else(|| query::bad("cursor", "is not one of this list"))
}

async fn read(call: &Call, query: chat::Query) -> Result<(Read, Delivered), Problem> {
    let (found, delivered) = Delivered::split(call.query(Query::Chat(query)).await?);
    let Found::Chat(found) = found else {
        unreachable!("a read of chat is answered by its domain")
    };
    Ok((found, delivered))
}
