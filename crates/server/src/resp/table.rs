//! The table of commands: what each is called, takes and needs. Lookup, arity, access and the
//! answers to `COMMAND` are all read from here. What a command does is in `commands`, `arguments`
//! and `answers`.

/// A command, or a subcommand: its name then has that of its container before a `|`.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    /// How many arguments, the name counted; negative: at least so many.
    pub(super) arity: i32,
    pub(super) verb: Verb,
    pub(super) needs: Needs,
    pub(super) group: &'static str,
    pub(super) summary: &'static str,
    pub(super) flags: &'static [&'static str],
    /// Which argument is a key, if one is.
    pub(super) key: Option<usize>,
    pub(super) arguments: &'static [Argument],
    pub(super) subcommands: &'static [Spec],
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Auth,
    ClientGetName,
    ClientHelp,
    ClientId,
    ClientInfo,
    ClientNoEvict,
    ClientSetInfo,
    ClientSetName,
    Command,
    CommandCount,
    CommandDocs,
    CommandHelp,
    CommandInfo,
    CommandList,
    ConfigGet,
    ConfigHelp,
    /// Nothing without a subcommand.
    Container,
    Decide(Decide),
    Echo,
    Hello,
    Info,
    Manage(Manage),
    Ping,
    Quit,
    Reset,
    Select,
    Time,
    Transact(Transact),
}

/// What keeps commands until they are asked together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transact {
    Multi,
    Exec,
    Discard,
}

/// What is asked of the state of limits: such commands, one after the other, are one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decide {
    Throttle,
    Check,
    Peek,
    Refund,
    Reset,
    Release,
    Renew,
}

/// What is asked about limits themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manage {
    Put,
    Get,
    Delete,
    List,
}

/// Who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    Key,
    Read,
    Write,
}

/// An argument, for documentation: clients offer it as one types.
#[derive(Debug, Clone, Copy)]
pub(super) struct Argument {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The word before it.
    pub(super) token: Option<&'static str>,
    pub(super) optional: bool,
    pub(super) multiple: bool,
    pub(super) parts: &'static [Argument],
}

/// What an argument is, in the words of `COMMAND DOCS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Key,
    Text,
    Integer,
    Token,
    OneOf,
    Block,
}

impl Kind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Text => "string",
            Self::Integer => "integer",
            Self::Token => "pure-token",
            Self::OneOf => "oneof",
            Self::Block => "block",
        }
    }
}

impl Argument {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, token: None, optional: false, multiple: false, parts: &[] }
    }

    const fn text(name: &'static str) -> Self {
        Self::new(name, Kind::Text)
    }

    const fn integer(name: &'static str) -> Self {
        Self::new(name, Kind::Integer)
    }

    /// The word itself is the argument.
    const fn token(name: &'static str, token: &'static str) -> Self {
        Self::new(name, Kind::Token).after(token)
    }

    const fn one_of(name: &'static str, parts: &'static [Argument]) -> Self {
        Self { parts, ..Self::new(name, Kind::OneOf) }
    }

    const fn block(name: &'static str, parts: &'static [Argument]) -> Self {
        Self { parts, ..Self::new(name, Kind::Block) }
    }

    const fn after(self, token: &'static str) -> Self {
        Self { token: Some(token), ..self }
    }

    const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    const fn multiple(self) -> Self {
        Self { multiple: true, ..self }
    }
}

impl Spec {
    const fn new(name: &'static str, arity: i32, verb: Verb, summary: &'static str) -> Self {
        let (group, needs) = match verb {
            Verb::Decide(Decide::Peek) | Verb::Manage(Manage::Get | Manage::List) => {
                ("limits", Needs::Read)
            }
            Verb::Decide(_) | Verb::Manage(_) => ("limits", Needs::Write),
            Verb::Transact(_) => ("transactions", Needs::Key),
            Verb::Auth | Verb::Hello | Verb::Quit | Verb::Reset => ("connection", Needs::Nothing),
            _ => ("connection", Needs::Key),
        };
        Self {
            name,
            arity,
            verb,
            needs,
            group,
            summary,
            flags: &["fast"],
            key: None,
            arguments: &[],
            subcommands: &[],
        }
    }

    const fn server(self) -> Self {
        Self { group: "server", ..self }
    }

