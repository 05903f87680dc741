//! The bodies that callers send, and what is checked about them before a partition sees them.

use crate::{
    chat::check_name,
    json::{self, Document},
    problem::Problem,
};
use evenkeel_domains::feed::{Action, POST_BYTES_MAX};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A post.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PostRequest {
    /// Names it among all that this user posts: sent again, it is the same post.
    client_id: String,
    /// What is posted: any JSON, at most 32 KiB.
    #[schema(value_type = Object)]
    body: Box<RawValue>,
}

impl Document for PostRequest {
    const FIELDS: &'static [&'static str] = &["client_id", "body"];

    fn absent() -> Option<Self> {
        None
    }
}

impl PostRequest {
    pub(super) fn action(self) -> Result<Action, Problem> {
        check_name("client_id", &self.client_id)?;
        let body = json::passed_on("body", &self.body, POST_BYTES_MAX)?;
        Ok(Action::Post { client_id: self.client_id, body })
    }
}
