//! The table of settings: names, ranges, what they mean, and where their value lives.

use super::{SWITCH, Settings, WINDOWS};
use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;
const GIB: u64 = 1_024 * MIB;
const HOUR_MS: u64 = 3_600_000;

/// One setting.
pub(crate) struct Setting {
    pub(crate) section: &'static str,
    pub(crate) key: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) field: Field,
}

/// Where a setting's value lives, and so of what type it is; of integers, which are legal.
pub(crate) enum Field {
    Address(fn(&mut Settings) -> &mut SocketAddr),
    OptionalAddress(fn(&mut Settings) -> &mut Option<SocketAddr>),
    Directory(fn(&mut Settings) -> &mut Option<PathBuf>),
    /// One of these words.
    Word(&'static [&'static str], fn(&mut Settings) -> &mut &'static str),
    U16(RangeInclusive<u64>, fn(&mut Settings) -> &mut u16),
    U64(RangeInclusive<u64>, fn(&mut Settings) -> &mut u64),
    Usize(RangeInclusive<u64>, fn(&mut Settings) -> &mut usize),
    Millis(RangeInclusive<u64>, fn(&mut Settings) -> &mut Duration),
}

/// A value on its way to or from a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Integer(u64),
    Text(String),
}

/// Every section, in order; `paths` is the contracts'.
pub(crate) const SECTIONS: [&str; 7] = ["server", "resp", "push", "node", "log", PATHS, RULES];
/// The section of contracts.
pub(crate) const PATHS: &str = "paths";
/// The list of outbox rules.
pub(crate) const RULES: &str = "rules";

