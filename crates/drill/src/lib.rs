//! Workloads, faults, simulation, history checkers and reports.

pub mod load;
