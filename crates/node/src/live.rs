//! Who follows which conversation on this node, and what they are sent while they are connected.
//!
//! An event is read once, when it is committed, and shared by everybody who follows. Each connection
//! has one bounded outlet, out of which it takes as fast as its reader does: an owner never waits for
//! one. An outlet that is full stays so, and its connection is closed with what its reader got last.
//!
//! Who is present and who types is with the connections alone: it is in no record, and what is not
//! current any more is replaced in the outlet before anybody takes it.
//!
//! Nothing here waits or reads a clock: whoever drives it, an owner or the simulator, reads pages of events
//! where this says, and brings them.

use crate::NodeError;
use bytes::Bytes;
use evenkeel_domains::{
    Domains,
    chat::{self, EventView, EventsPage, Start},
};
use evenkeel_engine::{Answer, Position, TenantId, Time};
use evenkeel_log::{Incarnation, PartitionId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};
use tokio::sync::Notify;

/// Events that wait in one connection's outlet.
pub const OUTLET_EVENTS_MAX: usize = 1_024;
/// Bytes of the bodies of those.
pub const OUTLET_BYTES_MAX: usize = 1 << 20;
/// Notices that wait in it.
pub const OUTLET_NOTICES_MAX: usize = 1_024;
/// Events of a conversation that are read at once.
const LIVE_EVENTS_MAX: usize = 256;
/// People whose presence in a conversation is told: beyond, nobody hears of more until one of them is gone.
pub const PRESENT_MAX: usize = 256;
/// How often conversations are looked through for those who are gone without a word.
const SWEEP_EVERY_MS: u64 = 10_000;

/// An event as those who are connected get it.
#[derive(Debug)]
pub struct LiveEvent {
    /// What it is.
    pub view: EventView,
    text: OnceLock<Bytes>,
}

impl LiveEvent {
    fn new(view: EventView) -> Arc<Self> {
        Arc::new(Self { view, text: OnceLock::new() })
    }

    /// The event as `encode` writes it, which must write the same for everybody: it is done once.
    pub fn text(&self, encode: impl FnOnce(&EventView) -> Bytes) -> Bytes {
        self.text.get_or_init(|| encode(&self.view)).clone()
    }

    fn bytes(&self) -> usize {
        self.view.event.bytes()
    }
}

/// What is so for a moment, in no order with events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeKind {
    /// Whether somebody is there.
    Presence,
    /// Whether somebody types.
    Typing,
}

/// What waits for a connection.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Answers to commands, by the numbers under which they were sent.
    pub answers: Vec<Answered>,
    /// What subscriptions have to read before events, by subscription.
    pub pages: Vec<(u32, Result<Followed, NodeError>)>,
    /// Events, by subscription; each after its subscription's pages.
    pub events: VecDeque<(u32, Arc<LiveEvent>)>,
    /// By subscription, kind and user: whether it is so.
    pub notices: BTreeMap<(u32, NoticeKind, Arc<str>), bool>,
    /// There was no room for more: nothing comes any more.
    pub is_overfull: bool,
    bytes: usize,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.answers.is_empty()
            && self.pages.is_empty()
            && self.events.is_empty()
            && self.notices.is_empty()
            && !self.is_overfull
    }

    fn check(&mut self, room: Room) {
        if self.events.len() > room.events
            || self.bytes > room.bytes
            || self.notices.len() > room.notices
        {
            self.is_overfull = true;
            self.events.clear();
            self.notices.clear();
        }
    }
}

/// What may wait in an outlet.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Events.
    pub events: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
    /// Notices.
    pub notices: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { events: OUTLET_EVENTS_MAX, bytes: OUTLET_BYTES_MAX, notices: OUTLET_NOTICES_MAX }
    }
}

/// Where what is for one connection waits.
#[derive(Debug, Default)]
pub struct Outlet {
    room: Room,
    waiting: Mutex<Waiting>,
    filled: Notify,
}