/// Every setting, by section.
pub(crate) static SETTINGS: [Setting; 40] = [
    Setting {
        section: "server",
        key: "http",
        summary: "Where HTTP is served: an address and a port; port 0 takes a free one.",
        field: Field::Address(|s| &mut s.http),
    },
    Setting {
        section: "server",
        key: "resp",
        summary: "Where Redis's protocol is served for rate limits; nowhere if it is not set.",
        field: Field::OptionalAddress(|s| &mut s.resp),
    },
    Setting {
        section: "server",
        key: "grpc",
        summary: "Where Envoy's rate limit service is served; nowhere if it is not set.",
        field: Field::OptionalAddress(|s| &mut s.grpc),
    },
    Setting {
        section: "server",
        key: "envoy_rules",
        summary: "The directory of its rules: files *.yaml as envoyproxy/ratelimit has them.",
        field: Field::Directory(|s| &mut s.envoy_rules),
    },
    Setting {
        section: "server",
        key: "envoy_windows",
        summary: "Where a unit of its limits begins: anywhere (rolling) or on the clock (calendar).",
        field: Field::Word(&WINDOWS, |s| &mut s.envoy_windows),
    },
    Setting {
        section: "server",
        key: "envoy_headers",
        summary: "Whether its answers add the headers ratelimit-limit, -remaining and -reset.",
        field: Field::Word(&SWITCH, |s| &mut s.envoy_headers),
    },
    Setting {
        section: "server",
        key: "connections_max",
        summary: "Connections served at once.",
        field: Field::Usize(1..=65_536, |s| &mut s.server.connections_max),
    },
    Setting {
        section: "server",
        key: "read_cache_bytes",
        summary: "Answers that are kept for a moment: timelines, availability, heads of conversations.",
        field: Field::U64(MIB..=64 * GIB, |s| &mut s.server.read_cache_bytes),
    },
    Setting {
        section: "server",
        key: "streams_max",
        summary: "Event streams open at once.",
        field: Field::Usize(1..=65_536, |s| &mut s.server.streams_max),
    },
    Setting {
        section: "server",
        key: "body_bytes_max",
        summary: "Bytes of a request's body.",
        field: Field::Usize(KIB..=16 * MIB, |s| &mut s.server.body_bytes_max),
    },
    Setting {
        section: "server",
        key: "head_bytes_max",
        summary: "Bytes of a request's line and headers.",
        field: Field::Usize(8 * KIB..=MIB, |s| &mut s.server.head_bytes_max),
    },
    Setting {
        section: "server",
        key: "headers_max",
        summary: "Headers of a request.",
        field: Field::Usize(16..=1_024, |s| &mut s.server.headers_max),
    },
    Setting {
        section: "server",
        key: "refused_timeout_ms",
        summary: "How long a connection beyond connections_max may take to be told so.",
        field: Field::Millis(10..=HOUR_MS, |s| &mut s.server.refused_timeout),
    },
    Setting {
        section: "server",
        key: "head_timeout_ms",
        summary: "How long a request's head may take to arrive.",
        field: Field::Millis(10..=HOUR_MS, |s| &mut s.server.head_timeout),
    },
    Setting {
        section: "server",
        key: "body_timeout_ms",
        summary: "How long a request's body may take to arrive.",
        field: Field::Millis(10..=HOUR_MS, |s| &mut s.server.body_timeout),
    },
    Setting {
        section: "server",
        key: "idle_timeout_ms",
        summary: "How long a connection may be idle.",
        field: Field::Millis(10..=HOUR_MS, |s| &mut s.server.idle_timeout),
    },
    Setting {
        section: "server",
        key: "heartbeat_ms",
        summary: "How long a quiet event stream goes without a comment.",
        field: Field::Millis(10..=HOUR_MS, |s| &mut s.server.heartbeat),
    },
    Setting {
        section: "server",
        key: "realtime_max",
        summary: "WebSockets open at once; fewer than connections, so that there is always one to ask by.",
        field: Field::Usize(1..=65_536, |s| &mut s.server.realtime_max),
    },
    Setting {
        section: "server",
        key: "auth_timeout_ms",
        summary: "How long a WebSocket's client may take to say who it is.",
        field: Field::Millis(10..=HOUR_MS, |s| &mut s.server.auth_timeout),
    },
    Setting {
        section: "server",
        key: "ping_every_ms",
        summary: "How long a WebSocket may be silent before it is asked whether anybody is there.",
        field: Field::Millis(10..=HOUR_MS, |s| &mut s.server.ping_every),
    },
    Setting {
        section: "server",
        key: "pong_timeout_ms",
        summary: "How long the answer to that may take, before its client counts as gone.",
        field: Field::Millis(10..=HOUR_MS, |s| &mut s.server.pong_timeout),
    },
    Setting {
        section: "server",
        key: "slow_timeout_ms",
        summary: "How long a WebSocket's client may take nothing of what is sent.",
        field: Field::Millis(10..=HOUR_MS, |s| &mut s.server.slow_timeout),
    },
    Setting {
        section: "server",
        key: "drain_timeout_ms",
        summary: "How long requests may take to finish once the server is told to stop.",
        field: Field::Millis(0..=HOUR_MS, |s| &mut s.server.drain_timeout),
    },
    Setting {
        section: "resp",
        key: "connections_max",
        summary: "Connections of Redis's protocol served at once.",
        field: Field::Usize(1..=65_536, |s| &mut s.resp_options.connections_max),
    },
    Setting {
        section: "resp",
        key: "pipeline_max",
        summary: "Commands of one connection that are read, and decided, together.",
        field: Field::Usize(1..=8_192, |s| &mut s.resp_options.pipeline_max),
    },
    Setting {
        section: "resp",
        key: "stranger_timeout_ms",
        summary: "How long a connection may take to say who it is.",
        field: Field::Millis(10..=HOUR_MS, |s| &mut s.resp_options.stranger_timeout),
    },
    Setting {
        section: "resp",
        key: "command_timeout_ms",
        summary: "How long a command may take to arrive.",
        field: Field::Millis(10..=HOUR_MS, |s| &mut s.resp_options.command_timeout),
    },
    Setting {
        section: "resp",
        key: "idle_timeout_ms",
        summary: "How long a caller who is known may say nothing; 0 is for ever, as in Redis.",
        field: Field::Millis(0..=24 * HOUR_MS, |s| &mut s.resp_options.idle_timeout),
    },
    Setting {
        section: "resp",
        key: "write_timeout_ms",
        summary: "How long a caller may take to read its replies.",
        field: Field::Millis(10..=HOUR_MS, |s| &mut s.resp_options.write_timeout),
    },
    Setting {
        section: "resp",
        key: "drain_timeout_ms",
        summary: "How long commands may take to finish once the server is told to stop.",
        field: Field::Millis(0..=HOUR_MS, |s| &mut s.resp_options.drain_timeout),
    },
    Setting {
        section: "push",
        key: "allow_private",
        summary: "Whether jobs may be pushed to addresses that are not of the public internet.",
        field: Field::Word(&SWITCH, |s| &mut s.allow_private),
    },
    Setting {
        section: "push",
        key: "attempts_max",
        summary: "Attempts to push under way at once, of all queues.",
        field: Field::Usize(1..=65_536, |s| &mut s.push.attempts_max),
    },
    Setting {
        section: "push",
        key: "drain_timeout_ms",
        summary: "How long attempts to push may take to finish at a shutdown.",
        field: Field::Millis(0..=HOUR_MS, |s| &mut s.push.drain_timeout),
    },
    Setting {
        section: "node",
        key: "data",
        summary: "The directory of everything that is kept.",
        field: Field::Directory(|s| &mut s.data),
    },
    Setting {
        section: "node",
        key: "partitions",
        summary: "Partitions of a new log; an existing one keeps what it was created with.",
        field: Field::U16(1..=1_024, |s| &mut s.node.partitions),
    },
    Setting {
        section: "node",
        key: "memtable_bytes",
        summary: "State kept in memory before it is flushed, over all partitions.",
        field: Field::Usize(MIB..=64 * GIB, |s| &mut s.node.memtable_bytes),
    },
    Setting {
        section: "node",
        key: "cache_bytes",
        summary: "The cache of the state that was flushed.",
        field: Field::Usize(MIB..=64 * GIB, |s| &mut s.node.cache_bytes),
    },
    Setting {
        section: "node",
        key: "memo_bytes",
        summary: "What is kept of what was made of the state, over all partitions: followed users, newest posts.",
        field: Field::Usize(MIB..=64 * GIB, |s| &mut s.node.memo_bytes),
    },
    Setting {
        section: "log",
        key: "segment_bytes",
        summary: "The size of the log's files, each written in full before it is used.",
        field: Field::U64(MIB..=4 * GIB, |s| &mut s.node.segment_bytes),
    },
    Setting {
        section: "log",
        key: "snapshot_every_bytes",
        summary: "Log after which a snapshot is written, so that older log can be removed.",
        field: Field::U64(MIB..=1_024 * GIB, |s| &mut s.node.snapshot_every_bytes),
    },
];

