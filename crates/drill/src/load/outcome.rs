//! What an answer counts as.

use super::client::Client;
use super::driver::Outcome;

const QUOTE_BYTES_MAX: usize = 300;

/// What a request counts as; `expected` must be in the answer of one that succeeded.
pub(super) async fn outcome(client: &mut Client, request: &[u8], expected: &[u8]) -> Outcome {
    match client.call(request).await {
        Ok(reply) if reply.is_success() => match holds(reply.body, expected) {
            true => Outcome::Ok,
            false => Outcome::Refused,
        },
        Ok(reply) if [429, 503].contains(&reply.status) => Outcome::Shed,
        Ok(reply) => {
            let body = &reply.body[..reply.body.len().min(QUOTE_BYTES_MAX)];
            let body = String::from_utf8_lossy(body);
            Outcome::Error(format!("status {}: {body}", reply.status).into())
        }
        Err(error) => Outcome::Error(error.to_string().into()),
    }
}

/// Whether `part` is in `body`.
pub(super) fn holds(body: &[u8], part: &[u8]) -> bool {
    part.is_empty() || body.windows(part.len()).any(|found| found == part)
}
