//! Chat under kills: users who talk and follow, some who read slowly, one who sends what makes no sense,
//! and changes over HTTP. All that they ask and hear goes into a history that the checker judges.

mod changer;
mod follower;
mod look;
mod member;
mod slow;
mod talker;
mod told;
mod vandal;
mod wire;

use super::{CrashError, LOOK_EVERY, server::Server, within};
use crate::{
    checker::{self, ChatReport, Violation},
    history::chat::{ChatHistory, End, Presence},
    load::Endpoint,
};
use changer::Changer;
use follower::{BUFFER_BYTES, Follower};
use serde::Serialize;
use serde_json::json;
use slow::Slow;
use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};
use talker::Talker;
use tokio::task::JoinHandle;
use told::{Known, Phase, Told};
use vandal::Vandal;

const CONVERSATIONS: [&str; 4] = ["general", "support", "lobby", "backstage"];
const USERS: [&str; 6] = ["ada", "bob", "cyd", "dan", "eve", "fay"];
/// Who is not there in the end.
const LEAVES: &str = "dan";
/// Who follows with a token too, by which they are shown what they may read and no more. They come and go.
const MEMBER: &str = "eve";
/// Who comes in the end, to be shown who is there.
const COMES: &str = "gus";
const SLOW: u64 = 2;
const CHANGERS: u64 = 2;

/// How long all is said under no more kills: here who reads slowly has much waiting for them.
const CALM: Duration = Duration::from_millis(3_000);
/// It goes on until somebody was closed for reading slowly and somebody who followed was removed, but no
/// longer.
const CALM_MAX: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// What is asked is answered, if the server lives, within the deadline of its path.
const DEADLINE_MS: u64 = 1_000;
/// And on a machine where a process may be kept waiting itself, within that and this.
const MARGIN_MS: u64 = 5_000;
/// What was said is acknowledged and read within this, once there are no more kills.
const READ_WITHIN: Duration = Duration::from_secs(60);
/// Who is there, and who is gone, is shown within this: 10 s if a close gets lost, and some more.
const SHOWN_WITHIN: Duration = Duration::from_secs(15);

/// What became of chat.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DrilledChat {
    /// Conversations.
    pub conversations: usize,
    /// Messages that are there in the end.
    pub messages: u64,
    /// Events that readers were sent.
    pub delivered: u64,
    /// Times that readers asked for what follows a position.
    pub resumed: u64,
    /// Sends that were repeated and found to be there already.
    pub duplicates: u64,
    /// Connections that clients dropped.
    pub disconnects: u64,
    /// Connections that the server closed because they were read slowly.
    pub slow_closed: u64,
    /// Times that somebody who followed was removed, and heard no more until they were back.
    pub removed: u64,
    /// Connections on which something came that makes no sense.
    pub spoiled: u64,
    /// Conversations of inboxes that were compared.
    pub inboxes: u64,
}

impl fmt::Display for DrilledChat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { conversations, messages, delivered, resumed, duplicates, .. } = self;
        let Self { disconnects, slow_closed, removed, spoiled, inboxes, .. } = self;
        writeln!(
            f,
            "chat: {messages} messages in {conversations} conversations; {delivered} events delivered, \
             resumed {resumed} times; {duplicates} repeated sends were there already"
        )?;
        write!(
            f,
            "chat: {disconnects} connections dropped, {slow_closed} closed for being slow, {spoiled} \
             full of nonsense; {removed} times who followed was removed; {inboxes} places in inboxes \
             compared"
        )
    }
}

/// What was found of chat.
#[derive(Default)]
pub(super) struct Drilled {
    pub(super) chat: DrilledChat,
    pub(super) violations: Vec<Violation>,
    pub(super) undecided: Vec<String>,
}

/// The conversations of a drill, as they go on.
pub(super) struct Chat {
    endpoint: Endpoint,
    told: Arc<Told>,
    /// They end when nothing more is to be said.
    speakers: Vec<JoinHandle<()>>,
    /// They end when all is over.
    readers: Vec<JoinHandle<()>>,
}

impl Chat {
    /// Puts the conversations, and has them used.
    pub(super) async fn begin(server: &Server, seed: u64) -> Result<Self, CrashError> {
        let endpoint = server.endpoint_of(server.key(), REQUEST_TIMEOUT).await?;
        let mut client = endpoint.connect().await?;
        for conversation in CONVERSATIONS {
            let path = format!("/v1/conversations/{conversation}");
            let body = json!({"members": USERS}).to_string();
            let reply = client.call(endpoint.writer().put(&path, body.as_bytes())).await?;
            if !reply.is_success() {
                let body = String::from_utf8_lossy(reply.body);
                return Err(CrashError::Answer(format!("PUT {path}: {} {body}", reply.status)));
            }
        }
        let told = Arc::new(Told::new());
        let seed = |id: u64| seed.wrapping_mul(1_000).wrapping_add(700 + id);
        let mut readers = Vec::new();
        for (id, user) in (0..).zip(USERS) {
            let talker = Talker::new(user, seed(id), &endpoint, &told, user == LEAVES);
            readers.push(tokio::spawn(talker.run()));
        }
        for id in 0..SLOW {
            let slow = Slow::new(&format!("slow {id}"), seed(20 + id), &endpoint, &told);
            readers.push(tokio::spawn(slow.run()));
        }
        let token = member::token(&endpoint, MEMBER, told.now_ms()).await?;
        let theirs = server.endpoint_of(Some(&token), REQUEST_TIMEOUT).await?;
        readers.push(tokio::spawn(member::run(theirs, Follower::of_user(&told, MEMBER))));
        let changers =
            (0..CHANGERS).map(|id| Changer::new(id, seed(40 + id), &endpoint, &told).run());
        let mut speakers: Vec<_> = changers.map(tokio::spawn).collect();
        let vandal = Vandal::new(seed(60), server, &told);
        speakers.push(tokio::spawn(vandal.run()));
        Ok(Self { endpoint, told, speakers, readers })
    }

