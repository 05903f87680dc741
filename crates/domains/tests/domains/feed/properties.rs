//! Whatever is done in whatever order, and however slowly word gets around: once all is quiet a timeline is
//! what asking every author would give (I13), both sides of a follow agree, and nobody follows across a
//! block.

use super::{Town, follow, post, react, tie};
use evenkeel_domains::feed::{self, Listed, Refusal, Reply, Tie};
use evenkeel_state::Order;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const USERS: [&str; 6] = ["ada", "bob", "dan", "eve", "fay", "kim"];

#[derive(Debug, Clone)]
enum Step {
    Post { user: usize, client: u8, body: u8 },
    Delete { user: usize, nth: usize },
    Follow { user: usize, other: usize, on: bool },
    Tie { user: usize, other: usize, tie: Tie, on: bool },
    React { user: usize, nth: usize, other: usize, on: bool },
    Pass { ms: u64 },
    Carry { most: usize },
    Quiet,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let user = || 0..USERS.len();
    let a_tie = prop_oneof![Just(Tie::Block), Just(Tie::Mute)];
    let step = prop_oneof![
        8 => (user(), 0..12_u8, 0..2_u8)
            .prop_map(|(user, client, body)| Step::Post { user, client, body }),
        2 => (user(), 0..6_usize).prop_map(|(user, nth)| Step::Delete { user, nth }),
        8 => (user(), user(), prop::bool::weighted(0.7))
            .prop_map(|(user, other, on)| Step::Follow { user, other, on }),
        3 => (user(), user(), a_tie, any::<bool>())
            .prop_map(|(user, other, tie, on)| Step::Tie { user, other, tie, on }),
        2 => (user(), 0..6_usize, user(), prop::bool::weighted(0.7))
            .prop_map(|(user, nth, other, on)| Step::React { user, nth, other, on }),
        2 => (1..400_u64).prop_map(|ms| Step::Pass { ms }),
        6 => (1..6_usize).prop_map(|most| Step::Carry { most }),
        1 => Just(Step::Quiet),
    ];
    prop::collection::vec(step, 1..80)
}

/// A post as it should be.
#[derive(Debug, Default)]
struct Known {
    body: String,
    is_deleted: bool,
    reactors: BTreeSet<&'static str>,
}

