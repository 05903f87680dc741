//! What the paths of chat declare about their code, run and looked at.

use super::{ROUND_MS, command, put, said, send};
use crate::{driver::Driver, facts::Seen};
use evenkeel_domains::{
    Command, Query,
    chat::{self, Action, From, Outgoing, Reaction, Role, Start},
};
use evenkeel_engine::Options;

fn reaction(seq: u64, kind: &str) -> Reaction {
    Reaction { seq, kind: kind.to_owned(), by: "ada".to_owned() }
}

/// One of each.
pub(crate) fn commands() -> Vec<Command> {
    let user = || "ada".to_owned();
    let actions = [
        put(&["ada"]),
        Action::PutMember { user: user(), role: Role::Writer },
        Action::RemoveMember { user: user() },
        send("ada", "1"),
        Action::Edit { seq: 1, body: "1".into() },
        Action::Delete { seq: 1 },
        Action::React(reaction(1, "x")),
        Action::Unreact(reaction(1, "x")),
        Action::Read { user: user(), seq: 1 },
    ];
    actions.map(|action| command("c", None, action)).to_vec()
}

/// One of each.
pub(crate) fn queries() -> Vec<Query> {
    let (conversation, user) = (|| "c".to_owned(), || "u".to_owned());
    let (by, limit) = (None, 1);
    let of_conversation = [
        chat::Query::Conversation { conversation: conversation(), by: by.clone() },
        chat::Query::Members { conversation: conversation(), by: by.clone(), after: None, limit },
        chat::Query::Messages {
            conversation: conversation(),
            by: by.clone(),
            from: From::After(0),
            limit,
        },
        chat::Query::Message { conversation: conversation(), by: by.clone(), seq: 1 },
        chat::Query::Reactions {
            conversation: conversation(),
            by: by.clone(),
            seq: 1,
            after: None,
            limit,
        },
        chat::Query::Events { conversation: conversation(), by, after: Start::Now, limit },
        chat::Query::Inbox { user: user(), after: None, limit },
        chat::Query::Uncounted { user: user(), limit },
    ];
    of_conversation.map(Query::Chat).to_vec()
}

/// Everything that a command may do or say no with, but for `too_many_members` and `read_too_far`.
pub(crate) fn story(seen: &mut Seen) {
    let driver = &mut Driver::new(Options::default());
    nothing_is_there(seen, driver);
    people(seen, driver);
    messages(seen, driver);
    strangers(seen, driver);
    reactions(seen, driver);
    // What was said has just gone round: what is said now is told later.
    driver.pass(ROUND_MS);
    driver.ask(command("c", None, send("ada", "3")), None).unwrap();
    seen.run(driver, command("c", None, send("ada", "2"))).unwrap();
    driver.pass(ROUND_MS);
    seen.run(driver, command("c", None, Action::Delete { seq: 5 })).unwrap();
    edits(seen, driver);
}

fn nothing_is_there(seen: &mut Seen, driver: &mut Driver) {
    for about in commands().into_iter().skip(1) {
        seen.run(driver, about).unwrap_err();
    }
}

fn people(seen: &mut Seen, driver: &mut Driver) {
    let member = |user: &str, role| Action::PutMember { user: user.to_owned(), role };
    seen.run(driver, command("c", None, put(&["ada"]))).unwrap();
    seen.run(driver, command("c", None, put(&["ada", "bob"]))).unwrap();
    seen.run(driver, command("c", Some("ada"), put(&["ada"]))).unwrap_err();
    seen.run(driver, command("c", Some("eve"), put(&["ada"]))).unwrap_err();
    seen.run(driver, command("c", None, member("eve", Role::Reader))).unwrap();
    for by in ["eve", "dan"] {
        seen.run(driver, command("c", Some(by), member("ada", Role::Reader))).unwrap_err();
        let remove = Action::RemoveMember { user: "ada".into() };
        seen.run(driver, command("c", Some(by), remove)).unwrap_err();
    }
    let leave = Action::RemoveMember { user: "bob".into() };
    seen.run(driver, command("c", Some("bob"), leave)).unwrap();
}

