//! The paths of conversations and who is in them.

use evenkeel_contract::{BlastRadius, Path};

use super::{READ, WRITE, facts};

pub(super) static PUT: Path = Path {
    name: "chat.put_conversation",
    route: "PUT /v1/conversations/{c}",
    user_action: "Someone starts a conversation, or a product opens a channel.",
    promise: "Once answered, the conversation is there with these among its members. Put again, it is \
              the same one: members are added, nobody is removed, and what was said stays.",
    hot_write: "The conversation, a row a member, the event, and word to each member's inbox.",
    data: "The conversation and its members; how long messages are kept.",
    kept: "A name that the product chooses, so that two who start the same conversation at once are in \
           one.",
    curl: "curl -X PUT http://127.0.0.1:7480/v1/conversations/general \\\n  \
           --json '{\"members\":[\"ada\",\"bob\"]}'",
    facts: facts::PUT,
    ..WRITE
};

pub(super) static PUT_MEMBER: Path = Path {
    name: "chat.put_member",
    route: "PUT /v1/conversations/{c}/members/{u}",
    user_action: "Someone is let into a conversation, or may do more or less in it from now on.",
    promise: "Once answered, they are a member in this role: what they ask next is decided by it. What \
              was said before they came they can read, and none of it is unread to them.",
    hot_write: "The member's row, the event, and word to their inbox.",
    data: "A row a member: role, since when, marker and count.",
    kept: "Rights that are decided where messages are: nobody sends on an old role.",
    curl: "curl -X PUT http://127.0.0.1:7480/v1/conversations/general/members/eve \\\n  \
           --json '{\"role\":\"reader\"}'",
    facts: facts::PUT_MEMBER,
    ..WRITE
};

pub(super) static REMOVE_MEMBER: Path = Path {
    name: "chat.remove_member",
    route: "DELETE /v1/conversations/{c}/members/{u}",
    user_action: "Someone leaves, or is shown the door.",
    promise: "Once answered, they read and send nothing there any more. What of theirs follows it ends: a \
              WebSocket that is up to date with the event that says so.",
    hot_write: "The member's row, which is deleted, the event, and word to their inbox.",
    data: "Nothing of them is left but what they said.",
    kept: "An end that is part of the order: what they saw last is known.",
    blast_radius: BlastRadius {
        what: "Their inbox may list the conversation until it is told.",
        who: "Whoever was removed: the conversation itself answers them nothing.",
    },
    curl: "curl -X DELETE http://127.0.0.1:7480/v1/conversations/general/members/eve",
    facts: facts::REMOVE_MEMBER,
    ..WRITE
};

pub(super) static MEMBERS: Path = Path {
    name: "chat.members",
    route: "GET /v1/conversations/{c}/members",
    user_action: "Someone looks who is in a conversation and how far they have read.",
    promise: "Each page is of one moment; a member who is there through the whole of the paging is \
              listed once.",
    hot_read: "A page of members' rows, by name.",
    given_up: "One moment for all pages together.",
    curl: "curl 'http://127.0.0.1:7480/v1/conversations/general/members?limit=20'",
    facts: facts::MEMBERS,
    ..READ
};
