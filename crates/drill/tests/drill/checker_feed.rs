//! The checker of feeds, on a history that is good and on what is wrong with others.

use evenkeel_drill::{
    checker::check_feed,
    history::feed::{
        Bond, Delivery, FeedHistory, Item, Kept, Load, Operation, Outcome, Page, Request, Seen,
        Settled, Subscriber,
    },
};
use std::collections::{BTreeMap, BTreeSet};

const HEART: &str = "heart";

/// Ada's post, as a page shows it.
fn item(post: u64, client_id: &str, hearts: u64) -> Item {
    let reactions = (hearts > 0).then(|| (HEART.to_owned(), hearts)).into_iter().collect();
    Item { author: "ada".into(), post, body: format!("says {client_id}"), reactions }
}

fn asks(
    user: &str,
    request: Request,
    (called_ms, at_ms): (u64, u64),
    outcome: Outcome,
) -> Operation {
    Operation { user: user.into(), request, called_ms, returned: Some((at_ms, outcome)) }
}

fn posts(client_id: &str, times: (u64, u64), post: u64) -> Operation {
    let body = format!("says {client_id}");
    let request = Request::Post { client_id: client_id.into(), body };
    asks("ada", request, times, Outcome::Posted { post, duplicate: false })
}

fn sets(user: &str, bond: Bond, other: &str, on: bool, times: (u64, u64)) -> Operation {
    let request = Request::Set { bond, other: other.into(), on };
    asks(user, request, times, Outcome::Done { changed: true })
}

fn reacts(user: &str, post: u64, times: (u64, u64)) -> Operation {
    let (author, kind) = ("ada".into(), HEART.into());
    let request = Request::React { author, post, kind, on: true };
    asks(user, request, times, Outcome::Done { changed: true })
}

fn deletes(post: u64, times: (u64, u64)) -> Operation {
    asks("ada", Request::Delete { post }, times, Outcome::Done { changed: true })
}

fn reads(
    user: &str,
    of: &str,
    times: (u64, u64),
    items: Vec<Item>,
    complete_to_ms: Option<u64>,
) -> Operation {
    let request = Request::Read { of: of.into(), before: None, limit: 9, in_session: true };
    let page = Page { items, is_last: true, offset: Some(times.0), complete_to_ms };
    asks(user, request, times, Outcome::Page(page))
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn sees(at_ms: u64, sequence: u64, what: Delivery) -> Seen {
    Seen { subscriber: 0, at_ms, sequence, what }
}

fn posted(post: u64, client_id: &str) -> Delivery {
    Delivery::Posted { author: "ada".into(), post, body: format!("says {client_id}") }
}

/// Bob follows Ada, who posts three times, and takes one of it back; he reads and reacts, and is sent what comes.
fn good() -> FeedHistory {
    let mut unheard = posts("a3", (500, 550), 30);
    unheard.returned = Some((550, Outcome::Unknown));
    let mut again = posts("a3", (560, 570), 30);
    again.returned = Some((570, Outcome::Posted { post: 30, duplicate: true }));
    let reactors: BTreeSet<_> = [(HEART.to_owned(), "bob".to_owned())].into();
    let pages = vec![item(30, "a3", 0), item(10, "a1", 1)];
    let ada = Kept {
        posts: pages.clone(),
        reactors: [(10, reactors)].into(),
        followers: names(&["bob"]),
        blocks: names(&["eve"]),
        counted: [2, 1, 0],
        timeline: pages.clone(),
        ..Kept::default()
    };
    let bob = Kept {
        following: names(&["ada"]),
        counted: [0, 0, 1],
        timeline: pages.clone(),
        ..Kept::default()
    };
    let end: BTreeMap<String, Kept> =
        [("ada".to_owned(), ada), ("bob".to_owned(), bob), ("eve".to_owned(), Kept::default())]
            .into();
    let load = |began_ms, ended_ms| Load {
        of: "bob".into(),
        operation: 6,
        began_ms,
        ended_ms: Some(ended_ms),
    };
    FeedHistory {
        operations: vec![
            sets("bob", Bond::Follow, "ada", true, (5, 10)),
            sets("ada", Bond::Block, "eve", true, (11, 14)),
            posts("a1", (100, 110), 10),
            posts("a2", (200, 210), 20),
            reacts("bob", 10, (220, 230)),
            deletes(20, (300, 310)),
            reads("bob", "bob", (400, 410), vec![item(10, "a1", 1)], Some(390)),
            unheard,
            again,
            reads("ada", "ada", (580, 590), pages.clone(), Some(580)),
            reads("bob", "bob", (1_000, 1_010), pages, Some(1_000)),
        ],
        subscribers: vec![Subscriber { user: "bob".into(), is_at_end: true }],
        seen: vec![
            sees(120, 1, posted(10, "a1")),
            sees(215, 2, posted(20, "a2")),
            sees(315, 4, Delivery::Deleted { author: "ada".into(), post: 20 }),
            sees(575, 7, posted(30, "a3")),
        ],
        settled: vec![Settled { follower: "bob".into(), author: "ada".into(), at_ms: 50 }],
        loads: vec![load(400, 405), load(405, 420)],
        end: Some(end),
    }
}

/// What is found in a good history once this was done to it.
#[track_caller]
fn finds(invariant: &str, words: &str, spoil: impl FnOnce(&mut FeedHistory)) {
    let mut history = good();
    spoil(&mut history);
    let found = check_feed(&history).violations;
    let is_it = |text: &str| text.starts_with(invariant) && text.contains(words);
    assert!(found.iter().any(|one| is_it(&one.to_string())), "{invariant} {words}: {found:#?}");
}

fn kept<'h>(history: &'h mut FeedHistory, user: &str) -> &'h mut Kept {
    history.end.as_mut().expect("it has an end").get_mut(user).expect("everybody is in it")
}

