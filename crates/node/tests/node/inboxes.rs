//! Inboxes over many partitions: what conversations everywhere tell each user's, and that they are
//! exact however the node's life ended.

use crate::harness::{End, Machine, TestNode};
use evenkeel_contract::Level;
use evenkeel_domains::{
    Command, Reply,
    chat::{self, Action, Outgoing, Role},
};
use evenkeel_node::{CallOptions, ReadOptions};
use std::collections::BTreeMap;

const PARTITIONS: u16 = 16;
const USERS: [&str; 5] = ["ada", "bob", "cyd", "dan", "eve"];
const CONVERSATIONS: usize = 40;
/// Messages in each conversation, one of each user in turn.
const MESSAGES: usize = 6;

async fn ask(node: &TestNode, conversation: usize, action: Action) -> Reply {
    let tenant = node.tenant("default").unwrap();
    let conversation = format!("c{conversation}");
    let command = Command::Chat(chat::Command { conversation, by: None, action });
    let options = CallOptions::default();
    node.command(&tenant, command, options).await.unwrap().answer
}

/// Whoever is in a conversation: all but one.
fn members(conversation: usize) -> impl Iterator<Item = &'static str> {
    let left_out = conversation % USERS.len();
    USERS.into_iter().enumerate().filter(move |(user, _)| *user != left_out).map(|(_, user)| user)
}

fn sender(conversation: usize, message: usize) -> &'static str {
    let members: Vec<_> = members(conversation).collect();
    members[(conversation + message) % members.len()]
}

async fn talk(node: &TestNode, conversation: usize, from: usize) {
    for message in from..from + MESSAGES {
        let sender = sender(conversation, message).to_owned();
        let client_id = format!("m{message}");
        let outgoing = Outgoing { client_id, sender, body: "\"hello\"".into(), reply_to: None };
        ask(node, conversation, Action::Send(outgoing)).await;
    }
}

/// What is unread to a user in each conversation, by asking their inbox, which waits until it knows all.
async fn unread(node: &TestNode, user: &str) -> BTreeMap<String, u64> {
    let tenant = node.tenant("default").unwrap();
    let options = ReadOptions { level: Some(Level::Linearizable), ..ReadOptions::default() };
    let (mut found, mut after) = (BTreeMap::new(), None);
    loop {
        let page = node.inbox(&tenant, user, after, 7, options.clone()).await.unwrap().answer;
        for view in page.items {
            let twice = found.insert(view.conversation, view.told.unread);
            assert_eq!(twice, None, "a conversation is in an inbox once");
        }
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

/// The same by counting: nobody has read anything.
fn counted(user: &str, messages: usize) -> BTreeMap<String, u64> {
    let theirs = (0..CONVERSATIONS).filter(|one| members(*one).any(|member| member == user));
    theirs
        .map(|one| {
            let others = (0..messages).filter(|message| sender(one, *message) != user).count();
            (format!("c{one}"), others as u64)
        })
        .collect()
}

#[test]
fn inboxes_everywhere_are_exact_however_a_life_ends() {
    let mut machine = Machine::new();
    machine.options.partitions = PARTITIONS;
    machine.life(End::Kill, async |node| {
        for conversation in 0..CONVERSATIONS {
            let members = members(conversation).map(|user| (user.to_owned(), Role::Writer));
            let action = Action::Put { members: members.collect(), retention_ms: None };
            ask(node, conversation, action).await;
            talk(node, conversation, 0).await;
        }
    });
    // What was to be told when the life ended is told in the next.
    for (round, end) in [End::PowerLoss, End::Shutdown, End::Kill].into_iter().enumerate() {
        let sent = (round + 1) * MESSAGES;
        machine.life(end, async |node| {
            for user in USERS {
                assert_eq!(unread(node, user).await, counted(user, sent), "{user}, {sent} sent");
            }
            for conversation in 0..CONVERSATIONS {
                talk(node, conversation, sent).await;
            }
        });
    }
}
