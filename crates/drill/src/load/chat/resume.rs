//! `resume`: a subscriber that comes back, and how long until it has all that it missed.

use std::fmt;
use std::time::Instant;

use serde::Serialize;

use super::super::driver::Plan;
use super::super::endpoint::Endpoint;
use super::super::histogram::{Histogram, Percentiles};
use super::conversations::Conversations;
use super::options::ChatBenchError;
use super::sends::{Audience, Sends};
use super::talker::{BUFFER_BYTES, await_subscribed, connect};
use super::wire::{Heard, subscription};

/// Sends in flight while what is missed is stored.
const FILL_DEPTH: usize = 64;

/// One conversation with a reader that is away.
pub(super) struct Resume {
    pub(super) endpoint: Endpoint,
    pub(super) conversations: Conversations,
    pub(super) messages: u64,
    pub(super) drain_max: std::time::Duration,
}

/// How long it takes.
#[derive(Debug, Clone, Serialize)]
pub struct ResumeReport {
    /// The workload's name.
    pub workload: &'static str,
    /// How many were missed.
    pub messages: u64,
    /// From the connect to the arrival of the last.
    pub latency: Percentiles,
    /// How often it was done.
    pub resumes: u64,
    /// How often what came was not what was missed.
    pub errors: u64,
    /// What was wrong first.
    pub first_error: Option<String>,
}

impl Resume {
    /// Resumes one after the other, from the same position, `repeats` windows long.
    pub(super) async fn run(self, plan: Plan) -> Result<ResumeReport, ChatBenchError> {
        self.conversations.put(&self.endpoint).await?;
        let since = self.position().await?;
        let sends = Sends {
            endpoint: self.endpoint.clone(),
            conversations: self.conversations.clone(),
            audience: Audience::Others(0),
            depth: FILL_DEPTH,
            drain_max: self.drain_max,
        };
        sends.fill(self.messages, 1).await?;
        let mut report = ResumeReport {
            workload: "chat resume",
            messages: self.messages,
            latency: Histogram::new().percentiles(),
            resumes: 0,
            errors: 0,
            first_error: None,
        };
        let mut latency = Histogram::new();
        let begun = Instant::now();
        let until = plan.warmup + plan.duration * plan.repeats;
        while begun.elapsed() < until {
            let measured = begun.elapsed() >= plan.warmup;
            let start = Instant::now();
            let wrong = self.resume(&since).await?;
            if measured {
                latency.record(start.elapsed());
                report.resumes += 1;
            }
            if let Some(wrong) = wrong {
                report.errors += 1;
                report.first_error.get_or_insert(wrong);
            }
        }
        report.latency = latency.percentiles();
        Ok(report)
    }

    async fn position(&self) -> Result<String, ChatBenchError> {
        let mut socket = connect(&self.endpoint, &self.conversations, &[], BUFFER_BYTES).await?;
        socket.push(&subscription(self.conversations.name(0), None));
        await_subscribed(&mut socket).await
    }

    /// What was wrong with what came, if anything was.
    async fn resume(&self, since: &str) -> Result<Option<String>, ChatBenchError> {
        let mut socket = connect(&self.endpoint, &self.conversations, &[], BUFFER_BYTES).await?;
        socket.push(&subscription(self.conversations.name(0), Some(since)));
        let mut came = 0;
        let mut last_seq = None;
        while came < self.messages {
            match Heard::parse(socket.next().await?) {
                Some(Heard::Message { seq, .. }) => {
                    if last_seq.is_some_and(|last| seq <= last) {
                        return Ok(Some(format!("seq {seq} came after {}", last_seq.unwrap_or(0))));
                    }
                    last_seq = Some(seq);
                    came += 1;
                }
                Some(Heard::Refused { refusal, .. }) => return Ok(Some(refusal.to_string())),
                Some(Heard::Unsubscribed { reason }) => {
                    return Ok(Some(format!("the subscription ended: {reason}")));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

impl fmt::Display for ResumeReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |latency_us: u64| latency_us as f64 / 1e3;
        writeln!(
            out,
            "{} of {} messages · {} times · p50 {:.2} ms · p99 {:.2} ms · errors {}",
            self.workload,
            self.messages,
            self.resumes,
            ms(self.latency.p50_us),
            ms(self.latency.p99_us),
            self.errors
        )?;
        if let Some(error) = &self.first_error {
            writeln!(out, "first error: {error}")?;
        }
        Ok(())
    }
}