    const fn flags(self, flags: &'static [&'static str]) -> Self {
        Self { flags, ..self }
    }

    const fn key(self, at: usize) -> Self {
        Self { key: Some(at), ..self }
    }

    const fn takes(self, arguments: &'static [Argument]) -> Self {
        Self { arguments, ..self }
    }

    const fn with(self, subcommands: &'static [Spec]) -> Self {
        Self { subcommands, ..self }
    }

    /// Whether it may have so many arguments, its name counted.
    pub(super) fn takes_count(&self, count: usize) -> bool {
        let bound = usize::try_from(self.arity.unsigned_abs()).unwrap_or(usize::MAX);
        if self.arity < 0 { count >= bound } else { count == bound }
    }

    /// The name within its container, if it has one.
    pub(super) fn short_name(&self) -> &'static str {
        self.name.split_once('|').map_or(self.name, |(_, short)| short)
    }
}

/// The command of this name, in capitals or not.
pub(super) fn find(name: &[u8]) -> Option<&'static Spec> {
    COMMANDS.iter().find(|spec| name.eq_ignore_ascii_case(spec.name.as_bytes()))
}

/// The subcommand of this name, in capitals or not.
pub(super) fn find_in(container: &'static Spec, name: &[u8]) -> Option<&'static Spec> {
    let is = |spec: &&Spec| name.eq_ignore_ascii_case(spec.short_name().as_bytes());
    container.subcommands.iter().find(is)
}

const LIMIT: Argument = Argument::text("limit");
const KEY: Argument = Argument::new("key", Kind::Key);
const COST: Argument = Argument::integer("cost").after("COST").optional();
const SCOPE: Argument = Argument::text("scope").after("SCOPE").optional();
const ONCE: Argument = Argument::text("id").after("ONCE").optional();
const REFUND_ONCE: Argument = Argument::text("id").after("ONCE");
const COUNTED_AT: Argument = Argument::integer("unix-time-milliseconds").after("COUNTED-AT");
const LEASE: Argument = Argument::text("lease");
const MORE: Argument = Argument::block("more", &[LIMIT, KEY, COST, SCOPE]).optional().multiple();
const PATTERN: Argument = Argument::text("parameter").multiple();
const NAMES: Argument = Argument::text("command-name").optional().multiple();
const WRITES: &[&str] = &["write", "fast"];
const READS: &[&str] = &["readonly", "fast"];
const STRANGERS: &[&str] = &["noscript", "loading", "stale", "fast", "no_auth"];

/// Every command. Those that must be found fastest come first.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new(
        "cl.throttle",
        // Fewer are answered in redis-cell's words.
        -1,
        Verb::Decide(Decide::Throttle),
        "Admits an action at an even rate with bursts, as redis-cell does",
    )
    .flags(WRITES)
    .key(1)
    .takes(&[
        KEY,
        Argument::integer("max_burst"),
        Argument::integer("count_per_period"),
        Argument::integer("period"),
        Argument::integer("quantity").optional(),
    ]),
    Spec::new(
        "limit.check",
        -3,
        Verb::Decide(Decide::Check),
        "Admits an action if all limits do, and counts it in each; else counts nothing",
    )
    .flags(WRITES)
    .key(2)
    .takes(&[LIMIT, KEY, COST, SCOPE, MORE, ONCE]),
    Spec::new("ping", -1, Verb::Ping, "Answers PONG, or what it was sent")
        .takes(&[Argument::text("message").optional()]),
    Spec::new(
        "limit.peek",
        -3,
        Verb::Decide(Decide::Peek),
        "Says what LIMIT.CHECK would, and counts nothing",
    )
    .flags(READS)
    .key(2)
    .takes(&[LIMIT, KEY, COST, SCOPE, MORE]),
    Spec::new(
        "limit.refund",
        -7,
        Verb::Decide(Decide::Refund),
        "Gives back what a check counted, once for each id",
    )
    .flags(WRITES)
    .key(2)
    .takes(&[LIMIT, KEY, COST, SCOPE, MORE, COUNTED_AT, REFUND_ONCE]),
    Spec::new("limit.reset", -3, Verb::Decide(Decide::Reset), "Forgets what was counted")
        .flags(WRITES)
        .key(2)
        .takes(&[LIMIT, KEY, SCOPE, MORE]),
    Spec::new("limit.release", 2, Verb::Decide(Decide::Release), "Gives a slot back")
        .flags(WRITES)
        .takes(&[LEASE]),
    Spec::new("limit.renew", 4, Verb::Decide(Decide::Renew), "Keeps a slot for so long from now")
        .flags(WRITES)
        .takes(&[LEASE, Argument::integer("ttl").after("TTL-MS")]),
    Spec::new("limit.put", -8, Verb::Manage(Manage::Put), "Creates a limit, or changes it")
        .flags(WRITES)
        .takes(PUT),
    Spec::new("limit.get", 2, Verb::Manage(Manage::Get), "Says what a limit is")
        .flags(READS)
        .takes(&[LIMIT]),
    Spec::new("limit.del", 2, Verb::Manage(Manage::Delete), "Deletes a limit")
        .flags(WRITES)
        .takes(&[LIMIT]),
    Spec::new("limit.list", -1, Verb::Manage(Manage::List), "Lists limits by name")
        .flags(READS)
        .takes(&[
            Argument::text("limit").after("AFTER").optional(),
            Argument::integer("count").after("COUNT").optional(),
        ]),
    Spec::new("auth", -2, Verb::Auth, "Says who asks: an API key, after any user name or none")
        .flags(STRANGERS)
        .takes(&[Argument::text("username").optional(), Argument::text("key")]),
    Spec::new("client", -2, Verb::Container, "What a connection says about itself").with(CLIENT),
    Spec::new("command", -1, Verb::Command, "Every command, in detail").server().with(COMMAND),
    Spec::new("config", -2, Verb::Container, "Settings, as far as clients ask for them")
        .server()
        .with(CONFIG),
    Spec::new("discard", 1, Verb::Transact(Transact::Discard), "Forgets what came since MULTI"),
    Spec::new("echo", 2, Verb::Echo, "Answers what it was sent")
        .takes(&[Argument::text("message")]),
    Spec::new("exec", 1, Verb::Transact(Transact::Exec), "Does what came since MULTI, in order"),
    Spec::new("hello", -1, Verb::Hello, "Chooses a version of the protocol, and says who asks")
        .flags(STRANGERS)
        .takes(&[Argument::block(
            "arguments",
            &[
                Argument::integer("protover"),
                Argument::block("auth", &[Argument::text("username"), Argument::text("key")])
                    .after("AUTH")
                    .optional(),
                Argument::text("clientname").after("SETNAME").optional(),
            ],
        )
        .optional()]),
    Spec::new("info", -1, Verb::Info, "What this server is").server().takes(&[Argument::text(
        "section",
    )
    .optional()
    .multiple()]),
    Spec::new("multi", 1, Verb::Transact(Transact::Multi), "Keeps what comes until EXEC"),
    Spec::new("quit", -1, Verb::Quit, "Ends the connection").flags(STRANGERS),
    Spec::new("reset", 1, Verb::Reset, "Forgets who asks, their name and their protocol")
        .flags(STRANGERS),
    Spec::new("select", 2, Verb::Select, "There is one database: 0")
        .takes(&[Argument::integer("index")]),
    Spec::new("time", 1, Verb::Time, "The time by which limits are decided").server(),
];

