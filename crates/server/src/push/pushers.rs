//! All queues that are pushed: one pusher each, begun and ended as the settings of queues change.

use super::{
    attempt::Shared,
    board::{Entry, Key, Pushes},
    options::PushOptions,
    pusher::Pusher,
    source::{Pushed, Source},
};
use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
};
use tokio::{
    sync::{Semaphore, watch},
    task::{Id, JoinSet},
};

struct Running {
    queue: watch::Sender<Arc<Pushed>>,
    stop: watch::Sender<bool>,
}

/// The pushers that there are.
struct Pushers<S> {
    shared: Arc<Shared<S>>,
    pushes: Pushes,
    #[cfg(feature = "tls")]
    tls: super::tls::Tls,
    running: BTreeMap<Key, Running>,
    tasks: JoinSet<()>,
    keys: HashMap<Id, Key>,
}

/// Pushes all queues of `source` that have a push, until `shutdown` completes; then finishes what was
/// begun, or gives it back.
pub(super) async fn run<S: Source>(
    source: Arc<S>,
    options: PushOptions,
    pushes: Pushes,
    #[cfg(feature = "tls")] tls: super::tls::Tls,
    shutdown: impl Future<Output = ()>,
) {
    let (permits, reach) = (Semaphore::new(options.attempts_max), pushes.reach());
    let mut pushers = Pushers {
        shared: Arc::new(Shared {
            source: Arc::clone(&source),
            options,
            reach,
            permits,
            shares: Mutex::default(),
        }),
        pushes,
        #[cfg(feature = "tls")]
        tls,
        running: BTreeMap::new(),
        tasks: JoinSet::new(),
        keys: HashMap::new(),
    };
    let mut shutdown = pin!(shutdown);
    pushers.follow(source.pushed());
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            () = source.changed() => pushers.follow(source.pushed()),
            Some(ended) = pushers.tasks.join_next_with_id() => {
                // After a defect it waits for the next change, lest it fail again at once.
                if pushers.ended(ended) {
                    pushers.follow(source.pushed());
                }
            }
        }
    }
    for running in pushers.running.values() {
        running.stop.send_replace(true);
    }
    while let Some(ended) = pushers.tasks.join_next_with_id().await {
        pushers.ended(ended);
    }
}

impl<S: Source> Pushers<S> {
    /// Has the queues be pushed that are to be, and no others.
    fn follow(&mut self, pushed: Vec<Pushed>) {
        let key = |pushed: &Pushed| (pushed.id.tenant.id, Arc::clone(&pushed.id.queue));
        let mut wanted: BTreeMap<Key, Pushed> =
            pushed.into_iter().map(|pushed| (key(&pushed), pushed)).collect();
        for (key, running) in &self.running {
            let Some(pushed) = wanted.remove(key) else {
                running.stop.send_replace(true);
                continue;
            };
            // One that is ending begins anew when it has ended.
            running.queue.send_if_modified(|known| {
                let changed = **known != pushed;
                if changed {
                    *known = Arc::new(pushed);
                }
                changed
            });
        }
        for (key, pushed) in wanted {
            self.begin(key, pushed);
        }
    }

    fn begin(&mut self, key: Key, pushed: Pushed) {
        let mut seed = [0; 8];
        if getrandom::fill(&mut seed).is_err() {
            tracing::warn!("no randomness: the breakers of all nodes probe at the same times");
        }
        let (id, concurrency_max) = (pushed.id.clone(), pushed.push.concurrency_max);
        let entry = Arc::new(Entry::new(id, concurrency_max, u64::from_le_bytes(seed)));
        self.pushes.insert(Arc::clone(&entry));
        let queue = watch::Sender::new(Arc::new(pushed));
        let stop = watch::Sender::new(false);
        let shared = Arc::clone(&self.shared);
        #[cfg(feature = "tls")]
        let pusher = Pusher::new(shared, entry, queue.subscribe(), self.tls.clone());
        #[cfg(not(feature = "tls"))]
        let pusher = Pusher::new(shared, entry, queue.subscribe());
        let task = self.tasks.spawn(pusher.run(stop.subscribe()));
        self.keys.insert(task.id(), key.clone());
        self.running.insert(key, Running { queue, stop });
    }

    /// A pusher has ended; answers whether as it should.
    fn ended(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) -> bool {
        let (id, well) = match ended {
            Ok((id, ())) => (id, true),
            Err(error) => {
                tracing::error!(%error, "pushing a queue ended by a defect");
                (error.id(), false)
            }
        };
        if let Some(key) = self.keys.remove(&id) {
            self.running.remove(&key);
            self.pushes.remove(&key);
        }
        well
    }
}
