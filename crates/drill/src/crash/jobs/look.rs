//! What is there in the end.

use super::{
    super::{CrashError, answers::ms, look::Look},
    answers,
};
use crate::{
    history::jobs::{JobHistory, Last, Outcome, Request},
    load::{Client, Endpoint},
};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// If nothing has happened for so long, nothing more will.
const QUIET: Duration = Duration::from_secs(10);
/// Whatever can be done is done within this.
const DRAINS_WITHIN: Duration = Duration::from_secs(90);
const PAGE: usize = 1_000;

#[derive(Deserialize)]
struct QueueBody {
    counts: BTreeMap<String, u64>,
    totals: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct JobBody {
    job: String,
    state: String,
    attempt: u32,
    failures: u32,
    crashes: u32,
    created_at: String,
}

/// Waits until there is nothing more to do, or nothing more is done; false if that takes too long.
pub(super) async fn drained(endpoint: &Endpoint, queue: &str) -> Result<bool, CrashError> {
    let mut client = endpoint.connect().await?;
    let path = format!("/v1/queues/{queue}");
    let began = Instant::now();
    let mut quiet = (BTreeMap::new(), Instant::now());
    while began.elapsed() < DRAINS_WITHIN {
        let body: Option<QueueBody> = get(&mut client, endpoint, &path).await?;
        let Some(QueueBody { counts, totals }) = body else {
            return Err(CrashError::Answer(format!("there is no queue {queue}")));
        };
        let left = ["waiting", "scheduled", "retry", "ready", "leased"];
        if left.iter().all(|state| counts.get(*state) == Some(&0)) {
            return Ok(true);
        }
        if totals != quiet.0 {
            quiet = (totals, Instant::now());
        } else if quiet.1.elapsed() > QUIET {
            return Ok(true);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(false)
}

/// Every job, by the lists of all; and those that are not in them each by itself.
pub(super) async fn every_job(
    endpoint: &Endpoint,
    queue: &str,
    history: &JobHistory,
) -> Result<BTreeMap<String, Last>, CrashError> {
    let ordering_keys = ordering_keys(history);
    let mut jobs = BTreeMap::new();
    let path = format!("/v1/queues/{queue}/jobs");
    let bodies: Vec<JobBody> = Look::at(endpoint, None).await?.list(&path, PAGE).await?;
    for body in bodies {
        let (job, last) = last(body, &ordering_keys)?;
        jobs.insert(job, last);
    }
    let mut client = endpoint.connect().await?;
    for job in ordering_keys.keys().filter(|job| !jobs.contains_key(**job)).collect::<Vec<_>>() {
        let path = format!("/v1/queues/{queue}/jobs/{job}");
        let body: Option<JobBody> = get(&mut client, endpoint, &path).await?;
        if let Some(body) = body {
            let (job, last) = last(body, &ordering_keys)?;
            jobs.insert(job, last);
        }
    }
    Ok(jobs)
}

/// Jobs that somebody was told of, with their ordering keys.
fn ordering_keys(history: &JobHistory) -> BTreeMap<&str, Option<&String>> {
    let mut keys = BTreeMap::new();
    for operation in &history.operations {
        if let (Request::Enqueue(works), Some(Outcome::Enqueued { jobs, .. })) =
            (&operation.request, operation.outcome())
        {
            // One that was there already has the same.
            let each = jobs.iter().zip(works);
            keys.extend(each.map(|(taken, work)| (taken.job.as_str(), work.ordering_key.as_ref())));
        }
    }
    keys
}

fn last(
    body: JobBody,
    ordering_keys: &BTreeMap<&str, Option<&String>>,
) -> Result<(String, Last), CrashError> {
    let JobBody { job, state, attempt, failures, crashes, created_at } = body;
    let strange = || CrashError::Answer(format!("job {job} is {state:?} since {created_at:?}"));
    let (state, created_ms) = answers::state(&state).zip(ms(&created_at)).ok_or_else(strange)?;
    let ordering_key = ordering_keys.get(job.as_str()).copied().flatten().cloned();
    Ok((
        job,
        Last { state, attempt, failures, crashes, ordering_key, created_ms, after: Vec::new() },
    ))
}

/// None if there is no such thing.
async fn get<A: DeserializeOwned>(
    client: &mut Client,
    endpoint: &Endpoint,
    path: &str,
) -> Result<Option<A>, CrashError> {
    let mut writer = endpoint.writer();
    let reply = client.call(writer.get(path)).await?;
    if reply.status == 404 {
        return Ok(None);
    }
    serde_json::from_slice(reply.body).map(Some).map_err(|_| {
        let text: String = String::from_utf8_lossy(reply.body).chars().take(300).collect();
        CrashError::Answer(format!("GET {path}: {} {text}", reply.status))
    })
}
