//! Lists over all partitions, one after the other: what pages of each are asked for, and how they
//! are put together. A cursor names the partition and the last name that was looked at there.

use crate::{Called, Node, NodeError, Tenant};
use evenkeel_contract::Level;
use evenkeel_domains::{Found, Query, reservations, schedules};
use evenkeel_engine::Priority;
use evenkeel_log::{Files, PartitionId};

/// What was found so far of the things that can be listed so.
enum Items {
    Resources(Vec<reservations::ResourceView>),
    Schedules(Vec<schedules::ScheduleView>),
}

impl Items {
    /// None yet of what `query` asks for; after what, and how many it wants.
    fn of(query: Query) -> (Self, Option<String>, usize) {
        match query {
            Query::Reservations(reservations::Query::Resources { after, limit }) => {
                (Self::Resources(Vec::new()), after, limit)
            }
            Query::Schedules(schedules::Query::Schedules { after, limit }) => {
                (Self::Schedules(Vec::new()), after, limit)
            }
            _ => unreachable!("only these lists concern every partition"),
        }
    }

    fn query(&self, after: Option<String>, limit: usize) -> Query {
        match self {
            Self::Resources(_) => {
                Query::Reservations(reservations::Query::Resources { after, limit })
            }
            Self::Schedules(_) => Query::Schedules(schedules::Query::Schedules { after, limit }),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Resources(items) => items.len(),
            Self::Schedules(items) => items.len(),
        }
    }

    /// Takes a page; answers the last name looked at if its partition may have more.
    fn take(&mut self, page: Found) -> Option<String> {
        match (self, page) {
            (
                Self::Resources(items),
                Found::Reservations(reservations::Found::Resources(found, next)),
            ) => {
                items.extend(found);
                next
            }
            (
                Self::Schedules(items),
                Found::Schedules(schedules::Found::Schedules(found, next)),
            ) => {
                items.extend(found);
                next
            }
            _ => unreachable!("a list is answered by a list"),
        }
    }

    fn found(self, next: Option<String>) -> Found {
        match self {
            Self::Resources(items) => {
                Found::Reservations(reservations::Found::Resources(items, next))
            }
            Self::Schedules(items) => Found::Schedules(schedules::Found::Schedules(items, next)),
        }
    }
}

impl<F: Files> Node<F> {
    /// The page that `query` asks for.
    pub(crate) async fn list(
        &self,
        tenant: &Tenant,
        query: Query,
        level: Level,
        priority: Priority,
    ) -> Result<Called<Found>, NodeError> {
        let (mut items, after, limit) = Items::of(query);
        let mut as_of = Vec::new();
        let mut at = self.now();
        let partitions = self.0.partitions;
        let (first, mut after) = match after.as_deref().map(parse_cursor) {
            None => (0, None),
            Some(Some((partition, name))) => (partition, Some(name)),
            Some(None) => (partitions, None),
        };
        let mut next = None;
        for partition in first..partitions {
            let query = items.query(after.take(), limit - items.len());
            let page = self.read(PartitionId(partition), tenant.id, query, level, priority);
            let page = page.await?;
            as_of.extend(page.as_of);
            at = page.at;
            next = items.take(page.answer).map(|name| format!("{partition}:{name}"));
            let more = partition + 1 < partitions;
            if next.is_none() && items.len() == limit && more {
                next = Some(format!("{}:", partition + 1));
            }
            if next.is_some() {
                break;
            }
        }
        Ok(Called { answer: items.found(next), replayed: false, as_of, staleness_ms: 0, at })
    }
}

fn parse_cursor(cursor: &str) -> Option<(u16, String)> {
    let (partition, name) = cursor.split_once(':')?;
    Some((partition.parse().ok()?, name.to_owned()))
}
