//! The body that callers send, and what is checked about it before a partition sees it.

use crate::{
    json::{self, Document},
    problem::Problem,
    text::is_name,
};
use evenkeel_domains::{
    jobs::{PAYLOAD_BYTES_MAX, PRIORITY_MAX},
    schedules::{Action, JobSpec, Missed, Spec, Timing},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

const PRIORITY_DEFAULT: u8 = 4;
const ZONE_DEFAULT: &str = "UTC";
const NAME_RULE: &str = "must be 1 to 128 of A-Z a-z 0-9 . _ : @ -";

/// What a schedule is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleRequest {
    /// When its job runs: minute, hour, day of the month, month, day of the week; a field for the second
    /// may come before. Either this or every_ms.
    cron: Option<String>,
    /// How far one run is from the next: at least 1,000.
    every_ms: Option<u64>,
    /// The zone whose clocks show what cron names, as the IANA database calls it; UTC by default.
    timezone: Option<String>,
    /// Where its jobs go.
    queue: String,
    job: ScheduledJobRequest,
    #[serde(default)]
    missed: MissedName,
}

/// The job of a schedule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewScheduledJob)]
struct ScheduledJobRequest {
    /// What sort of work it is.
    kind: String,
    /// What the worker is given: any JSON; null by default.
    #[schema(value_type = Object)]
    payload: Option<Box<RawValue>>,
    /// While a job with this key (and the same ordering key, if any) is not over, another is not taken in.
    unique_key: Option<String>,
    /// Jobs with this key run one after the other.
    ordering_key: Option<String>,
    /// 0 to 9: higher runs first; 4 by default.
    priority: Option<u8>,
}

/// What becomes of runs that were due while nothing could run.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MissedName {
    #[default]
    Skip,
    Once,
    All,
}

impl Document for ScheduleRequest {
    const FIELDS: &'static [&'static str] = &[
        "cron",
        "every_ms",
        "timezone",
        "queue",
        "job",
        "missed",
        "kind",
        "payload",
        "unique_key",
        "ordering_key",
        "priority",
    ];
}

impl ScheduleRequest {
    pub(crate) fn action(self) -> Result<Action, Problem> {
        let Self { cron, every_ms, timezone, queue, job, missed } = self;
        let timing = match (cron, every_ms) {
            (Some(cron), None) => {
                let timezone = timezone.unwrap_or_else(|| ZONE_DEFAULT.to_owned());
                Timing::Cron { cron, timezone }
            }
            (None, Some(every_ms)) if timezone.is_none() => Timing::Every { every_ms },
            (None, Some(_)) => {
                return Err(Problem::field("timezone", "does not go with every_ms"));
            }
            (Some(_), Some(_)) => {
                return Err(Problem::field("every_ms", "does not go together with cron"));
            }
            (None, None) => return Err(Problem::field("cron", "or every_ms must be given")),
        };
        named("queue", &queue)?;
        let missed = match missed {
            MissedName::Skip => Missed::Skip,
            MissedName::Once => Missed::Once,
            MissedName::All => Missed::All,
        };
        let job = job.checked()?;
        Ok(Action::Put(Box::new(Spec { timing, queue, job, missed })))
    }
}

impl ScheduledJobRequest {
    fn checked(self) -> Result<JobSpec, Problem> {
        let Self { kind, payload, unique_key, ordering_key, priority } = self;
        named("kind", &kind)?;
        for (field, key) in [("unique_key", &unique_key), ("ordering_key", &ordering_key)] {
            key.as_ref().map_or(Ok(()), |key| named(field, key))?;
        }
        let payload = payload.map_or_else(
            || Ok("null".to_owned()),
            |raw| json::passed_on("payload", &raw, PAYLOAD_BYTES_MAX),
        )?;
        let priority = priority.unwrap_or(PRIORITY_DEFAULT);
        if priority > PRIORITY_MAX {
            return Err(Problem::field("priority", &format!("must be 0 to {PRIORITY_MAX}")));
        }
        Ok(JobSpec { kind, payload, unique_key, ordering_key, priority })
    }
}

fn named(field: &'static str, name: &str) -> Result<(), Problem> {
    if is_name(name) { Ok(()) } else { Err(Problem::field(field, NAME_RULE)) }
}
