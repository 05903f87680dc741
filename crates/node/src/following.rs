//! What an owner does for those who watch its entities and follow its conversations, and says of views
//! elsewhere.

use crate::{lateness::View, live::FollowTicket, owner::Owner};
use evenkeel_domains::{Found, Query, chat, feed, is_view};
use evenkeel_engine::{Entity, Failure, Role};
use evenkeel_log::{Log, PartitionId};
use std::sync::Arc;
use tokio::sync::{Notify, futures::Notified, oneshot, watch};

/// Watchers are looked through for those whose watchers are gone once there are so many, or twice
/// as many as were left the last time.
pub(crate) const WATCHERS_SWEPT_AT: usize = 256;

/// Tells those who wait for a view of a partition when it has come forward.
#[derive(Clone)]
pub(crate) struct Forward([Arc<[Notify]>; View::ALL.len()]);

impl Forward {
    pub(crate) fn new(partitions: u16) -> Self {
        Self(View::ALL.map(|_| (0..partitions).map(|_| Notify::new()).collect()))
    }

    pub(crate) fn came(&self, view: View, of: PartitionId) {
        self.0[view as usize][usize::from(of.0)].notify_waiters();
    }

    /// Completes when it has since this was called.
    pub(crate) fn next(&self, view: View, of: PartitionId) -> Notified<'_> {
        self.0[view as usize][usize::from(of.0)].notified()
    }
}

impl<L: Log> Owner<L> {
    /// Somebody wants to know when `entity` has something new.
    pub(crate) fn watch(&mut self, entity: Entity, reply: oneshot::Sender<watch::Receiver<()>>) {
        if self.watchers.len() >= self.watchers_swept_at {
            self.watchers.retain(|_, sender| sender.receiver_count() > 0);
            self.watchers_swept_at = WATCHERS_SWEPT_AT.max(2 * self.watchers.len());
        }
        let sender = self.watchers.entry(entity).or_insert_with(|| watch::Sender::new(()));
        let _ = reply.send(sender.subscribe());
    }

    /// Somebody wants to follow a conversation.
    pub(crate) fn follow_live(&mut self, ticket: FollowTicket) {
        let page = if self.partition.role() == Role::Owner {
            let (tenant, query) = ticket.wants();
            self.find(tenant, &Query::Chat(query)).map(|(found, _)| events_page(found))
        } else {
            Err(Failure::Unavailable("this node does not lead the partition".into()).into())
        };
        self.live.follow(ticket, page, self.clock.now());
    }

    /// Sends what a conversation has new to those who follow it.
    pub(crate) fn send_live(&mut self, id: u64) {
        while let Some((tenant, query)) = self.live.wants(id, self.partition.incarnation()) {
            match self.find(tenant, &Query::Chat(query)) {
                Ok((found, _)) => {
                    if !self.live.send(id, events_page(found)) {
                        return;
                    }
                }
                // They come back, and then hear what is wrong.
                Err(error) => {
                    tracing::error!(partition = %self.partition.id(), %error, "no events can be read");
                    return self.live.give_up();
                }
            }
        }
    }

    /// What views are made of has changed: of those elsewhere, which are to be told, and of those that somebody
    /// keeps.
    pub(crate) fn tell_views(&mut self, entity: Entity) {
        if let Some(view) = view_told_by(entity) {
            self.untold_changed(view);
        }
        if is_view(entity)
            && let Some(on_change) = self.on_change.get()
        {
            on_change(entity, self.partition.tail().offset);
        }
    }

    /// There is something to tell views elsewhere, or less of it.
    pub(crate) fn untold_changed(&mut self, view: View) {
        let state = self.partition.view();
        let since = match view {
            View::Inboxes => chat::behind_since(&state),
            View::Feeds => feed::behind_since(&state),
        };
        match since {
            Ok(since) => self.lateness[view as usize].untold(since, self.clock.now()),
            Err(error) => self.read_failed |= error.is_store_failure(),
        }
    }

    /// Says how far views elsewhere are behind what happened here.
    pub(crate) fn publish_lateness(&mut self) {
        let leads = self.partition.role() == Role::Owner;
        let outbox = self.partition.outbox_stats();
        for view in View::ALL {
            self.lateness[view as usize].settle(&outbox, leads);
        }
        for to in self.partitions() {
            let outbox = self.partition.outbox_stats_to(to);
            for view in View::ALL {
                let since = self.lateness[view as usize].behind(&outbox, leads);
                if self.gauges.set_behind(view, to, since) {
                    self.forward.came(view, to);
                }
            }
        }
    }

    /// All data partitions.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<L> {
        (0..self.partition.app().partitions).map(PartitionId)
    }
}

/// The views elsewhere that are told more, or less, when this has changed.
pub(crate) fn view_told_by(entity: Entity) -> Option<View> {
    match entity {
        chat::ROUNDS => Some(View::Inboxes),
        feed::WORK => Some(View::Feeds),
        _ => None,
    }
}

fn events_page(found: Found) -> chat::EventsPage {
    match found {
        Found::Chat(chat::Found::Events(page)) => page,
        _ => unreachable!("events are answered"),
    }
}
