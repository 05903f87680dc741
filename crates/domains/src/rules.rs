//! Outbox rules: what is enqueued when something has happened to a hold, in the same record as that.
//!
//! A rule names an event and a queue. The job that it enqueues is sent to where the queue keeps jobs of
//! its key, so it is there a moment later, once, and never without the event; nor is the event ever
//! without it. A rule whose queue there is not leaves a dead delivery. Rules decide nothing: what
//! happened has happened, whatever becomes of the job.

use crate::{
    Domains, Item, Rfc3339,
    jobs::{self, NewJob, Settings, Spread, When},
    reservations::{Hold, HoldChange, Places},
};
use evenkeel_engine::{Context, Position, TenantId};
use evenkeel_log::PartitionId;
use evenkeel_state::{StateError, row};
use serde::{Deserialize, Serialize};

/// Rules that a tenant may have.
pub const RULES_MAX: usize = 64;
/// Rules that one event may meet.
pub const RULES_AN_EVENT_MAX: usize = 4;
/// Tenants that may have rules.
pub const RULED_TENANTS_MAX: usize = 100;
/// Bytes of the payload of a job that a rule enqueues: beyond it the names of seats are left out.
pub const RULE_PAYLOAD_BYTES_MAX: usize = 4 * 1_024;
/// The longest name of a resource, a queue or a kind.
pub const NAME_BYTES_MAX: usize = 128;
/// What a rule may wait for.
pub const EVENTS: [HoldChange; 5] = [
    HoldChange::Held,
    HoldChange::Confirmed,
    HoldChange::Released,
    HoldChange::Expired,
    HoldChange::Cancelled,
];

/// What is enqueued when something happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What has to happen: one of [`EVENTS`].
    pub on: HoldChange,
    /// To which resources: one by its name, or those whose names begin with what is before a star at the
    /// end. All of them if it is none.
    pub resource: Option<String>,
    /// Where it goes.
    pub queue: String,
    /// What sort of job it is.
    pub kind: String,
    /// The job's priority.
    pub priority: u8,
}

/// The rules of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Its name: jobs are placed by it.
    pub tenant: String,
    /// The rules.
    pub rules: Vec<Rule>,
}
row!(Rules, version = 1);

/// Why rules are not legal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Too many tenants have some.
    #[error("at most {RULED_TENANTS_MAX} tenants may have outbox rules")]
    Tenants,
    /// Too many.
    #[error("a tenant may have at most {RULES_MAX} outbox rules")]
    Count,
    /// One event would enqueue too much.
    #[error(
        "{event} of resources {resource:?} would meet more than {RULES_AN_EVENT_MAX} rules, the most \
         that one event may"
    )]
    Crowded {
        /// Which.
        event: &'static str,
        /// Of these resources.
        resource: String,
    },
    /// Nothing that a rule can wait for.
    #[error("no rule can be on {0}")]
    Event(&'static str),
    /// Not a name.
    #[error("{field} {text:?} is no name: 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ : @ -")]
    Name {
        /// Which of the rule's.
        field: &'static str,
        /// What it is.
        text: String,
    },
    /// Neither a name nor the beginning of names.
    #[error("resource {0:?} is neither a name nor the beginning of one with a star at its end")]
    Pattern(String),
    /// Not a priority.
    #[error("priority {found} is more than {max}, the highest", max = jobs::PRIORITY_MAX)]
    Priority {
        /// What it is.
        found: u8,
    },
}

impl Rule {
    /// Whether what it says can be.
    pub fn check(&self) -> Result<(), RulesError> {
        if !EVENTS.contains(&self.on) {
            return Err(RulesError::Event(self.on.name()));
        }
        if let Some(resource) = &self.resource {
            let beginning = resource.strip_suffix('*');
            let legal = beginning == Some("") || is_name(beginning.unwrap_or(resource));
            if !legal {
                return Err(RulesError::Pattern(resource.clone()));
            }
        }
        for (field, text) in [("queue", &self.queue), ("kind", &self.kind)] {
            if !is_name(text) {
                return Err(RulesError::Name { field, text: text.clone() });
            }
        }
        if self.priority > jobs::PRIORITY_MAX {
            return Err(RulesError::Priority { found: self.priority });
        }
        Ok(())
    }

    fn pattern(&self) -> &str {
        self.resource.as_deref().unwrap_or("*")
    }

    /// Whether it means this resource, or all that a pattern means.
    fn covers(&self, resource: &str) -> bool {
        match self.pattern().strip_suffix('*') {
            Some(beginning) => resource.starts_with(beginning),
            None => self.pattern() == resource,
        }
    }
}

