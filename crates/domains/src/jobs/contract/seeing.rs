//! The paths of whoever looks, or brings dead letters back.

use super::{READ, WRITE, facts};
use evenkeel_contract::{BlastRadius, Level, Path, Priority, Settings};

pub(super) static GET: Path = Path {
    name: "jobs.get",
    route: "GET /v1/queues/{q}/jobs/{j}",
    user_action: "Someone asks what became of a job, or why it is not running.",
    promise: "Whoever enqueued it sees it. A job that is not running says what it waits for: other \
              jobs, the head of its ordering key, its time, the queue, a slot, or a worker.",
    hot_read: "The job, its payload and what was said about it; of one that waits, what it waits \
               for.",
    first_bottleneck: "Callers who ask again and again: follow the queue instead.",
    kept: "A reason for every job, read from the same rows that decide.",
    given_up: "All reasons at once: the first thing in its way is named.",
    curl: "curl http://127.0.0.1:7480/v1/queues/mail/jobs/$JOB",
    facts: facts::GET,
    ..READ
};

pub(super) static LIST: Path = Path {
    name: "jobs.list",
    route: "GET /v1/queues/{q}/jobs",
    user_action: "Someone pages through the jobs of a queue by state and kind.",
    promise: "A job that stays as it is through the whole of the paging, lease and all, is listed once.",
    hot_read: "A page of the index and the jobs in it, in every partition.",
    first_bottleneck: "A kind that is rare: a page looks at a bounded number of jobs and may come \
                       back with few and a cursor.",
    kept: "Lists that cost the queue no row of their own.",
    given_up: "One moment for the whole list.",
    blast_radius: BlastRadius {
        what: "Which jobs are in which state.",
        who: "Operators. A job that moved while they paged may be listed twice or not at all.",
    },
    curl: "curl 'http://127.0.0.1:7480/v1/queues/mail/jobs?state=ready&limit=20'",
    defaults: Settings::read(Level::Bounded).with_priority(Priority::Sheddable).with_slo(99.9, 100),
    facts: facts::LIST,
    ..READ
};

pub(super) static QUEUE: Path = Path {
    name: "jobs.queue",
    route: "GET /v1/queues/{q}",
    user_action: "Someone asks how much is waiting, and whether it is getting less.",
    promise: "The counts of each partition are those of its jobs at one moment.",
    hot_read: "One row of counts a kind, in every partition.",
    first_bottleneck: "None to expect: counts are kept, never counted.",
    kept: "Counts that cost the same however many jobs there are.",
    given_up: "One moment for all partitions together.",
    blast_radius: BlastRadius {
        what: "Counts and ages.",
        who: "Operators and what scales workers. Nothing is admitted or refused by them.",
    },
    curl: "curl http://127.0.0.1:7480/v1/queues/mail",
    defaults: Settings::read(Level::Bounded),
    facts: facts::QUEUE,
    ..READ
};

pub(super) static EVENTS: Path = Path {
    name: "jobs.events",
    route: "GET /v1/queues/{q}/events",
    user_action: "An auditor asks who brought dead letters back, or an alert waits for new ones.",
    promise: "Every dead letter and every replay after the position that the reader names, once and \
              in order for each partition; or a reset that says that history is gone.",
    hot_read: "The events after a position.",
    first_bottleneck: "Bytes, where everything fails: an event carries its error.",
    kept: "A trace of what an operator did, in the record of what they did.",
    given_up: "Events of what goes as it should: they would cost a row for each change of a job.",
    curl: "curl http://127.0.0.1:7480/v1/queues/mail/events",
    facts: facts::EVENTS,
    ..READ
};

pub(super) static DEAD: Path = Path {
    name: "jobs.dead",
    route: "GET /v1/queues/{q}/dead",
    user_action: "Someone looks at what failed for good, by kind, error and time.",
    promise: "The dead letters of each partition are listed in the order in which they died, with \
              their last error.",
    curl: "curl 'http://127.0.0.1:7480/v1/queues/mail/dead?kind=welcome'",
    facts: facts::DEAD,
    ..LIST
};

pub(super) static RETRY: Path = Path {
    name: "jobs.retry",
    route: "POST /v1/queues/{q}/jobs/{j}/retry",
    user_action: "Someone wants one dead letter tried again.",
    promise: "The job comes back with its budgets full, at once, and the queue's events say who did \
              it.",
    hot_read: "The job's row, and whether another job has its unique key.",
    hot_write: "The job's row, its place in the index and in its line; one event.",
    kept: "The job as it was: its name, its payload, its place before those that are younger.",
    given_up: "Waiting for what it was to run after: who brings it back knows better.",
    during_partition: "One machine has none inside. A caller who is cut off asks again: not_dead then \
                       means that it has come back.",
    later: "The attempt.",
    curl: "curl -X POST http://127.0.0.1:7480/v1/queues/mail/jobs/$JOB/retry",
    facts: facts::RETRY,
    ..WRITE
};

pub(super) static REPLAY: Path = Path {
    name: "jobs.replay",
    route: "POST /v1/queues/{q}/dead/replay",
    user_action: "The cause is mended, and someone has the failed work tried again.",
    promise: "The dead letters that the filter means come back with their budgets full, those of \
              each partition oldest first, and the queue's events say who did it. A dry run says which they would be. One \
              whose unique key another job has stays where it is, and is counted.",
    hot_read: "A bounded number of dead letters after a cursor, and their errors.",
    hot_write: "Each job's row, its place in the index and in its line; one event.",
    first_bottleneck: "The backlog: a replay fills it like any enqueue and stops when it is full.",
    kept: "A replay that can be filtered, tried dry, slowed down and found again in the audit.",
    given_up: "One step for all of them: it goes on from a cursor, and what fails again meanwhile \
               is at the end of the list.",
    during_partition: "One machine has none inside. A caller who is cut off asks again from the \
                       same cursor: what has come back is a dead letter no more.",
    later: "The attempts.",
    curl: "curl http://127.0.0.1:7480/v1/queues/mail/dead/replay \\\n  \
           --json '{\"filter\":{\"kind\":\"welcome\"},\"dry_run\":true}'",
    facts: facts::REPLAY,
    ..WRITE
};
