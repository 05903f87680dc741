//! Outbox rules: what is enqueued with what happens to a hold.

use crate::driver::{Driver, ID, TENANT};
use evenkeel_domains::{
    Item, Refusal, Reply,
    jobs::{self, NewJob, Settings},
    meta::{self, Meta, load},
    reservations::{Action, HOLD_SEATS_MAX, HoldChange, Late, Places, SEATS_A_CALL_MAX, Spec},
    rules::{
        RULE_PAYLOAD_BYTES_MAX, RULES_AN_EVENT_MAX, RULES_MAX, Rule, Rules, RulesError, check,
    },
};
use evenkeel_engine::{Delivery, Failure, Mark, Options, Parcel, TenantId, dead_deliveries};
use evenkeel_log::{BODY_BYTES_MAX, Incarnation, PartitionId};
use std::{collections::BTreeMap, sync::Arc};

const NAME_BYTES_MAX: usize = 128;

fn rule(on: HoldChange, resource: Option<&str>) -> Rule {
    Rule {
        on,
        resource: resource.map(str::to_owned),
        queue: "mail".to_owned(),
        kind: on.name().replace("reservations.", ""),
        priority: 4,
    }
}

/// A partition that knows these rules and a queue `mail`.
fn driver(rules: Vec<Rule>) -> Driver {
    let mut driver = Driver::new(Options::default());
    let mail = BTreeMap::from([("mail".to_owned(), Settings::of(16))]);
    let rules = Rules { tenant: "default".to_owned(), rules };
    driver.partition.app_mut().meta = Arc::new(Meta {
        queues: [(TENANT, Arc::new(mail))].into(),
        rules: [(TENANT, Arc::new(rules))].into(),
        ..Meta::default()
    });
    driver.reserve("concert-1", Action::Put(Spec::Quantity(10))).unwrap();
    driver
}

fn hold(driver: &mut Driver, resource: &str) -> u64 {
    let places = Places::Quantity(2);
    let hold = Action::Hold { holder: "ada".into(), ttl_ms: 1_000, places };
    match driver.reserve(resource, hold).unwrap() {
        Reply::Reservations(evenkeel_domains::reservations::Reply::Hold(view)) => view.fence,
        other => panic!("{other:?}"),
    }
}

/// The jobs that are on their way, with where they go to; each is acknowledged.
fn enqueued(driver: &mut Driver) -> Vec<(PartitionId, String, NewJob)> {
    let mut jobs = Vec::new();
    while !driver.sent.is_empty() {
        for (to, Delivery { parcels, after, .. }) in std::mem::take(&mut driver.sent) {
            let mut last = after;
            for parcel in parcels {
                last.incarnation = parcel.incarnation;
                last.sequence += 1;
                let Item::Jobs(jobs::Item::Enqueue { queue, partition, jobs: new, .. }) =
                    postcard::from_bytes(&parcel.item).unwrap()
                else {
                    panic!("a rule enqueues")
                };
                assert_eq!((partition, parcel.tenant), (to.0, TENANT));
                jobs.extend(new.into_iter().map(|job| (to, queue.clone(), job)));
            }
            driver.partition.acknowledged(to, last);
        }
        driver.settle();
    }
    jobs
}

fn kinds(driver: &mut Driver) -> Vec<String> {
    let mut kinds: Vec<_> = enqueued(driver).into_iter().map(|(.., job)| job.kind).collect();
    kinds.sort();
    kinds
}