impl Outlet {
    /// One with as much room as this.
    #[must_use]
    pub fn with(room: Room) -> Self {
        Self { room, ..Self::default() }
    }

    /// How many events wait.
    pub fn events(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).events.len()
    }

    /// Completes once something waits.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Takes all that waits into `into`, whose buffers are used again.
    pub fn take(&self, into: &mut Waiting) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        debug_assert!(into.is_empty(), "what was taken was dealt with");
        std::mem::swap(&mut *waiting, into);
        waiting.is_overfull = into.is_overfull;
        waiting.bytes = 0;
    }

    pub(crate) fn put(&self, work: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = waiting.is_empty();
        work(&mut waiting);
        let is_filled = was_empty && !waiting.is_empty();
        drop(waiting);
        if is_filled {
            self.filled.notify_one();
        }
    }

    fn put_event(&self, subscription: u32, event: &Arc<LiveEvent>) {
        self.put(|waiting| {
            if !waiting.is_overfull {
                waiting.bytes += event.bytes();
                waiting.events.push_back((subscription, Arc::clone(event)));
                waiting.check(self.room);
            }
        });
    }

    fn put_notice(&self, subscription: u32, kind: NoticeKind, user: &Arc<str>, is_so: bool) {
        self.put(|waiting| {
            if !waiting.is_overfull {
                waiting.notices.insert((subscription, kind, Arc::clone(user)), is_so);
                waiting.check(self.room);
            }
        });
    }
}

/// An answer to a command that was sent for a connection.
#[derive(Debug)]
pub struct Answered {
    /// The number under which it was sent.
    pub number: u64,
    /// Where it was decided.
    pub(crate) partition: PartitionId,
    /// `None`: nobody knows what became of it.
    pub(crate) answer: Option<Answer<Domains>>,
}

/// Where such an answer goes. Dropped without one, it says that there will be none.
pub(crate) struct ToOutlet {
    /// `None` once it is answered.
    outlet: Option<Arc<Outlet>>,
    number: u64,
    partition: PartitionId,
}

impl ToOutlet {
    pub(crate) fn new(outlet: Arc<Outlet>, number: u64, partition: PartitionId) -> Self {
        Self { outlet: Some(outlet), number, partition }
    }

    pub(crate) fn settle(&mut self, answer: Option<Answer<Domains>>) {
        if let Some(outlet) = self.outlet.take() {
            let Self { number, partition, .. } = *self;
            outlet.put(|waiting| waiting.answers.push(Answered { number, partition, answer }));
        }
    }
}

impl Drop for ToOutlet {
    fn drop(&mut self) {
        self.settle(None);
    }
}

/// One connection's wish to follow one conversation, for as long as this lives.
#[derive(Debug)]
pub struct Follow {
    /// Where events go.
    pub outlet: Arc<Outlet>,
    /// The connection's number for it.
    pub subscription: u32,
    /// Who is present by it.
    pub present: Option<Arc<str>>,
}

/// A wish to follow on its way to the owner. It is answered through the outlet, so that what comes after the
/// answer comes after it there too.
#[derive(Debug)]
pub struct FollowTicket {
    tenant: TenantId,
    conversation: String,
    by: Option<String>,
    after: Start,
    follow: Weak<Follow>,
    /// Taken when it is answered, whether or not anybody still wishes to follow.
    answers_to: Option<(Arc<Outlet>, u32)>,
}

impl FollowTicket {
    /// What `follow` wishes to get: what `conversation` has after `after`, as `by` may see it.
    #[must_use]
    pub fn new(
        tenant: TenantId,
        conversation: &str,
        by: Option<&str>,
        after: Start,
        follow: &Arc<Follow>,
    ) -> Self {
        Self {
            tenant,
            conversation: conversation.to_owned(),
            by: by.map(str::to_owned),
            after,
            follow: Arc::downgrade(follow),
            answers_to: Some((Arc::clone(&follow.outlet), follow.subscription)),
        }
    }

