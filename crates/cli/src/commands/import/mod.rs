//! `evenkeel import FILE.ndjson`: resources into a server, several at once, safe to run again.
//!
//! A thread reads lines, a few connections send them; between them is a short queue, so that
//! neither a long file nor a slow server takes memory. Every request is naturally idempotent.

mod line;
mod send;
mod source;
mod summary;

use crate::{client::ServerArgs, failure::Failure, output};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use send::{Sender, Sent, Stopped};
use source::{Item, Source};
use std::{
    io::IsTerminal,
    path::PathBuf,
    sync::{
        Arc, Mutex as StdMutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use summary::Summary;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};

/// Lines that wait for a connection.
const QUEUE_MAX: usize = 256;

/// Create resources from a file with one JSON object a line; safe to run again.
///
/// A line is what `PUT /v1/resources/{r}` takes, with the name in it:
/// {"resource":"gig","kind":"quantity","capacity":100},
/// {"resource":"hall","kind":"seats","seats":["A1","A2"]} or
/// {"resource":"export","kind":"lock","protects":"one export at a time"}.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file; `-` reads stdin.
    file: PathBuf,
    /// Go on after a line that is wrong or refused; else the first ends the import.
    #[arg(long)]
    skip_bad: bool,
    /// How many requests at once.
    #[arg(long, value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    connections: u16,
    /// How long a line is tried again while the server is busy or away.
    #[arg(long, value_name = "MS", default_value_t = 60_000,
          value_parser = clap::value_parser!(u64).range(0..=3_600_000))]
    retry_for_ms: u64,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// What all connections share.
struct Shared {
    queue: Mutex<mpsc::Receiver<Item>>,
    summary: StdMutex<Summary>,
    stop: AtomicBool,
    skip_bad: bool,
    bar: ProgressBar,
}

pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let source = Source::open(&args.file)?;
    let endpoint = args.server.endpoint().await?;
    // A server that is not there should show before anything else happens.
    endpoint.connect().await.map_err(|error| {
        Failure::because(format!("nothing was imported: no server at {}", args.server.url), error)
    })?;
    let (lines, queue) = mpsc::channel(QUEUE_MAX);
    let shared = Arc::new(Shared {
        queue: Mutex::new(queue),
        summary: StdMutex::default(),
        stop: AtomicBool::new(false),
        skip_bad: args.skip_bad,
        bar: progress(source.bytes()),
    });
    let begun = Instant::now();
    let reader = tokio::task::spawn_blocking(move || source.read(&lines));
    let mut workers = JoinSet::new();
    for _ in 0..args.connections {
        let sender = Sender::new(endpoint.clone(), args.server.url.clone(), args.retry_for_ms);
        workers.spawn(work(Arc::clone(&shared), sender));
    }
    while let Some(ended) = workers.join_next().await {
        ended?;
    }
    // With the last receiver gone, a reader that still has lines ends.
    let shared = Arc::into_inner(shared).expect("every worker has ended");
    drop(shared.queue);
    let read = reader.await?;
    shared.bar.finish_and_clear();
    let mut summary = shared.summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let (Err(error), None) = (read, &summary.stopped) {
        summary.stopped = Some(format!("the file cannot be read further: {error}"));
    }
    finish(&summary, begun, args.json)
}

fn finish(summary: &Summary, begun: Instant, json: bool) -> Result<(), Failure> {
    if json {
        output::json(&summary.as_json(begun.elapsed()))?;
    } else {
        output::print(&summary.as_text(begun.elapsed()))?;
    }
    match &summary.stopped {
        Some(why) => Err(Failure::failed(format!(
            "stopped after {} resources: {why}. It is safe to run it again",
            summary.done()
        ))),
        None => Ok(()),
    }
}

async fn work(shared: Arc<Shared>, mut sender: Sender) {
    while !shared.stop.load(Ordering::Relaxed) {
        let Some(item) = shared.queue.lock().await.recv().await else {
            return;
        };
        // The lock on the queue may have been waited for longer than the import goes on.
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let result = match item.entry {
            Ok(entry) => sender.send(&entry).await,
            Err(reason) => Err(Stopped::Line(reason)),
        };
        shared.bar.inc(item.bytes);
        shared.note(item.line, result);
    }
}

impl Shared {
    fn note(&self, line: u64, result: Result<Sent, Stopped>) {
        let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(sent) => summary.count(sent),
            Err(Stopped::Line(reason)) => {
                self.bar.suspend(|| eprintln!("evenkeel: line {line}: {reason}"));
                if !self.skip_bad {
                    self.end(&mut summary, format!("line {line}: {reason}"));
                }
                summary.bad(line, reason);
            }
            Err(Stopped::Import(reason)) => {
                self.end(&mut summary, format!("line {line}: {reason}"));
            }
        }
    }

    fn end(&self, summary: &mut Summary, why: String) {
        self.stop.store(true, Ordering::Relaxed);
        summary.stopped.get_or_insert(why);
    }
}

/// A bar on a terminal, nothing elsewhere.
fn progress(bytes: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, style) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{bar:40} {percent}% {bytes_per_sec} {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {bytes} {bytes_per_sec}"),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.with_style(ProgressStyle::with_template(style).expect("both templates are well formed"))
}
