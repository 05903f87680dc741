//! What the paths of limits promise, and why: the prose. Numbers, keys, orders, levels and bounds are
//! not here but in `facts`, derived from the code, so that they are never typed twice.
//!
//! The paths of what a limit says are in `policies`, those of what it counts in `counting`.

mod counting;
mod facts;
mod policies;

use evenkeel_contract::Path;

/// Every path of this domain.
pub static PATHS: [&Path; 10] = [
    &policies::PUT,
    &policies::GET,
    &policies::LIST,
    &policies::DELETE,
    &counting::CHECK,
    &counting::PEEK,
    &counting::REFUND,
    &counting::RELEASE,
    &counting::RENEW,
    &counting::RESET,
];
