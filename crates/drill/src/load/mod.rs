//! Load: a cheap HTTP client, a driver that measures, and the workloads.
//!
//! For: `evenkeel bench`, the crash drill and the comparison with peers, which all share one
//! driver, so that a row for Evenkeel and a row for a database differ in the server only.
//! Not for: correctness. Nothing here checks a history; see the checkers for that.

pub mod chat;
mod chunked;
mod client;
mod connection;
mod driver;
mod endpoint;
mod events;
pub mod feed;
mod histogram;
pub mod jobs;
pub mod limits;
mod outcome;
mod pacer;
mod process;
mod report;
mod request;
pub mod reservations;
mod scatter;
mod websocket;

pub use client::{Client, ClientError, Reply};
pub use driver::{
    CONNECTIONS_MAX, Done, DriveError, Outcome, Pace, Plan, Workload, WorkloadError, drive,
};
pub use endpoint::{Endpoint, EndpointError};
pub use events::{Event, EventStream};
pub use histogram::{Histogram, Percentiles};
pub use report::{KindRun, OpenRun, Report, Run, Spread, Summary};
pub use request::{KeyMint, RequestWriter};
pub use scatter::Scatter;
pub use websocket::{WebSocket, WebSocketError};

#[cfg(test)]
mod canned;