    /// What is to be read for it, and whose it is.
    #[must_use]
    pub fn wants(&self) -> (TenantId, chat::Query) {
        let query = chat::Query::Events {
            conversation: self.conversation.clone(),
            by: self.by.clone(),
            after: self.after,
            limit: LIVE_EVENTS_MAX,
        };
        (self.tenant, query)
    }

    pub(crate) fn answer(&mut self, answer: Result<Followed, NodeError>) {
        if let Some((outlet, subscription)) = self.answers_to.take() {
            outlet.put(|waiting| waiting.pages.push((subscription, answer)));
        }
    }
}

impl Drop for FollowTicket {
    fn drop(&mut self) {
        self.answer(Err(NodeError::not_served()));
    }
}

/// What there was already of a conversation that is to be followed.
#[derive(Debug, Clone)]
pub struct Followed {
    /// The events after where the caller was.
    pub page: EventsPage,
    /// Whether all that comes after them is sent to the outlet. Otherwise there is more to read first.
    pub is_live: bool,
}

/// The conversations of one partition that somebody follows.
#[derive(Debug, Default)]
pub struct Live {
    followed: HashMap<u64, Conversation>,
    /// Conversations that somebody said they follow no more.
    parted: BTreeSet<u64>,
    /// When they are looked through.
    sweep_at: Option<Time>,
}

#[derive(Debug)]
struct Conversation {
    tenant: TenantId,
    name: String,
    /// The sequence that is read next.
    next: u64,
    followers: Vec<Follower>,
    present: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
struct Follower {
    follow: Weak<Follow>,
    /// The sequence that it has not got yet.
    next: u64,
}

/// Whoever follows is not left waiting for what nobody sends any more.
impl Drop for Live {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Live {
    /// Somebody wishes to follow, of which this was read: they get it, and from now on, if nothing
    /// more has to be read before, what comes after it.
    pub fn follow(
        &mut self,
        mut ticket: FollowTicket,
        read: Result<EventsPage, NodeError>,
        now: Time,
    ) {
        let page = match read {
            Ok(page) => page,
            Err(error) => return ticket.answer(Err(error)),
        };
        let is_live = page.is_last && !page.reset;
        let (id, next) = (page.entity.id, page.next.sequence + 1);
        ticket.answer(Ok(Followed { page, is_live }));
        if let Some(follow) = ticket.follow.upgrade().filter(|_| is_live) {
            self.sweep_at = self.sweep_at.or(Some(now.plus_ms(SWEEP_EVERY_MS)));
            let followed = self.followed.entry(id).or_insert_with(|| Conversation {
                tenant: ticket.tenant,
                name: std::mem::take(&mut ticket.conversation),
                next,
                followers: Vec::new(),
                present: BTreeSet::new(),
            });
            followed.followers.push(Follower { follow: Weak::clone(&ticket.follow), next });
            followed.come(&follow);
        }
    }

    /// What is to be read of conversation `id`, now that it has something new, and whose it is.
    #[must_use]
    pub fn wants(&self, id: u64, incarnation: Incarnation) -> Option<(TenantId, chat::Query)> {
        let found = self.followed.get(&id)?;
        let query = chat::Query::Events {
            conversation: found.name.clone(),
            by: None,
            after: Start::After(Position { incarnation, sequence: found.next - 1 }),
            limit: LIVE_EVENTS_MAX,
        };
        Some((found.tenant, query))
    }

    /// Sends what was read of conversation `id` to everybody who has not got it. Answers whether there is
    /// more to read.
    pub fn send(&mut self, id: u64, page: EventsPage) -> bool {
        if page.reset {
            // What they have not got is gone. They come back, and then hear so.
            self.followed.remove(&id).into_iter().for_each(Conversation::give_up);
            return false;
        }
        let Some(followed) = self.followed.get_mut(&id) else { return false };
        let has_more = !page.is_last && !page.events.is_empty();
        let mut is_gone = false;
        for view in page.events {
            let sequence = view.position.sequence;
            let event = LiveEvent::new(view);
            for follower in &mut followed.followers {
                if follower.next > sequence {
                    continue;
                }
                match follower.follow.upgrade() {
                    Some(follow) => follow.outlet.put_event(follow.subscription, &event),
                    None => is_gone = true,
                }
            }
            followed.next = sequence + 1;
        }
        if is_gone {
            self.review(id);
        }
        has_more
    }

