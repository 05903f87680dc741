//! The long drill: minute after minute on the same data, one kill a minute while clients ask. Each minute is a tenant of
//! its own who does everything that the short drill does, so that each is judged whole however long it goes on,
//! and what the minutes before have left is there meanwhile. In the end all of it that lasts is read again.

use super::{
    CrashError, CrashOptions, CrashReport, Plan, Server, Staged, check, lasting::Lasting, observe,
    stage, unless_interrupted,
};
use crate::checker::{Event, Violation};
use fastrand::Rng;
use serde::Serialize;
use std::{
    collections::BTreeSet,
    fmt,
    time::{Duration, Instant},
};

/// Minutes at most.
pub const MINUTES_MAX: u32 = 24 * 60;
/// Rounds of a minute: what is left of it is for all to be over and to be read back.
const ROUNDS: u32 = 150;

/// A page of a list is answered within this.
const LISTED_WITHIN: Duration = Duration::from_secs(10);

/// How to drill for long.
#[derive(Debug, Clone)]
pub struct LongOptions {
    /// As for a short one, but for how often it is killed.
    pub crash: CrashOptions,
    /// How many minutes.
    pub minutes: u32,
}

/// What a long drill found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LongReport {
    /// Each minute.
    pub minutes: Vec<CrashReport>,
    /// How long all of it took.
    pub seconds: u64,
    /// The time to being ready of the last start, on all data.
    pub ready_ms_last: u64,
    /// Events of resources that were read a second time, after the last kill.
    pub events_again: usize,
    /// The same of holds, messages, posts, follows and jobs that were over.
    pub items_again: usize,
    /// What was lost of them since their minute.
    pub violations: Vec<Violation>,
    /// What could not be judged of that.
    pub undecided: Vec<String>,
    /// Why it could not go on, if it could not.
    pub ended: Option<String>,
}

impl LongReport {
    /// Whether something was broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        !self.violations.is_empty() || self.minutes.iter().any(|one| !one.violations.is_empty())
    }

    /// Whether something could not be judged.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        self.ended.is_some()
            || !self.undecided.is_empty()
            || self.minutes.iter().any(|one| !one.undecided.is_empty())
    }
}

/// Goes on for so many minutes, then reads what all of them left once more. `progress` hears of every minute.
pub async fn run_long(
    options: &LongOptions,
    progress: impl FnMut(u32),
) -> Result<LongReport, CrashError> {
    check(&options.crash)?;
    if options.minutes == 0 || options.minutes > MINUTES_MAX {
        return Err(CrashError::Options(format!("minutes must be 1 to {MINUTES_MAX}")));
    }
    drill(options, progress).await
}

async fn drill(
    options: &LongOptions,
    mut progress: impl FnMut(u32),
) -> Result<LongReport, CrashError> {
    let began = Instant::now();
    let CrashOptions { binary, data, clients, seed, .. } = &options.crash;
    let mut server = Server::keyed(binary, data)?;
    let mut rng = Rng::with_seed(*seed);
    let (mut report, mut left) = (LongReport::default(), Vec::new());
    let goes_on = async {
        server.start().await?;
        let admin = server.key().unwrap_or_default().to_owned();
        for minute in 0..options.minutes {
            server.become_tenant(&admin, &format!("minute-{minute}")).await?;
            let kill = rng.u32(0..ROUNDS);
            let (kills_after, seed) = (kill..kill + 1, seed.wrapping_add(u64::from(minute)));
            let plan = Plan { rounds: ROUNDS, kills_after, clients: *clients, seed };
            let Staged { report: found, observed } = stage(&mut server, &plan, &mut |_| ()).await?;
            report.minutes.push(found);
            let endpoint = server.endpoint_of(server.key(), LISTED_WITHIN).await?;
            let events = observed.events;
            let lasting = Lasting::read(&endpoint, resources(&events)).await?;
            let nothing = lasting.without().into_iter();
            let nothing = nothing
                .map(|kind| format!("no {kind} of minute {minute} are there to be read again"));
            report.undecided.extend(nothing);
            left.push((endpoint, events, lasting));
            progress(minute + 1);
        }
        server.kill().await?;
        report.ready_ms_last = server.start().await?;
        for (minute, (endpoint, events, lasting)) in left.into_iter().enumerate() {
            let again = observe::read_events_of(&endpoint, &events).await?;
            report.events_again += again.len();
            report.violations.extend(lost(minute, &events, &again));
            let again = Lasting::read(&endpoint, resources(&events)).await?;
            report.items_again += again.items();
            report.violations.extend(lasting.lost(minute, &again));
        }
        server.kill().await
    };
    // What the minutes before have shown is not forgotten, whatever ends it.
    let ended: Result<(), CrashError> = unless_interrupted(goes_on).await;
    report.ended = ended.err().map(|error| error.to_string());
    report.seconds = began.elapsed().as_secs();
    Ok(report)
}

