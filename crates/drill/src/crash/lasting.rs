//! What lasts: items of lists that nothing changes any more once their minute is over. They are read then, and once more
//! after all later kills.

use super::{CrashError, chat, feed, jobs, look::Look};
use crate::{checker::Violation, load::Endpoint};
use evenkeel_log::Hash;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// Items a page.
const PAGE: usize = 1_000;
/// What the lists are of.
const KINDS: [&str; 6] = ["holds", "messages", "posts", "followers", "following", "jobs"];
/// Something is still to become of what is so.
const NOT_OVER: [&str; 6] = ["held", "waiting", "scheduled", "retry", "ready", "leased"];

/// What was in each list that is there for good: a hash of each item.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lasting(BTreeMap<String, Vec<Hash>>);

impl Lasting {
    /// What there is of these resources, and of everything else of a stage.
    pub(super) async fn read(
        endpoint: &Endpoint,
        resources: impl IntoIterator<Item = String>,
    ) -> Result<Self, CrashError> {
        let holds = resources.into_iter().map(|name| format!("/v1/resources/{name}/holds"));
        let lists = holds.chain(chat::lists()).chain(feed::lists()).chain(jobs::lists());
        let mut look = Look::at(endpoint, None).await?;
        let mut lasting = BTreeMap::new();
        for path in lists {
            let items: Vec<Value> = look.list(&path, PAGE).await?;
            lasting.insert(path, over(&items));
        }
        Ok(Self(lasting))
    }

    /// How many items.
    pub(super) fn items(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Kinds of lists of which none has anything: to read them again proves nothing.
    pub(super) fn without(&self) -> Vec<&'static str> {
        let has_any = |kind: &&str| {
            self.0.iter().any(|(path, items)| path.ends_with(*kind) && !items.is_empty())
        };
        KINDS.into_iter().filter(|kind| !has_any(kind)).collect()
    }

    /// Items that are not there any more, or are other ones: in each list the first. There may only be more.
    pub(super) fn lost(&self, minute: usize, now: &Self) -> Vec<Violation> {
        let lost = self.0.iter().filter_map(|(path, then)| {
            let now: HashSet<&Hash> = now.0.get(path).into_iter().flatten().collect();
            let gone = then.iter().position(|item| !now.contains(item))?;
            Some(Violation {
                invariant: "I1",
                promise: format!(
                    "what is acknowledged stays, but item {gone} of those in {path} that were over is not there any more after later kills"
                ),
                whom: format!("the tenant of minute {minute}"),
                events: Vec::new(),
            })
        });
        lost.collect()
    }
}

fn over(items: &[Value]) -> Vec<Hash> {
    let over = items.iter().filter(|item| is_over(item));
    over.map(|item| Hash::of(item.to_string().as_bytes())).collect()
}

fn is_over(item: &Value) -> bool {
    item["state"].as_str().is_none_or(|state| !NOT_OVER.contains(&state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lasting(items: &[Value]) -> Lasting {
        let lists = [("/v1/queues/mails/jobs", over(items)), ("/v1/queues/bell/jobs", Vec::new())];
        Lasting(lists.map(|(path, items)| (path.to_owned(), items)).into())
    }

    #[test]
    fn what_later_kills_have_lost_or_changed_is_named() {
        let job = |job, state| json!({"job": job, "state": state});
        let then = lasting(&[job("1", "done"), job("2", "dead"), job("3", "ready")]);
        assert_eq!(then.items(), 2, "what is not over may change");
        assert!(!then.without().contains(&"jobs"));
        assert!(lasting(&[job("3", "ready")]).without().contains(&"jobs"));
        let more = lasting(&[job("1", "done"), job("2", "dead"), job("3", "done")]);
        assert!(then.lost(0, &more).is_empty());
        for now in [vec![job("1", "done")], vec![job("1", "done"), job("2", "done")]] {
            let lost = then.lost(7, &lasting(&now));
            let [lost] = lost.as_slice() else { panic!("{lost:?}") };
            assert!(lost.promise.contains("item 1 of those in /v1/queues/mails/jobs"), "{lost}");
            assert!(lost.whom.contains('7'));
        }
        assert_eq!(
            then.lost(0, &Lasting::default()).len(),
            1,
            "a list that is not there has nothing"
        );
    }
}
