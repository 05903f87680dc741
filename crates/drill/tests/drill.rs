//! The drill's own tests: a check that cannot fail proves nothing, so each is shown histories
//! known good and known bad.

#[path = "drill/checker.rs"]
mod checker;
#[path = "drill/checker_chat.rs"]
mod checker_chat;
#[path = "drill/checker_feed.rs"]
mod checker_feed;
#[path = "drill/checker_jobs.rs"]
mod checker_jobs;
#[path = "drill/checker_limits.rs"]
mod checker_limits;
#[path = "drill/checker_linear.rs"]
mod checker_linear;
#[path = "drill/checker_observed.rs"]
mod checker_observed;
#[path = "drill/checker_properties.rs"]
mod checker_properties;
#[path = "drill/checker_waits.rs"]
mod checker_waits;
#[path = "drill/guide.rs"]
mod guide;
#[path = "drill/reference.rs"]
mod reference;
#[path = "drill/script.rs"]
mod script;
#[path = "drill/sim.rs"]
mod sim;
