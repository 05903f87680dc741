//! API keys over HTTP: made, listed without their secrets, revoked. What a key may do is checked
//! in `auth`. A key is drawn at random for each request: what a retry finds under its idempotency
//! key is the first one, without the secret.

use crate::{
    answer::{Answer, Delivered},
    auth::{self, DEFAULT_TENANT, Minted, SCOPES},
    call::{Call, Filled, Page},
    code::Code,
    cursor::List,
    json,
    problem::Problem,
    text::is_name,
    time::Rfc3339,
};
use evenkeel_contract::nearest;
use evenkeel_domains::{Command, Reply, meta};
use evenkeel_node::{CallOptions, MetaView, Node, NodeError, Tenant};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use std::ops::Bound;
use utoipa::ToSchema;

type Answered = Result<Answer, Problem>;

/// The longest text that says what a key is for.
const LABEL_BYTES_MAX: usize = 128;

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRequest {
    /// Whose it is to be; one's own unless given. Only keys of the tenant `default` name others.
    tenant: Option<String>,
    /// What it may do.
    scopes: Vec<String>,
    /// What it is for.
    label: Option<String>,
}

impl json::Document for KeyRequest {
    const FIELDS: &'static [&'static str] = &["tenant", "scopes", "label"];
}

/// A key that was made: its secret is never shown again.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedKey)]
pub(crate) struct CreatedKeyBody<'k> {
    id: &'k str,
    /// What its holder sends; null in a replay, since only its hash is kept.
    #[schema(required)]
    key: Option<String>,
    tenant: &'k str,
    scopes: &'k [String],
    label: &'k str,
}

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyBody<'k> {
    id: &'k str,
    tenant: &'k str,
    scopes: &'k [String],
    label: &'k str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Rfc3339,
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyList<'k> {
    items: Vec<KeyBody<'k>>,
    /// Where the list goes on; null only at its end.
    cursor: Option<String>,
}

/// `POST /v1/keys`
pub(crate) async fn create(mut call: Call) -> Answered {
    let KeyRequest { tenant, scopes, label } = call.document().await?;
    let own = &call.caller.tenant.name;
    let tenant = tenant.unwrap_or_else(|| own.to_string());
    if !is_name(&tenant) {
        return Err(Problem::field("tenant", "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -"));
    }
    if *tenant != **own && **own != *DEFAULT_TENANT {
        let detail = "only keys of the tenant default make keys for other tenants";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    let scopes = checked_scopes(scopes)?;
    let label = checked_label(label)?;
    let minted = Minted::at_random();
    let command = create_command(&minted, tenant, scopes, label);
    let (reply, delivered) = call.command(command).await?;
    let Reply::Meta(meta::Reply::Key { id, tenant, scopes, label }) = reply else {
        unreachable!("a key is answered by a key")
    };
    let body = CreatedKeyBody {
        id: &id,
        key: (!delivered.replayed).then(|| minted.shown()),
        tenant: &tenant,
        scopes: &scopes,
        label: &label,
    };
    Ok(Answer::json(StatusCode::CREATED, &body).delivered(delivered))
}

fn create_command(minted: &Minted, tenant: String, scopes: Vec<String>, label: String) -> Command {
    let action = meta::Action::CreateKey {
        id: minted.id.clone(),
        secret_hash: minted.secret_hash,
        tenant,
        scopes,
        label,
    };
    Command::Meta(meta::Command { action })
}

/// What a key is for, in its owner's words; nothing unless they say.
pub(crate) fn checked_label(label: Option<String>) -> Result<String, Problem> {
    let label = label.unwrap_or_default();
    if label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control) {
        let rule = format!("must be at most {LABEL_BYTES_MAX} bytes without control characters");
        return Err(Problem::field("label", &rule));
    }
    Ok(label)
}

fn checked_scopes(scopes: Vec<String>) -> Result<Vec<String>, Problem> {
    if scopes.is_empty() || scopes.len() > SCOPES.len() {
        return Err(Problem::field("scopes", &format!("must be some of {}", SCOPES.join(", "))));
    }
    for (at, scope) in scopes.iter().enumerate() {
        if !SCOPES.contains(&scope.as_str()) {
            let hint = nearest(scope, SCOPES).map_or_else(
                || format!("known are {}", SCOPES.join(", ")),
                |meant| format!("did you mean {meant}?"),
            );
            return Err(Problem::field("scopes", &format!("has an unknown one at {at}; {hint}")));
        }
        if scopes[..at].contains(scope) {
            return Err(Problem::field("scopes", &format!("names {scope} twice")));
        }
    }
    Ok(scopes)
}

/// `GET /v1/keys`: those of one's tenant; of all tenants for keys of the tenant `default`.
pub(crate) fn list(call: &Call) -> Answered {
    let parameters = call.parameters()?;
    let view = call.meta()?;
    let own = &*call.caller.tenant.name;
    let list = List(&["keys", own]);
    let page = Page::of(&parameters, &list)?;
    let from = page.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let keys = view.meta.keys.range::<str, _>((from, Bound::Unbounded));
    let seen = keys.filter(|(_, key)| own == DEFAULT_TENANT || key.tenant == own);
    let Filled { items, more } = page.fill(seen.map(|(id, key)| KeyBody {
        id,
        tenant: &key.tenant,
        scopes: &key.scopes,
        label: &key.label,
        created_at: Rfc3339(key.created_at),
    }));
    let cursor = items.last().filter(|_| more).map(|key| list.cursor(key.id));
    let answer = Answer::json(StatusCode::OK, &KeyList { items, cursor });
    Ok(match view.as_of {
        Some(as_of) => {
            answer.delivered(Delivered { as_of: vec![as_of], staleness_ms: 0, replayed: false })
        }
        None => answer,
    })
}

/// `DELETE /v1/keys/{id}`
pub(crate) async fn revoke(call: Call) -> Answered {
    let id = call.name(0)?;
    let own = &call.caller.tenant.name;
    let tenant = (**own != *DEFAULT_TENANT).then(|| own.to_string());
    let action = meta::Action::RevokeKey { id, tenant };
    let (_, delivered) = call.command(Command::Meta(meta::Command { action })).await?;
    Ok(Answer::empty().delivered(delivered))
}

/// A key that may do everything as the tenant `default`, for when nobody has one to ask for one
/// with. It counts once it is stored; show it before, since nobody can afterwards.
pub struct AdminKey(Minted);

impl AdminKey {
    /// Another key each time.
    #[must_use]
    pub fn mint() -> Self {
        Self(Minted::at_random())
    }

    /// What its holder sends.
    #[must_use]
    pub fn shown(&self) -> String {
        self.0.shown()
    }

    /// Has `node` let its holder in.
    pub async fn store(&self, node: &Node) -> Result<(), NodeError> {
        let scopes = vec![auth::ADMIN.to_owned()];
        let (own, label) = (DEFAULT_TENANT.to_owned(), "made at start".to_owned());
        let command = create_command(&self.0, own, scopes, label);
        let tenant =
            Tenant { id: evenkeel_engine::TenantId::default(), name: DEFAULT_TENANT.into() };
        node.command(&tenant, command, CallOptions::default()).await?;
        Ok(())
    }
}

/// Whether anyone has a key that may do everything.
#[must_use]
pub fn has_admin_key(meta: &MetaView) -> bool {
    let mut keys = meta.meta.keys.values();
    keys.any(|key| key.scopes.iter().any(|scope| scope == auth::ADMIN))
}