fn page(history: &mut FeedHistory, operation: usize) -> &mut Page {
    match &mut history.operations[operation].returned {
        Some((_, Outcome::Page(page))) => page,
        _ => panic!("a page was read"),
    }
}

#[test]
fn a_good_history_is_good() {
    let report = check_feed(&good());
    assert_eq!(report.violations, []);
    assert_eq!((report.posts, report.compared, report.pages, report.loads), (2, 4, 3, 2));
    assert_eq!((report.due, report.counted), (3, 1));
    assert_eq!((report.delivered, report.expected), (4, 3));
}

#[test]
fn a_post_is_there_once_until_it_is_taken_back() {
    finds("I1", "at 30 is nothing", |history| {
        kept(history, "ada").posts.remove(0);
    });
    finds("I1", "that nobody posted", |history| {
        kept(history, "ada").posts.insert(0, item(40, "a9", 0));
    });
    finds("I1", "newest first, each once", |history| kept(history, "ada").posts.swap(0, 1));
    finds("I1", "what was taken back stays so", |history| {
        kept(history, "ada").posts.insert(1, item(20, "a2", 0));
    });
    finds("I1", "was posted after 30", |history| {
        history.operations.push(posts("a4", (600, 610), 25));
    });
    finds("I2", "is there as 30 and as 25", |history| {
        kept(history, "ada").posts.insert(1, item(25, "a3", 0));
    });
    finds("I2", "it was said to be 30 and 31", |history| {
        history.operations.push(posts("a3", (600, 610), 31));
    });
    finds("I2", "10 was said of a1 and a4", |history| {
        history.operations.push(posts("a4", (600, 610), 10));
    });
}

#[test]
fn reactions_are_there_and_counted() {
    finds("I1", "that of bob to 10 is there: false", |history| {
        kept(history, "ada").reactors.clear();
    });
    finds("I1", "who is blocked cannot react", |history| {
        history.operations.push(reacts("eve", 10, (600, 610)));
    });
    finds("I13", "reactions are counted exactly", |history| {
        kept(history, "ada").posts[1].reactions.clear();
    });
    finds("I11", "500 ms older than the answer says are counted", |history| {
        page(history, 10).items[1].reactions.clear();
    });
    let mut history = good();
    page(&mut history, 6).items[0].reactions.clear();
    assert_eq!(check_feed(&history).violations, [], "it is not old enough");
}

#[test]
fn both_sides_of_a_follow_agree_and_what_was_said_is_so() {
    finds("I13", "bob follows ada: true, and ada is followed by bob: false", |history| {
        kept(history, "ada").followers.clear();
    });
    finds("I13", "nobody follows across a block", |history| {
        kept(history, "eve").following.insert("ada".into());
        kept(history, "ada").followers.insert("eve".into());
    });
    finds("I13", "followers and followed are counted exactly", |history| {
        kept(history, "ada").counted = [2, 3, 0];
    });
    finds("I1", "bond Follow with ada: false", |history| {
        kept(history, "bob").following.clear();
        kept(history, "ada").followers.clear();
    });
    finds("I1", "bond Block with eve: false", |history| kept(history, "ada").blocks.clear());
    finds("I1", "bond Mute with ada: true", |history| {
        kept(history, "bob").mutes.insert("ada".into());
    });
    let mut history = good();
    history.operations.push(sets("ada", Bond::Block, "bob", true, (700, 710)));
    history.operations.push(sets("ada", Bond::Block, "bob", false, (720, 730)));
    kept(&mut history, "ada").followers.clear();
    kept(&mut history, "bob").following.clear();
    kept(&mut history, "ada").counted[1] = 0;
    kept(&mut history, "bob").counted[2] = 0;
    kept(&mut history, "bob").timeline.clear();
    assert_eq!(check_feed(&history).violations, [], "a block may have undone it");
}

