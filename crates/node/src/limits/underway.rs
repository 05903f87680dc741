//! How many checks over several partitions are under way: bounded, each tenant to its share, and
//! waited for when the node ends.

use evenkeel_engine::TenantId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What bounds them.
pub(crate) struct Underway {
    max: u32,
    places: Arc<Semaphore>,
    /// How many each tenant has, if any.
    of_tenants: Mutex<HashMap<TenantId, usize>>,
}

/// One that is under way, until this is dropped.
pub(crate) struct Place {
    underway: Arc<Underway>,
    tenant: TenantId,
    _permit: OwnedSemaphorePermit,
}

impl Underway {
    /// At most `max` at once.
    pub(crate) fn new(max: u32) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(max as usize));
        Arc::new(Self { max, places, of_tenants: Mutex::default() })
    }

    /// A place for one of `tenant`, if it would not have more than it leaves free to others: one
    /// tenant alone gets half of them, two a third each, and the next always finds one.
    pub(crate) fn enter(self: &Arc<Self>, tenant: TenantId) -> Option<Place> {
        let mut of_tenants = self.of_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let own = of_tenants.get(&tenant).copied().unwrap_or(0);
        if own > self.places.available_permits() {
            return None;
        }
        of_tenants.insert(tenant, own + 1);
        Some(Place { underway: Arc::clone(self), tenant, _permit: permit })
    }

    /// Lets nobody in any more; returns once nothing is under way.
    pub(crate) async fn drain(&self) {
        // An error says that they were drained before.
        let _all = self.places.acquire_many(self.max).await;
        self.places.close();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut of_tenants =
            self.underway.of_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        match of_tenants.get_mut(&self.tenant) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(of_tenants.remove(&self.tenant)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Waker},
    };

    #[test]
    fn a_tenant_leaves_as_many_places_to_others_as_it_has() {
        let underway = Underway::new(9);
        let all_of = |tenant: u32| {
            let places = std::iter::repeat_with(|| underway.enter(TenantId(tenant)));
            places.map_while(|place| place).collect::<Vec<Place>>()
        };
        let greedy = all_of(0);
        assert_eq!(greedy.len(), 5);
        let others: Vec<_> = (1..5).map(&all_of).collect();
        assert_eq!(others.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 0]);
        drop(greedy);
        assert_eq!(all_of(4).len(), 3, "and what is over is free again");
    }

    #[test]
    fn what_is_under_way_is_waited_for_and_nothing_else_begins() {
        let underway = Underway::new(4);
        let place = underway.enter(TenantId(0)).unwrap();
        let mut drained = pin!(underway.drain());
        let mut context = Context::from_waker(Waker::noop());
        assert!(drained.as_mut().poll(&mut context).is_pending());
        assert!(underway.enter(TenantId(1)).is_none());
        drop(place);
        assert!(drained.as_mut().poll(&mut context).is_ready());
        assert!(underway.enter(TenantId(1)).is_none());
        assert!(pin!(underway.drain()).poll(&mut context).is_ready(), "a node may be ended twice");
    }
}
