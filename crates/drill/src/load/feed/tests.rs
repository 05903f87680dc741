//! The workloads against a stand-in server: what they ask for and what they see, not how fast.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::driver::{Pace, Plan};
use super::super::report::Report;
use super::fake_server::{Server, start};
use super::*;

fn bench(server: &Server, workload: FeedWorkload) -> FeedBench {
    FeedBench {
        target: server.target.clone(),
        api_key: None,
        timeout: Duration::from_secs(10),
        plan: Plan {
            connections: 4,
            warmup: Duration::from_millis(20),
            duration: Duration::from_millis(100),
            repeats: 2,
            pace: Pace::Closed,
        },
        workload,
        name: "b".into(),
        users: 40,
        seed: 1,
        page: 50,
        consistency: None,
    }
}

async fn load(bench: FeedBench) -> Report {
    match bench.run().await.unwrap() {
        FeedReport::Load(report) => report,
        other => panic!("{other:?}"),
    }
}

async fn fill(bench: FeedBench) -> FillReport {
    match bench.run().await.unwrap() {
        FeedReport::Fill(report) => report,
        other => panic!("{other:?}"),
    }
}

const GRAPH: FeedWorkload = FeedWorkload::Graph { following: 15, readers: 3, posts_each: 2 };

fn is_well(report: &Report) -> bool {
    let summary = &report.summary;
    summary.ok > 0 && (summary.errors, summary.refused, summary.shed) == (0, 0, 0)
}

#[tokio::test]
async fn a_graph_is_put_there_once_however_often_and_whatever_is_turned_away() {
    let server = start().await;
    server.book.lock().unwrap().busy = 5;
    let mut bench = bench(&server, GRAPH);
    bench.api_key = Some("ek_a_b".into());
    for _ in 0..2 {
        server.book.lock().unwrap().unready = [2, 0];
        let report = fill(bench.clone()).await;
        let counts: Vec<u64> = report.steps.iter().map(|step| step.count).collect();
        assert_eq!(counts, [40 * 10 + 3 * 15, 40 * 2, 1]);
        assert!(report.workload.contains("power law, seed 1"), "{}", report.workload);
        let book = server.book.lock().unwrap();
        assert_eq!((book.busy, book.unready), (0, [0, 0]));
        assert_eq!(book.follows.len(), 40 * 10 + 3 * 15);
        assert!(book.posts.len() == 40 && book.posts.values().all(|posts| posts.len() == 2));
    }
    let book = server.book.lock().unwrap();
    let body = book.posts["b-u0"][0].1.to_string();
    assert!((175..=210).contains(&body.len()), "{body}");
    assert_eq!(book.keys, BTreeSet::from(["Bearer ek_a_b".to_owned()]));
    // It waited until all had arrived.
    assert_eq!(book.pages["b-r15-0"].last().unwrap().1, "session");
}

#[tokio::test]
async fn pages_are_read_at_the_level_while_posts_come_or_not() {
    let server = start().await;
    fill(bench(&server, GRAPH)).await;
    for (posts_per_s, level) in [(0.0, None), (400.0, Some("linearizable"))] {
        let before = server.book.lock().unwrap().posts.values().map(Vec::len).sum::<usize>();
        server.book.lock().unwrap().pages.clear();
        let workload = FeedWorkload::Timeline { following: 15, readers: 3, posts_per_s };
        let mut bench = bench(&server, workload);
        bench.consistency = level.map(str::to_owned);
        let FeedReport::Timeline(report) = bench.run().await.unwrap() else { panic!() };
        assert!(is_well(&report.reads) && report.page_bytes > 1_000, "{report}");
        assert_eq!(report.reads.runs.len(), 2);
        assert_eq!(report.posts.is_some(), posts_per_s > 0.0);
        assert!(report.posts.as_ref().is_none_or(is_well), "{report}");
        let book = server.book.lock().unwrap();
        let after = book.posts.values().map(Vec::len).sum::<usize>();
        assert_eq!(after > before, posts_per_s > 0.0);
        let readers: Vec<&str> = book.pages.keys().map(String::as_str).collect();
        assert_eq!(readers, ["b-r15-0", "b-r15-1", "b-r15-2"]);
        let asked = |level: &str| ("limit=50".to_owned(), level.to_owned());
        let level = asked(level.unwrap_or_default());
        let mut others = book.pages.values().flatten().filter(|page| **page != level);
        // Once it waited until all had arrived.
        assert!(others.next() == Some(&asked("session")) && others.next().is_none());
    }
}

#[tokio::test]
async fn timelines_that_are_not_there_are_no_measurement() {
    let server = start().await;
    let workload = FeedWorkload::Timeline { following: 15, readers: 3, posts_per_s: 0.0 };
    let error = bench(&server, workload).run().await.unwrap_err();
    assert!(error.to_string().contains("b-r15-0 has no posts"), "{error}");
}

#[tokio::test]
async fn each_of_a_ring_posts_and_each_follow_is_a_new_one() {
    let server = start().await;
    let report = load(bench(&server, FeedWorkload::Posts)).await;
    assert!(is_well(&report), "{report}");
    {
        let book = server.book.lock().unwrap();
        assert_eq!(book.follows.len(), 40 * 10);
        assert_eq!(book.posts.keys().filter(|author| author.starts_with("b-ring-u")).count(), 40);
    }
    let mut follow = bench(&server, FeedWorkload::Follow);
    follow.users = 3_000;
    let report = load(follow.clone()).await;
    assert!(is_well(&report), "{report}");
    // What is followed already is no follow.
    assert!(load(follow).await.summary.refused > 0);
}

