//! What chat asks of more than one partition, and what connections ask of it.

use crate::{
    CallOptions, Called, Node, NodeError, ReadOptions, Tenant,
    lateness::View,
    live::{Answered, Follow, FollowTicket, Outlet, ToOutlet},
    owner::Message,
    ticket::CommandTicket,
};
use evenkeel_domains::{
    Command, Found, Query, Reply, Scope,
    chat::{self, InboxView, Start},
};
use evenkeel_engine::{Entity, Time};
use evenkeel_log::{Files, PartitionId};
use std::{collections::BTreeMap, sync::Arc};

/// Conversations with too many members to tell an inbox of them that one inbox asks at once.
const UNCOUNTED_MAX: usize = 1_000;
const INBOX: &str = "chat.inbox";

/// A page of an inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxPage {
    /// Conversations, the last active first.
    pub items: Vec<InboxView>,
    /// The last of them, if there may be more.
    pub next: Option<(Time, String)>,
}

impl<F: Files> Node<F> {
    /// Sends `command` for a connection: its answer comes to `outlet` under `number`, unless it fails at
    /// once.
    pub fn send_for(
        &self,
        outlet: &Arc<Outlet>,
        number: u64,
        tenant: &Tenant,
        command: Command,
        options: CallOptions,
    ) -> Result<(), NodeError> {
        self.check_session(&options.session)?;
        let partition = self.partition_of(tenant, command.scope());
        let ticket = ToOutlet::new(Arc::clone(outlet), number, partition);
        self.submit(partition, tenant, command, options, CommandTicket::ToOutlet(ticket))?;
        Ok(())
    }

    /// What an answer says that came to an outlet.
    pub fn answered(&self, answered: Answered) -> Result<Called<Reply>, NodeError> {
        self.called(answered.partition, answered.answer)
    }

    /// Asks for what a conversation has after `after`, as `by` may see it, which comes to the outlet of
    /// `follow`; and once that is to its end, what happens from then on does too.
    pub fn follow(
        &self,
        tenant: &Tenant,
        conversation: &str,
        by: Option<&str>,
        after: Start,
        follow: &Arc<Follow>,
    ) {
        let ticket = FollowTicket::new(tenant.id, conversation, by, after, follow);
        // It is answered also if it does not get there.
        let partition = self.partition_of_conversation(tenant, conversation);
        let _ = self.send(partition, Message::Follow(ticket));
    }

    /// Somebody who followed these conversations, whose entities they are, does not any more. If this is
    /// lost, it is noticed later.
    pub fn unfollow<'c>(
        &self,
        tenant: &Tenant,
        conversations: impl IntoIterator<Item = (&'c str, Entity)>,
    ) {
        // Whoever followed thousands takes no more room than others on the way to the owners.
        let mut places: BTreeMap<PartitionId, Vec<u64>> = BTreeMap::new();
        for (conversation, entity) in conversations {
            let place = self.partition_of_conversation(tenant, conversation);
            places.entry(place).or_default().push(entity.id);
        }
        for (place, conversations) in places {
            let _ = self.send(place, Message::Unfollow { conversations });
        }
    }

    /// Tells those who follow `conversation` that `user` types, or has stopped. It may be lost.
    pub fn typing(
        &self,
        tenant: &Tenant,
        conversation: &str,
        entity: Entity,
        user: &Arc<str>,
        is_so: bool,
    ) {
        let partition = self.partition_of_conversation(tenant, conversation);
        let user = Arc::clone(user);
        let message = Message::Typing { conversation: entity.id, user, is_so };
        let _ = self.send(partition, message);
    }

    fn partition_of_conversation(&self, tenant: &Tenant, conversation: &str) -> PartitionId {
        self.partition_of(tenant, Scope::Key { domain: "chat", key: conversation.into() })
    }

    /// A page of `user`'s inbox, after the conversation that was last active then. It is as late as the
    /// answer says: what a conversation tells its members comes a moment after it happens. Of
    /// conversations with too many members for that, each is asked.
    pub async fn inbox(
        &self,
        tenant: &Tenant,
        user: &str,
        after: Option<(Time, String)>,
        limit: usize,
        options: ReadOptions,
    ) -> Result<Called<InboxPage>, NodeError> {
        let there = self.partition_of(tenant, Scope::User(user));
        let wanted = self.wanted(INBOX, &options);
        let survey = self.survey(View::Inboxes, there, &wanted).await?;
        let query = |query| self.query(tenant, Query::Chat(query), options.clone());
        let page = chat::Query::Inbox { user: user.to_owned(), after: after.clone(), limit };
        let mut called = query(page).await?;
        let Found::Chat(chat::Found::Inbox(mut items, next)) = called.answer else {
            unreachable!("an inbox is answered")
        };
        let names = chat::Query::Uncounted { user: user.to_owned(), limit: UNCOUNTED_MAX };
        let Found::Chat(chat::Found::Uncounted(names)) = query(names).await?.answer else {
            unreachable!("names are answered")
        };
        for summaries in self.summaries(tenant, user, names) {
            let asked = query(summaries).await?;
            let Found::Chat(chat::Found::Summaries(views)) = asked.answer else {
                unreachable!("summaries are answered")
            };
            called.as_of.extend(asked.as_of);
            items.extend(views.into_iter().filter(|view| {
                after.as_ref().is_none_or(|(at, name)| place(view) > (!at.0, name))
            }));
        }
        // Those that were not told come among those that were, as far as the page goes.
        items.sort_by(|one, other| place(one).cmp(&place(other)));
        let end = next.as_ref().map(|(at, name)| (!at.0, name.as_str()));
        if let Some(end) = end {
            items.retain(|view| place(view) <= end);
        }
        let more = items.len() > limit || next.is_some();
        items.truncate(limit);
        let last = items.last().map(|view| (view.told.active_at, view.conversation.clone()));
        let next = if more { last.or(next) } else { None };
        called.as_of.sort_unstable_by_key(|token| token.partition);
        called.as_of.dedup_by_key(|token| token.partition);
        Ok(Called {
            answer: InboxPage { items, next },
            replayed: false,
            as_of: called.as_of,
            // What came since then may be missing.
            staleness_ms: survey.late_ms(called.at),
            at: called.at,
        })
    }

    /// What asks each partition for those of `conversations` that are in it.
    fn summaries(
        &self,
        tenant: &Tenant,
        user: &str,
        conversations: Vec<String>,
    ) -> impl Iterator<Item = chat::Query> {
        let mut places: BTreeMap<PartitionId, Vec<String>> = BTreeMap::new();
        for conversation in conversations {
            let place = self.partition_of_conversation(tenant, &conversation);
            places.entry(place).or_default().push(conversation);
        }
        let user = user.to_owned();
        places.into_iter().map(move |(place, conversations)| chat::Query::Summaries {
            partition: place.0,
            user: user.clone(),
            conversations,
        })
    }
}

/// Where a conversation is in an inbox: the last active first, then by name.
fn place(view: &InboxView) -> (u64, &str) {
    (!view.told.active_at.0, &view.conversation)
}
