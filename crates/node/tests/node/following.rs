//! Whoever follows conversations: who is told as present, and what becomes of those who follow when
//! what they wait for is gone, or there is no room for what they ask.

use crate::harness::{Machine, TestNode};
use evenkeel_domains::{
    Command, Scope,
    chat::{self, Action, EventsPage, Role, Start},
};
use evenkeel_engine::{Entity, Failure, Position, TenantId, Time};
use evenkeel_log::Incarnation;
use evenkeel_node::{
    CallOptions, Follow, FollowTicket, Live, NodeError, NoticeKind, Outlet, PRESENT_MAX, Tenant,
    Waiting,
};
use std::{iter::repeat_n, sync::Arc};
use tokio::runtime::Builder;

const NOW: Time = Time(1_000);
const ENTITY: Entity = Entity { domain: chat::DOMAIN, id: 1 };
const CONVERSATION: &str = "c";
/// More than wait on their way to an owner.
const TOO_MANY: usize = 10_000;

fn follower(user: &str) -> Arc<Follow> {
    let (outlet, present) = (Arc::new(Outlet::default()), Some(user.into()));
    Arc::new(Follow { outlet, subscription: 1, present })
}

/// A page after which nothing follows.
fn page(reset: bool) -> EventsPage {
    let next = Position { incarnation: Incarnation(1), sequence: 0 };
    EventsPage { entity: ENTITY, events: Vec::new(), next, is_last: true, reset }
}

fn come(live: &mut Live, user: &str) -> Arc<Follow> {
    let follow = follower(user);
    let ticket = FollowTicket::new(TenantId(0), CONVERSATION, None, Start::Now, &follow);
    live.follow(ticket, Ok(page(false)), NOW);
    follow
}

fn taken(follow: &Follow) -> Waiting {
    let mut waiting = Waiting::default();
    follow.outlet.take(&mut waiting);
    waiting
}

/// What is told of a user's presence, if anything.
fn presence(waiting: &Waiting, user: &str) -> Option<bool> {
    waiting.notices.get(&(1, NoticeKind::Presence, user.into())).copied()
}

#[test]
fn whoever_comes_takes_the_place_of_one_who_left() {
    let mut live = Live::default();
    let mut there: Vec<_> = (0..PRESENT_MAX).map(|at| come(&mut live, &format!("u{at}"))).collect();
    let late = come(&mut live, "late");
    assert_eq!(presence(&taken(&late), "late"), None, "there is no place");
    let watcher = there.pop().unwrap();
    taken(&watcher);
    there.remove(0);
    live.part([ENTITY.id]);
    let later = come(&mut live, "later");
    live.sweep(NOW);
    for follow in [&late, &watcher, &later] {
        let waiting = taken(follow);
        assert_eq!(presence(&waiting, "u0"), Some(false));
        assert_eq!(presence(&waiting, "late"), Some(true), "it has the place");
        assert_eq!(presence(&waiting, "later"), None, "there is one place");
    }
    there.remove(0);
    live.part([ENTITY.id]);
    live.sweep(NOW);
    assert_eq!(presence(&taken(&watcher), "later"), Some(true));
}

#[test]
fn whoever_follows_what_is_gone_has_to_come_back() {
    let mut live = Live::default();
    let follow = come(&mut live, "ada");
    assert!(!taken(&follow).is_overfull);
    assert!(!live.send(ENTITY.id, page(true)), "there is no more to read");
    assert!(taken(&follow).is_overfull);
    assert_eq!(live.wants(ENTITY.id, Incarnation(1)), None, "nobody follows");
}

/// A node whose owners run only while the test waits, with a conversation.
fn alone(work: impl AsyncFnOnce(&TestNode, &Tenant)) {
    let machine = Machine::new();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let node = machine.open().await.unwrap();
        let tenant = node.tenant("default").unwrap();
        let members = ["ada", "bob"].map(|user| (user.to_owned(), Role::Writer));
        let action = Action::Put { members: members.into(), retention_ms: None };
        let conversation = CONVERSATION.to_owned();
        let command = Command::Chat(chat::Command { conversation, by: None, action });
        node.command(&tenant, command, CallOptions::default()).await.unwrap();
        work(&node, &tenant).await;
        assert!(node.shutdown().await);
    });
}

/// Returns once the conversation's owner has done what it was asked before.
async fn caught_up(node: &TestNode, tenant: &Tenant, entity: Entity) {
    // It waits for room, and is answered before the end of the round that it comes in.
    for _ in 0..2 {
        let scope = Scope::Key { domain: "chat", key: CONVERSATION.into() };
        node.watch(tenant, scope, entity).await.unwrap();
    }
}

/// Follows the conversation from now on. Answers its entity too.
async fn follow(node: &TestNode, tenant: &Tenant, user: &str) -> (Arc<Follow>, Entity) {
    let follow = follower(user);
    node.follow(tenant, CONVERSATION, Some(user), Start::Now, &follow);
    follow.outlet.filled().await;
    let waiting = taken(&follow);
    assert_eq!(presence(&waiting, user), Some(true));
    let (_, followed) = waiting.pages.into_iter().next().unwrap();
    (follow, followed.unwrap().page.entity)
}

#[test]
fn whoever_leaves_thousands_of_conversations_is_gone_from_each_at_once() {
    alone(async |node, tenant| {
        let (ada, _) = follow(node, tenant, "ada").await;
        let (bob, entity) = follow(node, tenant, "bob").await;
        drop(bob);
        // A message for each of them would not find room.
        let others = repeat_n(Entity { id: u64::MAX, ..entity }, TOO_MANY);
        let left = others.chain([entity]).map(|entity| (CONVERSATION, entity));
        node.unfollow(tenant, left);
        caught_up(node, tenant, entity).await;
        assert_eq!(presence(&taken(&ada), "bob"), Some(false));
    });
}

#[test]
fn whoever_finds_no_room_on_the_way_to_an_owner_is_told_so() {
    alone(async |node, tenant| {
        let (ada, entity) = follow(node, tenant, "ada").await;
        for _ in 0..TOO_MANY {
            node.typing(tenant, CONVERSATION, entity, &"ada".into(), true);
        }
        let bob = follower("bob");
        node.follow(tenant, CONVERSATION, Some("bob"), Start::Now, &bob);
        let (_, answer) = taken(&bob).pages.remove(0);
        assert_eq!(answer.unwrap_err(), NodeError::Failed(Failure::Overloaded));
        caught_up(node, tenant, entity).await;
        assert_eq!(presence(&taken(&ada), "bob"), None);
        follow(node, tenant, "bob").await;
        assert_eq!(presence(&taken(&ada), "bob"), Some(true), "there is room again");
    });
}
