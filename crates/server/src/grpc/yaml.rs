//! A file of rules as envoyproxy/ratelimit writes them: YAML into what it says, within bounds. What
//! it means is in `rules`.

use serde::Deserialize;

/// Levels of descriptors inside each other.
pub(super) const DEPTH_MAX: usize = 16;
/// Values, keys and brackets of a file.
const NODES_MAX: usize = 500_000;
/// Bytes of a file's words, each alias being what it stands for.
const WORDS_BYTES_MAX: usize = 1_024 * 1_024;

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) domain: String,
    #[serde(default)]
    pub(super) descriptors: Option<Vec<Descriptor>>,
}

/// A rule, or a level on the way to some.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: Option<String>,
    #[serde(default)]
    pub(super) rate_limit: Option<RateLimit>,
    #[serde(default)]
    pub(super) descriptors: Option<Vec<Descriptor>>,
    #[serde(default)]
    pub(super) shadow_mode: bool,
    /// Values that match one wildcard are counted together.
    #[serde(default)]
    pub(super) share_threshold: bool,
    /// Says how envoyproxy/ratelimit names its metrics, and nothing here.
    #[serde(default, rename = "detailed_metric")]
    _detailed_metric: bool,
    /// The same.
    #[serde(default, rename = "value_to_metric")]
    _value_to_metric: bool,
}

/// A limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimit {
    #[serde(default)]
    pub(super) unit: Option<String>,
    #[serde(default)]
    pub(super) requests_per_unit: u32,
    #[serde(default)]
    pub(super) unlimited: bool,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) replaces: Option<Vec<Replaces>>,
}

/// The name of a limit that gives way.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replaces {
    #[serde(default)]
    pub(super) name: String,
}

/// What `text` says, or why it says nothing.
pub(super) fn read(text: &str) -> Result<File, String> {
    // A list and a map for each level, and what is around and inside them.
    let depth = 2 * DEPTH_MAX + 8;
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: depth,
            max_nodes: NODES_MAX,
            max_events: 2 * NODES_MAX,
            max_total_scalar_bytes: WORDS_BYTES_MAX,
            max_documents: 1,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}
