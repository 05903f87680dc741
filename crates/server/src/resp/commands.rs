//! What a connection asks about itself and about this server: everything but limits. Answered at
//! once, in Redis's words.

use super::{
    arguments::Wrong,
    docs,
    parser::Command,
    reply::{Protocol, Replies},
    session::{Label, Session},
    table::{self, Needs, Spec, Verb},
};
use evenkeel_engine::Time;
use evenkeel_node::MetaView;

const NO_AUTH: &[u8] = b"NOAUTH Authentication required.";
const NO_AUTH_HELLO: &[u8] = b"NOAUTH HELLO must be called with the client already authenticated, \
    otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client \
    and select the RESP protocol version at the same time";
const WRONG_PASS: &[u8] = b"WRONGPASS invalid username-password pair or user is disabled.";
const SYNTAX: &[u8] = b"ERR syntax error";
const BAD_LABEL: &[u8] = b"ERR Client names cannot contain spaces, newlines or special characters.";
/// What of a command nobody knows is repeated: once so much is, quotes counted, no further argument.
const UNKNOWN_BYTES_MAX: usize = 128;
/// The Redis whose manners these are; clients choose by it what they send.
const REDIS_VERSION: &str = "7.0.0";
/// Settings that clients ask for, and what is true of them here.
const SETTINGS: [(&str, &str); 2] = [("appendonly", "yes"), ("save", "")];

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    GoOn,
    /// Nothing further is answered.
    Close,
}

