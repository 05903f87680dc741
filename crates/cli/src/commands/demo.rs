//! The demo that `dev` begins with: one resource of each kind, two limits, a queue with jobs in several states, two
//! conversations and a timeline, put there by commands. What moves by itself is in `traffic`.

use super::traffic;
use crate::failure::Failure;
use evenkeel_domains::{
    Command, Query, Refusal, Reply,
    chat::{self, Outgoing, Role},
    feed,
    jobs::{self, NewJob, Settings, When},
    limits::{Algorithm, Durability, Mode, OnUnavailable, Policy},
    meta,
    reservations::{self, Action, Spec},
};
use evenkeel_node::{CallOptions, LeaseRequest, Node, NodeError, ReadOptions, Tenant};
use std::time::Duration;

/// The resource of the first request to try.
pub(crate) const FIRST: &str = "gig";

/// The resource whose seats are a map to look at.
pub(crate) const SEATS: &str = "hall";
/// A limit of requests, and one of slots.
pub(crate) const LIMIT: &str = "logins";
pub(crate) const SLOTS: &str = "exports";
/// Who chats and posts, and who chats and reads a timeline.
const POSTS: &str = "ada";
pub(crate) const READER: &str = "bob";

/// The queue of the first worker to try.
pub(crate) const QUEUE: &str = "mail";
/// The conversations, with who is in each and what the first of them says.
const CONVERSATIONS: [(&str, &[&str], &str); 3] = [
    (traffic::CONVERSATION, &traffic::PEOPLE, "Hello, everybody."),
    ("weekend", &[POSTS, READER], "Who is in?"),
    ("general", &[POSTS, READER], "Hello, Bob."),
];
/// The kind of the job that is a dead letter.
const DEAD: &str = "invoice";
/// How long the demo waits for the job that it makes a dead letter of.
const LEASE_WAIT: Duration = Duration::from_secs(10);
const HOUR_MS: u64 = 3_600_000;

