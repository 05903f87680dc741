//! When a connection is closed because nothing whole came of it. What is closed is not here.

use super::options::RespOptions;
use std::time::Duration;
use tokio::time::Instant;

/// What has been heard of a connection, and when.
#[derive(Debug)]
pub(super) struct Heard {
    /// When its last whole command was answered, or when it began.
    last: Instant,
    /// Since when a command has been arriving that is not whole.
    half_since: Option<Instant>,
    /// Since when we have not known who asks.
    stranger_since: Option<Instant>,
}

impl Heard {
    /// Of a connection that begins now.
    pub(super) fn nothing() -> Self {
        Self { last: Instant::now(), half_since: None, stranger_since: None }
    }

    /// Commands were answered, or not (`whole`); behind them there is `half` a command, or nothing.
    pub(super) fn note(&mut self, whole: bool, half: bool, known: bool) {
        let now = Instant::now();
        if whole {
            self.last = now;
            self.half_since = None;
        }
        self.half_since = half.then(|| self.half_since.unwrap_or(now));
        self.stranger_since = (!known).then(|| self.stranger_since.unwrap_or(now));
    }

    /// When it is to be closed, if nothing whole comes before.
    pub(super) fn until(&self, options: &RespOptions) -> Option<Instant> {
        let after = |since: Option<Instant>, timeout: Duration| since.map(|since| since + timeout);
        let idle = options.idle_timeout;
        let ends = [
            after(self.stranger_since, options.stranger_timeout),
            after(self.half_since, options.command_timeout),
            after((!idle.is_zero()).then_some(self.last), idle),
        ];
        ends.into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Auth;

    /// Notes it at a later time than anything before; when the connection is to be closed then.
    fn until(heard: &mut Heard, (whole, half, known): (bool, bool, bool)) -> Option<Instant> {
        let before = Instant::now();
        while Instant::now() == before {}
        heard.note(whole, half, known);
        heard.until(&RespOptions::new(Auth::Keys))
    }

    #[test]
    fn nothing_that_a_stranger_says_puts_the_end_off() {
        let mut heard = Heard::nothing();
        let end = until(&mut heard, (false, false, false));
        assert!(end.is_some());
        for said in [(true, false, false), (false, true, false), (true, true, false)] {
            assert_eq!(until(&mut heard, said), end);
        }
        assert_eq!(until(&mut heard, (true, false, true)), None, "who is known may be silent");
        assert!(until(&mut heard, (true, false, false)) > end, "who is forgotten has time again");
    }

    #[test]
    fn half_a_command_has_its_time_from_its_first_byte() {
        let mut heard = Heard::nothing();
        let end = until(&mut heard, (true, true, true));
        assert!(end.is_some());
        assert_eq!(until(&mut heard, (false, true, true)), end);
        assert!(until(&mut heard, (true, true, true)) > end, "the next is another");
        assert_eq!(until(&mut heard, (true, false, true)), None);
    }
}