impl Setting {
    /// What a value of it must be, for a sentence with "must be".
    pub(crate) fn expected(&self) -> String {
        match self.range() {
            Some(range) => format!("an integer from {} to {}", range.start(), range.end()),
            None => match self.field {
                Field::Address(_) | Field::OptionalAddress(_) => {
                    "an address and a port, such as 127.0.0.1:7480".to_owned()
                }
                Field::Word(words, _) => format!("one of {}", words.join(", ")),
                _ => "a directory's path".to_owned(),
            },
        }
    }

    /// Which integers are legal, if it is one.
    pub(crate) fn range(&self) -> Option<&RangeInclusive<u64>> {
        match &self.field {
            Field::U16(range, _)
            | Field::U64(range, _)
            | Field::Usize(range, _)
            | Field::Millis(range, _) => Some(range),
            Field::Address(_)
            | Field::OptionalAddress(_)
            | Field::Directory(_)
            | Field::Word(..) => None,
        }
    }

    /// Which words are legal, if it is one.
    pub(crate) fn words(&self) -> Option<&'static [&'static str]> {
        match &self.field {
            Field::Word(words, _) => Some(words),
            _ => None,
        }
    }

    /// What it is now; `None` only of a directory or an address that nobody has named.
    pub(crate) fn get(&self, settings: &mut Settings) -> Option<Value> {
        Some(match &self.field {
            Field::Address(field) => Value::Text(field(settings).to_string()),
            Field::OptionalAddress(field) => Value::Text(field(settings).as_ref()?.to_string()),
            Field::Directory(field) => {
                Value::Text(field(settings).as_ref()?.to_string_lossy().into_owned())
            }
            Field::Word(_, field) => Value::Text((*field(settings)).to_owned()),
            Field::U16(_, field) => Value::Integer(u64::from(*field(settings))),
            Field::U64(_, field) => Value::Integer(*field(settings)),
            Field::Usize(_, field) => Value::Integer(*field(settings) as u64),
            Field::Millis(_, field) => {
                Value::Integer(u64::try_from(field(settings).as_millis()).unwrap_or(u64::MAX))
            }
        })
    }

    /// Sets it, if the value is legal.
    pub(crate) fn set(&self, settings: &mut Settings, value: &Value) -> Result<(), Illegal> {
        match (&self.field, value) {
            (Field::Address(field), Value::Text(text)) => {
                *field(settings) = text.parse().map_err(|_| Illegal)?;
            }
            (Field::OptionalAddress(field), Value::Text(text)) => {
                *field(settings) = Some(text.parse().map_err(|_| Illegal)?);
            }
            (Field::Directory(field), Value::Text(text)) if !text.is_empty() => {
                *field(settings) = Some(text.into());
            }
            (Field::Word(words, field), Value::Text(text)) => {
                let word = words.iter().find(|word| *word == text);
                *field(settings) = word.ok_or(Illegal)?;
            }
            (Field::U16(range, field), Value::Integer(number)) if range.contains(number) => {
                *field(settings) = u16::try_from(*number).map_err(|_| Illegal)?;
            }
            (Field::U64(range, field), Value::Integer(number)) if range.contains(number) => {
                *field(settings) = *number;
            }
            (Field::Usize(range, field), Value::Integer(number)) if range.contains(number) => {
                *field(settings) = usize::try_from(*number).map_err(|_| Illegal)?;
            }
            (Field::Millis(range, field), Value::Integer(number)) if range.contains(number) => {
                *field(settings) = Duration::from_millis(*number);
            }
            _ => return Err(Illegal),
        }
        Ok(())
    }
}

