//! What each path promises, in one place: declared by a domain, changed within legal bounds by
//! whoever runs the program, measured while it runs, and explained in plain words.
//!
//! - [`Path`]: one operation as its domain declares it: prose, default [`Settings`] and [`Facts`].
//! - [`Registry`]: every path of this program with the settings that hold now; reads `[paths]`.
//! - [`Meter`] and [`Delivered`]: what a path has really done in the last minutes.
//! - [`explain`]: promise and delivery side by side, as text or JSON.
//! - [`nearest`]: what a mistyped name was probably meant to be.
//!
//! It enforces nothing: the server keeps deadlines and priorities, the engine fences and dedups.
//! It reads no clock and no file: times and texts are handed in.

mod delivered;
mod explain;
mod exposition;
mod histogram;
mod meter;
mod outcome;
mod path;
mod registry;
mod rules;
mod schema;
mod settings;
mod suggest;
mod words;
mod wrap;

pub use delivered::{Budget, Delivered};
pub use explain::{Explanation, Item, Section, Summary, explain, summarize};
pub use exposition::{metric, render_prometheus};
pub use meter::{Lifetime, Meter, WINDOW_S};
pub use outcome::{Class, Failure, Outcome};
pub use path::{
    Access, BlastRadius, Bounds, Coordination, Durability, Facts, Idempotency, Order, PartitionKey,
    Path,
};
pub use registry::{Contract, ContractError, DeclarationError, Registry, coordination};
pub use settings::{Level, Overrides, Priority, Refusals, Settings, Slo, SloOverrides};
pub use suggest::nearest;
