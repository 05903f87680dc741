//! Who speaks on a connection, and what they may.

use crate::{
    auth::{self, Caller, FEED_READ, Needs},
    chat::check_reach,
    code::Code,
    edge::Edge,
    options::Auth,
    problem::Problem,
    time::wall_clock,
};
use evenkeel_node::Tenant;
use hyper::{HeaderMap, header::AUTHORIZATION};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Who it is.
#[derive(Debug, Clone)]
pub(super) struct Who {
    caller: Caller,
    /// The user; none if it is the product's back end, which names one where it takes one.
    pub(super) user: Option<Arc<str>>,
}

impl Who {
    /// Whoever `headers` say, if they say it. Browsers cannot, and say it in their first frame.
    pub(super) fn of_headers(edge: &Edge, headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        if edge.options.auth == Auth::Open {
            return Ok(Some(Self::of(auth::anonymous(&edge.node.meta()))));
        }
        let Some(header) = headers.get(AUTHORIZATION) else { return Ok(None) };
        let sent = header.to_str().ok().and_then(auth::bearer).ok_or_else(auth::not_bearer)?;
        Self::of_credentials(edge, sent).map(Some)
    }

    /// Whoever has these credentials: an API key, or a user's token.
    pub(super) fn of_credentials(edge: &Edge, credentials: &str) -> Result<Self, Problem> {
        let meta = edge.node.meta();
        if edge.options.auth == Auth::Open {
            return Ok(Self::of(auth::anonymous(&meta)));
        }
        let needs = Needs::Nothing;
        auth::identify(credentials.trim(), needs, &meta, wall_clock()).map(Self::of)
    }

    fn of(caller: Caller) -> Self {
        let user = caller.user.as_ref().map(|user| user.name.as_str().into());
        Self { caller, user }
    }

    /// Whether `other` is the same, with whatever key or token.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.tenant() == other.tenant() && self.user == other.user
    }

    pub(super) fn tenant(&self) -> &Tenant {
        &self.caller.tenant
    }

    /// When their token ends, if they have one.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        let ends = self.caller.user.as_ref()?.expires_at;
        let left_ms = ends.0.saturating_sub(wall_clock().0);
        Instant::now().checked_add(Duration::from_millis(left_ms))
    }

    /// Whether they may do what takes `scope` in `conversation`, now.
    pub(super) fn check(
        &self,
        edge: &Edge,
        scope: &'static str,
        conversation: &str,
    ) -> Result<(), Problem> {
        self.check_still(edge, Needs::User(scope))?;
        check_reach(&self.caller, conversation)
    }

    /// Whether they may read the timeline of `user`, now.
    pub(super) fn check_timeline(&self, edge: &Edge, user: &str) -> Result<(), Problem> {
        self.check_still(edge, Needs::User(FEED_READ))?;
        let actor = crate::feed::actor_of(&self.caller)?;
        if actor.is_none_or(|actor| actor == user) {
            return Ok(());
        }
        Err(Problem::new(Code::Forbidden, "nobody reads somebody else's timeline"))
    }

    /// Whether they still are who they were.
    pub(super) fn is_welcome(&self, edge: &Edge) -> bool {
        self.check_still(edge, Needs::Nothing).is_ok()
    }

    fn check_still(&self, edge: &Edge, needs: Needs) -> Result<(), Problem> {
        auth::recheck(edge.options.auth, &self.caller, needs, &edge.node.meta(), wall_clock())
    }
}
