//! The paths of who has it: a hold, and the ways in which it resolves.

use evenkeel_contract::{BlastRadius, Level, Path, Priority, Settings, metric};

use super::{READ, WRITE, facts};

pub(super) static HOLD: Path = Path {
    name: "reservations.hold",
    route: "POST /v1/resources/{r}/holds",
    user_action: "Someone picks seats or a quantity and gets a few minutes to pay; or a worker \
                  takes a lock.",
    promise: "What is held for one is sold to nobody else until the hold is confirmed, released or \
              expired: all the places asked for, or none.",
    hot_read: "The rows of the wanted seats, or the resource's counts, in the partition that \
               decides.",
    hot_write: "The hold, its seats or the counts, its timer, one event, and the reply under its \
                idempotency key; all in one record.",
    data: "The hold with its holder, places, fence and expires_at; the owner of each seat; the \
           resource's counts; the timer; the event; the key with its reply.",
    first_bottleneck: "A flash crowd on one resource: one thread decides for it. A full mailbox \
                       answers overloaded at once, with Retry-After, and has done nothing.",
    kept: "Never more held and confirmed than there is. Two people with one seat cannot be made \
           good afterwards, so this is worth waiting for the disk.",
    blast_radius: BlastRadius {
        what: "Seat maps and counts that others have on the screen.",
        who: "People who look. The worst is a seat shown free that answers seat_taken: their hold \
              is decided on the newest state, whatever their screen says.",
    },
    later: "Expiry when its time comes, the event to its subscribers, moving the rows into the \
            state file.",
    watch: &[metric::MAILBOX_DEPTH, metric::BATCH_SIZE, metric::LOG_SYNC, metric::TIMERS_DUE],
    curl: "curl http://127.0.0.1:7480/v1/resources/gig/holds \\\n  \
           -H 'Idempotency-Key: order-1' \\\n  \
           --json '{\"holder\":\"u1\",\"ttl_ms\":300000,\"quantity\":2}'",
    defaults: Settings::keyed_write()
        .with_deadline_ms(500)
        .with_priority(Priority::Critical)
        .with_slo(99.95, 20),
    facts: facts::HOLD,
    ..WRITE
};

pub(super) static GET_HOLD: Path = Path {
    name: "reservations.get_hold",
    route: "GET /v1/resources/{r}/holds/{h}",
    user_action: "A checkout page asks whether its hold still stands and for how long.",
    promise: "Whoever made or changed the hold sees their own change, and never an earlier state \
              after a later one.",
    hot_read: "One hold row.",
    first_bottleneck: "Decoding requests: the row is in memory. Pages that poll; the event stream \
                       costs less.",
    kept: "Reading one's own writes, because a buyer who has just paid and reads \"held\" pays \
           again.",
    given_up: "Seeing at once what others did, on a replica that lags.",
    blast_radius: BlastRadius {
        what: "The hold's state and expires_at, as far as others change them.",
        who: "The page of somebody else, such as a help desk. Confirming asks the owner and never \
              trusts this answer.",
    },
    curl: "curl http://127.0.0.1:7480/v1/resources/gig/holds/$HOLD",
    defaults: Settings::read(Level::Session).with_slo(99.95, 20),
    facts: facts::GET_HOLD,
    ..READ
};

pub(super) static HOLDS: Path = Path {
    name: "reservations.holds",
    route: "GET /v1/resources/{r}/holds",
    user_action: "An organiser pages through who holds and who has confirmed.",
    promise: "Each page is of one moment; a hold that exists through the whole of the paging is \
              listed once.",
    hot_read: "A page of hold rows of one resource.",
    first_bottleneck: "Rows: a big sale has many holds, and resolved ones stay until their \
                       retention ends.",
    kept: "Paging that does not slow down the sale.",
    given_up: "One moment for all pages together.",
    blast_radius: BlastRadius {
        what: "The state of each hold listed.",
        who: "Whoever administers. Acting on a hold asks the owner and refuses what is no longer \
              so.",
    },
    curl: "curl 'http://127.0.0.1:7480/v1/resources/gig/holds?limit=50'",
    defaults: Settings::read(Level::Bounded).with_priority(Priority::Sheddable),
    facts: facts::HOLDS,
    ..READ
};