/// The value is of another type or out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Illegal;

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_server::{ServerOptions, resp::RespOptions};

    #[test]
    fn every_setting_is_of_a_known_section_once_and_has_a_legal_default() {
        let mut seen = std::collections::BTreeSet::new();
        for setting in &SETTINGS {
            assert!(SECTIONS.contains(&setting.section), "{}", setting.section);
            assert!(seen.insert((setting.section, setting.key)), "{}", setting.key);
            let mut settings = Settings::default();
            if let Some(default) = setting.get(&mut settings) {
                assert_eq!(setting.set(&mut settings, &default), Ok(()), "{}", setting.key);
            }
        }
    }

    /// Options of the server are named one by one, so that a new one is not forgotten here.
    #[test]
    fn every_bound_of_the_server_can_be_set() {
        let mut settings = Settings::default();
        for setting in &SETTINGS {
            if let Some(range) = setting.range() {
                setting.set(&mut settings, &Value::Integer(range.start() + 1)).unwrap();
            }
        }
        let ServerOptions {
            // A flag: who may ask is no number.
            auth: _,
            // Told by who reads the rules, by who pushes, and by `dev`.
            rules: _,
            pushes: _,
            files: _,
            demo: _,
            body_bytes_max,
            head_bytes_max,
            headers_max,
            connections_max,
            streams_max,
            realtime_max,
            read_cache_bytes,
            refused_timeout,
            head_timeout,
            body_timeout,
            idle_timeout,
            heartbeat,
            auth_timeout,
            ping_every,
            pong_timeout,
            slow_timeout,
            drain_timeout,
        } = settings.server;
        let counts = [body_bytes_max, head_bytes_max, headers_max, connections_max, streams_max];
        assert_eq!(counts, [1_025, 8_193, 17, 2, 2]);
        assert_eq!((realtime_max, read_cache_bytes), (2, (1 << 20) + 1));
        let timeouts = [refused_timeout, head_timeout, body_timeout, idle_timeout, heartbeat];
        assert_eq!(timeouts, [Duration::from_millis(11); 5]);
        let realtime = [auth_timeout, ping_every, pong_timeout, slow_timeout];
        assert_eq!(realtime, [Duration::from_millis(11); 4]);
        assert_eq!(drain_timeout, Duration::from_millis(1));
        let RespOptions {
            auth: _,
            connections_max,
            pipeline_max,
            stranger_timeout,
            command_timeout,
            idle_timeout,
            write_timeout,
            drain_timeout,
        } = settings.resp_options;
        assert_eq!([connections_max, pipeline_max], [2; 2]);
        let timeouts = [stranger_timeout, command_timeout, write_timeout];
        assert_eq!(timeouts, [Duration::from_millis(11); 3]);
        assert_eq!([idle_timeout, drain_timeout], [Duration::from_millis(1); 2]);
    }

    #[test]
    fn every_setting_sets_its_own_field() {
        for setting in &SETTINGS {
            let value = match (setting.range(), setting.words()) {
                (Some(range), _) => Value::Integer(range.start() + 1),
                (None, Some(words)) => Value::Text(words[1].to_owned()),
                (None, None) => Value::Text("127.0.0.1:1".to_owned()),
            };
            let mut settings = Settings::default();
            setting.set(&mut settings, &value).unwrap();
            for other in &SETTINGS {
                let same = (other.section, other.key) == (setting.section, setting.key);
                let expected =
                    if same { Some(value.clone()) } else { other.get(&mut Settings::default()) };
                let names = [setting.section, setting.key, other.section, other.key];
                assert_eq!(other.get(&mut settings), expected, "{names:?}");
            }
        }
    }
}
