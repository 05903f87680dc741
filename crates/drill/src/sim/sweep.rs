//! Many seeds, on all cores.

use super::{Broken, Plan, Scene, Size, Verdict, run};
use serde::Serialize;
use std::{
    fmt,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// Failing seeds that a report names.
const FAILURES_MAX: usize = 10;

/// What many runs found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Sweep {
    /// Seeds that were run, each with two products in both scenes and three of four with jobs, chat or feeds in one.
    pub seeds: u64,
    /// Requests of clients in all runs.
    pub operations: u64,
    /// Runs that were not valid; the first few.
    pub failures: Vec<Failure>,
    /// Runs that were not valid; all.
    pub failed: u64,
    /// Runs in which something could not be judged, and nothing was wrong.
    pub undecided: u64,
}

/// A run that was not valid.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// Where: `cluster` or `local`; before it `limits`, `jobs`, `chat` or `feed`, if it was about those.
    pub scene: &'static str,
    /// What was wrong.
    pub violations: Vec<String>,
    /// What went wrong around it.
    pub trace: Vec<String>,
}

impl Sweep {
    /// Whether every run was judged and valid.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.failed == 0 && self.undecided == 0
    }
}

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} seeds, each with two products in two scenes, three of four with jobs, chat or feeds: {} requests",
            self.seeds, self.operations
        )?;
        for failure in &self.failures {
            writeln!(f, "\nseed {} ({})", failure.seed, failure.scene)?;
            for violation in &failure.violations {
                writeln!(f, "  BROKEN  {violation}")?;
            }
            for line in &failure.trace {
                writeln!(f, "    {line}")?;
            }
        }
        match (self.failed, self.undecided) {
            (0, 0) => write!(f, "valid: every promise was kept in every run"),
            (0, undecided) => write!(f, "{undecided} runs could not be judged within the budget"),
            (failed, _) => write!(f, "{failed} runs broke a promise"),
        }
    }
}

/// The runs of a seed: reservations and limits in both scenes; of every fourth also jobs, and
/// of every fourth conversations or feeds, which take the most time, in one scene and then the other.
fn plans(seed: u64) -> Vec<(&'static str, Plan)> {
    let size = Size::USUAL;
    let mut plans = vec![
        ("cluster", Plan::new(seed, Scene::Cluster, size)),
        ("local", Plan::new(seed, Scene::Local, size)),
        ("limits, cluster", Plan::limits(seed, Scene::Cluster, size)),
        ("limits, local", Plan::limits(seed, Scene::Local, size)),
    ];
    match seed % 8 {
        0 => plans.push(("jobs, cluster", Plan::jobs(seed, Scene::Cluster, size))),
        1 => plans.push(("feed, cluster", Plan::feed(seed, Scene::Cluster, size))),
        2 => plans.push(("chat, cluster", Plan::chat(seed, Scene::Cluster, size))),
        4 => plans.push(("jobs, local", Plan::jobs(seed, Scene::Local, size))),
        5 => plans.push(("feed, local", Plan::feed(seed, Scene::Local, size))),
        6 => plans.push(("chat, local", Plan::chat(seed, Scene::Local, size))),
        _ => {}
    }
    plans
}

/// Runs every seed. `progress` hears of each seed that is done.
#[must_use]
pub fn sweep(seeds: Range<u64>, progress: impl Fn(u64) + Sync) -> Sweep {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(Sweep { seeds: seeds.end - seeds.start, ..Sweep::default() });
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    for (name, plan) in plans(seed) {
                        let done = run(&plan, Broken::default());
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        found.operations += done.told.operations() as u64;
                        found.count(seed, name, &done.verdict, done.trace);
                    }
                    progress(seed);
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.failures.sort_by_key(|failure| failure.seed);
    found
}

impl Sweep {
    fn count(&mut self, seed: u64, scene: &'static str, verdict: &Verdict, trace: Vec<String>) {
        if verdict.violations.is_empty() {
            self.undecided += u64::from(!verdict.undecided.is_empty());
            return;
        }
        self.failed += 1;
        if self.failures.len() < FAILURES_MAX {
            let violations = verdict.violations.iter().map(ToString::to_string).collect();
            self.failures.push(Failure { seed, scene, violations, trace });
        }
    }
}
