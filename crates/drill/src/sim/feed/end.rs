//! When nothing happens any more, and what is there then.

use super::{PARTITIONS, USERS, World, asking, judge};
use crate::history::feed::{Item, Kept, Place};
use evenkeel_domains::feed::{self, Found, Listed, Tie, What};
use evenkeel_log::PartitionId;
use std::collections::BTreeSet;

/// Items of the pages by which a timeline is read in the end.
const PAGE: usize = 3;

impl World {
    /// The node that leads a partition.
    fn owner(&self, place: usize) -> Option<usize> {
        let id = PartitionId(u16::try_from(place).ok()?);
        let owner = judge::owner_of(&self.machines, id)?;
        self.machines.nodes.iter().position(|node| std::ptr::eq(node, owner))
    }

    /// What is still to come. None: nobody wants anything, and everything is where it is read.
    pub(super) fn restless(&self) -> Option<&'static str> {
        let wants = |client: &super::Client| client.current.is_some() || client.steps.len() > 0;
        if self.clients.iter().any(wants) {
            return Some("a user was always about to ask something");
        }
        if !self.machines.outboxes_are_empty() {
            return Some("something never came from one partition to another");
        }
        if !(0..usize::from(PARTITIONS)).all(|place| self.has_told(place)) {
            return Some("a post was never carried to where it is read");
        }
        let has_all = |number: usize| {
            self.owner(self.places[number]).is_some_and(|owner| self.has_all(owner, number))
        };
        (!(0..USERS.len()).all(has_all)).then_some("a subscriber never had all that came")
    }

    fn has_told(&self, place: usize) -> bool {
        let owner = self.owner(place).and_then(|node| self.machines.nodes[node].partition.as_ref());
        owner.is_some_and(|owner| matches!(feed::behind_since(&owner.view()), Ok(None)))
    }

    /// What is there in the end; and marks those who read to it.
    pub(super) fn end(&mut self) -> Option<std::collections::BTreeMap<String, Kept>> {
        for number in 0..USERS.len() {
            let owner = self.owner(self.places[number])?;
            self.history.subscribers[number].is_at_end = self.has_all(owner, number);
        }
        USERS.iter().map(|user| Some(((*user).to_owned(), self.kept(user)?))).collect()
    }

    fn kept(&self, user: &str) -> Option<Kept> {
        let number = USERS.iter().position(|one| *one == user)?;
        let owner = self.owner(self.places[number])?;
        let posts = self.posts(user)?;
        let people = |listed: Listed| -> Option<BTreeSet<String>> {
            Some(self.people(owner, user, listed)?.into_iter().collect())
        };
        let reactors = posts.iter().map(|item| Some((item.post, self.reactors(owner, item)?)));
        let Found::User(view) = self.find(owner, user, What::User)? else {
            unreachable!("a user is answered")
        };
        Some(Kept {
            reactors: reactors.collect::<Option<_>>()?,
            posts,
            following: people(Listed::Following)?,
            followers: people(Listed::Followers)?,
            blocks: people(Listed::Tied(Tie::Block))?,
            mutes: people(Listed::Tied(Tie::Mute))?,
            counted: [view.posts, view.followers, view.following],
            timeline: self.whole_timeline(owner, user)?,
        })
    }

    /// A timeline, page by page. One that does not come on is shown as far as it came.
    fn whole_timeline(&self, owner: usize, user: &str) -> Option<Vec<Item>> {
        let (mut items, mut before): (Vec<Item>, Option<Place>) = (Vec::new(), None);
        loop {
            let (page, next, _) = self.timeline(owner, user, before.clone(), PAGE)?;
            let is_empty = page.is_empty();
            items.extend(page);
            if next.is_none() || next == before || is_empty {
                return Some(items);
            }
            before = next;
        }
    }

    /// What somebody has posted and not taken back, newest first.
    pub(super) fn posts(&self, user: &str) -> Option<Vec<Item>> {
        let number = USERS.iter().position(|one| *one == user)?;
        let owner = self.owner(self.places[number])?;
        let (mut items, mut before) = (Vec::new(), None);
        loop {
            let what = What::Posts { before, limit: usize::MAX };
            let Found::Posts(views, next) = self.find(owner, user, what)? else {
                unreachable!("posts are answered")
            };
            items.extend(views.into_iter().map(|view| asking::item(user, view)));
            if next.is_none() {
                return Some(items);
            }
            before = next;
        }
    }

    fn reactors(&self, owner: usize, item: &Item) -> Option<BTreeSet<(String, String)>> {
        let what = What::Reactors { post: item.post, after: None, limit: usize::MAX };
        match self.find(owner, &item.author, what)? {
            Found::Reactors(pairs, _) => Some(pairs.into_iter().collect()),
            _ => unreachable!("reactions are answered"),
        }
    }
}
