//! What becomes of conversations over time, and at their edges.

use super::{House, ROUND_MS, body, put, said, send, seq};
use evenkeel_domains::chat::{
    self, Action, EDITS_MAX, From, MEMBERS_A_CALL_MAX, MESSAGE_BYTES_MAX, Refusal, Reply, Role,
};
use evenkeel_engine::Time;

const HOUR_MS: u64 = 3_600_000;

fn for_an_hour(house: &mut House, members: &[&str]) {
    let members = members.iter().map(|user| ((*user).to_owned(), Role::Writer)).collect();
    house.ask("c", Action::Put { members, retention_ms: Some(HOUR_MS) }).unwrap();
}

#[test]
fn history_goes_whole_and_no_message_before_its_time() {
    let mut house = House::new();
    for_an_hour(&mut house, &["ada"]);
    let mut sent: Vec<(u64, Time)> = Vec::new();
    for minute in 0..300_u64 {
        house.driver.pass(60_000);
        let seq = house.say("c", "ada", &minute.to_string());
        sent.push((seq, house.driver.now));
        let kept = house.all_events("c", 100);
        let first = seq_of_first(&kept);
        for (seq, at) in &sent {
            let age = house.driver.now.0 - at.0;
            assert!(age > HOUR_MS || *seq >= first, "{seq} is {age} ms old");
            assert!(age < HOUR_MS + 2 * HOUR_MS / 12 || *seq < first, "{seq} is {age} ms old");
        }
        assert_eq!(
            house.all_messages("c", From::After(0)).len(),
            kept.iter().filter_map(body).count()
        );
    }
    house.driver.pass(2 * HOUR_MS);
    assert_eq!(house.all_events("c", 100), [], "all of it goes in the end");
    assert_eq!(house.say("c", "ada", "again"), sent.last().unwrap().0 + 1, "the sequence goes on");
}

fn seq_of_first(events: &[chat::EventView]) -> u64 {
    events.first().map_or(u64::MAX, seq)
}

#[test]
fn who_comes_back_too_late_is_told_so() {
    let mut house = House::new();
    for_an_hour(&mut house, &["ada"]);
    house.say("c", "ada", "1");
    house.driver.pass(2 * HOUR_MS);
    let last = house.say("c", "ada", "2");
    let page = house.events("c", 0, 10);
    assert!(page.reset && page.events.is_empty(), "{page:?}");
    let page = house.events("c", page.next.sequence, 10);
    assert!(!page.reset && page.is_last, "what it is told is where to go on");
    assert!(house.events("c", last + 1, 10).reset, "nobody was told of what is not there yet");
    assert!(!house.events("c", last - 1, 10).reset, "the last before what is kept is enough");
}

#[test]
fn a_client_id_is_known_as_long_as_its_message() {
    let mut house = House::new();
    for_an_hour(&mut house, &["ada", "bob"]);
    for hour in 0..20_u64 {
        let id = format!("m{hour}");
        let seq = house.say("c", "ada", &id);
        for _ in 0..5 {
            house.driver.pass(HOUR_MS / 6);
            match house.ask("c", send("ada", &id)) {
                Ok(Reply::Sent(sent)) => assert!(sent.duplicate && sent.seq == seq, "{sent:?}"),
                other => panic!("{other:?}"),
            }
        }
        let taken = house.ask("c", said("ada", &id, "0"));
        assert_eq!(taken, Err(Refusal::ClientIdTaken { seq }));
        // An id is its sender's own.
        assert_ne!(house.say("c", "bob", &id), seq);
    }
}

#[test]
fn a_busy_conversation_tells_no_more_often_than_a_quiet_one() {
    let mut house = House::new();
    house.ask("c", put(&["ada", "bob"])).unwrap();
    house.quiet();
    let items = |house: &mut House, messages: u64| {
        let mut items = 0;
        house.driver.pass(ROUND_MS);
        for n in 0..messages {
            house.say("c", "ada", &format!("{}-{n}", house.driver.now.0));
            items += house.driver.sent.iter().map(|(_, sent)| sent.parcels.len()).sum::<usize>();
            house.carry();
        }
        house.driver.pass(ROUND_MS);
        items += house.driver.sent.iter().map(|(_, sent)| sent.parcels.len()).sum::<usize>();
        house.carry();
        items
    };
    let few = items(&mut house, 2);
    assert_eq!(items(&mut house, 500), few);
    assert_eq!(house.inbox("bob")[0].told.unread, 502);
}

