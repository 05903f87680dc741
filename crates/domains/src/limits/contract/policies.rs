//! The paths of what limits say: rows of `meta`, of which every node has a copy.

use evenkeel_contract::{Access, BlastRadius, Level, Path, Settings, metric};

use super::facts;

pub(super) static PUT: Path = Path {
    name: "limits.put",
    route: "PUT /v1/limits/{limit}",
    access: Access::Write,
    user_action: "An operator says how much of something there may be, or changes their mind while \
                  it is in use.",
    promise: "Once answered, checks on this node are decided by it. What was counted before stays \
              counted: as many units are used, and come back as the new policy has it. A key that \
              has more used than there may now be is used up a minute later, and not more than that.",
    hot_read: "None that grows: limits are put by hand or by a deployment.",
    hot_write: "One row, and the counts of limits.",
    data: "The limit's name and policy; how many limits each tenant has.",
    moves: "Through the log of the meta partition into the copy that checks are resolved against, \
            and with each check to the partition that counts.",
    first_failure: "The disk is full: unavailable, and the old policy goes on.",
    first_bottleneck: "None to expect: the copy is replaced as a whole, which ten thousand limits \
                       changed one by one would feel.",
    kept: "Policies that change at run time without forgetting what was counted. What decides where \
           and how a limit counts (its algorithm, whether it is scoped) is fixed for its life.",
    given_up: "Counting anew under a longer window what a shorter one had forgotten: the first \
               window after such a change knows only what was still there. Giving back what was \
               counted under the policy before.",
    blast_radius: BlastRadius {
        what: "The policy that a check is decided by. On one machine it is current before the \
               answer.",
        who: "Checks that were on their way: they are decided by the policy that they carry.",
    },
    during_partition: "One machine has none inside. A caller who is cut off puts the same limit \
                       again and arrives at the same state.",
    inline: "The append and the sync of the limit's row, and the new copy.",
    later: "Nothing.",
    recovery: "Limits are rows of the meta partition: replayed from the log like all others.",
    replay: "Every record of meta, to the same limits.",
    watch: &[metric::LOG_SYNC],
    curl: "curl -X PUT http://127.0.0.1:7480/v1/limits/logins \\\n  \
           --json '{\"algorithm\":\"gcra\",\"quantity\":100,\"period_ms\":60000,\"burst\":20}'",
    defaults: Settings::natural_write(),
    facts: facts::PUT,
};

pub(super) static DELETE: Path = Path {
    name: "limits.delete",
    route: "DELETE /v1/limits/{limit}",
    user_action: "An operator takes a limit away.",
    promise: "Once answered, checks that name it are answered not_found: neither allowed nor \
              refused by a limit that is not there.",
    data: "The limit's row, which is deleted. Its keys go as they become full again.",
    first_failure: "The disk is full: unavailable, and the limit goes on.",
    first_bottleneck: "None to expect: it is rare.",
    kept: "A deletion that costs one row, however many keys the limit has.",
    given_up: "Forgetting what was counted: if the same limit is put again before its keys are full, \
               they count on.",
    blast_radius: BlastRadius {
        what: "Whether the limit exists. On one machine that is current before the answer.",
        who: "Checks that were on their way: they are decided by the policy that they carry.",
    },
    during_partition: "One machine has none inside. A caller who is cut off deletes again; not_found \
                       then means that it is gone.",
    curl: "curl -X DELETE http://127.0.0.1:7480/v1/limits/logins",
    facts: facts::DELETE,
    ..PUT
};

pub(super) static GET: Path = Path {
    name: "limits.get",
    route: "GET /v1/limits/{limit}",
    access: Access::Read,
    user_action: "Someone looks up what a limit says.",
    promise: "Whoever put it sees what they put. It is the policy that checks on this node are \
              decided by.",
    hot_read: "One policy of the copy in memory.",
    hot_write: "None.",
    data: "Nothing of its own: it reads the copy of the limits.",
    moves: "From the node's copy of the meta partition to the caller; no record is written.",
    first_failure: "A node that has not caught up with the meta partition: unavailable.",
    first_bottleneck: "Decoding requests: the copy is in memory.",
    kept: "Seeing one's own changes, because an operator who raises a limit and reads the old one \
           raises it again.",
    given_up: "Seeing at once what another operator does, on a replica that lags.",
    blast_radius: BlastRadius {
        what: "A policy that another operator put a moment ago.",
        who: "Operators. What a check is decided by is what the answer to that check says.",
    },
    during_partition: "One machine has none inside. A caller who is cut off asks again.",
    inline: "Reading and answering.",
    replay: "Nothing: a read leaves no trace.",
    watch: &[],
    curl: "curl http://127.0.0.1:7480/v1/limits/logins",
    defaults: Settings::read(Level::Session),
    facts: facts::GET,
    ..PUT
};

pub(super) static LIST: Path = Path {
    name: "limits.list",
    route: "GET /v1/limits",
    user_action: "Someone pages through the limits of a tenant.",
    promise: "A limit that exists through the whole of the paging is listed once, by name.",
    hot_read: "A page of policies of the copy in memory.",
    first_bottleneck: "Bytes: a page is bounded, and there may be thousands of limits.",
    kept: "A list that costs the partitions nothing.",
    given_up: "One moment for all pages together.",
    blast_radius: BlastRadius {
        what: "Limits that another operator put or deleted a moment ago.",
        who: "Operators. A limit that is missing from a page can be checked by name all the same.",
    },
    curl: "curl 'http://127.0.0.1:7480/v1/limits?limit=20'",
    facts: facts::LIST,
    ..GET
};