/// `ada` says something in number 5, which is read by `eve` in number 6.
fn messages(seen: &mut Seen, driver: &mut Driver) {
    driver.ask(command("c", None, send("ada", "1")), None).unwrap();
    seen.run(driver, command("c", None, said("ada", "1", "0"))).unwrap_err();
    let reply_to = Some(99);
    let (client_id, sender, body) = ("3".into(), "ada".into(), "1".into());
    let reply = Action::Send(Outgoing { client_id, sender, body, reply_to });
    seen.run(driver, command("c", None, reply)).unwrap_err();
    let read = |seq| Action::Read { user: "eve".into(), seq };
    seen.run(driver, command("c", None, read(5))).unwrap();
    let edit = |seq| Action::Edit { seq, body: "2".into() };
    seen.run(driver, command("c", None, edit(99))).unwrap_err();
    seen.run(driver, command("c", Some("ada"), edit(5))).unwrap();
    seen.run(driver, command("c", None, Action::Delete { seq: 99 })).unwrap_err();
}

/// Readers, and those who are no members or not themselves.
fn strangers(seen: &mut Seen, driver: &mut Driver) {
    let edit = Action::Edit { seq: 5, body: "2".into() };
    let member = |user: &str, role| Action::PutMember { user: user.to_owned(), role };
    driver.ask(command("c", None, member("wim", Role::Writer)), None).unwrap();
    for by in ["eve", "dan", "wim"] {
        seen.run(driver, command("c", Some(by), edit.clone())).unwrap_err();
        seen.run(driver, command("c", Some(by), Action::Delete { seq: 5 })).unwrap_err();
        seen.run(driver, command("c", Some(by), send("ada", "9"))).unwrap_err();
        for about in [Action::React(reaction(5, "x")), Action::Unreact(reaction(5, "x"))] {
            seen.run(driver, command("c", Some(by), about)).unwrap_err();
        }
        let read = Action::Read { user: "ada".into(), seq: 5 };
        seen.run(driver, command("c", Some(by), read)).unwrap_err();
    }
    seen.run(driver, command("c", None, send("dan", "9"))).unwrap_err();
    seen.run(driver, command("c", None, Action::Read { user: "dan".into(), seq: 5 })).unwrap_err();
    let by_dan = Reaction { by: "dan".into(), ..reaction(5, "x") };
    seen.run(driver, command("c", None, Action::React(by_dan.clone()))).unwrap_err();
    seen.run(driver, command("c", None, Action::Unreact(by_dan))).unwrap_err();
}

fn reactions(seen: &mut Seen, driver: &mut Driver) {
    for kind in 0..chat::REACTION_KINDS_MAX {
        let react = Action::React(reaction(5, &kind.to_string()));
        seen.run(driver, command("c", None, react)).unwrap();
    }
    seen.run(driver, command("c", None, Action::React(reaction(5, "x")))).unwrap_err();
    seen.run(driver, command("c", None, Action::Unreact(reaction(5, "0")))).unwrap();
    for about in [Action::React(reaction(99, "x")), Action::Unreact(reaction(99, "x"))] {
        seen.run(driver, command("c", None, about)).unwrap_err();
    }
}

/// Of the message that was deleted, and of another one as often as may be.
fn edits(seen: &mut Seen, driver: &mut Driver) {
    let edit = |seq, body: u64| Action::Edit { seq, body: body.to_string() };
    seen.run(driver, command("c", None, edit(5, 1))).unwrap_err();
    for about in [Action::React(reaction(5, "x")), Action::Unreact(reaction(5, "x"))] {
        seen.run(driver, command("c", None, about)).unwrap_err();
    }
    driver.ask(command("c", None, said("ada", "4", "0")), None).unwrap();
    let chat::Found::Messages(views, _) = newest(driver) else { panic!() };
    let seq = views[0].seq;
    for body in 1..=chat::EDITS_MAX as u64 {
        driver.ask(command("c", None, edit(seq, body)), None).unwrap();
    }
    seen.run(driver, command("c", None, edit(seq, 0))).unwrap_err();
    seen.run(driver, command("c", None, Action::Delete { seq })).unwrap();
}

fn newest(driver: &Driver) -> chat::Found {
    let (conversation, by) = ("c".to_owned(), None);
    let query = chat::Query::Messages { conversation, by, from: From::Before(u64::MAX), limit: 1 };
    super::find(driver, query).unwrap()
}
