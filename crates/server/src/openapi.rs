//! The OpenAPI document: generated from the table of routes and from the types that bodies are
//! parsed into and written from, so that it says what the program does.

use crate::{
    auth::Needs,
    chat::{
        ChangedBody, ConversationBody, ConversationRequest, EditRequest, InboxItem, InboxList,
        MemberBody, MemberList, MemberRequest, MessageBody, MessageList, ReactionBody,
        ReactionList, ReadBody, ReadRequest, SendRequest, SentBody,
    },
    code::Code,
    feed::{
        FeedPostBody, FeedPostList, FeedUserBody, PersonBody, PersonList, PostRequest, PostedBody,
        SetBody, TimelineBody, TimelineList,
    },
    jobs::{
        CompleteManyRequest, CompleteRequest, EnqueueRequest, EnqueuedBody,
        ExtendRequest as JobExtend, FailRequest, JobBody, JobDetailBody, JobList, LeaseRequest,
        LeasedBody, ProgressRequest, QueueBody, QueueEventList, QueueList, QueueRequest,
        ReplayRequest, ReplayedBody, ReportBody, SaidBody, SnoozeRequest, StandingBody,
        StandingList,
    },
    keys::{CreatedKeyBody, KeyList, KeyRequest},
    limits::{
        CheckRequest, CheckedBody, LimitBody, LimitList, LimitRequest, RefundRequest,
        ReleaseRequest, ReleasedBody, RenewRequest, RenewedBody, ResetRequest, SubjectsBody,
    },
    reservations::{
        ConfirmRequest, EmptyRequest, ExtendRequest, HoldBody, HoldList, HoldRequest, PutRequest,
        ResourceBody, ResourceList, SeatList, SeatsRequest,
    },
    routes::{ROUTES, Route},
    schedules::{ScheduleBody, ScheduleList, ScheduleRequest, ScheduleTotals, ScheduledJobBody},
    token_keys::{CreatedTokenKeyBody, TokenKeyList, TokenKeyRequest},
    top::{Top, TopHitter, TopLog, TopPartition, TopRead},
};
use bytes::Bytes;
use evenkeel_contract::{Access, Idempotency, Path};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

/// What the document says about a route beside its address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Docs {
    /// The schema of the body that it takes.
    takes: Option<&'static str>,
    status: &'static str,
    /// Another status with the same body.
    also: Option<&'static str>,
    /// The type of what it answers, and its schema if that is JSON.
    content: Option<(&'static str, Option<&'static str>)>,
    /// The query parameters that it may have.
    pub(crate) query: &'static [&'static str],
}

impl Docs {
    /// A route that answers JSON of this schema.
    pub(crate) const fn of(status: &'static str, schema: &'static str) -> Self {
        let content = Some(("application/json", Some(schema)));
        Self { takes: None, status, also: None, content, query: &[] }
    }

    /// A route that answers a document of another kind.
    pub(crate) const fn text(content_type: &'static str) -> Self {
        let content = Some((content_type, None));
        Self { takes: None, status: "200", also: None, content, query: &[] }
    }

    /// A route that answers without a body.
    pub(crate) const fn nothing() -> Self {
        Self { takes: None, status: "204", also: None, content: None, query: &[] }
    }

    /// A route that goes on in another protocol.
    pub(crate) const fn switching() -> Self {
        Self { takes: None, status: "101", also: None, content: None, query: &[] }
    }

    /// The same, taking a body of this schema.
    pub(crate) const fn takes(self, schema: &'static str) -> Self {
        Self { takes: Some(schema), ..self }
    }

    /// The same, with another status for the same body.
    pub(crate) const fn also(self, status: &'static str) -> Self {
        Self { also: Some(status), ..self }
    }

    /// The same, with query parameters.
    pub(crate) const fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }
}

/// The document as it is served.
pub(crate) fn text() -> Bytes {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    TEXT.get_or_init(|| document().to_string().into()).clone()
}

