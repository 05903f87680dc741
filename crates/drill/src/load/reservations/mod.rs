//! Workloads against the reservations API over HTTP, and the bench that runs them.
//!
//! - `hot`: everyone holds one of the same counted resource;
//! - `spread`: each hold takes one free seat, scattered over many seat maps;
//! - `seats`: customers of an airline, in the proportions of the SEATS benchmark.

mod customer;
mod hot;
mod inventory;
mod options;
mod seats;
mod setup;
mod spread;

pub use inventory::{Flight, Inventory, InventoryError, Places};
pub use options::{BenchError, BenchOptions, WorkloadKind, run};
pub use setup::{Resource, SetupError, create_resources};

#[cfg(test)]
mod fake_server;
#[cfg(test)]
mod tests;
