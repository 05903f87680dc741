//! `evenkeel serve`: a durable server.

use super::running::{Directory, Running};
use crate::{
    config::{Config, Rules, Sources, load},
    failure::Failure,
    output,
};
use evenkeel_contract::Overrides;
use evenkeel_domains::{Command, meta};
use evenkeel_node::{CallOptions, Node};
use evenkeel_server::{AdminKey, Auth};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Start a durable server.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory of everything that is kept.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Let an empty directory become a new, empty database; an existing one is simply opened.
    #[arg(long)]
    init: bool,
    /// Where to listen; port 0 takes a free one. [default: 127.0.0.1:7480]
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Where to serve Redis's protocol for rate limits, such as 127.0.0.1:7481; else nowhere.
    #[arg(long, value_name = "ADDR")]
    resp: Option<SocketAddr>,
    /// Where to serve Envoy's rate limit service (gRPC), such as 127.0.0.1:7482; else nowhere.
    #[arg(long, value_name = "ADDR", hide = !cfg!(feature = "grpc"))]
    grpc: Option<SocketAddr>,
    /// The directory of Envoy's rules: files *.yaml as envoyproxy/ratelimit has them.
    #[arg(long, value_name = "DIR", hide = !cfg!(feature = "grpc"))]
    envoy_rules: Option<PathBuf>,
    /// Where a unit of Envoy's limits begins: rolling (anywhere) or calendar (on the clock).
    #[arg(long, value_name = "KIND", hide = !cfg!(feature = "grpc"))]
    envoy_windows: Option<String>,
    /// Settings, as `evenkeel config init` writes them.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Ask for no keys: everyone who reaches it may do everything. Loopback only.
    #[arg(long)]
    insecure_no_auth: bool,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let Config { settings, paths, rules, .. } = configure(&args)?;
    let Some(data) = settings.data.clone() else {
        return Err(Failure::Usage(
            "serve keeps everything in one directory: say which with --data DIR".to_owned(),
        ));
    };
    let auth = if args.insecure_no_auth { Auth::Open } else { Auth::Keys };
    let addresses = [Some(settings.http), settings.resp, settings.grpc].into_iter().flatten();
    if auth == Auth::Open
        && let Some(open) = addresses.into_iter().find(|address| !address.ip().is_loopback())
    {
        return Err(Failure::Usage(format!(
            "with --insecure-no-auth anyone who reaches {open} may do everything, and others than \
             this machine reach it; listen on 127.0.0.1, or leave --insecure-no-auth out"
        )));
    }
    if !args.init && is_empty(&data) {
        return Err(Failure::failed(format!(
            "{} is empty. If this is a first start, say so with --init; if not, a disk is perhaps \
             not mounted, and an empty database in its place would forget everything",
            data.display()
        )));
    }
    let directory = Directory { path: &data, init: args.init, throw_away: false };
    let running = Running::open(&settings, directory, auth).await?;
    if let Some(paths) = &paths {
        store_contracts(&running.node, paths).await?;
    }
    if let Some(rules) = &rules {
        store_rules(&running.node, rules).await?;
    }
    match auth {
        Auth::Open => eprintln!(
            "evenkeel: WARNING: --insecure-no-auth: NO KEYS ARE ASKED FOR. Everyone who reaches {} \
             may read and change everything",
            running.address
        ),
        Auth::Keys => first_key(&running.node).await?,
    }
    if let Some(grpc) = running.grpc_address() {
        announce(&format!("Envoy's rate limit service at {grpc}"))?;
    }
    if let Some(resp) = running.resp_address() {
        announce(&format!("Redis's protocol for rate limits at {resp}"))?;
    }
    announce(&format!("Evenkeel is ready at {}", running.url()))?;
    running.serve().await
}

