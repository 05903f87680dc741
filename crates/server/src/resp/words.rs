//! The words that callers write for what a limit's policy chooses between, the same as over HTTP.

use evenkeel_domains::limits::{Algorithm, Durability, Mode, OnUnavailable};

/// A choice that has words.
pub(super) trait Words: Copy + PartialEq + 'static {
    /// Every choice and its word.
    const WORDS: &'static [(Self, &'static str)];

    /// The word for it.
    fn word(self) -> &'static str {
        let known = Self::WORDS.iter().find(|(choice, _)| *choice == self);
        known.map(|(_, word)| *word).expect("every choice has a word: a test proves it")
    }

    /// What is called by `word`, in capitals or not.
    fn from_word(word: &[u8]) -> Option<Self> {
        let known =
            Self::WORDS.iter().find(|(_, known)| word.eq_ignore_ascii_case(known.as_bytes()));
        known.map(|(choice, _)| *choice)
    }
}

impl Words for Algorithm {
    const WORDS: &'static [(Self, &'static str)] = &[
        (Self::Gcra, "gcra"),
        (Self::SlidingWindow, "sliding_window"),
        (Self::Concurrency, "concurrency"),
    ];
}

impl Words for Mode {
    const WORDS: &'static [(Self, &'static str)] =
        &[(Self::Exact, "exact"), (Self::Leased, "leased")];
}

impl Words for Durability {
    const WORDS: &'static [(Self, &'static str)] =
        &[(Self::Synced, "synced"), (Self::Buffered, "buffered")];
}

impl Words for OnUnavailable {
    const WORDS: &'static [(Self, &'static str)] = &[(Self::Allow, "allow"), (Self::Deny, "deny")];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree<T: Words + std::fmt::Debug>(all: &[T]) {
        assert_eq!(T::WORDS.len(), all.len());
        for choice in all {
            assert_eq!(T::from_word(choice.word().to_uppercase().as_bytes()), Some(*choice));
        }
        assert_eq!(T::from_word(b""), None);
    }

    #[test]
    fn every_choice_has_a_word() {
        agree(&[Algorithm::Gcra, Algorithm::SlidingWindow, Algorithm::Concurrency]);
        agree(&[Mode::Exact, Mode::Leased]);
        agree(&[Durability::Synced, Durability::Buffered]);
        agree(&[OnUnavailable::Allow, OnUnavailable::Deny]);
    }
}
