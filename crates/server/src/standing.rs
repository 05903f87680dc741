//! How rules that are read from files stand, told by whoever reads them to whoever asks for
//! `/readyz` or the metrics.

use std::sync::{Arc, Mutex, PoisonError};

/// Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Standing(Arc<Mutex<Stands>>);

/// How they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stands {
    /// Whether what is in force is what the files say.
    pub current: bool,
    /// What is in force and, where that is not what the files say, why.
    pub detail: String,
}

impl Standing {
    /// Says how they stand from now on.
    #[cfg(feature = "grpc")]
    pub(crate) fn set(&self, stands: Stands) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stands;
    }

    /// How they stand.
    #[must_use]
    pub fn get(&self) -> Stands {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
