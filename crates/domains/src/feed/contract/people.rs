//! The paths of following, blocking and muting.

use evenkeel_contract::{BlastRadius, Level, Path, Settings};

use super::{READ, WRITE, facts};

pub(super) static FOLLOW: Path = Path {
    name: "feed.follow",
    route: "PUT /v1/feeds/{u}/follows/{v}",
    user_action: "Someone follows somebody.",
    promise: "Once answered, the followed's posts are in the follower's timeline: at once if anybody in \
              the same partition follows them already, else within what the timeline says; those from \
              before too.",
    hot_write: "Whom the user follows, and word to where the followed is: who follows them, how many in \
                which partition, and, of the first in a partition, their posts that are kept.",
    data: "A row on either side.",
    kept: "Whoever follows decides at once, without asking where the followed is.",
    given_up: "Knowing at once that one was blocked a moment ago: then the follow is undone by word from \
               there. More than 10,000 followed by one user.",
    blast_radius: BlastRadius {
        what: "Lists and counts of followers, by as much as the outbox is late.",
        who: "Whoever looks at the page of the followed.",
    },
    curl: "curl -X PUT http://127.0.0.1:7480/v1/feeds/bob/follows/ada",
    facts: facts::FOLLOW,
    ..WRITE
};

pub(super) static UNFOLLOW: Path = Path {
    name: "feed.unfollow",
    route: "DELETE /v1/feeds/{u}/follows/{v}",
    user_action: "Someone has seen enough of somebody.",
    promise: "Once answered, their posts are not in this timeline any more, though some may be on their \
              way.",
    hot_write: "The row of the follow, which is deleted, and word to where the followed is. The copies \
                go with the last follower of a partition.",
    data: "Nothing is left of it.",
    curl: "curl -X DELETE http://127.0.0.1:7480/v1/feeds/bob/follows/ada",
    facts: facts::UNFOLLOW,
    ..FOLLOW
};

pub(super) static BLOCK: Path = Path {
    name: "feed.block",
    route: "PUT /v1/feeds/{u}/blocks/{v}",
    user_action: "Someone wants to have nothing to do with somebody.",
    promise: "Once answered, the blocked is not among the followers, cannot react, and does not read this \
              page; neither has the other in their timeline, on the other's side within what it says. \
              Neither can follow the other until it is taken back.",
    hot_write: "The block; both follows, if there are any; and word to where the other is.",
    data: "A row on either side.",
    kept: "A block that holds where it was said from the moment it is answered, whatever is on its way: a \
           follow that arrives later is undone.",
    given_up: "Restoring follows when a block is taken back.",
    blast_radius: BlastRadius {
        what: "The timeline of the blocked, until word has come there.",
        who: "The blocked.",
    },
    curl: "curl -X PUT http://127.0.0.1:7480/v1/feeds/ada/blocks/eve",
    facts: facts::BLOCK,
    ..WRITE
};

pub(super) static UNBLOCK: Path = Path {
    name: "feed.unblock",
    route: "DELETE /v1/feeds/{u}/blocks/{v}",
    user_action: "Someone gives somebody another chance.",
    promise: "Once answered, this side has no block; on the other it ends when word has come there. Whoever \
              followed follows again by themselves.",
    hot_write: "The block, which is deleted, and word to where the other is.",
    curl: "curl -X DELETE http://127.0.0.1:7480/v1/feeds/ada/blocks/eve",
    facts: facts::UNBLOCK,
    ..BLOCK
};

pub(super) static MUTE: Path = Path {
    name: "feed.mute",
    route: "PUT /v1/feeds/{u}/mutes/{v}",
    user_action: "Someone wants to see less of somebody, and not to be seen doing so.",
    promise: "Once answered, their posts are not in this timeline, though the user may follow them. \
              Nobody else learns of it.",
    hot_write: "The mute, and the follow if there is one.",
    data: "A row with the user.",
    kept: "A decision of one side alone: it is in force at once.",
    curl: "curl -X PUT http://127.0.0.1:7480/v1/feeds/bob/mutes/ada",
    facts: facts::MUTE,
    ..WRITE
};

pub(super) static UNMUTE: Path = Path {
    name: "feed.unmute",
    route: "DELETE /v1/feeds/{u}/mutes/{v}",
    user_action: "Someone wants to see somebody again.",
    promise: "Once answered, the posts of somebody whom the user follows are in the timeline again, \
              those of meanwhile too.",
    curl: "curl -X DELETE http://127.0.0.1:7480/v1/feeds/bob/mutes/ada",
    facts: facts::UNMUTE,
    ..MUTE
};

pub(super) static FOLLOWERS: Path = Path {
    name: "feed.followers",
    route: "GET /v1/feeds/{u}/followers",
    user_action: "Someone looks who follows somebody.",
    promise: "Each page is of one moment, by name, either way; a follower who is there through the whole \
              of the paging is listed once.",
    hot_read: "A page of followers.",
    given_up: "One moment for all pages together.",
    blast_radius: BlastRadius {
        what: "Who has just followed or does not any more, by as much as the outbox is late.",
        who: "Whoever looks at the list.",
    },
    curl: "curl 'http://127.0.0.1:7480/v1/feeds/ada/followers?limit=20'",
    defaults: Settings::read(Level::Bounded),
    facts: facts::PEOPLE,
    ..READ
};

pub(super) static FOLLOWING: Path = Path {
    name: "feed.following",
    route: "GET /v1/feeds/{u}/following",
    user_action: "Someone looks whom somebody follows.",
    promise: "Each page is of one moment, by name, either way; somebody who is followed through the whole \
              of the paging is listed once.",
    hot_read: "A page of follows.",
    given_up: "One moment for all pages together.",
    curl: "curl 'http://127.0.0.1:7480/v1/feeds/bob/following?limit=20'",
    facts: facts::PEOPLE,
    ..READ
};

pub(super) static BLOCKS: Path = Path {
    name: "feed.blocks",
    route: "GET /v1/feeds/{u}/blocks",
    user_action: "Someone looks whom they have blocked.",
    promise: "Each page is of one moment, by name, either way; only the user and the back end may read it.",
    hot_read: "A page of ties.",
    given_up: "One moment for all pages together.",
    curl: "curl http://127.0.0.1:7480/v1/feeds/ada/blocks",
    facts: facts::TIES,
    ..READ
};

pub(super) static MUTES: Path = Path {
    name: "feed.mutes",
    route: "GET /v1/feeds/{u}/mutes",
    user_action: "Someone looks whom they have muted.",
    curl: "curl http://127.0.0.1:7480/v1/feeds/bob/mutes",
    ..BLOCKS
};
