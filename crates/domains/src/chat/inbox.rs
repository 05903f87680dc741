//! Inboxes: what conversations tell the partitions of their members, and what that does there.

use super::{
    Role, Told,
    tables::{Inbox, InboxEntry, InboxOrder},
};
use crate::{Domains, route::user_partition};
use evenkeel_engine::{Context, TenantId, Time};
use evenkeel_log::PartitionId;
use evenkeel_state::{Read, StateError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one [`Item`] tells: with three rows for each, it is within the rows that one item may change.
pub const ITEM_TOLD_MAX: usize = 80;

/// Work that another partition sent. Stored on its way: variants are added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// How conversations stand for users of this partition; at most [`ITEM_TOLD_MAX`].
    Tell(Vec<Word>),
}

/// How a conversation stands for one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// The conversation.
    pub conversation: String,
    /// Who.
    pub user: String,
    /// What they are in it, and what they are told; none if they are no member.
    pub entry: Option<(Role, Option<Told>)>,
}

/// What is to be told, by whose it is and where it goes.
#[derive(Debug, Default)]
pub(super) struct Words(BTreeMap<(TenantId, PartitionId), Vec<Word>>);

impl Words {
    pub(super) fn add(
        &mut self,
        domains: &Domains,
        (tenant, conversation): &(TenantId, String),
        user: String,
        entry: Option<(Role, Option<Told>)>,
    ) {
        let place = user_partition(*tenant, &user, domains.partitions);
        let word = Word { conversation: conversation.clone(), user, entry };
        self.0.entry((*tenant, place)).or_default().push(word);
    }

    pub(super) fn send(self, ctx: &mut Context<'_, '_>) -> Result<(), StateError> {
        for ((tenant, place), words) in self.0 {
            for words in words.chunks(ITEM_TOLD_MAX) {
                let item = crate::Item::Chat(Item::Tell(words.to_vec()));
                ctx.send(place, tenant, &item)?;
            }
        }
        Ok(())
    }
}

/// Does what conversations sent.
pub(crate) fn deliver(
    ctx: &mut Context<'_, '_>,
    tenant: TenantId,
    item: &Item,
) -> Result<(), StateError> {
    let Item::Tell(words) = item;
    for Word { conversation, user, entry } in words {
        let key = (tenant, user.clone(), conversation.clone());
        let before = ctx.tx.get::<Inbox>(&key)?;
        let place = |told: Option<Told>| {
            order_key(tenant, user, told.map(|told| told.active_at), conversation)
        };
        let old = before.as_ref().map(|entry| place(entry.told));
        let new = entry.as_ref().map(|(_, told)| place(*told));
        if old != new {
            if let Some(old) = old {
                ctx.tx.delete::<InboxOrder>(&old);
            }
            if let Some(new) = new {
                ctx.tx.put::<InboxOrder>(&new, &());
            }
        }
        match entry {
            Some((role, told)) => {
                let entry = InboxEntry { role: *role, told: *told };
                if before.as_ref() != Some(&entry) {
                    ctx.tx.put::<Inbox>(&key, &entry);
                }
            }
            None => ctx.tx.delete::<Inbox>(&key),
        }
    }
    Ok(())
}

/// The place of the newest conversation that there could be. Those that do not tell when they were last
/// active come before it.
pub(super) const NEWEST: u64 = 1;

/// Where a conversation is in an inbox, the newest first.
pub(super) fn order_key(
    tenant: TenantId,
    user: &str,
    active_at: Option<Time>,
    conversation: &str,
) -> (TenantId, String, u64, String) {
    let place = active_at.map_or(0, |at| (u64::MAX - at.0).max(NEWEST));
    (tenant, user.to_owned(), place, conversation.to_owned())
}
