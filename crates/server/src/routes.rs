//! Every address that is answered, in one table: what dispatch, the methods of a 405, the scopes
//! and the OpenAPI document are all read from.

use crate::{
    auth::{self, ADMIN, Needs},
    openapi::Docs,
};
use hyper::Method;

/// What is done at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Hold,
    Confirm,
    Release,
    Extend,
    Cancel,
    GetHold,
    GetResource,
    PutResource,
    AddSeats,
    ListSeats,
    ListHolds,
    Events,
    ListResources,
    Check,
    ReleaseSlot,
    RenewSlot,
    Peek,
    Refund,
    ResetLimit,
    PutLimit,
    GetLimit,
    ListLimits,
    DeleteLimit,
    Enqueue,
    LeaseJobs,
    Complete,
    CompleteMany,
    Fail,
    ExtendJob,
    Snooze,
    Progress,
    CancelJob,
    RetryJob,
    GetJob,
    ListJobs,
    GetQueue,
    ListDead,
    ReplayDead,
    QueueEvents,
    PutQueue,
    PauseQueue,
    ResumeQueue,
    DrainQueue,
    DeleteQueue,
    ListQueues,
    PutSchedule,
    GetSchedule,
    ListSchedules,
    PauseSchedule,
    ResumeSchedule,
    DeleteSchedule,
    PutConversation,
    GetConversation,
    PutMember,
    RemoveMember,
    ListMembers,
    SendMessage,
    EditMessage,
    DeleteMessage,
    React,
    Unreact,
    MarkRead,
    ListMessages,
    GetMessage,
    ListReactions,
    GetInbox,
    StreamConversation,
    PostToFeed,
    DeletePost,
    ReactToPost,
    UnreactToPost,
    Follow,
    Unfollow,
    Block,
    Unblock,
    Mute,
    Unmute,
    GetTimeline,
    StreamTimeline,
    GetFeedUser,
    ListPosts,
    GetPost,
    ListPostReactions,
    ListFollowers,
    ListFollowing,
    ListBlocks,
    ListMutes,
    Realtime,
    CreateKey,
    ListKeys,
    RevokeKey,
    CreateTokenKey,
    ListTokenKeys,
    RevokeTokenKey,
    ListContracts,
    GetContract,
    Top,
    Metrics,
    Healthz,
    Readyz,
    OpenApi,
    Page,
    ProblemPage,
}

/// One method at one address.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) operation: Operation,
    pub(crate) method: Method,
    /// Without the first slash; `{}` stands for a name that the caller chose.
    pub(crate) segments: &'static [&'static str],
    /// The path whose contract it is under, if it is under one.
    pub(crate) path: Option<&'static str>,
    pub(crate) needs: Needs,
    pub(crate) docs: Docs,
}

/// More segments than any route has.
const SEGMENTS_MAX: usize = 9;
const READ: Needs = Needs::Scope("reservations:read");
const WRITE: Needs = Needs::Scope("reservations:write");
const LIMITS_READ: Needs = Needs::Scope("limits:read");
const LIMITS_WRITE: Needs = Needs::Scope("limits:write");
const JOBS_READ: Needs = Needs::Scope("jobs:read");
const JOBS_WRITE: Needs = Needs::Scope("jobs:write");
const CHAT_READ: Needs = Needs::User(auth::CHAT_READ);
const CHAT_WRITE: Needs = Needs::User(auth::CHAT_WRITE);
const FEED_READ: Needs = Needs::User(auth::FEED_READ);
const FEED_WRITE: Needs = Needs::User(auth::FEED_WRITE);
/// Whom a conversation is of is the product's to say.
const CHAT_ADMIT: Needs = Needs::Scope(auth::CHAT_WRITE);