const PUT: &[Argument] = &[
    LIMIT,
    Argument::one_of(
        "algorithm",
        &[
            Argument::token("gcra", "gcra"),
            Argument::token("sliding_window", "sliding_window"),
            Argument::token("concurrency", "concurrency"),
        ],
    )
    .after("ALGORITHM"),
    Argument::integer("quantity").after("QUANTITY"),
    Argument::integer("period").after("PERIOD-MS"),
    Argument::integer("burst").after("BURST").optional(),
    Argument::one_of(
        "mode",
        &[Argument::token("exact", "exact"), Argument::token("leased", "leased")],
    )
    .after("MODE")
    .optional(),
    Argument::one_of(
        "durability",
        &[Argument::token("synced", "synced"), Argument::token("buffered", "buffered")],
    )
    .after("DURABILITY")
    .optional(),
    Argument::one_of(
        "answer",
        &[Argument::token("allow", "allow"), Argument::token("deny", "deny")],
    )
    .after("ON-UNAVAILABLE")
    .optional(),
    Argument::token("scoped", "SCOPED").optional(),
    Argument::token("shadow", "SHADOW").optional(),
];

const CLIENT: &[Spec] = &[
    Spec::new("client|getname", 2, Verb::ClientGetName, "The name of this connection"),
    Spec::new("client|help", 2, Verb::ClientHelp, "What CLIENT knows"),
    Spec::new("client|id", 2, Verb::ClientId, "The number of this connection"),
    Spec::new("client|info", 2, Verb::ClientInfo, "What is known of this connection"),
    Spec::new("client|no-evict", 3, Verb::ClientNoEvict, "Changes nothing: nothing is evicted")
        .takes(&[ON_OFF]),
    Spec::new("client|no-touch", 3, Verb::ClientNoEvict, "Changes nothing: nothing is evicted")
        .takes(&[ON_OFF]),
    Spec::new("client|setinfo", 4, Verb::ClientSetInfo, "Names the library that is used").takes(&[
        Argument::one_of(
            "attr",
            &[
                Argument::text("libname").after("LIB-NAME"),
                Argument::text("libver").after("LIB-VER"),
            ],
        ),
    ]),
    Spec::new("client|setname", 3, Verb::ClientSetName, "Names this connection")
        .takes(&[Argument::text("connection-name")]),
];

