//! Chat: what happens in conversations, and what their members' inboxes are told of it.

pub(crate) mod declared;
mod golden;
mod large;
mod model;
mod properties;
mod ways;

pub(crate) use golden::told;

use crate::driver::{Driver, TENANT};
use evenkeel_domains::{
    Command, Domains, Found, Query, Refusal, Reply,
    chat::{
        self, Action, ChatEvent, EventView, EventsPage, From, InboxView, MemberView, MessageView,
        Outgoing, Role, Start,
    },
};
use evenkeel_engine::{Failure, Options, Position, Stop, Time};
use evenkeel_log::{Incarnation, PartitionId};
use std::collections::BTreeMap;

/// More than a round takes to begin, and than its steps are apart.
pub(crate) const ROUND_MS: u64 = chat::ROUND_EVERY_MS + chat::STEP_EVERY_MS;

pub(crate) fn command(conversation: &str, by: Option<&str>, action: Action) -> Command {
    let (conversation, by) = (conversation.to_owned(), by.map(str::to_owned));
    Command::Chat(chat::Command { conversation, by, action })
}

pub(crate) fn put(members: &[&str]) -> Action {
    let members = members.iter().map(|user| ((*user).to_owned(), Role::Writer));
    Action::Put { members: members.collect(), retention_ms: None }
}

pub(crate) fn send(sender: &str, client_id: &str) -> Action {
    said(sender, client_id, &format!("{{\"text\":\"{client_id}\"}}"))
}

pub(crate) fn said(sender: &str, client_id: &str, body: &str) -> Action {
    Action::Send(Outgoing {
        client_id: client_id.to_owned(),
        sender: sender.to_owned(),
        body: body.to_owned(),
        reply_to: None,
    })
}

/// One partition with conversations and inboxes, so that what it sends it sends to itself.
pub(crate) struct House {
    pub(crate) driver: Driver,
}

impl House {
    pub(crate) fn new() -> Self {
        let domains = Domains { partitions: 1, ..Domains::default() };
        Self { driver: Driver::knowing(domains, PartitionId(0), Options::default()) }
    }

