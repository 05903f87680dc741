//! The workloads against a stand-in server: what they ask for, not how fast.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::super::driver::{Outcome, Workload as _};
use super::super::endpoint::Endpoint;
use super::fake_server::start;
use super::seats::Seats;
use super::*;

async fn resolve(target: &str) -> Endpoint {
    Endpoint::resolve(target, None, Duration::from_secs(10)).await.unwrap()
}

fn short(target: &str, workload: WorkloadKind) -> BenchOptions {
    BenchOptions {
        connections: 4,
        warmup: Duration::ZERO,
        duration: Duration::from_millis(100),
        repeats: 2,
        ..BenchOptions::new(target, workload)
    }
}

#[tokio::test]
async fn hot_holds_one_each_under_a_fresh_key() {
    let (target, book) = start().await;
    let options =
        BenchOptions { api_key: Some("ek_a_b".into()), ..short(&target, WorkloadKind::Hot) };
    let report = run(options).await.unwrap();
    assert_eq!((report.summary.errors, report.summary.refused), (0, 0));
    assert!(report.summary.ok > 0 && report.runs.len() == 2);
    let book = book.lock().unwrap();
    assert_eq!((book.resources.len(), book.repeated_keys), (1, 0));
    let taken: u64 = book.taken_counts.values().sum();
    assert!(taken >= report.summary.ok && taken == book.keys.len() as u64);
    assert!(book.authorised > taken);
}

#[tokio::test]
async fn spread_takes_every_seat_once_in_each_repeat() {
    let (target, book) = start().await;
    let options = BenchOptions {
        duration: Duration::from_secs(3600),
        places: 1_050,
        places_per_resource: 100,
        ..short(&target, WorkloadKind::Spread)
    };
    let report = run(options).await.unwrap();
    assert_eq!((report.summary.errors, report.summary.refused), (0, 0));
    assert_eq!(report.summary.ok, 2 * 1_050);
    let book = book.lock().unwrap();
    assert_eq!(book.resources.len(), 2 * 11);
    assert_eq!(book.taken_seats.len(), 2 * 1_050);
}

#[tokio::test]
async fn seats_does_everything_that_customers_do() {
    let (target, book) = start().await;
    let endpoint = resolve(&target).await;
    let inventory = Arc::new(Inventory::made_up());
    let flights = Arc::clone(&inventory);
    let describe = move |index| flights.flights()[index as usize].as_resource();
    create_resources(&endpoint, 500, describe).await.unwrap();
    let seats = Seats::new(endpoint, inventory);
    let mut customer = seats.connect(0).await.unwrap();
    let mut done = [0_u64; 6];
    let mut calls = 0;
    // Late confirmations come last: when their time has come, however long that takes. What
    // was confirmed late is cancelled under its new hold.
    while calls < 2_000 || done.contains(&0) || book.lock().unwrap().late_cancelled == 0 {
        let ended = seats.call(&mut customer, calls).await;
        assert!(!matches!(ended.outcome, Outcome::Error(_)), "{ended:?}");
        assert!(ended.kind != 5 || ended.outcome == Outcome::Ok, "{ended:?}");
        done[ended.kind] += u64::from(ended.outcome == Outcome::Ok);
        calls += 1;
    }
    let finds = done[0] as f64 / calls as f64;
    assert!((0.5..0.7).contains(&finds), "{done:?}");
    let book = book.lock().unwrap();
    assert_eq!((book.resources.len(), book.repeated_keys), (500, 0));
    assert_eq!(book.late, done[3]);
    assert!(book.requests["POST release"] >= done[4]);
    assert_eq!(book.requests["POST cancel"], done[5]);
}

#[tokio::test]
async fn seats_reads_an_inventory_and_leaves_an_imported_one_alone() {
    let (target, book) = start().await;
    let path = std::env::temp_dir().join(format!("evenkeel-inventory-{}", std::process::id()));
    let mut file = std::fs::File::create(&path).unwrap();
    let lines = "{\"resource\":\"F1\",\"kind\":\"quantity\",\"capacity\":149}\n\n\
                 {\"resource\":\"F2\",\"kind\":\"seats\",\"seats\":[\"1A\",\"1B\"]}\n";
    file.write_all(lines.as_bytes()).unwrap();
    let inventory = Inventory::read(&path).unwrap();
    assert_eq!(inventory.flights().len(), 2);
    assert_eq!((inventory.seat_maps(), &*inventory.flights()[0].resource), (1, "F2"));

    let imported = BenchOptions {
        inventory: Some(path.clone()),
        inventory_exists: true,
        ..short(&target, WorkloadKind::Seats)
    };
    let report = run(imported.clone()).await.unwrap();
    assert!(book.lock().unwrap().resources.is_empty());
    assert_eq!(report.summary.ok, 0);
    assert!(report.first_error().unwrap().starts_with("status 404"));

    let created = BenchOptions { inventory_exists: false, ..imported };
    assert_eq!(run(created).await.unwrap().summary.errors, 0);
    let book = book.lock().unwrap();
    let body = serde_json::json!({"kind": "quantity", "capacity": 149});
    assert_eq!(book.resources["F1"], body);

    for bad in ["{}", "[]", "{\"resource\":\"F\",\"kind\":\"seats\",\"seats\":[]}"] {
        std::fs::write(&path, format!("\n{bad}\n")).unwrap();
        let error = Inventory::read(&path).unwrap_err();
        assert!(matches!(error, InventoryError::Line { line: 2, .. }), "{bad}");
    }
    std::fs::write(&path, "").unwrap();
    let error = Inventory::read(&path).unwrap_err();
    assert!(matches!(error, InventoryError::Empty));
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_a_refusal_is_quoted() {
    let (target, book) = start().await;
    book.lock().unwrap().busy = 3;
    let report = run(short(&target, WorkloadKind::Hot)).await.unwrap();
    assert_eq!((report.summary.errors, report.summary.shed), (0, 0));

    let resource = Resource { name: "a/b/c".into(), body: "{}".into() };
    let error = create_resources(&resolve(&target).await, 1, move |_| resource.clone()).await;
    assert!(matches!(error, Err(SetupError::Refused { status: 404, .. })));
}

#[tokio::test]
async fn options_that_make_no_bench_are_refused() {
    let (target, _book) = start().await;
    let none = BenchOptions { places: 0, ..short(&target, WorkloadKind::Spread) };
    assert!(matches!(run(none).await, Err(BenchError::Options(_))));
    let nowhere = short("nowhere", WorkloadKind::Hot);
    assert!(matches!(run(nowhere).await, Err(BenchError::Endpoint(_))));
}
