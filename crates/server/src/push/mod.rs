//! Push: queues whose jobs are sent to a webhook instead of being asked for.
//!
//! A node is a worker like any other here: it leases jobs, sends them, and completes, fails or snoozes
//! them by the same commands as a worker somewhere else. So a crash in the middle is a lease that runs
//! out and nothing else, a job is sent at least once, and several nodes may push one queue.
//!
//! `pushers` follows the settings of queues; `pusher` leases for one queue what its `gate` lets through
//! (`aimd`: how many at once; `breaker`: whether any at all); `attempt` sends one job and keeps its
//! lease. What a request says is in `delivery` and `signature`, where it may go in `target` and
//! `address`, how it gets there in `client` and `tls`. `source` is what is asked of the node, and
//! `board` what is shown of all this.
//!
//! Webhooks that tell of events are not here: what is sent is a job's payload.

mod address;
mod aimd;
mod attempt;
mod board;
mod breaker;
mod client;
mod delivery;
mod gate;
mod node;
mod options;
mod pusher;
mod pushers;
mod retry_after;
mod signature;
mod source;
mod target;
#[cfg(feature = "tls")]
mod tls;

pub use address::Reach;
pub use board::{PushStanding, Pushes};
pub use node::serve;
pub use options::PushOptions;
pub(crate) use signature::secret;
pub(crate) use target::check;

#[cfg(test)]
mod tests;
