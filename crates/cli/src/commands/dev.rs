//! `evenkeel dev`: a server to play with, on this machine, without keys, with something in it.

use super::{
    demo, drill,
    running::{Directory, Running},
    traffic,
};
use crate::{
    config::{Sources, load},
    failure::Failure,
    output,
};
use evenkeel_drill::breakages::BREAKAGES;
use evenkeel_server::{Auth, Demo, DemoBreakage, StaticFile};
use std::{net::SocketAddr, path::PathBuf};

/// Where the example is that shows two users chatting.
const CHAT: &str = "/examples/chat/";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
/// The example's files. It speaks for any user, as whoever is on this machine may here, so only `dev` has it.
const CHAT_FILES: &[StaticFile] = &[
    StaticFile {
        path: CHAT,
        content_type: "text/html; charset=utf-8",
        text: include_str!("../../../../examples/chat/index.html"),
    },
    StaticFile {
        path: "/examples/chat/chat.css",
        content_type: "text/css; charset=utf-8",
        text: include_str!("../../../../examples/chat/chat.css"),
    },
    StaticFile {
        path: "/examples/chat/chat.js",
        content_type: JAVASCRIPT,
        text: include_str!("../../../../examples/chat/chat.js"),
    },
    StaticFile {
        path: "/examples/chat/connection.js",
        content_type: JAVASCRIPT,
        text: include_str!("../../../../examples/chat/connection.js"),
    },
];

/// Start a server to play with: loopback, no keys, throw-away data, a small demo inside.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep the data in this directory; else it is removed at exit.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one.
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
    /// Leave the demo alone; else a few requests a second use it, so that everything moves.
    #[arg(long)]
    no_traffic: bool,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let http = args.http.map(|http| http.to_string());
    let resp = args.resp.map(|resp| resp.to_string());
    let grpc = args.grpc.map(|grpc| grpc.to_string());
    let rules = args.envoy_rules.map(|rules| rules.to_string_lossy().into_owned());
    let sources = Sources::of_process(None)?
        .flag(("server", "http"), "--http", http)
        .flag(("server", "resp"), "--resp", resp)
        .flag(("server", "grpc"), "--grpc", grpc)
        .flag(("server", "envoy_rules"), "--envoy-rules", rules)
        .flag(("server", "envoy_windows"), "--envoy-windows", args.envoy_windows);
    let mut settings = load(&sources)?.settings;
    settings.server.files = CHAT_FILES;
    settings.server.demo = Some(to_play_with());
    let mut addresses = [Some(settings.http), settings.resp, settings.grpc].into_iter().flatten();
    if let Some(open) = addresses.find(|address| !address.ip().is_loopback()) {
        return Err(Failure::Usage(format!(
            "dev asks for no keys, so it listens on this machine only, and {open} is not; `evenkeel \
             serve` is for others"
        )));
    }
    // Removed when this function ends; the directory of the caller's choice is not.
    let throw_away = match args.data {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("evenkeel-dev-").tempdir()?),
    };
    let chosen = args.data.as_deref();
    let data = chosen.or(throw_away.as_ref().map(tempfile::TempDir::path));
    let data = data.expect("without a chosen directory there is a throw-away one");
    let directory = Directory { path: data, init: true, throw_away: throw_away.is_some() };
    let running = Running::open(&settings, directory, Auth::Open).await?;
    demo::seed(&running.node).await?;
    let kept = if throw_away.is_some() { "removed at exit" } else { "kept" };
    if let Some(grpc) = running.grpc_address() {
        output::line(&format!("Envoy's rate limit service at {grpc}"))?;
    }
    if let Some(resp) = running.resp_address() {
        output::line(&format!("Redis's protocol for rate limits at {resp}"))?;
    }
    let url = running.url();
    output::print(&welcome(&url, &format!("{} ({kept})", data.display())))?;
    let traffic = async {
        if !args.no_traffic
            && let Err(error) = traffic::run(&url).await
        {
            tracing::warn!(%error, "nothing moves by itself");
        }
        std::future::pending().await
    };
    tokio::select! {
        ended = running.serve() => ended,
        ended = traffic => ended,
    }
}

/// What the page at `/` shows moving, and what can be broken.
fn to_play_with() -> Demo {
    let breakages = BREAKAGES.iter().map(|breakage| DemoBreakage {
        product: breakage.product(),
        takes_away: breakage.takes_away,
        protects: breakage.protects,
        command: format!("evenkeel drill sim --break {}", breakage.name),
    });
    Demo { watch: traffic::watched(), breakages: breakages.collect() }
}

fn welcome(url: &str, data: &str) -> String {
    let (resource, queue) = (demo::FIRST, demo::QUEUE);
    let elsewhere = if url.ends_with(":7480") { String::new() } else { format!(" --url {url}") };
    format!(
        "Evenkeel is ready at {url}\n\
         \n  {url}/                five products that move: what they promise, what they deliver\
         \n  {url}/openapi.json    every route\
         \n  {url}{CHAT}  two users chatting\
         \n  data: {data}\n\
         \nHold two places of the demo's \"{resource}\" for five minutes:\n\
         \n  curl -sS {url}/v1/resources/{resource}/holds --json \
         '{{\"holder\":\"you\",\"quantity\":2,\"ttl_ms\":300000}}'\n\
         \nWhy is that safe, and what does it cost?\n\
         \n  evenkeel explain reservations.hold{elsewhere}\n\
         \nRun a command for each job of the demo's queue \"{queue}\":\n\
         \n  evenkeel work --queue {queue} --exec 'cat >&2'{elsewhere}\n\
         \nWhat breaks if the disk is not asked to keep what was written?\n\
         \n  {}\n",
        drill::FIRST,
    )
}