/// The OpenAPI 3.1 document of everything that is served.
#[must_use]
pub fn document() -> Value {
    let paths = evenkeel_domains::paths();
    let mut addresses = Map::new();
    for route in ROUTES {
        let declared = paths.iter().copied().find(|path| Some(path.name) == route.path);
        let names = parameter_names(route, declared);
        let mut names_left = names.iter();
        let segments: Vec<String> = route
            .segments
            .iter()
            .map(|part| match *part {
                "{}" => format!("{{{}}}", names_left.next().map_or("name", String::as_str)),
                fixed => fixed.to_owned(),
            })
            .collect();
        let address = format!("/{}", segments.join("/"));
        let methods = addresses.entry(address).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_ascii_lowercase()] = operation(route, declared, &names);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Evenkeel",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every operation is a path under a contract; GET /v1/contracts says \
                what each promises and what it has delivered.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": addresses,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "bearerFormat": "ek_<id>_<secret>" },
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
        },
    })
}

/// What the declared path calls its places; routes without a contract call them by position.
fn parameter_names(route: &Route, declared: Option<&Path>) -> Vec<String> {
    let places = route.segments.iter().filter(|part| **part == "{}").count();
    let declared = declared.map_or("", |path| path.route);
    let mut names: Vec<String> = declared
        .split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}'))
        .map(|(name, _)| name.to_owned())
        .collect();
    names.resize(places, "code".to_owned());
    names
}

fn operation(route: &Route, declared: Option<&Path>, names: &[String]) -> Value {
    let mut parameters: Vec<Value> = names
        .iter()
        .map(
            |name| json!({ "name": name, "in": "path", "required": true, "schema": name_schema() }),
        )
        .collect();
    parameters.extend(
        route
            .docs
            .query
            .iter()
            .map(|name| json!({ "name": name, "in": "query", "schema": query_schema(name) })),
    );
    parameters.extend(
        headers(declared)
            .into_iter()
            .map(|name| json!({ "name": name, "in": "header", "schema": { "type": "string" } })),
    );
    let mut operation = json!({
        "operationId": declared.map_or_else(|| format!("{:?}", route.operation), |path| path.name.to_owned()),
        "parameters": parameters,
        "responses": responses(route),
    });
    if let Some(path) = declared {
        operation["summary"] = path.user_action.into();
        operation["description"] = path.promise.into();
    }
    if let Some(schema) = route.docs.takes {
        operation["requestBody"] = json!({
            "required": !matches!(
                schema,
                "ConfirmRequest"
                    | "EmptyRequest"
                    | "QueueRequest"
                    | "ReplayRequest"
                    | "ConversationRequest"
                    | "MemberRequest"
            ),
            "content": { "application/json": { "schema": reference(schema) } },
        });
    }
    operation["security"] = match route.needs {
        Needs::Nothing => json!([]),
        Needs::Key => json!([{ "key": [] }]),
        Needs::Scope(scope) => json!([{ "key": [scope] }]),
        Needs::User(scope) => json!([{ "key": [scope] }, { "token": [scope] }]),
    };
    operation
}

/// The headers that steer a request, as far as its path listens to them.
fn headers(declared: Option<&Path>) -> Vec<&'static str> {
    let Some(path) = declared else {
        return Vec::new();
    };
    let mut headers = vec!["Evenkeel-Deadline-Ms", "Evenkeel-Session", "Evenkeel-Priority"];
    match path.access {
        Access::Read => headers.push("Evenkeel-Consistency"),
        Access::Write if path.facts.idempotency == Idempotency::Keyed => {
            headers.push("Idempotency-Key");
        }
        Access::Write => {}
    }
    if ["reservations.events", "chat.stream", "feed.stream"].contains(&path.name) {
        headers.push("Last-Event-ID");
    }
    headers
}

fn responses(route: &Route) -> Value {
    let docs = &route.docs;
    let content = docs.content.map(|(kind, schema)| {
        let schema = schema.map_or_else(|| json!({ "type": "string" }), reference);
        json!({ kind: { "schema": schema } })
    });
    let mut responses = Map::new();
    for status in [Some(docs.status), docs.also].into_iter().flatten() {
        let mut response = json!({ "description": "What was asked for." });
        if let Some(content) = &content {
            response["content"] = content.clone();
        }
        responses.insert(status.to_owned(), response);
    }
    responses.insert(
        "default".to_owned(),
        json!({
            "description": "A problem (RFC 9457).",
            "content": { "application/problem+json": { "schema": reference("Problem") } },
        }),
    );
    Value::Object(responses)
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn name_schema() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9._:@-]{1,128}$" })
}

fn query_schema(name: &str) -> Value {
    match name {
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 1_000, "default": 100 }),
        "cost" => json!({ "type": "integer", "minimum": 0, "default": 1 }),
        _ => json!({ "type": "string" }),
    }
}

