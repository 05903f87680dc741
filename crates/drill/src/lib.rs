//! Workloads, faults, simulation, history checkers and reports.

pub mod breakages;
pub mod checker;
pub mod history;
pub mod load;
pub mod sim;