#[test]
fn once_quiet_a_timeline_is_what_asking_every_author_gives() {
    finds("I13", "should be is nothing", |history| {
        kept(history, "bob").timeline.pop();
    });
    finds("I13", "where nothing should be", |history| {
        kept(history, "bob").timeline.push(item(5, "a0", 0));
    });
    finds("I13", "asking every author", |history| kept(history, "bob").timeline.swap(0, 1));
    finds("I13", "asking every author", |history| {
        kept(history, "bob").timeline[1].reactions.clear();
    });
    let mute = |history: &mut FeedHistory| {
        history.operations.push(sets("bob", Bond::Mute, "ada", true, (2_000, 2_010)));
        kept(history, "bob").mutes.insert("ada".into());
    };
    finds("I13", "where nothing should be", mute);
    let mut history = good();
    mute(&mut history);
    kept(&mut history, "bob").timeline.clear();
    assert_eq!(check_feed(&history).violations, []);
}

#[test]
fn a_page_goes_on_where_it_was() {
    finds("I13", "came after", |history| page(history, 10).items.swap(0, 1));
    finds("I13", "came after", |history| {
        if let Request::Read { before, .. } = &mut history.operations[10].request {
            *before = Some((30, "ada".into()));
        }
    });
    finds("I13", "no page is empty before the end", |history| {
        *page(history, 6) =
            Page { items: Vec::new(), is_last: false, offset: None, complete_to_ms: None };
    });
}

#[test]
fn ones_own_are_there_at_once_and_a_session_never_goes_back() {
    finds("I10", "one's own posts are there at once", |history| {
        page(history, 9).items.remove(0);
    });
    finds("I10", "one's own posts are there at once", |history| {
        // Whoever asks.
        history.operations.push(reads("eve", "ada", (600, 610), vec![item(10, "a1", 1)], Some(1)));
    });
    finds("I10", "taken back is gone at once", |history| {
        page(history, 9).items.insert(1, item(20, "a2", 0));
    });
    finds("I10", "which was there before", |history| {
        let page = page(history, 10);
        (page.complete_to_ms, page.items) = (Some(1), vec![item(30, "a3", 0)]);
    });
    finds("I10", "one of offset 3 came after one of 400", |history| {
        page(history, 10).offset = Some(3);
    });
    finds("I10", "only those are in a timeline who are followed", |history| {
        history.operations[0].request =
            Request::Set { bond: Bond::Follow, other: "eve".into(), on: true };
    });
    finds("I10", "who is muted or blocked is not there", |history| {
        history.operations.insert(6, sets("bob", Bond::Mute, "ada", true, (320, 330)));
    });
}

#[test]
fn a_timeline_has_all_that_is_older_than_it_says() {
    finds("I11", "10 of ada, acknowledged at 110 ms, is not there", |history| {
        page(history, 6).items.clear();
    });
    finds("I11", "what was taken back before 390 ms is not there", |history| {
        page(history, 6).items.insert(0, item(20, "a2", 0));
    });
    finds("I11", "whoever was blocked before 390 ms follows no more", |history| {
        history.operations.insert(6, sets("ada", Bond::Block, "bob", true, (320, 330)));
    });
    for complete_to_ms in [Some(109), None] {
        let mut history = good();
        *page(&mut history, 6) =
            Page { items: Vec::new(), is_last: true, offset: Some(400), complete_to_ms };
        assert_eq!(
            check_feed(&history).violations,
            [],
            "{complete_to_ms:?}: it is as late as that"
        );
    }
    let mut history = good();
    history.operations[0] = sets("bob", Bond::Follow, "ada", true, (380, 395));
    history.seen.clear();
    page(&mut history, 6).items.clear();
    assert_eq!(check_feed(&history).violations, [], "they followed later");
}

#[test]
fn what_comes_comes_once_and_all_of_it() {
    finds("I12", "20 of ada came again", |history| {
        history.seen.insert(2, sees(216, 3, posted(20, "a2")));
    });
    finds("I12", "20 of ada came again", |history| {
        history.seen.push(sees(600, 9, posted(20, "a2")));
    });
    finds("I12", "2 came after 2", |history| history.seen[2].sequence = 2);
    finds("I12", "10 of ada did not", |history| {
        history.seen.remove(0);
    });
    finds("I12", "none came of 20 of ada", |history| {
        history.seen.remove(2);
    });
    finds("I12", "was said to be gone", |history| history.seen[0].what = Delivery::Reset);
    finds("I12", "10 of ada was says something else", |history| {
        history.seen[0].what =
            Delivery::Posted { author: "ada".into(), post: 10, body: "says something else".into() };
    });
    finds("I12", "nothing comes of eve", |history| {
        let body = "hi".to_owned();
        history.seen.push(sees(600, 9, Delivery::Posted { author: "eve".into(), post: 1, body }));
    });
    let mut history = good();
    history.settled[0].at_ms = 105;
    history.seen.remove(0);
    assert_eq!(check_feed(&history).violations, [], "it may have been posted before");
}

#[test]
fn what_many_ask_for_is_read_once() {
    finds("I14", "from 400 ms on for one, and from 404 ms on for another", |history| {
        history.loads[1].began_ms = 404;
    });
    let mut history = good();
    history.loads[0].ended_ms = None;
    assert_eq!(check_feed(&history).violations, [], "it went with its process");
}
