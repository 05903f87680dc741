//! What the domain's "no" is answered with.

use crate::{code::Code, problem::Problem};
use evenkeel_domains::schedules::{Refusal, SCHEDULES_MAX, TimingError, nearest_zone};

/// The problem that `refusal` is answered with.
pub(crate) fn refused(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::NoSchedule => Problem::new(Code::NotFound, "there is no such schedule"),
        Refusal::BadTiming(error) => {
            let (field, near) = match error {
                TimingError::Zone(zone) => ("timezone", nearest_zone(zone)),
                TimingError::Every => ("every_ms", None),
                _ => ("cron", None),
            };
            let detail = match near {
                Some(near) => format!("{error}, did you mean {near:?}?"),
                None => error.to_string(),
            };
            Problem::new(Code::InvalidSchedule, detail).with("field", field)
        }
        Refusal::NoQueue { queue } => {
            Problem::new(Code::NoQueue, format!("there is no queue {queue:?}: put it first"))
                .with("queue", queue.as_str())
        }
        Refusal::TooManySchedules => Problem::new(
            Code::TooManySchedules,
            format!("a tenant may have at most {SCHEDULES_MAX} schedules in a partition"),
        ),
    }
}
