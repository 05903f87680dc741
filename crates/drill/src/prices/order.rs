//! The work: senders go round conversations that two readers follow each, or say all in the one order of one
//! conversation, so that every reader must be sent everything.

use super::{Frame, Price, PriceError, PriceOptions, frame::times};
use crate::load::{
    Pace, Plan, Run, Spread,
    chat::{ChatBench, ChatReport, ChatWorkload},
};
use serde::Serialize;
use std::{fmt, time::Duration};

/// The sides: with the guarantee, and without. They also name the conversations.
pub(super) const SIDES: [&str; 2] = ["one", "each"];
const TIMEOUT: Duration = Duration::from_secs(10);

/// Conversations of a side, and how many follow each.
fn shape(side: usize, connections: usize) -> (usize, usize) {
    let few = connections.div_ceil(2);
    if side == 0 { (1, 2 * few) } else { (few, 2) }
}

/// One measurement of one side.
pub(super) async fn measure(
    target: &str,
    side: usize,
    options: &PriceOptions,
) -> Result<Run, PriceError> {
    let (conversations, subscribers) = shape(side, options.connections);
    let bench = ChatBench {
        target: target.to_owned(),
        api_key: None,
        timeout: TIMEOUT,
        plan: Plan {
            connections: options.connections,
            warmup: Duration::ZERO,
            duration: options.duration,
            repeats: 1,
            pace: Pace::Closed,
        },
        workload: ChatWorkload::Fanout { subscribers },
        name: SIDES[side].to_owned(),
        conversations: u32::try_from(conversations).unwrap_or(u32::MAX),
        create: true,
        depth: 1,
        pid: None,
    };
    let ChatReport::Load(report) = bench.run().await? else {
        return Err(PriceError::Answer("a fan-out is reported as a load".into()));
    };
    if let Some(error) = report.first_error() {
        return Err(PriceError::Answer(format!("a message failed: {error}")));
    }
    let run = report.runs.into_iter().next();
    run.ok_or_else(|| PriceError::Answer("nothing was measured".into()))
}

/// A price of chat, measured.
#[derive(Debug, Clone, Serialize)]
pub struct ChatPrice {
    /// Which, and how.
    #[serde(flatten)]
    pub frame: Frame,
    /// With the guarantee, then without.
    pub sides: Vec<ChatSide>,
}

/// What one side did. Spreads are over its measurements.
#[derive(Debug, Clone, Serialize)]
pub struct ChatSide {
    /// How many orders there are.
    pub name: &'static str,
    /// Conversations.
    pub conversations: usize,
    /// Who is sent each message.
    pub readers: usize,
    /// Messages that were acknowledged in a second.
    pub messages_per_s: Spread,
    /// From a send to its arrival at each reader, half were faster.
    pub p50_us: Spread,
    /// The same, 99 % were faster.
    pub p99_us: Spread,
    /// Messages in all.
    pub messages: u64,
}

impl ChatPrice {
    pub(super) fn new(
        price: &Price,
        options: &PriceOptions,
        measured: &[Vec<Run>; SIDES.len()],
    ) -> Self {
        let sides = SIDES.iter().zip(measured).enumerate().map(|(side, (name, runs))| {
            let (conversations, readers) = shape(side, options.connections);
            let spread = |pick: &dyn Fn(&Run) -> f64| Spread::of(runs.iter().map(pick));
            ChatSide {
                name,
                conversations,
                readers,
                messages_per_s: spread(&|run| {
                    messages(run) as f64 * 1_000.0 / run.window_ms.max(1) as f64
                }),
                p50_us: spread(&|run| run.latency.p50_us as f64),
                p99_us: spread(&|run| run.latency.p99_us as f64),
                messages: runs.iter().map(messages).sum(),
            }
        });
        Self { frame: Frame::new(price, options), sides: sides.collect() }
    }
}

fn messages(run: &Run) -> u64 {
    run.kinds.iter().filter(|kind| kind.kind == "send").map(|kind| kind.ok).sum()
}

impl fmt::Display for ChatPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.frame.begin(f, "that send, and as many that read")?;
        writeln!(
            f,
            "{:<8} {:>14} {:>14} {:>12} {:>10} {:>10}",
            "orders", "conversations", "readers each", "messages/s", "p50 ms", "p99 ms"
        )?;
        for side in &self.sides {
            writeln!(
                f,
                "{:<8} {:>14} {:>14} {:>12.0} {:>10.3} {:>10.3}",
                side.name,
                side.conversations,
                side.readers,
                side.messages_per_s.median,
                side.p50_us.median / 1_000.0,
                side.p99_us.median / 1_000.0
            )?;
        }
        if let [with, without] = self.sides.as_slice() {
            write!(
                f,
                "\n{} costs: {:.2} times the messages a second, {:.2} times the median latency, {:.2} \
                 times the p99; and whoever has one in {} messages to read is sent them all. While \
                 the one conversation cannot be written to, nobody can say anything.",
                self.frame.price,
                times(with, without, |side| side.messages_per_s),
                times(with, without, |side| side.p50_us),
                times(with, without, |side| side.p99_us),
                without.conversations
            )?;
        }
        self.frame.end(f)
    }
}
