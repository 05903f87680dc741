//! I10, I11: what a timeline that was read has to have in it, and what it must not.

use super::{Book, FeedReport, changes::Known, violation};
use crate::{
    checker::{Evidence, Violation},
    history::feed::{Bond, Item, Operation, Page, Place, Request},
};
use std::collections::BTreeMap;

/// Timelines are told of reactions within this.
const COUNTED_WITHIN_MS: u64 = 500;

/// A page that was read.
struct Read<'h> {
    operation: usize,
    user: &'h str,
    /// Whose timeline.
    of: &'h str,
    before: Option<&'h Place>,
    in_session: bool,
    called_ms: u64,
    returned_ms: u64,
    page: &'h Page,
}

impl<'h> Read<'h> {
    fn of(index: usize, operation: &'h Operation) -> Option<Self> {
        let Request::Read { of, before, in_session, .. } = &operation.request else { return None };
        let (returned_ms, page) = operation.page()?;
        Some(Self {
            operation: index,
            user: &operation.user,
            of,
            before: before.as_ref(),
            in_session: *in_session,
            called_ms: operation.called_ms,
            returned_ms,
            page,
        })
    }

    /// Whether it shows at once what its owner did: one machine does, and to a session what was done in it.
    fn shows_at_once(&self) -> bool {
        self.page.complete_to_ms.is_some() || self.in_session && self.of == self.user
    }

    /// Whether it was asked for after a user had been answered. Users ask one thing after the other; of two,
    /// who was first is not known within a millisecond.
    fn is_after(&self, user: &str, told_ms: u64, operation: usize) -> bool {
        told_ms < self.called_ms
            || told_ms == self.called_ms && user == self.user && operation < self.operation
    }

    /// Whether a place is in the part of the timeline that it shows.
    fn covers(&self, place: &Place) -> bool {
        let last = self.page.items.last().map(Item::place);
        self.before.is_none_or(|before| place < before)
            && (self.page.is_last || last.is_some_and(|last| *place >= last))
    }

    fn item(&self, place: &Place) -> Option<&'h Item> {
        self.page.items.iter().find(|item| item.post == place.0 && item.author == place.1)
    }

    fn wrong(
        &self,
        invariant: &'static str,
        promise: String,
        others: impl IntoIterator<Item = usize>,
    ) -> Violation {
        let proof = others.into_iter().chain([self.operation]).map(Evidence::Operation);
        violation(invariant, self.user, promise, proof)
    }
}

pub(super) fn check(book: &Book<'_>, report: &mut FeedReport) {
    let operations = book.history.operations.iter().enumerate();
    // By who reads, and whose timeline.
    let mut last: BTreeMap<(&str, &str), Read<'_>> = BTreeMap::new();
    let mut offsets: BTreeMap<(&str, &str), (u64, usize)> = BTreeMap::new();
    for read in operations.filter_map(|(index, one)| Read::of(index, one)) {
        report.pages += 1;
        let found = &mut report.violations;
        found.extend(shape(&read));
        found.extend(read.page.items.iter().find_map(|item| is_wrong(book, &read, item)));
        if read.shows_at_once() {
            found.extend(own(book, &read));
        }
        let session = (read.user, read.of);
        if read.in_session {
            if let Some(before) = last.get(&session) {
                found.extend(went_back(book, before, &read));
            }
            if let (Some(offset), Some((before, other))) =
                (read.page.offset, offsets.get(&session).copied())
                && offset < before
            {
                let promise = format!(
                    "reads in a session never go back, but one of offset {offset} came after one of \
                     {before}."
                );
                found.push(read.wrong("I10", promise, [other]));
            }
        }
        due(book, &read, report);
        if let Some(offset) = read.page.offset {
            let most = offsets.entry(session).or_insert((offset, read.operation));
            *most = (*most).max((offset, read.operation));
        }
        last.insert(session, read);
    }
}

/// Newest first, each once, all after the cursor, and none empty before the end.
fn shape(read: &Read<'_>) -> Option<Violation> {
    let places = read.page.items.iter().map(Item::place);
    let order: Vec<Place> = read.before.cloned().into_iter().chain(places).collect();
    let wrong = order.iter().zip(order.iter().skip(1)).find(|(one, next)| one <= next);
    if let Some(((one, by), (next, author))) = wrong {
        let promise = format!(
            "a timeline is newest first, each post once, and goes on where it was, but {next} of {author} \
             came after {one} of {by}."
        );
        return Some(read.wrong("I13", promise, []));
    }
    let is_empty = read.page.items.is_empty() && !read.page.is_last;
    is_empty.then(|| {
        read.wrong("I13", "no page is empty before the end, but this one is.".to_owned(), [])
    })
}

