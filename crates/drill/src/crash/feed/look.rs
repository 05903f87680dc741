//! What is there: who follows whom while the drill goes on, and everything in the end.

use super::{
    Phase, Told, USERS,
    wire::{List, PostBody},
};
use crate::{
    crash::{CrashError, look::Look},
    history::feed::{Item, Kept},
    load::Endpoint,
};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

const FOLLOWERS_EVERY: Duration = Duration::from_millis(50);
/// Items of a page: few, so that there are many pages.
const LIMIT: usize = 40;

#[derive(Deserialize)]
struct PersonBody {
    user: String,
}

#[derive(Deserialize)]
struct ReactionBody {
    kind: String,
    user: String,
}

#[derive(Deserialize)]
struct UserBody {
    posts: u64,
    followers: u64,
    following: u64,
}

/// Looks at who follows each, until nothing more is asked.
pub(super) async fn look_at_followers(endpoint: Endpoint, told: Arc<Told>) {
    while !told.is_past(Phase::Quiet) {
        tokio::time::sleep(FOLLOWERS_EVERY).await;
        let Ok(mut client) = endpoint.connect().await else { continue };
        for author in USERS {
            let path = format!("/v1/feeds/{author}/followers?limit=1000");
            let Ok(reply) = client.call(endpoint.writer().get(&path)).await else { break };
            if let Ok(list) = serde_json::from_slice::<List<PersonBody>>(reply.body) {
                list.items.into_iter().for_each(|one| told.settles(one.user, author));
            }
        }
    }
}

/// What there is of every user.
pub(super) async fn all(endpoint: &Endpoint) -> Result<BTreeMap<String, Kept>, CrashError> {
    // With everything that happened before.
    let mut looks = Looks(Look::at(endpoint, Some("session")).await?);
    let mut all = BTreeMap::new();
    for user in USERS {
        all.insert(user.to_owned(), looks.kept(user).await?);
    }
    Ok(all)
}

/// Whether timelines know how many reactions there are.
pub(super) fn counts_are_told(end: &BTreeMap<String, Kept>) -> bool {
    let counts = |items: &Vec<Item>| -> BTreeMap<_, _> {
        items.iter().map(|item| (item.place(), item.reactions.clone())).collect()
    };
    let there: BTreeMap<_, _> = end.values().flat_map(|kept| counts(&kept.posts)).collect();
    end.values()
        .flat_map(|kept| &kept.timeline)
        .all(|item| there.get(&item.place()).is_none_or(|reactions| *reactions == item.reactions))
}

struct Looks<'e>(Look<'e>);

impl Looks<'_> {
    async fn kept(&mut self, user: &str) -> Result<Kept, CrashError> {
        let timeline: Vec<PostBody> = self.list(&format!("{user}/timeline")).await?;
        let posts: Vec<PostBody> = self.list(&format!("{user}/posts")).await?;
        let items = |all: Vec<PostBody>| all.into_iter().map(|one| one.item(user)).collect();
        let (timeline, posts): (Vec<Item>, Vec<Item>) = (items(timeline), items(posts));
        let mut reactors = BTreeMap::new();
        for item in posts.iter().filter(|item| !item.reactions.is_empty()) {
            let path = format!("{user}/posts/{}/reactions", item.post);
            let all: Vec<ReactionBody> = self.list(&path).await?;
            let pairs: BTreeSet<_> = all.into_iter().map(|one| (one.kind, one.user)).collect();
            reactors.insert(item.post, pairs);
        }
        let UserBody { posts: count, followers, following } =
            self.0.get(&format!("/v1/feeds/{user}")).await?;
        Ok(Kept {
            posts,
            reactors,
            following: self.people(user, "following").await?,
            followers: self.people(user, "followers").await?,
            blocks: self.people(user, "blocks").await?,
            mutes: self.people(user, "mutes").await?,
            counted: [count, followers, following],
            timeline,
        })
    }

    async fn people(&mut self, user: &str, list: &str) -> Result<BTreeSet<String>, CrashError> {
        let all: Vec<PersonBody> = self.list(&format!("{user}/{list}")).await?;
        Ok(all.into_iter().map(|one| one.user).collect())
    }

    async fn list<T: DeserializeOwned>(&mut self, path: &str) -> Result<Vec<T>, CrashError> {
        self.0.list(&format!("/v1/feeds/{path}"), LIMIT).await
    }
}