macro_rules! routes {
    ($($operation:ident: $method:ident $segments:expr, $path:expr, $needs:expr, $docs:expr;)*) => {
        /// Every route; the busiest first, since they are looked through in order.
        pub(crate) static ROUTES: &[Route] = &[$(Route {
            operation: Operation::$operation,
            method: Method::$method,
            segments: &$segments,
            path: $path,
            needs: $needs,
            docs: $docs,
        }),*];
    };
}

routes! {
    Hold: POST ["v1", "resources", "{}", "holds"], Some("reservations.hold"), WRITE,
        Docs::of("201", "Hold").takes("HoldRequest");
    Confirm: POST ["v1", "resources", "{}", "holds", "{}", "confirm"], Some("reservations.confirm"),
        WRITE, Docs::of("200", "Hold").takes("ConfirmRequest");
    Release: POST ["v1", "resources", "{}", "holds", "{}", "release"], Some("reservations.release"),
        WRITE, Docs::of("200", "Hold").takes("EmptyRequest");
    Check: POST ["v1", "limits", "check"], Some("limits.check"), LIMITS_WRITE,
        Docs::of("200", "Checked").takes("CheckRequest");
    ReleaseSlot: POST ["v1", "limits", "release"], Some("limits.release"), LIMITS_WRITE,
        Docs::of("200", "Released").takes("ReleaseRequest");
    GetResource: GET ["v1", "resources", "{}"], Some("reservations.resource"), READ,
        Docs::of("200", "Resource");
    GetHold: GET ["v1", "resources", "{}", "holds", "{}"], Some("reservations.get_hold"), READ,
        Docs::of("200", "Hold");
    Extend: POST ["v1", "resources", "{}", "holds", "{}", "extend"], Some("reservations.extend"),
        WRITE, Docs::of("200", "Hold").takes("ExtendRequest");
    Cancel: POST ["v1", "resources", "{}", "holds", "{}", "cancel"], Some("reservations.cancel"),
        WRITE, Docs::of("200", "Hold").takes("EmptyRequest");
    PutResource: PUT ["v1", "resources", "{}"], Some("reservations.create"), WRITE,
        Docs::of("200", "Resource").takes("PutRequest").also("201");
    AddSeats: POST ["v1", "resources", "{}", "seats"], Some("reservations.add_seats"), WRITE,
        Docs::of("200", "Resource").takes("SeatsRequest");
    ListSeats: GET ["v1", "resources", "{}", "seats"], Some("reservations.seats"), READ,
        Docs::of("200", "SeatList").query(&["state", "limit", "cursor"]);
    ListHolds: GET ["v1", "resources", "{}", "holds"], Some("reservations.holds"), READ,
        Docs::of("200", "HoldList").query(&["state", "limit", "cursor"]);
    Events: GET ["v1", "resources", "{}", "events"], Some("reservations.events"), READ,
        Docs::text("text/event-stream").query(&["since"]);
    ListResources: GET ["v1", "resources"], Some("reservations.resources"), READ,
        Docs::of("200", "ResourceList").query(&["limit", "cursor"]);
    RenewSlot: POST ["v1", "limits", "renew"], Some("limits.renew"), LIMITS_WRITE,
        Docs::of("200", "Renewed").takes("RenewRequest");
    Peek: GET ["v1", "limits", "{}", "peek"], Some("limits.peek"), LIMITS_READ,
        Docs::of("200", "Checked").query(&["key", "scope", "cost"]);
    Refund: POST ["v1", "limits", "refund"], Some("limits.refund"), LIMITS_WRITE,
        Docs::of("200", "Subjects").takes("RefundRequest");
    ResetLimit: POST ["v1", "limits", "reset"], Some("limits.reset"), LIMITS_WRITE,
        Docs::of("200", "Subjects").takes("ResetRequest");
    PutLimit: PUT ["v1", "limits", "{}"], Some("limits.put"), LIMITS_WRITE,
        Docs::of("200", "Limit").takes("LimitRequest").also("201");
    GetLimit: GET ["v1", "limits", "{}"], Some("limits.get"), LIMITS_READ,
        Docs::of("200", "Limit");
    ListLimits: GET ["v1", "limits"], Some("limits.list"), LIMITS_READ,
        Docs::of("200", "LimitList").query(&["limit", "cursor"]);
    DeleteLimit: DELETE ["v1", "limits", "{}"], Some("limits.delete"), LIMITS_WRITE,
        Docs::nothing();
    Enqueue: POST ["v1", "queues", "{}", "jobs"], Some("jobs.enqueue"), JOBS_WRITE,
        Docs::of("201", "Enqueued").takes("EnqueueRequest");
    LeaseJobs: POST ["v1", "queues", "{}", "lease"], Some("jobs.lease"), JOBS_WRITE,
        Docs::of("200", "Leased").takes("JobLeaseRequest");
    Complete: POST ["v1", "queues", "{}", "jobs", "{}", "complete"], Some("jobs.complete"), JOBS_WRITE,
        Docs::of("200", "Said").takes("CompleteRequest");
    CompleteMany: POST ["v1", "queues", "{}", "complete"], Some("jobs.complete_many"), JOBS_WRITE,
        Docs::of("200", "StandingList").takes("CompleteManyRequest");
    Fail: POST ["v1", "queues", "{}", "jobs", "{}", "fail"], Some("jobs.fail"), JOBS_WRITE,
        Docs::of("200", "Said").takes("FailRequest");
    ExtendJob: POST ["v1", "queues", "{}", "jobs", "{}", "extend"], Some("jobs.extend"), JOBS_WRITE,
        Docs::of("200", "Standing").takes("JobExtendRequest");
    Snooze: POST ["v1", "queues", "{}", "jobs", "{}", "snooze"], Some("jobs.snooze"), JOBS_WRITE,
        Docs::of("200", "Said").takes("SnoozeRequest");
    Progress: POST ["v1", "queues", "{}", "jobs", "{}", "progress"], Some("jobs.progress"), JOBS_WRITE,
        Docs::of("200", "Standing").takes("ProgressRequest");
    CancelJob: POST ["v1", "queues", "{}", "jobs", "{}", "cancel"], Some("jobs.cancel"), JOBS_WRITE,
        Docs::of("200", "Standing").takes("EmptyRequest");
    RetryJob: POST ["v1", "queues", "{}", "jobs", "{}", "retry"], Some("jobs.retry"), JOBS_WRITE,
        Docs::of("200", "Standing").takes("EmptyRequest");
    GetJob: GET ["v1", "queues", "{}", "jobs", "{}"], Some("jobs.get"), JOBS_READ,
        Docs::of("200", "JobDetail");
    ListJobs: GET ["v1", "queues", "{}", "jobs"], Some("jobs.list"), JOBS_READ,
        Docs::of("200", "JobList").query(&["state", "kind", "limit", "cursor"]);
    GetQueue: GET ["v1", "queues", "{}"], Some("jobs.queue"), JOBS_READ,
        Docs::of("200", "QueueReport");
    ListDead: GET ["v1", "queues", "{}", "dead"], Some("jobs.dead"), JOBS_READ,
        Docs::of("200", "JobList")
            .query(&["kind", "error", "from", "until", "limit", "cursor"]);
    ReplayDead: POST ["v1", "queues", "{}", "dead", "replay"], Some("jobs.replay"), JOBS_WRITE,
        Docs::of("200", "Replayed").takes("ReplayRequest");
    QueueEvents: GET ["v1", "queues", "{}", "events"], Some("jobs.events"), JOBS_READ,
        Docs::of("200", "QueueEventList").query(&["after", "limit"]);
    PutQueue: PUT ["v1", "queues", "{}"], Some("jobs.put_queue"), JOBS_WRITE,
        Docs::of("200", "Queue").takes("QueueRequest").also("201");
    PauseQueue: POST ["v1", "queues", "{}", "pause"], Some("jobs.pause"), JOBS_WRITE,
        Docs::of("200", "Queue").takes("EmptyRequest");
    ResumeQueue: POST ["v1", "queues", "{}", "resume"], Some("jobs.resume"), JOBS_WRITE,
        Docs::of("200", "Queue").takes("EmptyRequest");
    DrainQueue: POST ["v1", "queues", "{}", "drain"], Some("jobs.drain"), JOBS_WRITE,
        Docs::of("200", "Queue").takes("EmptyRequest");
    DeleteQueue: DELETE ["v1", "queues", "{}"], Some("jobs.delete_queue"), JOBS_WRITE,
        Docs::nothing();
    ListQueues: GET ["v1", "queues"], Some("jobs.queues"), JOBS_READ,
        Docs::of("200", "QueueList").query(&["limit", "cursor"]);
    PutSchedule: PUT ["v1", "schedules", "{}"], Some("schedules.put"), JOBS_WRITE,
        Docs::of("200", "Schedule").takes("ScheduleRequest").also("201");
    GetSchedule: GET ["v1", "schedules", "{}"], Some("schedules.get"), JOBS_READ,
        Docs::of("200", "Schedule");
    ListSchedules: GET ["v1", "schedules"], Some("schedules.list"), JOBS_READ,
        Docs::of("200", "ScheduleList").query(&["limit", "cursor"]);
    PauseSchedule: POST ["v1", "schedules", "{}", "pause"], Some("schedules.pause"), JOBS_WRITE,
        Docs::of("200", "Schedule").takes("EmptyRequest");
    ResumeSchedule: POST ["v1", "schedules", "{}", "resume"], Some("schedules.resume"), JOBS_WRITE,
        Docs::of("200", "Schedule").takes("EmptyRequest");
    DeleteSchedule: DELETE ["v1", "schedules", "{}"], Some("schedules.delete"), JOBS_WRITE,
        Docs::nothing();
    SendMessage: PUT ["v1", "conversations", "{}", "messages", "by-client-id", "{}"],
        Some("chat.send"), CHAT_WRITE, Docs::of("200", "Sent").takes("SendRequest").also("201");
    ListMessages: GET ["v1", "conversations", "{}", "messages"], Some("chat.messages"), CHAT_READ,
        Docs::of("200", "MessageList").query(&["after", "before", "limit", "cursor"]);
    GetMessage: GET ["v1", "conversations", "{}", "messages", "{}"], Some("chat.message"),
        CHAT_READ, Docs::of("200", "Message");
    EditMessage: PATCH ["v1", "conversations", "{}", "messages", "{}"], Some("chat.edit"),
        CHAT_WRITE, Docs::of("200", "Changed").takes("EditRequest");
    DeleteMessage: DELETE ["v1", "conversations", "{}", "messages", "{}"], Some("chat.delete"),
        CHAT_WRITE, Docs::of("200", "Changed").query(&["by"]);
    React: PUT ["v1", "conversations", "{}", "messages", "{}", "reactions", "{}", "{}"],
        Some("chat.react"), CHAT_WRITE, Docs::of("200", "Changed").takes("EmptyRequest");
    Unreact: DELETE ["v1", "conversations", "{}", "messages", "{}", "reactions", "{}", "{}"],
        Some("chat.unreact"), CHAT_WRITE, Docs::of("200", "Changed");
    ListReactions: GET ["v1", "conversations", "{}", "messages", "{}", "reactions"],
        Some("chat.reactions"), CHAT_READ, Docs::of("200", "ReactionList").query(&["limit", "cursor"]);
    MarkRead: PUT ["v1", "conversations", "{}", "read", "{}"], Some("chat.read"), CHAT_WRITE,
        Docs::of("200", "ReadMarker").takes("ReadRequest");
    PutConversation: PUT ["v1", "conversations", "{}"], Some("chat.put_conversation"), CHAT_ADMIT,
        Docs::of("200", "Conversation").takes("ConversationRequest").also("201");
    GetConversation: GET ["v1", "conversations", "{}"], Some("chat.conversation"), CHAT_READ,
        Docs::of("200", "Conversation");
    ListMembers: GET ["v1", "conversations", "{}", "members"], Some("chat.members"), CHAT_READ,
        Docs::of("200", "MemberList").query(&["limit", "cursor"]);
    PutMember: PUT ["v1", "conversations", "{}", "members", "{}"], Some("chat.put_member"),
        CHAT_WRITE, Docs::of("200", "Member").takes("MemberRequest").also("201");
    RemoveMember: DELETE ["v1", "conversations", "{}", "members", "{}"], Some("chat.remove_member"),
        CHAT_WRITE, Docs::nothing().query(&["by"]);
    GetInbox: GET ["v1", "users", "{}", "inbox"], Some("chat.inbox"), CHAT_READ,
        Docs::of("200", "InboxList").query(&["limit", "cursor"]);
    StreamConversation: GET ["v1", "conversations", "{}", "stream"], Some("chat.stream"), CHAT_READ,
        Docs::text("text/event-stream").query(&["since"]);
    PostToFeed: POST ["v1", "feeds", "{}", "posts"], Some("feed.post"), FEED_WRITE,
        Docs::of("200", "Posted").takes("PostRequest").also("201");
    DeletePost: DELETE ["v1", "feeds", "{}", "posts", "{}"], Some("feed.delete"), FEED_WRITE,
        Docs::of("200", "Set");
    ReactToPost: PUT ["v1", "feeds", "{}", "posts", "{}", "reactions", "{}", "{}"], Some("feed.react"), FEED_WRITE,
        Docs::of("200", "Set").takes("EmptyRequest");
    UnreactToPost: DELETE ["v1", "feeds", "{}", "posts", "{}", "reactions", "{}", "{}"], Some("feed.unreact"), FEED_WRITE,
        Docs::of("200", "Set");
    Follow: PUT ["v1", "feeds", "{}", "follows", "{}"], Some("feed.follow"), FEED_WRITE,
        Docs::of("200", "Set").takes("EmptyRequest");
    Unfollow: DELETE ["v1", "feeds", "{}", "follows", "{}"], Some("feed.unfollow"), FEED_WRITE,
        Docs::of("200", "Set");
    Block: PUT ["v1", "feeds", "{}", "blocks", "{}"], Some("feed.block"), FEED_WRITE,
        Docs::of("200", "Set").takes("EmptyRequest");
    Unblock: DELETE ["v1", "feeds", "{}", "blocks", "{}"], Some("feed.unblock"), FEED_WRITE,
        Docs::of("200", "Set");
    Mute: PUT ["v1", "feeds", "{}", "mutes", "{}"], Some("feed.mute"), FEED_WRITE,
        Docs::of("200", "Set").takes("EmptyRequest");
    Unmute: DELETE ["v1", "feeds", "{}", "mutes", "{}"], Some("feed.unmute"), FEED_WRITE,
        Docs::of("200", "Set");
    GetTimeline: GET ["v1", "feeds", "{}", "timeline"], Some("feed.timeline"), FEED_READ,
        Docs::of("200", "TimelineList").query(&["limit", "cursor"]);
    StreamTimeline: GET ["v1", "feeds", "{}", "timeline", "stream"], Some("feed.stream"), FEED_READ,
        Docs::text("text/event-stream").query(&["since"]);
    GetFeedUser: GET ["v1", "feeds", "{}"], Some("feed.user"), FEED_READ,
        Docs::of("200", "FeedUser");
    ListPosts: GET ["v1", "feeds", "{}", "posts"], Some("feed.posts"), FEED_READ,
        Docs::of("200", "FeedPostList").query(&["limit", "cursor"]);
    GetPost: GET ["v1", "feeds", "{}", "posts", "{}"], Some("feed.get_post"), FEED_READ,
        Docs::of("200", "FeedPost");
    ListPostReactions: GET ["v1", "feeds", "{}", "posts", "{}", "reactions"], Some("feed.reactions"), FEED_READ,
        Docs::of("200", "ReactionList").query(&["limit", "cursor"]);
    ListFollowers: GET ["v1", "feeds", "{}", "followers"], Some("feed.followers"), FEED_READ,
        Docs::of("200", "PersonList").query(&["limit", "cursor", "order"]);
    ListFollowing: GET ["v1", "feeds", "{}", "following"], Some("feed.following"), FEED_READ,
        Docs::of("200", "PersonList").query(&["limit", "cursor", "order"]);
    ListBlocks: GET ["v1", "feeds", "{}", "blocks"], Some("feed.blocks"), FEED_READ,
        Docs::of("200", "PersonList").query(&["limit", "cursor", "order"]);
    ListMutes: GET ["v1", "feeds", "{}", "mutes"], Some("feed.mutes"), FEED_READ,
        Docs::of("200", "PersonList").query(&["limit", "cursor", "order"]);
    Realtime: GET ["v1", "realtime"], Some("chat.realtime"), Needs::Nothing, Docs::switching();
    CreateKey: POST ["v1", "keys"], Some("keys.create"), Needs::Scope(ADMIN),
        Docs::of("201", "CreatedKey").takes("KeyRequest");
    ListKeys: GET ["v1", "keys"], Some("keys.list"), Needs::Scope(ADMIN),
        Docs::of("200", "KeyList").query(&["limit", "cursor"]);
    RevokeKey: DELETE ["v1", "keys", "{}"], Some("keys.revoke"), Needs::Scope(ADMIN),
        Docs::nothing();
    CreateTokenKey: POST ["v1", "token-keys"], Some("token_keys.create"), Needs::Scope(ADMIN),
        Docs::of("201", "CreatedTokenKey").takes("TokenKeyRequest");
    ListTokenKeys: GET ["v1", "token-keys"], Some("token_keys.list"), Needs::Scope(ADMIN),
        Docs::of("200", "TokenKeyList").query(&["limit", "cursor"]);
    RevokeTokenKey: DELETE ["v1", "token-keys", "{}"], Some("token_keys.revoke"),
        Needs::Scope(ADMIN), Docs::nothing();
    ListContracts: GET ["v1", "contracts"], Some("contracts.list"), Needs::Key,
        Docs::of("200", "ContractList");
    GetContract: GET ["v1", "contracts", "{}"], Some("contracts.get"), Needs::Key,
        Docs::of("200", "Explanation");
    Top: GET ["v1", "top"], None, Needs::Scope(ADMIN), Docs::of("200", "Top");
    Metrics: GET ["metrics"], None, Needs::Key, Docs::text("text/plain");
    Healthz: GET ["healthz"], None, Needs::Nothing, Docs::of("200", "Health");
    Readyz: GET ["readyz"], None, Needs::Nothing, Docs::of("200", "Readiness").also("503");
    OpenApi: GET ["openapi.json"], None, Needs::Nothing, Docs::text("application/json");
    Page: GET [""], None, Needs::Nothing, Docs::text("text/html");
    ProblemPage: GET ["docs", "problems", "{}"], None, Needs::Nothing, Docs::text("text/html");
}

