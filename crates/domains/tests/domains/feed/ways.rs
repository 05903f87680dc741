//! Ways that feeds go, one by one.

use super::{Town, command, follow, post, react, tie};
use evenkeel_domains::feed::{self, Action, Listed, POSTS_MAX, Refusal, Start, Tie, What};
use evenkeel_engine::{Failure, Options, Position};
use evenkeel_log::Incarnation;
use evenkeel_state::{Effect, Layer, Order};
use std::collections::BTreeSet;

#[test]
fn a_post_comes_to_each_partition_once_however_many_follow() {
    let mut town = Town::of(4);
    let followers: Vec<String> = (0..200).map(|n| format!("f{n}")).collect();
    for follower in &followers {
        town.follow(follower, "star");
    }
    town.quiet();
    assert_eq!(town.user("star").followers, 200);
    let place = town.place("star");
    let before = town.drivers[place].log.len();
    town.post("star", "1", "\"hello\"");
    let sent: usize =
        town.drivers[place].sent.iter().map(|(_, delivery)| delivery.parcels.len()).sum();
    assert_eq!(sent, 4, "one for each partition");
    assert_eq!(town.drivers[place].log.len(), before + 1, "one record");
    town.quiet();
    for follower in &followers {
        assert_eq!(town.said(follower), ["\"hello\""], "{follower}");
    }
}

#[test]
fn earlier_posts_come_with_a_follow_and_go_with_the_last_one() {
    let mut town = Town::of(3);
    for nth in 0..300 {
        town.post("ada", &nth.to_string(), &format!("\"{nth}{}\"", "-".repeat(900)));
    }
    town.follow("bob", "ada");
    town.quiet();
    let posts = town.posts("ada");
    let read: Vec<_> = town.timeline("bob").into_iter().map(|item| item.post).collect();
    assert!(posts.len() == 300 && read == posts, "all that there are");
    town.ask("bob", follow("ada", false)).unwrap();
    assert!(town.said("bob").is_empty(), "at once");
    town.quiet();
    town.post("ada", "x", "1");
    town.quiet();
    town.follow("bob", "ada");
    town.quiet();
    assert_eq!(town.timeline("bob").len(), 301, "with what came meanwhile");
}

/// A delete that nobody was told of, since nobody followed then, while copies were still on their way.
#[test]
fn what_was_deleted_between_two_follows_is_not_there() {
    let mut town = Town::of(3);
    assert_ne!(town.place("ada"), town.place("bob"), "word of one takes a while to the other");
    let first = town.post("ada", "1", "1");
    town.post("ada", "2", "2");
    town.follow("bob", "ada");
    town.carry(1);
    // Copies are sent, and not there yet.
    town.ask("bob", follow("ada", false)).unwrap();
    town.ask("bob", follow("ada", true)).unwrap();
    town.ask("ada", Action::Delete { post: first }).unwrap();
    town.quiet();
    assert_eq!(town.said("bob"), ["2"]);
}

#[test]
fn an_author_keeps_so_many_posts_and_so_do_copies() {
    let mut town = Town::of(2);
    town.follow("bob", "ada");
    town.quiet();
    let mut posts = Vec::new();
    for nth in 0..POSTS_MAX + 40 {
        posts.push(town.post("ada", &nth.to_string(), &nth.to_string()));
        if nth % 100 == 0 {
            town.quiet();
        }
    }
    town.quiet();
    let expected: Vec<_> = posts.iter().rev().take(POSTS_MAX as usize).copied().collect();
    let numbers = |posts: Vec<feed::PostView>| posts.into_iter().map(|post| post.post);
    assert!(numbers(town.posts("ada")).eq(expected.iter().copied()));
    let read = town.timeline_from("bob", None, 100).into_iter().map(|item| item.post).collect();
    assert!(numbers(read).eq(expected.iter().copied()));
    assert_eq!(town.user("ada").posts, POSTS_MAX);
    assert_eq!(town.ask("ada", Action::Delete { post: posts[0] }), Err(Refusal::NoPost));
    // What is gone is forgotten: its client id is free again.
    town.post("ada", "0", "9");
}

