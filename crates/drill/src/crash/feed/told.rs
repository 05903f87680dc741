//! What all who have feeds write down together.

use super::{DEADLINE_MS, MARGIN_MS, USERS};
use crate::history::feed::{
    Delivery, FeedHistory, Kept, Operation, Outcome, Request, Seen, Settled, Subscriber,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Instant,
};

/// What the drill is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// The server is killed again and again.
    Kills,
    /// Nothing more is asked.
    Quiet,
    /// Nothing more is read.
    Over,
}

#[derive(Default)]
struct Book {
    history: FeedHistory,
    settled: BTreeSet<(String, String)>,
    /// Of each user, the last post.
    last: BTreeMap<String, u64>,
}

pub(super) struct Told {
    book: Mutex<Book>,
    phase: AtomicU8,
    began: Instant,
    resumed: AtomicU64,
}

impl Told {
    pub(super) fn new() -> Self {
        let mut book = Book::default();
        let subscriber =
            |user: &&str| Subscriber { user: (*user).to_owned(), ..Subscriber::default() };
        book.history.subscribers = USERS.iter().map(subscriber).collect();
        Self {
            book: Mutex::new(book),
            phase: AtomicU8::new(Phase::Kills as u8),
            began: Instant::now(),
            resumed: AtomicU64::new(0),
        }
    }

    pub(super) fn is_past(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) > phase as u8
    }

    pub(super) fn begin(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// From 1: what is of 0 was there before.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).map_or(u64::MAX, |ms| ms + 1)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody is about to ask.
    pub(super) fn call(&self, user: &str, request: Request) -> usize {
        let mut book = self.book();
        let called_ms = self.now_ms();
        let user = user.to_owned();
        book.history.call(Operation { user, request, called_ms, returned: None })
    }

    pub(super) fn returns(&self, operation: usize, outcome: Outcome) {
        let mut book = self.book();
        let at_ms = self.now_ms();
        if let Outcome::Posted { post, .. } = outcome {
            let user = book.history.operations[operation].user.clone();
            book.last.insert(user, post);
        }
        book.history.returns(operation, at_ms, outcome);
    }

    /// When an operation was called.
    pub(super) fn called_ms(&self, operation: usize) -> u64 {
        self.book().history.operations[operation].called_ms
    }

    pub(super) fn sees(&self, subscriber: usize, sequence: u64, what: Delivery) {
        let mut book = self.book();
        let at_ms = self.now_ms();
        book.history.seen.push(Seen { subscriber, at_ms, sequence, what });
    }

    pub(super) fn resumes(&self) {
        self.resumed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    /// Somebody was seen among those who follow an author.
    pub(super) fn settles(&self, follower: String, author: &str) {
        let mut book = self.book();
        let pair = (follower, author.to_owned());
        if !book.settled.contains(&pair) {
            let at_ms = self.now_ms();
            let (follower, author) = pair.clone();
            book.history.settled.push(Settled { follower, author, at_ms });
            book.settled.insert(pair);
        }
    }

    /// Whether every subscriber has the last post of each whom they follow, and their own.
    pub(super) fn have_last(&self, end: &BTreeMap<String, Kept>) -> bool {
        let book = self.book();
        let has = |number: usize, author: &str| {
            let Some(last) = book.last.get(author) else { return true };
            book.history.seen.iter().rev().any(|one| {
                matches!(&one.what, Delivery::Posted { author: by, post, .. }
                    if one.subscriber == number && by == author && post == last)
            })
        };
        (0..).zip(USERS).all(|(number, user)| {
            let kept = &end[user];
            let mut authors = kept.following.difference(&kept.mutes);
            has(number, user) && authors.all(|author| has(number, author))
        })
    }

    /// All that was told.
    pub(super) fn finish(&self, end: BTreeMap<String, Kept>) -> FeedHistory {
        let mut history = std::mem::take(&mut self.book().history);
        for subscriber in &mut history.subscribers {
            subscriber.is_at_end = true;
        }
        history.answers_within_ms = Some(DEADLINE_MS + MARGIN_MS);
        history.end = Some(end);
        history
    }
}

/// Posts that were there already.
pub(super) fn duplicates(history: &FeedHistory) -> u64 {
    let is_duplicate = |operation: &&Operation| {
        matches!(operation.returned, Some((_, Outcome::Posted { duplicate: true, .. })))
    };
    history.operations.iter().filter(is_duplicate).count() as u64
}
