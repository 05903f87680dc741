//! The contract crate through its public surface.

mod explaining;
mod metering;
mod overriding;
mod samples;
mod schema;
