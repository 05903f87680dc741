//! The paths of what can be reserved: resources, their seats, their events.

use evenkeel_contract::{BlastRadius, Level, Path, Priority, Settings, metric};

use super::{READ, WRITE, facts};

pub(super) static CREATE: Path = Path {
    name: "reservations.create",
    route: "PUT /v1/resources/{r}",
    user_action: "An organiser puts something up for reservation, or changes how much of it there \
                  is: an event with seats, a stock with a quantity, a lock.",
    promise: "Once answered it can be held. Shrinking never takes from somebody who already holds \
              or has confirmed: that is refused with capacity_in_use.",
    hot_write: "One row for the resource, one for each seat named.",
    data: "The resource with its kind, capacity and counts; each seat with its owner; for a lock, \
           the sentence that says which invariant it protects.",
    kept: "One truth about the capacity, changed in the same order as the holds that use it: a \
           sale and a cut in capacity cannot both win.",
    during_partition: "One machine has none inside. A caller who is cut off puts the same resource \
                       again and arrives at the same state.",
    curl: "curl -X PUT http://127.0.0.1:7480/v1/resources/gig \\\n  \
           --json '{\"kind\":\"quantity\",\"capacity\":100}'",
    defaults: Settings::natural_write(),
    facts: facts::CREATE,
    ..WRITE
};

pub(super) static ADD_SEATS: Path = Path {
    name: "reservations.add_seats",
    route: "POST /v1/resources/{r}/seats",
    user_action: "An organiser adds seats to an event: more than one call may name, or a stand \
                  that was opened later.",
    promise: "A seat is there once, however often it is added; adding one that exists changes \
              neither it nor who has it.",
    hot_write: "One row a seat, and the resource's capacity.",
    data: "Each seat with its owner; the resource's capacity and counts.",
    kept: "All seats of a call or none, in one order with the holds that want them.",
    given_up: "Any number of seats at once: a large house is several calls, so that no call keeps \
               the buyers waiting.",
    during_partition: "One machine has none inside. A caller who is cut off adds the same seats \
                       again and arrives at the same state.",
    curl: "curl http://127.0.0.1:7480/v1/resources/hall/seats \\\n  \
           --json '{\"seats\":[\"B1\",\"B2\"]}'",
    defaults: Settings::natural_write(),
    facts: facts::ADD_SEATS,
    ..WRITE
};

pub(super) static RESOURCE: Path = Path {
    name: "reservations.resource",
    route: "GET /v1/resources/{r}",
    user_action: "Someone opens the page of an event and sees how much is left.",
    promise: "The counts belong together: they are of one moment, never half of a hold, and not \
              older than the answer says.",
    hot_read: "One row, however many holds there are: the counts are kept, not computed; or what was read a moment \
               ago, for whoever accepts that.",
    first_bottleneck: "Decoding requests: the row is in memory. One partition's reads share its \
                       turn with its writes.",
    kept: "Cheap answers for the many who look, so that the coordination is left for the few who \
           buy.",
    given_up: "Certainty that what is shown can still be had a moment later.",
    blast_radius: BlastRadius {
        what: "held, confirmed and available, by as much as the answer says. On one machine a change \
               takes what was kept away before it is answered.",
        who: "People who look. The worst is \"3 left\" and then sold_out; a hold asks the owner \
              and never trusts this answer.",
    },
    curl: "curl http://127.0.0.1:7480/v1/resources/gig",
    defaults: Settings::read(Level::Bounded).with_slo(99.95, 20),
    facts: facts::RESOURCE,
    ..READ
};

pub(super) static RESOURCES: Path = Path {
    name: "reservations.resources",
    route: "GET /v1/resources",
    user_action: "An organiser or a shop pages through everything that can be reserved.",
    promise: "Whatever existed through the whole of the paging is listed once; each item is of one \
              moment, the list as a whole is not.",
    hot_read: "A page of resource rows from every partition, merged by name.",
    first_bottleneck: "Partitions: each page asks all of them, so it costs more than any other \
                       read here and is refused first.",
    kept: "Resources in independent partitions, so that writes to one never wait for another.",
    given_up: "One moment for the whole list, and a cheap list.",
    blast_radius: BlastRadius {
        what: "Which resources there are, and their counts.",
        who: "Whoever browses or administers. A resource that is missing from a page can be held \
              by name all the same.",
    },
    curl: "curl 'http://127.0.0.1:7480/v1/resources?limit=20'",
    defaults: Settings::read(Level::Bounded).with_priority(Priority::Sheddable).with_slo(99.9, 100),
    facts: facts::RESOURCES,
    ..READ
};

pub(super) static SEATS: Path = Path {
    name: "reservations.seats",
    route: "GET /v1/resources/{r}/seats",
    user_action: "Someone looks at the seat map before choosing.",
    promise: "A page is of one moment: no seat in it has two owners or half of a hold.",
    hot_read: "A page of seat rows of one resource, in the order of their names.",
    first_bottleneck: "Bytes: a large hall is many rows, and everybody opens the map when the \
                       sale begins. Draw it once and follow the event stream.",
    kept: "Browsing without slowing down the sale.",
    given_up: "A map that is still true when the finger reaches the screen.",
    blast_radius: BlastRadius {
        what: "The state of each seat.",
        who: "People who choose. The worst is a free seat that answers seat_taken, with the list \
              of those that are gone.",
    },
    curl: "curl 'http://127.0.0.1:7480/v1/resources/hall/seats?state=free&limit=50'",
    defaults: Settings::read(Level::Bounded),
    facts: facts::SEATS,
    ..READ
};

pub(super) static EVENTS: Path = Path {
    name: "reservations.events",
    route: "GET /v1/resources/{r}/events",
    user_action: "A seat map, a mailer or a data pipeline follows what happens to a resource.",
    promise: "Every event after the position that the reader names, once and in order, across \
              reconnects and restarts; or a reset that says that history is gone.",
    hot_read: "The events after a position; at the head, the ones just committed.",
    hot_write: "One event row for each change, in the record of that change.",
    data: "Events, numbered without gaps for each resource, kept for their own retention, \
           whatever becomes of the log.",
    moves: "From the committed record to the partition's subscribers; a reader that is behind \
            reads the stored events instead, so a slow one holds back nobody.",
    first_failure: "A reader that falls behind by more than its buffer is cut off; it comes back \
                    with Last-Event-ID and misses nothing.",
    first_bottleneck: "Open connections and what they are sent: one hot resource with many \
                       watchers is one write and many copies.",
    kept: "Order and completeness for one resource, because a map that misses a release shows a \
           free seat as taken for ever.",
    given_up: "Any order between resources, and events older than their retention.",
    blast_radius: BlastRadius {
        what: "What a reader has not been sent yet.",
        who: "Each reader alone. It knows its position and can tell what it has not seen.",
    },
    during_partition: "One machine has none inside. A reader that is cut off reconnects with its \
                       last position.",
    inline: "Finding the position and sending what follows it. The deadline is that of the first \
             byte; the stream then stays open.",
    later: "Each further event as it is committed, and a comment now and then to keep the \
            connection open.",
    recovery: "Events are rows like any other: after a restart they are there with the same \
               positions, and readers resume.",
    replay: "From any position within the retention; a consumer that stores the position in the \
             transaction of its own effect repeats nothing.",
    watch: &[metric::STREAMS_OPEN, metric::STREAMS_RESET],
    curl: "curl -N http://127.0.0.1:7480/v1/resources/gig/events",
    defaults: Settings::read(Level::Session),
    facts: facts::EVENTS,
    ..READ
};
