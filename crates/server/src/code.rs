//! Every code of a problem, with its status, its title and what it means: the one table.

/// One row of the table.
pub(crate) struct Meaning {
    pub(crate) code: &'static str,
    pub(crate) status: u16,
    pub(crate) title: &'static str,
    /// Whether the same request may succeed later without anything else changing it.
    pub(crate) retryable: bool,
    /// What to do about it, for the page of the code.
    pub(crate) advice: &'static str,
}

macro_rules! codes {
    ($($variant:ident, $code:literal, $status:literal, $title:literal, $retryable:literal,
       $advice:literal;)*) => {
        /// What went wrong, by its stable name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Code { $($variant),* }

        impl Code {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub(crate) const fn meaning(self) -> &'static Meaning {
                match self {
                    $(Self::$variant => &Meaning {
                        code: $code,
                        status: $status,
                        title: $title,
                        retryable: $retryable,
                        advice: $advice,
                    }),*
                }
            }
        }
    };
}

codes! {
    InvalidRequest, "invalid_request", 400, "The request is not valid", false,
        "Change the request; the detail says what and where.";
    Unauthenticated, "unauthenticated", 401, "No valid API key or token", false,
        "Send Authorization: Bearer with a key that exists, or with a token that is signed and has not expired.";
    Forbidden, "forbidden", 403, "Not allowed", false,
        "Use a key with the scope that the detail names, a key where a token is not enough, or the host name that the server expects.";
    InvalidPolicy, "invalid_policy", 400, "The limit's policy is not legal", false,
        "Change the policy; the detail says which rule it breaks.";
    InvalidQueue, "invalid_queue", 400, "The queue's settings are not legal", false,
        "Change the settings; the detail says which rule they break.";
    InvalidSchedule, "invalid_schedule", 400, "The schedule is not legal", false,
        "Change the expression, the zone or the interval; the detail says what is wrong with it.";
    NotFound, "not_found", 404, "Not found", false,
        "It was never there, or it was resolved longer ago than its retention.";
    MethodNotAllowed, "method_not_allowed", 405, "Not a method of this address", false,
        "Use one of the methods in the Allow header.";
    RequestTimeout, "request_timeout", 408, "The body did not arrive in time", true,
        "Send the whole body without pauses; the request had no effect.";
    SoldOut, "sold_out", 409, "Not enough places are free", true,
        "Ask for at most `available` places, or again when holds expire.";
    SeatTaken, "seat_taken", 409, "A seat is taken", true,
        "Choose seats that are not in `seats`, or ask again when their holds expire.";
    CapacityInUse, "capacity_in_use", 409, "The places to be taken away are in use", true,
        "Keep at least `taken` places, or release and cancel holds first.";
    WrongKind, "wrong_kind", 409, "The resource is of another kind", false,
        "Ask for what the resource has: seats, a quantity, or its lock.";
    TooManySeats, "too_many_seats", 409, "The seat map is too large to be replaced", false,
        "Add seats to it instead.";
    NotHeld, "not_held", 409, "The hold is not held any more", false,
        "The hold was resolved before; `state` says how.";
    NotConfirmed, "not_confirmed", 409, "The hold is not confirmed", false,
        "Only a confirmed hold is cancelled; release one that is held.";
    LockNotConfirmable, "lock_not_confirmable", 409, "A lock is never confirmed", false,
        "Extend the hold on a lock while it is needed, then release it.";
    KeyExists, "key_exists", 409, "There is a key of this id already", true,
        "Ask again: another id is drawn.";
    TooManyKeys, "too_many_keys", 409, "There are as many keys as there may be", false,
        "Revoke keys that are not used.";
    TooManyTenants, "too_many_tenants", 409, "There are as many tenants as there may be", false,
        "Use a tenant that exists.";
    LimitFixed, "limit_fixed", 409, "This of a limit cannot change", false,
        "Keep `field` as it is, or delete the limit and put it anew, which begins to count anew.";
    TooManyLimits, "too_many_limits", 409, "There are as many limits as there may be", false,
        "Delete limits that are not used.";
    NoLease, "no_lease", 409, "The slot is not taken", false,
        "It was released, or its time is over: stop what it was for, or check again for another.";
    WrongAlgorithm, "wrong_algorithm", 409, "Not for a limit of this algorithm", false,
        "Slots of a concurrency limit are given back by releasing their leases.";
    QueueFixed, "queue_fixed", 409, "This of a queue cannot change", false,
        "Keep `field` as it is, or put another queue.";
    QueueInUse, "queue_in_use", 409, "The queue is in use", true,
        "Drain the queue, and delete it when nothing waits or runs in it.";
    TooManyQueues, "too_many_queues", 409, "There are as many queues as there may be", false,
        "Delete queues that are not used.";
    QueueDraining, "queue_draining", 409, "The queue takes nothing in", false,
        "Put the job into another queue, or resume this one.";
    NoQueue, "no_queue", 409, "There is no such queue", false,
        "Put the queue first, or name one that exists.";
    TooManySchedules, "too_many_schedules", 409, "There are as many schedules as there may be", false,
        "Delete schedules that are not used.";
    StaleLease, "stale_lease", 409, "The lease is not the job's any more", false,
        "Stop what it was for: its time was over, or the job has moved on; `state` says where. Nothing was changed.";
    LeaseTooLong, "lease_too_long", 409, "The queue has no lease so long", false,
        "Ask for at most `max_ms`, and extend it while it is needed.";
    ResultTooLarge, "result_too_large", 409, "The queue keeps no result so large", false,
        "Keep it elsewhere and complete the job with where that is; at most `max_bytes`.";
    NoAfter, "no_after", 409, "The job cannot run after that one", false,
        "Name jobs that are neither cancelled nor forgotten.";
    JobOver, "job_over", 409, "The job is over", false,
        "It was done before it could be cancelled.";
    NotDead, "not_dead", 409, "The job is no dead letter", false,
        "Only a dead letter is brought back; `state` says what the job is.";
    UniqueKeyTaken, "unique_key_taken", 409, "Another job has its unique key", true,
        "Wait until `job` is over, or cancel one of the two.";
    NotAMember, "not_a_member", 403, "Not a member of the conversation", false,
        "Have somebody who may put the user among its members.";
    MessageDeleted, "message_deleted", 409, "The message was deleted", false,
        "What was taken back is not edited, and nobody reacts to it.";
    TooManyEdits, "too_many_edits", 409, "The message was edited as often as may be", false,
        "Delete it and send another.";
    TooManyReactions, "too_many_reactions", 409, "As many kinds of reactions are there as may be", false,
        "Use a kind that it has.";
    TooManyMembers, "too_many_members", 409, "The conversation has as many members as may be", false,
        "Remove members who are not needed, or open another conversation.";
    ReadTooFar, "read_too_far", 409, "Too many messages to count at once", false,
        "Mark everything read, or what is nearer to the marker.";
    Oneself, "oneself", 409, "That is the user themselves", false,
        "Name another user.";
    Blocked, "blocked", 403, "One of the two users has blocked the other", false,
        "Nothing, unless the block is taken back.";
    TooManyFollowed, "too_many_followed", 409, "The user follows as many as may be", false,
        "Unfollow somebody first.";
    TooManyTies, "too_many_ties", 409, "The user has blocked and muted as many as may be", false,
        "Take a block or a mute back first.";
    HoldExpired, "hold_expired", 410, "The hold has expired", false,
        "Hold again; or confirm with {\"late\":\"reacquire\"}, which takes the same places if they are free.";
    SessionReset, "session_reset", 410, "The session is of another life of the log", false,
        "Forget the Evenkeel-Session tokens and read again: the log was restored.";
    TooLarge, "too_large", 413, "Too large", false,
        "Split the request.";
    UnsupportedMediaType, "unsupported_media_type", 415, "The body is not JSON", false,
        "Send Content-Type: application/json.";
    IdempotencyConflict, "idempotency_conflict", 422, "The idempotency key was used before", false,
        "Use a fresh key for a different request, and the same key only for the very same request.";
    Limited, "limited", 429, "A limit is reached", true,
        "Wait as long as Retry-After says; nothing was counted. A check is answered 200 with `allowed: false` instead.";
    QuotaExceeded, "quota_exceeded", 429, "The tenant's share is used up", true,
        "Wait as long as Retry-After says.";
    BacklogFull, "backlog_full", 429, "The queue's backlog is full", true,
        "Wait as long as Retry-After says; nothing was taken in. A higher priority is refused later.";
    Overloaded, "overloaded", 429, "Too much is waiting", true,
        "Wait as long as Retry-After says, then longer each time; nothing has happened.";
    Internal, "internal", 500, "A defect of the program", false,
        "Please report it with the request id.";
    Unavailable, "unavailable", 503, "Not available now", true,
        "Ask again later; the detail and /readyz say what is wrong.";
    NotUpToBound, "not_up_to_bound", 503, "No copy is fresh enough", true,
        "Ask again, or accept an older answer.";
    DeadlineExceeded, "deadline_exceeded", 504, "Not decided in time", true,
        "Nothing has happened; ask again with more time.";
    OutcomeUnknown, "outcome_unknown", 504, "Nobody knows yet whether it happened", true,
        "Send the same request again with the same idempotency key: it happens at most once.";
}

impl Code {
    /// The code of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.meaning().code == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_contract::{Class, Failure, Outcome};
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_told_apart_and_named_plainly() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.meaning().code).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for name in names {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        }
    }

    #[test]
    fn every_failure_that_is_counted_has_a_status_that_fits_its_class() {
        for failure in Failure::ALL {
            let code = Code::from_name(failure.code()).expect("every failure is in the table");
            let status = code.meaning().status;
            let server_side = status >= 500 || status == 429;
            let owed = failure.class() == Class::Error;
            assert!(server_side || !owed, "{} is an error of the server", failure.code());
        }
        assert_eq!(Outcome::from_code(Code::SoldOut.meaning().code), Outcome::Refused("sold_out"));
    }

    #[test]
    fn every_refusal_that_a_path_declares_is_in_the_table() {
        for path in evenkeel_domains::paths() {
            for code in path.facts.refusal_codes {
                assert!(Code::from_name(code).is_some(), "{} may refuse with {code}", path.name);
            }
        }
    }
}
