//! What a set of domains gives the engine.

use crate::{Context, TenantId};
use evenkeel_state::StateError;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// The domains of a deployment, as one type.
///
/// Everything here is a pure function of the state, the command and `now`: the same inputs give
/// the same effects, or a simulation could not be repeated.
pub trait App: Send + Sync + 'static {
    /// What can be asked.
    type Command: Debug + Clone + Serialize + Send;
    /// A yes. Stored beside its idempotency key, hence the codec.
    type Reply: Debug + Clone + PartialEq + Eq + Serialize + DeserializeOwned + Send;
    /// A no. Never stored.
    type Refusal: Debug + Clone + PartialEq + Eq + Send;
    /// Work for another partition ([`Context::send`]). Stored on its way, hence the codec: its variants
    /// are numbers that are never reused.
    type Item: Debug + Clone + PartialEq + Serialize + DeserializeOwned + Send;

    /// Applies what is due on the rows that `command` touches, a bounded number of them. These
    /// effects stay even if the command is refused. Answers whether more are due.
    fn expire(
        &self,
        ctx: &mut Context<'_, '_>,
        tenant: TenantId,
        command: &Self::Command,
    ) -> Result<bool, StateError>;

    /// Decides. On `Err` every effect of this call is rolled back.
    fn decide(
        &self,
        ctx: &mut Context<'_, '_>,
        tenant: TenantId,
        command: &Self::Command,
    ) -> Result<Self::Reply, Stop<Self::Refusal>>;

    /// Whether `command` is answered as soon as it is decided, and not only once that is durable.
    /// Whatever is then lost with the records in flight is lost to whoever was answered: at most
    /// [`Options::depth_buffered`](crate::Options::depth_buffered) records of
    /// [`Options::batch_commands_max`](crate::Options::batch_commands_max) commands, and what was
    /// decided in the last [`Options::linger_ms`](crate::Options::linger_ms). A log that refused
    /// them must take a record before anybody is answered so again.
    fn is_buffered(&self, _: &Self::Command) -> bool {
        false
    }

    /// A timer that a domain set is due; the engine has already removed it. `domain` and `entity`
    /// are what the domain gave. A bounded amount of work: set the timer again for the rest.
    fn timer(&self, ctx: &mut Context<'_, '_>, domain: u8, entity: u64) -> Result<(), StateError>;

    /// Work that another partition sent arrives, once and in the order in which that partition sent it.
    /// There is nobody to refuse it to: what cannot be done is dropped or noted by the domain. An item
    /// may change [`Options::item_rows_max`](crate::Options::item_rows_max) rows; one that changes more,
    /// panics or comes upon a row that no try will read becomes a dead delivery, without effect.
    fn deliver(
        &self,
        ctx: &mut Context<'_, '_>,
        tenant: TenantId,
        item: &Self::Item,
    ) -> Result<(), StateError>;
}

/// Why a decision ended without a reply.
#[derive(Debug)]
pub enum Stop<R> {
    /// The domain says no.
    Refused(R),
    /// The state could not be read.
    State(StateError),
}

impl<R> From<StateError> for Stop<R> {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}
