//! A read cache that says how old its answers are.
//!
//! For a service that reads more often than it writes, in front of a store of its own: [`Cache`], for tasks of tokio,
//! and [`Core`], the same without clock, task or lock, which a simulation drives under its own time. It depends on none
//! of Evenkeel's other crates. Not for what must be the newest whatever it costs, nor shared between processes.
//!
//! - *An age counts from when the load began*: all that was written before is in what it brought. Each caller says
//!   how old an answer may be, and nothing is served that is older than [`Options::age_ms_max`].
//! - *One load a key*, however many ask and whether it succeeds, fails, panics or whoever asked first is gone. After
//!   one that failed there is a pause, so that a store that is down is not asked by everyone at once.
//! - *What is no longer fresh* is served while it is loaded again, and a while longer if that fails.
//! - *Absences are kept too*, for a shorter time, and never served beyond it.
//! - *A write takes effect at once*: whoever writes, or follows the log of writes, calls [`Cache::invalidate`] with the
//!   write's version. Then what was read before it is answered to nobody who asks after it, also if it is still
//!   on its way when the write happens.
//! - *Bounded* in bytes and in loads; what goes is chosen by S3-FIFO. Keys that many ask for are [recognised](Cache::hot).
//!
//! ```
//! use evenkeel_cache::{Cache, Loaded, Options, Outcome};
//! use std::{collections::HashMap, sync::{Arc, Mutex}};
//!
//! /// A store of one's own, whose writes are numbered.
//! #[derive(Default)]
//! struct Menus {
//!     version: u64,
//!     dishes: HashMap<String, Arc<str>>,
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let store = Arc::new(Mutex::new(Menus::default()));
//!     let weigh = |day: &String, dish: &Arc<str>| (day.len() + dish.len()) as u64;
//!     let cache: Cache<String, Arc<str>, std::io::Error> = Cache::new(&Options::new(64 << 20, weigh));
//!
//!     // A read: of what is at most 500 ms old, else from the store.
//!     let read = async |day: &str| {
//!         let key = day.to_owned();
//!         cache.get(&key, 500, || {
//!             let (store, key) = (Arc::clone(&store), key.clone());
//!             async move {
//!                 let store = store.lock().unwrap();
//!                 Ok(Loaded { value: store.dishes.get(&key).cloned(), as_of: store.version })
//!             }
//!         }).await
//!     };
//!     // A write: first the store, then the cache.
//!     let write = |day: &str, dish: &str| {
//!         let mut store = store.lock().unwrap();
//!         store.version += 1;
//!         store.dishes.insert(day.into(), dish.into());
//!         cache.invalidate(&day.to_owned(), store.version);
//!     };
//!
//!     write("monday", "soup");
//!     let monday = read("monday").await?;
//!     assert_eq!((monday.value.as_deref(), monday.outcome), (Some("soup"), Outcome::Loaded));
//!     let monday = read("monday").await?;
//!     assert_eq!(monday.outcome, Outcome::Hit);
//!     let header = format!("Age-Ms: {}", monday.age_ms); // how old it may be, at most
//!
//!     write("monday", "more soup");
//!     assert_eq!(read("monday").await?.value.as_deref(), Some("more soup"));
//!     assert_eq!(read("sunday").await?.value, None);
//!     # let _ = header;
//!     Ok(())
//! }
//! ```
//!
//! Versions are compared with versions of the same key alone: offsets of the log that the key's writes are in, or a
//! row's own count. A store without any answers 0 and invalidates at [`u64::MAX`]: then a write also discards loads
//! that had seen it.

mod cache;
mod core;
mod hot;
mod look;
mod options;

pub use cache::{Cache, LoadError};
pub use core::{Core, Counters};
pub use hot::HotKey;
pub use look::{Answer, Loaded, Look, Outcome, Ticket, Wait};
pub use options::{Options, Switches};
