//! How a command ends badly: what is said on stderr, and the exit code.

use std::{error::Error, fmt};

/// An error of any kind.
pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense: exit code 2.
    Usage(String),
    /// It was tried and failed: exit code 1.
    Failed(AnyError),
    /// Everything was said already: only the exit code is left.
    Ended(u8),
}

impl Failure {
    /// A failure that needs no cause.
    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self::Failed(what.into().into())
    }

    /// `what` failed, because of `cause`.
    pub(crate) fn because(what: impl Into<String>, cause: impl Into<AnyError>) -> Self {
        Self::Failed(Box::new(Because { what: what.into(), cause: cause.into() }))
    }

    /// Says it on stderr, and answers the exit code.
    pub(crate) fn report(&self) -> u8 {
        match self {
            Self::Usage(what) => {
                eprintln!("evenkeel: {what}");
                2
            }
            Self::Failed(error) => {
                eprintln!("evenkeel: {}", chain(&**error));
                1
            }
            Self::Ended(code) => *code,
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(Box::new(error))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct Because {
    what: String,
    #[source]
    cause: AnyError,
}

/// An error and its causes, one a line. Some errors repeat their cause in their own text: it is
/// then not said twice.
fn chain(error: &(dyn Error + 'static)) -> impl fmt::Display {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str("\n  because: ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let io = || std::io::Error::other("the disk is on fire");
        let Failure::Failed(error) = Failure::because("cannot read it", io()) else {
            panic!("it has a cause");
        };
        assert_eq!(chain(&*error).to_string(), "cannot read it\n  because: the disk is on fire");
        let Failure::Failed(error) = Failure::because("no: the disk is on fire", io()) else {
            panic!("it has a cause");
        };
        assert_eq!(chain(&*error).to_string(), "no: the disk is on fire");
    }
}
