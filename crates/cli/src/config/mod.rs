//! Settings of a server: defaults, then a TOML file, then the environment, then flags.
//!
//! Every setting is one line of the table in `table`; parsing, checking, `config show`, `config
//! schema` and the file that `config init` writes all come from it. `[paths]` belongs to the
//! contract crate: it is handed through whole.

mod load;
mod problem;
mod render;
mod schema;
mod table;

pub(crate) use load::{Sources, load};
pub(crate) use problem::Problems;
pub(crate) use render::{show, show_json, template};
pub(crate) use schema::json_schema;

use evenkeel_contract::{Overrides, Registry};
use evenkeel_node::NodeOptions;
use evenkeel_server::{Auth, ServerOptions, push::PushOptions, resp::RespOptions};
use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// Where the server is unless somebody says otherwise: this machine only.
const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7480);

/// Where a limit's unit of time begins: anywhere, or on the clock.
pub(crate) const WINDOWS: [&str; 2] = ["rolling", "calendar"];
/// What is either done or not.
pub(crate) const SWITCH: [&str; 2] = ["off", "on"];

/// Everything that can be set, with a value.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where HTTP is served.
    pub(crate) http: SocketAddr,
    /// Where Redis's protocol is served, if it is.
    pub(crate) resp: Option<SocketAddr>,
    /// Where Envoy's rate limit service is served, if it is.
    pub(crate) grpc: Option<SocketAddr>,
    /// The directory of its rules.
    pub(crate) envoy_rules: Option<PathBuf>,
    /// One of [`WINDOWS`].
    pub(crate) envoy_windows: &'static str,
    /// One of [`SWITCH`].
    pub(crate) envoy_headers: &'static str,
    /// Whether jobs may be pushed to private addresses: one of [`SWITCH`].
    pub(crate) allow_private: &'static str,
    /// The limits of pushing.
    pub(crate) push: PushOptions,
    /// The directory of everything that is kept.
    pub(crate) data: Option<PathBuf>,
    /// The edge's limits; who may ask is not a setting but a flag.
    pub(crate) server: ServerOptions,
    /// The limits of Redis's protocol, likewise.
    pub(crate) resp_options: RespOptions,
    /// The node's limits; its directory is `data`.
    pub(crate) node: NodeOptions,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            http: HTTP,
            resp: None,
            grpc: None,
            envoy_rules: None,
            envoy_windows: WINDOWS[0],
            envoy_headers: SWITCH[0],
            allow_private: SWITCH[0],
            push: PushOptions::new(),
            data: None,
            server: ServerOptions::new(Auth::Keys),
            resp_options: RespOptions::new(Auth::Keys),
            node: NodeOptions::new(PathBuf::new()),
        }
    }
}

/// Settings, and who said each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    pub(crate) settings: Settings,
    /// By section and key; those that are not here have their default.
    pub(crate) origins: BTreeMap<(&'static str, &'static str), Origin>,
    /// The `[paths]` table, if there is one.
    pub(crate) paths: Option<BTreeMap<&'static str, Overrides>>,
}

impl Config {
    /// Who said what the setting is.
    pub(crate) fn origin(&self, section: &'static str, key: &'static str) -> Origin {
        self.origins.get(&(section, key)).cloned().unwrap_or(Origin::Default)
    }
}

/// Who said what a setting is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody.
    Default,
    /// A file.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// Every path with its defaults: what needs no server.
pub(crate) fn registry() -> Registry {
    Registry::new(evenkeel_domains::paths()).expect("declared paths are legal: a test proves it")
}