#[test]
fn a_cursor_goes_on_where_it_was_whatever_happens() {
    let mut town = Town::of(3);
    for author in ["ada", "bob", "eve"] {
        town.follow("kim", author);
    }
    let mut posts = Vec::new();
    for nth in 0..12 {
        let author = ["ada", "bob", "eve"][nth % 3];
        posts.push((town.post(author, &nth.to_string(), &nth.to_string()), author));
        town.pass(if nth % 4 == 0 { 1 } else { 0 });
    }
    town.quiet();
    let what = What::Timeline { before: None, limit: 4 };
    let Ok(feed::Found::Timeline(page)) = town.find("kim", None, what) else { panic!() };
    let (first, next) = (page.items, page.next);
    assert_eq!(first.len(), 4);
    let last = next.clone().unwrap();
    // The post that the cursor names, one after it, an author, and what is new.
    town.ask(&last.1, Action::Delete { post: last.0 }).unwrap();
    let rest: Vec<_> = town.timeline_from("kim", next.clone(), 1);
    let (gone, whose) = (rest[0].post.post, rest[0].author.clone());
    town.ask(&whose, Action::Delete { post: gone }).unwrap();
    town.ask("kim", follow("eve", false)).unwrap();
    town.post("ada", "new", "100");
    town.quiet();
    let expected: Vec<_> = rest[1..].iter().filter(|item| item.author != "eve").cloned().collect();
    assert!(!expected.is_empty());
    for limit in 1..5 {
        let seen = town.timeline_from("kim", next.clone(), limit);
        let seen: Vec<_> = seen.into_iter().filter(|item| item.author != "eve").collect();
        assert_eq!(seen, expected, "{limit} at once");
    }
}

/// Two authors who post in the same microsecond, as far as anybody can tell.
#[test]
fn posts_of_one_number_are_each_read_once() {
    let mut town = Town::of(2);
    for author in ["ada", "bob", "eve"] {
        town.follow("kim", author);
    }
    town.quiet();
    let numbers = ["ada", "bob", "eve"].map(|author| town.post(author, "1", "1"));
    assert!(numbers.iter().all(|number| *number == numbers[0]), "{numbers:?}");
    town.quiet();
    for limit in 1..4 {
        let seen = town.timeline_from("kim", None, limit);
        let authors: Vec<_> = seen.iter().map(|item| item.author.as_str()).collect();
        assert_eq!(authors, ["eve", "bob", "ada"], "{limit} at once");
    }
}

#[test]
fn a_block_holds_where_it_was_said_and_undoes_what_was_on_its_way() {
    let mut town = Town::of(3);
    assert_ne!(town.place("ada"), town.place("bob"), "word of one takes a while to the other");
    town.post("ada", "1", "1");
    town.ask("ada", tie("bob", Tie::Block, true)).unwrap();
    // Where bob is, nobody knows yet.
    town.follow("bob", "ada");
    town.quiet();
    assert!(town.people("ada", Listed::Followers, Order::Ascending).is_empty());
    assert!(town.people("bob", Listed::Following, Order::Ascending).is_empty());
    assert!(town.said("bob").is_empty());
    assert_eq!(town.ask("bob", follow("ada", true)), Err(Refusal::Blocked));
    assert_eq!(town.ask("ada", follow("bob", true)), Err(Refusal::Blocked));
    let page = What::Posts { before: None, limit: 9 };
    assert_eq!(town.find("ada", Some("bob"), page.clone()), Err(Refusal::Blocked));
    let post = town.posts("ada")[0].post;
    assert_eq!(town.ask("ada", react(post, "x", "bob", true)), Err(Refusal::Blocked));
    assert_eq!(town.people("ada", Listed::Tied(Tie::Block), Order::Ascending), ["bob"]);
    assert!(town.people("bob", Listed::Tied(Tie::Block), Order::Ascending).is_empty());
    town.ask("ada", tie("bob", Tie::Block, false)).unwrap();
    town.quiet();
    town.follow("bob", "ada");
    town.quiet();
    assert_eq!(town.said("bob"), ["1"]);
    assert!(town.find("ada", Some("bob"), page).is_ok());
}

