//! The answers to `COMMAND`, from the table of commands: clients learn where the keys are, and
//! redis-cli what to offer as one types.

use super::{
    parser::Command,
    reply::Replies,
    table::{self, Argument, COMMANDS, Kind, Spec},
};

/// Commands that may be named at once: what is said of each is long.
const NAMED_MAX: usize = 64;
/// The version in which these commands came.
const SINCE: &str = "0.1.0";
const TOO_MANY: &[u8] = b"ERR at most 64 commands may be named at once";

/// `COMMAND`: every command in detail.
pub(super) fn all(replies: &mut Replies) {
    replies.array(COMMANDS.len());
    for spec in COMMANDS {
        detail(spec, replies);
    }
}

pub(super) fn count(replies: &mut Replies) {
    replies.integer(COMMANDS.len() as i64);
}

pub(super) fn list(replies: &mut Replies) {
    replies.array(COMMANDS.len());
    for spec in COMMANDS {
        replies.text(spec.name);
    }
}

/// `COMMAND INFO`: those that are named, or all. Nothing stands for one that does not exist.
pub(super) fn info(command: Command<'_>, replies: &mut Replies) {
    if command.len() == 2 {
        return all(replies);
    }
    if command.len() - 2 > NAMED_MAX {
        return replies.error(&[TOO_MANY]);
    }
    replies.array(command.len() - 2);
    for name in command.rest(2) {
        match named(name) {
            Some(spec) => detail(spec, replies),
            None => replies.null(),
        }
    }
}

/// `COMMAND DOCS`: those that are named, or all. One that does not exist is left out.
pub(super) fn docs(command: Command<'_>, replies: &mut Replies) {
    if command.len() == 2 {
        replies.map(COMMANDS.len());
        COMMANDS.iter().for_each(|spec| documented(spec, replies));
        return;
    }
    if command.len() - 2 > NAMED_MAX {
        return replies.error(&[TOO_MANY]);
    }
    let found = || command.rest(2).filter_map(named);
    replies.map(found().count());
    found().for_each(|spec| documented(spec, replies));
}

/// The subcommands of a container, for people.
pub(super) fn help(container: &str, replies: &mut Replies) {
    let subcommands = table::find(container.as_bytes()).map_or(&[][..], |spec| spec.subcommands);
    replies.array(1 + 2 * subcommands.len());
    let first = format!("{} <subcommand> [<arg> ...]. Subcommands are:", container.to_uppercase());
    replies.text(&first);
    for spec in subcommands {
        let mut syntax = spec.short_name().to_uppercase();
        for argument in spec.arguments {
            push_syntax(argument, &mut syntax);
        }
        replies.text(&syntax);
        replies.text(&format!("    {}", spec.summary));
    }
}

fn push_syntax(argument: &Argument, out: &mut String) {
    out.push(' ');
    match argument.kind {
        Kind::OneOf => {
            let separators = std::iter::once("(").chain(std::iter::repeat("|"));
            for (part, separator) in argument.parts.iter().zip(separators) {
                out.push_str(separator);
                out.push_str(part.token.unwrap_or(part.name));
                if part.kind != Kind::Token && part.token.is_some() {
                    out.push(' ');
                    out.push_str(part.name);
                }
            }
            out.push(')');
        }
        _ => {
            out.push('<');
            out.push_str(argument.name);
            out.push_str(if argument.multiple { "> ..." } else { ">" });
        }
    }
}

/// A command, or as `container|name` a subcommand.
fn named(name: &[u8]) -> Option<&'static Spec> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let spec = table::find(parts.next()?)?;
    match parts.next() {
        Some(sub) => table::find_in(spec, sub),
        None => Some(spec),
    }
}

/// Ten things about a command, as Redis has them since version 7.
fn detail(spec: &Spec, replies: &mut Replies) {
    replies.array(10);
    replies.text(spec.name);
    replies.integer(spec.arity.into());
    replies.set(spec.flags.len());
    spec.flags.iter().for_each(|flag| replies.simple(flag));
    let key = spec.key.unwrap_or(0) as i64;
    replies.integer(key);
    replies.integer(key);
    replies.integer(i64::from(spec.key.is_some()));
    // Categories of access, tips, and where keys are in more words.
    replies.set(0);
    replies.array(0);
    replies.array(0);
    replies.array(spec.subcommands.len());
    for sub in spec.subcommands {
        detail(sub, replies);
    }
}

fn documented(spec: &Spec, replies: &mut Replies) {
    let has_arguments = !spec.arguments.is_empty();
    let has_subcommands = !spec.subcommands.is_empty();
    replies.text(spec.name);
    replies.map(3 + usize::from(has_arguments) + usize::from(has_subcommands));
    replies.text("summary");
    replies.text(spec.summary);
    replies.text("since");
    replies.text(SINCE);
    replies.text("group");
    replies.text(spec.group);
    if has_arguments {
        replies.text("arguments");
        arguments(spec.arguments, replies);
    }
    if has_subcommands {
        replies.text("subcommands");
        replies.map(spec.subcommands.len());
        spec.subcommands.iter().for_each(|sub| documented(sub, replies));
    }
}

fn arguments(arguments_of: &[Argument], replies: &mut Replies) {
    replies.array(arguments_of.len());
    for argument in arguments_of {
        let is_key = argument.kind == Kind::Key;
        let flags = [(argument.optional, "optional"), (argument.multiple, "multiple")];
        let flags = flags.iter().filter(|(is, _)| *is);
        let has = [
            argument.token.is_some(),
            is_key,
            flags.clone().next().is_some(),
            !argument.parts.is_empty(),
        ];
        replies.map(2 + has.iter().filter(|has| **has).count());
        replies.text("name");
        replies.text(argument.name);
        replies.text("type");
        replies.text(argument.kind.word());
        if is_key {
            replies.text("key_spec_index");
            replies.integer(0);
        }
        if let Some(token) = argument.token {
            replies.text("token");
            replies.text(token);
        }
        if has[2] {
            replies.text("flags");
            replies.set(flags.clone().count());
            flags.for_each(|(_, flag)| replies.simple(flag));
        }
        if has[3] {
            replies.text("arguments");
            arguments(argument.parts, replies);
        }
    }
}
