//! What is there: subscribers that resume over every restart, and everything read back at the end.

use super::{CrashError, Recorder, answers, look::Look};
use crate::{
    checker::{Change, Delivery, Event, FinalHold, FinalState, Happened, Observed, Subscription},
    history::Places,
    load::{self, Endpoint},
};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    task::{JoinError, JoinHandle},
};

const RECONNECT: Duration = Duration::from_millis(10);
const QUIET: Duration = Duration::from_millis(250);
const PAGE: usize = 1_000;
/// Resources that are read back at once.
const READS_AT_ONCE: usize = 64;
/// How often a resource is read back anew because something has happened to it meanwhile.
const ROUNDS_MAX: u32 = 20;

#[derive(Deserialize)]
struct EventBody {
    position: String,
    at: String,
    data: EventData,
}

#[derive(Deserialize, Default)]
struct EventData {
    capacity: Option<u64>,
    hold: Option<String>,
    fence: Option<u64>,
    holder: Option<String>,
    seats: Option<Vec<String>>,
    quantity: Option<u64>,
    expires_at: Option<String>,
}

/// Where a subscriber is.
pub(super) struct Reader {
    last_id: Option<String>,
    received: Vec<Delivery>,
}

/// Follows a resource from its first event until the drill ends, over every restart.
pub(super) async fn subscribe(
    endpoint: Endpoint,
    resource: String,
    recorder: Arc<Recorder>,
) -> Reader {
    let mut reader = Reader { last_id: None, received: Vec::new() };
    while !recorder.stopped() {
        let _ = reader.read(&endpoint, &resource, || recorder.stopped()).await;
        tokio::time::sleep(RECONNECT).await;
    }
    reader
}

/// What there is of all resources, and what their subscribers were sent of it.
pub(super) async fn read_back(
    endpoint: &Endpoint,
    subscribers: Vec<(String, JoinHandle<Reader>)>,
) -> Result<Observed, CrashError> {
    let one = |(name, subscriber)| read_back_one(endpoint.clone(), name, subscriber);
    let mut observed = Observed { holds: Some(Vec::new()), ..Observed::default() };
    for (events, holds, subscription) in all(subscribers.into_iter().map(one)).await? {
        observed.events.extend(events);
        observed.holds.get_or_insert_default().extend(holds);
        observed.subscriptions.push(subscription);
    }
    Ok(observed)
}

/// Does all of these, some at once.
async fn all<T: Send + 'static>(
    work: impl Iterator<Item = impl Future<Output = Result<T, CrashError>> + Send + 'static>,
) -> Result<Vec<T>, CrashError> {
    let turns = Arc::new(Semaphore::new(READS_AT_ONCE));
    let tasks: Vec<_> = work
        .map(|one| {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move {
                let _turn = turns.acquire().await.expect("turns are not closed");
                one.await
            })
        })
        .collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(joined(task.await)?);
    }
    Ok(done)
}

/// Lets a subscriber read to the end, whatever ends meanwhile because its time is over.
async fn read_back_one(
    endpoint: Endpoint,
    resource: String,
    subscriber: JoinHandle<Reader>,
) -> Result<(Vec<Event>, Vec<FinalHold>, Subscription), CrashError> {
    let mut reader = joined(subscriber.await.map(Ok))?;
    let mut rounds = 0..ROUNDS_MAX;
    loop {
        let events = read_events(&endpoint, &resource).await?;
        let holds = read_holds(&endpoint, &resource).await?;
        let until = events.len() as u64;
        reader.read_until(&endpoint, &resource, until).await?;
        let is_still = reader.sequence() <= until
            && read_events(&endpoint, &resource).await?.len() == events.len();
        if !is_still && rounds.next().is_none() {
            return Err(CrashError::Answer(format!("{resource} does not come to rest")));
        }
        if is_still {
            let subscriber = format!("the subscriber of {resource}");
            let received = reader.received;
            return Ok((
                events,
                holds,
                Subscription { subscriber, resource, after: 0, until, received },
            ));
        }
    }
}

/// The events that there are of the resources that had these.
pub(super) async fn read_events_of(
    endpoint: &Endpoint,
    known: &[Event],
) -> Result<Vec<Event>, CrashError> {
    let mut counts = BTreeMap::<String, usize>::new();
    known.iter().for_each(|event| *counts.entry(event.resource.clone()).or_default() += 1);
    let one = |(resource, known): (String, usize)| {
        let endpoint = endpoint.clone();
        async move {
            let mut events = Vec::new();
            // Silence is taken for the end, and may be a busy machine.
            for _ in 0..ROUNDS_MAX {
                events = read_events(&endpoint, &resource).await?;
                if events.len() >= known {
                    break;
                }
            }
            Ok(events)
        }
    };
    Ok(all(counts.into_iter().map(one)).await?.concat())
}

