//! When a connection is looked at though nothing has happened: whether its client is still there, has
//! said who it is, and may still be here. One timer a connection, which seldom fires.

use crate::options::ServerOptions;
use std::time::Duration;
use tokio::time::Instant;

/// What is to be done when it is time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing: something was heard meanwhile.
    Nothing,
    /// See whether it may still be here.
    Review,
    /// Ask whether anybody is there.
    Ping,
    /// Nobody is.
    Gone,
    /// It never said who it is.
    Unknown,
    /// Its token's time is over.
    Expired,
}

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Watch {
    heard_at: Instant,
    is_pinged: bool,
    /// When it was last seen whether it may be here.
    reviewed_at: Instant,
    /// Until when it must have said who it is; none once it has.
    unknown_until: Option<Instant>,
    /// When its token ends, if it has one.
    expires_at: Option<Instant>,
    ping_every: Duration,
    pong_timeout: Duration,
}

impl Watch {
    pub(super) fn new(options: &ServerOptions, now: Instant) -> Self {
        Self {
            heard_at: now,
            is_pinged: false,
            reviewed_at: now,
            unknown_until: Some(now + options.auth_timeout),
            expires_at: None,
            ping_every: options.ping_every,
            pong_timeout: options.pong_timeout,
        }
    }

    /// Something came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.is_pinged = false;
    }

    /// It has said who it is, and for how long that is good.
    pub(super) fn known(&mut self, expires_at: Option<Instant>) {
        self.unknown_until = None;
        self.expires_at = expires_at;
    }

    /// When it is to be looked at.
    pub(super) fn next(&self) -> Instant {
        let silence = if self.is_pinged { self.pong_timeout } else { Duration::ZERO };
        let silent = self.heard_at + self.ping_every + silence;
        let others = [self.unknown_until, self.expires_at].into_iter().flatten();
        others.fold(silent.min(self.reviewed_at + self.ping_every), Instant::min)
    }

    /// What is to be done at `now`.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        if self.unknown_until.is_some_and(|until| until <= now) {
            return Due::Unknown;
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            return Due::Expired;
        }
        if self.reviewed_at + self.ping_every <= now {
            self.reviewed_at = now;
            return Due::Review;
        }
        if self.next() > now {
            return Due::Nothing;
        }
        if std::mem::replace(&mut self.is_pinged, true) { Due::Gone } else { Due::Ping }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Auth;

    fn watch(now: Instant) -> Watch {
        Watch::new(&ServerOptions::new(Auth::Keys), now)
    }

    #[test]
    fn silence_is_asked_about_and_then_ends_it() {
        let start = Instant::now();
        let mut watch = watch(start);
        watch.known(None);
        assert_eq!(watch.due(start), Due::Nothing);
        let asked = watch.next();
        assert_eq!(watch.due(asked), Due::Review);
        assert_eq!(watch.due(asked), Due::Ping);
        assert_eq!(watch.due(asked), Due::Nothing);
        watch.heard(asked);
        let again = watch.next();
        assert!(again > asked);
        assert_eq!([watch.due(again), watch.due(again)], [Due::Review, Due::Ping]);
        assert_eq!(watch.due(watch.next()), Due::Gone);
    }

    #[test]
    fn who_does_not_say_who_they_are_has_so_long_however_much_they_talk() {
        let start = Instant::now();
        let mut watch = watch(start);
        let until = watch.next();
        watch.heard(until);
        assert_eq!(watch.due(until), Due::Unknown);
    }

    #[test]
    fn a_token_ends_in_the_midst_of_a_talk() {
        let start = Instant::now();
        let mut watch = watch(start);
        let end = start + Duration::from_secs(3);
        watch.known(Some(end));
        assert_eq!(watch.next(), end);
        watch.heard(end);
        assert_eq!(watch.due(end), Due::Expired);
    }

    #[test]
    fn whoever_talks_on_is_looked_at_all_the_same() {
        let start = Instant::now();
        let mut watch = watch(start);
        watch.known(None);
        let mut reviews = 0;
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            reviews += u32::from(watch.due(now) == Due::Review);
            watch.heard(now);
        }
        assert_eq!(reviews, 3);
    }
}
