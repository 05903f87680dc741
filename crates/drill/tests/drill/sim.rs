//! The simulator: many seeds are valid, the same seed is the same run, and a guarantee that is
//! taken away is missed.

use evenkeel_drill::{
    breakages::{BREAKAGES, Breakage, Found, check_then_act},
    checker::{check_chat, check_feed, check_jobs, check_limits},
    history::{
        chat, feed,
        jobs::{Outcome, State},
    },
    sim::{Broken, Plan, Scene, Size, Told, run, sweep},
};

/// Seeds of the sweep; more by `EVENKEEL_SIM_SEEDS`.
const SEEDS: u64 = 2_000;
/// Each breakage is caught within so many.
const BREAKAGE_SEEDS_MAX: u64 = 4_000;

#[test]
fn every_promise_is_kept_under_faults() {
    let seeds = std::env::var("EVENKEEL_SIM_SEEDS")
        .map_or(SEEDS, |seeds| seeds.parse().expect("EVENKEEL_SIM_SEEDS is a number"));
    let found = sweep(0..seeds, |_| {});
    assert!(found.is_valid(), "{found}");
    assert!(found.operations > seeds * 80, "clients were busy: {} requests", found.operations);
}

#[test]
fn the_same_seed_gives_the_same_log_and_history() {
    for seed in 0..25 {
        for scene in [Scene::Cluster, Scene::Local] {
            let size = Size::USUAL;
            let plans = [Plan::new, Plan::limits, Plan::jobs, Plan::chat, Plan::feed]
                .map(|plan| plan(seed, scene, size));
            for plan in plans {
                let (once, again) = (run(&plan, Broken::default()), run(&plan, Broken::default()));
                assert_eq!(once.fingerprint, again.fingerprint, "seed {seed}, {scene:?}");
                assert_eq!(once.trace, again.trace, "seed {seed}, {scene:?}");
            }
        }
    }
}

