//! Requests of a history as HTTP, and HTTP answers in the words of a history.

use crate::{
    history::{Answer, Outcome, Places, Refusal, Request},
    load::{Reply, RequestWriter},
};
use serde::Deserialize;
use serde_json::json;

/// A hold in an answer.
#[derive(Deserialize)]
pub(super) struct HoldBody {
    pub(super) hold: String,
    pub(super) state: String,
    fence: u64,
    created_at: String,
    expires_at: String,
    resolved_at: Option<String>,
}

#[derive(Deserialize)]
struct ResourceBody {
    available: u64,
    held: u64,
    confirmed: u64,
}

#[derive(Deserialize)]
struct ProblemBody {
    code: String,
    side_effects: String,
    #[serde(default)]
    seats: Vec<String>,
}

/// The bytes that ask for `request`.
pub(super) fn request<'w>(
    writer: &'w mut RequestWriter,
    resource: &str,
    key: &str,
    request: &Request,
) -> &'w [u8] {
    let resource_path = format!("/v1/resources/{resource}");
    let (verb, hold, body) = match request {
        Request::Read => {
            let strict = [("Evenkeel-Consistency", "linearizable")];
            return writer.write("GET", &resource_path, &strict, None);
        }
        Request::Hold { places, ttl_ms } => {
            // Holders are named after keys, so that an event tells which request it came from.
            let mut body = json!({"holder": key, "ttl_ms": ttl_ms});
            match places {
                Places::Quantity(_) if resource.starts_with("lock") => {}
                Places::Quantity(quantity) => body["quantity"] = json!(quantity),
                Places::Seats(seats) => body["seats"] = json!(seats),
            }
            let path = format!("{resource_path}/holds");
            return writer.post(&path, Some(key), body.to_string().as_bytes());
        }
        Request::Confirm { hold, reacquire: true } => {
            ("confirm", hold, json!({"late": "reacquire"}))
        }
        Request::Confirm { hold, .. } => ("confirm", hold, json!({})),
        Request::Release { hold } => ("release", hold, json!({})),
        Request::Extend { hold, ttl_ms } => ("extend", hold, json!({"ttl_ms": ttl_ms})),
        Request::Cancel { hold } => ("cancel", hold, json!({})),
    };
    let path = format!("{resource_path}/holds/{hold}/{verb}");
    writer.post(&path, Some(key), body.to_string().as_bytes())
}

/// What an answer says. One that is not understood is a failure of the server: unknown.
pub(super) fn outcome(request: &Request, reply: &Reply<'_>) -> Outcome {
    if !reply.is_success() {
        return refusal(reply.body);
    }
    let answered = if *request == Request::Read {
        serde_json::from_slice(reply.body).ok().map(|counts: ResourceBody| {
            let ResourceBody { available, held, confirmed } = counts;
            (Answer::Counted { available, held, confirmed }, None)
        })
    } else {
        serde_json::from_slice(reply.body).ok().and_then(|hold| hold_answer(request, hold))
    };
    let Some((answer, at_ms)) = answered else { return Outcome::Unknown };
    let replayed = reply.header("idempotent-replayed").is_some();
    Outcome::Ok { answer, replayed, at_ms: at_ms.filter(|_| !replayed) }
}

fn hold_answer(request: &Request, body: HoldBody) -> Option<(Answer, Option<u64>)> {
    let expires_at_ms = ms(&body.expires_at)?;
    Some(match request {
        Request::Hold { .. } => {
            let at_ms = ms(&body.created_at);
            (Answer::Held { hold: body.hold, fence: body.fence, expires_at_ms }, at_ms)
        }
        Request::Extend { .. } => (Answer::Extended { expires_at_ms }, None),
        // A hold that was resolved already answers when that was, not when this was asked.
        Request::Confirm { .. } => (Answer::Confirmed { hold: body.hold, fence: body.fence }, None),
        Request::Release { .. } => (Answer::Released, None),
        Request::Cancel { .. } => (Answer::Cancelled, None),
        Request::Read => return None,
    })
    .filter(|_| body.resolved_at.is_none_or(|at| ms(&at).is_some()))
}

fn refusal(body: &[u8]) -> Outcome {
    let Ok(problem) = serde_json::from_slice::<ProblemBody>(body) else { return Outcome::Unknown };
    let refusal = match problem.code.as_str() {
        "sold_out" => Refusal::SoldOut,
        "seat_taken" => Refusal::SeatTaken(problem.seats),
        "hold_expired" => Refusal::HoldExpired,
        "not_found" => Refusal::NoHold,
        "not_held" | "not_confirmed" | "lock_not_confirmable" => Refusal::WrongState,
        _ if problem.side_effects == "none" => return Outcome::TurnedAway(problem.code),
        _ => return Outcome::Unknown,
    };
    Outcome::Refused { refusal, at_ms: None }
}

/// Milliseconds since 1970 of an RFC 3339 time.
pub(super) fn ms(text: &str) -> Option<u64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}