#[test]
fn what_happens_is_enqueued_with_what_it_was() {
    let mut driver = driver(vec![rule(HoldChange::Confirmed, Some("concert-*"))]);
    let before = driver.log.len();
    let fence = hold(&mut driver, "concert-1");
    assert_eq!(enqueued(&mut driver), []);
    driver.reserve("concert-1", Action::Confirm { hold: fence, late: Late::Refuse }).unwrap();
    assert_eq!(driver.log.len(), before + 2, "in the record of the confirmation");
    let (_, queue, job) = enqueued(&mut driver).remove(0);
    assert_eq!((queue.as_str(), job.kind.as_str(), job.priority), ("mail", "confirmed", 4));
    assert_eq!(job.unique_key.as_deref(), Some("concert-1@1.3#confirmed"));
    let expected = format!(
        "{{\"position\":\"1.3\",\"event\":\"reservations.confirmed\",\
         \"entity\":\"resource:concert-1\",\"at\":\"1970-01-01T00:16:40.000Z\",\
         \"data\":{{\"hold\":\"{fence}\",\"fence\":{fence},\"holder\":\"ada\",\"quantity\":2,\
         \"expires_at\":\"1970-01-01T00:16:41.000Z\"}}}}"
    );
    assert_eq!(job.payload, expected);
    // A repeat changes nothing, and so enqueues nothing.
    driver.reserve("concert-1", Action::Confirm { hold: fence, late: Late::Refuse }).unwrap();
    assert_eq!(enqueued(&mut driver), []);
}

#[test]
fn each_event_has_its_rules_also_those_of_time() {
    let events = evenkeel_domains::rules::EVENTS;
    let mut driver = driver(events.map(|event| rule(event, None)).into());
    let [first, second, third] = [(); 3].map(|()| hold(&mut driver, "concert-1"));
    assert_eq!(kinds(&mut driver), ["held", "held", "held"]);
    driver.reserve("concert-1", Action::Confirm { hold: first, late: Late::Refuse }).unwrap();
    driver.reserve("concert-1", Action::Release { hold: second }).unwrap();
    driver.reserve("concert-1", Action::Cancel { hold: first }).unwrap();
    driver.reserve("concert-1", Action::Extend { hold: third, ttl_ms: 2_000 }).unwrap();
    assert_eq!(kinds(&mut driver), ["cancelled", "confirmed", "released"]);
    driver.pass(2_000);
    assert_eq!(kinds(&mut driver), ["expired"], "nobody asked for anything");
    // A late payment that takes the places again.
    driver.reserve("concert-1", Action::Confirm { hold: third, late: Late::Reacquire }).unwrap();
    assert_eq!(kinds(&mut driver), ["confirmed", "held"]);
}

#[test]
fn a_rule_means_the_resources_that_it_names() {
    let rules = vec![
        rule(HoldChange::Held, Some("concert-1")),
        Rule { kind: "b".into(), ..rule(HoldChange::Held, Some("con*")) },
        Rule { kind: "c".into(), ..rule(HoldChange::Held, Some("*")) },
    ];
    let mut driver = driver(rules);
    for resource in ["concert-12", "play"] {
        driver.reserve(resource, Action::Put(Spec::Quantity(10))).unwrap();
    }
    for (resource, expected) in
        [("concert-1", vec!["b", "c", "held"]), ("concert-12", vec!["b", "c"]), ("play", vec!["c"])]
    {
        hold(&mut driver, resource);
        assert_eq!(kinds(&mut driver), expected, "{resource}");
    }
}

#[test]
fn one_event_goes_to_one_place() {
    let mut driver = driver(vec![rule(HoldChange::Held, None)]);
    driver.reserve("concert-1", Action::Put(Spec::Quantity(1_000))).unwrap();
    for _ in 0..64 {
        hold(&mut driver, "concert-1");
    }
    let jobs = enqueued(&mut driver);
    let unique: std::collections::BTreeSet<_> =
        jobs.iter().map(|(.., job)| job.unique_key.clone()).collect();
    let places: std::collections::BTreeSet<_> = jobs.iter().map(|(to, ..)| *to).collect();
    assert_eq!((jobs.len(), unique.len()), (64, 64));
    assert!(places.len() > 8, "and many go to many: {places:?}");
}

