//! What the paths of schedules promise, and why: the prose. What the code knows is in `facts`.

mod facts;

use evenkeel_contract::{Access, BlastRadius, Level, Path, Priority, Settings, metric};

/// Every path of this domain.
pub static PATHS: [&Path; 6] = [&PUT, &GET, &LIST, &PAUSE, &RESUME, &DELETE];

static PUT: Path = Path {
    name: "schedules.put",
    route: "PUT /v1/schedules/{s}",
    access: Access::Write,
    user_action: "Someone has a job run every morning, or every minute, and wants to forget about \
                  it.",
    promise: "Once answered, every tick of the schedule enqueues its job once or is counted as \
              missed, through crashes and restarts; what becomes of late ticks is what the schedule \
              says. Put again, it is the same schedule with what it has counted.",
    hot_read: "The schedule's row and its queue's settings, which the node has a copy of.",
    hot_write: "For each tick: the schedule's row, its timer, and an item on its way to the job's \
                partition. What the schedule says is a row of its own, written only when it is put.",
    data: "The schedule's text, zone and job; its next tick; how many ticks fired, were missed and \
           failed. No tick to come is stored but the next.",
    moves: "When a tick is due, the partition of the schedule's name writes the next tick and the \
            job's item in one record; once that is durable the outbox delivers the item to the \
            partition where the job belongs, which takes it in once.",
    first_failure: "The process is down while a tick is due. It fires when the process is back, if \
                    that is within half a minute; later it is late, and fires, fires once with \
                    others, or is missed, as the schedule says.",
    first_bottleneck: "Midnight: every schedule that names it is due at once. Partitions fire them a \
                       bounded number a batch, so the last are seconds late.",
    kept: "One firing a tick. Times that people's clocks show, with the daylight saving of the zone \
           and rules that are built in, the same on every machine.",
    given_up: "Firing on the very millisecond, and telling whoever put it that the job could not be \
               taken in: that is known when it arrives, and then it is a dead delivery.",
    blast_radius: BlastRadius {
        what: "The settings of the queue with which a job is enqueued: those that the node's copy \
               has. On one machine they are the newest.",
        who: "Jobs that are enqueued while somebody changes their queue.",
    },
    during_partition: "One machine has none inside. A caller who is cut off puts the same schedule \
                       again and arrives at the same state.",
    inline: "Reading the expression, finding the next tick, the append, the sync.",
    later: "Each tick, in a record of its own.",
    recovery: "Replayed from the log like every row; ticks that were due meanwhile are due then.",
    replay: "Every record, to the same rows. Records hold effects, not commands: no tick is worked \
             out a second time.",
    watch: &[metric::TIMERS_DUE, metric::LOG_SYNC],
    curl: "curl -X PUT http://127.0.0.1:7480/v1/schedules/report \\\n  \
           --json '{\"cron\":\"0 7 * * MON-FRI\",\"timezone\":\"Europe/Berlin\",\"queue\":\"mail\",\
           \"job\":{\"kind\":\"report\"}}'",
    defaults: Settings::natural_write(),
    facts: facts::PUT,
};

static PAUSE: Path = Path {
    name: "schedules.pause",
    route: "POST /v1/schedules/{s}/pause",
    user_action: "Someone has a schedule not fire for a while: what it starts is broken, or being \
                  moved.",
    promise: "Once answered, no tick fires. One that was due before has fired, or is counted as \
              missed; those that would have been due meanwhile are neither.",
    hot_read: "The schedule's row.",
    hot_write: "The schedule's row; its timer goes.",
    moves: "Through the log of the partition of the schedule's name.",
    first_failure: "The disk is full: unavailable, and the schedule goes on.",
    first_bottleneck: "None to expect: it is done by hand.",
    kept: "A certain end: after the answer nothing more comes of it.",
    given_up: "Stopping jobs that were enqueued before: they are the queue's, and cancelled there.",
    blast_radius: BlastRadius {
        what: "Jobs of ticks before the pause.",
        who: "Workers, which may still be given them.",
    },
    inline: "The append and the sync.",
    later: "Nothing.",
    curl: "curl -X POST http://127.0.0.1:7480/v1/schedules/report/pause",
    defaults: Settings::natural_write().with_priority(Priority::Critical),
    facts: facts::PAUSE,
    ..PUT
};

