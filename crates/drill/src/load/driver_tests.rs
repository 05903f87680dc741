//! The driver against workloads whose behaviour is known. Nothing here asserts a speed.

use super::*;

const STALL: Duration = Duration::from_millis(50);
const ENDLESS: Duration = Duration::from_secs(3600);

/// As long as 51 ticks of a millisecond, of which the first is at once.
async fn stall() {
    let ticks = Pacer::start(1000.0).unwrap();
    for _ in 0..=STALL.as_millis() {
        ticks.next().await.unwrap();
    }
}

/// Answers by call number; fails to connect and records what it was asked.
#[derive(Default)]
struct Scripted {
    calls_max: Option<u64>,
    fail_every: Option<u64>,
    connects: AtomicU64,
    connects_max: Option<u64>,
    prepared: AtomicU64,
    stuck: bool,
}

impl Workload for Scripted {
    type Conn = usize;

    fn name(&self) -> String {
        "scripted".into()
    }

    fn kinds(&self) -> &'static [&'static str] {
        &["even", "odd"]
    }

    fn operations_per_call(&self) -> u64 {
        3
    }

    fn calls_max(&self) -> Option<u64> {
        self.calls_max
    }

    async fn prepare(&self, repeat: u32) -> Result<(), WorkloadError> {
        assert_eq!(u64::from(repeat), self.prepared.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }

    async fn connect(&self, connection: usize) -> Result<usize, WorkloadError> {
        let before = self.connects.fetch_add(1, Ordering::Relaxed);
        if self.connects_max.is_some_and(|max| before >= max) {
            return Err(WorkloadError("no more".into()));
        }
        Ok(connection)
    }

    async fn call(&self, _: &mut usize, call: u64) -> Done {
        if self.stuck && call > 0 {
            stall().await;
        }
        tokio::task::yield_now().await;
        let outcome = match call {
            call if self.fail_every.is_some_and(|every| call % every == 0) => {
                Outcome::Error("as told".into())
            }
            call if call % 10 == 7 => Outcome::Refused,
            call if call % 10 == 9 => Outcome::Shed,
            _ => Outcome::Ok,
        };
        Done { kind: (call % 2) as usize, outcome }
    }
}

fn plan(connections: usize, repeats: u32, pace: Pace) -> Plan {
    Plan { connections, warmup: Duration::ZERO, duration: ENDLESS, repeats, pace }
}

#[tokio::test]
async fn a_workload_with_an_end_is_run_to_its_end_in_each_repeat() {
    let scripted = Arc::new(Scripted { calls_max: Some(1000), ..Scripted::default() });
    let report = drive(Arc::clone(&scripted), plan(7, 3, Pace::Closed)).await.unwrap();
    assert_eq!(scripted.prepared.load(Ordering::Relaxed), 3);
    assert_eq!(report.runs.len(), 3);
    for run in &report.runs {
        let (even, odd) = (&run.kinds[0], &run.kinds[1]);
        assert_eq!((even.ok, even.refused, even.shed), (500, 0, 0));
        assert_eq!((odd.ok, odd.refused, odd.shed), (300, 100, 100));
    }
    let summary = &report.summary;
    assert_eq!((summary.ok, summary.refused, summary.shed), (2400, 300, 300));
    assert_eq!(summary.errors, 0);
    let text = report.to_string();
    assert!(text.contains("scripted · closed loop · 7 connections · 3 ×"), "{text}");
    assert!(text.contains("ok 2,400 · refused 300 · shed 300 · errors 0"), "{text}");
}

#[tokio::test]
async fn the_rate_counts_operations_not_calls() {
    let short = Plan { duration: Duration::from_millis(50), ..plan(2, 1, Pace::Closed) };
    let report = drive(Arc::new(Scripted::default()), short).await.unwrap();
    let run = &report.runs[0];
    let ok: u64 = run.kinds.iter().map(|kind| kind.ok).sum();
    let counted = run.rate_per_s * run.window_ms as f64 / 1e3;
    let ratio = counted / (ok * 3) as f64;
    assert!((0.9..=1.1).contains(&ratio), "{ratio}");
}

#[tokio::test]
async fn an_error_costs_its_connection_and_is_quoted() {
    let scripted =
        Arc::new(Scripted { calls_max: Some(100), fail_every: Some(10), ..Scripted::default() });
    let report = drive(Arc::clone(&scripted), plan(1, 1, Pace::Closed)).await.unwrap();
    assert_eq!(report.summary.errors, 10);
    assert_eq!(report.first_error(), Some("as told"));
    // The first, and one after each error: each is followed by another call.
    assert_eq!(scripted.connects.load(Ordering::Relaxed), 11);
}

#[tokio::test]
async fn a_server_that_goes_away_gives_errors_not_a_hang() {
    let scripted = Scripted {
        calls_max: Some(20),
        fail_every: Some(5),
        connects_max: Some(2),
        ..Scripted::default()
    };
    let report = drive(Arc::new(scripted), plan(1, 1, Pace::Closed)).await.unwrap();
    assert_eq!(report.summary.errors, 1 + 1 + 14);
}

#[tokio::test]
async fn the_open_loop_makes_the_calls_that_are_due() {
    let scripted = Arc::new(Scripted { calls_max: Some(200), ..Scripted::default() });
    let paced = plan(4, 1, Pace::Open { rate_per_s: 2000.0 });
    let report = drive(scripted, paced).await.unwrap();
    let summary = &report.summary;
    assert_eq!(summary.ok + summary.refused + summary.shed, 200);
    assert_eq!(report.pace, "open");
}

/// Coordinated omission: a stall must show in the latency of the calls behind it.
#[tokio::test]
async fn calls_behind_a_stall_are_charged_for_it() {
    let scripted = Arc::new(Scripted { stuck: true, calls_max: Some(6), ..Scripted::default() });
    let paced = plan(1, 1, Pace::Open { rate_per_s: 1000.0 });
    let report = drive(scripted, paced).await.unwrap();
    let run = &report.runs[0];
    // Call 5 was due at 5 ms and ends behind five stalls. Only lower bounds: no machine is
    // fast enough to fail this.
    let behind = STALL * 5 - Duration::from_millis(10);
    assert!(u128::from(run.latency.max_us) > behind.as_micros() * 99 / 100);
    let open = run.open.unwrap();
    assert!(!open.kept_up && open.backlog_calls > 20, "{open:?}");
    assert!(!report.summary.kept_up);
    assert!(report.to_string().contains("COULD NOT KEEP UP with 1,000/s"));
}

#[tokio::test]
async fn nonsense_plans_are_refused() {
    for nonsense in [
        plan(0, 1, Pace::Closed),
        plan(CONNECTIONS_MAX + 1, 1, Pace::Closed),
        plan(1, 0, Pace::Closed),
        plan(1, 1, Pace::Open { rate_per_s: 0.0 }),
        plan(1, 1, Pace::Open { rate_per_s: f64::NAN }),
    ] {
        let error = drive(Arc::new(Scripted::default()), nonsense).await;
        assert!(matches!(error, Err(DriveError::Plan(_))));
    }
    let exhausted = Plan { warmup: ENDLESS, ..plan(1, 1, Pace::Closed) };
    let scripted = Scripted { calls_max: Some(5), ..Scripted::default() };
    let error = drive(Arc::new(scripted), exhausted).await;
    assert!(matches!(error, Err(DriveError::Exhausted { calls: 5 })));
}