const CELEBRITY: FeedWorkload =
    FeedWorkload::Celebrity { followers: 200, star_per_s: 50.0, posts_per_s: 100.0, sample: 24 };

async fn celebrity(server: &Server, repeats: u32) -> CelebrityReport {
    let followers = FeedWorkload::Followers { followers: 200, posts_each: 1 };
    fill(bench(server, followers)).await;
    let mut bench = bench(server, CELEBRITY);
    bench.plan.repeats = repeats;
    bench.plan.pace = Pace::Open { rate_per_s: 200.0 };
    match bench.run().await.unwrap() {
        FeedReport::Celebrity(report) => *report,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_star_posts_is_seen_by_followers_in_all_partitions() {
    let server = start().await;
    server.book.lock().unwrap().unready = [2, 2];
    let report = celebrity(&server, 2).await;
    for Beside { posts, reads } in [&report.alone, &report.beside_star] {
        assert!(is_well(posts) && is_well(reads), "{report}");
        assert_eq!((posts.runs.len(), reads.runs.len()), (2, 2));
        assert!(reads.runs[0].open.is_some_and(|open| open.offered_per_s == 200.0));
    }
    assert!(is_well(&report.star), "{report}");
    let levels: Vec<_> = report.seen.iter().map(|seen| seen.consistency).collect();
    assert_eq!(levels, ["eventual", "session", "eventual", "session"]);
    for seen in &report.seen {
        assert_eq!((seen.watched, seen.partitions, seen.errors), (24, 4, 0), "{seen}");
        assert!(seen.posts > 0 && seen.seen_by_all.p50_us >= seen.acknowledged.p50_us);
    }
    let book = server.book.lock().unwrap();
    assert_eq!(book.unready, [0, 0]);
    let of_star = book.follows.iter().filter(|(_, author)| author == "b-fan-star");
    assert_eq!(of_star.count(), 200);
    // The others follow the star too.
    assert!(book.follows.contains(&("b-fan-u39".to_owned(), "b-fan-star".to_owned())));
    let eventual = |user: &&String| book.pages[*user].iter().any(|(_, level)| level == "eventual");
    // Four candidates for each place in the sample.
    assert_eq!(book.pages.keys().filter(eventual).count(), 96);
}

#[tokio::test]
async fn who_has_not_seen_a_post_is_asked_again() {
    let server = start().await;
    server.book.lock().unwrap().late = 500;
    let report = celebrity(&server, 1).await;
    assert!(report.seen[0].errors == 0 && report.seen[0].posts > 0, "{report}");
    // More than are looked at once for all posts that there is time for.
    assert_eq!(server.book.lock().unwrap().late, 0);
}

#[tokio::test]
async fn a_stampede_says_how_often_the_timeline_was_loaded() {
    let server = start().await;
    fill(bench(&server, GRAPH)).await;
    for is_silent in [false, true] {
        server.book.lock().unwrap().is_silent = is_silent;
        let mut bench = bench(&server, FeedWorkload::Stampede { following: 15 });
        bench.plan.connections = 30;
        let FeedReport::Stampede(report) = bench.run().await.unwrap() else { panic!() };
        assert_eq!((report.wanted, report.readers, report.runs.len()), (30, 30, 2));
        let loads: Vec<_> = report.runs.iter().map(|run| run.loads).collect();
        assert_eq!(loads, if is_silent { [None, None] } else { [Some(1), Some(1)] });
        assert!(report.runs.iter().all(|run| (run.ok, run.shed, run.errors) == (30, 0, 0)));
    }
    let book = server.book.lock().unwrap();
    let asked: Vec<usize> = book.pages.values().map(Vec::len).collect();
    // The first was looked at when the graph was put there, and never after.
    assert_eq!(asked, [1, 60, 60]);
}

#[tokio::test]
async fn a_reader_who_follows_nobody_makes_no_stampede() {
    let server = start().await;
    let bench = bench(&server, FeedWorkload::Stampede { following: 15 });
    let FeedReport::Stampede(report) = bench.run().await.unwrap() else { panic!() };
    assert_eq!((report.runs[0].ok, report.runs[0].errors), (0, 4), "{report}");
}

#[tokio::test]
async fn what_contradicts_itself_is_said_before_anything_is_asked() {
    let server = start().await;
    let sound = bench(&server, FeedWorkload::Posts);
    let celebrity = |sample| FeedWorkload::Celebrity {
        followers: 39,
        star_per_s: 1.0,
        posts_per_s: 1.0,
        sample,
    };
    for wrong in [
        FeedBench { users: 1, ..sound.clone() },
        FeedBench { page: 1_001, ..sound.clone() },
        FeedBench { name: "a/b".into(), ..sound.clone() },
        FeedBench { consistency: Some("a\r\nb".into()), ..sound.clone() },
        FeedBench { workload: celebrity(64), ..sound.clone() },
        FeedBench { workload: celebrity(0), users: 2, ..sound.clone() },
    ] {
        let error = wrong.run().await.unwrap_err();
        assert!(matches!(error, FeedBenchError::Options(_)), "{error}");
    }
    assert!(server.book.lock().unwrap().keys.is_empty());
}