/// What was found at an address.
#[derive(Debug)]
pub(crate) enum Found {
    /// A route, and its place in the table.
    Route(usize, &'static Route),
    /// An address with other methods.
    OtherMethods(Vec<Method>),
    /// Nothing.
    Nothing,
}

/// Looks for what answers `method` at `path`. `HEAD` is answered wherever `GET` is; no body is
/// sent then.
pub(crate) fn find(method: &Method, path: &str) -> Found {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let mut segments = [""; SEGMENTS_MAX];
    let mut count = 0;
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        let Some(place) = segments.get_mut(count) else {
            return Found::Nothing;
        };
        *place = segment;
        count += 1;
    }
    let here = |route: &Route| matches(route.segments, &segments[..count]);
    for (index, route) in ROUTES.iter().enumerate() {
        if route.method == *method && here(route) {
            return Found::Route(index, route);
        }
    }
    let methods: Vec<Method> =
        ROUTES.iter().filter(|route| here(route)).map(|route| route.method.clone()).collect();
    if methods.is_empty() { Found::Nothing } else { Found::OtherMethods(methods) }
}

fn matches(pattern: &[&str], segments: &[&str]) -> bool {
    pattern.len() == segments.len()
        && pattern.iter().zip(segments).all(|(part, segment)| *part == "{}" || part == segment)
}

