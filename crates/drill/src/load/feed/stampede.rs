//! `stampede`: very many ask at once for a timeline that nobody has asked for before.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::super::client::Client;
use super::super::driver::{Outcome, Plan};
use super::super::endpoint::Endpoint;
use super::super::histogram::{Histogram, Percentiles};
use super::super::outcome::outcome;
use super::options::FeedBenchError;
use super::people::People;
use super::timelines::{POST, Timelines};

/// Connections that are opened at once.
const OPENERS: usize = 32;
/// The server's count of what its cache had to load.
const LOADS: &str = "evenkeel_cache_loads_total";

/// Readers who all ask for the same, in each repeat for another.
pub(super) struct Stampede {
    pub(super) endpoint: Endpoint,
    pub(super) people: People,
    pub(super) timelines: Timelines,
    /// Whose timelines they are: readers of a graph that follow so many.
    pub(super) following: u32,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct StampedeReport {
    /// Readers that were asked for.
    pub wanted: usize,
    /// As many as could connect.
    pub readers: usize,
    /// Why not more.
    pub connect_error: Option<String>,
    /// One a repeat.
    pub runs: Vec<Stamped>,
}

/// One timeline that all ask for.
#[derive(Debug, Clone, Serialize)]
pub struct Stamped {
    /// How often the server's cache loaded something meanwhile; none if it does not say.
    pub loads: Option<u64>,
    /// Readers who got a page.
    pub ok: u64,
    /// Readers who were turned away because the server was busy.
    pub shed: u64,
    /// Readers without a usable answer.
    pub errors: u64,
    /// Of all of them, since they were let go.
    pub latency: Percentiles,
    /// What the first failed one said.
    pub first_error: Option<String>,
}

impl Stampede {
    pub(super) async fn run(self, plan: Plan) -> Result<StampedeReport, FeedBenchError> {
        let (mut clients, connect_error) = self.open(plan.connections).await?;
        let (readers, mut runs) = (clients.len(), Vec::new());
        for repeat in 0..plan.repeats {
            tokio::time::sleep(plan.warmup).await;
            let before = self.loads().await?;
            // The first was looked at when it was put there.
            let user = self.people.reader(self.following, repeat + 1);
            let (mut stamped, rest) = self.let_go(clients, &user).await?;
            clients = rest;
            stamped.loads = self.loads().await?.zip(before).map(|(after, before)| after - before);
            runs.push(stamped);
        }
        Ok(StampedeReport { wanted: plan.connections, readers, connect_error, runs })
    }

    /// So many connections, or as many as there can be; then also why not more.
    async fn open(&self, wanted: usize) -> Result<(Vec<Client>, Option<String>), FeedBenchError> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut openers = JoinSet::new();
        for _ in 0..OPENERS {
            let (endpoint, next) = (self.endpoint.clone(), Arc::clone(&next));
            openers.spawn(async move {
                let mut opened = Vec::new();
                while next.fetch_add(1, Ordering::Relaxed) < wanted {
                    match endpoint.connect().await {
                        Ok(client) => opened.push(client),
                        Err(error) => return (opened, Some(error)),
                    }
                }
                (opened, None)
            });
        }
        let (mut clients, mut first_error) = (Vec::with_capacity(wanted), None);
        while let Some(ended) = openers.join_next().await {
            let (opened, error) = ended.map_err(FeedBenchError::Worker)?;
            clients.extend(opened);
            first_error = first_error.or(error);
        }
        match first_error {
            Some(error) if clients.is_empty() => Err(error.into()),
            error => {
                // One is for looking at the metrics.
                if error.is_some() {
                    clients.pop();
                }
                Ok((clients, error.map(|error| error.to_string())))
            }
        }
    }

