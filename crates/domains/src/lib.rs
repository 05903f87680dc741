//! The products. One folder each, the same shape in all: `commands`, `tables`, `decide`,
//! `queries`, `contract`, with tests beside them. This file joins them into what the engine runs.
//!
//! To add a domain: a folder of that shape, a variant in [`Command`], [`Query`], [`Reply`],
//! [`Refusal`] and [`Found`], an arm in each `match` below, and its paths in [`paths`]. Nothing
//! here performs I/O, reads a clock or draws a random number.

pub mod chat;
mod facts;
pub mod feed;
mod hash;
pub mod jobs;
pub mod limits;
pub mod meta;
mod names;
pub mod reservations;
mod route;
pub mod rules;
pub mod schedules;
mod tables;
mod time;
mod view;

pub use names::path_number;
pub use route::{KeyParts, Scope, route, user_partition};
pub use time::Rfc3339;
pub use view::{is_view, view_of};

use evenkeel_contract::Path;
use evenkeel_engine::{App, Context, Stop, TenantId, Time};
use evenkeel_log::Incarnation;
use evenkeel_state::{Read, StateError};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Every path of every domain.
#[must_use]
pub fn paths() -> Vec<&'static Path> {
    let products = reservations::PATHS.into_iter().chain(limits::PATHS).chain(jobs::PATHS);
    let products = products.chain(schedules::PATHS).chain(chat::PATHS).chain(feed::PATHS);
    products.chain(meta::PATHS).collect()
}

/// The name of table `id`, of the engine or a domain: for whoever shows what a record changes.
#[must_use]
pub fn table_name(id: u8) -> Option<&'static str> {
    evenkeel_engine::table_name(id)
        .or_else(|| reservations::table_name(id))
        .or_else(|| limits::table_name(id))
        .or_else(|| jobs::table_name(id))
        .or_else(|| schedules::table_name(id))
        .or_else(|| chat::table_name(id))
        .or_else(|| feed::table_name(id))
        .or_else(|| meta::table_name(id))
}

/// A change, of any domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// To a resource.
    Reservations(reservations::Command),
    /// To meta.
    Meta(meta::Command),
    /// To what limits have counted.
    Limits(limits::Command),
    /// To jobs of a queue.
    Jobs(jobs::Command),
    /// To a schedule.
    Schedules(schedules::Command),
    /// To a conversation.
    Chat(chat::Command),
    /// To a feed.
    Feed(feed::Command),
}

/// A read, of any domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Of resources.
    Reservations(reservations::Query),
    /// Of what limits have counted.
    Limits(limits::Query),
    /// Of jobs of a queue.
    Jobs(jobs::Query),
    /// Of schedules.
    Schedules(schedules::Query),
    /// Of chat.
    Chat(chat::Query),
    /// Of a feed.
    Feed(feed::Query),
}

/// A yes, of any domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Of a resource.
    Reservations(reservations::Reply),
    /// Of meta.
    Meta(meta::Reply),
    /// Of a limit.
    Limits(limits::Reply),
    /// Of jobs.
    Jobs(jobs::Reply),
    /// Of a schedule.
    Schedules(schedules::Reply),
    /// Of chat.
    Chat(chat::Reply),
    /// Of a feed.
    Feed(feed::Reply),
}

/// A no, of any domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Of a resource.
    Reservations(reservations::Refusal),
    /// Of meta.
    Meta(meta::Refusal),
    /// Of a limit.
    Limits(limits::Refusal),
    /// Of jobs.
    Jobs(jobs::Refusal),
    /// Of a schedule.
    Schedules(schedules::Refusal),
    /// Of chat.
    Chat(chat::Refusal),
    /// Of a feed.
    Feed(feed::Refusal),
}

impl Refusal {
    /// The code under which it is answered and counted.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Reservations(refusal) => refusal.code(),
            Self::Meta(refusal) => refusal.code(),
            Self::Limits(refusal) => refusal.code(),
            Self::Jobs(refusal) => refusal.code(),
            Self::Schedules(refusal) => refusal.code(),
            Self::Chat(refusal) => refusal.code(),
            Self::Feed(refusal) => refusal.code(),
        }
    }
}

/// What a read found, in any domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Of resources.
    Reservations(reservations::Found),
    /// Of what limits have counted.
    Limits(limits::Found),
    /// Of jobs.
    Jobs(jobs::Found),
    /// Of a schedule.
    Schedules(schedules::Found),
    /// Of chat.
    Chat(chat::Found),
    /// Of a feed.
    Feed(feed::Found),
}

/// Work that one partition sends to another, of any domain. Stored on its way: variants are added at
/// the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// To jobs.
    Jobs(jobs::Item),
    /// To inboxes.
    Chat(chat::Item),
    /// To feeds.
    Feed(feed::Item),
}

/// All domains, as the engine runs them, and what their decisions know beyond the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domains {
    /// How many data partitions there are: what places jobs.
    pub partitions: u16,
    /// What decisions need of meta. The rest of it is empty.
    pub meta: Arc<meta::Meta>,
    /// Only ever anything but the default in a drill.
    pub switches: Switches,
}

/// Guarantees that a drill takes away, to see which promise breaks. Nothing that serves can reach them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Switches {
    /// What was sent to a conversation under a client id is not looked up before it is sent again.
    pub no_client_id_dedup: bool,
}

impl Domains {
    /// Partitions, unless somebody says otherwise.
    pub const PARTITIONS: u16 = 16;

