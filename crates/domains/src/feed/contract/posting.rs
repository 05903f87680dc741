//! The paths of posts and reactions.

use evenkeel_contract::{BlastRadius, Path, Priority, Settings, metric};

use super::{WRITE, facts};

pub(super) static POST: Path = Path {
    name: "feed.post",
    route: "POST /v1/feeds/{u}/posts",
    user_action: "Someone posts something, and their app sends it until it hears that it arrived.",
    promise: "Once answered, the post is there, stays through crashes, is in its author's own timeline, and \
              comes to all who follow within what their timelines say. Sent again under the same client \
              id it is the same post, as long as it is kept.",
    hot_read: "The author's row, a look for the client id, and which partitions have followers.",
    hot_write: "The post and its client id, and one row of the outbox for each partition that holds a \
                follower: as many for a million followers as for one in each.",
    data: "The post once with its author and once in each such partition. The newest 2,000 of an author are \
           kept.",
    kept: "A post costs the same whoever posts it: nobody's celebrity holds up anybody's timeline.",
    given_up: "A timeline that lies ready: reading one merges those whom one follows.",
    watch: &[metric::MAILBOX_DEPTH, metric::LOG_SYNC, metric::OUTBOX_ROWS, metric::OUTBOX_AGE],
    curl: "curl http://127.0.0.1:7480/v1/feeds/ada/posts \\\n  \
           --json '{\"client_id\":\"p1\",\"body\":{\"text\":\"hello\"}}'",
    defaults: Settings::natural_write().with_priority(Priority::Critical).with_slo(99.95, 20),
    facts: facts::POST,
    ..WRITE
};

pub(super) static DELETE: Path = Path {
    name: "feed.delete",
    route: "DELETE /v1/feeds/{u}/posts/{p}",
    user_action: "Someone takes back what they posted.",
    promise: "Once answered, nobody reads it on its author's page; in the timelines of others it is gone \
              within what they say. Its reactions are gone with it.",
    hot_read: "The post.",
    hot_write: "The post, emptied, and one row of the outbox for each partition that holds a follower.",
    data: "That there was a post under this client id, so that a late repeat does not post it again.",
    kept: "Taking it back for good. Snapshots and the log have it until they are trimmed.",
    given_up: "Undoing a deletion.",
    curl: "curl -X DELETE http://127.0.0.1:7480/v1/feeds/ada/posts/$POST",
    facts: facts::DELETE,
    ..WRITE
};

pub(super) static REACT: Path = Path {
    name: "feed.react",
    route: "PUT /v1/feeds/{u}/posts/{p}/reactions/{kind}/{by}",
    user_action: "Someone puts a heart under a post.",
    promise: "Once answered, this reaction of this user is there, once, however often it was asked for. \
              Who reacted is exact. How many is exact on the author's page; in timelines it is what it \
              was at most half a second before what the timeline says, and exact once nobody reacts any \
              more.",
    hot_read: "The post, and whether the reaction is there.",
    hot_write: "The reaction and the counts of its post; at most twice a second, for each partition that \
                holds a follower, the counts.",
    data: "A row a reaction; the counts of a post, and a copy of them beside each copy of it.",
    kept: "A post that everybody reacts to tells its counts no more often than any other.",
    given_up: "Counts of this very moment in timelines, and more than 32 kinds of reactions to one post.",
    blast_radius: BlastRadius {
        what: "Counts in timelines.",
        who: "Whoever reads a timeline. Who reacted is read where it was decided.",
    },
    curl: "curl -X PUT \
           http://127.0.0.1:7480/v1/feeds/ada/posts/$POST/reactions/heart/bob",
    facts: facts::REACT,
    ..WRITE
};

pub(super) static UNREACT: Path = Path {
    name: "feed.unreact",
    route: "DELETE /v1/feeds/{u}/posts/{p}/reactions/{kind}/{by}",
    user_action: "Someone takes their heart back.",
    promise: "Once answered, this reaction of this user is not there.",
    curl: "curl -X DELETE \
           http://127.0.0.1:7480/v1/feeds/ada/posts/$POST/reactions/heart/bob",
    facts: facts::UNREACT,
    ..REACT
};
