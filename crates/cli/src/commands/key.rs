//! `evenkeel key`: who may ask. All of it goes through the API.

use crate::{client::ServerArgs, failure::Failure, output};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Create, list and revoke API keys.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Create a key; it is printed on stdout, and never shown again.
    Create(Create),
    /// List the keys, without their secrets.
    List(List),
    /// Revoke a key: no new request with it is let in.
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Whose key it is, if not the caller's; a new tenant is created.
    #[arg(long)]
    tenant: Option<String>,
    /// What it may do, such as reservations:read or admin; may be repeated.
    #[arg(long = "scope", value_name = "SCOPE",
          default_values = ["reservations:read", "reservations:write"])]
    scopes: Vec<String>,
    /// What it is for, in your words.
    #[arg(long, default_value = "")]
    label: String,
    /// Print everything about it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    /// The key's id: the part between `ek_` and the next `_`.
    id: String,
    #[command(flatten)]
    server: ServerArgs,
}

/// A key as the API answers it.
#[derive(Debug, Serialize, Deserialize)]
struct Key {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    tenant: String,
    scopes: Vec<String>,
    #[serde(default)]
    label: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    match args.action {
        Action::Create(args) => create(&args).await,
        Action::List(args) => list(&args).await,
        Action::Revoke(args) => revoke(&args).await,
    }
}

async fn create(args: &Create) -> Result<(), Failure> {
    let mut body = json!({ "scopes": args.scopes, "label": args.label });
    if let Some(tenant) = &args.tenant {
        body["tenant"] = json!(tenant);
    }
    let mut api = args.server.api().await?;
    let created: Key = api.call("POST", "/v1/keys", Some(body.to_string().as_bytes())).await?;
    if args.json {
        return output::json(&created);
    }
    eprintln!(
        "key {} of tenant {} may: {}; it is shown only now",
        created.id,
        created.tenant,
        created.scopes.join(", ")
    );
    output::line(&created.key.unwrap_or_default())
}

async fn list(args: &List) -> Result<(), Failure> {
    let keys: Vec<Key> = args.server.api().await?.list("/v1/keys").await?;
    if args.json {
        return output::json(&keys);
    }
    let mut out = format!("{:<24} {:<16} {:<40} {}\n", "ID", "TENANT", "SCOPES", "LABEL");
    for key in keys {
        let scopes = key.scopes.join(",");
        out.push_str(&format!("{:<24} {:<16} {scopes:<40} {}\n", key.id, key.tenant, key.label));
    }
    output::print(&out)
}

async fn revoke(args: &Revoke) -> Result<(), Failure> {
    let id = &args.id;
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(Failure::Usage(
            "that is no key's id: it is the part between `ek_` and the next `_`".to_owned(),
        ));
    }
    let mut api = args.server.api().await?;
    let answer = api.send("DELETE", &format!("/v1/keys/{id}"), None).await?;
    if !answer.is_success() {
        return Err(Failure::failed(format!("key {id} is not revoked: {}", answer.problem())));
    }
    eprintln!("key {id} is revoked");
    Ok(())
}