static RESUME: Path = Path {
    name: "schedules.resume",
    route: "POST /v1/schedules/{s}/resume",
    user_action: "Someone has a schedule fire again.",
    promise: "The next tick after now is the first that fires; an interval goes on in its old beat. \
              Nothing is made up for, whatever the schedule says of late ticks.",
    hot_write: "The schedule's row and its timer.",
    kept: "No surprise: whoever resumes a schedule after a week does not start a week's jobs.",
    given_up: "What was not done meanwhile. Enqueue it by hand if it must be.",
    blast_radius: BlastRadius { what: "Nothing: the next tick is in the answer.", who: "Nobody." },
    curl: "curl -X POST http://127.0.0.1:7480/v1/schedules/report/resume",
    facts: facts::RESUME,
    ..PAUSE
};

static DELETE: Path = Path {
    name: "schedules.delete",
    route: "DELETE /v1/schedules/{s}",
    user_action: "Someone takes a schedule away.",
    promise: "Once answered, no tick fires and nothing is known of it. The same name can be put again, \
              as a new schedule.",
    hot_write: "The schedule's rows and its timer, which are deleted.",
    data: "Nothing is left of it. What it has enqueued is the queue's.",
    during_partition: "One machine has none inside. A caller who is cut off deletes again; not_found \
                       then means that it is gone.",
    curl: "curl -X DELETE http://127.0.0.1:7480/v1/schedules/report",
    facts: facts::DELETE,
    ..PAUSE
};

static GET: Path = Path {
    name: "schedules.get",
    route: "GET /v1/schedules/{s}",
    access: Access::Read,
    user_action: "Someone asks when a job runs next, or why it did not run last night.",
    promise: "What the schedule says, its next five ticks, when it last fired, and how many ticks \
              fired, were missed and failed, as of one moment.",
    hot_read: "The schedule's two rows. The ticks are worked out by whoever answers, not by the \
               partition.",
    hot_write: "None.",
    data: "Nothing of its own: it reads the schedule.",
    moves: "From the partition's committed state to the caller; no record is written.",
    first_failure: "A state file that cannot be read: unavailable, until it is opened again or \
                    rebuilt.",
    first_bottleneck: "Decoding requests: two rows are little.",
    kept: "Seeing one's own changes, because whoever has just put a schedule looks whether it is \
           right.",
    given_up: "Ticks beyond the next five, and a promise that they stay: a zone's rules change, and \
               with them what is not yet due.",
    blast_radius: BlastRadius {
        what: "Counts and ticks that somebody looks at.",
        who: "People who are looking. Nothing is decided from such a view.",
    },
    during_partition: "One machine has none inside. A caller who is cut off asks again.",
    inline: "Reading and answering.",
    later: "Nothing.",
    recovery: "Nothing to recover: it reads what is.",
    replay: "Nothing: a read leaves no trace.",
    watch: &[],
    curl: "curl http://127.0.0.1:7480/v1/schedules/report",
    defaults: Settings::read(Level::Session),
    facts: facts::GET,
};

static LIST: Path = Path {
    name: "schedules.list",
    route: "GET /v1/schedules",
    user_action: "Someone pages through everything that runs by itself.",
    promise: "A schedule that exists through the whole of the paging is listed once; each item is of \
              one moment, the list as a whole is not.",
    hot_read: "A page of rows from every partition, by name within each.",
    first_bottleneck: "Partitions: each page asks all of them, and is refused first.",
    kept: "Schedules in independent partitions, so that one that is busy holds up no other.",
    given_up: "One moment and one order for the whole list, and payloads: one schedule shows its own.",
    blast_radius: BlastRadius {
        what: "Which schedules there are, and their counts.",
        who: "People who are looking. A schedule that is missing from a page fires all the same.",
    },
    curl: "curl 'http://127.0.0.1:7480/v1/schedules?limit=20'",
    defaults: Settings::read(Level::Session).with_priority(Priority::Sheddable),
    facts: facts::LIST,
    ..GET
};
