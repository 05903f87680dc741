//! Lists of users, by name, both ways.

use super::{
    Tie,
    queries::{Listed, PersonView},
    tables::{Followers, Follows, Ties},
};
use crate::reservations::PAGE_ROWS_MAX;
use evenkeel_engine::Time;
use evenkeel_state::{Order, Read, StateError};
use std::ops::Bound;

/// The key of each of the tables: the user's id, the other's name.
type Key = (u64, String);

/// Up to `limit` of them beyond a name, and the last name looked at if there may be more.
pub(super) fn page(
    read: &impl Read,
    user: u64,
    listed: Listed,
    after: Option<&str>,
    order: Order,
    limit: usize,
) -> Result<(Vec<PersonView>, Option<String>), StateError> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let range = range(user, after, order);
    let rows: Vec<(String, Option<Time>)> = match listed {
        Listed::Followers => {
            let rows = read.scan::<Followers>(range, order, limit)?;
            rows.into_iter().map(|((_, user), since)| (user, Some(since.0))).collect()
        }
        Listed::Following => {
            let rows = read.scan::<Follows>(range, order, limit)?;
            rows.into_iter().map(|((_, user), follow)| (user, Some(follow.at))).collect()
        }
        Listed::Tied(tie) => {
            let rows = read.scan::<Ties>(range, order, limit)?;
            let since = |tied: super::tables::Tied| match tie {
                Tie::Block => tied.blocked_at,
                Tie::Mute => tied.muted_at,
            };
            rows.into_iter().map(|((_, user), tied)| (user, since(tied))).collect()
        }
    };
    let next = rows.last().filter(|_| rows.len() == limit).map(|(user, _)| user.clone());
    let person = |(user, since): (String, Option<Time>)| Some(PersonView { user, since: since? });
    Ok((rows.into_iter().filter_map(person).collect(), next))
}

/// All names beyond one.
fn range(user: u64, after: Option<&str>, order: Order) -> (Bound<Key>, Bound<Key>) {
    let all = (Bound::Included((user, String::new())), Bound::Excluded((user + 1, String::new())));
    let Some(after) = after else { return all };
    let after = Bound::Excluded((user, after.to_owned()));
    match order {
        Order::Ascending => (after, all.1),
        Order::Descending => (all.0, after),
    }
}
