//! What a hit costs, and how large a part of skewed reads hits. `cargo bench -p evenkeel-cache`.
//!
//! Keys are texts of 27 bytes, values `Arc<str>`. Threads read on their own, each in a runtime of one thread.

use evenkeel_cache::{Cache, Core, Loaded, Look, Options};
use std::{
    convert::Infallible,
    hint::black_box,
    sync::{Arc, Barrier},
    thread,
    time::Instant,
};

const RUNS: u64 = 5;
const KEYS: usize = 10_000;
const READS: usize = 2_000_000;

type Texts = Cache<String, Arc<str>, Infallible>;

fn options(capacity_bytes: u64) -> Options<String, Arc<str>> {
    let long_ms = 3_600_000;
    Options {
        fresh_ms: long_ms,
        age_ms_max: long_ms,
        ..Options::new(capacity_bytes, |key, value| (key.len() + value.len()) as u64)
    }
}

fn keys(count: usize) -> Arc<[String]> {
    (0..count).map(|at| format!("tenant-7/conversation-{at:06}")).collect()
}

fn loaded() -> Loaded<Arc<str>> {
    Loaded { value: Some("x".repeat(200).into()), as_of: 1 }
}

/// Millions of reads a second of a core without a front.
fn core(keys: &[String]) -> f64 {
    let mut core: Core<String, Arc<str>, ()> = Core::new(options(1 << 30), 1);
    let mut random = fastrand::Rng::with_seed(1);
    for key in keys {
        if let Look::Load(ticket) = core.look(key, 1_000, u64::MAX) {
            core.finish(ticket, Ok(&loaded()), 1_000);
        }
    }
    let began = Instant::now();
    for _ in 0..READS {
        drop(black_box(core.look(&keys[random.usize(..keys.len())], 1_000, u64::MAX)));
    }
    READS as f64 / began.elapsed().as_secs_f64() / 1e6
}

/// Millions of reads a second of `threads` together.
fn front(keys: &Arc<[String]>, threads: usize) -> f64 {
    let cache = Texts::new(&options(1 << 30));
    let barrier = Barrier::new(threads + 1);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..threads)
            .map(|at| {
                scope.spawn({
                    let (cache, keys, barrier) = (cache.clone(), Arc::clone(keys), &barrier);
                    move || {
                        let runtime =
                            tokio::runtime::Builder::new_current_thread().enable_time().build();
                        runtime.expect("a runtime").block_on(async {
                            let mut random = fastrand::Rng::with_seed(at as u64);
                            for key in &*keys {
                                black_box(
                                    cache.get(key, u64::MAX, || async { Ok(loaded()) }).await,
                                )
                                .expect("it loads");
                            }
                            barrier.wait();
                            for _ in 0..READS {
                                let key = &keys[random.usize(..keys.len())];
                                black_box(
                                    cache.get(key, u64::MAX, || async { Ok(loaded()) }).await,
                                )
                                .expect("a hit");
                            }
                        });
                    }
                })
            })
            .collect();
        barrier.wait();
        let began = Instant::now();
        for reader in readers {
            reader.join().expect("it reads");
        }
        (threads * READS) as f64 / began.elapsed().as_secs_f64() / 1e6
    })
}

/// Hits of reads that are Zipf-distributed (0.9) over 200,000 keys, where a tenth of them fit.
fn hit_ratio(seed: u64) -> f64 {
    let keys = keys(200_000);
    let mut sums = Vec::with_capacity(keys.len());
    let mut sum = 0.0;
    for rank in 1..=keys.len() {
        sum += (rank as f64).powf(-0.9);
        sums.push(sum);
    }
    let mut core: Core<String, Arc<str>, ()> = Core::new(options(20_000 * 440), 1);
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..READS {
        let at = random.f64() * sum;
        let at = sums.partition_point(|below| *below < at).min(keys.len() - 1);
        if let Look::Load(ticket) = core.look(&keys[at], 1_000, u64::MAX) {
            core.finish(ticket, Ok(&loaded()), 1_000);
        }
    }
    let counters = core.counters();
    println!("  {} entries of {} bytes", counters.entries, counters.bytes / counters.entries);
    counters.hits as f64 / READS as f64
}

fn main() {
    for run in 1..=RUNS {
        let many = keys(KEYS);
        println!("run {run}");
        println!("  core: {:.1} million hits/s", core(&many));
        for (threads, keys, what) in
            [(1, &many, "10,000 keys"), (2, &many, "10,000 keys"), (2, &keys(1), "one key")]
        {
            println!(
                "  cache, {threads} threads, {what}: {:.1} million hits/s",
                front(keys, threads)
            );
        }
        println!("  hit ratio: {:.4}", hit_ratio(run));
    }
}
