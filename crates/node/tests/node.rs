//! The node as its callers meet it: over restarts, lost and damaged files, full and failing disks,
//! too many requests, and stops.

#[path = "node/bounds.rs"]
mod bounds;
#[path = "node/faults.rs"]
mod faults;
#[path = "node/files.rs"]
mod files;
#[path = "node/harness.rs"]
mod harness;
#[path = "node/opening.rs"]
mod opening;
#[path = "node/rebuild.rs"]
mod rebuild;
#[path = "node/restart.rs"]
mod restart;
#[path = "node/watching.rs"]
mod watching;