#[test]
fn a_rule_without_its_queue_leaves_a_dead_delivery_that_says_so() {
    let lost = Rule { queue: "male".into(), ..rule(HoldChange::Held, None) };
    let mut driver = driver(vec![lost, rule(HoldChange::Held, None)]);
    hold(&mut driver, "concert-1");
    hold(&mut driver, "concert-1");
    assert_eq!(kinds(&mut driver).len(), 2, "the other rule does what it says");
    let dead = dead_deliveries(&driver.partition.view(), 9).unwrap();
    assert_eq!((dead.len(), driver.partition.outbox_stats().dead), (2, 2));
    assert_eq!(dead[0].why, "there is no queue \"male\", which a rule on reservations.held names");
    assert!(postcard::from_bytes::<Item>(&dead[0].item).is_ok(), "what it was can be seen");
    // A hold that is refused has happened to nobody.
    let places = Places::Quantity(1_000);
    let refused = Action::Hold { holder: "ada".into(), ttl_ms: 1_000, places };
    assert!(matches!(driver.reserve("concert-1", refused), Err(Failure::Refused(_))));
    assert_eq!(dead_deliveries(&driver.partition.view(), 9).unwrap().len(), 2);
}

/// Both are kept if a job of a rule has nowhere to go at the moment at which something that the partition
/// sent itself dies.
#[test]
fn what_has_nowhere_to_go_takes_nobodys_place() {
    let mut driver = driver(vec![Rule { queue: "male".into(), ..rule(HoldChange::Held, None) }]);
    let incarnation = Incarnation(1);
    let (tenant, at, item) = (TENANT, driver.now, vec![0xff]);
    let parcels = vec![Parcel { incarnation, tenant, at, item }];
    driver.partition.deliver(Delivery { from: ID, after: Mark::default(), parcels });
    hold(&mut driver, "concert-1");
    let dead = dead_deliveries(&driver.partition.view(), 9).unwrap();
    assert_eq!((dead.len(), driver.partition.outbox_stats().dead), (2, 2));
}

#[test]
fn another_tenants_rules_are_not_mine() {
    let mut driver = driver(Vec::new());
    let mut meta = Meta::clone(&driver.partition.app_mut().meta);
    let rules = Rules { tenant: "acme".to_owned(), rules: vec![rule(HoldChange::Held, None)] };
    meta.rules = [(TenantId(1), Arc::new(rules))].into();
    driver.partition.app_mut().meta = Arc::new(meta);
    hold(&mut driver, "concert-1");
    assert_eq!(enqueued(&mut driver), []);
}

/// Everything as large as it can be, and everything due at once.
#[test]
fn a_full_house_expires_in_records_that_fit() {
    let many = |on| {
        (0..RULES_AN_EVENT_MAX)
            .map(move |at| Rule { kind: format!("{at:0>NAME_BYTES_MAX$}"), ..rule(on, None) })
    };
    let mut driver = driver(many(HoldChange::Held).chain(many(HoldChange::Expired)).collect());
    let seat = |number: usize| format!("{number:0>NAME_BYTES_MAX$}");
    driver.reserve("hall", Action::Put(Spec::Seats(Vec::new()))).unwrap();
    for call in 0..4 {
        let seats = (call * SEATS_A_CALL_MAX..(call + 1) * SEATS_A_CALL_MAX).map(seat).collect();
        driver.reserve("hall", Action::AddSeats(seats)).unwrap();
    }
    let holds = 4 * SEATS_A_CALL_MAX / HOLD_SEATS_MAX;
    for hold in 0..holds {
        let seats = (hold * HOLD_SEATS_MAX..(hold + 1) * HOLD_SEATS_MAX).map(seat).collect();
        let (holder, places) = ("h".repeat(NAME_BYTES_MAX), Places::Seats(seats));
        driver.reserve("hall", Action::Hold { holder, ttl_ms: 1_000_000, places }).unwrap();
    }
    let held = enqueued(&mut driver);
    assert_eq!(held.len(), holds * RULES_AN_EVENT_MAX);
    assert!(held.iter().all(|(.., job)| job.payload.len() <= RULE_PAYLOAD_BYTES_MAX));
    assert!(held[0].2.payload.contains("\"seats_left_out\":100"), "{}", held[0].2.payload);
    driver.now = driver.now.plus_ms(1_000_000);
    let seats = vec![seat(4 * SEATS_A_CALL_MAX - 1)];
    let late = Action::Hold { holder: "l".into(), ttl_ms: 1_000, places: Places::Seats(seats) };
    driver.reserve("hall", late).unwrap();
    let expired = enqueued(&mut driver);
    assert_eq!(expired.len(), (holds + 1) * RULES_AN_EVENT_MAX, "with those of the late hold");
    assert!(driver.log.iter().all(|record| record.body().len() <= BODY_BYTES_MAX));
}

