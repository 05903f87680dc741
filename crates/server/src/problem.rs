//! Problem bodies (RFC 9457): what every failure is answered with. Which failure is which code is
//! said in `failure`; what a code means, in `code`.

use crate::{
    answer::{Body, Delivered, deliver, json_headers},
    code::Code,
};
use evenkeel_contract::{Failure, Outcome};
use evenkeel_node::SessionToken;
use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;
use std::borrow::Cow;

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A failure, on its way to its caller.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) detail: Cow<'static, str>,
    effects: Effects,
    members: Vec<(&'static str, Value)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What it rests on, if it was decided.
    as_of: Option<SessionToken>,
}

/// What is known about what the request did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effects {
    /// Nothing.
    None,
    /// Nobody can say.
    Unknown,
}

impl Problem {
    /// A problem without effects.
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let effects = match code {
            Code::OutcomeUnknown => Effects::Unknown,
            _ => Effects::None,
        };
        let problem = Self {
            code,
            detail: detail.into(),
            effects,
            members: Vec::new(),
            headers: Vec::new(),
            as_of: None,
        };
        match code {
            Code::Overloaded | Code::BacklogFull | Code::Unavailable => problem.retry_after(1),
            Code::QuotaExceeded => problem.retry_after(60),
            _ => problem,
        }
    }

    /// A request that its sender must change.
    pub(crate) fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// A field of the body that breaks a rule.
    pub(crate) fn field(field: &'static str, rule: &str) -> Self {
        Self::invalid(format!("{field} {rule}")).with("field", field)
    }

    /// A header that breaks a rule.
    pub(crate) fn bad_header(header: &'static str, rule: &str) -> Self {
        Self::invalid(format!("the header {header} {rule}")).with("header", header)
    }

    /// The same with another member in its body.
    pub(crate) fn with(mut self, member: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((member, value.into()));
        self
    }

    /// The same with another header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same, as a no that rests on what its partition held.
    pub(crate) fn resting_on(mut self, as_of: SessionToken) -> Self {
        self.as_of = Some(as_of);
        self
    }

    /// The same, of a request that may have had an effect.
    pub(crate) fn effects_unknown(mut self) -> Self {
        self.effects = Effects::Unknown;
        self
    }

    /// The same, with when to come back.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.meaning().status).expect("the table has legal statuses")
    }

    /// What it has done, as callers are told.
    pub(crate) fn side_effects(&self) -> &'static str {
        match self.effects {
            Effects::None => "none",
            Effects::Unknown => "unknown",
        }
    }

    /// How it is counted. What HTTP alone has a code for is a request that is not valid.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.code {
            Code::MethodNotAllowed | Code::RequestTimeout | Code::UnsupportedMediaType => {
                Outcome::Failed(Failure::InvalidRequest)
            }
            code => Outcome::from_code(code.meaning().code),
        }
    }

    /// The answer.
    pub(crate) fn respond(self, request_id: &str) -> Response<Body> {
        let bytes = serde_json::to_vec(&Document { problem: &self, request_id })
            .expect("strings, numbers and JSON values serialise");
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = self.status();
        json_headers(response.headers_mut());
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        if let Some(as_of) = self.as_of {
            let delivered = Delivered { as_of: vec![as_of], staleness_ms: 0, replayed: false };
            deliver(response.headers_mut(), &delivered);
        }
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

struct Document<'p> {
    problem: &'p Problem,
    request_id: &'p str,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let problem = self.problem;
        let meaning = problem.code.meaning();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format_args!("/docs/problems/{}", meaning.code))?;
        map.serialize_entry("title", meaning.title)?;
        map.serialize_entry("status", &meaning.status)?;
        map.serialize_entry("detail", &problem.detail)?;
        map.serialize_entry("code", meaning.code)?;
        map.serialize_entry("retryable", &meaning.retryable)?;
        map.serialize_entry("side_effects", problem.side_effects())?;
        map.serialize_entry("request_id", self.request_id)?;
        for (member, value) in &problem.members {
            map.serialize_entry(member, value)?;
        }
        map.end()
    }
}