/// What a command is, once its name, its arity and its caller are checked.
pub(super) fn find(command: Command<'_>, session: &Session) -> Result<&'static Spec, Wrong> {
    let Some(spec) = table::find(command.name()) else { return Err(unknown(command)) };
    let spec = match command.get(1) {
        Some(sub) if !spec.subcommands.is_empty() => {
            table::find_in(spec, sub).ok_or_else(|| {
                let container = spec.name.to_ascii_uppercase();
                let after = format!("'. Try {container} HELP.");
                Wrong::quoting("ERR unknown subcommand '", sub, &after)
            })?
        }
        _ => spec,
    };
    if !spec.takes_count(command.len()) {
        let name = spec.name.as_bytes();
        return Err(Wrong::quoting("ERR wrong number of arguments for '", name, "' command"));
    }
    if spec.needs != Needs::Nothing && !session.is_known() {
        return Err(Wrong(NO_AUTH.to_vec()));
    }
    if let Some(scope) = session.lacks(spec.needs) {
        let after = format!("' command: it lacks the scope {scope}");
        let before = "NOPERM this key has no permissions to run the '";
        return Err(Wrong::quoting(before, spec.name.as_bytes(), &after));
    }
    Ok(spec)
}

fn unknown(command: Command<'_>) -> Wrong {
    let mut text =
        Wrong::quoting("ERR unknown command '", command.name(), "', with args beginning with: ").0;
    let end = text.len() + UNKNOWN_BYTES_MAX;
    for argument in command.rest(1) {
        let room = end.saturating_sub(text.len());
        if room == 0 {
            break;
        }
        let shown = &argument[..argument.len().min(room)];
        text.extend_from_slice(&[b"'", shown, b"' "].concat());
    }
    Wrong(text)
}

/// Whether this is what a browser sends: a page from elsewhere may be trying to make its reader's
/// machine ask for it. Redis hangs up on such, too.
pub(super) fn is_http(command: Command<'_>) -> bool {
    let name = command.name();
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// What answering takes.
pub(super) struct Asked<'a> {
    pub(super) session: &'a mut Session,
    pub(super) replies: &'a mut Replies,
    pub(super) meta: &'a MetaView,
    pub(super) now: Time,
}

impl Asked<'_> {
    /// Answers `command`, which is what `spec` says and has as many arguments as that takes.
    pub(super) fn answer(&mut self, spec: &Spec, command: Command<'_>) -> Next {
        let first = command.get(1).unwrap_or_default();
        match spec.verb {
            Verb::Ping => match command.len() {
                1 => self.replies.simple("PONG"),
                2 => self.replies.bulk(first),
                _ => self.wrong_count(spec),
            },
            Verb::Echo => self.replies.bulk(first),
            Verb::Hello => self.hello(command),
            Verb::Auth => self.auth(command),
            Verb::Quit => {
                self.replies.simple("OK");
                return Next::Close;
            }
            Verb::Reset => {
                self.session.reset(self.meta);
                self.replies.protocol = self.session.protocol;
                self.replies.simple("RESET");
            }
            Verb::Select => self.select(first),
            Verb::Time => self.time(),
            Verb::Info => self.info(command),
            Verb::ConfigGet => self.config(command),
            Verb::Command => docs::all(self.replies),
            Verb::CommandCount => docs::count(self.replies),
            Verb::CommandDocs => docs::docs(command, self.replies),
            Verb::CommandInfo => docs::info(command, self.replies),
            Verb::CommandList => docs::list(self.replies),
            Verb::ClientHelp => docs::help("client", self.replies),
            Verb::CommandHelp => docs::help("command", self.replies),
            Verb::ConfigHelp => docs::help("config", self.replies),
            Verb::Container => self.wrong_count(spec),
            Verb::Decide(_) | Verb::Manage(_) | Verb::Transact(_) => {
                unreachable!("what is asked of limits, and what is kept, is sorted out before")
            }
            _ => self.client(spec.verb, command),
        }
        Next::GoOn
    }

    fn wrong_count(&mut self, spec: &Spec) {
        let name = spec.name.as_bytes();
        self.replies.error(&[b"ERR wrong number of arguments for '", name, b"' command"]);
    }

    fn auth(&mut self, command: Command<'_>) {
        let key = match command.len() {
            2 => command.get(1),
            3 => command.get(2),
            _ => return self.replies.error(&[SYNTAX]),
        };
        if self.session.authenticate(key.unwrap_or_default(), self.meta) {
            self.replies.simple("OK");
        } else {
            self.denied();
        }
    }

    fn denied(&mut self) {
        tracing::debug!(peer = %self.session.peer, "a key that is not known");
        self.replies.error(&[WRONG_PASS]);
    }

    fn hello(&mut self, command: Command<'_>) {
        let protocol = match command.get(1) {
            None => Some(self.session.protocol),
            Some(b"2") => Some(Protocol::Resp2),
            Some(b"3") => Some(Protocol::Resp3),
            Some(version) => {
                return self.replies.error(&[match integer(version) {
                    Some(_) => b"NOPROTO unsupported protocol version",
                    None => b"ERR Protocol version is not an integer or out of range",
                }]);
            }
        };
        let mut at = 2;
        let (mut key, mut label) = (None, None);
        while let Some(option) = command.get(at) {
            if option.eq_ignore_ascii_case(b"AUTH") && command.len() > at + 2 {
                key = command.get(at + 2);
                at += 3;
            } else if option.eq_ignore_ascii_case(b"SETNAME") && command.len() > at + 1 {
                label = Label::new(command.get(at + 1).unwrap_or_default());
                if label.is_none() {
                    return self.replies.error(&[BAD_LABEL]);
                }
                at += 2;
            } else {
                let Wrong(text) = Wrong::quoting("ERR Syntax error in HELLO option '", option, "'");
                return self.replies.error(&[&text]);
            }
        }
        if let Some(key) = key
            && !self.session.authenticate(key, self.meta)
        {
            return self.denied();
        }
        if !self.session.is_known() {
            return self.replies.error(&[NO_AUTH_HELLO]);
        }
        if let Some(label) = label {
            self.session.label = label;
        }
        self.session.protocol = protocol.unwrap_or_default();
        self.replies.protocol = self.session.protocol;
        self.greet();
    }

    fn greet(&mut self) {
        let replies = &mut *self.replies;
        replies.map(7);
        replies.text("server");
        replies.text("evenkeel");
        replies.text("version");
        replies.text(REDIS_VERSION);
        replies.text("proto");
        replies.integer(self.session.protocol.number());
        replies.text("id");
        replies.integer(i64::try_from(self.session.id).unwrap_or(i64::MAX));
        replies.text("mode");
        replies.text("standalone");
        replies.text("role");
        replies.text("master");
        replies.text("modules");
        replies.array(0);
    }

    fn select(&mut self, index: &[u8]) {
        match integer(index) {
            Some(0) => self.replies.simple("OK"),
            Some(_) => self.replies.error(&[b"ERR DB index is out of range"]),
            None => self.replies.error(&[b"ERR value is not an integer or out of range"]),
        }
    }

    /// Seconds and microseconds since 1970.
    fn time(&mut self) {
        let ms = self.now.0;
        self.replies.array(2);
        self.replies.text(&(ms / 1_000).to_string());
        self.replies.text(&(ms % 1_000 * 1_000).to_string());
    }

    fn info(&mut self, command: Command<'_>) {
        let version = env!("CARGO_PKG_VERSION");
        let server = format!(
            "# Server\r\nredis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\n\
             server_name:evenkeel\r\nevenkeel_version:{version}\r\n"
        );
        let sections = [
            ("server", server.as_str()),
            ("persistence", "# Persistence\r\nloading:0\r\n"),
            ("replication", "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"),
        ];
        let asked = |name: &str| {
            let all = [name, "all", "default", "everything"];
            let is =
                |section: &[u8]| all.iter().any(|it| section.eq_ignore_ascii_case(it.as_bytes()));
            command.len() == 1 || command.rest(1).any(is)
        };
        let shown = sections.iter().filter(|(name, _)| asked(name)).map(|(_, text)| *text);
        self.replies.prose(&shown.collect::<Vec<_>>().join("\r\n"));
    }

    fn config(&mut self, command: Command<'_>) {
        let asked = |name: &str| command.rest(2).any(|pattern| is_like(pattern, name.as_bytes()));
        let found = SETTINGS.iter().filter(|(name, _)| asked(name));
        self.replies.map(found.clone().count());
        for (name, value) in found {
            self.replies.text(name);
            self.replies.text(value);
        }
    }

    fn client(&mut self, verb: Verb, command: Command<'_>) {
        let argument = command.get(2).unwrap_or_default();
        match verb {
            Verb::ClientId => {
                self.replies.integer(i64::try_from(self.session.id).unwrap_or(i64::MAX));
            }
            Verb::ClientGetName if self.session.label.as_bytes().is_empty() => self.replies.null(),
            Verb::ClientGetName => self.replies.bulk(self.session.label.as_bytes()),
            Verb::ClientSetName => match Label::new(argument) {
                Some(label) => {
                    self.session.label = label;
                    self.replies.simple("OK");
                }
                None => self.replies.error(&[BAD_LABEL]),
            },
            Verb::ClientSetInfo => self.set_info(argument, command.get(3).unwrap_or_default()),
            Verb::ClientInfo => self.client_info(),
            _ if [&b"on"[..], b"off"].iter().any(|it| argument.eq_ignore_ascii_case(it)) => {
                self.replies.simple("OK");
            }
            _ => self.replies.error(&[SYNTAX]),
        }
    }

    fn set_info(&mut self, attribute: &[u8], value: &[u8]) {
        let place = if attribute.eq_ignore_ascii_case(b"lib-name") {
            &mut self.session.library
        } else if attribute.eq_ignore_ascii_case(b"lib-ver") {
            &mut self.session.library_version
        } else {
            let Wrong(text) = Wrong::quoting("ERR Unrecognized option '", attribute, "'");
            return self.replies.error(&[&text]);
        };
        match Label::new(value) {
            Some(label) => {
                *place = label;
                self.replies.simple("OK");
            }
            None => {
                let after = " cannot contain spaces, newlines or special characters.";
                let Wrong(text) = Wrong::quoting("ERR ", attribute, after);
                self.replies.error(&[&text]);
            }
        }
    }

    fn client_info(&mut self) {
        let session = &*self.session;
        let text = |label: &Label| String::from_utf8_lossy(label.as_bytes()).into_owned();
        let key = session.caller().and_then(|caller| caller.key.as_deref());
        let line = format!(
            "id={} addr={} name={} db=0 user={} lib-name={} lib-ver={} resp={}\n",
            session.id,
            session.peer,
            text(&session.label),
            key.unwrap_or("default"),
            text(&session.library),
            text(&session.library_version),
            session.protocol.number(),
        );
        self.replies.prose(&line);
    }
}