/// Those that events are of.
fn resources(events: &[Event]) -> BTreeSet<String> {
    events.iter().map(|event| event.resource.clone()).collect()
}

/// Events of a minute that are not there any more, or are other ones: there may only be more.
fn lost(minute: usize, then: &[Event], now: &[Event]) -> Option<Violation> {
    let first = then.iter().find(|event| !now.contains(event))?;
    Some(Violation {
        invariant: "I1",
        promise: format!(
            "what is acknowledged stays, but event {} of {} is not there any more after later kills",
            first.seq, first.resource
        ),
        whom: format!("the tenant of minute {minute}"),
        events: Vec::new(),
    })
}

impl fmt::Display for LongReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "minute  requests  events  checks    jobs  messages   posts  pages  ready ms  MiB  verdict"
        )?;
        for (minute, one) in self.minutes.iter().enumerate() {
            let requests: u64 = one.answers.values().sum();
            let checks: u64 = one.limits.iter().map(|limit| limit.admitted + limit.refused).sum();
            let jobs: u64 = one.queues.iter().map(|queue| queue.jobs).sum();
            let verdict = match (one.violations.is_empty(), one.undecided.is_empty()) {
                (true, true) => "valid",
                (true, false) => "UNDECIDED",
                (false, _) => "BROKEN",
            };
            writeln!(
                f,
                "{minute:>6}  {requests:>8}  {:>6}  {checks:>6}  {jobs:>6}  {:>8}  {:>6}  {:>5}  {:>8}  {:>3}  {verdict}",
                one.events,
                one.chat.messages,
                one.feeds.posts,
                one.feeds.pages,
                one.ready_ms_max,
                one.memory_mib.unwrap_or_default(),
            )?;
        }
        match &self.ended {
            None => writeln!(
                f,
                "{} kills in {} s; after the last it was ready within {} ms, and of all minutes {} events of resources and {} holds, \
                 messages, posts, follows and jobs were read again",
                self.minutes.len() + 1,
                self.seconds,
                self.ready_ms_last,
                self.events_again,
                self.items_again
            )?,
            Some(why) => writeln!(f, "UNDECIDED  after {} s: {why}", self.seconds)?,
        }
        for (minute, one) in self.minutes.iter().enumerate() {
            for what in &one.undecided {
                writeln!(f, "UNDECIDED  minute {minute}: {what}")?;
            }
            for violation in &one.violations {
                writeln!(f, "BROKEN  minute {minute}: {violation}")?;
            }
        }
        for what in &self.undecided {
            writeln!(f, "UNDECIDED  {what}")?;
        }
        for violation in &self.violations {
            writeln!(f, "BROKEN  {violation}")?;
        }
        if self.is_broken() || self.is_undecided() {
            return write!(f, "not valid");
        }
        write!(
            f,
            "valid: each minute kept all that a short drill checks, and nothing of it was lost later"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::lost;
    use crate::checker::{Event, Happened};

    fn event(seq: u64) -> Event {
        Event { resource: "gig".into(), seq, at_ms: seq, happened: Happened::Capacity(3) }
    }

    #[test]
    fn what_later_kills_have_lost_is_named() {
        let (one, two, three) = (event(1), event(2), event(3));
        let then = [one.clone(), two.clone()];
        assert!(lost(0, &then, &[one.clone(), two, three.clone()]).is_none());
        let broken = lost(7, &then, &[one, three]).unwrap();
        assert!(broken.promise.contains("event 2 of gig"), "{broken}");
        assert!(broken.whom.contains('7'));
    }
}