fn resources() -> [(&'static str, Spec); 3] {
    let rows = ["A", "B", "C"].into_iter();
    let seats = rows.flat_map(|row| (1..=10).map(move |number| format!("{row}{number}"))).collect();
    let protects = "one nightly export at a time".to_owned();
    [
        (FIRST, Spec::Quantity(100)),
        (SEATS, Spec::Seats(seats)),
        ("nightly-export", Spec::Lock { protects }),
    ]
}

/// Puts what is not there yet; what is there stays as it is.
pub(crate) async fn seed(node: &Node) -> Result<(), Failure> {
    let tenant = node.tenant("default")?;
    for (name, spec) in resources() {
        let resource = name.to_owned();
        let query = Query::Reservations(reservations::Query::Resource { resource });
        match node.query(&tenant, query, ReadOptions::default()).await {
            Ok(_) => continue,
            Err(NodeError::Refused {
                refusal: Refusal::Reservations(reservations::Refusal::NoResource),
                ..
            }) => {}
            Err(error) => return Err(Failure::because("cannot look at the demo", error)),
        }
        let command =
            reservations::Command { resource: name.to_owned(), action: Action::Put(spec) };
        node.command(&tenant, Command::Reservations(command), CallOptions::default())
            .await
            .map_err(|error| Failure::because("cannot create the demo", error))?;
    }
    let limited = seed_limits(node, &tenant).await;
    limited.map_err(|error| Failure::because("cannot create the demo's limits", error))?;
    let queued = seed_queues(node, &tenant).await;
    queued.map_err(|error| Failure::because("cannot create the demo's queues", error))?;
    for (conversation, members, says) in CONVERSATIONS {
        let talked = seed_conversation(node, &tenant, conversation, members, says).await;
        talked
            .map_err(|error| Failure::because("cannot create the demo's conversations", error))?;
    }
    let posted = seed_timeline(node, &tenant).await;
    posted.map_err(|error| Failure::because("cannot create the demo's timeline", error))
}

/// A limit that is there stays as it is.
async fn seed_limits(node: &Node, tenant: &Tenant) -> Result<(), NodeError> {
    let requests = Policy {
        algorithm: Algorithm::Gcra,
        scoped: false,
        quantity: 100,
        period_ms: 60_000,
        burst: 20,
        mode: Mode::Exact,
        durability: Durability::Synced,
        on_unavailable: OnUnavailable::Deny,
        shadow: false,
    };
    let slots = Policy { algorithm: Algorithm::Concurrency, quantity: 3, burst: 0, ..requests };
    for (name, policy) in [(LIMIT, requests), (SLOTS, slots)] {
        if node.meta().meta.limit(tenant.id, name).is_none() {
            let action =
                meta::Action::PutLimit { tenant: tenant.id, name: name.to_owned(), policy };
            let command = Command::Meta(meta::Command { action });
            node.command(tenant, command, CallOptions::default()).await?;
        }
    }
    Ok(())
}

/// Once there was a post, who follows whom stays as it is.
async fn seed_timeline(node: &Node, tenant: &Tenant) -> Result<(), NodeError> {
    let change = async |user: &str, action| {
        let command = feed::Command { user: user.to_owned(), by: None, action };
        node.command(tenant, Command::Feed(command), CallOptions::default()).await
    };
    let body = serde_json::json!({ "text": "A first post." }).to_string();
    let post = feed::Action::Post { client_id: "hello".to_owned(), body };
    if let Reply::Feed(feed::Reply::Posted(feed::PostedView { duplicate: true, .. })) =
        change(POSTS, post).await?.answer
    {
        return Ok(());
    }
    for author in [POSTS].into_iter().chain(traffic::AUTHORS) {
        change(READER, feed::Action::Follow { author: author.to_owned(), on: true }).await?;
    }
    Ok(())
}

/// A conversation that is there stays as it is.
async fn seed_conversation(
    node: &Node,
    tenant: &Tenant,
    name: &str,
    members: &[&str],
    says: &str,
) -> Result<(), NodeError> {
    let conversation = || name.to_owned();
    let query = chat::Query::Conversation { conversation: conversation(), by: None };
    match node.query(tenant, Query::Chat(query), ReadOptions::default()).await {
        Ok(_) => return Ok(()),
        Err(NodeError::Refused {
            refusal: Refusal::Chat(chat::Refusal::NoConversation), ..
        }) => {}
        Err(error) => return Err(error),
    }
    let hello = Outgoing {
        client_id: "hello".to_owned(),
        sender: members[0].to_owned(),
        body: serde_json::json!({ "text": says }).to_string(),
        reply_to: None,
    };
    let members = members.iter().map(|user| ((*user).to_owned(), Role::Writer)).collect();
    let retention_ms = (name == traffic::CONVERSATION).then_some(HOUR_MS);
    let put = chat::Action::Put { members, retention_ms };
    for action in [put, chat::Action::Send(hello)] {
        let command = chat::Command { conversation: conversation(), by: None, action };
        node.command(tenant, Command::Chat(command), CallOptions::default()).await?;
    }
    Ok(())
}

fn job(kind: &str, to: &str) -> NewJob {
    NewJob {
        kind: kind.to_owned(),
        payload: serde_json::json!({ "to": to }).to_string(),
        unique_key: None,
        ordering_key: None,
        priority: 4,
        when: When::Now,
        after: Vec::new(),
        trace: None,
    }
}

/// Puts a queue and answers true; or it is there, and stays as it is.
async fn put_queue(
    node: &Node,
    tenant: &Tenant,
    name: &str,
    settings: Settings,
) -> Result<bool, NodeError> {
    if node.queue_settings(tenant, name).is_ok() {
        return Ok(false);
    }
    let action = meta::Action::PutQueue {
        tenant: tenant.id,
        name: name.to_owned(),
        settings: Box::new(settings),
        push: None,
        partitions: node.partitions(),
    };
    let command = Command::Meta(meta::Command { action });
    node.command(tenant, command, CallOptions::default()).await?;
    Ok(true)
}

/// A queue that is there stays as it is, with what is in it.
async fn seed_queues(node: &Node, tenant: &Tenant) -> Result<(), NodeError> {
    put_queue(node, tenant, traffic::QUEUE, traffic::SETTINGS).await?;
    if !put_queue(node, tenant, QUEUE, Settings::of(0)).await? {
        return Ok(());
    }
    bury(node, tenant).await?;
    let steps = ["confirm", "receipt"].map(|kind| NewJob {
        ordering_key: Some("order-17".to_owned()),
        ..job(kind, "ada@example.com")
    });
    let jobs = [
        job("welcome", "ada@example.com"),
        job("welcome", "grace@example.com"),
        NewJob { priority: 1, ..job("digest", "everyone@example.com") },
        NewJob { when: When::DelayMs(HOUR_MS), ..job("reminder", "ada@example.com") },
    ];
    let jobs = jobs.into_iter().chain(steps).collect();
    let taken = node.enqueue(tenant, QUEUE, jobs, CallOptions::default()).await?;
    taken.answer.into_iter().try_for_each(|taken| taken.map(|_| ()))
}

/// Leaves a dead letter, as a worker makes one that gives up.
async fn bury(node: &Node, tenant: &Tenant) -> Result<(), NodeError> {
    let jobs = vec![job(DEAD, "nobody@example.com")];
    node.enqueue(tenant, QUEUE, jobs, CallOptions::default()).await?;
    let request = LeaseRequest {
        queue: QUEUE.to_owned(),
        worker: "demo".to_owned(),
        max: 1,
        wait: LEASE_WAIT,
        lease_ms: None,
    };
    let options = CallOptions::default();
    let leased = node.lease(tenant, &request, options, std::future::pending()).await?;
    for (id, leased) in leased.answer.jobs {
        let (error, retry) = ("exit code 100\nno such mailbox".to_owned(), false);
        let fail = jobs::Action::Fail { job: leased.job, lease: leased.lease, error, retry };
        node.job(tenant, QUEUE, id, fail, CallOptions::default()).await?;
    }
    Ok(())
}
