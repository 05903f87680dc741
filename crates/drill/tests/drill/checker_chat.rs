//! The checker of chat, on a history that is good and on what is wrong with others.

use evenkeel_drill::{
    checker::check_chat,
    history::chat::{
        ChatHistory, Delivery, End, Event, Happened, InboxEntry, Operation, Outcome, Presence,
        Reader, Request, Seen, Waited,
    },
};
use std::collections::BTreeSet;

const ROOM: &str = "room";

fn event(seq: u64, happened: Happened) -> Event {
    Event { seq, at_ms: seq * 10, happened }
}

fn message(seq: u64, sender: &str, client_id: &str) -> Event {
    let (sender, client_id) = (sender.to_owned(), client_id.to_owned());
    event(seq, Happened::Message { body: format!("says {client_id}"), sender, client_id })
}

fn send(user: &str, client_id: &str, (called_ms, returned_ms): (u64, u64), seq: u64) -> Operation {
    let (client_id, body) = (client_id.to_owned(), format!("says {client_id}"));
    Operation {
        user: user.into(),
        conversation: ROOM.into(),
        request: Request::Send { client_id, body },
        called_ms,
        returned: Some((returned_ms, Outcome::Sent { seq, duplicate: false })),
    }
}

fn users(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn inbox(user: &str, unread: u64, read: u64) -> InboxEntry {
    InboxEntry { user: user.into(), conversation: ROOM.into(), unread, read, last: 6 }
}

/// Ada and Bob talk, Ada takes something back, Bob reads; a reader resumes in between.
fn good() -> ChatHistory {
    let events = vec![
        event(1, Happened::Created { members: users(&["ada", "bob"]) }),
        message(2, "ada", "a1"),
        message(3, "bob", "b1"),
        event(4, Happened::Read { user: "bob".into(), message: 3 }),
        message(5, "ada", "a2"),
        message(6, "ada", "a3"),
    ];
    let began = |after| Delivery::Began { after };
    let seen: Vec<Delivery> = [began(0)]
        .into_iter()
        .chain(events[..3].iter().cloned().map(Delivery::Event))
        .chain([began(3)])
        .chain(events[3..].iter().cloned().map(Delivery::Event))
        .collect();
    let mut unheard = send("ada", "a2", (50, 59), 5);
    unheard.returned = Some((59, Outcome::Unknown));
    let mut again = send("ada", "a2", (60, 65), 5);
    again.returned = Some((65, Outcome::Sent { seq: 5, duplicate: true }));
    ChatHistory {
        operations: vec![
            send("ada", "a1", (10, 20), 2),
            send("bob", "b1", (15, 25), 3),
            unheard,
            again,
            send("ada", "a3", (70, 75), 6),
        ],
        readers: vec![Reader {
            name: "somebody".into(),
            conversation: ROOM.into(),
            user: Some("bob".into()),
            waited: Some(Waited { max: 4, room: 4 }),
            is_at_end: true,
        }],
        seen: (0..).zip(seen).map(|(at_ms, what)| Seen { reader: 0, at_ms, what }).collect(),
        end: Some(End {
            conversations: [(ROOM.to_owned(), events)].into(),
            inboxes: vec![inbox("ada", 1, 0), inbox("bob", 2, 3)],
            presence: vec![Presence { reader: 0, told: users(&["bob"]), there: users(&["bob"]) }],
        }),
    }
}

/// What is found in a good history once this was done to it.
#[track_caller]
fn finds(invariant: &str, words: &str, spoil: impl FnOnce(&mut ChatHistory)) {
    let mut history = good();
    spoil(&mut history);
    let found = check_chat(&history).violations;
    let is_it = |text: &str| text.starts_with(invariant) && text.contains(words);
    assert!(found.iter().any(|one| is_it(&one.to_string())), "{invariant} {words}: {found:#?}");
}

fn events(history: &mut ChatHistory) -> &mut Vec<Event> {
    let end = history.end.as_mut().expect("it ended");
    end.conversations.get_mut(ROOM).expect("it is there")
}

#[test]
fn a_good_history_is_good() {
    let report = check_chat(&good());
    assert_eq!(report.violations, []);
    assert_eq!((report.messages, report.delivered, report.resumed, report.inboxes), (4, 6, 1, 2));
}

#[test]
fn what_was_acknowledged_is_there_once() {
    finds("I1", "at 6 of room is nothing", |history| {
        events(history).pop();
    });
    finds("I1", "nothing is said that nobody said", |history| {
        history.operations.retain(|operation| operation.user != "bob");
    });
    finds("I1", "says what was sent", |history| {
        events(history)[5] = event(
            6,
            Happened::Message {
                sender: "ada".into(),
                client_id: "a3".into(),
                body: "something else".into(),
            },
        );
    });
    finds("I2", "is there as 5 and as 6", |history| events(history)[5] = message(6, "ada", "a2"));
    finds("I2", "it was said to be 5 and 6", |history| {
        history.operations.push(send("ada", "a2", (80, 90), 6));
    });
}

#[test]
fn there_is_one_dense_order() {
    finds("I6", "event 5 follows 3", |history| {
        events(history).remove(3);
    });
    finds("I6", "time does not go back", |history| events(history)[4].at_ms = 1);
    finds("I6", "was given to one that was sent once 6", |history| {
        history.operations.push(send("bob", "b1", (100, 110), 3));
        history.operations.retain(|one| one.user != "bob" || one.called_ms == 100);
    });
    finds("I6", "all read the same", |history| {
        history.seen[6].what = Delivery::Event(message(5, "bob", "b9"));
    });
}

#[test]
fn whoever_resumes_misses_nothing_and_hears_nothing_twice() {
    finds("I7", "5 came right after 3", |history| {
        history.seen.remove(5);
    });
    finds("I7", "3 came after 3", |history| {
        let again = history.seen[3].clone();
        history.seen.insert(5, again);
    });
    finds("I7", "none came after 5 of 6", |history| {
        history.seen.pop();
    });
    finds("I7", "was said to be gone", |history| {
        history.seen[4].what = Delivery::Reset { seq: 3 };
    });
    finds("I7", "a removed member hears nothing more", |history| {
        let left = event(6, Happened::Left { user: "bob".into() });
        events(history)[5] = left.clone();
        events(history).push(message(7, "ada", "a3"));
        history.seen[7].what = Delivery::Event(left);
        let after = Delivery::Event(message(7, "ada", "a3"));
        history.seen.push(Seen { reader: 0, at_ms: 9, what: after });
    });
}

#[test]
fn what_is_taken_back_is_blank_to_those_who_read_later_and_not_otherwise() {
    let take_back = |history: &mut ChatHistory| {
        let deleted = event(7, Happened::Deleted { message: 6 });
        if let Happened::Message { body, .. } = &mut events(history)[5].happened {
            body.clear();
        }
        events(history).push(deleted.clone());
        history.seen.push(Seen { reader: 0, at_ms: 9, what: Delivery::Event(deleted) });
        history.end.as_mut().unwrap().inboxes[1].unread = 1;
    };
    let mut history = good();
    take_back(&mut history);
    assert_eq!(check_chat(&history).violations, [], "they read what it said before");
    finds("I6", "all read the same", |history| {
        take_back(history);
        if let Delivery::Event(Event { happened: Happened::Message { body, .. }, .. }) =
            &mut history.seen[6].what
        {
            body.clear();
        }
    });
}

#[test]
fn inboxes_are_exact() {
    let inboxes = |history: &mut ChatHistory| history.end.take().unwrap().inboxes;
    let with = |history: &mut ChatHistory, entries: Vec<InboxEntry>| {
        let mut end = good().end.unwrap();
        end.inboxes = entries;
        let _ = inboxes(history);
        history.end = Some(end);
    };
    finds("I12", "3 are unread after 3", |history| {
        with(history, vec![inbox("ada", 1, 0), inbox("bob", 3, 3)]);
    });
    finds("I12", "it is not there", |history| with(history, vec![inbox("ada", 1, 0)]));
    finds("I12", "it is there twice", |history| {
        with(history, vec![inbox("ada", 1, 0), inbox("bob", 2, 3), inbox("bob", 2, 3)]);
    });
    finds("I12", "they are no member", |history| {
        with(history, vec![inbox("ada", 1, 0), inbox("bob", 2, 3), inbox("cyd", 0, 0)]);
    });
}

#[test]
fn what_waits_is_bounded_and_who_is_shown_is_there() {
    finds("I14", "5 waited for somebody", |history| {
        history.readers[0].waited = Some(Waited { max: 5, room: 4 });
    });
    finds("presence", "they were shown", |history| {
        history.end.as_mut().unwrap().presence[0].told.insert("ghost".into());
    });
}