#[test]
fn nobody_acts_for_somebody_else_or_reads_their_timeline() {
    let mut town = Town::of(2);
    let number = town.post("ada", "1", "1");
    for action in [post("2", "2"), follow("eve", true), tie("eve", Tie::Mute, true)] {
        assert_eq!(town.ask_by("ada", Some("bob"), action.clone()), Err(Refusal::NotYours));
        town.ask_by("ada", Some("ada"), action).unwrap();
    }
    let reaction = |by| react(number, "x", by, true);
    assert_eq!(town.ask_by("ada", Some("bob"), reaction("eve")), Err(Refusal::NotYours));
    town.ask_by("ada", Some("bob"), reaction("bob")).unwrap();
    let timeline = What::Timeline { before: None, limit: 1 };
    assert_eq!(town.find("ada", Some("bob"), timeline.clone()), Err(Refusal::NotYours));
    assert!(town.find("ada", Some("ada"), timeline).is_ok());
    assert!(town.find("ada", Some("bob"), What::Posts { before: None, limit: 1 }).is_ok());
}

#[test]
fn counts_come_in_batches_and_are_exact_once_it_is_quiet() {
    let mut town = Town::of(3);
    town.follow("bob", "ada");
    let number = town.post("ada", "1", "1");
    town.quiet();
    let place = town.place("ada");
    let behind = |town: &Town| feed::behind_since(&town.drivers[place].partition.view()).unwrap();
    assert_eq!(behind(&town), None);
    let now = town.drivers[place].now;
    for nth in 0..300 {
        town.ask("ada", react(number, "x", &format!("u{nth}"), true)).unwrap();
    }
    let since = behind(&town).unwrap();
    assert!(
        now < since && since <= now.plus_ms(feed::COUNTS_EVERY_MS),
        "{since:?}, if they are not told before"
    );
    town.drivers[place].pass(feed::COUNTS_EVERY_MS);
    assert_eq!(behind(&town), None);
    let sent: usize =
        town.drivers[place].sent.iter().map(|(_, delivery)| delivery.parcels.len()).sum();
    assert_eq!(sent, 1, "one for the one partition with a follower");
    town.quiet();
    assert_eq!(town.timeline("bob")[0].post.reactions, [("x".to_owned(), 300)]);
    assert_eq!(town.posts("ada")[0].reactions, [("x".to_owned(), 300)]);
}

/// What comes is told once, in order, from any position that is kept; one's own and that of the followed.
#[test]
fn what_comes_is_told_once_and_in_order() {
    let mut town = Town::of(2);
    town.follow("bob", "ada");
    town.follow("bob", "eve");
    town.ask("bob", tie("eve", Tie::Mute, true)).unwrap();
    town.quiet();
    let begin = Start::After(town.arrivals("bob", Start::Now, 1).next);
    let first = town.post("ada", "1", "1");
    town.post("bob", "2", "2");
    town.post("eve", "3", "3");
    town.quiet();
    town.ask("ada", Action::Delete { post: first }).unwrap();
    town.post("ada", "4", "4");
    town.quiet();
    let mut seen = Vec::new();
    let mut start = begin;
    loop {
        let page = town.arrivals("bob", start, 1);
        assert!(!page.reset);
        seen.extend(page.events.into_iter().map(|event| (event.author, event.body)));
        start = Start::After(page.next);
        if page.is_last {
            break;
        }
    }
    seen.sort();
    let own = |author: &str, body: Option<&str>| (author.to_owned(), body.map(str::to_owned));
    // The first was gone again before it was read.
    assert_eq!(seen, [own("ada", None), own("ada", Some("4")), own("bob", Some("2"))]);
    let late = Position { incarnation: Incarnation(1), sequence: 99 };
    assert!(town.arrivals("bob", Start::After(late), 9).reset);
}

#[test]
fn who_was_never_heard_of_is_not_made_up_by_ending_what_never_was() {
    let mut town = Town::of(1);
    let records = town.drivers[0].log.len();
    for action in
        [follow("ada", false), tie("ada", Tie::Block, false), tie("ada", Tie::Mute, false)]
    {
        assert_eq!(town.ask("nobody", action), Ok(feed::Reply::Set(false)));
    }
    assert_eq!(town.ask("nobody", follow("nobody", false)), Err(Refusal::Oneself));
    assert_eq!(town.drivers[0].log.len(), records, "nothing is written");
}

