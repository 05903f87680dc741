//! The paths of what queues say: rows of `meta`, of which every node has a copy.

use super::{READ, facts};
use evenkeel_contract::{Access, BlastRadius, Level, Path, Priority, Settings, metric};

pub(super) static PUT: Path = Path {
    name: "jobs.put_queue",
    route: "PUT /v1/queues/{q}",
    access: Access::Write,
    user_action: "A team says how the work of a queue is to be done, or changes its mind while jobs \
                  wait in it.",
    promise: "Once answered, what is asked of the queue on this node is decided by it. Jobs that \
              are there stay, whatever the new settings are; over how many partitions the queue is \
              spread is fixed for its life.",
    hot_read: "None that grows: queues are put by hand or by a deployment.",
    hot_write: "One row or two, and the counts of queues.",
    data: "The queue's name and settings; where its jobs are sent and what they are signed with, if \
           they are; how many queues each tenant has.",
    moves: "Through the log of the meta partition into the copy that requests are resolved against; \
            then with every request to the partition that decides, and once to all of them, which \
            keep it for what falls due when nobody asks.",
    first_failure: "The disk is full: unavailable, and the old settings go on.",
    first_bottleneck: "None to expect: it is rare.",
    kept: "Settings that change at run time and lose no job.",
    given_up: "Changing where jobs are: a queue that is to be spread otherwise is another queue.",
    blast_radius: BlastRadius {
        what: "The settings that a partition decides by. On one machine they are current when this \
               is answered, unless a partition is not served: then when it next is.",
        who: "Workers and producers of the queue, whose requests were on their way.",
    },
    during_partition: "One machine has none inside. A caller who is cut off puts the same queue \
                       again and arrives at the same state.",
    inline: "The append and the sync of the queue's row, the new copy, and telling the partitions.",
    later: "Nothing.",
    recovery: "Queues are rows of the meta partition: replayed from the log like all others. A \
               partition that was not told is told at the next start.",
    replay: "Every record of meta, to the same queues.",
    watch: &[metric::LOG_SYNC],
    curl: "curl -X PUT http://127.0.0.1:7480/v1/queues/mail --json '{\"max_attempts\":10}'",
    defaults: Settings::natural_write(),
    facts: facts::PUT_QUEUE,
};

pub(super) static PAUSE: Path = Path {
    name: "jobs.pause",
    route: "POST /v1/queues/{q}/pause",
    user_action: "An operator stops the work of a queue, perhaps in a hurry.",
    promise: "Once answered, no job of the queue is leased. What is leased already goes on; jobs \
              are taken in, and schedules fire.",
    hot_write: "The queue's row.",
    data: "Whether the queue is paused.",
    first_failure: "The disk is full: unavailable, and work goes on. Stop the workers if that \
                    cannot wait.",
    kept: "A pause that is certain when it is answered, and survives every crash.",
    given_up: "Stopping what runs: cancel those jobs, or let them finish.",
    curl: "curl -X POST http://127.0.0.1:7480/v1/queues/mail/pause",
    defaults: Settings::natural_write().with_priority(Priority::Critical),
    facts: facts::SET_MODE,
    ..PUT
};

pub(super) static RESUME: Path = Path {
    name: "jobs.resume",
    route: "POST /v1/queues/{q}/resume",
    user_action: "The cause is mended, and the queue is to work again.",
    promise: "Once answered, workers that wait are given what is ready, and jobs are taken in.",
    kept: "One way back from a pause and from draining.",
    given_up: "Starting slowly: a concurrency limit does that.",
    curl: "curl -X POST http://127.0.0.1:7480/v1/queues/mail/resume",
    ..PAUSE
};

pub(super) static DRAIN: Path = Path {
    name: "jobs.drain",
    route: "POST /v1/queues/{q}/drain",
    user_action: "A team gives a queue up, or moves it, and wants it empty.",
    promise: "Once answered, no request has a job taken in (queue_draining). What is there is worked \
              off, retries included. What other partitions or schedules had on its way still comes.",
    data: "Whether the queue is draining.",
    kept: "An end without a lost job.",
    given_up: "Refusing what was promised before: a delivery cannot be refused.",
    curl: "curl -X POST http://127.0.0.1:7480/v1/queues/mail/drain",
    ..PAUSE
};

pub(super) static DELETE: Path = Path {
    name: "jobs.delete_queue",
    route: "DELETE /v1/queues/{q}",
    user_action: "A team takes away a queue that is not used any more.",
    promise: "Only a queue that was told to drain, and in which no job waits or runs, is deleted; \
              once answered, it is not found. Jobs that were over are kept as long as they would be.",
    data: "The queue's row, which is deleted.",
    first_failure: "Somebody still puts jobs in: queue_in_use, and nothing happens.",
    kept: "No unfinished job without a queue.",
    given_up: "A quick end of a queue that is full: cancel its jobs, or work them off.",
    during_partition: "One machine has none inside. A caller who is cut off deletes again; not_found \
                       then means that it is gone.",
    curl: "curl -X DELETE http://127.0.0.1:7480/v1/queues/mail",
    facts: facts::DELETE_QUEUE,
    ..PUT
};

pub(super) static LIST: Path = Path {
    name: "jobs.queues",
    route: "GET /v1/queues",
    user_action: "Someone pages through the queues of a tenant.",
    promise: "A queue that exists through the whole of the paging is listed once, by name.",
    hot_read: "A page of settings of the copy in memory.",
    data: "Nothing of its own: it reads the copy of the queues.",
    moves: "From the node's copy of the meta partition to the caller; no record is written.",
    first_failure: "A node that has not caught up with the meta partition: unavailable.",
    first_bottleneck: "Bytes: a page is bounded.",
    kept: "A list that costs the partitions nothing.",
    given_up: "Counts: each queue by itself says how it is.",
    blast_radius: BlastRadius {
        what: "Queues that another operator put or deleted a moment ago.",
        who: "Operators. A queue that is missing from a page can be asked for by name all the same.",
    },
    curl: "curl 'http://127.0.0.1:7480/v1/queues?limit=20'",
    defaults: Settings::read(Level::Session),
    facts: facts::QUEUES,
    ..READ
};