const ON_OFF: Argument =
    Argument::one_of("enabled", &[Argument::token("on", "ON"), Argument::token("off", "OFF")]);

const COMMAND: &[Spec] = &[
    Spec::new("command|count", 2, Verb::CommandCount, "How many commands there are").server(),
    Spec::new("command|docs", -2, Verb::CommandDocs, "What commands are for")
        .server()
        .takes(&[NAMES]),
    Spec::new("command|help", 2, Verb::CommandHelp, "What COMMAND knows").server(),
    Spec::new("command|info", -2, Verb::CommandInfo, "Commands in detail").server().takes(&[NAMES]),
    Spec::new("command|list", 2, Verb::CommandList, "The names of all commands").server(),
];

const CONFIG: &[Spec] = &[
    Spec::new("config|get", -3, Verb::ConfigGet, "Settings by name").server().takes(&[PATTERN]),
    Spec::new("config|help", 2, Verb::ConfigHelp, "What CONFIG knows").server(),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn all() -> impl Iterator<Item = &'static Spec> {
        COMMANDS.iter().chain(COMMANDS.iter().flat_map(|spec| spec.subcommands))
    }

    #[test]
    fn names_are_found_in_capitals_or_not() {
        for spec in COMMANDS {
            assert_eq!(find(spec.name.as_bytes()).unwrap().name, spec.name);
            assert_eq!(find(spec.name.to_uppercase().as_bytes()).unwrap().name, spec.name);
            for sub in spec.subcommands {
                let found = find_in(spec, sub.short_name().to_uppercase().as_bytes());
                assert_eq!(found.unwrap().name, sub.name);
            }
        }
        assert!(find(b"limit").is_none() && find(b"").is_none());
        let names: BTreeSet<_> = all().map(|spec| spec.name).collect();
        assert_eq!(names.len(), all().count(), "no name is there twice");
    }

    #[test]
    fn arguments_agree_with_arity() {
        for spec in all().filter(|spec| spec.subcommands.is_empty()) {
            let tokens = |argument: &Argument| match argument.kind {
                Kind::Block => 2,
                Kind::Token => 1,
                _ => 1 + i32::from(argument.token.is_some()),
            };
            let container = i32::from(spec.name.contains('|'));
            let needed = spec.arguments.iter().filter(|argument| !argument.optional);
            let fixed = spec.arguments.iter().all(|a| !a.optional && !a.multiple);
            let mut least = 1 + container + needed.map(tokens).sum::<i32>();
            if spec.name == "client|setinfo" {
                least += 1;
            }
            // These answer too few arguments in words of their own.
            if !["cl.throttle", "quit"].contains(&spec.name) {
                assert_eq!(spec.arity, if fixed { least } else { -least }, "{}", spec.name);
            }
        }
    }

    #[test]
    fn what_a_stranger_may_do_is_little() {
        let strangers: Vec<_> =
            all().filter(|spec| spec.needs == Needs::Nothing).map(|spec| spec.name).collect();
        assert_eq!(strangers, ["auth", "hello", "quit", "reset"]);
        for spec in all().filter(|spec| spec.group == "limits") {
            let needs = if spec.flags == READS { Needs::Read } else { Needs::Write };
            assert_eq!(spec.needs, needs, "{}", spec.name);
        }
    }
}
