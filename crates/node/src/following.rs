//! What an owner does for those who watch its entities and follow its conversations, and says of inboxes
//! elsewhere.

use crate::{
    live::{FollowTicket, Followed},
    owner::Owner,
};
use evenkeel_domains::{Found, Query, chat};
use evenkeel_engine::{Entity, Failure, OutboxStats, Position, Role, Time};
use evenkeel_log::Log;
use tokio::sync::{oneshot, watch};

/// Events of a conversation that are read at once for those who follow it.
const LIVE_EVENTS_MAX: usize = 256;

/// Watchers are looked through for those whose watchers are gone once there are so many, or twice
/// as many as were left the last time.
pub(crate) const WATCHERS_SWEPT_AT: usize = 256;

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

    /// What there is of a conversation, to the end of which whoever asks is then sent what comes.
    pub(crate) fn follow_live(&mut self, mut ticket: FollowTicket) {
        if self.partition.role() != Role::Owner {
            let failure = Failure::Unavailable("this node does not lead the partition".into());
            return ticket.answer(Err(failure.into()));
        }
        let query = chat::Query::Events {
            conversation: ticket.conversation.clone(),
            by: ticket.by.clone(),
            after: ticket.after,
            limit: LIVE_EVENTS_MAX,
        };
        let page = match self.find(ticket.tenant, &Query::Chat(query)) {
            Ok((found, _)) => events_page(found),
            Err(error) => return ticket.answer(Err(error)),
        };
        let is_live = page.is_last && !page.reset;
        ticket.answer(Ok(Followed { page: page.clone(), is_live }));
        if is_live {
            self.live.begin(&ticket, &page, self.clock.now());
        }
    }

    /// Sends what a conversation has new to those who follow it.
    pub(crate) fn send_live(&mut self, id: u64) {
        loop {
            let Some((tenant, name, after)) = self.live.wants(id) else { return };
            let incarnation = self.partition.incarnation();
            let query = chat::Query::Events {
                conversation: name.to_owned(),
                by: None,
                after: chat::Start::After(Position { incarnation, sequence: after }),
                limit: LIVE_EVENTS_MAX,
            };
            match self.find(tenant, &Query::Chat(query)) {
                Ok((found, _)) => {
                    let page = events_page(found);
                    let is_last = page.is_last || page.events.is_empty();
                    self.live.send(id, page);
                    if is_last {
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

    /// Rounds of conversations have begun, gone on or ended.
    pub(crate) fn rounds_changed(&mut self) {
        match chat::behind_since(&self.partition.view()) {
            Ok(since) => self.lateness.rounds(since, self.clock.now()),
            Err(error) => self.read_failed |= error.is_store_failure(),
        }
        self.publish_inboxes();
    }

    /// Says how far inboxes elsewhere are behind what happened here.
    pub(crate) fn publish_inboxes(&mut self) {
        let OutboxStats { rows, oldest, is_known, .. } = self.partition.outbox_stats();
        // Who does not lead knows nothing of what is on its way; it may be of any time.
        let is_known = is_known && self.partition.role() == Role::Owner;
        let is_on_its_way = rows > 0 || !is_known;
        let sent = is_on_its_way.then(|| oldest.filter(|_| is_known).unwrap_or(Time(1)));
        self.gauges.set_inboxes_behind(self.lateness.since(sent));
    }
}

fn events_page(found: Found) -> chat::EventsPage {
    match found {
        Found::Chat(chat::Found::Events(page)) => page,
        _ => unreachable!("events are answered"),
    }
}