#[test]
fn how_late_inboxes_are_is_never_said_too_small() {
    let mut house = House::new();
    house.ask("c", put(&["ada", "bob"])).unwrap();
    house.quiet();
    // When what bob's inbox does not know yet happened first.
    let mut untold: Option<Time> = None;
    for n in 0..400_u64 {
        house.driver.pass(7 + n % 11);
        house.carry();
        if house.inbox("bob")[0].told.unread == house.unread("c", "bob") {
            untold = None;
        }
        if n % 3 == 0 {
            house.say("c", "ada", &n.to_string());
            // What was told at once is on its way: that is another number's to say.
            house.carry();
            if house.inbox("bob")[0].told.unread < house.unread("c", "bob") {
                untold = untold.or(Some(house.driver.now));
            }
        }
        let behind = chat::behind_since(&house.driver.partition.view()).unwrap();
        assert!(untold.is_none_or(|at| behind.is_some_and(|said| said <= at)), "{behind:?}");
    }
}

#[test]
fn a_marker_moves_forwards_by_so_many_messages_and_to_the_newest_by_any_number() {
    let mut house = House::new();
    house.ask("c", put(&["ada", "bob"])).unwrap();
    let read = |seq| Action::Read { user: "bob".into(), seq };
    let step = chat::READ_STEP_MAX as u64;
    let total = 2 * step + 10;
    for n in 0..total {
        house.say("c", "ada", &n.to_string());
    }
    let first = 2;
    assert_eq!(house.ask("c", read(first + step + 4)), Err(Refusal::ReadTooFar));
    let near = house.ask("c", read(first + step - 1));
    assert_eq!(near, Ok(Reply::Read { seq: first + step - 1, unread: total - step }));
    let back = house.ask("c", read(first));
    assert_eq!(back, Ok(Reply::Read { seq: first + step - 1, unread: total - step }));
    let far = house.ask("c", read(u64::MAX));
    let Ok(Reply::Read { unread: 0, .. }) = far else { panic!("{far:?}") };
}

#[test]
fn the_largest_commands_are_within_their_bounds() {
    let mut house = House::new();
    let long = |n: usize| format!("{n:0128}");
    let members = (0..MEMBERS_A_CALL_MAX).map(|n| (long(n), Role::Writer)).collect();
    house.ask("c", Action::Put { members, retention_ms: None }).unwrap();
    let others = (0..MEMBERS_A_CALL_MAX).map(|n| (long(1_000 + n), Role::Writer)).collect();
    house.ask("c", Action::Put { members: others, retention_ms: None }).unwrap();
    let body = |letter: &str| format!("\"{}\"", letter.repeat(MESSAGE_BYTES_MAX - 2));
    let sent = house.ask("c", said(&long(0), "1", &body("x"))).unwrap();
    let Reply::Sent(sent) = sent else { panic!() };
    let letters = ["y", "z"];
    for n in 0..EDITS_MAX {
        let edit = Action::Edit { seq: sent.seq, body: body(letters[n % 2]) };
        house.ask("c", edit).unwrap();
    }
    let edit = Action::Edit { seq: sent.seq, body: "0".into() };
    assert_eq!(house.ask("c", edit), Err(Refusal::TooManyEdits));
    house.ask("c", Action::Delete { seq: sent.seq }).unwrap();
    house.quiet();
    let events = house.all_events("c", 50);
    let said_still = events.iter().filter(|view| format!("{view:?}").contains("xxx"));
    assert_eq!(said_still.count(), 0, "what was taken back is kept nowhere");
    let edits = events.iter().filter(|view| format!("{view:?}").contains("yyy"));
    assert_eq!(edits.count(), 0, "nor in its edits");
}

#[test]
fn who_is_no_member_reads_nothing() {
    let mut house = House::new();
    house.ask("c", put(&["ada"])).unwrap();
    let (conversation, by) = ("c".to_owned(), Some("eve".to_owned()));
    let after = chat::Start::Oldest;
    let query = chat::Query::Events { conversation, by, after, limit: 9 };
    let refused = Err(Refusal::NotAMember { user: "eve".into() });
    assert_eq!(house.query(query.clone()), refused);
    house.ask("c", Action::PutMember { user: "eve".into(), role: Role::Reader }).unwrap();
    house.query(query.clone()).unwrap();
    house.ask_by("c", Some("eve"), Action::RemoveMember { user: "eve".into() }).unwrap();
    assert_eq!(house.query(query), refused);
}
