//! Requests as commands, and what is found in the words of a history.

use super::{FOLLOWS, USERS, World, tie};
use crate::history::feed::{Bond, Item, Operation, Outcome, Request};
use evenkeel_domains::{
    Command, Domains, Refusal, Reply,
    feed::{self, Action, PostView, TimelineItem},
};
use evenkeel_engine::{Answer, Failure};

/// Many of these at the end of a body are room that it takes, and are only counted in a history.
const FILLER: char = '.';
/// What somebody has posted before anything goes wrong: so much that it comes to a new follower in several
/// parts, because it is many or because it is large; or not.
const HISTORIES: [(usize, usize); 4] = [(2, 0), (70, 0), (6, 24 * 1_024), (2, 0)];

/// What is there before anything goes wrong, by user.
pub(super) fn setup(seed: u64) -> Vec<(usize, Request)> {
    let (posts, filler) = HISTORIES[((seed ^ seed >> 3) % HISTORIES.len() as u64) as usize];
    let post = |number: usize| {
        let filler: String = std::iter::repeat_n(FILLER, filler).collect();
        let body = format!("\"{} before {number}{filler}\"", USERS[0]);
        (0, Request::Post { client_id: format!("b{number}"), body })
    };
    let follow = |(user, author): (usize, usize)| {
        let other = USERS[author].to_owned();
        (user, Request::Set { bond: Bond::Follow, other, on: true })
    };
    (0..posts).map(post).chain(FOLLOWS.map(follow)).collect()
}

impl World {
    /// Has the history know what was there before.
    pub(super) fn write_down(&mut self, setup: Vec<(usize, Request)>) {
        let posts = self.posts(USERS[0]).unwrap_or_default();
        for (user, mut request) in setup {
            let outcome = match &mut request {
                Request::Post { body, .. } => {
                    *body = said(body);
                    let there = posts.iter().find(|item| item.body == *body);
                    let post = there.expect("it was posted").post;
                    Outcome::Posted { post, duplicate: false }
                }
                _ => Outcome::Done { changed: true },
            };
            let user = USERS[user].to_owned();
            let returned = Some((0, outcome));
            self.history.call(Operation { user, request, called_ms: 0, returned });
        }
    }
}

/// The command that asks for it; none of a read. All act for themselves.
pub(super) fn command(user: &str, request: &Request) -> Option<Command> {
    let mut whose = user;
    let action = match request.clone() {
        Request::Post { client_id, body } => Action::Post { client_id, body },
        Request::Delete { post } => Action::Delete { post },
        Request::Set { bond, other, on } => match tie(bond) {
            None => Action::Follow { author: other, on },
            Some(tie) => Action::Tie { other, tie, on },
        },
        Request::React { post, kind, on, .. } => {
            if let Request::React { author, .. } = request {
                whose = author;
            }
            Action::React { post, kind, reactor: user.to_owned(), on }
        }
        Request::Read { .. } => return None,
    };
    let by = Some(user.to_owned());
    Some(Command::Feed(feed::Command { user: whose.to_owned(), by, action }))
}

/// What an answer says.
pub(super) fn outcome(answer: Answer<Domains>) -> Outcome {
    match answer.outcome {
        Ok(Reply::Feed(reply)) => match reply {
            feed::Reply::Posted(posted) => {
                Outcome::Posted { post: posted.post, duplicate: posted.duplicate }
            }
            feed::Reply::Deleted(changed) | feed::Reply::Set(changed) => Outcome::Done { changed },
        },
        Ok(_) => unreachable!("only feeds are asked"),
        Err(Failure::Refused(Refusal::Feed(refusal))) => {
            Outcome::Refused(refusal.code().to_owned())
        }
        Err(Failure::OutcomeUnknown) => Outcome::Unknown,
        Err(failure) => Outcome::TurnedAway(failure.to_string()),
    }
}

/// A post of somebody's.
pub(super) fn item(author: &str, view: PostView) -> Item {
    let PostView { post, body, reactions } = view;
    let reactions = reactions.into_iter().collect();
    Item { author: author.to_owned(), post, body: said(&body), reactions }
}

/// A post in a timeline.
pub(super) fn timeline_item(found: TimelineItem) -> Item {
    item(&found.author, found.post)
}

/// A body as it is written down: without what only takes room, but with how much that was.
pub(super) fn said(body: &str) -> String {
    let Some(text) = body.strip_suffix('"') else { return body.to_owned() };
    let words = text.trim_end_matches(FILLER);
    match text.len() - words.len() {
        0 => body.to_owned(),
        filler => format!("{words} and {filler} more\""),
    }
}
