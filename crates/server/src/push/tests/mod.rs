//! Pushing against a consumer that misbehaves, over jobs in memory.

mod chaos;
mod consumer;
mod fake;
mod going;
#[cfg(feature = "tls")]
mod tls;
mod ways;

use super::{PushOptions, PushStanding, Pushes, Reach, pushers};
use evenkeel_engine::TenantId;
use fake::Fake;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{sync::oneshot, task::JoinHandle};

/// A test that waits longer than this has hung.
const HANG: Duration = Duration::from_secs(30);

/// What comes soon, unless something hangs.
async fn soon<T>(coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, coming).await.expect("it did not come")
}

/// A node that pushes.
struct Node {
    pushes: Pushes,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Node {
    fn start(jobs: &Arc<Fake>) -> Self {
        Self::start_with(jobs, |_| {})
    }

    /// One that may reach this machine.
    fn start_with(jobs: &Arc<Fake>, change: impl FnOnce(&mut PushOptions)) -> Self {
        let mut options = PushOptions::new();
        change(&mut options);
        Self::start_in_reach(jobs, options, Reach::Loopback)
    }

    fn start_in_reach(jobs: &Arc<Fake>, options: PushOptions, reach: Reach) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (jobs, pushes) = (Arc::clone(jobs), Pushes::new(reach));
        let told = async {
            let _ = stopped.await;
        };
        #[cfg(feature = "tls")]
        let running = pushers::run(jobs, options, pushes.clone(), tls::trusting(), told);
        #[cfg(not(feature = "tls"))]
        let running = pushers::run(jobs, options, pushes.clone(), told);
        Self { pushes, stop, running: tokio::spawn(running) }
    }

    /// Tells it to stop, and waits until it has.
    async fn stop(self) {
        let _ = self.stop.send(());
        soon(self.running).await.unwrap();
    }

    fn standing(&self, queue: &str) -> PushStanding {
        self.pushes.get(TenantId(0), queue).expect("it is pushed")
    }

    /// Waits until the queue stands so.
    async fn until(&self, queue: &str, wanted: impl Fn(Option<PushStanding>) -> bool) {
        let stands = async {
            while !wanted(self.pushes.get(TenantId(0), queue)) {
                tokio::task::yield_now().await;
            }
        };
        soon(stands).await;
    }
}
