//! What the paths about the service itself promise: its keys, its token keys and its contracts. Prose;
//! what the code knows is in `facts`.

mod facts;

use evenkeel_contract::{Access, BlastRadius, Level, Path, Priority, Settings, metric};

/// Every path of this domain.
pub static PATHS: [&Path; 9] = [
    &KEYS_CREATE,
    &KEYS_LIST,
    &KEYS_REVOKE,
    &TOKEN_KEYS_CREATE,
    &TOKEN_KEYS_LIST,
    &TOKEN_KEYS_REVOKE,
    &CONTRACTS_LIST,
    &CONTRACTS_GET,
    &CONTRACTS_SET,
];

static KEYS_CREATE: Path = Path {
    name: "keys.create",
    route: "POST /v1/keys",
    access: Access::Write,
    user_action: "An administrator gives a program access to a tenant.",
    promise: "The secret is shown once, in this answer; only its hash is stored. A request with \
              the key is let in as soon as this is answered.",
    hot_read: "None that grows: keys are made by hand.",
    hot_write: "One key row.",
    data: "The key's id, tenant, scopes and the hash of its secret.",
    moves: "Through the log of the meta partition into the copy that requests are checked \
            against.",
    first_failure: "The answer is lost on the way, and with it the secret. A repeat under the same \
                    Idempotency-Key shows the key's id again, not its secret: revoke it and make \
                    another.",
    first_bottleneck: "None to expect: checking a key happens in memory on every request, making \
                       one is rare.",
    kept: "A secret that is nowhere to be stolen from: not in the log, the state or a backup.",
    given_up: "Reading a secret a second time.",
    blast_radius: BlastRadius {
        what: "The copy of the keys that requests are checked against. On one machine there is one \
               copy, and it is current before the answer.",
        who: "The program that was given the key; it is answered unauthenticated until then.",
    },
    during_partition: "One machine has none inside. A caller who is cut off lists the keys and \
                       revokes the one whose secret never came.",
    inline: "Making the secret, hashing it, the append and the sync of the key row.",
    later: "Nothing.",
    recovery: "Keys are rows of the meta partition: replayed from the log like all others.",
    replay: "Every record of meta, to the same keys.",
    watch: &[metric::UNAUTHENTICATED, metric::LOG_SYNC],
    curl: "curl http://127.0.0.1:7480/v1/keys \\\n  \
           --json '{\"tenant\":\"default\",\"scopes\":[\"reservations:write\"]}'",
    defaults: Settings::keyed_write(),
    facts: facts::KEYS_CREATE,
};

static KEYS_REVOKE: Path = Path {
    name: "keys.revoke",
    route: "DELETE /v1/keys/{id}",
    user_action: "An administrator takes access away, perhaps in a hurry.",
    promise: "Once answered, no new request with this key is let in. A request that was already \
              let in is finished.",
    hot_read: "None that grows: keys are revoked by hand.",
    data: "The key row, which is deleted.",
    first_failure: "The disk is full: unavailable, and the key still works. Stop the process if \
                    that cannot wait.",
    first_bottleneck: "None to expect: it is rare.",
    kept: "A revocation that is certain when it is answered, and survives every crash.",
    given_up: "Revoking while the log cannot be written.",
    blast_radius: BlastRadius {
        what: "The copy of the keys that requests are checked against. On one machine it is \
               current before the answer.",
        who: "Whoever has the key: requests let in before the answer, and event streams until \
              they are next checked.",
    },
    during_partition: "One machine has none inside. A caller who is cut off revokes again and \
                       arrives at the same state.",
    inline: "The append and the sync of the key row.",
    curl: "curl -X DELETE http://127.0.0.1:7480/v1/keys/$KEY_ID",
    defaults: Settings::natural_write().with_priority(Priority::Critical),
    facts: facts::KEYS_REVOKE,
    ..KEYS_CREATE
};