#[test]
fn what_is_no_rule_is_refused() {
    let fine = rule(HoldChange::Held, Some("a*"));
    assert_eq!(check(std::slice::from_ref(&fine)), Ok(()));
    let wrong = |change: fn(&mut Rule)| {
        let mut rule = fine.clone();
        change(&mut rule);
        check(&[rule]).unwrap_err().to_string()
    };
    for (text, part) in [
        (wrong(|rule| rule.on = HoldChange::Extended), "no rule can be on reservations.extended"),
        (wrong(|rule| rule.resource = Some("a*b".into())), "\"a*b\" is neither a name"),
        (wrong(|rule| rule.resource = Some(String::new())), "is neither a name"),
        (wrong(|rule| rule.queue = "a b".into()), "queue \"a b\" is no name"),
        (wrong(|rule| rule.kind = "k".repeat(129)), "kind \"kkk"),
        (wrong(|rule| rule.priority = 10), "priority 10 is more than 9"),
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(check(&vec![fine.clone(); RULES_MAX + 1]), Err(RulesError::Count));
    let named = |at: usize| rule(HoldChange::Held, Some(&format!("a{at}")));
    let many: Vec<Rule> = (0..RULES_MAX).map(named).collect();
    assert_eq!(check(&many), Ok(()), "as long as no event meets many");
    let mut crowd = vec![fine.clone(); RULES_AN_EVENT_MAX];
    assert_eq!(check(&crowd), Ok(()));
    crowd.push(named(1));
    let crowded = check(&crowd).unwrap_err().to_string();
    assert!(crowded.contains("\"a1\" would meet more than 4 rules"), "{crowded}");
}

#[test]
fn meta_keeps_rules() {
    let mut driver = Driver::new(Options::default());
    let set = |driver: &mut Driver, rules: Vec<(String, Vec<Rule>)>| {
        let action = meta::Action::SetRules(rules);
        let answer = driver.ask(evenkeel_domains::Command::Meta(meta::Command { action }), None);
        let whole = load(&driver.partition.view()).unwrap();
        // What a record changes is what is there afterwards.
        if answer.is_ok() {
            let mut copy = Meta::default();
            for record in &driver.log[1..] {
                meta::changes(record.body()).unwrap().into_iter().for_each(|c| copy.apply(c));
            }
            assert_eq!(copy, whole);
        }
        (answer, whole)
    };
    let one = vec![rule(HoldChange::Held, None)];
    let rules = vec![("default".into(), one.clone()), ("acme".into(), one.clone())];
    let (answer, meta) = set(&mut driver, rules);
    assert_eq!(answer, Ok(Reply::Meta(meta::Reply::Done)));
    let acme = meta.tenants["acme"];
    assert_eq!(*meta.rules[&acme], Rules { tenant: "acme".into(), rules: one.clone() });
    assert_eq!(meta.rules[&TENANT].rules, one);
    assert_eq!(meta.for_decisions().rules, meta.rules);
    let wrong = vec![Rule { priority: 99, ..one[0].clone() }];
    let (answer, unchanged) = set(&mut driver, vec![("acme".into(), wrong)]);
    assert!(matches!(answer, Err(Failure::Refused(Refusal::Meta(meta::Refusal::BadRules(_))))));
    assert_eq!(unchanged, meta);
    let (_, meta) = set(&mut driver, vec![("acme".into(), one)]);
    assert_eq!(meta.rules.keys().collect::<Vec<_>>(), [&acme]);
}
