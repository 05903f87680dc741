//! What the domains decide, through the same engine that runs them.

mod driver;
mod facts;