static KEYS_LIST: Path = Path {
    name: "keys.list",
    route: "GET /v1/keys",
    access: Access::Read,
    user_action: "An administrator looks at who has access.",
    promise: "Whoever made or revoked a key sees it so. No secret and no hash is ever shown.",
    hot_read: "A page of key rows.",
    hot_write: "None.",
    data: "Nothing of its own: it reads the key rows.",
    moves: "From the meta partition's committed state to the caller; no record is written.",
    first_failure: "A state file that cannot be read: unavailable, until it is opened again or \
                    rebuilt.",
    kept: "Seeing one's own changes, because an administrator who revokes and still sees the key \
           revokes something else.",
    given_up: "Seeing at once what another administrator does, on a replica that lags.",
    blast_radius: BlastRadius {
        what: "Keys that another administrator made or revoked a moment ago.",
        who: "Administrators. Access itself is checked against the keys, not against this list.",
    },
    during_partition: "One machine has none inside. A caller who is cut off asks again.",
    inline: "Reading and answering.",
    replay: "Nothing: a read leaves no trace.",
    watch: &[metric::UNAUTHENTICATED],
    curl: "curl http://127.0.0.1:7480/v1/keys",
    defaults: Settings::read(Level::Session),
    facts: facts::KEYS_LIST,
    ..KEYS_CREATE
};

static TOKEN_KEYS_CREATE: Path = Path {
    name: "token_keys.create",
    route: "POST /v1/token-keys",
    user_action: "A tenant's administrator lets its own back end sign tokens for its users.",
    promise: "Tokens that this key signs are let in as soon as this is answered. A secret that was \
              drawn here is shown once, in this answer; of EdDSA no secret comes here at all.",
    hot_write: "One token key row.",
    data: "The key's kid, its tenant, and what tokens are verified with: a public key of EdDSA, or \
           the secret of HS256 itself, since no hash of it would do.",
    first_failure: "The answer is lost on the way, and with it a secret that was drawn here. A \
                    repeat under the same Idempotency-Key shows the kid again, not the secret: \
                    revoke it and make another.",
    first_bottleneck: "None to expect: making a key is rare. Verifying a token costs the node that \
                       is asked processor time on every request, EdDSA more than HS256.",
    kept: "Users who are let in without a request to anybody: the tenant's back end signs, this \
           node verifies from memory.",
    given_up: "Taking one token back: it is good until it expires, or all of its key are revoked. \
               And with HS256 a data directory that holds no secret: prefer EdDSA.",
    blast_radius: BlastRadius {
        what: "The copy of the token keys that tokens are verified against. On one machine there is \
               one copy, and it is current before the answer.",
        who: "Users with tokens of this key; they are answered unauthenticated until then.",
    },
    during_partition: "One machine has none inside. A caller who is cut off lists the token keys \
                       and revokes the one whose secret never came.",
    inline: "Drawing a secret if one is wanted, the append and the sync of the token key row.",
    recovery: "Token keys are rows of the meta partition: replayed from the log like all others.",
    replay: "Every record of meta, to the same token keys.",
    curl: "curl http://127.0.0.1:7480/v1/token-keys \\\n  \
           --json '{\"algorithm\":\"HS256\",\"label\":\"web\"}'",
    facts: facts::TOKEN_KEYS_CREATE,
    ..KEYS_CREATE
};

static TOKEN_KEYS_REVOKE: Path = Path {
    name: "token_keys.revoke",
    route: "DELETE /v1/token-keys/{kid}",
    user_action: "A tenant's administrator ends all tokens of a key, perhaps in a hurry.",
    promise: "Once answered, no new request with a token of this key is let in. A request that was \
              already let in is finished.",
    data: "The token key row, which is deleted.",
    first_failure: "The disk is full: unavailable, and the key's tokens still work. Stop the \
                    process if that cannot wait.",
    kept: "A revocation that is certain when it is answered, and survives every crash.",
    given_up: "Revoking while the log cannot be written, and revoking one token of many.",
    blast_radius: BlastRadius {
        what: "The copy of the token keys that tokens are verified against. On one machine it is \
               current before the answer.",
        who: "Whoever has a token of the key: requests let in before the answer.",
    },
    inline: "The append and the sync of the token key row.",
    recovery: "Token keys are rows of the meta partition: replayed from the log like all others.",
    replay: "Every record of meta, to the same token keys.",
    curl: "curl -X DELETE http://127.0.0.1:7480/v1/token-keys/$KID",
    facts: facts::TOKEN_KEYS_REVOKE,
    ..KEYS_REVOKE
};