fn configure(args: &Args) -> Result<Config, Failure> {
    let data = args.data.as_ref().map(|data| data.to_string_lossy().into_owned());
    let http = args.http.map(|http| http.to_string());
    let resp = args.resp.map(|resp| resp.to_string());
    let grpc = args.grpc.map(|grpc| grpc.to_string());
    let rules = args.envoy_rules.as_ref().map(|rules| rules.to_string_lossy().into_owned());
    let sources = Sources::of_process(args.config.as_deref())?
        .flag(("node", "data"), "--data", data)
        .flag(("server", "http"), "--http", http)
        .flag(("server", "resp"), "--resp", resp)
        .flag(("server", "grpc"), "--grpc", grpc)
        .flag(("server", "envoy_rules"), "--envoy-rules", rules)
        .flag(("server", "envoy_windows"), "--envoy-windows", args.envoy_windows.clone());
    Ok(load(&sources)?)
}

/// What is not there is empty too: so looks a disk that is not mounted.
fn is_empty(data: &Path) -> bool {
    std::fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_none()) || !data.exists()
}

/// Without an administrator's key nobody could ever ask for one. It is shown before it is stored:
/// the other way round, a crash or a closed stdout between the two would lock everyone out.
async fn first_key(node: &Node) -> Result<(), Failure> {
    if evenkeel_server::has_admin_key(&node.meta()) {
        return Ok(());
    }
    let key = AdminKey::mint();
    eprintln!(
        "evenkeel: there was no key with the scope admin. This one may do everything and is shown \
         only now; programs read it from EVENKEEL_KEY:"
    );
    announce(&format!("admin key: {}", key.shown()))?;
    key.store(node)
        .await
        .map_err(|error| Failure::because("the admin key is not stored, and opens nothing", error))
}

/// Says something that whoever starts a server must hear: without a reader it does not start.
fn announce(text: &str) -> Result<(), Failure> {
    match output::line(text) {
        Err(Failure::Ended(_)) => Err(Failure::failed(
            "nobody reads stdout, where serve says its address and, once, its admin key: it does \
             not start",
        )),
        said => said,
    }
}

/// Writes the file's contracts to `meta` if it has others. From then on `meta` rules.
async fn store_contracts(
    node: &Node,
    paths: &BTreeMap<&'static str, Overrides>,
) -> Result<(), Failure> {
    let changed = paths.iter().filter(|(_, overrides)| !overrides.is_empty());
    let wanted = changed
        .map(|(path, overrides)| Ok(((*path).to_owned(), serde_json::to_string(overrides)?)))
        .collect::<Result<BTreeMap<String, String>, serde_json::Error>>()?;
    if node.meta().meta.contracts == wanted {
        return Ok(());
    }
    let action = meta::Action::SetContracts(wanted.into_iter().collect());
    let command = Command::Meta(meta::Command { action });
    let tenant = node.tenant("default")?;
    node.command(&tenant, command, CallOptions::default()).await.map_err(|error| {
        Failure::because("cannot store the contracts of the config file", error)
    })?;
    tracing::info!("the contracts of the config file are stored");
    Ok(())
}

/// The same of its outbox rules. A queue that there is not may still be created.
async fn store_rules(node: &Node, wanted: &Rules) -> Result<(), Failure> {
    let view = node.meta();
    let stored = view.meta.rules.values().map(|rules| (rules.tenant.clone(), rules.rules.clone()));
    if stored.collect::<Rules>() != *wanted {
        let rules = wanted.iter().map(|(tenant, rules)| (tenant.clone(), rules.clone()));
        let action = meta::Action::SetRules(rules.collect());
        let command = Command::Meta(meta::Command { action });
        let tenant = node.tenant("default")?;
        node.command(&tenant, command, CallOptions::default()).await.map_err(|error| {
            Failure::because("cannot store the rules of the config file", error)
        })?;
        tracing::info!("the rules of the config file are stored");
    }
    let view = node.meta();
    for rules in view.meta.rules.values() {
        let Some(tenant) = view.meta.tenants.get(&rules.tenant) else { continue };
        for rule in &rules.rules {
            if view.meta.queue(*tenant, &rule.queue).is_none() {
                let (tenant, queue, on) = (&rules.tenant, &rule.queue, rule.on.name());
                tracing::warn!(tenant, queue, on, "a rule's queue is not there (yet)");
            }
        }
    }
    Ok(())
}