    /// What is to be enqueued for `tenant` when something happens; `None` if nothing ever is.
    pub(crate) fn rules(&self, tenant: TenantId) -> Option<rules::InForce<'_>> {
        if self.meta.rules.is_empty() {
            return None;
        }
        let rules = self.meta.rules.get(&tenant)?;
        Some(rules::InForce { domains: self, tenant, rules })
    }

    /// What schedules need of them.
    fn around(&self) -> schedules::Surroundings<'_> {
        schedules::Surroundings { partitions: self.partitions, meta: &self.meta }
    }
}

impl Default for Domains {
    fn default() -> Self {
        Self { partitions: Self::PARTITIONS, meta: Arc::default(), switches: Switches::default() }
    }
}

impl App for Domains {
    type Command = Command;
    type Reply = Reply;
    type Refusal = Refusal;
    type Item = Item;

    fn expire(
        &self,
        ctx: &mut Context<'_, '_>,
        tenant: TenantId,
        command: &Command,
    ) -> Result<bool, StateError> {
        match command {
            Command::Reservations(command) => reservations::expire(ctx, self, tenant, command),
            Command::Meta(_) => Ok(false),
            Command::Limits(command) => limits::expire(ctx, tenant, command),
            Command::Jobs(command) => jobs::expire(ctx, tenant, command),
            Command::Schedules(command) => schedules::expire(ctx, tenant, command, self.around()),
            Command::Chat(_) | Command::Feed(_) => Ok(false),
        }
    }

    fn decide(
        &self,
        ctx: &mut Context<'_, '_>,
        tenant: TenantId,
        command: &Command,
    ) -> Result<Reply, Stop<Refusal>> {
        match command {
            Command::Reservations(command) => reservations::decide(ctx, self, tenant, command)
                .map(Reply::Reservations)
                .map_err(|stop| refusal(stop, Refusal::Reservations)),
            Command::Meta(command) => meta::decide(ctx, command)
                .map(Reply::Meta)
                .map_err(|stop| refusal(stop, Refusal::Meta)),
            Command::Limits(command) => limits::decide(ctx, tenant, command)
                .map(Reply::Limits)
                .map_err(|stop| refusal(stop, Refusal::Limits)),
            Command::Jobs(command) => jobs::decide(ctx, self.partitions, tenant, command)
                .map(Reply::Jobs)
                .map_err(|stop| refusal(stop, Refusal::Jobs)),
            Command::Schedules(command) => schedules::decide(ctx, tenant, command, self.around())
                .map(Reply::Schedules)
                .map_err(|stop| refusal(stop, Refusal::Schedules)),
            Command::Chat(command) => chat::decide(ctx, self, tenant, command)
                .map(Reply::Chat)
                .map_err(|stop| refusal(stop, Refusal::Chat)),
            Command::Feed(command) => feed::decide(ctx, self, tenant, command)
                .map(Reply::Feed)
                .map_err(|stop| refusal(stop, Refusal::Feed)),
        }
    }

    fn is_buffered(&self, command: &Command) -> bool {
        matches!(command, Command::Limits(command) if command.is_buffered())
    }

    fn timer(&self, ctx: &mut Context<'_, '_>, domain: u8, entity: u64) -> Result<(), StateError> {
        match domain {
            reservations::DOMAIN => reservations::timer(ctx, self, entity),
            limits::DOMAIN => limits::timer(ctx, entity),
            jobs::DOMAIN => jobs::timer(ctx, entity),
            schedules::DOMAIN => schedules::timer(ctx, entity, self.around()),
            chat::DOMAIN => chat::timer(ctx, self, entity),
            feed::DOMAIN => feed::timer(ctx, entity),
            _ => unreachable!("no domain {domain} sets timers"),
        }
    }

    fn deliver(
        &self,
        ctx: &mut Context<'_, '_>,
        tenant: TenantId,
        item: &Item,
    ) -> Result<(), StateError> {
        match item {
            Item::Jobs(item) => jobs::deliver(ctx, self.partitions, tenant, item),
            Item::Chat(item) => chat::deliver(ctx, tenant, item),
            Item::Feed(item) => feed::deliver(ctx, self, tenant, item),
        }
    }
}

/// Answers a read from committed state.
pub fn query(
    read: &impl Read,
    now: Time,
    incarnation: Incarnation,
    tenant: TenantId,
    query: &Query,
) -> Result<Found, Stop<Refusal>> {
    match query {
        Query::Reservations(query) => reservations::query(read, now, incarnation, tenant, query)
            .map(Found::Reservations)
            .map_err(|stop| refusal(stop, Refusal::Reservations)),
        Query::Limits(query) => Ok(Found::Limits(limits::query(read, now, tenant, query)?)),
        Query::Jobs(query) => jobs::query(read, now, incarnation, tenant, query)
            .map(Found::Jobs)
            .map_err(|stop| refusal(stop, Refusal::Jobs)),
        Query::Schedules(query) => schedules::query(read, tenant, query)
            .map(Found::Schedules)
            .map_err(|stop| refusal(stop, Refusal::Schedules)),
        Query::Chat(query) => chat::query(read, incarnation, tenant, query)
            .map(Found::Chat)
            .map_err(|stop| refusal(stop, Refusal::Chat)),
        Query::Feed(query) => feed::query(read, incarnation, tenant, query)
            .map(Found::Feed)
            .map_err(|stop| refusal(stop, Refusal::Feed)),
    }
}

fn refusal<R>(stop: Stop<R>, wrap: impl FnOnce(R) -> Refusal) -> Stop<Refusal> {
    match stop {
        Stop::Refused(no) => Stop::Refused(wrap(no)),
        Stop::State(error) => Stop::State(error),
    }
}
