//! Which path a command or query belongs to, the numbers under which the engine keeps idempotency
//! keys apart by path, and what tells two commands under one key apart.

use crate::{Command, Query, chat, feed, jobs, limits, meta, reservations, schedules};

impl Command {
    /// The path's name.
    #[must_use]
    pub fn path(&self) -> &'static str {
        match self {
            Self::Reservations(command) => match command.action {
                reservations::Action::Put(_) => "reservations.create",
                reservations::Action::AddSeats(_) => "reservations.add_seats",
                reservations::Action::Hold { .. } => "reservations.hold",
                reservations::Action::Confirm { .. } => "reservations.confirm",
                reservations::Action::Release { .. } => "reservations.release",
                reservations::Action::Extend { .. } => "reservations.extend",
                reservations::Action::Cancel { .. } => "reservations.cancel",
            },
            Self::Meta(command) => match command.action {
                meta::Action::CreateKey { .. } => "keys.create",
                meta::Action::RevokeKey { .. } => "keys.revoke",
                // Both are what the config file says, stored when a server starts.
                meta::Action::SetContracts(_) | meta::Action::SetRules(_) => "contracts.set",
                meta::Action::PutLimit { .. } => "limits.put",
                meta::Action::DeleteLimit { .. } => "limits.delete",
                meta::Action::PutQueue { .. } | meta::Action::DisablePush { .. } => {
                    "jobs.put_queue"
                }
                meta::Action::SetQueueMode { mode: meta::QueueMode::Open, .. } => "jobs.resume",
                meta::Action::SetQueueMode { mode: meta::QueueMode::Paused, .. } => "jobs.pause",
                meta::Action::SetQueueMode { mode: meta::QueueMode::Draining, .. } => "jobs.drain",
                meta::Action::DeleteQueue { .. } => "jobs.delete_queue",
                meta::Action::CreateTokenKey { .. } => "token_keys.create",
                meta::Action::RevokeTokenKey { .. } => "token_keys.revoke",
            },
            Self::Limits(command) => match command.action {
                limits::Action::Check { .. } | limits::Action::Lease { .. } => "limits.check",
                limits::Action::Refund { .. } | limits::Action::GiveBack => "limits.refund",
                limits::Action::Release { .. } => "limits.release",
                limits::Action::Renew { .. } => "limits.renew",
                limits::Action::Reset => "limits.reset",
            },
            Self::Jobs(command) => of_job(&command.action),
            Self::Schedules(command) => match command.action {
                schedules::Action::Put(_) => "schedules.put",
                schedules::Action::Pause => "schedules.pause",
                schedules::Action::Resume => "schedules.resume",
                schedules::Action::Delete => "schedules.delete",
            },
            Self::Chat(command) => match command.action {
                chat::Action::Put { .. } => "chat.put_conversation",
                chat::Action::PutMember { .. } => "chat.put_member",
                chat::Action::RemoveMember { .. } => "chat.remove_member",
                chat::Action::Send(_) => "chat.send",
                chat::Action::Edit { .. } => "chat.edit",
                chat::Action::Delete { .. } => "chat.delete",
                chat::Action::React(_) => "chat.react",
                chat::Action::Unreact(_) => "chat.unreact",
                chat::Action::Read { .. } => "chat.read",
            },
            Self::Feed(command) => of_feed(&command.action),
        }
    }
}

impl Command {
    /// What the caller asked for, as bytes: two commands of one path with the same bytes are the
    /// same request. What the edge adds by itself, anew for each try, is not among them.
    #[must_use]
    pub fn fingerprint_bytes(&self) -> Vec<u8> {
        let encoded = match self {
            Self::Meta(meta::Command {
                action: meta::Action::CreateKey { id: _, secret_hash: _, tenant, scopes, label },
            }) => postcard::to_stdvec(&(tenant, scopes, label)),
            Self::Meta(meta::Command {
                action: meta::Action::CreateTokenKey { kid: _, tenant, verifier, drawn, label },
            }) => {
                let given = (!drawn).then_some(verifier);
                postcard::to_stdvec(&(tenant, verifier.algorithm(), given, label))
            }
            Self::Limits(limits::Command { checks, action }) => {
                let asked: Vec<_> = checks.iter().map(asked).collect();
                match action {
                    limits::Action::Check { lease: _ } => postcard::to_stdvec(&asked),
                    action => postcard::to_stdvec(&(action, asked)),
                }
            }
            // Settings may change between a request and its repeat.
            Self::Jobs(jobs::Command { queue, partition: _, settings: _, action }) => {
                postcard::to_stdvec(&(queue, action))
            }
            Self::Reservations(_)
            | Self::Meta(_)
            | Self::Schedules(_)
            | Self::Chat(_)
            | Self::Feed(_) => postcard::to_stdvec(self),
        };
        encoded.expect("a command is plain data: it encodes")
    }
}

/// What a caller says of a check: not the policy of a named limit, which may change between a request
/// and its repeat.
fn asked(check: &limits::Check) -> (&limits::Subject, Option<&limits::Policy>, u64) {
    let own = check.subject().limit.is_empty().then_some(check.policy());
    (check.subject(), own, check.cost())
}

