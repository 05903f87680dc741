//! Requests as commands, answers and events in the words of a history.

use crate::history::chat::{Event, Happened, Operation, Outcome, Request};
use crate::sim::machines::BEGIN_MS;
use evenkeel_domains::{
    Command, Domains, Refusal, Reply,
    chat::{self, Action, ChatEvent, EventView, Outgoing, Role, What},
};
use evenkeel_engine::{Answer, Failure};

/// The command that asks for it. Who is in it is for the back end to say.
pub(super) fn command(operation: &Operation) -> Command {
    let user = || operation.user.clone();
    let (by, action) = match operation.request.clone() {
        Request::Send { client_id, body } => {
            let send = Outgoing { client_id, sender: user(), body, reply_to: None };
            (Some(user()), Action::Send(send))
        }
        Request::Edit { message, body } => (Some(user()), Action::Edit { seq: message, body }),
        Request::Delete { message } => (Some(user()), Action::Delete { seq: message }),
        Request::Read { message } => (Some(user()), Action::Read { user: user(), seq: message }),
        Request::Join => (None, Action::PutMember { user: user(), role: Role::Writer }),
        Request::Leave => (Some(user()), Action::RemoveMember { user: user() }),
    };
    let conversation = operation.conversation.clone();
    Command::Chat(chat::Command { conversation, by, action })
}

/// What an answer says.
pub(super) fn outcome(answer: Answer<Domains>) -> Outcome {
    match answer.outcome {
        Ok(Reply::Chat(reply)) => match reply {
            chat::Reply::Sent(sent) => Outcome::Sent { seq: sent.seq, duplicate: sent.duplicate },
            chat::Reply::Changed { seq, .. } => Outcome::Done { seq },
            chat::Reply::Read { seq, unread } => Outcome::Read { seq, unread },
            _ => Outcome::Done { seq: None },
        },
        Ok(_) => unreachable!("only conversations are asked"),
        Err(Failure::Refused(Refusal::Chat(refusal))) => {
            Outcome::Refused(refusal.code().to_owned())
        }
        Err(Failure::OutcomeUnknown) => Outcome::Unknown,
        Err(failure) => Outcome::TurnedAway(failure.to_string()),
    }
}

/// An event in the words of the checker.
pub(super) fn event(view: &EventView) -> Event {
    let happened = match view.event.clone() {
        ChatEvent::Message(message) => Happened::Message {
            sender: message.sender,
            client_id: message.client_id,
            body: message.body,
        },
        ChatEvent::Happening(happening) => match happening.what {
            What::Created { members } => {
                Happened::Created { members: members.into_iter().map(|(user, _)| user).collect() }
            }
            What::Edited { message, body } => Happened::Edited { message, body },
            What::Deleted { message } => Happened::Deleted { message },
            What::Read { user, message } => Happened::Read { user, message },
            What::MemberAdded { user, .. } => Happened::Joined { user },
            What::MemberRemoved { user } => Happened::Left { user },
            other => Happened::Other(format!("{other:?}")),
        },
    };
    let at_ms = view.event.at().0.saturating_sub(BEGIN_MS);
    Event { seq: view.position.sequence, at_ms, happened }
}
