//! The bodies that callers send, and what is checked about them before a partition sees them.

use crate::{
    json::{self, Document},
    problem::Problem,
    text::is_name,
};
use evenkeel_domains::chat::{
    Action, MEMBERS_A_CALL_MAX, MESSAGE_BYTES_MAX, Outgoing, RETENTION_MS_MAX, RETENTION_MS_MIN,
    Role,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use utoipa::ToSchema;

const NAME_RULE: &str = "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -";

/// What a conversation is to be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConversationRequest {
    /// Who is to be in it, at most 200 a call: names, or {"user", "role"}.
    #[serde(default)]
    members: Vec<NamedMember>,
    /// How long messages are kept: 3,600,000 (an hour) to about ten years; a year by default.
    retention_ms: Option<u64>,
}

/// A user, or a user in a role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, deny_unknown_fields)]
#[schema(as = NamedMember)]
pub(crate) enum NamedMember {
    Name(String),
    InRole {
        user: String,
        #[serde(default)]
        role: RoleName,
    },
}

/// What a member may do: read; send and react too; say who is in and delete what others sent too.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoleName {
    Reader,
    #[default]
    Writer,
    Moderator,
}

/// What a member is to be.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberRequest {
    #[serde(default)]
    role: RoleName,
    /// Who lets them in; the back end itself if nobody is named.
    pub(super) by: Option<String>,
}

/// A message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendRequest {
    /// Who says it. Whoever comes with a token of their own need not say.
    pub(super) sender: Option<String>,
    /// What is said: any JSON, at most 32 KiB.
    #[schema(value_type = Object)]
    body: Box<RawValue>,
    /// The message that it answers.
    reply_to: Option<u64>,
}

/// What a message is to say instead.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditRequest {
    /// Any JSON, at most 32 KiB.
    #[schema(value_type = Object)]
    body: Box<RawValue>,
    /// Who edits it; the back end itself if nobody is named.
    pub(super) by: Option<String>,
}

/// How far somebody has read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadRequest {
    /// Everything up to here.
    pub(super) seq: u64,
}

macro_rules! documents {
    ($($type:ident [$($field:literal),*] $absent:expr;)*) => {$(
        impl Document for $type {
            const FIELDS: &'static [&'static str] = &[$($field),*];

            fn absent() -> Option<Self> {
                $absent
            }
        }
    )*};
}

documents! {
    ConversationRequest ["members", "retention_ms", "user", "role"] Some(Self::default());
    MemberRequest ["role", "by"] Some(Self::default());
    SendRequest ["sender", "body", "reply_to"] None;
    EditRequest ["body", "by"] None;
    ReadRequest ["seq"] None;
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Reader => Self::Reader,
            RoleName::Writer => Self::Writer,
            RoleName::Moderator => Self::Moderator,
        }
    }
}

impl ConversationRequest {
    pub(super) fn action(self) -> Result<Action, Problem> {
        let Self { members: named, retention_ms } = self;
        if named.len() > MEMBERS_A_CALL_MAX {
            let rule =
                format!("must have at most {MEMBERS_A_CALL_MAX} a call: put the others one by one");
            return Err(Problem::field("members", &rule));
        }
        let mut members = BTreeMap::new();
        for one in named {
            let (user, role) = match one {
                NamedMember::Name(user) => (user, RoleName::default()),
                NamedMember::InRole { user, role } => (user, role),
            };
            check_name("members", &user)?;
            if members.insert(user, role.into()).is_some() {
                return Err(Problem::field("members", "names somebody twice"));
            }
        }
        if retention_ms.is_some_and(|ms| !(RETENTION_MS_MIN..=RETENTION_MS_MAX).contains(&ms)) {
            let rule = format!("must be {RETENTION_MS_MIN} to {RETENTION_MS_MAX}");
            return Err(Problem::field("retention_ms", &rule));
        }
        Ok(Action::Put { members, retention_ms })
    }
}

impl MemberRequest {
    pub(super) fn role(&self) -> Role {
        self.role.into()
    }
}

impl SendRequest {
    /// The message, which its sender calls `client_id`.
    pub(super) fn outgoing(self, client_id: String, sender: String) -> Result<Outgoing, Problem> {
        let Self { sender: _, body, reply_to } = self;
        outgoing(client_id, sender, &body, reply_to)
    }
}

/// A message, checked.
pub(crate) fn outgoing(
    client_id: String,
    sender: String,
    body: &RawValue,
    reply_to: Option<u64>,
) -> Result<Outgoing, Problem> {
    check_name("sender", &sender)?;
    check_name("client_id", &client_id)?;
    let body = json::passed_on("body", body, MESSAGE_BYTES_MAX)?;
    Ok(Outgoing { client_id, sender, body, reply_to })
}

impl EditRequest {
    pub(super) fn action(self, seq: u64) -> Result<Action, Problem> {
        let body = json::passed_on("body", &self.body, MESSAGE_BYTES_MAX)?;
        Ok(Action::Edit { seq, body })
    }
}

/// Whether `name` can be somebody's.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), Problem> {
    if is_name(name) { Ok(()) } else { Err(Problem::field(field, NAME_RULE)) }
}
