//! The HTTP edge: decodes requests, finds out who asks, has the node decide or read, and answers
//! with what was delivered, or with a problem body that says what went wrong and whether anything
//! happened.
//!
//! [`serve`] is all of it. It knows HTTP and JSON and nothing of logs or partitions; it decides
//! nothing. The address table is `routes`; every request passes through `edge` once, where it is
//! let in, counted and logged; what a failure is answered with is said in `failure` and `code`.

mod answer;
mod auth;
mod call;
mod chat;
mod code;
mod connection;
mod contracts;
mod cursor;
mod edge;
mod failure;
mod feed;
#[cfg(feature = "grpc")]
pub mod grpc;
mod headers;
mod jobs;
mod json;
mod keys;
mod limits;
mod meters;
mod names;
mod openapi;
mod ops;
mod options;
mod page;
mod problem;
pub mod push;
mod query;
mod reads;
mod realtime;
mod reservations;
pub mod resp;
mod routes;
mod schedules;
mod server;
mod spent;
mod sse;
mod standing;
mod text;
mod time;
mod token_keys;
mod tokens;
mod top;

pub use keys::{AdminKey, has_admin_key};
pub use meters::Meters;
pub use openapi::document as openapi_document;
pub use options::{Auth, Demo, DemoBreakage, ServerOptions, StaticFile};
pub use server::{ServeError, serve, serve_beside};
pub use standing::{Standing, Stands};
pub use top::{Top, TopHitter, TopLog, TopPartition, TopRead};
