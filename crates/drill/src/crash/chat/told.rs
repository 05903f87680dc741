//! What all who take part in conversations write down together.

use super::{
    super::clock::{CLOCKS_DIFFER_MS, Clock},
    CONVERSATIONS, DEADLINE_MS, DrilledChat, MARGIN_MS,
};
use crate::history::chat::{ChatHistory, Delivery, End, Operation, Outcome, Reader, Request, Seen};
use fastrand::Rng;
use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

/// Messages are changed that are among so many newest.
const RECENT: usize = 200;

/// What the drill is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// The server is killed again and again.
    Kills,
    /// It is left alone.
    Calm,
    /// Nothing more is said.
    Quiet,
    /// Nothing more is read.
    Over,
}

/// A message that was acknowledged.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) place: usize,
    pub(super) seq: u64,
    pub(super) sender: &'static str,
}

/// How far a reader is.
#[derive(Default)]
struct Progress {
    last: u64,
    /// Who is there, if that is shown.
    shown: Option<BTreeSet<String>>,
}

#[derive(Default)]
struct Book {
    history: ChatHistory,
    /// By the number of the reader.
    progress: Vec<Progress>,
    known: Vec<Known>,
}

pub(super) struct Told {
    book: Mutex<Book>,
    phase: AtomicU8,
    clock: Clock,
    pub(super) counts: Counts,
}

impl Told {
    pub(super) fn new() -> Self {
        Self {
            book: Mutex::default(),
            phase: AtomicU8::new(Phase::Kills as u8),
            clock: Clock::new(),
            counts: Counts::default(),
        }
    }

    pub(super) fn is_past(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) > phase as u8
    }

    pub(super) fn begin(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    fn write_down(&self, book: &mut Book, reader: usize, what: Delivery) {
        let at_ms = self.now_ms() + CLOCKS_DIFFER_MS;
        book.history.seen.push(Seen { reader, at_ms, what });
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody reads; answers their number.
    pub(super) fn reads(&self, reader: Reader, is_shown: bool) -> usize {
        let mut book = self.book();
        book.history.readers.push(reader);
        book.progress.push(Progress { last: 0, shown: is_shown.then(BTreeSet::new) });
        book.progress.len() - 1
    }

    /// Somebody asks on a new connection for what follows.
    pub(super) fn begins(&self, reader: usize) {
        let mut book = self.book();
        let progress = &mut book.progress[reader];
        progress.shown.iter_mut().for_each(BTreeSet::clear);
        let after = progress.last;
        self.write_down(&mut book, reader, Delivery::Began { after });
    }

    /// Somebody is sent something, by which they are at `seq`.
    pub(super) fn sees(&self, reader: usize, seq: u64, what: Delivery) {
        let mut book = self.book();
        book.progress[reader].last = seq;
        self.write_down(&mut book, reader, what);
    }

    /// Somebody is told that nothing more comes.
    pub(super) fn ends(&self, reader: usize) {
        self.write_down(&mut self.book(), reader, Delivery::Ended);
        self.counts.removed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn is_shown(&self, reader: usize, user: String, online: bool) {
        let mut book = self.book();
        if let Some(shown) = &mut book.progress[reader].shown {
            if online {
                shown.insert(user);
            } else {
                shown.remove(&user);
            }
        }
    }

    /// Somebody is about to ask.
    pub(super) fn call(&self, user: &str, place: usize, request: Request) -> usize {
        let mut book = self.book();
        book.history.call(Operation {
            user: user.to_owned(),
            conversation: CONVERSATIONS[place].to_owned(),
            request,
            called_ms: self.now_ms(),
            returned: None,
        })
    }

    pub(super) fn returns(&self, operation: usize, outcome: Outcome) {
        let mut book = self.book();
        let now_ms = self.now_ms();
        book.history.returns(operation, now_ms, outcome);
    }

    pub(super) fn knows(&self, place: usize, seq: u64, sender: &'static str) {
        self.book().known.push(Known { place, seq, sender });
    }

    /// Some message of late.
    pub(super) fn recent(&self, rng: &mut Rng) -> Option<Known> {
        let book = self.book();
        let recent = &book.known[book.known.len().saturating_sub(RECENT)..];
        rng.choice(recent).copied()
    }

    /// Whether everybody but one has read up to these sequences.
    pub(super) fn have_read(&self, lasts: &[u64], but: &str) -> bool {
        let book = self.book();
        let mut readers = book.history.readers.iter().zip(&book.progress);
        readers.all(|(reader, progress)| {
            let place = CONVERSATIONS.iter().position(|one| *one == reader.conversation);
            reader.name == but || place.is_none_or(|place| progress.last >= lasts[place])
        })
    }

    /// Who is there, as each reader but one was shown who is shown that.
    pub(super) fn shown(&self, but: &str) -> Vec<(usize, BTreeSet<String>)> {
        let book = self.book();
        let readers = book.history.readers.iter().zip(&book.progress).enumerate();
        let shown = readers.filter(|(_, (reader, _))| reader.name != but);
        shown.filter_map(|(number, (_, one))| Some((number, one.shown.clone()?))).collect()
    }

    /// All that was told; everybody but one read to the end, or should have.
    pub(super) fn finish(&self, end: End, but: &str) -> ChatHistory {
        let mut history = std::mem::take(&mut self.book().history);
        for reader in &mut history.readers {
            reader.is_at_end = reader.name != but;
        }
        history.end = Some(end);
        history.answers_within_ms = Some(DEADLINE_MS + MARGIN_MS);
        history
    }
}

/// Sends that were there already.
pub(super) fn duplicates(history: &ChatHistory) -> u64 {
    let is_duplicate = |operation: &&Operation| {
        matches!(operation.returned, Some((_, Outcome::Sent { duplicate: true, .. })))
    };
    history.operations.iter().filter(is_duplicate).count() as u64
}

/// What is only counted.
#[derive(Default)]
pub(super) struct Counts {
    disconnects: AtomicU64,
    slow_closed: AtomicU64,
    removed: AtomicU64,
    spoiled: AtomicU64,
    have_said_all: AtomicU64,
}

impl Counts {
    pub(super) fn disconnect(&self) {
        self.disconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed_for_being_slow(&self) {
        self.slow_closed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn spoiled(&self) {
        self.spoiled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn has_said_all(&self) {
        self.have_said_all.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn all_said(&self, users: usize) -> bool {
        self.have_said_all.load(Ordering::Relaxed) >= users as u64
    }

    pub(super) fn drilled(&self) -> DrilledChat {
        DrilledChat {
            disconnects: self.disconnects.load(Ordering::Relaxed),
            slow_closed: self.slow_closed.load(Ordering::Relaxed),
            removed: self.removed.load(Ordering::Relaxed),
            spoiled: self.spoiled.load(Ordering::Relaxed),
            ..DrilledChat::default()
        }
    }
}