    pub(crate) fn ask_by(
        &mut self,
        conversation: &str,
        by: Option<&str>,
        action: Action,
    ) -> Result<chat::Reply, chat::Refusal> {
        match self.driver.ask(command(conversation, by, action), None) {
            Ok(Reply::Chat(reply)) => Ok(reply),
            Err(Failure::Refused(Refusal::Chat(refusal))) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn ask(
        &mut self,
        conversation: &str,
        action: Action,
    ) -> Result<chat::Reply, chat::Refusal> {
        self.ask_by(conversation, None, action)
    }

    /// Says something new; answers where it is.
    pub(crate) fn say(&mut self, conversation: &str, sender: &str, client_id: &str) -> u64 {
        match self.ask(conversation, send(sender, client_id)) {
            Ok(chat::Reply::Sent(sent)) if !sent.duplicate => sent.seq,
            other => panic!("{other:?}"),
        }
    }

    /// Carries what was sent until nothing is on its way.
    pub(crate) fn carry(&mut self) {
        loop {
            let sent = std::mem::take(&mut self.driver.sent);
            let done = std::mem::take(&mut self.driver.acknowledged);
            if sent.is_empty() && done.is_empty() {
                return;
            }
            for (_, delivery) in sent {
                self.driver.partition.deliver(delivery);
            }
            for (to, through) in done {
                self.driver.partition.acknowledged(to, through);
            }
            self.driver.settle();
        }
    }

    /// Lets time pass until every round has gone round and told what it had to.
    pub(crate) fn quiet(&mut self) {
        for _ in 0..200 {
            self.driver.pass(ROUND_MS);
            self.carry();
            if chat::behind_since(&self.driver.partition.view()).unwrap().is_none() {
                return;
            }
        }
        panic!("rounds never end");
    }

    pub(crate) fn query(&self, query: chat::Query) -> Result<chat::Found, chat::Refusal> {
        find(&self.driver, query)
    }

    pub(crate) fn events(&self, conversation: &str, after: u64, limit: usize) -> EventsPage {
        let position = Position { incarnation: Incarnation(1), sequence: after };
        let after = Start::After(position);
        let conversation = conversation.to_owned();
        let query = chat::Query::Events { conversation, by: None, after, limit };
        match self.query(query).unwrap() {
            chat::Found::Events(page) => page,
            other => panic!("{other:?}"),
        }
    }

    /// All events that are kept, page by page.
    pub(crate) fn all_events(&self, conversation: &str, limit: usize) -> Vec<EventView> {
        let conversation = conversation.to_owned();
        let query = |after| chat::Query::Events {
            conversation: conversation.clone(),
            by: None,
            after,
            limit,
        };
        let (mut start, mut all) = (Start::Oldest, Vec::new());
        loop {
            let chat::Found::Events(page) = self.query(query(start)).unwrap() else { panic!() };
            assert!(!page.reset && (page.is_last || !page.events.is_empty()), "a page goes on");
            all.extend(page.events);
            if page.is_last {
                return all;
            }
            start = Start::After(page.next);
        }
    }

    /// All messages that are kept, page by page, in the order of `from`.
    pub(crate) fn all_messages(&self, conversation: &str, from: From) -> Vec<MessageView> {
        let (mut from, mut all) = (from, Vec::new());
        loop {
            let query = chat::Query::Messages {
                conversation: conversation.to_owned(),
                by: None,
                from,
                limit: 3,
            };
            let chat::Found::Messages(page, next) = self.query(query).unwrap() else { panic!() };
            all.extend(page);
            from = match (from, next) {
                (_, None) => return all,
                (From::After(_), Some(seq)) => From::After(seq),
                (From::Before(_), Some(seq)) => From::Before(seq),
            };
        }
    }

    pub(crate) fn members(&self, conversation: &str) -> BTreeMap<String, MemberView> {
        let (mut after, mut all) = (None, BTreeMap::new());
        loop {
            let query = chat::Query::Members {
                conversation: conversation.to_owned(),
                by: None,
                after,
                limit: 2,
            };
            let chat::Found::Members(page, next) = self.query(query).unwrap() else { panic!() };
            all.extend(page.into_iter().map(|view| (view.user.clone(), view)));
            if next.is_none() {
                return all;
            }
            after = next;
        }
    }

    pub(crate) fn unread(&self, conversation: &str, user: &str) -> u64 {
        let (user, conversations) = (user.to_owned(), vec![conversation.to_owned()]);
        match self.query(chat::Query::Summaries { partition: 0, user, conversations }) {
            Ok(chat::Found::Summaries(views)) => views[0].told.unread,
            other => panic!("{other:?}"),
        }
    }

    /// What a user's inbox was told, page by page.
    pub(crate) fn inbox(&self, user: &str) -> Vec<InboxView> {
        let (mut after, mut all): (Option<(Time, String)>, _) = (None, Vec::new());
        loop {
            let query = chat::Query::Inbox { user: user.to_owned(), after, limit: 2 };
            let chat::Found::Inbox(page, next) = self.query(query).unwrap() else { panic!() };
            all.extend(page);
            if next.is_none() {
                return all;
            }
            after = next;
        }
    }
}

/// The sequence of an event.
pub(crate) fn seq(view: &EventView) -> u64 {
    view.position.sequence
}

/// What a message says, if the event is one.
pub(crate) fn body(view: &EventView) -> Option<&str> {
    match &view.event {
        ChatEvent::Message(message) => Some(&message.body),
        ChatEvent::Happening(_) => None,
    }
}

/// Reads committed state.
pub(crate) fn find(driver: &Driver, query: chat::Query) -> Result<chat::Found, chat::Refusal> {
    let view = driver.partition.view();
    let query = Query::Chat(query);
    match evenkeel_domains::query(&view, driver.now, Incarnation(1), TENANT, &query) {
        Ok(Found::Chat(found)) => Ok(found),
        Ok(other) => panic!("{other:?}"),
        Err(Stop::Refused(Refusal::Chat(refusal))) => Err(refusal),
        Err(error) => panic!("{error:?}"),
    }
}