/// The number that `bytes` are, if they are written in the one way that Redis reads: no `+`, no
/// zeros before it.
fn integer(bytes: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == bytes).then_some(number)
}

/// Whether `name`, written small, is what `pattern` asks for: `*` stands for anything, `?` for any
/// one byte.
fn is_like(pattern: &[u8], name: &[u8]) -> bool {
    // Where the last `*` was, and how much of the name it stands for.
    let (mut at, mut of, mut star) = (0, 0, None);
    while of < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(byte) if *byte == b'?' || byte.to_ascii_lowercase() == name[of] => {
                (at, of) = (at + 1, of + 1);
            }
            _ => match &mut star {
                Some((star_at, until)) => {
                    *until += 1;
                    (at, of) = (*star_at + 1, *until);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_ask_for_names() {
        for pattern in ["save", "SAVE", "s*", "*e", "*", "**", "s?ve", "*a*", "sav*e*", "????"] {
            assert!(is_like(pattern.as_bytes(), b"save"), "{pattern}");
        }
        for pattern in ["", "sav", "saves", "?", "*x*", "s?e", "a*", "*v", "?????"] {
            assert!(!is_like(pattern.as_bytes(), b"save"), "{pattern}");
        }
    }

    #[test]
    fn a_number_is_written_in_one_way() {
        assert_eq!([integer(b"0"), integer(b"-12")], [Some(0), Some(-12)]);
        for wrong in ["", "+0", "00", "-0", "02", " 1", "1 ", "9223372036854775808"] {
            assert_eq!(integer(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