impl Query {
    /// The path's name.
    #[must_use]
    pub fn path(&self) -> &'static str {
        let query = match self {
            Self::Reservations(query) => query,
            Self::Limits(limits::Query::Peek { .. }) => return "limits.peek",
            Self::Jobs(query) => return of_jobs(query),
            Self::Schedules(schedules::Query::Schedule { .. }) => return "schedules.get",
            Self::Schedules(schedules::Query::Schedules { .. }) => return "schedules.list",
            Self::Chat(query) => return of_chat(query),
            Self::Feed(query) => return of_feeds(&query.what),
        };
        match query {
            reservations::Query::Resource { .. } => "reservations.resource",
            reservations::Query::Resources { .. } => "reservations.resources",
            reservations::Query::Seats { .. } => "reservations.seats",
            reservations::Query::Hold { .. } => "reservations.get_hold",
            reservations::Query::Holds { .. } => "reservations.holds",
            reservations::Query::Events { .. } => "reservations.events",
        }
    }
}

fn of_chat(query: &chat::Query) -> &'static str {
    match query {
        chat::Query::Conversation { .. } => "chat.conversation",
        chat::Query::Members { .. } => "chat.members",
        chat::Query::Messages { .. } => "chat.messages",
        chat::Query::Message { .. } => "chat.message",
        chat::Query::Reactions { .. } => "chat.reactions",
        chat::Query::Events { .. } => "chat.stream",
        chat::Query::Inbox { .. }
        | chat::Query::Uncounted { .. }
        | chat::Query::Summaries { .. } => "chat.inbox",
    }
}

fn of_feed(action: &feed::Action) -> &'static str {
    use feed::{Action, Tie};
    match action {
        Action::Post { .. } => "feed.post",
        Action::Delete { .. } => "feed.delete",
        Action::Follow { on: true, .. } => "feed.follow",
        Action::Follow { on: false, .. } => "feed.unfollow",
        Action::Tie { tie: Tie::Block, on: true, .. } => "feed.block",
        Action::Tie { tie: Tie::Block, on: false, .. } => "feed.unblock",
        Action::Tie { tie: Tie::Mute, on: true, .. } => "feed.mute",
        Action::Tie { tie: Tie::Mute, on: false, .. } => "feed.unmute",
        Action::React { on: true, .. } => "feed.react",
        Action::React { on: false, .. } => "feed.unreact",
    }
}

fn of_feeds(what: &feed::What) -> &'static str {
    use feed::{Listed, Tie, What};
    match what {
        What::User => "feed.user",
        What::Posts { .. } => "feed.posts",
        What::Post { .. } => "feed.get_post",
        What::Reactors { .. } => "feed.reactions",
        What::People { listed: Listed::Followers, .. } => "feed.followers",
        What::People { listed: Listed::Following, .. } => "feed.following",
        What::People { listed: Listed::Tied(Tie::Block), .. } => "feed.blocks",
        What::People { listed: Listed::Tied(Tie::Mute), .. } => "feed.mutes",
        What::Timeline { .. } => "feed.timeline",
        What::Arrivals { .. } => "feed.stream",
    }
}

fn of_job(action: &jobs::Action) -> &'static str {
    match action {
        jobs::Action::Enqueue(_) => "jobs.enqueue",
        jobs::Action::Lease { .. } => "jobs.lease",
        jobs::Action::Complete { .. } => "jobs.complete",
        jobs::Action::CompleteMany(_) => "jobs.complete_many",
        jobs::Action::Fail { .. } => "jobs.fail",
        jobs::Action::Extend { .. } => "jobs.extend",
        jobs::Action::Snooze { .. } => "jobs.snooze",
        jobs::Action::Progress { .. } => "jobs.progress",
        jobs::Action::Cancel { .. } => "jobs.cancel",
        jobs::Action::Retry { .. } => "jobs.retry",
        jobs::Action::Replay { .. } => "jobs.replay",
        jobs::Action::AndNext(word, _) => of_job(word),
    }
}

fn of_jobs(query: &jobs::Query) -> &'static str {
    match query {
        jobs::Query::Job { .. } => "jobs.get",
        jobs::Query::Jobs { .. } => "jobs.list",
        jobs::Query::Dead { .. } => "jobs.dead",
        jobs::Query::Queue { .. } => "jobs.queue",
        jobs::Query::Events { .. } => "jobs.events",
    }
}

/// The number of a path that takes idempotency keys. Stored in rows: never changed, never reused.
#[must_use]
pub fn path_number(path: &str) -> Option<u8> {
    match path {
        "reservations.hold" => Some(1),
        "reservations.confirm" => Some(2),
        "reservations.release" => Some(3),
        "reservations.extend" => Some(4),
        "reservations.cancel" => Some(5),
        "limits.check" => Some(0x10),
        "limits.refund" => Some(0x11),
        "jobs.enqueue" => Some(0x20),
        "keys.create" => Some(0x40),
        "token_keys.create" => Some(0x41),
        _ => None,
    }
}