/// Collects the schemas of these types, and of what they consist of.
macro_rules! collect {
    ($found:ident: $($type:ty),* $(,)?) => {$(
        $found.push((<$type as ToSchema>::name().into_owned(), <$type as utoipa::PartialSchema>::schema()));
        <$type as ToSchema>::schemas(&mut $found);
    )*};
}

type Schemas = Vec<(String, RefOr<Schema>)>;

fn of_chat() -> Schemas {
    let mut found = Schemas::new();
    collect!(
        found:
        ConversationRequest,
        MemberRequest,
        SendRequest,
        EditRequest,
        ReadRequest,
        ConversationBody<'_>,
        MemberBody<'_>,
        MemberList<'_>,
        SentBody,
        ChangedBody,
        ReadBody,
        MessageBody<'_>,
        MessageList<'_>,
        ReactionBody<'_>,
        ReactionList<'_>,
        InboxItem<'_>,
        InboxList<'_>,
    );
    found
}

fn of_feeds() -> Schemas {
    let mut found = Schemas::new();
    collect!(
        found:
        PostRequest,
        PostedBody,
        SetBody,
        FeedUserBody<'_>,
        FeedPostBody<'_>,
        FeedPostList<'_>,
        TimelineBody<'_>,
        TimelineList<'_>,
        PersonBody<'_>,
        PersonList<'_>,
    );
    found
}

fn of_others() -> Schemas {
    let mut found = Schemas::new();
    collect!(
        found:
        PutRequest,
        SeatsRequest,
        HoldRequest,
        ConfirmRequest,
        ExtendRequest,
        EmptyRequest,
        HoldBody<'_>,
        HoldList<'_>,
        ResourceBody<'_>,
        ResourceList<'_>,
        SeatList<'_>,
        LimitRequest,
        CheckRequest,
        RefundRequest,
        ResetRequest,
        ReleaseRequest,
        RenewRequest,
        LimitBody<'_>,
        LimitList<'_>,
        CheckedBody<'_>,
        SubjectsBody<'_>,
        ReleasedBody<'_>,
        RenewedBody<'_>,
        QueueRequest,
        EnqueueRequest,
        LeaseRequest,
        CompleteRequest,
        CompleteManyRequest,
        FailRequest,
        JobExtend,
        SnoozeRequest,
        ProgressRequest,
        ReplayRequest,
        QueueBody<'_>,
        QueueList<'_>,
        ReportBody<'_>,
        EnqueuedBody,
        LeasedBody<'_>,
        StandingBody,
        StandingList<'_>,
        SaidBody<'_>,
        JobBody<'_>,
        JobList<'_>,
        JobDetailBody<'_>,
        ReplayedBody,
        QueueEventList,
        ScheduleRequest,
        ScheduleBody<'_>,
        ScheduledJobBody<'_>,
        ScheduleTotals,
        ScheduleList<'_>,
        KeyRequest,
        CreatedKeyBody<'_>,
        KeyList<'_>,
        TokenKeyRequest,
        CreatedTokenKeyBody,
        TokenKeyList<'_>,
        Top,
        TopLog,
        TopPartition,
        TopHitter,
        TopRead,
    );
    found
}

fn schemas() -> Value {
    let found = of_others().into_iter().chain(of_chat()).chain(of_feeds());
    let mut schemas: Map<String, Value> = found
        .map(|(name, schema)| {
            let schema = serde_json::to_value(schema).expect("a schema is JSON");
            (name, schema)
        })
        .collect();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.meaning().code).collect();
    schemas.insert("Problem".to_owned(), problem_schema(&codes));
    for (name, description) in [
        ("ContractList", "Every contract, promised beside delivered."),
        ("Explanation", "One path, explained, promised beside delivered."),
        ("Health", "The process answers."),
        ("Readiness", "A check for each thing that requests depend on."),
    ] {
        let schema = json!({ "type": "object", "description": description });
        schemas.insert(name.to_owned(), schema);
    }
    Value::Object(schemas)
}

fn problem_schema(codes: &[&str]) -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "retryable", "side_effects", "request_id"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "code": { "type": "string", "enum": codes },
            "retryable": { "type": "boolean" },
            "side_effects": { "type": "string", "enum": ["none", "unknown"] },
            "request_id": { "type": "string" },
        },
    })
}
