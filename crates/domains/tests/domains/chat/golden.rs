//! The rows of chat as version 1 writes them.

use super::{House, ROUND_MS, command, put, said};
use crate::{driver::TENANT, golden::golden};
use evenkeel_domains::{
    Query,
    chat::{self, Action, From, Outgoing, Reaction, Role, Start},
};
use evenkeel_log::Incarnation;

/// Something of everything.
pub(crate) fn told() -> House {
    let mut house = House::new();
    let reaction = |by: &str| Reaction { seq: 3, kind: "x".into(), by: by.into() };
    let reply = Outgoing {
        client_id: "2".into(),
        sender: "bob".into(),
        body: "{\"text\":\"yes\"}".into(),
        reply_to: Some(3),
    };
    let member = |user: &str, role| Action::PutMember { user: user.into(), role };
    for (by, action) in [
        (None, put(&["ada", "bob"])),
        (None, member("eve", Role::Moderator)),
        (Some("ada"), said("ada", "1", "\"hello\"")),
        (Some("bob"), Action::Send(reply)),
        (Some("ada"), Action::Edit { seq: 3, body: "\"hello, all\"".into() }),
        (Some("bob"), Action::React(reaction("bob"))),
        (Some("eve"), Action::React(reaction("eve"))),
        (Some("bob"), Action::Unreact(reaction("bob"))),
        (Some("bob"), Action::Read { user: "bob".into(), seq: 3 }),
        (Some("eve"), Action::Delete { seq: 4 }),
        (Some("eve"), member("bob", Role::Reader)),
        (None, Action::RemoveMember { user: "bob".into() }),
    ] {
        house.driver.now = house.driver.now.plus_ms(1);
        house.driver.ask(command("c", by, action), None).unwrap();
        house.carry();
    }
    let retention_ms = Some(chat::RETENTION_MS_MIN);
    let members = [("dan".to_owned(), Role::Writer)].into();
    house.ask("d", Action::Put { members, retention_ms }).unwrap();
    house.driver.pass(ROUND_MS);
    house.carry();
    house
}

#[test]
fn rows_of_chat_of_version_1() {
    let house = told();
    let (_, follower) = golden("chat-1.txt", &house.driver);
    let (conversation, by, limit) = (|| "c".to_owned(), None::<String>, 99);
    let queries = [
        chat::Query::Conversation { conversation: conversation(), by: by.clone() },
        chat::Query::Members { conversation: conversation(), by: by.clone(), after: None, limit },
        chat::Query::Messages {
            conversation: conversation(),
            by: by.clone(),
            from: From::After(0),
            limit,
        },
        chat::Query::Reactions {
            conversation: conversation(),
            by: by.clone(),
            seq: 3,
            after: None,
            limit,
        },
        chat::Query::Events { conversation: conversation(), by, after: Start::Oldest, limit },
        chat::Query::Inbox { user: "ada".into(), after: None, limit },
        chat::Query::Inbox { user: "bob".into(), after: None, limit },
    ];
    for query in queries.map(Query::Chat) {
        let now = house.driver.now;
        let ask =
            |view| evenkeel_domains::query(view, now, Incarnation(1), TENANT, &query).unwrap();
        assert_eq!(ask(&house.driver.partition.view()), ask(&follower.view()), "{query:?}");
    }
}
