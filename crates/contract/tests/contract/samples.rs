//! A small domain to test with: a keyed write, a natural write, and three reads.

use evenkeel_contract::{
    Access, BlastRadius, Bounds, Durability, Facts, Idempotency, Level, Order, PartitionKey, Path,
    Priority, Refusals, Registry, Settings,
};

const READ_FACTS: Facts = Facts {
    partition_key: PartitionKey::Key("shelf"),
    order: Order::ByName,
    durability: Durability::NotLogged,
    levels: Level::ALL,
    refusals: &[],
    refusal_codes: &[],
    side_effects: &[],
    idempotency: Idempotency::Read,
    bounds: Bounds { rows_max: 1_000, bytes_max: 1_048_576 },
};

const WRITE_FACTS: Facts = Facts {
    partition_key: PartitionKey::Key("shelf"),
    order: Order::PerKey,
    durability: Durability::Logged,
    levels: &[],
    refusals: Refusals::ALL,
    refusal_codes: &["shelf_empty"],
    side_effects: &["puts a row in loans", "adds event book.lent"],
    idempotency: Idempotency::Keyed,
    bounds: Bounds { rows_max: 1_024, bytes_max: 262_144 },
};

pub(crate) static LEND: Path = Path {
    name: "library.lend",
    route: "POST /v1/shelves/{s}/loans",
    access: Access::Write,
    user_action: "Someone takes a book from a shelf to the desk.",
    promise: "Two people never leave with the same book, and a reader who is told \"yes\" has it.",
    hot_read: "The count of one shelf.",
    hot_write: "One loan row and the shelf's count.",
    data: "The loan, and the shelf's count of what is left.",
    moves: "From the request to the shelf's partition, from there to the log.",
    first_failure: "A full disk: unavailable, and nothing happened.",
    first_bottleneck: "A shelf that everybody wants: its partition's one thread.",
    kept: "One decision at a time for one shelf, because a book cannot be lent twice.",
    given_up: "Lending while the shelf's owner is away.",
    blast_radius: BlastRadius {
        what: "The count on the wall.",
        who: "Browsers; the desk asks again before it lends.",
    },
    during_partition: "A side without the owner answers unavailable.",
    inline: "The decision and its record.",
    later: "The receipt by mail.",
    recovery: "The log is read again from the last snapshot.",
    replay: "Every record, to the same state.",
    watch: &["library_shelf_depth"],
    curl: "curl -X POST http://127.0.0.1:7480/v1/shelves/a/loans",
    defaults: Settings::keyed_write()
        .with_deadline_ms(500)
        .with_priority(Priority::Critical)
        .with_slo(99.95, 20),
    facts: WRITE_FACTS,
};

pub(crate) static RETURN: Path = Path {
    name: "library.give_back",
    route: "PUT /v1/shelves/{s}/loans/{l}/returned",
    defaults: Settings::natural_write(),
    facts: Facts {
        idempotency: Idempotency::Natural,
        refusals: &[Refusals::Fenced],
        ..WRITE_FACTS
    },
    ..LEND
};

pub(crate) static SHELF: Path = Path {
    name: "library.shelf",
    route: "GET /v1/shelves/{s}",
    access: Access::Read,
    defaults: Settings::read(Level::Bounded),
    facts: READ_FACTS,
    ..LEND
};

pub(crate) static LOAN: Path = Path {
    name: "library.loan",
    route: "GET /v1/shelves/{s}/loans/{l}",
    defaults: Settings::read(Level::Session),
    ..SHELF
};

pub(crate) static COUNTS: Path = Path {
    name: "library.counts",
    route: "GET /v1/shelves",
    defaults: Settings::read(Level::Eventual),
    facts: Facts { levels: &[Level::Eventual], partition_key: PartitionKey::All, ..READ_FACTS },
    ..SHELF
};

pub(crate) fn registry() -> Registry {
    Registry::new([&LEND, &RETURN, &SHELF, &LOAN, &COUNTS]).expect("the samples are well declared")
}