/// Where a partition takes nothing in, commands that would send to it have no effect, whatever else they would
/// have done; and what sends by itself waits.
#[test]
fn a_full_outbox_refuses_commands_whole_and_is_not_filled_further() {
    let options = Options { outbox_rows_max: 4, ..Options::default() };
    let mut town = Town::with(2, &options);
    let (here, there) = (town.place("ada"), 1 - town.place("ada"));
    let fan = (0..).map(|n| format!("f{n}")).find(|fan| town.place(fan) == there).unwrap();
    let star = (0..).map(|n| format!("s{n}")).find(|star| town.place(star) == there).unwrap();
    town.follow(&fan, "ada");
    town.quiet();
    let loved = town.post("ada", "loved", "1");
    town.ask("ada", react(loved, "x", "bob", true)).unwrap();
    town.follow("ada", &star);
    town.quiet();
    // Nothing is carried from here on.
    let mut last = 0;
    let refused = (0..9).any(|nth| {
        let asked = command("ada", None, post(&nth.to_string(), "1"));
        match town.drivers[here].ask(asked, None) {
            Ok(evenkeel_domains::Reply::Feed(feed::Reply::Posted(posted))) => {
                last = posted.post;
                false
            }
            Err(Failure::Overloaded) => true,
            other => panic!("{other:?}"),
        }
    });
    assert!(refused, "the outbox is full");
    let records = town.drivers[here].log.len();
    for action in [Action::Delete { post: loved }, follow(&star, false)] {
        let asked = command("ada", None, action);
        assert_eq!(town.drivers[here].ask(asked, None), Err(Failure::Overloaded));
    }
    assert_eq!(town.drivers[here].log.len(), records, "nothing happened");
    let still = town.posts("ada");
    assert!(still.iter().any(|post| post.post == loved && !post.reactions.is_empty()));
    // Reactions are taken, since they send nothing by themselves; and what they have told waits.
    for nth in 0..50 {
        town.ask("ada", react(last, "x", &format!("u{nth}"), true)).unwrap();
        town.drivers[here].pass(feed::COUNTS_EVERY_MS);
    }
    let rows = town.drivers[here].partition.outbox_stats().rows;
    assert!(rows <= 8, "{rows} rows wait");
    town.quiet();
    let read = town.timeline(&fan);
    let told = read.iter().find(|item| item.post.post == last).unwrap();
    assert_eq!(told.post.reactions, [("x".to_owned(), 50)]);
    assert_eq!(town.dead(), 0);
}

/// Many posts with as many and as long reactions as may be.
#[test]
fn posts_with_all_the_reactions_that_there_can_be_come_in_steps_that_fit() {
    let mut town = Town::of(2);
    for nth in 0..70 {
        let post = town.post("ada", &nth.to_string(), "1");
        for kind in 0..feed::REACTION_KINDS_MAX {
            let kind = format!("{kind:0>128}");
            town.ask("ada", react(post, &kind, "bob", true)).unwrap();
        }
    }
    town.quiet();
    for fan in ["bob", "eve", "dan", "fay"] {
        town.follow(fan, "ada");
    }
    town.quiet();
    assert_eq!(town.dead(), 0);
    for fan in ["bob", "eve", "dan", "fay"] {
        let read: Vec<_> = town.timeline(fan).into_iter().map(|item| item.post).collect();
        assert_eq!(read, town.posts("ada"), "{fan}");
    }
}

#[test]
fn whoever_begins_and_ends_to_follow_again_and_again_has_posts_carried_once() {
    let mut town = Town::of(3);
    assert_ne!(town.place("ada"), town.place("bob"));
    for nth in 0..40 {
        town.post("ada", &nth.to_string(), &format!("\"{}\"", "-".repeat(30_000)));
    }
    for _ in 0..50 {
        town.follow("bob", "ada");
        town.ask("bob", follow("ada", false)).unwrap();
    }
    town.follow("bob", "ada");
    assert!(town.is_filling("bob"), "it is known that they have not come");
    let place = town.place("ada");
    let before = town.drivers[place].log.len();
    town.quiet();
    assert!(!town.is_filling("bob"));
    assert_eq!(town.timeline("bob").len(), 40);
    let carried: usize =
        town.drivers[place].log[before..].iter().map(|record| record.body().len()).sum();
    assert!(carried < 5 * 40 * 30_000, "{carried} bytes were written for 1.2 MB of posts");
}

