//! The front for tasks: one load however many ask and however it ends.

use evenkeel_cache::{Answer, Cache, LoadError, Loaded, Options, Outcome};
use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet, yield_now},
    time::{advance, timeout},
};

type Numbers = Cache<u32, u64, String>;
type Got = Result<Answer<u64>, LoadError<String>>;

const CALLERS: usize = 10_000;

fn options() -> Options<u32, u64> {
    Options {
        fresh_ms: 100,
        jitter_permille: 0,
        stale_ms: 200,
        age_ms_max: 400,
        pause_ms: 50,
        load_timeout_ms: 1_000,
        ..Options::new(1 << 20, |_, _| 0)
    }
}

/// Where nothing ends by itself, however long the test takes.
fn patient() -> Options<u32, u64> {
    let long_ms = 3_600_000;
    Options {
        fresh_ms: long_ms,
        age_ms_max: long_ms,
        pause_ms: long_ms,
        load_timeout_ms: long_ms,
        ..options()
    }
}

/// Loads that wait to be let through, and are counted.
#[derive(Clone)]
struct Gate {
    open: Arc<Semaphore>,
    loads: Arc<AtomicUsize>,
}

impl Gate {
    fn new() -> Self {
        Self { open: Arc::new(Semaphore::new(0)), loads: Arc::default() }
    }

    fn load(
        &self,
        ends: impl FnOnce() -> Result<Loaded<u64>, String> + Send + 'static,
    ) -> impl Future<Output = Result<Loaded<u64>, String>> + Send + 'static {
        let Self { open, loads } = self.clone();
        loads.fetch_add(1, Ordering::SeqCst);
        async move {
            open.acquire().await.unwrap().forget();
            ends()
        }
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    fn let_one_through(&self) {
        self.open.add_permits(1);
    }
}

fn seven() -> Result<Loaded<u64>, String> {
    Ok(Loaded { value: Some(7), as_of: 1 })
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        yield_now().await;
    }
}

/// Fails where something waits for ever.
async fn ends<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), future).await.expect("it ends")
}

