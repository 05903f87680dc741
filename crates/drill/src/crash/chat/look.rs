//! What is there in the end.

use super::{CONVERSATIONS, LOOK_EVERY, USERS, wire};
use crate::{
    crash::CrashError,
    history::chat::{Event, InboxEntry},
    load::{Client, ClientError, Endpoint},
};
use serde::{Deserialize, de::DeserializeOwned};
use std::time::{Duration, Instant};

/// An inbox is told within this, or is taken for one that never is.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// Nothing more comes on a stream that was silent for so long.
const QUIET: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct ConversationBody {
    last_seq: u64,
}

#[derive(Deserialize)]
struct InboxPage {
    items: Vec<InboxItem>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct InboxItem {
    conversation: String,
    unread: u64,
    read_seq: u64,
    last_seq: u64,
}

/// The last sequence of a conversation.
pub(super) async fn last(endpoint: &Endpoint, place: usize) -> Result<u64, CrashError> {
    let path = format!("/v1/conversations/{}", CONVERSATIONS[place]);
    let mut client = endpoint.connect().await?;
    let body: Option<ConversationBody> = get(&mut client, endpoint, &path, "linearizable").await?;
    let body = body.ok_or_else(|| CrashError::Answer(format!("{path} is not answered")))?;
    Ok(body.last_seq)
}

/// Every event of a conversation, up to one that is there.
pub(super) async fn events(
    endpoint: &Endpoint,
    place: usize,
    last: u64,
) -> Result<Vec<Event>, CrashError> {
    let path = format!("/v1/conversations/{}/stream?since=start", CONVERSATIONS[place]);
    let mut writer = endpoint.writer();
    let mut stream = endpoint.connect().await?.subscribe(writer.get(&path)).await?;
    stream.set_quiet_max(QUIET);
    let mut events: Vec<Event> = Vec::new();
    while events.last().is_none_or(|event| event.seq < last) {
        match stream.next().await {
            Ok(Some(event)) if event.event.starts_with("chat.") => {
                let strange = || CrashError::Answer(event.data.chars().take(300).collect());
                events.push(wire::streamed(&event.data).ok_or_else(strange)?);
            }
            Ok(Some(_)) => {}
            // What is missing is for the checker to say.
            Ok(None) | Err(ClientError::TimedOut) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(events)
}

/// The inboxes of all users, once they have everything that was answered; nothing of whose has not in
/// time, which is for the checker to say.
pub(super) async fn inboxes(endpoint: &Endpoint) -> Result<Vec<InboxEntry>, CrashError> {
    let mut client = endpoint.connect().await?;
    let mut entries = Vec::new();
    for user in USERS {
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/users/{user}/inbox?limit=1000{cursor}");
            let began = Instant::now();
            let page: Option<InboxPage> = loop {
                match get(&mut client, endpoint, &path, "linearizable").await? {
                    None if began.elapsed() < TOLD_WITHIN => tokio::time::sleep(LOOK_EVERY).await,
                    found => break found,
                }
            };
            let Some(page) = page else { break };
            entries.extend(page.items.into_iter().map(|item| InboxEntry {
                user: user.to_owned(),
                conversation: item.conversation,
                unread: item.unread,
                read: item.read_seq,
                last: item.last_seq,
            }));
            match page.cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
    }
    Ok(entries)
}

/// None if it cannot be answered yet.
async fn get<T: DeserializeOwned>(
    client: &mut Client,
    endpoint: &Endpoint,
    path: &str,
    consistency: &str,
) -> Result<Option<T>, CrashError> {
    let mut writer = endpoint.writer();
    let level = [("Evenkeel-Consistency", consistency)];
    let reply = client.call(writer.write("GET", path, &level, None)).await?;
    if reply.status == 503 {
        return Ok(None);
    }
    let strange = || {
        let body = String::from_utf8_lossy(reply.body).chars().take(300).collect::<String>();
        CrashError::Answer(format!("GET {path}: {} {body}", reply.status))
    };
    if !reply.is_success() {
        return Err(strange());
    }
    serde_json::from_slice(reply.body).map(Some).map_err(|_| strange())
}