    /// Lets everybody say and read the rest, and looks at what is there then.
    pub(super) async fn end(self) -> Result<Ended, CrashError> {
        let Self { endpoint, told, speakers, readers } = self;
        let mut undecided = Vec::new();
        told.begin(Phase::Calm);
        tokio::time::sleep(CALM).await;
        let has_happened = |counts: DrilledChat| counts.slow_closed > 0 && counts.removed > 0;
        within(CALM_MAX, || has_happened(told.counts.drilled())).await;
        told.begin(Phase::Quiet);
        joined(speakers).await?;
        if !within(READ_WITHIN, || told.counts.all_said(USERS.len())).await {
            undecided.push("what was said in chat was not answered in time".to_owned());
        }
        if !Changer::new(CHANGERS, 0, &endpoint, &told).admit(MEMBER).await {
            undecided.push(format!("{MEMBER} could not be admitted in time"));
        }
        let mut end = End::default();
        let mut lasts = Vec::new();
        for place in 0..CONVERSATIONS.len() {
            lasts.push(look::last(&endpoint, place).await?);
        }
        let comes = Follower::new(&told, COMES, Some(COMES));
        let comes = tokio::spawn(reads_from_the_beginning(endpoint.clone(), comes));
        // Whoever does not read to the end missed something, which is for the checker to say.
        within(READ_WITHIN, || told.have_read(&lasts, LEAVES)).await;
        let there: BTreeSet<String> = USERS
            .into_iter()
            .filter(|user| *user != LEAVES)
            .chain([COMES])
            .map(Into::into)
            .collect();
        within(SHOWN_WITHIN, || told.shown(LEAVES).iter().all(|(_, shown)| *shown == there)).await;
        let presence = told.shown(LEAVES).into_iter().map(|(reader, told)| Presence {
            reader,
            told,
            there: there.clone(),
        });
        end.presence = presence.collect();
        for (place, last) in lasts.into_iter().enumerate() {
            let events = look::events(&endpoint, place, last).await?;
            end.conversations.insert(CONVERSATIONS[place].to_owned(), events);
        }
        end.inboxes = look::inboxes(&endpoint).await?;
        told.begin(Phase::Over);
        joined(readers).await?;
        joined(vec![comes]).await?;
        Ok(Ended { history: told.finish(end, LEAVES), told, undecided })
    }
}

/// What is there for good once all is over.
pub(super) fn lists() -> impl Iterator<Item = String> {
    CONVERSATIONS.iter().map(|name| format!("/v1/conversations/{name}/messages"))
}

/// What was told, and what could not be.
pub(super) struct Ended {
    history: ChatHistory,
    told: Arc<Told>,
    undecided: Vec<String>,
}

/// Follows everything from its beginning until all is over.
async fn reads_from_the_beginning(endpoint: Endpoint, mut follower: Follower) {
    while !follower.told.is_past(Phase::Quiet) {
        if let Ok(mut socket) = endpoint.connect_websocket(talker::PATH, BUFFER_BYTES).await {
            follower.follow(&mut socket);
            while !follower.told.is_past(Phase::Quiet)
                && follower.exchange(&mut socket, LOOK_EVERY).await.is_ok()
            {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn joined(tasks: Vec<JoinHandle<()>>) -> Result<(), CrashError> {
    for task in tasks {
        task.await.map_err(|error| CrashError::Answer(error.to_string()))?;
    }
    Ok(())
}

/// Judges what was told.
pub(super) fn judge(ended: Ended) -> Drilled {
    let Ended { history, told, mut undecided } = ended;
    let ChatReport { violations, messages, delivered, resumed, inboxes } =
        checker::check_chat(&history);
    let chat = DrilledChat {
        conversations: CONVERSATIONS.len(),
        messages,
        delivered,
        resumed,
        duplicates: told::duplicates(&history),
        inboxes,
        ..told.counts.drilled()
    };
    // What never happened proves nothing.
    for (count, what) in [
        (chat.resumed, "resumed"),
        (chat.slow_closed, "was closed for reading slowly"),
        (chat.removed, "was removed while they followed"),
    ] {
        if count == 0 {
            undecided.push(format!("nobody who follows conversations {what}"));
        }
    }
    Drilled { chat, violations, undecided }
}