#[test]
fn limits_are_used_up_and_leased_ones_go_beyond_their_policy() {
    let mut seen = std::collections::BTreeMap::<String, [u64; 3]>::new();
    for seed in 0..400 {
        for scene in [Scene::Cluster, Scene::Local] {
            let done = run(&Plan::limits(seed, scene, Size::USUAL), Broken::default());
            let Told::Limits(history) = done.told else { panic!("these are about limits") };
            for one in check_limits(&history).measured {
                let sums = seen.entry(one.limit).or_default();
                let more = [one.admitted, one.refunded, one.over_admission];
                sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            }
        }
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
    for (limit, [admitted, refunded, over]) in &seen {
        assert!(*admitted > 1_000 && *refunded > 100, "{limit}: {seen:?}");
        assert_eq!(*over > 0, limit == "leased-window", "{limit}: {seen:?}");
    }
}

/// What is never met is not proved.
#[test]
fn jobs_meet_all_that_is_in_store_for_them() {
    let mut met = std::collections::BTreeMap::<String, u64>::new();
    let mut meet = |what: &str, count: u64| *met.entry(what.to_owned()).or_default() += count;
    for seed in 0..150 {
        for scene in [Scene::Cluster, Scene::Local] {
            let done = run(&Plan::jobs(seed, scene, Size::USUAL), Broken::default());
            assert_eq!(done.verdict.violations, [], "seed {seed}, {scene:?}: {:#?}", done.trace);
            let Told::Jobs(history) = done.told else { panic!("these are about jobs") };
            let duplicates = check_jobs(&history).duplicates;
            meet("repeated after a crash", duplicates.crashed);
            meet("repeated after a lease that expired", duplicates.expired);
            meet("repeated after an unknown outcome", duplicates.unknown);
            for operation in &history.operations {
                match operation.outcome() {
                    None => meet("never heard", 1),
                    Some(Outcome::Stands { cancel: true, .. }) => meet("told to stop", 1),
                    Some(Outcome::Enqueued { jobs, .. }) => {
                        meet("there already", u64::from(jobs.iter().any(|job| job.duplicate)));
                    }
                    Some(outcome) => {
                        let text = format!("{outcome:?}");
                        meet(text.split([' ', '(']).next().unwrap_or_default(), 1);
                    }
                }
            }
            let end = history.end.expect("it was looked at");
            assert!(end.drained, "seed {seed}, {scene:?}");
            for last in end.jobs.values() {
                meet(&format!("ended {:?}", last.state), 1);
                let at_once =
                    last.state == State::Dead && last.crashes == history.rules.max_crashes;
                meet("died of crashes", u64::from(at_once));
            }
        }
    }
    for what in [
        "repeated after a crash",
        "repeated after a lease that expired",
        "never heard",
        "told to stop",
        "there already",
        "Leased",
        "Stale",
        "BacklogFull",
        "Applied",
        "Already",
        "Fenced",
        "TurnedAway",
        "Unknown",
        "ended Done",
        "ended Dead",
        "ended Cancelled",
        "ended Waiting",
        "died of crashes",
    ] {
        assert!(met.get(what) > Some(&10), "{what}: {met:#?}");
    }
}

#[test]
fn conversations_meet_all_that_is_in_store_for_them() {
    let mut met = std::collections::BTreeMap::<String, u64>::new();
    let mut meet = |what: &str, count: u64| *met.entry(what.to_owned()).or_default() += count;
    for seed in 0..100 {
        for scene in [Scene::Cluster, Scene::Local] {
            let done = run(&Plan::chat(seed, scene, Size::USUAL), Broken::default());
            assert_eq!(done.verdict.violations, [], "seed {seed}, {scene:?}: {:#?}", done.trace);
            let Told::Chat(history) = done.told else { panic!("these are about conversations") };
            let report = check_chat(&history);
            meet("delivered", report.delivered);
            meet("resumed", report.resumed);
            for operation in &history.operations {
                match &operation.returned {
                    None => panic!("seed {seed}: what is asked is answered or given up"),
                    Some((_, chat::Outcome::Sent { duplicate: true, .. })) => {
                        meet("there already", 1);
                    }
                    Some((_, outcome)) => {
                        let text = format!("{outcome:?}");
                        meet(text.split([' ', '(']).next().unwrap_or_default(), 1);
                    }
                }
            }
            for reader in &history.readers {
                let full = reader.waited.is_some_and(|waited| waited.max == waited.room);
                meet("a full outlet", u64::from(full));
                meet("read to the end", u64::from(reader.is_at_end));
            }
            let ended = history.seen.iter().filter(|one| one.what == chat::Delivery::Ended);
            meet("ended by a removal", ended.count() as u64);
            let end = history.end.expect("it was looked at");
            meet("unread", end.inboxes.iter().filter(|entry| entry.unread > 0).count() as u64);
            let company = end.presence.iter().filter(|one| one.there.len() > 1);
            meet("shown others", company.count() as u64);
        }
    }
    for what in [
        "delivered",
        "resumed",
        "there already",
        "Sent",
        "Done",
        "Refused",
        "TurnedAway",
        "Unknown",
        "a full outlet",
        "read to the end",
        "ended by a removal",
        "unread",
        "shown others",
    ] {
        assert!(met.get(what) > Some(&10), "{what}: {met:#?}");
    }
}

#[test]
fn feeds_meet_all_that_is_in_store_for_them() {
    let mut met = std::collections::BTreeMap::<String, u64>::new();
    let mut meet = |what: &str, count: u64| *met.entry(what.to_owned()).or_default() += count;
    for seed in 0..100 {
        for scene in [Scene::Cluster, Scene::Local] {
            let done = run(&Plan::feed(seed, scene, Size::USUAL), Broken::default());
            assert_eq!(done.verdict.violations, [], "seed {seed}, {scene:?}: {:#?}", done.trace);
            let Told::Feed(history) = done.told else { panic!("these are about feeds") };
            let report = check_feed(&history);
            for (what, count) in [
                ("compared", report.compared),
                ("due", report.due),
                ("counted", report.counted),
                ("kept", report.loads),
                ("delivered", report.delivered),
                ("expected", report.expected),
            ] {
                meet(what, count);
            }
            for operation in &history.operations {
                match &operation.returned {
                    None => panic!("seed {seed}: what is asked is answered or given up"),
                    Some((_, feed::Outcome::Posted { duplicate: true, .. })) => {
                        meet("there already", 1);
                    }
                    Some((at_ms, feed::Outcome::Page(page))) => {
                        let complete_to_ms = page.complete_to_ms.unwrap_or(*at_ms);
                        meet("late", u64::from(complete_to_ms + 50 < operation.called_ms));
                        meet("more pages", u64::from(!page.is_last));
                    }
                    Some((_, outcome)) => {
                        let text = format!("{outcome:?}");
                        meet(text.split([' ', '(']).next().unwrap_or_default(), 1);
                    }
                }
            }
            let taken_back = |one: &&feed::Seen| matches!(one.what, feed::Delivery::Deleted { .. });
            meet("told that it is gone", history.seen.iter().filter(taken_back).count() as u64);
            for kept in history.end.expect("it was looked at").values() {
                meet("blocks", kept.blocks.len() as u64);
                meet(
                    "muted though followed",
                    kept.mutes.intersection(&kept.following).count() as u64,
                );
                meet("reactions", kept.reactors.values().map(|all| all.len() as u64).sum());
            }
        }
    }
    for what in [
        "compared",
        "due",
        "counted",
        "kept",
        "delivered",
        "expected",
        "there already",
        "late",
        "more pages",
        "Posted",
        "Done",
        "Refused",
        "TurnedAway",
        "Unknown",
        "told that it is gone",
        "blocks",
        "muted though followed",
        "reactions",
    ] {
        assert!(met.get(what) > Some(&10), "{what}: {met:#?}");
    }
}

#[test]
fn every_breakage_is_caught_and_told_in_plain_words() {
    for breakage in BREAKAGES {
        match breakage.find(None, BREAKAGE_SEEDS_MAX) {
            Found::Counterexample(found) => {
                let text = found.to_string();
                for part in ["Taken away:", "BROKEN", "broke for", "seed"] {
                    assert!(text.contains(part), "{}: no {part:?} in:\n{text}", breakage.name);
                }
                let again = breakage.find(Some(found.seed), 1);
                let Found::Counterexample(again) = again else {
                    panic!("{}: seed {} does not show it again", breakage.name, found.seed)
                };
                assert_eq!(again.history, found.history, "{}", breakage.name);
            }
            Found::DoubleSales(found) => {
                assert!(found.sold_twice > 0, "{found}");
                assert_eq!(found.sold_twice_with_holds, 0, "{found}");
            }
            Found::Nothing { seeds } => {
                panic!("{} was not caught in {seeds} seeds", breakage.name)
            }
        }
    }
}

#[test]
fn naive_clients_sell_seats_twice_whatever_the_seed() {
    for seed in 0..20 {
        assert!(check_then_act(seed).sold_twice > 0, "seed {seed}");
    }
}

#[test]
fn breakages_are_found_by_name() {
    assert!(Breakage::named("no-fsync").is_some());
    assert!(Breakage::named("no-such-thing").is_none());
}
