//! The paths of workers.

use super::{WRITE, facts};
use evenkeel_contract::{Path, Priority, Settings, metric};

pub(super) static LEASE: Path = Path {
    name: "jobs.lease",
    route: "POST /v1/queues/{q}/lease",
    user_action: "A worker asks for something to do.",
    promise: "The jobs are the worker's alone until their leases end. Nobody else has a live lease \
              of the same job or of the same ordering key, and a later lease has a higher fence.",
    hot_read: "The front of each priority that has jobs, then each job and its payload.",
    hot_write: "Each job's row and its place in the index.",
    first_bottleneck: "One partition's thread for what is ready there. The size of the backlog \
                       does not matter.",
    kept: "Priorities, an ordering key's order and the limit, which is the number of live leases \
           and cannot leak.",
    given_up: "A strict order of the whole queue: each partition gives out its own jobs, and a job \
               of a high priority is overtaken by one of a low that is old enough.",
    during_partition: "One machine has none inside. A worker that never hears the answer loses \
                       nothing: the leases end and the jobs are tried again, counted as crashes.",
    later: "A lease that ends without a word gives the job back.",
    watch: &[metric::QUEUE_WORKERS, metric::KIND_WAIT, metric::QUEUE_EVENTS, metric::TIMERS_DUE],
    curl: "curl http://127.0.0.1:7480/v1/queues/mail/lease --json '{\"worker\":\"w1\",\"max\":10}'",
    facts: facts::LEASE,
    ..WRITE
};

pub(super) static COMPLETE: Path = Path {
    name: "jobs.complete",
    route: "POST /v1/queues/{q}/jobs/{j}/complete",
    user_action: "A worker has done the job.",
    promise: "Once answered, the job is done and never tried again. Of a worker whose lease has \
              ended, nothing is changed: stale_lease.",
    kept: "One end for each job, whoever believes to have done it; the same word twice is answered \
           twice.",
    given_up: "Accepting work that was finished after its lease, even if nobody has begun anew: \
               its effects may be there and the job runs again, so effects are to be idempotent or \
               fenced.",
    later: "The next of its ordering key, and those that were to run after it; forgetting it when \
            it was kept long enough.",
    curl: "curl http://127.0.0.1:7480/v1/queues/mail/jobs/$JOB/complete \\\n  \
           --json \"{\\\"lease\\\":\\\"$LEASE\\\"}\"",
    defaults: Settings::natural_write().with_priority(Priority::Critical),
    facts: facts::COMPLETE,
    ..WRITE
};

pub(super) static COMPLETE_MANY: Path = Path {
    name: "jobs.complete_many",
    route: "POST /v1/queues/{q}/complete",
    user_action: "A worker has done the jobs that it was given together.",
    promise: "Each job is completed for itself, as if alone, and answered in its place: that one \
              lease has ended changes nothing for the others.",
    kept: "One request for many jobs; those of a partition share its record.",
    given_up: "All or none: each has its own lease.",
    curl: "curl http://127.0.0.1:7480/v1/queues/mail/complete \\\n  \
           --json \"{\\\"jobs\\\":[{\\\"job\\\":\\\"$JOB\\\",\\\"lease\\\":\\\"$LEASE\\\"}]}\"",
    ..COMPLETE
};

pub(super) static FAIL: Path = Path {
    name: "jobs.fail",
    route: "POST /v1/queues/{q}/jobs/{j}/fail",
    user_action: "A worker could not do the job and says why.",
    promise: "It is tried again later, each time after a longer wait, until its attempts are used \
              up; then it is a dead letter with its last error.",
    kept: "Retries that do not come all at once: each wait is longer or shorter by an amount of \
           its own.",
    given_up: "An immediate retry: a worker that wants one tries again before it fails the job.",
    later: "The next attempt, or for a dead letter whatever the queue's head policy says about its \
            ordering key.",
    curl: "curl http://127.0.0.1:7480/v1/queues/mail/jobs/$JOB/fail \\\n  \
           --json \"{\\\"lease\\\":\\\"$LEASE\\\",\\\"error\\\":\\\"no such address\\\",\\\"retry\\\":false}\"",
    facts: facts::FAIL,
    ..COMPLETE
};

pub(super) static EXTEND: Path = Path {
    name: "jobs.extend",
    route: "POST /v1/queues/{q}/jobs/{j}/extend",
    user_action: "A worker needs more time, and hears whether it is to stop.",
    promise: "The lease ends when the answer says, neither sooner nor later: what the queue does not \
              allow is refused, never shortened.",
    kept: "A lease that is over cannot be brought back by it, so two workers never have one job.",
    given_up: "Extending by a clock that believes it is in time: only the partition's own counts.",
    later: "Nothing.",
    curl: "curl http://127.0.0.1:7480/v1/queues/mail/jobs/$JOB/extend \\\n  \
           --json \"{\\\"lease\\\":\\\"$LEASE\\\",\\\"lease_ms\\\":60000}\"",
    facts: facts::EXTEND,
    ..COMPLETE
};

pub(super) static SNOOZE: Path = Path {
    name: "jobs.snooze",
    route: "POST /v1/queues/{q}/jobs/{j}/snooze",
    user_action: "A worker finds that it is too early for the job.",
    promise: "It is tried again after the time that the worker names, and no failure is counted.",
    kept: "Budgets that count failures and crashes, and nothing else.",
    given_up: "A bound on how often a job is put off.",
    later: "The next attempt.",
    curl: "curl http://127.0.0.1:7480/v1/queues/mail/jobs/$JOB/snooze \\\n  \
           --json \"{\\\"lease\\\":\\\"$LEASE\\\",\\\"delay_ms\\\":60000}\"",
    facts: facts::SNOOZE,
    ..COMPLETE
};

pub(super) static PROGRESS: Path = Path {
    name: "jobs.progress",
    route: "POST /v1/queues/{q}/jobs/{j}/progress",
    user_action: "A worker says how far it is, and hears whether it is to stop.",
    promise: "Whoever tries the job next is told the last that was said, whatever became of who said \
              it.",
    hot_write: "The note of how far it is.",
    kept: "Work in steps that does not begin anew after a crash.",
    given_up: "A history: only the last is kept.",
    later: "Nothing.",
    curl: "curl http://127.0.0.1:7480/v1/queues/mail/jobs/$JOB/progress \\\n  \
           --json \"{\\\"lease\\\":\\\"$LEASE\\\",\\\"progress\\\":{\\\"page\\\":7}}\"",
    facts: facts::PROGRESS,
    ..COMPLETE
};