    /// All of them ask for the timeline of `user`. Answers the connections that can go on too.
    async fn let_go(
        &self,
        clients: Vec<Client>,
        user: &str,
    ) -> Result<(Stamped, Vec<Client>), FeedBenchError> {
        let mut writer = self.endpoint.writer();
        let request: Arc<[u8]> = self.timelines.write(&mut writer, user).into();
        let barrier = Arc::new(Barrier::new(clients.len()));
        let mut readers = JoinSet::new();
        for client in clients {
            readers.spawn(ask(client, Arc::clone(&request), Arc::clone(&barrier)));
        }
        let mut latencies = Histogram::new();
        let mut asked = Vec::with_capacity(readers.len());
        while let Some(ended) = readers.join_next().await {
            asked.push(ended.map_err(FeedBenchError::Worker)?);
        }
        let released = asked.iter().map(|asked| asked.released).min();
        let (loads, latency) = (None, latencies.percentiles());
        let mut stamped = Stamped { loads, ok: 0, shed: 0, errors: 0, latency, first_error: None };
        let mut rest = Vec::with_capacity(asked.len());
        for asked in asked {
            let waited = released.map_or(Duration::ZERO, |from| asked.answered - from);
            latencies.record(waited);
            match asked.outcome {
                Outcome::Ok => stamped.ok += 1,
                Outcome::Shed => stamped.shed += 1,
                Outcome::Refused => {
                    stamped.errors += 1;
                    stamped.first_error.get_or_insert_with(|| format!("{user} sees no posts"));
                }
                Outcome::Error(error) => {
                    stamped.errors += 1;
                    stamped.first_error.get_or_insert(error.into());
                }
            }
            rest.extend(Some(asked.client).filter(Client::is_usable));
        }
        stamped.latency = latencies.percentiles();
        Ok((stamped, rest))
    }

    /// The sum of the server's counts; none if it does not say.
    async fn loads(&self) -> Result<Option<u64>, FeedBenchError> {
        let mut client = self.endpoint.connect().await?;
        let mut writer = self.endpoint.writer();
        let reply = client.call(writer.get("/metrics")).await?;
        Ok(sum(&String::from_utf8_lossy(reply.body), LOADS))
    }
}

/// One reader's answer.
struct Asked {
    client: Client,
    outcome: Outcome,
    released: Instant,
    answered: Instant,
}

async fn ask(mut client: Client, request: Arc<[u8]>, barrier: Arc<Barrier>) -> Asked {
    barrier.wait().await;
    let released = Instant::now();
    let outcome = outcome(&mut client, &request, POST).await;
    Asked { client, outcome, released, answered: Instant::now() }
}

/// Adds up all samples of a metric; none if there is no sample of it.
fn sum(page: &str, metric: &str) -> Option<u64> {
    let samples = page.lines().filter_map(|line| line.strip_prefix(metric));
    let values = samples
        .filter(|rest| rest.starts_with([' ', '{']))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok());
    values.map(|value| value as u64).reduce(|sum, value| sum + value)
}

impl fmt::Display for StampedeReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "feed stampede · {} of {} readers", self.readers, self.wanted)?;
        match &self.connect_error {
            Some(error) => writeln!(out, " ({error})")?,
            None => writeln!(out)?,
        }
        for run in &self.runs {
            let loads = run.loads.map_or("unknown".to_owned(), |loads| loads.to_string());
            let ms = |us: u64| us as f64 / 1e3;
            writeln!(
                out,
                "loads {loads} · ok {} · shed {} · errors {} · p50 {:.2} ms · p99 {:.2} ms · the last {:.2} ms",
                run.ok,
                run.shed,
                run.errors,
                ms(run.latency.p50_us),
                ms(run.latency.p99_us),
                ms(run.latency.max_us)
            )?;
            if let Some(error) = &run.first_error {
                writeln!(out, "first error: {error}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_samples_of_a_metric_are_added_and_no_other() {
        let page = "# TYPE a_total counter\na_total{cache=\"x\"} 3\na_total{cache=\"y\"} 4\na_total_of 9\nb 1\n";
        assert_eq!(sum(page, "a_total"), Some(7));
        assert_eq!(sum(page, "b"), Some(1));
        assert_eq!(sum(page, "c"), None);
    }
}
