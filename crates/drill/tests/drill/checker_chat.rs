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

fn asks(user: &str, request: Request, called_ms: u64, outcome: Outcome) -> Operation {
    let (user, conversation) = (user.into(), ROOM.into());
    let returned = Some((called_ms + 5, outcome));
    Operation { user, conversation, request, called_ms, returned }
}

fn send(user: &str, client_id: &str, (called_ms, returned_ms): (u64, u64), seq: u64) -> Operation {
    let (client_id, body) = (client_id.to_owned(), format!("says {client_id}"));
    let outcome = Outcome::Sent { seq, duplicate: false };
    let mut send = asks(user, Request::Send { client_id, body }, called_ms, outcome.clone());
    send.returned = Some((returned_ms, outcome));
    send
}

fn done(seq: u64) -> Outcome {
    Outcome::Done { seq: Some(seq) }
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
            asks("bob", Request::Read { message: 3 }, 30, Outcome::Read { seq: 3, unread: 0 }),
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
        answers_within_ms: Some(20),
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

/// Something happens at the end, and the reader and the inboxes are told of it.
fn happens(history: &mut ChatHistory, happened: Happened) {
    let seq = events(history).last().expect("it began").seq + 1;
    let one = event(seq, happened);
    events(history).push(one.clone());
    sees(history, Delivery::Event(one));
    let inboxes = &mut history.end.as_mut().expect("it ended").inboxes;
    inboxes.iter_mut().for_each(|entry| entry.last = seq);
}

fn sees(history: &mut ChatHistory, what: Delivery) {
    history.seen.push(Seen { reader: 0, at_ms: 1_000, what });
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
        history.operations.retain(|operation| operation.user != "bob" || operation.called_ms > 15);
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
    finds("I6", "begins with 1, but this one with 2", |history| {
        events(history).remove(0);
    });
    finds("I6", "event 6 follows 4", |history| events(history).swap(4, 5));
    finds("I6", "event 6 follows 6", |history| {
        let again = events(history)[5].clone();
        events(history).push(again);
    });
    finds("I6", "4 was given to what was asked once 6", |history| {
        // What nobody was told has its place from the end.
        let mut unheard = send("ada", "a4", (80, 90), 7);
        unheard.returned = None;
        history.operations.push(unheard);
        let (one, other) = (message(4, "ada", "a4"), event(7, Happened::Other("?".into())));
        events(history)[3] = one;
        events(history).push(other);
    });
    finds("I6", "7 was given to what was asked once 8", |history| {
        let edit = |body: &str| Request::Edit { message: 6, body: body.into() };
        history.operations.push(asks("ada", edit("x"), 80, done(8)));
        history.operations.push(asks("ada", edit("y"), 90, done(7)));
        happens(history, Happened::Edited { message: 6, body: "y".into() });
        happens(history, Happened::Edited { message: 6, body: "x".into() });
    });
    finds("I6", "time does not go back", |history| events(history)[4].at_ms = 1);
    finds("I6", "3 was given to what was asked once 6", |history| {
        history.operations.push(send("bob", "b1", (100, 110), 3));
        history.operations.retain(|one| one.user != "bob" || one.called_ms != 15);
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
}

#[test]
fn whoever_is_removed_hears_nothing_more() {
    let leaves = |history: &mut ChatHistory| {
        happens(history, Happened::Left { user: "bob".into() });
        history.operations.push(asks("bob", Request::Leave, 80, Outcome::Done { seq: None }));
        history.end.as_mut().unwrap().inboxes.pop();
    };
    let says = |history: &mut ChatHistory| {
        history.operations.push(send("ada", "a4", (90, 95), 8));
        happens(
            history,
            Happened::Message {
                sender: "ada".into(),
                client_id: "a4".into(),
                body: "says a4".into(),
            },
        );
    };
    finds("I7", "a removed member hears nothing more, but 8 came", |history| {
        leaves(history);
        says(history);
    });
    let returns = |history: &mut ChatHistory| {
        leaves(history);
        sees(history, Delivery::Ended);
        sees(history, Delivery::Began { after: 7 });
        says(history);
        history.operations.push(asks("bob", Request::Join, 100, Outcome::Done { seq: None }));
        happens(history, Happened::Joined { user: "bob".into() });
        let back = InboxEntry { last: 9, ..inbox("bob", 0, 8) };
        history.end.as_mut().unwrap().inboxes.push(back);
    };
    let mut history = good();
    returns(&mut history);
    assert_eq!(check_chat(&history).violations, [], "who is back reads on");
    finds("I7", "a removed member hears nothing more, but 8 came", |history| {
        returns(history);
        // They were not back by then.
        history.seen.iter_mut().for_each(|seen| seen.at_ms = seen.at_ms.min(89));
    });
    finds("I7", "who is told that nothing more comes", |history| {
        returns(history);
        history.seen.retain(|seen| seen.what != Delivery::Began { after: 7 });
    });
    finds("I1", "who was said to be no member is, but in the end they are a member", |history| {
        history.operations.push(asks("bob", Request::Leave, 80, Outcome::Done { seq: None }));
    });
    finds("I1", "who was said to be a member is, but in the end they are no member", |history| {
        returns(history);
        events(history).pop();
    });
}

#[test]
fn what_happens_was_asked_for_and_what_was_acknowledged_happened() {
    let edit = || Request::Edit { message: 6, body: "better".into() };
    let edited = |body: &str| Happened::Edited { message: 6, body: body.into() };
    finds("I1", "at 7 of room is Edited", |history| {
        history.operations.push(asks("ada", edit(), 80, done(7)));
        happens(history, edited("worse"));
    });
    finds("I1", "nothing happens more often than somebody asked for it, but 8 is", |history| {
        history.operations.push(asks("ada", edit(), 80, done(7)));
        happens(history, edited("better"));
        happens(history, edited("better"));
    });
    finds("I1", "what was said to be so already is", |history| {
        history.operations.push(asks("ada", edit(), 80, Outcome::Done { seq: None }));
    });
    finds("I1", "what was said to be so already is", |history| {
        let delete = Request::Delete { message: 6 };
        history.operations.push(asks("ada", delete, 80, Outcome::Done { seq: None }));
    });
    for happened in [
        Happened::Deleted { message: 6 },
        Happened::Left { user: "bob".into() },
        Happened::Joined { user: "cyd".into() },
    ] {
        finds("I1", "which was asked for 0 times", |history| happens(history, happened));
    }
    finds("I1", "who has read said so", |history| {
        happens(history, Happened::Read { user: "ada".into(), message: 3 });
    });
    finds("I1", "a marker moves on, as far as there are messages", |history| {
        events(history)[4] = event(5, Happened::Read { user: "bob".into(), message: 3 });
    });
    for answer in [(5, 1), (3, 2)] {
        finds("I1", "was never so", |history| {
            let (seq, unread) = answer;
            history.operations[2].returned = Some((35, Outcome::Read { seq, unread }));
            if seq == 3 {
                events(history).retain(|event| event.seq < 6);
            }
        });
    }
    finds("I1", "who joins was no member", |history| {
        happens(history, Happened::Joined { user: "bob".into() });
    });
    finds("I1", "who leaves was a member", |history| {
        happens(history, Happened::Left { user: "cyd".into() });
    });
    finds("I1", "who says something is a member", |history| {
        if let Happened::Created { members } = &mut events(history)[0].happened {
            members.remove("ada");
        }
    });
    finds("I1", "can be read in the end, but nobody has", |history| {
        history.end.as_mut().unwrap().conversations.clear();
    });
    finds("I1", "can be read in the end, but nobody has", |history| history.end = None);
}

#[test]
fn what_is_taken_back_is_blank_to_those_who_read_later_and_not_otherwise() {
    let blank = |event: &mut Event| {
        if let Happened::Message { body, .. } | Happened::Edited { body, .. } = &mut event.happened
        {
            body.clear();
        }
    };
    let take_back = |history: &mut ChatHistory| {
        let edit = Request::Edit { message: 6, body: "better".into() };
        history.operations.push(asks("ada", edit, 80, done(7)));
        happens(history, Happened::Edited { message: 6, body: "better".into() });
        history.operations.push(asks("ada", Request::Delete { message: 6 }, 90, done(8)));
        happens(history, Happened::Deleted { message: 6 });
        events(history)[5..7].iter_mut().for_each(blank);
        history.end.as_mut().unwrap().inboxes[1].unread = 1;
    };
    let mut history = good();
    take_back(&mut history);
    assert_eq!(check_chat(&history).violations, [], "they read what it said before");
    for seen in &mut history.seen {
        if let Delivery::Event(event @ Event { seq: 6 | 7, .. }) = &mut seen.what {
            blank(event);
        }
    }
    assert_eq!(check_chat(&history).violations, [], "or that it is gone");
    finds("I6", "all read the same", |history| {
        take_back(history);
        if let Delivery::Event(event) = &mut history.seen[6].what {
            blank(event);
        }
    });
    for at in [7, 8] {
        finds("I6", "all read the same", |history| {
            take_back(history);
            let Delivery::Event(event) = &mut history.seen[at].what else { panic!("an event") };
            if let Happened::Message { body, .. } | Happened::Edited { body, .. } =
                &mut event.happened
            {
                *body = "nobody said so".into();
            }
        });
    }
    for at in [5, 6] {
        finds("I1", "what is taken back is kept nowhere", |history| {
            take_back(history);
            let Delivery::Event(said) = history.seen[at + 2].what.clone() else {
                panic!("an event")
            };
            events(history)[at] = said;
        });
    }
    finds("I1", "is so once", |history| {
        take_back(history);
        happens(history, Happened::Deleted { message: 6 });
    });
    finds("I1", "what is edited is there", |history| {
        take_back(history);
        happens(history, Happened::Edited { message: 6, body: String::new() });
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
    finds("I12", "it knows of what is up to 5, and was to be told of 6", |history| {
        with(history, vec![inbox("ada", 1, 0), InboxEntry { last: 5, ..inbox("bob", 2, 3) }]);
    });
    finds("I12", "there is no more than 6", |history| {
        with(history, vec![inbox("ada", 1, 0), InboxEntry { last: 7, ..inbox("bob", 2, 3) }]);
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
fn who_is_put_with_others_begins_where_they_do() {
    for read in [6, 7] {
        let mut history = good();
        for user in ["cyd", "dan"] {
            history.operations.push(asks(user, Request::Join, 80, Outcome::Done { seq: None }));
            happens(&mut history, Happened::Joined { user: user.into() });
        }
        events(&mut history).iter_mut().for_each(|event| event.at_ms = event.at_ms.min(70));
        for seen in &mut history.seen {
            if let Delivery::Event(event) = &mut seen.what {
                event.at_ms = event.at_ms.min(70);
            }
        }
        let entry = |user: &str, read| InboxEntry { last: 8, ..inbox(user, 0, read) };
        history.end.as_mut().unwrap().inboxes.extend([entry("cyd", 6), entry("dan", read)]);
        assert_eq!(check_chat(&history).violations, [], "at once or one by one: {read}");
    }
}

#[test]
fn what_waits_is_bounded_and_who_is_shown_is_there() {
    finds("I14", "5 waited for somebody", |history| {
        history.readers[0].waited = Some(Waited { max: 5, room: 4 });
    });
    finds("I14", "is answered within 20 ms, but somebody waited for 21", |history| {
        history.operations[1].returned = Some((36, Outcome::Unknown));
    });
    finds("presence", "they were shown", |history| {
        history.end.as_mut().unwrap().presence[0].told.insert("ghost".into());
    });
}
