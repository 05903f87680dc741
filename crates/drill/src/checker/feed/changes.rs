//! Something that is so or is not, as one user has it set: when it surely was, as far as that can be known from
//! what was asked and answered.

use crate::history::feed::{Operation, Outcome};

/// Something that was asked, and may have had an effect.
struct Change {
    on: bool,
    called_ms: u64,
    /// When it was said to be so; none if nobody knows.
    told_ms: Option<u64>,
    operation: usize,
}

/// What is known of it over a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It was so all the time, since this operation was answered.
    On(usize),
    /// It was not so at any time.
    Off,
    /// Either, or both.
    Unsure,
}

/// All that was asked of it, in order. At first it is not so.
#[derive(Default)]
pub(super) struct Changes(Vec<Change>);

impl Changes {
    pub(super) const NONE: &Self = &Self(Vec::new());

    pub(super) fn take(&mut self, index: usize, operation: &Operation, on: bool) {
        if operation.may_have_happened() {
            let told_ms = match operation.returned {
                Some((at_ms, Outcome::Done { .. })) => Some(at_ms),
                _ => None,
            };
            let called_ms = operation.called_ms;
            self.0.push(Change { on, called_ms, told_ms, operation: index });
        }
    }

    /// Whether it was so from one moment to another. Users ask one thing after the other: what was answered
    /// by then is in force, whatever was asked before. Who was answered within the same millisecond may have been
    /// answered after it.
    pub(super) fn known(&self, from_ms: u64, to_ms: u64) -> Known {
        let is_told = |change: &Change| change.told_ms.is_some_and(|told_ms| told_ms < from_ms);
        let last = self.0.iter().rposition(is_told);
        let is_on = last.is_some_and(|last| self.0[last].on);
        let after = &self.0[last.map_or(0, |last| last + 1)..];
        if after.iter().any(|change| change.called_ms <= to_ms && change.on != is_on) {
            return Known::Unsure;
        }
        match last.filter(|_| is_on) {
            Some(last) => Known::On(self.0[last].operation),
            None => Known::Off,
        }
    }

    /// Whether it may have been set so by then, ever.
    pub(super) fn may_have_been(&self, on: bool, by_ms: u64) -> bool {
        self.0.iter().any(|change| change.on == on && change.called_ms <= by_ms)
    }

    /// The last operation that was answered.
    pub(super) fn last(&self) -> Option<usize> {
        let mut last = self.0.iter().rev();
        last.find(|change| change.told_ms.is_some()).map(|change| change.operation)
    }
}