    /// Somebody types, or has stopped.
    pub fn typing(&mut self, id: u64, user: &Arc<str>, is_so: bool) {
        if let Some(followed) = self.followed.get(&id) {
            followed.notice(NoticeKind::Typing, user, is_so);
        }
    }

    /// Some who followed these conversations are gone. Those are looked through with the next
    /// [`Self::sweep`], once, however many left.
    pub fn part(&mut self, conversations: impl IntoIterator<Item = u64>) {
        self.parted.extend(conversations);
    }

    fn review(&mut self, id: u64) {
        if self.followed.get_mut(&id).is_some_and(Conversation::is_forsaken) {
            self.followed.remove(&id);
        }
    }

    /// Nobody is sent anything any more: somebody else leads, and who follows has to ask there.
    pub fn give_up(&mut self) {
        std::mem::take(&mut self.followed).into_values().for_each(Conversation::give_up);
    }

    /// When [`Self::sweep`] is due, though nobody said that they left.
    pub fn sweep_at(&self) -> Option<Time> {
        self.sweep_at
    }

    /// Lets those go who said so; and, if it is time, those who are gone without a word: a word may be lost.
    pub fn sweep(&mut self, now: Time) {
        for id in std::mem::take(&mut self.parted) {
            self.review(id);
        }
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.followed.retain(|_, followed| !followed.is_forsaken());
            let next = now.plus_ms(SWEEP_EVERY_MS);
            self.sweep_at = (!self.followed.is_empty()).then_some(next);
        }
    }
}

impl Conversation {
    /// Somebody follows who may make themselves known, and hears who is there.
    fn come(&mut self, follow: &Follow) {
        let Some(user) = &follow.present else { return };
        for other in &self.present {
            follow.outlet.put_notice(follow.subscription, NoticeKind::Presence, other, true);
        }
        if self.present.len() < PRESENT_MAX && self.present.insert(Arc::clone(user)) {
            self.notice(NoticeKind::Presence, user, true);
        }
    }

    fn notice(&self, kind: NoticeKind, user: &Arc<str>, is_so: bool) {
        for follow in self.followers.iter().filter_map(|one| one.follow.upgrade()) {
            // Only who makes themselves known hears who else is there.
            if follow.present.is_some() {
                follow.outlet.put_notice(follow.subscription, kind, user, is_so);
            }
        }
    }

    fn give_up(self) {
        for follow in self.followers.iter().filter_map(|one| one.follow.upgrade()) {
            follow.outlet.put(|waiting| waiting.is_overfull = true);
        }
    }

    /// Lets those go who are not there any more; others are seen in their places. Answers whether nobody is
    /// left.
    fn is_forsaken(&mut self) -> bool {
        self.followers.retain(|one| one.follow.strong_count() > 0);
        if !self.present.is_empty() {
            let there = self.followers.iter().filter_map(|one| one.follow.upgrade());
            let there: BTreeSet<_> = there.filter_map(|follow| follow.present.clone()).collect();
            let gone: Vec<_> = self.present.difference(&there).cloned().collect();
            let unseen = there.difference(&self.present).take(gone.len());
            let unseen: Vec<_> = unseen.cloned().collect();
            for user in &gone {
                self.present.remove(user);
                self.notice(NoticeKind::Presence, user, false);
            }
            for user in unseen {
                self.notice(NoticeKind::Presence, &user, true);
                self.present.insert(user);
            }
        }
        self.followers.is_empty()
    }
}