/// Whoever asks first and is gone or not, then all others: what those got of the one load, let through once all wait.
async fn stampede(
    cache: &Numbers,
    gate: &Gate,
    first_goes: bool,
    ends: fn() -> Result<Loaded<u64>, String>,
) -> Vec<Got> {
    let ask = || {
        let (cache, gate) = (cache.clone(), gate.clone());
        async move { cache.get(&1, u64::MAX, || gate.load(ends)).await }
    };
    let first: JoinHandle<Got> = tokio::spawn(ask());
    until(|| cache.counters().loads == 1).await;
    if first_goes {
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
    }
    let mut others = JoinSet::new();
    (1..CALLERS).for_each(|_| drop(others.spawn(ask())));
    until(|| cache.counters().joined == CALLERS as u64 - 1).await;
    gate.let_one_through();
    let got = others.join_all().await;
    assert_eq!((gate.loads(), cache.counters().loads), (1, 1));
    got
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_misses_are_one_load() {
    for first_goes in [false, true] {
        let (cache, gate) = (Numbers::new(&patient()), Gate::new());
        for got in ends(stampede(&cache, &gate, first_goes, seven)).await {
            let got = got.unwrap();
            assert_eq!((got.value, got.outcome), (Some(7), Outcome::Joined));
        }
        let got = cache.get(&1, u64::MAX, || gate.load(seven)).await.unwrap();
        assert_eq!(
            (got.value, gate.loads()),
            (Some(7), 1),
            "it is kept, also if who asked is gone"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_misses_hear_of_one_failure() {
    let (cache, gate) = (Numbers::new(&patient()), Gate::new());
    for got in ends(stampede(&cache, &gate, false, || Err("down".to_owned()))).await {
        let Err(LoadError::Failed(error)) = got else { panic!("{got:?}") };
        assert_eq!(*error, "down");
    }
    // Nobody loads right after it, whoever asks.
    gate.open.close();
    for _ in 0..CALLERS {
        let got = cache.get(&1, u64::MAX, || gate.load(seven)).await;
        assert!(matches!(got, Err(LoadError::Failed(_))), "{got:?}");
    }
    assert_eq!(gate.loads(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_misses_hear_of_one_panic() {
    let cache = Numbers::new(&Options { pause_ms: 0, ..patient() });
    let gate = Gate::new();
    for got in ends(stampede(&cache, &gate, true, || panic!("on purpose"))).await {
        assert!(matches!(got, Err(LoadError::Lost)), "{got:?}");
    }
    // The next may load.
    gate.let_one_through();
    let got = cache.get(&1, u64::MAX, || gate.load(seven)).await.unwrap();
    assert_eq!((got.value, got.outcome, gate.loads()), (Some(7), Outcome::Loaded, 2));
}

#[tokio::test]
async fn a_loader_that_panics_before_it_loads_holds_nobody_up() {
    let cache = Numbers::new(&Options { pause_ms: 0, ..patient() });
    let panics = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let load =
                || -> std::future::Ready<Result<Loaded<u64>, String>> { panic!("on purpose") };
            cache.get(&1, u64::MAX, load).await
        })
    };
    assert!(panics.await.unwrap_err().is_panic());
    let got = ends(cache.get(&1, u64::MAX, || async { seven() })).await.unwrap();
    assert_eq!(got.outcome, Outcome::Loaded);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_never_ends_is_ended() {
    let cache = Numbers::new(&options());
    let got = ends(cache.get(&1, u64::MAX, pending)).await;
    assert!(matches!(got, Err(LoadError::TimedOut)), "{got:?}");
    assert_eq!(cache.counters().loading, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_stale_is_served_while_it_is_loaded_again() {
    let cache = Numbers::new(&options());
    let get = async |bound_ms: u64, ends: Result<u64, &str>| {
        let ends = ends.map(|value| Loaded { value: Some(value), as_of: 0 }).map_err(str::to_owned);
        let got = cache.get(&1, bound_ms, || async { ends }).await;
        until(|| cache.counters().loading == 0).await;
        got.map(|got| (got.value.unwrap(), got.age_ms, got.outcome))
    };
    assert_eq!(get(u64::MAX, Ok(1)).await.unwrap(), (1, 0, Outcome::Loaded));
    advance(Duration::from_millis(150)).await;
    assert_eq!(get(u64::MAX, Ok(2)).await.unwrap(), (1, 150, Outcome::Stale));
    assert_eq!(get(u64::MAX, Ok(3)).await.unwrap(), (2, 0, Outcome::Hit));
    // Too old to be served at once: whoever asks waits, and if that fails has it all the same.
    advance(Duration::from_millis(300)).await;
    assert_eq!(get(u64::MAX, Err("down")).await.unwrap(), (2, 300, Outcome::StaleOnError));
    // Not beyond the caller's bound, nor beyond the cache's.
    assert!(matches!(get(299, Ok(4)).await, Err(LoadError::Failed(_))));
    advance(Duration::from_millis(101)).await;
    assert!(matches!(get(u64::MAX, Err("down")).await, Err(LoadError::Failed(_))));
}

#[tokio::test(start_paused = true)]
async fn who_asks_after_a_write_gets_nothing_from_before_it() {
    let (cache, gate) = (Numbers::new(&options()), Gate::new());
    let ask = |value: u64| {
        let (cache, gate) = (cache.clone(), gate.clone());
        let ends = move || Ok(Loaded { value: Some(value), as_of: value });
        tokio::spawn(async move { cache.get(&1, u64::MAX, || gate.load(ends)).await.unwrap() })
    };
    let before = ask(1);
    until(|| cache.counters().loads == 1).await;
    cache.invalidate(&1, 2);
    let after = [ask(2), ask(2), ask(2)];
    until(|| cache.counters().joined == 3).await;
    gate.let_one_through();
    assert_eq!(before.await.unwrap().value, Some(1));
    gate.let_one_through();
    for after in after {
        assert_eq!(after.await.unwrap().value, Some(2));
    }
    assert_eq!((gate.loads(), cache.counters().overtaken), (2, 1));
    let kept = cache.get(&1, u64::MAX, || gate.load(seven)).await.unwrap();
    assert_eq!((kept.value, kept.as_of, kept.outcome), (Some(2), 2, Outcome::Hit));
}

#[tokio::test]
async fn loads_are_refused_where_too_many_are_under_way() {
    let (cache, gate) = (Numbers::new(&Options { loads_max: 16, ..patient() }), Gate::new());
    let mut callers = JoinSet::new();
    for key in 0..100 {
        let (cache, gate) = (cache.clone(), gate.clone());
        callers.spawn(async move { cache.get(&key, u64::MAX, || gate.load(seven)).await });
    }
    until(|| cache.counters().loads + cache.counters().refused == 100).await;
    let loads = cache.counters().loads;
    assert!(loads <= 16, "{loads}");
    (0..loads).for_each(|_| gate.let_one_through());
    let got = callers.join_all().await;
    let refused = got.iter().filter(|got| matches!(got, Err(LoadError::Overloaded))).count();
    assert_eq!(refused as u64, 100 - loads);
}

#[tokio::test]
async fn a_key_that_most_ask_for_is_hot_in_all_of_the_cache() {
    let cache = Numbers::new(&patient());
    for at in 0..50_000 {
        let key = if at % 3 == 0 { 7 } else { at };
        cache.get(&key, u64::MAX, || async { seven() }).await.unwrap();
    }
    let hot = cache.hot();
    assert_eq!(hot.iter().map(|hot| hot.key).collect::<Vec<_>>(), [7]);
    assert!((0.25..0.40).contains(&hot[0].share), "{hot:?}");
    cache.clear();
    assert_eq!(cache.counters().bytes, 0);
}
