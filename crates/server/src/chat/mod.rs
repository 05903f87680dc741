//! Chat over HTTP: bodies in, bodies out, and a conversation's events as they happen. What is done on
//! one connection for many conversations is in `realtime`.

mod access;
mod changes;
mod events;
mod reads;
mod refusals;
mod requests;
mod stream;
mod views;

pub(crate) use access::check_reach;
pub(crate) use changes::{
    delete, edit, put_conversation, put_member, react, read, remove_member, send,
};
pub(crate) use events::event_body;
pub(crate) use reads::{
    get_conversation, get_message, inbox, list_members, list_messages, list_reactions,
};
pub(crate) use refusals::refused;
pub(crate) use requests::{
    ConversationRequest, EditRequest, MemberRequest, ReadRequest, SendRequest, check_name, outgoing,
};
pub(crate) use stream::stream;
pub(crate) use views::{
    ChangedBody, ConversationBody, Counts, InboxItem, InboxList, MemberBody, MemberList,
    MessageBody, MessageList, ReactionBody, ReactionList, ReadBody, SentBody,
};
