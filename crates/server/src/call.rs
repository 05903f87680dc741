//! One request on its way through a handler, and the few things that handlers do with it.

use crate::{
    answer::Delivered,
    auth::Caller,
    code::Code,
    cursor::List,
    edge::Edge,
    failure, headers, json,
    problem::Problem,
    query::Parameters,
    routes::Route,
    text::{is_name, percent_decoded},
};
use evenkeel_contract::{Level, Path};
use evenkeel_domains::{Command, Found, Query, Reply, path_number, reservations::PAGE_BYTES_MAX};
use evenkeel_node::{CallOptions, Called, MetaView, ReadOptions};
use hyper::{body::Incoming, http::request::Parts};
use serde::Serialize;
use std::sync::Arc;

/// A request that was let in.
pub(crate) struct Call {
    pub(crate) edge: Arc<Edge>,
    pub(crate) route: &'static Route,
    /// What the route is declared to promise.
    pub(crate) path: Option<&'static Path>,
    pub(crate) parts: Parts,
    pub(crate) caller: Caller,
    /// Taken by whoever reads it.
    pub(crate) body: Option<Incoming>,
}

impl Call {
    /// The name in the `n`-th place that the route has for one.
    pub(crate) fn name(&self, n: usize) -> Result<String, Problem> {
        let text = self.route.parameter(self.parts.uri.path(), n);
        percent_decoded(text).filter(|name| is_name(name)).map(Into::into).ok_or_else(|| {
            Problem::invalid("a name in the path must be 1 to 128 of A-Z a-z 0-9 . _ : @ -")
        })
    }

    /// The parameters after the `?`.
    pub(crate) fn parameters(&self) -> Result<Parameters<'_>, Problem> {
        Parameters::parse(self.parts.uri.query(), self.route.docs.query)
    }

    /// Reads and parses the body.
    pub(crate) async fn document<T: json::Document>(&mut self) -> Result<T, Problem> {
        let options = &self.edge.options;
        let body = self.body.take().expect("a handler reads its body once");
        let bytes = json::read(body, options.body_bytes_max, options.body_timeout).await?;
        if !bytes.is_empty() {
            json::check_content_type(&self.parts.headers)?;
        }
        json::parse(&bytes)
    }

    /// Has the node decide `command`.
    pub(crate) async fn command(&self, command: Command) -> Result<(Reply, Delivered), Problem> {
        let options = self.call_options(path_number(command.path()).is_some())?;
        let called = self.edge.node.command(&self.caller.tenant, command, options).await;
        called.map(Delivered::split).map_err(failure::problem)
    }

    /// How the caller wants something decided; `keyed` says whether an idempotency key counts.
    pub(crate) fn call_options(&self, keyed: bool) -> Result<CallOptions, Problem> {
        self.parameters()?;
        let key = headers::idempotency_key(&self.parts.headers)?;
        headers::consistency(&self.parts.headers, Level::ALL)?;
        Ok(CallOptions {
            idempotency_key: key.filter(|_| keyed),
            deadline: headers::deadline(&self.parts.headers)?,
            priority: headers::priority(&self.parts.headers)?,
            session: headers::session(&self.parts.headers)?,
        })
    }

    /// Has the node answer `query`.
    pub(crate) async fn query(&self, query: Query) -> Result<Called<Found>, Problem> {
        let options = self.read_options()?;
        let called = self.edge.node.query(&self.caller.tenant, query, options).await;
        called.map_err(failure::problem)
    }

    /// The node's copy of `meta`, to answer from: read as of what the caller has seen, and read at all.
    pub(crate) fn meta(&self) -> Result<Arc<MetaView>, Problem> {
        self.check_session()?;
        read(self.edge.node.meta())
    }

    /// Whether what the caller has seen is of this node's log. Who has the node answer need not ask.
    pub(crate) fn check_session(&self) -> Result<(), Problem> {
        let ReadOptions { level, session, .. } = self.read_options()?;
        if level == Some(Level::Eventual) {
            return Ok(());
        }
        self.edge.node.check_session(&session).map_err(failure::problem)
    }

    /// How the caller wants something read.
    pub(crate) fn read_options(&self) -> Result<ReadOptions, Problem> {
        let levels = self.path.map_or(Level::ALL, |path| path.facts.levels);
        let asked = headers::consistency(&self.parts.headers, levels)?;
        Ok(ReadOptions {
            level: asked.map(|(level, _)| level),
            max_staleness_ms: asked.and_then(|(_, bound_ms)| bound_ms),
            deadline: headers::deadline(&self.parts.headers)?,
            priority: headers::priority(&self.parts.headers)?,
            session: headers::session(&self.parts.headers)?,
        })
    }
}

/// `view`, unless there is none: `meta` is not served, and what nobody has read is not what is not
/// there.
pub(crate) fn read(view: Arc<MetaView>) -> Result<Arc<MetaView>, Problem> {
    match view.as_of {
        Some(_) => Ok(view),
        None => Err(Problem::new(Code::Unavailable, "the partition meta is not served")),
    }
}

/// A page of a list that is being asked for.
pub(crate) struct Page {
    pub(crate) limit: usize,
    pub(crate) after: Option<String>,
}

/// Items of a page that was put together here, and whether more follow them.
pub(crate) struct Filled<T> {
    pub(crate) items: Vec<T>,
    pub(crate) more: bool,
}

impl Page {
    /// The page of `list` that `parameters` ask for.
    pub(crate) fn of(parameters: &Parameters<'_>, list: &List<'_>) -> Result<Self, Problem> {
        let after = parameters.get("cursor").map(|cursor| list.place(cursor)).transpose()?;
        Ok(Self { limit: parameters.limit()?, after })
    }

    /// Takes items for it from a list that lies in memory: as many as are asked for, and no more
    /// than fit into `PAGE_BYTES_MAX` as answered. The domains bound what they read themselves.
    pub(crate) fn fill<T: Serialize>(&self, list: impl IntoIterator<Item = T>) -> Filled<T> {
        let mut filled = Filled { items: Vec::new(), more: false };
        let mut bytes = 0;
        for item in list {
            bytes += json::bytes(&item) + 1;
            // One is always taken: a list that stands still would never end.
            let full = filled.items.len() == self.limit || bytes > PAGE_BYTES_MAX;
            if full && !filled.items.is_empty() {
                filled.more = true;
                break;
            }
            filled.items.push(item);
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(limit: usize, items: &[usize]) -> (Vec<usize>, bool) {
        let page = Page { limit, after: None };
        let filled = page.fill(items.iter().map(|bytes| "x".repeat(*bytes)));
        (filled.items.iter().map(String::len).collect(), filled.more)
    }

    #[test]
    fn a_page_ends_at_its_limit_and_says_whether_more_follow() {
        assert_eq!(filled(2, &[]), (vec![], false));
        assert_eq!(filled(2, &[1, 2]), (vec![1, 2], false));
        assert_eq!(filled(2, &[1, 2, 3]), (vec![1, 2], true));
    }

    #[test]
    fn a_page_ends_before_it_has_too_many_bytes() {
        // With its quotes and its comma.
        let half = PAGE_BYTES_MAX / 2 - 3;
        assert_eq!(filled(1_000, &[half, half]), (vec![half, half], false));
        assert_eq!(filled(1_000, &[half, half, 0]), (vec![half, half], true));
        assert_eq!(filled(1_000, &[half, half + 1, 1]), (vec![half], true));
        let huge = 2 * PAGE_BYTES_MAX;
        assert_eq!(filled(1_000, &[huge, 1]), (vec![huge], true), "one is always taken");
    }
}