/// Whether a tenant may have these.
pub fn check(rules: &[Rule]) -> Result<(), RulesError> {
    if rules.len() > RULES_MAX {
        return Err(RulesError::Count);
    }
    rules.iter().try_for_each(Rule::check)?;
    // What two patterns both mean, one of them means whole: so the most meet where the narrowest does.
    for rule in rules {
        let meets = |other: &&Rule| other.on == rule.on && other.covers(rule.pattern());
        if rules.iter().filter(meets).count() > RULES_AN_EVENT_MAX {
            let resource = rule.pattern().to_owned();
            return Err(RulesError::Crowded { event: rule.on.name(), resource });
        }
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(legal)
}

/// The rules of a tenant while something happens.
#[derive(Clone, Copy)]
pub(crate) struct InForce<'d> {
    pub(crate) domains: &'d Domains,
    pub(crate) tenant: TenantId,
    pub(crate) rules: &'d Rules,
}

/// What has happened to a hold.
pub(crate) struct Happened<'h> {
    pub(crate) resource: &'h str,
    /// Of the event, in the resource's stream.
    pub(crate) sequence: u64,
    pub(crate) change: HoldChange,
    pub(crate) fence: u64,
    pub(crate) hold: &'h Hold,
}

/// A job's payload: the event as its subscribers see it.
#[derive(Serialize)]
struct Payload<'h> {
    position: String,
    event: &'static str,
    entity: String,
    at: Rfc3339,
    data: Data<'h>,
}

#[derive(Serialize)]
struct Data<'h> {
    hold: String,
    fence: u64,
    holder: &'h str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seats: Option<&'h [String]>,
    /// Of seats whose names are left out: how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    seats_left_out: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<u64>,
    expires_at: Rfc3339,
}

impl InForce<'_> {
    /// Sends what the rules want enqueued.
    pub(crate) fn apply(
        &self,
        ctx: &mut Context<'_, '_>,
        what: &Happened<'_>,
    ) -> Result<(), StateError> {
        let met = |rule: &&Rule| rule.on == what.change && rule.covers(what.resource);
        for rule in self.rules.rules.iter().filter(met) {
            self.send(ctx, rule, what)?;
        }
        Ok(())
    }

    fn send(
        &self,
        ctx: &mut Context<'_, '_>,
        rule: &Rule,
        what: &Happened<'_>,
    ) -> Result<(), StateError> {
        let position =
            Position { incarnation: ctx.incarnation(), sequence: what.sequence }.to_string();
        let unique = format!("{}@{position}#{}", what.resource, rule.kind);
        let partitions = self.domains.partitions;
        let settings = self.domains.meta.queue(self.tenant, &rule.queue);
        let (tenant, queue) = (self.rules.tenant.as_str(), rule.queue.as_str());
        let known = settings.copied().unwrap_or(Settings::of(partitions));
        let to = jobs::place(tenant, queue, &known, Spread::Key(&unique), partitions);
        let at = jobs::position(tenant, queue, &known, to, partitions).unwrap_or_default();
        let job = NewJob {
            kind: rule.kind.clone(),
            payload: payload(ctx, position, what),
            unique_key: Some(unique),
            ordering_key: None,
            priority: rule.priority,
            when: When::Now,
            after: Vec::new(),
            trace: None,
        };
        let item = Item::Jobs(jobs::Item::Enqueue {
            queue: rule.queue.clone(),
            partition: to.0,
            settings: Box::new(known.share(at)),
            jobs: vec![job],
        });
        if settings.is_none() {
            let why =
                format!("there is no queue {queue:?}, which a rule on {} names", rule.on.name());
            return ctx.undeliverable(self.tenant, &item, why);
        }
        ctx.send(PartitionId(to.0), self.tenant, &item)
    }
}

fn payload(ctx: &Context<'_, '_>, position: String, what: &Happened<'_>) -> String {
    let (seats, quantity) = match &what.hold.places {
        Places::Seats(seats) => (Some(seats.as_slice()), None),
        Places::Quantity(quantity) => (None, Some(*quantity)),
        Places::Lock => (None, None),
    };
    let mut payload = Payload {
        position,
        event: what.change.name(),
        entity: format!("resource:{}", what.resource),
        at: Rfc3339(ctx.now()),
        data: Data {
            hold: what.fence.to_string(),
            fence: what.fence,
            holder: &what.hold.holder,
            seats,
            seats_left_out: None,
            quantity,
            expires_at: Rfc3339(what.hold.expires_at),
        },
    };
    let text = json(&payload);
    if text.len() <= RULE_PAYLOAD_BYTES_MAX {
        return text;
    }
    payload.data.seats_left_out = payload.data.seats.take().map(<[String]>::len);
    json(&payload)
}

fn json(payload: &Payload<'_>) -> String {
    serde_json::to_string(payload).expect("structs of strings and numbers serialise")
}
