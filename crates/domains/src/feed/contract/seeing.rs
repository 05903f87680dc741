//! The paths of reading.

use evenkeel_contract::{BlastRadius, Level, Path, Settings, metric};

use super::{READ, facts};

pub(super) static TIMELINE: Path = Path {
    name: "feed.timeline",
    route: "GET /v1/feeds/{u}/timeline",
    user_action: "Someone opens their app: what is new?",
    promise: "The posts of the user and of those whom they follow, newest first, each once. One's own at \
              once; others' as late at most as the answer says. A cursor goes on where it was, whatever \
              was posted, deleted or unfollowed since, and is null at the end only.",
    hot_read: "A row for each of those who are followed, and a page of posts; or a page that was read a \
               moment ago.",
    hot_write: "None by reading.",
    data: "Copies of posts, one in each partition that holds a follower.",
    moves: "Merged in the partition of the user from what has come there; kept for a moment where it was \
            asked for.",
    first_bottleneck: "Users who follow thousands: each page looks at a row for each of them.",
    kept: "A page that is complete as of a moment that it names.",
    given_up: "A page that is of this very moment, and any order but that of time.",
    blast_radius: BlastRadius {
        what: "What others did, by as much as the answer says.",
        who: "Whoever reads their timeline. What they did themselves is in it.",
    },
    watch: &[metric::OUTBOX_ROWS, metric::OUTBOX_AGE, metric::CACHE_READS, metric::CACHE_LOADS],
    curl: "curl 'http://127.0.0.1:7480/v1/feeds/bob/timeline?limit=20'",
    defaults: Settings::read(Level::Bounded),
    facts: facts::TIMELINE,
    ..READ
};

pub(super) static STREAM: Path = Path {
    name: "feed.stream",
    route: "GET /v1/feeds/{u}/timeline/stream",
    user_action: "An app is open: new posts appear, and those that are taken back go.",
    promise: "What comes to the timeline after the position it begins with, once and in the order in which \
              it came, across reconnects and restarts; or it is told that history is gone, and how to go \
              on. It is on the WebSocket too, as `timeline:u`.",
    hot_read: "What came to the user's partition, of which what is not for them is passed by.",
    moves: "Read from the partition's committed state when something has come, as fast as the reader \
            takes it.",
    first_bottleneck: "Readers: each looks at what comes to its partition.",
    kept: "Resuming from a position without a row for each reader and post.",
    given_up: "Resuming after more than 65,536 posts have come to a partition.",
    watch: &[metric::STREAMS_OPEN, metric::STREAMS_RESET],
    curl: "curl -N 'http://127.0.0.1:7480/v1/feeds/bob/timeline/stream?since=start'",
    facts: facts::STREAM,
    ..READ
};

pub(super) static USER: Path = Path {
    name: "feed.user",
    route: "GET /v1/feeds/{u}",
    user_action: "Someone opens somebody's page.",
    promise: "How many posts there are, how many follow them, and how many they follow, as of one moment.",
    hot_read: "One row.",
    blast_radius: BlastRadius {
        what: "The number of followers, by as much as the outbox is late.",
        who: "Whoever looks at the page.",
    },
    curl: "curl http://127.0.0.1:7480/v1/feeds/ada",
    defaults: Settings::read(Level::Bounded),
    facts: facts::READ,
    ..READ
};

pub(super) static POSTS: Path = Path {
    name: "feed.posts",
    route: "GET /v1/feeds/{u}/posts",
    user_action: "Someone reads somebody's page.",
    promise: "The user's posts, newest first, with exact counts of reactions. A cursor goes on where it was \
              and is null at the end only.",
    hot_read: "A page of posts, and their counts.",
    curl: "curl 'http://127.0.0.1:7480/v1/feeds/ada/posts?limit=20'",
    defaults: Settings::read(Level::Bounded).with_slo(99.95, 20),
    facts: facts::POSTS,
    ..READ
};

pub(super) static GET_POST: Path = Path {
    name: "feed.get_post",
    route: "GET /v1/feeds/{u}/posts/{p}",
    user_action: "Someone follows a link to a post.",
    promise: "The post as it is now, with exact counts of reactions.",
    hot_read: "One post and its counts.",
    curl: "curl http://127.0.0.1:7480/v1/feeds/ada/posts/$POST",
    facts: facts::POST_READ,
    ..READ
};

pub(super) static REACTIONS: Path = Path {
    name: "feed.reactions",
    route: "GET /v1/feeds/{u}/posts/{p}/reactions",
    user_action: "Someone looks who put the hearts there.",
    promise: "Everybody who reacted, by kind and name, once.",
    hot_read: "A page of reactions of one post.",
    curl: "curl http://127.0.0.1:7480/v1/feeds/ada/posts/$POST/reactions",
    facts: facts::REACTIONS,
    ..READ
};
