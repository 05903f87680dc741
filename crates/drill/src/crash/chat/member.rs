//! A user with a token of their own, who follows what they may read: nothing of what is said while they
//! are no member, and all of it once they are again.

use super::{
    CrashError, LOOK_EVERY, Phase,
    follower::{BUFFER_BYTES, Follower},
    talker::PATH,
};
use crate::load::{Endpoint, WebSocket, WebSocketError};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a token is good, longer than any drill.
const LASTS_S: u64 = 24 * 60 * 60;
/// Before somebody asks again who may not follow.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct TokenKeyBody {
    kid: String,
    secret: String,
}

/// A token of `user`, signed with a key that is made for it.
pub(super) async fn token(
    endpoint: &Endpoint,
    user: &str,
    now_ms: u64,
) -> Result<String, CrashError> {
    let body = json!({"algorithm": "HS256", "label": "drill"}).to_string();
    let mut client = endpoint.connect().await?;
    let reply =
        client.call(endpoint.writer().post("/v1/token-keys", None, body.as_bytes())).await?;
    let key = serde_json::from_slice::<TokenKeyBody>(reply.body).ok();
    let secret = key.as_ref().and_then(|key| URL_SAFE_NO_PAD.decode(&key.secret).ok());
    let (Some(TokenKeyBody { kid, .. }), Some(secret)) = (key, secret) else {
        return Err(CrashError::Answer(format!("POST /v1/token-keys: {}", reply.status)));
    };
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"alg": "HS256", "kid": kid}));
    let signed =
        format!("{header}.{}", part(json!({"sub": user, "exp": now_ms / 1_000 + LASTS_S})));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Until all is over.
pub(super) async fn run(endpoint: Endpoint, mut follower: Follower) {
    while !follower.told.is_past(Phase::Quiet) {
        if let Ok(mut socket) = endpoint.connect_websocket(PATH, BUFFER_BYTES).await {
            // However it broke, another follows.
            let _ = follow(&mut follower, &mut socket).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn follow(follower: &mut Follower, socket: &mut WebSocket) -> Result<(), WebSocketError> {
    follower.follow(socket);
    let mut again_at = Instant::now() + AGAIN;
    while !follower.told.is_past(Phase::Quiet) {
        follower.exchange(socket, LOOK_EVERY).await?;
        if Instant::now() >= again_at {
            follower.follow_rest(socket);
            again_at = Instant::now() + AGAIN;
        }
    }
    Ok(())
}
