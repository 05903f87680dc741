//! Drills: the proof that contracts are kept, which anyone can run.
//!
//! - [`sim`]: the real engine and log under virtual time, seeds and faults.
//! - [`breakages`]: guarantees taken away in the simulator, to see which promise breaks.
//! - [`prices`]: what a guarantee costs that is given where it is not needed.
//! - [`stampede`]: when the retries of jobs that fail at once are due.
//! - [`crash`]: the real binary, killed and restarted under load.
//! - [`neighbours`]: one tenant floods the real binary beside another.
//! - [`history`] and [`checker`]: what clients were told, and whether that can be true.
//! - [`load`]: load generation and the HTTP client that drills, benchmarks and the CLI share.
//!
//! Nothing that serves depends on this crate's switches: they reach the engine only from here.

pub mod breakages;
pub mod checker;
pub mod crash;
pub mod history;
pub mod load;
pub mod neighbours;
pub mod prices;
pub mod sim;
pub mod stampede;