struct Both {
    town: Town,
    /// By author and number.
    posts: BTreeMap<(&'static str, u64), Known>,
    /// By author and client id.
    sent: BTreeMap<(&'static str, u8), (u64, u8)>,
    /// What was last answered.
    follows: BTreeSet<(&'static str, &'static str)>,
    blocks: BTreeSet<(&'static str, &'static str)>,
    mutes: BTreeSet<(&'static str, &'static str)>,
    /// Pairs of which one had blocked the other: word of it may have undone a follow.
    unsure: BTreeSet<(&'static str, &'static str)>,
}

impl Both {
    fn new() -> Self {
        Self {
            town: Town::of(3),
            posts: BTreeMap::new(),
            sent: BTreeMap::new(),
            follows: BTreeSet::new(),
            blocks: BTreeSet::new(),
            mutes: BTreeSet::new(),
            unsure: BTreeSet::new(),
        }
    }

    fn do_step(&mut self, step: &Step) {
        match *step {
            Step::Post { user, client, body } => self.post(USERS[user], client, body),
            Step::Delete { user, nth } => self.delete(USERS[user], nth),
            Step::Follow { user, other, on } => self.follow(USERS[user], USERS[other], on),
            Step::Tie { user, other, tie, on } => self.tie(USERS[user], USERS[other], tie, on),
            Step::React { user, nth, other, on } => self.react(USERS[user], nth, USERS[other], on),
            Step::Pass { ms } => self.town.pass(ms),
            Step::Carry { most } => {
                self.town.carry(most);
            }
            Step::Quiet => self.quiet(),
        }
        // One's own posts are there at once.
        for user in USERS {
            let own: Vec<_> = self.own(user).into_iter().rev().collect();
            let items = self.town.timeline(user);
            let seen: Vec<_> = items.into_iter().filter(|item| item.author == user).collect();
            let seen: Vec<_> = seen.iter().map(|item| item.post.post).collect();
            assert_eq!(seen, own, "of {user}");
        }
    }

    fn own(&self, user: &str) -> Vec<u64> {
        let of =
            self.posts.iter().filter(|((author, _), post)| *author == user && !post.is_deleted);
        of.map(|((_, post), _)| *post).collect()
    }

    fn post(&mut self, user: &'static str, client: u8, body: u8) {
        let text = format!("\"{user} {client} {body}\"");
        let answer = self.town.ask(user, post(&client.to_string(), &text));
        match self.sent.get(&(user, client)) {
            None => {
                let Ok(Reply::Posted(posted)) = answer else { panic!("{answer:?}") };
                assert!(!posted.duplicate);
                self.sent.insert((user, client), (posted.post, body));
                let known = Known { body: text, ..Known::default() };
                assert!(self.posts.insert((user, posted.post), known).is_none(), "a number once");
            }
            Some((post, before)) if *before == body => {
                let Ok(Reply::Posted(posted)) = answer else { panic!("{answer:?}") };
                assert!(posted.duplicate && posted.post == *post);
            }
            Some((post, _)) => {
                assert_eq!(answer, Err(Refusal::ClientIdTaken { post: *post }));
            }
        }
    }

    fn nth(&self, user: &'static str, nth: usize) -> Option<u64> {
        let mut all = self.posts.keys().filter(|(author, _)| *author == user);
        all.nth(nth).map(|(_, post)| *post)
    }

    fn delete(&mut self, user: &'static str, nth: usize) {
        let Some(post) = self.nth(user, nth) else {
            let answer = self.town.ask(user, feed::Action::Delete { post: 7 });
            return assert_eq!(answer, Err(Refusal::NoPost));
        };
        let answer = self.town.ask(user, feed::Action::Delete { post });
        let known = self.posts.get_mut(&(user, post)).unwrap();
        assert_eq!(answer, Ok(Reply::Deleted(!known.is_deleted)));
        known.is_deleted = true;
        known.reactors.clear();
    }

    fn follow(&mut self, user: &'static str, other: &'static str, on: bool) {
        let answer = self.town.ask(user, follow(other, on));
        if user == other {
            return assert_eq!(answer, Err(Refusal::Oneself));
        }
        match answer {
            Ok(_) if on => {
                assert!(!self.blocks.contains(&(user, other)), "{user} has blocked {other}");
                self.follows.insert((user, other));
            }
            Ok(_) => {
                self.follows.remove(&(user, other));
            }
            Err(Refusal::Blocked) => {
                assert!(on && self.was_blocked(user, other));
            }
            other => panic!("{other:?}"),
        }
    }

    fn was_blocked(&self, user: &'static str, other: &'static str) -> bool {
        self.unsure.contains(&(user, other)) || self.unsure.contains(&(other, user))
    }

    fn tie(&mut self, user: &'static str, other: &'static str, kind: Tie, on: bool) {
        let answer = self.town.ask(user, tie(other, kind, on));
        if user == other {
            return assert_eq!(answer, Err(Refusal::Oneself));
        }
        let set = if kind == Tie::Block { &mut self.blocks } else { &mut self.mutes };
        let is_new = if on { set.insert((user, other)) } else { set.remove(&(user, other)) };
        assert_eq!(answer, Ok(Reply::Set(is_new)));
        if kind == Tie::Block {
            self.unsure.insert((user, other));
            if on {
                self.follows.remove(&(user, other));
                self.follows.remove(&(other, user));
            }
        }
    }

    fn react(&mut self, user: &'static str, nth: usize, other: &'static str, on: bool) {
        let Some(post) = self.nth(user, nth) else { return };
        let answer = self.town.ask(user, react(post, "x", other, on));
        let known = self.posts.get_mut(&(user, post)).unwrap();
        if known.is_deleted {
            return assert_eq!(answer, Err(Refusal::NoPost));
        }
        if answer == Err(Refusal::Blocked) {
            return assert!(on && self.was_blocked(user, other));
        }
        let is_new = if on { known.reactors.insert(other) } else { known.reactors.remove(other) };
        assert_eq!(answer, Ok(Reply::Set(is_new)));
    }

    fn quiet(&mut self) {
        self.town.quiet();
        let mut follows = BTreeSet::new();
        for user in USERS {
            let following = self.town.people(user, Listed::Following, Order::Ascending);
            let mut back = self.town.people(user, Listed::Following, Order::Descending);
            back.reverse();
            assert_eq!(following, back, "both ways");
            assert_eq!(self.town.user(user).following, following.len() as u64);
            let name = |name: &String| *USERS.iter().find(|user| *user == name).unwrap();
            follows.extend(following.iter().map(|author| (user, name(author))));
        }
        for user in USERS {
            let followers = self.town.people(user, Listed::Followers, Order::Ascending);
            let of = follows.iter().filter(|(_, author)| *author == user);
            let expected: Vec<_> = of.map(|(follower, _)| (*follower).to_owned()).collect();
            assert_eq!(followers, expected, "who follows {user}");
            assert_eq!(self.town.user(user).followers, followers.len() as u64);
        }
        for (user, author) in &follows {
            let is_apart =
                self.blocks.contains(&(user, author)) || self.blocks.contains(&(author, user));
            assert!(!is_apart, "{user} follows {author} across a block");
        }
        for (user, author) in USERS.iter().flat_map(|user| USERS.map(|other| (*user, other))) {
            if !self.was_blocked(user, author) {
                let (is, was) =
                    (follows.contains(&(user, author)), self.follows.contains(&(user, author)));
                assert_eq!(is, was, "whether {user} follows {author}");
            }
        }
        // What follows now is sure until somebody blocks again.
        let blocked = self.blocks.iter().copied();
        self.unsure = blocked.collect();
        self.follows = follows;
        self.check_timelines();
    }

    fn check_timelines(&self) {
        for user in USERS {
            let reads = |author: &str| {
                author == user
                    || self.follows.iter().any(|(follower, of)| *follower == user && *of == author)
                        && !self.mutes.iter().any(|(by, of)| *by == user && *of == author)
            };
            let of =
                self.posts.iter().filter(|((author, _), post)| reads(author) && !post.is_deleted);
            let mut expected: Vec<_> = of
                .map(|((author, post), known)| {
                    (*post, *author, known.body.clone(), known.reactors.len() as u64)
                })
                .collect();
            expected.sort_by(|one, other| other.cmp(one));
            let items = self.town.timeline(user);
            let seen: Vec<_> = items
                .iter()
                .map(|item| {
                    let reactions = item.post.reactions.iter().map(|(_, count)| count).sum();
                    (item.post.post, item.author.as_str(), item.post.body.clone(), reactions)
                })
                .collect();
            assert_eq!(seen, expected, "the timeline of {user}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn timelines_are_what_asking_every_author_gives(steps in steps()) {
        let mut both = Both::new();
        for step in &steps {
            both.do_step(step);
        }
        both.quiet();
    }
}
