//! The gRPC edge: limits for Envoy, and for whatever else speaks its rate limit service
//! (`envoy.service.ratelimit.v3`). Which limit a request meets is said by rules in the files of
//! envoyproxy/ratelimit; how it is counted is the domain's.
//!
//! [`serve`] is all of it, with gRPC's health service and server reflection. It is no management
//! server: rules come from a directory alone. `messages` has what is sent, `descriptors` describes
//! it to reflection; `yaml` reads a file, `rules` finds the rule of a descriptor, `directory` keeps
//! the rules as the files are; `windows` says what is counted, and `service` has it counted.

mod descriptors;
mod directory;
mod messages;
mod options;
mod routes;
mod rules;
mod server;
mod service;
mod windows;
mod yaml;

pub use directory::{Directory, DirectoryError};
pub use options::GrpcOptions;
pub use rules::RulesError;
pub use server::serve;
pub use windows::Windows;