static TOKEN_KEYS_LIST: Path = Path {
    name: "token_keys.list",
    route: "GET /v1/token-keys",
    user_action: "A tenant's administrator looks at which keys may sign for its users.",
    promise: "Whoever made or revoked a token key sees it so: those of one's own tenant. No secret \
              is ever shown.",
    hot_read: "A page of token key rows.",
    data: "Nothing of its own: it reads the token key rows.",
    blast_radius: BlastRadius {
        what: "Token keys that another administrator made or revoked a moment ago.",
        who: "Administrators. Tokens are verified against the keys, not against this list.",
    },
    recovery: "Token keys are rows of the meta partition: replayed from the log like all others.",
    curl: "curl http://127.0.0.1:7480/v1/token-keys",
    facts: facts::TOKEN_KEYS_LIST,
    ..KEYS_LIST
};

static CONTRACTS_LIST: Path = Path {
    name: "contracts.list",
    route: "GET /v1/contracts",
    user_action: "Someone asks what each path promises and whether it is kept.",
    promise: "The settings are those that this node enforces now; the numbers are its own, of the \
              last minutes.",
    hot_read: "The settings in memory and the counters of every path.",
    data: "Changed settings, as rows of the meta partition; the counters are in memory only.",
    moves: "From the meta partition's copy and this node's counters to the caller.",
    first_failure: "A restart: the counters begin again, and the error budget with them. What must \
                    outlive it is scraped from /metrics.",
    first_bottleneck: "None to expect: a page that asks once a second costs less than one hold.",
    kept: "Numbers that cost requests almost nothing: a few counters, and no coordination between \
           nodes.",
    given_up: "Exact quantiles (a value is known to a few percent), and history beyond the window.",
    blast_radius: BlastRadius {
        what: "Counters, by the requests that end while they are read; settings, by a change that \
               is on its way.",
        who: "People and pages that watch. Deadlines and priorities are taken from the settings \
              themselves, not from this answer.",
    },
    recovery: "Settings come back with the meta partition; counters begin at zero.",
    watch: &[],
    curl: "curl http://127.0.0.1:7480/v1/contracts",
    defaults: Settings::read(Level::Eventual),
    facts: facts::CONTRACTS_LIST,
    ..KEYS_LIST
};

static CONTRACTS_GET: Path = Path {
    name: "contracts.get",
    route: "GET /v1/contracts/{path}",
    user_action: "Someone asks what one path promises, why, and whether it is kept.",
    hot_read: "The settings in memory and the counters of one path.",
    curl: "curl http://127.0.0.1:7480/v1/contracts/reservations.hold",
    facts: facts::CONTRACTS_GET,
    ..CONTRACTS_LIST
};

static CONTRACTS_SET: Path = Path {
    name: "contracts.set",
    route: "at start, from [paths] in the configuration file",
    user_action: "An operator changes what a path promises, and starts the program again.",
    promise: "All settings of the file hold from the first request on, or the program says why \
              not and does not start: never some of them.",
    hot_read: "The settings that are stored, to see whether they differ.",
    hot_write: "One row for each path that is changed.",
    data: "The changed settings of each path.",
    moves: "From the file through the log of the meta partition into the copy that requests are \
            checked against.",
    first_failure: "A setting that is not legal for its path: the program says which, why, and \
                    what would be, and does not start.",
    first_bottleneck: "None to expect: it happens once a start, and only if the file differs from \
                       what is stored.",
    kept: "One place that rules, the meta partition, so that all nodes promise the same.",
    given_up: "Changing a promise while the program runs.",
    blast_radius: BlastRadius { what: "Nothing: no request is served before.", who: "Nobody." },
    during_partition: "One machine has none inside.",
    inline: "The append and the sync of the settings' rows, before the first request is served.",
    recovery: "Settings are rows of the meta partition: replayed from the log like all others.",
    watch: &[],
    curl: "curl http://127.0.0.1:7480/v1/contracts",
    defaults: Settings::natural_write(),
    facts: facts::CONTRACTS_SET,
    ..KEYS_CREATE
};
