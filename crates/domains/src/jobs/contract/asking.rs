//! The paths of whoever has work done.

use super::{WRITE, facts};
use evenkeel_contract::{BlastRadius, Path, Priority, Settings, metric};

pub(super) static ENQUEUE: Path = Path {
    name: "jobs.enqueue",
    route: "POST /v1/queues/{q}/jobs",
    user_action: "A program hands over work that is to be done later, and goes on.",
    promise: "Once answered, the job will be tried until it is done, is a dead letter or is \
              cancelled, whatever crashes. While a job with the same unique key is not over, that \
              one is answered and nothing is taken in.",
    hot_read: "The queue's row; with a unique key, whether it is taken; with an ordering key, its \
               head.",
    hot_write: "The job, its payload and its place in the index; a row for each key; the counts of \
                its kind and of its queue.",
    first_bottleneck: "The disk's syncs, which larger batches make cheaper for each job. A backlog \
                       makes nothing slower: all that is looked up is at the front of a range.",
    kept: "Work that outlives its sender, its worker and the machine's power; uniqueness that is \
           the job's state, so that no lock can outlive it.",
    given_up: "Taking work in without bounds: at max_backlog a job is refused, those of low \
               priority first. A queue's bound is split over its partitions, so one may be full \
               while another has room.",
    during_partition: "One machine has none inside. A caller who is cut off sends the same request \
                       with the same Idempotency-Key: it is taken in once.",
    later: "Waking a worker that waits, and everything that the job is for.",
    watch: &[metric::QUEUE_JOBS, metric::QUEUE_OLDEST, metric::LOG_SYNC],
    curl: "curl http://127.0.0.1:7480/v1/queues/mail/jobs \\\n  \
           --json '{\"jobs\":[{\"kind\":\"welcome\",\"payload\":{\"to\":\"ada\"}}]}'",
    defaults: Settings::keyed_write(),
    facts: facts::ENQUEUE,
    ..WRITE
};

pub(super) static CANCEL: Path = Path {
    name: "jobs.cancel",
    route: "POST /v1/queues/{q}/jobs/{j}/cancel",
    user_action: "Someone has changed their mind about work that is waiting or being done.",
    promise: "A job that no worker has is never started. One that is being done is told at its next \
              word, and does not run again.",
    hot_read: "The job's row.",
    kept: "One order of the cancellation and of all that the worker says: who is first is certain.",
    given_up: "Stopping a worker that does not speak: it goes on until its lease ends, or is \
               faster and completes the job.",
    blast_radius: BlastRadius {
        what: "What a worker does between its last word and its next.",
        who: "Whatever the worker writes to. Its fence tells that a lease is over, not that it is \
              to stop.",
    },
    later: "Jobs that were to run after it become dead letters.",
    curl: "curl -X POST http://127.0.0.1:7480/v1/queues/mail/jobs/$JOB/cancel",
    defaults: Settings::natural_write().with_priority(Priority::Critical),
    facts: facts::CANCEL,
    ..WRITE
};
