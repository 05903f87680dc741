//! What the paths of feeds declare about their code, run and looked at.

use super::{command, follow, post, react, tie};
use crate::{driver::Driver, facts::Seen};
use evenkeel_domains::{
    Command, Domains, Query,
    feed::{self, Action, FOLLOWING_MAX, Listed, Start, TIES_MAX, Tie, What},
};
use evenkeel_engine::Options;
use evenkeel_log::PartitionId;
use evenkeel_state::Order;

/// One of each.
pub(crate) fn commands() -> Vec<Command> {
    let both = |action: fn(bool) -> Action| [action(true), action(false)];
    let on_or_off = [
        both(|on| follow("ada", on)),
        both(|on| tie("ada", Tie::Block, on)),
        both(|on| tie("ada", Tie::Mute, on)),
        both(|on| react(1, "x", "u", on)),
    ];
    let actions = [post("1", "1"), Action::Delete { post: 1 }].into_iter();
    actions
        .chain(on_or_off.into_iter().flatten())
        .map(|action| command("u", None, action))
        .collect()
}

/// One of each.
pub(crate) fn queries() -> Vec<Query> {
    let limit = 1;
    let people = |listed| What::People { listed, after: None, order: Order::Ascending, limit };
    let asked = [
        What::User,
        What::Posts { before: None, limit },
        What::Post { post: 1 },
        What::Reactors { post: 1, after: None, limit },
        people(Listed::Followers),
        people(Listed::Following),
        people(Listed::Tied(Tie::Block)),
        people(Listed::Tied(Tie::Mute)),
        What::Timeline { before: None, limit },
        What::Arrivals { after: Start::Now, limit },
    ];
    let query = |what| Query::Feed(feed::Query { user: "u".into(), by: None, what });
    asked.map(query).to_vec()
}

/// Everything that a command may do or say no with.
pub(crate) fn story(seen: &mut Seen) {
    // One partition, which sends to itself.
    let domains = Domains { partitions: 1, ..Domains::default() };
    let driver = &mut Driver::knowing(domains, PartitionId(0), Options::default());
    nobody_is_there(seen, driver);
    posts(seen, driver);
    people(seen, driver);
    strangers(seen, driver);
    too_many(seen, driver);
}

fn nobody_is_there(seen: &mut Seen, driver: &mut Driver) {
    for action in [Action::Delete { post: 1 }, react(1, "x", "u", true), react(1, "x", "u", false)]
    {
        seen.run(driver, command("u", None, action)).unwrap_err();
    }
    for action in [follow("ada", true), post("1", "1")] {
        seen.run(driver, command("new", None, action)).unwrap();
    }
    seen.run(driver, command("newer", None, post("1", "1"))).unwrap();
}

/// What is sent to this partition itself is done in it.
fn carry(driver: &mut Driver) {
    while !driver.sent.is_empty() || !driver.acknowledged.is_empty() {
        for (_, delivery) in std::mem::take(&mut driver.sent) {
            driver.partition.deliver(delivery);
        }
        for (to, through) in std::mem::take(&mut driver.acknowledged) {
            driver.partition.acknowledged(to, through);
        }
        driver.settle();
    }
    // What was done is deleted by a record of its own, not by that of the next command.
    driver.pass(5_000);
}

fn posted(answer: crate::driver::Answered) -> u64 {
    match answer {
        Ok(evenkeel_domains::Reply::Feed(feed::Reply::Posted(posted))) => posted.post,
        other => panic!("{other:?}"),
    }
}

fn posts(seen: &mut Seen, driver: &mut Driver) {
    for author in ["u", "v"] {
        driver.ask(command("fan", None, follow(author, true)), None).unwrap();
    }
    carry(driver);
    driver.ask(command("v", None, post("1", "1")), None).unwrap();
    carry(driver);
    seen.run(driver, command("fan", None, follow("v", false))).unwrap();
    carry(driver);
    let number = posted(seen.run(driver, command("u", None, post("2", "2"))));
    seen.run(driver, command("u", None, post("2", "3"))).unwrap_err();
    carry(driver);
    for kind in 0..feed::REACTION_KINDS_MAX {
        let kind = kind.to_string();
        seen.run(driver, command("u", None, react(number, &kind, "fan", true))).unwrap();
    }
    let more = react(number, "x", "fan", true);
    seen.run(driver, command("u", None, more)).unwrap_err();
    carry(driver);
    seen.run(driver, command("u", None, react(number, "0", "fan", false))).unwrap();
    carry(driver);
    driver.ask(command("u", None, tie("foe", Tie::Block, true)), None).unwrap();
    let of_foe = react(number, "1", "foe", true);
    seen.run(driver, command("u", None, of_foe)).unwrap_err();
    let bare = posted(driver.ask(command("u", None, post("4", "4")), None));
    carry(driver);
    seen.run(driver, command("u", None, Action::Delete { post: bare })).unwrap();
    carry(driver);
}

fn people(seen: &mut Seen, driver: &mut Driver) {
    for on in [true, false] {
        let of_oneself = [follow("u", on), tie("u", Tie::Block, on), tie("u", Tie::Mute, on)];
        for action in of_oneself {
            seen.run(driver, command("u", None, action)).unwrap_err();
        }
    }
    seen.run(driver, command("u", None, follow("foe", true))).unwrap_err();
    seen.run(driver, command("u", None, follow("ada", true))).unwrap();
    // Others follow them too.
    seen.run(driver, command("new", None, follow("ada", false))).unwrap();
    for kind in [Tie::Mute, Tie::Block] {
        for on in [true, false] {
            seen.run(driver, command("u", None, tie("bob", kind, on))).unwrap();
        }
    }
    carry(driver);
}

fn strangers(seen: &mut Seen, driver: &mut Driver) {
    for about in commands() {
        let Command::Feed(feed::Command { user, action, .. }) = about else { panic!() };
        seen.run(driver, command(&user, Some("eve"), action)).unwrap_err();
    }
}

fn too_many(seen: &mut Seen, driver: &mut Driver) {
    for nth in 0..FOLLOWING_MAX {
        driver.submit(command("many", None, follow(&nth.to_string(), true)), None);
        if nth % 1_000 == 0 {
            driver.settle();
            carry(driver);
        }
    }
    driver.settle();
    carry(driver);
    seen.run(driver, command("many", None, follow("one", true))).unwrap_err();
    for nth in 0..TIES_MAX {
        driver.submit(command("foes", None, tie(&nth.to_string(), Tie::Mute, true)), None);
        if nth % 1_000 == 0 {
            driver.settle();
        }
    }
    driver.settle();
    for kind in [Tie::Mute, Tie::Block] {
        seen.run(driver, command("foes", None, tie("one", kind, true))).unwrap_err();
    }
}