pub(super) static CONFIRM: Path = Path {
    name: "reservations.confirm",
    route: "POST /v1/resources/{r}/holds/{h}/confirm",
    user_action: "The payment went through, and the shop makes the hold a sale.",
    promise: "A hold becomes a sale once, or is told clearly that it is too late. Of confirm and \
              expiry exactly one wins. A late payment may ask for the same places again and gets \
              them if nobody else has them.",
    hot_read: "The hold and, if it is late, the rows of its places.",
    hot_write: "The hold, its seats or the counts, one event, and the reply under its idempotency \
                key.",
    data: "The hold's state; the resource's counts; the event; the key with its reply.",
    kept: "One resolution a hold, decided by the log's own time and order: a wall clock that steps \
           can neither give a sold seat away nor take a paid one.",
    given_up: "Grace: a payment that arrives after expires_at is answered hold_expired, even if \
               the seat is still free, unless it says {\"late\":\"reacquire\"}.",
    blast_radius: BlastRadius {
        what: "Maps and lists that still say \"held\".",
        who: "People who look; held and confirmed are equally gone to them.",
    },
    later: "The event to its subscribers: tickets and mail are sent by whoever follows it.",
    curl: "curl http://127.0.0.1:7480/v1/resources/gig/holds/$HOLD/confirm \\\n  \
           -H 'Idempotency-Key: payment-1' --json '{}'",
    defaults: Settings::keyed_write().with_priority(Priority::Critical).with_slo(99.99, 20),
    facts: facts::CONFIRM,
    ..WRITE
};

pub(super) static RELEASE: Path = Path {
    name: "reservations.release",
    route: "POST /v1/resources/{r}/holds/{h}/release",
    user_action: "Someone walks away from the checkout, or a worker gives its lock back.",
    promise: "The places are free for the next one as soon as this is answered, and are given back \
              once.",
    hot_write: "The hold, its seats or the counts, its timer removed, one event.",
    data: "The hold's state; the resource's counts; the event.",
    kept: "Giving back exactly what was held: counting it twice would sell a place that is not \
           there.",
    blast_radius: BlastRadius {
        what: "Maps and counts that do not show the places as free yet.",
        who: "People who look: they may wait for a place that could already be had. Nothing is \
              oversold by it.",
    },
    later: "The event to its subscribers. If a release never comes, expiry does the same.",
    curl: "curl http://127.0.0.1:7480/v1/resources/gig/holds/$HOLD/release \\\n  \
           -H 'Idempotency-Key: release-1' --json '{}'",
    facts: facts::RELEASE,
    ..WRITE
};

pub(super) static EXTEND: Path = Path {
    name: "reservations.extend",
    route: "POST /v1/resources/{r}/holds/{h}/extend",
    user_action: "Someone needs longer to pay, or a worker keeps its lock while it works.",
    promise: "If it is answered with a new expires_at, the hold stands until then. A hold that has \
              expired cannot be brought back by it.",
    hot_read: "The hold row.",
    hot_write: "The hold and its timer, one event.",
    data: "The hold's expires_at; its timer; the event.",
    kept: "A hold without an end that nobody chose: each extension is a decision in the same order \
           as expiry.",
    given_up: "Extending from a screen that believes it is in time: only the partition's own time \
               counts.",
    blast_radius: BlastRadius {
        what: "An expires_at that was read before.",
        who: "Countdowns on a screen: they may run out early, never late.",
    },
    curl: "curl http://127.0.0.1:7480/v1/resources/gig/holds/$HOLD/extend \\\n  \
           -H 'Idempotency-Key: extend-1' --json '{\"ttl_ms\":120000}'",
    facts: facts::EXTEND,
    ..WRITE
};

pub(super) static CANCEL: Path = Path {
    name: "reservations.cancel",
    route: "POST /v1/resources/{r}/holds/{h}/cancel",
    user_action: "A sale is taken back: the buyer returns the ticket or the payment is reversed.",
    promise: "The places of a confirmed hold are free again once, and the sale is shown as \
              cancelled, not as never made.",
    hot_write: "The hold, its seats or the counts, one event, and the reply under its idempotency \
                key.",
    data: "The hold's state; the resource's counts; the event; the key with its reply.",
    kept: "One return a sale: a cancellation that is sent twice frees the places once, even if \
           they have been sold again in between.",
    blast_radius: BlastRadius {
        what: "Maps and counts that do not show the places as free yet.",
        who: "People who look: they may miss a returned place for a moment. Nothing is oversold by \
              it.",
    },
    later: "The event to its subscribers: the refund is made by whoever follows it.",
    curl: "curl http://127.0.0.1:7480/v1/resources/gig/holds/$HOLD/cancel \\\n  \
           -H 'Idempotency-Key: cancel-1' --json '{}'",
    facts: facts::CANCEL,
    ..WRITE
};