/// A post that waits to be carried, and is reacted to meanwhile.
#[test]
fn counts_are_not_lost_if_they_are_told_before_the_post() {
    let mut town = Town::of(8);
    for nth in 0..40 {
        town.follow(&format!("f{nth}"), "ada");
    }
    town.quiet();
    let body = format!("\"{}\"", "-".repeat(30_000));
    let number = town.post("ada", "1", &body);
    town.ask("ada", react(number, "x", "bob", true)).unwrap();
    let place = town.place("ada");
    // Time passes where the author is, and all is carried only then.
    town.drivers[place].pass(2 * feed::COUNTS_EVERY_MS);
    town.quiet();
    for nth in 0..40 {
        let read = town.timeline(&format!("f{nth}"));
        assert_eq!(read[0].post.reactions, [("x".to_owned(), 1)], "f{nth}");
    }
}

/// Followers in so many partitions, and reactions of so many kinds, that one step cannot tell them all.
#[test]
fn counts_that_take_many_steps_are_told_once() {
    let mut town = Town::of(160);
    for nth in 0..400 {
        town.follow(&format!("f{nth}"), "ada");
    }
    let number = town.post("ada", "1", "1");
    let long = |kind: usize| format!("{kind:0>128}");
    for kind in 1..feed::REACTION_KINDS_MAX {
        town.ask("ada", react(number, &long(kind), "bob", true)).unwrap();
    }
    town.quiet();
    let place = town.place("ada");
    let sent = |town: &Town| town.drivers[place].log.len();
    let before = sent(&town);
    town.pass(10 * feed::COUNTS_EVERY_MS);
    assert_eq!(sent(&town), before, "all was told");
    // One more, when some were told already.
    town.ask("ada", react(number, &long(1), "eve", true)).unwrap();
    let due = sent(&town);
    while sent(&town) == due {
        town.drivers[place].pass(1);
    }
    town.ask("ada", react(number, &long(1), "eve", false)).unwrap();
    town.quiet();
    for nth in 0..400 {
        let read = town.timeline(&format!("f{nth}"));
        assert_eq!(read[0].post.reactions, town.posts("ada")[0].reactions, "f{nth}");
    }
}

#[test]
fn nothing_is_left_of_who_has_nothing() {
    let mut town = Town::of(1);
    for _ in 0..2 {
        town.follow("bob", "ada");
        town.ask("bob", tie("eve", Tie::Block, true)).unwrap();
        town.quiet();
        town.ask("bob", follow("ada", false)).unwrap();
        town.ask("bob", tie("eve", Tie::Block, false)).unwrap();
        town.quiet();
    }
    let mut rows = BTreeSet::new();
    for record in &town.drivers[0].log {
        let layer = Layer::decode(record.body()).unwrap();
        for effect in layer.effects() {
            match effect {
                Effect::Put { key, .. } => rows.insert(key.to_vec()),
                Effect::Delete { key } => rows.remove(key),
                Effect::DropPrefix { .. } => continue,
            };
        }
    }
    let of_users =
        ["feed_users", "feed_user_names", "follows", "followers", "audience", "blockers"];
    let tables = rows.iter().filter_map(|key| evenkeel_domains::table_name(key[0]));
    let left: Vec<_> = tables.filter(|table| of_users.contains(table)).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Word of a block has come, and word of another's follow has not: what was there for the one is not kept up.
#[test]
fn whoever_follows_where_the_last_was_blocked_knows_that_something_may_be_missing() {
    let mut town = Town::of(3);
    let users = ["bob", "dan", "eve", "fay", "kim", "cyd"];
    let there = users.iter().find(|user| town.place(user) != town.place("ada")).unwrap();
    let mut same = users.iter().filter(|user| town.place(user) == town.place(there));
    let (one, other) = (same.next().unwrap(), same.next().unwrap());
    town.follow(one, "ada");
    let post = town.post("ada", "1", "\"hi\"");
    town.quiet();
    town.ask("ada", tie(one, Tie::Block, true)).unwrap();
    town.ask("ada", Action::Delete { post }).unwrap();
    town.carry(0);
    town.follow(other, "ada");
    town.carry(1);
    assert!(!town.people(one, Listed::Following, Order::Ascending).contains(&"ada".into()));
    assert_eq!(town.said(other), ["\"hi\""], "it was taken back, and nobody has told");
    assert!(town.is_filling(other), "but it is known that somebody may have to");
    town.quiet();
    assert!(!town.is_filling(other));
    assert!(town.said(other).is_empty());
}
