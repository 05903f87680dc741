//! Conversations with more members than can be told each time.

use super::{House, put, send};
use evenkeel_domains::chat::{
    Action, COUNTED_MEMBERS_MAX, FOLD_AT, Found, Query, Reply, Role, STEP_MEMBERS_MAX,
};
use evenkeel_state::Layer;

fn name(n: u64) -> String {
    format!("u{n:05}")
}

/// A house with a conversation of so many members.
fn with_members(count: u64) -> House {
    let mut house = House::new();
    let all: Vec<String> = (0..count).map(name).collect();
    for some in all.chunks(200) {
        let some: Vec<&str> = some.iter().map(String::as_str).collect();
        house.ask("c", put(&some)).unwrap();
        house.carry();
    }
    house.quiet();
    house
}

fn uncounted(house: &House, user: &str) -> Vec<String> {
    match house.query(Query::Uncounted { user: user.to_owned(), limit: 10 }) {
        Ok(Found::Uncounted(names)) => names,
        other => panic!("{other:?}"),
    }
}

#[test]
fn inboxes_are_told_up_to_so_many_members_and_ask_beyond() {
    let mut house = with_members(COUNTED_MEMBERS_MAX);
    house.say("c", &name(0), "1");
    house.quiet();
    assert_eq!(house.inbox(&name(7))[0].told.unread, 1);
    assert_eq!(uncounted(&house, &name(7)), [""; 0]);
    let one_more = name(COUNTED_MEMBERS_MAX);
    house.ask("c", put(&[&one_more])).unwrap();
    house.quiet();
    house.say("c", &name(0), "2");
    house.quiet();
    for user in [name(0), name(7), one_more.clone()] {
        assert_eq!(house.inbox(&user), []);
        assert_eq!(uncounted(&house, &user), ["c"]);
        assert_eq!(house.members("c")[&user].unread, house.unread("c", &user));
    }
    assert_eq!(house.unread("c", &name(7)), 2);
    assert_eq!(house.unread("c", &one_more), 1, "what was said before is not unread");
    house.ask("c", Action::RemoveMember { user: one_more.clone() }).unwrap();
    house.quiet();
    assert_eq!(house.inbox(&name(7))[0].told.unread, 2, "told again");
    assert_eq!(uncounted(&house, &name(7)), [""; 0]);
    assert_eq!((house.inbox(&one_more), uncounted(&house, &one_more)), (vec![], vec![]));
}

#[test]
fn a_message_costs_the_same_however_many_read_it() {
    let mut costs = Vec::new();
    for members in [2, COUNTED_MEMBERS_MAX, 2 * COUNTED_MEMBERS_MAX] {
        let mut house = with_members(members);
        house.say("c", &name(0), "1");
        let before = house.driver.log.len();
        house.driver.holds_back = true;
        let ticket = house.driver.submit(super::command("c", None, send(&name(0), "2")), None);
        house.driver.partition.poll(house.driver.now);
        house.driver.settle();
        house.driver.land();
        house.driver.holds_back = false;
        house.driver.settle();
        assert!(house.driver.answers.remove(&ticket).unwrap().outcome.is_ok());
        let layer = Layer::decode(house.driver.log[before].body()).unwrap();
        costs.push(layer.rows());
    }
    assert!(costs.iter().all(|rows| *rows <= 8), "{costs:?}");
}

#[test]
fn deletions_are_taken_into_the_counts_of_many_in_steps() {
    let members = COUNTED_MEMBERS_MAX + 50;
    let mut house = with_members(members);
    let said: Vec<u64> =
        (0..FOLD_AT + 10).map(|n| house.say("c", &name(0), &n.to_string())).collect();
    let total = said.len() as u64;
    let read = Action::Read { user: name(3), seq: said[499] };
    assert_eq!(house.ask("c", read), Ok(Reply::Read { seq: said[499], unread: total - 500 }));
    for (n, seq) in said.iter().enumerate() {
        house.ask("c", Action::Delete { seq: *seq }).unwrap();
        // In the midst of a round too.
        if n as u64 >= FOLD_AT - 2 {
            house.driver.pass(20);
            let left = total - n as u64 - 1;
            for user in [1, 3, STEP_MEMBERS_MAX as u64 + 1, members - 1] {
                let unread = house.unread("c", &name(user));
                let expected = if user == 3 { left.min(total - 500) } else { left };
                assert_eq!(unread, expected, "of {user} after {n}");
            }
        }
    }
    house.quiet();
    assert_eq!(house.unread("c", &name(1)), 0);
    let last = house.say("c", &name(0), "last");
    let read = |seq| Action::Read { user: name(3), seq };
    assert_eq!(house.ask("c", read(last - 1)), Ok(Reply::Read { seq: last - 1, unread: 1 }));
    assert_eq!(house.ask("c", read(last)), Ok(Reply::Read { seq: last, unread: 0 }));
}

#[test]
fn whoever_sends_in_a_large_conversation_is_a_writer_there() {
    let mut house = with_members(COUNTED_MEMBERS_MAX + 1);
    let demote = Action::PutMember { user: name(5), role: Role::Reader };
    house.ask("c", demote).unwrap();
    house.ask("c", send(&name(5), "1")).unwrap_err();
    house.say("c", &name(6), "1");
}