/// What is wrong with an item, if anything: nobody posted it so, its author was not followed, or was muted, or
/// it had been taken back.
fn is_wrong(book: &Book<'_>, read: &Read<'_>, item: &Item) -> Option<Violation> {
    let Item { author, post, body, .. } = item;
    let known = book.numbers.get(&(author.as_str(), *post));
    if let Some(posted) = known.and_then(|client_id| book.posts.get(&(author.as_str(), *client_id)))
        && !posted.bodies.contains(&body.as_str())
    {
        let promise = format!("a post says what was posted, but {post} of {author} says {body}.");
        return Some(read.wrong("I1", promise, posted.attempts.iter().copied()));
    }
    if author == read.of {
        let gone = book.was_gone(author, *post, read.called_ms);
        let gone = gone.filter(|_| read.shows_at_once())?;
        let promise = format!("what one has taken back is gone at once, but {body} is there.");
        return Some(read.wrong("I10", promise, [gone]));
    }
    let bond = |user: &str, other: &str, bond| {
        book.bonds.of_two(user, other, bond).known(read.called_ms, read.returned_ms)
    };
    if read.shows_at_once() {
        if bond(read.of, author, Bond::Follow) == Known::Off {
            let unfollowed = book.bonds.of_two(read.of, author, Bond::Follow).last();
            let promise = format!(
                "only those are in a timeline who are followed, but {body} of {author} is."
            );
            return Some(read.wrong("I10", promise, unfollowed));
        }
        for kind in [Bond::Mute, Bond::Block] {
            if let Known::On(operation) = bond(read.of, author, kind) {
                let promise = format!("who is muted or blocked is not there, but {body} is.");
                return Some(read.wrong("I10", promise, [operation]));
            }
        }
    }
    let complete_to_ms = read.page.complete_to_ms?;
    if let Some(gone) = book.was_gone(author, *post, complete_to_ms) {
        let promise = format!(
            "what was taken back before {complete_to_ms} ms is not there, as the answer says, but {body} is."
        );
        return Some(read.wrong("I11", promise, [gone]));
    }
    let blocked =
        book.bonds.of_two(author, read.of, Bond::Block).known(complete_to_ms, read.returned_ms);
    let Known::On(operation) = blocked else { return None };
    let told_ms = book.history.operations[operation].returned.as_ref().map_or(0, |one| one.0);
    (told_ms < complete_to_ms).then(|| {
        let promise = format!(
            "whoever was blocked before {complete_to_ms} ms follows no more, as the answer says, but \
             {body} of {author} is there."
        );
        read.wrong("I11", promise, [operation])
    })
}

/// One's own posts are there at once.
fn own(book: &Book<'_>, read: &Read<'_>) -> Option<Violation> {
    book.told().find_map(|(author, post, posted)| {
        let (_, told_ms, operation) = posted.told?;
        let is_missing = author == read.of
            && read.is_after(author, told_ms, operation)
            && read.covers(&(post, author.to_owned()))
            && !book.may_be_gone(author, post, read.returned_ms)
            && read.item(&(post, author.to_owned())).is_none();
        is_missing.then(|| {
            let promise = format!(
                "one's own posts are there at once, but {post}, which was acknowledged {} ms before, is \
                 not.",
                read.called_ms - told_ms
            );
            read.wrong("I10", promise, [operation])
        })
    })
}

/// What a session has read it reads again, unless something has happened to it.
fn went_back(book: &Book<'_>, before: &Read<'_>, read: &Read<'_>) -> Option<Violation> {
    before.page.items.iter().find_map(|item| {
        let (place, author, user) = (item.place(), item.author.as_str(), read.of);
        if !read.covers(&place) || read.item(&place).is_some() {
            return None;
        }
        let by_ms = read.returned_ms;
        let parted = author != user
            && (book.bonds.of_two(user, author, Bond::Follow).may_have_been(false, by_ms)
                || book.bonds.of_two(user, author, Bond::Mute).may_have_been(true, by_ms)
                || book.bonds.may_be_apart(user, author, by_ms));
        if parted || book.may_be_gone(author, item.post, by_ms) {
            return None;
        }
        let promise = format!(
            "reads in a session never go back, but {} of {author}, which was there before, is not.",
            item.body
        );
        Some(read.wrong("I10", promise, [before.operation]))
    })
}

/// Everything that is older than the answer says it may be missing.
fn due(book: &Book<'_>, read: &Read<'_>, report: &mut FeedReport) {
    let Some(complete_to_ms) = read.page.complete_to_ms else { return };
    for (author, post, posted) in book.told() {
        let Some((_, told_ms, operation)) = posted.told else { continue };
        let place = (post, author.to_owned());
        if author == read.of || told_ms >= complete_to_ms || !read.covers(&place) {
            continue;
        }
        let Some(follow) = book.bonds.follows(read.of, author, complete_to_ms, read.returned_ms)
        else {
            continue;
        };
        let muted =
            book.bonds.of_two(read.of, author, Bond::Mute).known(read.called_ms, read.returned_ms);
        if muted != Known::Off || book.may_be_gone(author, post, read.returned_ms) {
            continue;
        }
        report.due += 1;
        let item = read.item(&place);
        if let Some(wrong) = item.and_then(|item| is_miscounted(book, read, item, report)) {
            report.violations.push(wrong);
            return;
        }
        if item.is_none() {
            let promise = format!(
                "a timeline has everything that is older than it says, which was of {complete_to_ms} ms, \
                 but {post} of {author}, acknowledged at {told_ms} ms, is not there."
            );
            report.violations.push(read.wrong("I11", promise, [operation, follow]));
            return;
        }
    }
}

/// Reactions are counted within [`COUNTED_WITHIN_MS`] of what else the timeline says.
fn is_miscounted(
    book: &Book<'_>,
    read: &Read<'_>,
    item: &Item,
    report: &mut FeedReport,
) -> Option<Violation> {
    let from_ms = read.page.complete_to_ms?.checked_sub(COUNTED_WITHIN_MS + 1)?;
    let counts = book.reactions.counts(&item.author, item.post, from_ms, read.returned_ms)?;
    report.counted += u64::from(!counts.is_empty());
    (counts != item.reactions).then(|| {
        let promise = format!(
            "reactions that are {COUNTED_WITHIN_MS} ms older than the answer says are counted, but those to \
             {} are {counts:?} and said to be {:?}.",
            item.body, item.reactions
        );
        read.wrong("I11", promise, book.reactions.last(&item.author, item.post))
    })
}
