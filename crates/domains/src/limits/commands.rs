//! What can be asked of limits, and what is answered.

use super::{Algorithm, Durability, Policy};
use crate::KeyParts;
use evenkeel_engine::Time;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The longest key of a subject.
pub const KEY_BYTES_MAX: usize = 512;
/// Checks of one command.
pub const CHECKS_MAX: usize = 32;

/// Something about one or several subjects whose partition is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub(crate) checks: Vec<Check>,
    pub(crate) action: Action,
}

impl Command {
    /// To do `action` with `checks`, whose partition is the same: each with its own policy.
    pub fn new(checks: Vec<Check>, action: Action) -> Result<Self, CheckError> {
        match checks.len() {
            0 => Err(CheckError::NoChecks),
            1..=CHECKS_MAX => Ok(Self { checks, action }),
            _ => Err(CheckError::TooManyChecks),
        }
    }

    /// To give a slot back.
    #[must_use]
    pub fn release(lease: LeaseId) -> Self {
        Self { checks: Vec::new(), action: Action::Release { lease } }
    }

    /// To keep a slot until `ttl_ms` from now, which the edge has checked: 1 to `PERIOD_MS_MAX`.
    #[must_use]
    pub fn renew(lease: LeaseId, ttl_ms: u64) -> Self {
        Self { checks: Vec::new(), action: Action::Renew { lease, ttl_ms } }
    }

    /// Whether it is answered before it is durable: checks, if all of their limits say so.
    #[must_use]
    pub fn is_buffered(&self) -> bool {
        let buffered = |check: &Check| check.policy.durability == Durability::Buffered;
        matches!(self.action, Action::Check { .. } | Action::Lease { .. })
            && self.checks.iter().all(buffered)
    }

    /// The subjects: none if it names a lease.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// What to do.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.action
    }
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Count the cost of every check if all of them fit, else of none.
    Check {
        /// A number, drawn at random by whoever asks, for the leases that are taken.
        lease: u64,
    },
    /// Give back what an earlier check counted and nobody used.
    Refund {
        /// The record time of the answer to that check.
        counted_at: Time,
    },
    /// Give back a slot.
    Release {
        /// Which.
        lease: LeaseId,
    },
    /// Have a slot end `ttl_ms` from now.
    Renew {
        /// Which.
        lease: LeaseId,
        /// From now.
        ttl_ms: u64,
    },
    /// Forget what was counted: the subjects are full again.
    Reset,
    /// Count as many units of the one subject as it has, at least its check's cost and at most so
    /// many, for an edge that admits from them.
    Lease {
        /// At most.
        tokens: u64,
    },
    /// Give back what somebody says was counted and not used, without saying when: of a sliding window
    /// the oldest first, and no more than is still counted. GCRA gives nothing back: by now it may have
    /// come back by itself.
    GiveBack,
}

/// What is limited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The limit's name; none if the policy came with the request.
    pub limit: String,
    /// The scope, of a limit that is scoped.
    pub scope: Option<String>,
    /// Any bytes.
    pub key: Vec<u8>,
}

/// A subject with its policy, ready to be decided about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    subject: Subject,
    policy: Policy,
    cost: u64,
    /// Made at the edge, where there are cores to spare.
    key: [u8; 16],
}

/// Why there is no such check, or no such command of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// There is nothing to check.
    #[error("name at least one check")]
    NoChecks,
    /// There is too much.
    #[error("a request has at most {CHECKS_MAX} checks")]
    TooManyChecks,
    /// The key is too long.
    #[error("a key has at most {KEY_BYTES_MAX} bytes")]
    KeyTooLong,
    /// A scoped limit counts for each scope.
    #[error("the limit is scoped: the check must carry a scope")]
    ScopeMissing,
    /// Only a scoped limit does.
    #[error("the limit is not scoped: the check must not carry a scope")]
    ScopeUnwanted,
}

impl Check {
    /// A check of `cost` units (0 asks and counts nothing).
    pub fn new(subject: Subject, policy: Policy, cost: u64) -> Result<Self, CheckError> {
        if subject.key.len() > KEY_BYTES_MAX {
            return Err(CheckError::KeyTooLong);
        }
        match (policy.scoped, &subject.scope) {
            (true, None) => return Err(CheckError::ScopeMissing),
            (false, Some(_)) => return Err(CheckError::ScopeUnwanted),
            _ => {}
        }
        let key = subject.hash(policy.algorithm);
        Ok(Self { subject, policy, cost, key })
    }

