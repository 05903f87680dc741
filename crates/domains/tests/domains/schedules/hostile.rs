//! Expressions and zones that nobody would write. `EVENKEEL_FUZZ_ITERATIONS` makes the run longer.

use super::{cron, timetable};
use evenkeel_engine::Time;

/// What expressions are made of, and what they might be taken for.
const PIECES: [&str; 44] = [
    "*",
    "*/",
    "/",
    "-",
    ",",
    "#",
    "L",
    "W",
    "LW",
    "?",
    "+",
    "@",
    "@daily",
    "@hourly",
    "@reboot",
    "0",
    "1",
    "2",
    "5",
    "7",
    "9",
    "12",
    "23",
    "24",
    "28",
    "29",
    "30",
    "31",
    "59",
    "60",
    "99",
    "65535",
    "65536",
    "00000000001",
    "MON",
    "sun",
    "FEB",
    "dec",
    "MON-FRI",
    "1-5",
    "59-0",
    "é",
    "\0",
    "١",
];
const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "America/Santiago",
    "Pacific/Apia",
    "Asia/Tokyo",
];

fn iterations() -> u64 {
    let asked = std::env::var("EVENKEEL_FUZZ_ITERATIONS").ok();
    asked.map_or(3_000, |text| text.parse().expect("EVENKEEL_FUZZ_ITERATIONS is a number"))
}

/// Whatever is asked is answered, and a time that is answered is a later one.
#[test]
fn hostile_expressions_are_refused_or_mean_something() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut meant = 0;
    for _ in 0..iterations() {
        let fields = if random.u8(..8) == 0 { random.usize(..9) } else { 5 };
        let fields: Vec<String> = (0..fields)
            .map(|_| match random.u8(..3) {
                0 => "*".to_owned(),
                _ => (0..random.usize(1..4))
                    .map(|_| *random.choice(PIECES.iter()).unwrap())
                    .collect(),
            })
            .collect();
        let expression = fields.join(" ");
        let zone = random.choice(ZONES.iter()).unwrap();
        let Ok(timetable) = timetable(&cron(&expression, zone)) else { continue };
        let mut last = Time(random.u64(..4_102_444_800_000));
        for _ in 0..20 {
            let Some(next) = timetable.next_after(last) else { break };
            assert!(next > last, "{expression} {zone}: {next:?} after {last:?}");
            assert_eq!(next.0 % 1_000, 0, "a whole second");
            let between = Time(random.u64(last.0..next.0));
            assert_eq!(timetable.next_after(between), Some(next), "{expression} {zone} {last:?}");
            last = next;
            meant += 1;
        }
    }
    assert!(meant > 100, "it must also hit what is legal");
}

/// Any bytes at all.
#[test]
fn hostile_bytes_are_refused() {
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..iterations() {
        let bytes: Vec<u8> = (0..random.usize(..40)).map(|_| random.u8(..)).collect();
        let text = String::from_utf8_lossy(&bytes);
        let legal = timetable(&cron(&text, "UTC"));
        assert!(legal.is_err() || text.is_ascii(), "{text:?}");
        assert!(timetable(&cron("* * * * *", &text)).is_err(), "{text:?}");
    }
}
