//! The rows of feeds as version 1 writes them.

use super::{Town, follow, post, react, tie};
use crate::{driver::TENANT, golden::golden};
use evenkeel_domains::{
    Query,
    feed::{self, Action, Listed, Start, Tie, What},
};
use evenkeel_log::{Incarnation, Record};
use evenkeel_state::Order;

/// Something of everything.
fn town() -> Town {
    let mut town = Town::of(1);
    let number = town.post("ada", "1", "\"hello\"");
    for (user, action) in [
        ("bob", follow("ada", true)),
        ("eve", follow("ada", true)),
        ("bob", tie("dan", Tie::Mute, true)),
        ("ada", post("2", "\"again\"")),
        ("ada", react(number, "heart", "bob", true)),
        ("ada", tie("dan", Tie::Block, true)),
        ("eve", post("1", "\"hi\"")),
        ("eve", follow("ada", false)),
    ] {
        town.pass(1);
        town.ask(user, action).unwrap();
        town.carry(usize::MAX);
    }
    let gone = town.post("ada", "3", "\"gone\"");
    town.ask("ada", Action::Delete { post: gone }).unwrap();
    town.quiet();
    town.ask("ada", react(number, "heart", "eve", true)).unwrap();
    town
}

/// Its records.
pub(crate) fn told() -> Vec<Record> {
    town().drivers.remove(0).log
}

#[test]
fn rows_of_feeds_of_version_1() {
    let town = town();
    let driver = &town.drivers[0];
    let (_, follower) = golden("feed-1.txt", driver);
    let people = |listed| What::People { listed, after: None, order: Order::Ascending, limit: 9 };
    for (user, what) in [
        ("ada", What::User),
        ("ada", What::Posts { before: None, limit: 9 }),
        ("ada", people(Listed::Followers)),
        ("ada", people(Listed::Tied(Tie::Block))),
        ("bob", people(Listed::Following)),
        ("bob", What::Timeline { before: None, limit: 9 }),
        ("bob", What::Arrivals { after: Start::Oldest, limit: 9 }),
    ] {
        let query = Query::Feed(feed::Query { user: user.into(), by: None, what });
        let ask = |view| {
            evenkeel_domains::query(view, driver.now, Incarnation(1), TENANT, &query).unwrap()
        };
        assert_eq!(ask(&driver.partition.view()), ask(&follower.view()), "{query:?}");
    }
}
