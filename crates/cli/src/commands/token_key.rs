//! `evenkeel token-key`: what tokens of end users are signed with. All of it goes through the API.

use crate::{client::ServerArgs, failure::Failure, output};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Create, list and revoke the keys with which your back end signs tokens for its users.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Create a token key; its kid is printed on stdout, and on a second line the secret, if the server drew one.
    Create(Create),
    /// List the token keys of the caller's tenant, without what they sign with.
    List(List),
    /// Revoke a token key: no new request with a token of it is let in.
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// For EdDSA: the 32 bytes of an Ed25519 public key in base64url. The server then holds no secret,
    /// which is the better choice; without this it is HS256.
    #[arg(long, value_name = "BASE64URL")]
    public_key: Option<String>,
    /// For HS256: a file with a secret of 32 to 64 bytes in base64url. Without it the server draws one,
    /// which is never shown again.
    #[arg(long, value_name = "FILE", conflicts_with = "public_key")]
    secret_file: Option<PathBuf>,
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
    /// What its tokens name it by.
    kid: String,
    #[command(flatten)]
    server: ServerArgs,
}

/// A token key as the API answers it. It has no `Debug`: it may hold a secret.
#[derive(Serialize, Deserialize)]
struct TokenKey {
    kid: String,
    algorithm: String,
    #[serde(default)]
    label: String,
    created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    match args.action {
        Action::Create(args) => create(&args).await,
        Action::List(args) => list(&args).await,
        Action::Revoke(args) => revoke(&args).await,
    }
}

async fn create(args: &Create) -> Result<(), Failure> {
    let mut body = match &args.public_key {
        Some(public_key) => json!({ "algorithm": "EdDSA", "public_key": public_key }),
        None => json!({ "algorithm": "HS256" }),
    };
    if let Some(path) = &args.secret_file {
        body["secret"] = json!(secret(path)?);
    }
    body["label"] = json!(args.label);
    let mut api = args.server.api().await?;
    let created: TokenKey =
        api.call("POST", "/v1/token-keys", Some(body.to_string().as_bytes())).await?;
    if args.json {
        return output::json(&created);
    }
    let TokenKey { kid, algorithm, secret, .. } = created;
    match secret {
        Some(secret) => {
            eprintln!("token key {kid} of {algorithm}; its secret is shown only now");
            output::line(&format!("{kid}\n{secret}"))
        }
        None => {
            eprintln!("token key {kid} of {algorithm}");
            output::line(&kid)
        }
    }
}

fn secret(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::because(format!("cannot read the secret in {}", path.display()), error)
    })?;
    Ok(text.trim().to_owned())
}

async fn list(args: &List) -> Result<(), Failure> {
    let keys: Vec<TokenKey> = args.server.api().await?.list("/v1/token-keys").await?;
    if args.json {
        return output::json(&keys);
    }
    let mut out = format!("{:<20} {:<10} {:<25} {}\n", "KID", "ALGORITHM", "CREATED", "LABEL");
    for key in keys {
        let TokenKey { kid, algorithm, label, created_at, .. } = key;
        out.push_str(&format!("{kid:<20} {algorithm:<10} {created_at:<25} {label}\n"));
    }
    output::print(&out)
}

async fn revoke(args: &Revoke) -> Result<(), Failure> {
    let kid = &args.kid;
    if kid.is_empty() || !kid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(Failure::Usage("that is no token key's kid: tk_ and 16 digits".to_owned()));
    }
    let mut api = args.server.api().await?;
    let answer = api.send("DELETE", &format!("/v1/token-keys/{kid}"), None).await?;
    if !answer.is_success() {
        let problem = answer.problem();
        return Err(Failure::failed(format!("token key {kid} is not revoked: {problem}")));
    }
    eprintln!("token key {kid} is revoked");
    Ok(())
}
