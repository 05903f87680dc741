//! What teams build by hand: read what is free, then write. Between the two, somebody else did
//! the same. Beside it, the same customers with holds.

use fastrand::Rng;
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

const SEATS: usize = 100;
const CUSTOMERS: usize = 400;
/// Between reading that a seat is free and writing that it is one's own: a person decides, a
/// service answers.
const DECIDES_WITHIN_MS: u64 = 50;
/// All of them come within this time.
const SALE_MS: u64 = 2_000;

/// What naive customers were sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DoubleSales {
    /// Finds it again.
    pub seed: u64,
    /// Seats that there were.
    pub seats: usize,
    /// Customers who came.
    pub customers: usize,
    /// Customers who were told that a seat is theirs.
    pub promised: usize,
    /// Seats that were promised to more than one customer.
    pub sold_twice: usize,
    /// The same with holds: decided where the seat is, in one step.
    pub sold_twice_with_holds: usize,
}

impl fmt::Display for DoubleSales {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Taken away: clients read what is free and then write, holding nothing.")?;
        writeln!(f, "It is there for: a seat is sold once (I3).")?;
        writeln!(
            f,
            "\nBROKEN  I3 broke for {} seats' customers: {} customers looked at {} seats within {} s, \
             each took up to {} ms between looking and writing; {} were promised a seat, and {} \
             seats were sold twice or more.",
            self.sold_twice,
            self.customers,
            self.seats,
            SALE_MS / 1_000,
            DECIDES_WITHIN_MS,
            self.promised,
            self.sold_twice
        )?;
        write!(
            f,
            "The same customers with holds: {} seats sold twice.\n\nAgain: evenkeel drill sim \
             --break check-then-act --seed {}",
            self.sold_twice_with_holds, self.seed
        )
    }
}

/// Sells `SEATS` seats to customers who check and then act.
#[must_use]
pub fn check_then_act(seed: u64) -> DoubleSales {
    let naive = sale(seed, false);
    let held = sale(seed, true);
    DoubleSales {
        seed,
        seats: SEATS,
        customers: CUSTOMERS,
        promised: naive.values().sum(),
        sold_twice: naive.values().filter(|promised| **promised > 1).count(),
        sold_twice_with_holds: held.values().filter(|promised| **promised > 1).count(),
    }
}

/// How many customers each seat was promised to. With holds, checking and taking is one step at
/// the seat; without, the customer writes later what it decided from what it read.
fn sale(seed: u64, holds: bool) -> BTreeMap<usize, usize> {
    let mut rng = Rng::with_seed(seed);
    let mut events = BTreeMap::new();
    for customer in 0..CUSTOMERS {
        let reads_at = rng.u64(0..SALE_MS);
        let writes_at = reads_at + rng.u64(1..=DECIDES_WITHIN_MS);
        let seat = rng.usize(0..SEATS);
        events.insert((reads_at, customer, false), seat);
        events.insert((writes_at, customer, true), seat);
    }
    let mut promised: BTreeMap<usize, usize> = BTreeMap::new();
    let mut saw_free = vec![false; CUSTOMERS];
    for ((_, customer, writes), seat) in events {
        let free = !promised.contains_key(&seat);
        if !writes {
            saw_free[customer] = free;
        }
        let takes = if holds { !writes && free } else { writes && saw_free[customer] };
        if takes {
            *promised.entry(seat).or_default() += 1;
        }
    }
    promised
}