fn joined<T>(ended: Result<Result<T, CrashError>, JoinError>) -> Result<T, CrashError> {
    ended.map_err(|error| CrashError::Answer(error.to_string()))?
}

impl Reader {
    /// Reads on one connection until it breaks, falls silent when `stop` says so, or ends.
    async fn read(
        &mut self,
        endpoint: &Endpoint,
        resource: &str,
        stop: impl Fn() -> bool,
    ) -> Result<(), CrashError> {
        let mut writer = endpoint.writer();
        let path = format!("/v1/resources/{resource}/events");
        let bytes = match &self.last_id {
            Some(id) => writer.write("GET", &path, &[("Last-Event-ID", id)], None),
            None => writer.get(&format!("{path}?since=start")),
        };
        let mut stream = endpoint.connect().await?.subscribe(bytes).await?;
        stream.set_quiet_max(QUIET);
        loop {
            match stream.next().await {
                Ok(Some(event)) => self.take(resource, &event)?,
                Ok(None) => return Ok(()),
                Err(load::ClientError::TimedOut) if !stop() => {}
                Err(load::ClientError::TimedOut) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn read_until(
        &mut self,
        endpoint: &Endpoint,
        resource: &str,
        until: u64,
    ) -> Result<(), CrashError> {
        // A few rounds: one is enough unless the stream is broken, which the checker will tell.
        for _ in 0..3 {
            if self.sequence() >= until {
                break;
            }
            self.read(endpoint, resource, || true).await?;
        }
        Ok(())
    }

    fn sequence(&self) -> u64 {
        self.received.last().map_or(0, |delivery| match delivery {
            Delivery::Event(event) => event.seq,
            Delivery::Reset { seq } => *seq,
        })
    }

    fn take(&mut self, resource: &str, event: &load::Event) -> Result<(), CrashError> {
        if !event.id.is_empty() {
            self.last_id = Some(event.id.clone());
        }
        match event.event.as_str() {
            "open" => {}
            "reset" => {
                let seq = sequence(&event.id).ok_or_else(|| strange(&event.data))?;
                self.received.push(Delivery::Reset { seq });
            }
            kind => {
                let body: EventBody =
                    serde_json::from_str(&event.data).map_err(|_| strange(&event.data))?;
                let event = observed(resource, kind, body).ok_or_else(|| strange(&event.data))?;
                self.received.push(Delivery::Event(event));
            }
        }
        Ok(())
    }
}

/// The events of a resource, from the first on.
async fn read_events(endpoint: &Endpoint, resource: &str) -> Result<Vec<Event>, CrashError> {
    let mut reader = Reader { last_id: None, received: Vec::new() };
    reader.read(endpoint, resource, || true).await?;
    let events = reader.received.into_iter().filter_map(|delivery| match delivery {
        Delivery::Event(event) => Some(event),
        Delivery::Reset { .. } => None,
    });
    Ok(events.collect())
}

async fn read_holds(endpoint: &Endpoint, resource: &str) -> Result<Vec<FinalHold>, CrashError> {
    let path = format!("/v1/resources/{resource}/holds");
    let bodies: Vec<answers::HoldBody> = Look::at(endpoint, None).await?.list(&path, PAGE).await?;
    let holds = bodies.into_iter().map(|body| {
        let state = match body.state.as_str() {
            "held" => FinalState::Held,
            "confirmed" => FinalState::Confirmed,
            "released" => FinalState::Released,
            "expired" => FinalState::Expired,
            "cancelled" => FinalState::Cancelled,
            other => return Err(strange(other)),
        };
        Ok(FinalHold { resource: resource.to_owned(), hold: body.hold, state })
    });
    holds.collect()
}

fn observed(resource: &str, kind: &str, body: EventBody) -> Option<Event> {
    let EventBody { position, at, data } = body;
    let change = match kind.strip_prefix("reservations.")? {
        "created" | "capacity_changed" => None,
        "held" => Some(Change::Held),
        "confirmed" => Some(Change::Confirmed),
        "released" => Some(Change::Released),
        "expired" => Some(Change::Expired),
        "extended" => Some(Change::Extended),
        "cancelled" => Some(Change::Cancelled),
        _ => return None,
    };
    let happened = match change {
        None => Happened::Capacity(data.capacity?),
        Some(change) => Happened::Hold {
            change,
            hold: data.hold?,
            fence: data.fence?,
            key: data.holder,
            places: match data.seats {
                Some(seats) => Places::Seats(seats),
                None => Places::Quantity(data.quantity.unwrap_or(1)),
            },
            expires_at_ms: answers::ms(&data.expires_at?)?,
        },
    };
    let (seq, at_ms) = (sequence(&position)?, answers::ms(&at)?);
    Some(Event { resource: resource.to_owned(), seq, at_ms, happened })
}

fn sequence(position: &str) -> Option<u64> {
    position.split_once('.')?.1.parse().ok()
}

fn strange(text: &str) -> CrashError {
    CrashError::Answer(text.chars().take(300).collect())
}