    /// What is limited.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// By what.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How many units.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// The name of its row, which a [`LeaseId`] carries.
    #[must_use]
    pub fn key(&self) -> [u8; 16] {
        self.key
    }

    /// The partition key: the scope alone, so that all that is counted for a scope is one append;
    /// else limit and key.
    #[must_use]
    pub fn partition_key(&self) -> KeyParts<'_> {
        match &self.subject.scope {
            Some(scope) => scope.as_str().into(),
            None => KeyParts::two(self.subject.limit.as_bytes(), &self.subject.key),
        }
    }
}

impl Subject {
    /// BLAKE3 of what tells it apart. The algorithm is part of it: a row is never read by another
    /// algorithm than wrote it, also where a limit was deleted and put anew.
    fn hash(&self, algorithm: Algorithm) -> [u8; 16] {
        let scope = self.scope.as_deref();
        let mut bytes = Vec::with_capacity(4 + 2 * 128 + self.key.len());
        bytes.push(algorithm as u8);
        bytes.push(u8::from(scope.is_some()));
        // Names have no zero inside.
        bytes.extend_from_slice(self.limit.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(scope.unwrap_or_default().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&self.key);
        evenkeel_log::Hash::of(&bytes).0
    }
}

/// A slot that is taken, as its holder names it. It says where it is, so that giving it back needs
/// nothing else: printed as `partition.key.number`, the last two in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseId {
    /// The partition that counts it.
    pub partition: u16,
    /// [`Check::key`].
    pub key: [u8; 16],
    /// [`CheckResult::lease`].
    pub number: u64,
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = u128::from_be_bytes(self.key);
        write!(f, "{}.{key:032x}.{:016x}", self.partition, self.number)
    }
}

impl FromStr for LeaseId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().ok_or(());
        let decimal = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let partition = Some(next()?).filter(|part| decimal(part)).ok_or(())?;
        let (key, number) = (hexadecimal(next()?, 32)?, hexadecimal(next()?, 16)?);
        Ok(Self {
            partition: partition.parse().map_err(|_| ())?,
            key: key.to_be_bytes(),
            number: u64::try_from(number).map_err(|_| ())?,
        })
    }
}

fn hexadecimal(text: &str, digits: usize) -> Result<u128, ()> {
    let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fits { u128::from_str_radix(text, 16).map_err(|_| ()) } else { Err(()) }
}

/// What was decided about one check. Rounding to seconds is the edge's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Whether it fits, or nobody is refused by it.
    pub allowed: bool,
    /// The most that can remain: of GCRA `burst + 1`, else the policy's quantity.
    pub quantity: u64,
    /// How many units remain.
    pub remaining: u64,
    /// When the same cost would fit, if nothing else were counted; none if it fits, or never will.
    pub retry_after_ns: Option<u64>,
    /// When it is full again, if nothing else is counted.
    pub reset_after_ns: u64,
    /// The number of the slot that was taken.
    pub lease: Option<u64>,
    /// It would have been refused, were the limit more than watching.
    pub shadow_refused: bool,
}

/// A yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// All checks fit and were counted.
    Checked(Vec<CheckResult>),
    /// How the subjects are now.
    Changed(Vec<CheckResult>),
    /// The slot is free.
    Released,
    /// The slot is taken until then.
    Renewed {
        /// When it ends.
        expires_at: Time,
    },
    /// So many units were counted, and how the subject is now.
    Leased {
        /// At least what was needed.
        tokens: u64,
        /// As of a check.
        result: CheckResult,
    },
}

/// A no: the command had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// One of the checks does not fit, so nothing was counted: what each would have been answered.
    Limited(Vec<CheckResult>),
    /// The slot is not taken: it was released, it ended, or it never was.
    NoLease,
    /// That is not how this algorithm is used.
    WrongAlgorithm(Algorithm),
}

impl Refusal {
    /// The code under which it is answered and counted.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Limited(_) => "limited",
            Self::NoLease => "no_lease",
            Self::WrongAlgorithm(_) => "wrong_algorithm",
        }
    }
}
