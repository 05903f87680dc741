//! Who is a member, how far they have read and what is unread to them, at every moment: by counting.

use super::{
    Book,
    book::{Sequence, Wish},
    violation,
};
use crate::{
    checker::Violation,
    history::chat::{Event, Happened},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

/// How a conversation stands for one of its members.
pub(super) struct Standing {
    /// Their marker. Of those who joined one right after the other it is not known whether they did at
    /// once: then all begin where the first does.
    pub(super) read: RangeInclusive<u64>,
    pub(super) unread: u64,
    /// The last event of which their inbox is told; of others it may be.
    pub(super) told: u64,
}

/// How a conversation stood for its members.
#[derive(Default)]
pub(super) struct Standings<'h> {
    /// In the end.
    pub(super) last: BTreeMap<&'h str, Standing>,
    /// Every marker that a member ever had, and what was unread after it.
    pub(super) ever: BTreeSet<(&'h str, u64, u64)>,
    /// Messages by their sender, but for those that were taken back.
    messages: BTreeMap<u64, &'h str>,
    /// The last message, taken back or not.
    last_message: u64,
    /// Where those begin who join next, if it is at this time.
    joining: Option<(u64, u64)>,
}

impl<'h> Standings<'h> {
    /// By conversation; and what happened to whom it cannot.
    pub(super) fn of_all(book: &Book<'h>) -> (BTreeMap<&'h str, Self>, Vec<Violation>) {
        let mut wrong = Vec::new();
        let of = |(name, sequence): (&&'h str, &Sequence<'h>)| {
            let mut standings = Self::default();
            for event in sequence.events.values().copied() {
                if let Some(how) = standings.take(book, name, event) {
                    let whom = format!("everyone who reads {name}");
                    let promise = format!("{how}, but {} is {:?}.", event.seq, event.happened);
                    wrong.push(violation("I1", whom, promise, []));
                }
            }
            (*name, standings)
        };
        (book.sequences.iter().map(of).collect(), wrong)
    }

    /// Answers what it is that cannot be so.
    fn take(&mut self, book: &Book<'h>, name: &'h str, event: &'h Event) -> Option<&'static str> {
        let Event { seq, at_ms, happened } = event;
        let joining = self.joining.take().filter(|(at, _)| at == at_ms);
        match happened {
            Happened::Created { members } => {
                members.iter().for_each(|user| self.enter(user, seq - 1..=seq - 1, *seq));
                None
            }
            Happened::Joined { user } => {
                let from = joining.map_or(seq - 1, |(_, from)| from);
                self.joining = Some((*at_ms, from));
                let is_new = !self.last.contains_key(user.as_str());
                self.enter(user, from..=seq - 1, *seq);
                (!is_new).then_some("who joins was no member")
            }
            Happened::Left { user } => {
                let was_member = self.last.remove(user.as_str()).is_some();
                (!was_member).then_some("who leaves was a member")
            }
            Happened::Message { sender, .. } => {
                self.messages.insert(*seq, sender);
                self.last_message = *seq;
                self.tell_all(*seq, |user, one| one.unread += u64::from(user != sender));
                let is_member = self.last.contains_key(sender.as_str());
                (!is_member).then_some("who says something is a member")
            }
            Happened::Edited { message, .. } => {
                let is_there = self.messages.contains_key(message);
                (!is_there).then_some("what is edited is there and was not taken back")
            }
            Happened::Deleted { message } => {
                let Some(sender) = self.messages.remove(message) else {
                    return Some("what is taken back was there, and is so once");
                };
                self.tell_all(*seq, |user, one| {
                    one.unread -= u64::from(user != sender && message > one.read.end());
                });
                None
            }
            Happened::Read { user, message } => self.read(book, name, (user, *message), *seq),
            Happened::Other(_) => None,
        }
    }

    fn enter(&mut self, user: &'h str, read: RangeInclusive<u64>, told: u64) {
        self.last.insert(user, Standing { read, unread: 0, told });
        self.note(user);
    }

    /// A marker moves on, to where somebody asked it to be or to the last message before that.
    fn read(
        &mut self,
        book: &Book<'h>,
        name: &'h str,
        (user, message): (&'h str, u64),
        seq: u64,
    ) -> Option<&'static str> {
        let is_asked = !book.asked(name, Wish::Read { user, message }).is_empty()
            || message == self.last_message && book.asked_to_read_on(name, user, message);
        let others = self.messages.range(message + 1..).filter(|(_, sender)| **sender != user);
        let unread = others.count() as u64;
        let Some(one) = self.last.get_mut(user) else { return Some("who reads is a member") };
        let moves = (one.read.end() + 1..=self.last_message).contains(&message);
        *one = Standing { read: message..=message, unread, told: seq };
        self.note(user);
        match (is_asked, moves) {
            (false, _) => Some("who has read said so"),
            (true, false) => Some("a marker moves on, as far as there are messages"),
            (true, true) => None,
        }
    }

    /// Something of which all inboxes are told.
    fn tell_all(&mut self, seq: u64, change: impl Fn(&str, &mut Standing)) {
        for (user, one) in &mut self.last {
            change(user, one);
            one.told = seq;
        }
        let users: Vec<&str> = self.last.keys().copied().collect();
        users.into_iter().for_each(|user| self.note(user));
    }

    fn note(&mut self, user: &'h str) {
        if let Some(Standing { read, unread, .. }) = self.last.get(user) {
            self.ever.extend(read.clone().map(|marker| (user, marker, *unread)));
        }
    }
}