impl Route {
    /// The text in the place of the `n`-th `{}` of `path`, which this route was found for.
    pub(crate) fn parameter<'p>(&self, path: &'p str, n: usize) -> &'p str {
        let place = self.segments.iter().enumerate().filter(|(_, part)| **part == "{}").nth(n);
        let (place, _) = place.expect("a handler asks only for names that its route has");
        // The path begins with a slash, so that its first part is before it and empty.
        path.split('/').nth(place + 1).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn operation(method: &Method, path: &str) -> Option<Operation> {
        match find(method, path) {
            Found::Route(_, route) => Some(route.operation),
            Found::OtherMethods(_) | Found::Nothing => None,
        }
    }

    #[test]
    fn addresses_are_found_whole() {
        assert_eq!(operation(&Method::POST, "/v1/resources/gig/holds"), Some(Operation::Hold));
        assert_eq!(operation(&Method::GET, "/v1/resources/gig/holds"), Some(Operation::ListHolds));
        assert_eq!(operation(&Method::HEAD, "/"), Some(Operation::Page));
        for nowhere in
            ["/v1", "/v1/resources/", "/v1/resources/a/holds/1/", "/a/b/c/d/e/f/g/h/i/j", "*"]
        {
            assert!(
                matches!(find(&Method::GET, nowhere), Found::Nothing | Found::Route(..)),
                "{nowhere}"
            );
        }
        assert!(matches!(find(&Method::GET, "/v1/resources/a/holds/1/"), Found::Nothing));
    }

    #[test]
    fn another_method_is_told_from_nothing() {
        let Found::OtherMethods(methods) = find(&Method::PATCH, "/v1/resources/gig") else {
            panic!("there are methods here");
        };
        assert_eq!(methods, [Method::GET, Method::PUT]);
    }

    #[test]
    fn parameters_are_where_the_braces_are() {
        let path = "/v1/resources/gig/holds/7/confirm";
        let Found::Route(_, route) = find(&Method::POST, path) else { panic!("a route") };
        assert_eq!((route.parameter(path, 0), route.parameter(path, 1)), ("gig", "7"));
    }

    #[test]
    fn every_declared_path_has_its_route_and_no_route_another() {
        let declared: BTreeSet<(String, String)> = evenkeel_domains::paths()
            .iter()
            // What is set by a file has no address.
            .filter(|path| path.route.contains(" /v1/"))
            .map(|path| (path.name.to_owned(), braces(path.route)))
            .collect();
        let routed: BTreeSet<(String, String)> = ROUTES
            .iter()
            .filter_map(|route| {
                let address = format!("{} /{}", route.method, route.segments.join("/"));
                Some((route.path?.to_owned(), address))
            })
            .collect();
        assert_eq!(routed, declared);
    }

    /// A declared route with nothing in its braces.
    fn braces(route: &str) -> String {
        let mut parts = route.split('{');
        let mut plain = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            plain.push_str("{}");
            plain.push_str(part.split_once('}').map_or("", |(_, rest)| rest));
        }
        plain
    }
}
