//! Schedules over HTTP: bodies in, bodies out. When a schedule is due is the domain's to say.

mod changes;
mod reads;
mod refusals;
mod requests;
mod views;

pub(crate) use changes::{delete, pause, put, resume};
pub(crate) use reads::{get, list};
pub(crate) use refusals::refused;
pub(crate) use requests::ScheduleRequest;
pub(crate) use views::{ScheduleBody, ScheduleList, ScheduleTotals, ScheduledJobBody};
