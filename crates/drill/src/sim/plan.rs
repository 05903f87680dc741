//! The plan of a run: who asks for what and which faults strike when. All of it follows from a
//! seed, and any part of it can be left out, which is how a counterexample is made short.

pub(super) mod chat;
pub(super) mod feed;
pub(super) mod jobs;

pub use chat::Talk;
pub use feed::Social;
pub use jobs::{NewWork, Way};

use super::limits::SUBJECTS;
use crate::history::Capacity;
use fastrand::Rng;
use std::collections::BTreeSet;

/// After this no fault strikes any more: whatever was begun must then complete.
pub const FAULTS_END_MS: u64 = 3_000;

/// Where the partition runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// Two nodes that compete for a partition in a log elsewhere.
    Cluster,
    /// One node over its own write-ahead log, on a disk that may lose power.
    Local,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Places on resources.
    Reservations,
    /// Units of limits.
    Limits,
    /// Work, to be done by workers.
    Jobs,
    /// Conversations.
    Chat,
    /// Feeds.
    Feed,
}

impl Product {
    /// What its paths' names begin with.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reservations => "reservations",
            Self::Limits => "limits",
            Self::Jobs => "jobs",
            Self::Chat => "chat",
            Self::Feed => "feed",
        }
    }
}

/// How much is asked and how much goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Clients.
    pub clients: usize,
    /// Steps of each.
    pub steps: usize,
    /// Faults, at most.
    pub faults: usize,
}

impl Size {
    /// Small enough to be read by a person.
    pub const SMALL: Self = Self { clients: 2, steps: 4, faults: 2 };
    /// What the seeds in the tests run.
    pub const USUAL: Self = Self { clients: 4, steps: 10, faults: 6 };
}

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Everything that is drawn while it runs.
    pub seed: u64,
    /// Where.
    pub scene: Scene,
    /// What.
    pub product: Product,
    /// Records in flight at once.
    pub depth: usize,
    /// Whether messages and appends are delayed, lost and late.
    pub lossy: bool,
    /// What each client does, in order.
    pub clients: Vec<Vec<Step>>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// One thing that a client does.
#[derive(Debug, Clone)]
pub struct Step {
    /// It waits so long before.
    pub pause_ms: u64,
    /// With this resource or subject of a limit, by number.
    pub resource: usize,
    /// What it wants.
    pub intent: Intent,
    /// Whether it sends an idempotency key, and so may ask again.
    pub keyed: bool,
}

impl Step {
    fn len(&self) -> usize {
        match &self.intent {
            Intent::Enqueue(jobs) => jobs.len(),
            Intent::Talk(Talk::Chatter(times)) | Intent::Feed(Social::Burst(times)) => {
                usize::from(*times)
            }
            _ => 1,
        }
    }
}

/// What a client wants. `Confirm` and what follows it mean its latest hold on the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Take places: so many, or the seats of these numbers.
    Hold {
        /// Units, or seats by number.
        places: Vec<usize>,
        /// For how long.
        ttl_ms: u64,
    },
    /// Make it permanent.
    Confirm {
        /// Even if it has expired.
        reacquire: bool,
    },
    /// Give it back.
    Release,
    /// Keep it longer.
    Extend {
        /// From then.
        ttl_ms: u64,
    },
    /// Give a confirmed one back.
    Cancel,
    /// Count the places.
    Read,
    /// Of a limit: have units counted.
    Check {
        /// How many: the limit says.
        size: CheckSize,
    },
    /// Of a limit: give back what the latest check counted.
    Refund,
    /// Have jobs done.
    Enqueue(Vec<NewWork>),
    /// Have the latest job not done.
    CancelJob,
    /// Do what jobs are for.
    Work {
        /// So many at once, at most.
        max: usize,
        /// And how it goes.
        way: Way,
    },
    /// Take part in a conversation.
    Talk(Talk),
    /// Have a feed.
    Feed(Social),
}

/// How much of a limit a check wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckSize {
    /// A unit.
    Small,
    /// Several.
    Large,
}

/// Something that goes wrong.
#[derive(Debug, Clone)]
pub struct Fault {
    /// When.
    pub at_ms: u64,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// A node's process dies and comes back.
    Kill {
        /// Which.
        node: usize,
        /// Whether its store is gone too.
        wipe: bool,
    },
    /// The machine loses power, at the so-manyth change to its disk from now on.
    PowerLoss {
        /// Counted from now.
        at_change: u64,
    },
    /// A node tries to take over.
    TakeOver {
        /// Which.
        node: usize,
    },
    /// A node's wall clock jumps.
    ClockStep {
        /// Which.
        node: usize,
        /// By so much.
        by_ms: i64,
    },
    /// A node writes a checkpoint and flushes.
    Checkpoint {
        /// Which.
        node: usize,
    },
    /// The log takes nothing for so long. No plan draws it: it is there to see what needs the log.
    LogAway {
        /// From then.
        ms: u64,
    },
}

impl Plan {
    /// The plan of `seed` about a product.
    #[must_use]
    pub fn about(product: Product, seed: u64, scene: Scene, size: Size) -> Self {
        match product {
            Product::Reservations => Self::new(seed, scene, size),
            Product::Limits => Self::limits(seed, scene, size),
            Product::Jobs => Self::jobs(seed, scene, size),
            Product::Chat => Self::chat(seed, scene, size),
            Product::Feed => Self::feed(seed, scene, size),
        }
    }

    /// The plan of `seed` about reservations.
    #[must_use]
    pub fn new(seed: u64, scene: Scene, size: Size) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x5eed);
        let clients = (0..size.clients).map(|_| steps(&mut rng, size.steps)).collect();
        Self::with(rng, seed, (scene, Product::Reservations), size, clients)
    }

    /// The plan of `seed` about limits.
    #[must_use]
    pub fn limits(seed: u64, scene: Scene, size: Size) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x11417);
        // Most of it is about one subject, so that it is used up.
        let subject = rng.usize(0..SUBJECTS);
        let clients = (0..size.clients).map(|_| checks(&mut rng, subject, size.steps)).collect();
        Self::with(rng, seed, (scene, Product::Limits), size, clients)
    }

    /// The plan of `seed` about jobs.
    #[must_use]
    pub fn jobs(seed: u64, scene: Scene, size: Size) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x0b5);
        let steps = |client| jobs::steps(&mut rng, client, size.steps);
        // At least two of them work, so that one can be late and the other have its job.
        let clients = (0..=size.clients).map(steps).collect();
        Self::with(rng, seed, (scene, Product::Jobs), size, clients)
    }

    /// The plan of `seed` about conversations.
    #[must_use]
    pub fn chat(seed: u64, scene: Scene, size: Size) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0xc4a7);
        let clients = (0..size.clients).map(|_| chat::steps(&mut rng, size.steps)).collect();
        Self::with(rng, seed, (scene, Product::Chat), size, clients)
    }

    /// The plan of `seed` about feeds.
    #[must_use]
    pub fn feed(seed: u64, scene: Scene, size: Size) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0xfeed);
        // One more: who reads, who posts, and who comes between them.
        let steps = |client| feed::steps(&mut rng, client, size.steps);
        let mut clients: Vec<_> = (0..=size.clients).map(steps).collect();
        match rng.u8(0..3) {
            0 => feed::quarrel(&mut rng, &mut clients),
            1 => feed::crowd(&mut rng, &mut clients),
            _ => {}
        }
        Self::with(rng, seed, (scene, Product::Feed), size, clients)
    }

    fn with(
        mut rng: Rng,
        seed: u64,
        (scene, product): (Scene, Product),
        size: Size,
        clients: Vec<Vec<Step>>,
    ) -> Self {
        let mut faults: Vec<Fault> =
            (0..rng.usize(0..=size.faults)).map(|_| fault(&mut rng, scene)).collect();
        faults.sort_by_key(|fault| fault.at_ms);
        let depth = rng.usize(1..=3);
        Self { seed, scene, product, depth, lossy: rng.u8(0..4) != 0, clients, faults }
    }

    /// How much there is in it, for telling which of two is the shorter.
    #[must_use]
    pub fn len(&self) -> usize {
        let steps = self.clients.iter().flatten().map(Step::len).sum::<usize>();
        steps + self.faults.len() + usize::from(self.lossy)
    }

    /// Whether nothing is left in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The resources of every run.
#[must_use]
pub fn inventory() -> Vec<(String, Capacity)> {
    let seats: BTreeSet<String> = (0..3).map(seat).collect();
    vec![
        ("gig".into(), Capacity::Quantity(3)),
        ("hall".into(), Capacity::Seats(seats)),
        ("lock".into(), Capacity::Quantity(1)),
    ]
}

/// The name of a seat.
#[must_use]
pub fn seat(number: usize) -> String {
    format!("A{}", number + 1)
}

fn steps(rng: &mut Rng, count: usize) -> Vec<Step> {
    let mut resource = rng.usize(0..3);
    (0..count)
        .map(|index| {
            let begins = index == 0 || rng.u8(0..3) == 0;
            if begins {
                resource = rng.usize(0..3);
            }
            let intent = if begins { hold(rng, resource) } else { follow_up(rng, resource) };
            Step { pause_ms: rng.u64(0..250), resource, intent, keyed: rng.u8(0..10) != 0 }
        })
        .collect()
}

fn hold(rng: &mut Rng, resource: usize) -> Intent {
    let places = match resource {
        0 => vec![0; rng.usize(1..=2)],
        1 => (0..3).filter(|_| rng.bool()).collect(),
        _ => vec![0],
    };
    let places = if places.is_empty() { vec![rng.usize(0..3)] } else { places };
    Intent::Hold { places, ttl_ms: rng.u64(100..1_500) }
}

fn follow_up(rng: &mut Rng, resource: usize) -> Intent {
    match rng.u8(0..12) {
        0..=3 if resource != 2 => Intent::Confirm { reacquire: rng.bool() },
        4..=5 => Intent::Release,
        6 => Intent::Extend { ttl_ms: rng.u64(100..1_500) },
        7 if resource != 2 => Intent::Cancel,
        8..=9 => Intent::Read,
        _ => hold(rng, resource),
    }
}

fn checks(rng: &mut Rng, usual: usize, count: usize) -> Vec<Step> {
    let step = |rng: &mut Rng| Step {
        pause_ms: rng.u64(0..250),
        resource: if rng.u8(0..4) == 0 { rng.usize(0..SUBJECTS) } else { usual },
        intent: match rng.u8(0..6) {
            0..=1 => Intent::Refund,
            2..=3 => Intent::Check { size: CheckSize::Small },
            _ => Intent::Check { size: CheckSize::Large },
        },
        keyed: rng.bool(),
    };
    (0..count).map(|_| step(rng)).collect()
}

fn fault(rng: &mut Rng, scene: Scene) -> Fault {
    let node = match scene {
        Scene::Cluster => rng.usize(0..2),
        Scene::Local => 0,
    };
    let kind = match (rng.u8(0..10), scene) {
        (0..=1, Scene::Cluster) => FaultKind::TakeOver { node },
        (0..=1, Scene::Local) => FaultKind::PowerLoss { at_change: rng.u64(1..6) },
        (2..=5, _) => FaultKind::Kill { node, wipe: rng.u8(0..4) == 0 },
        (6..=7, _) => FaultKind::ClockStep { node, by_ms: rng.i64(-3_000..3_000) },
        _ => FaultKind::Checkpoint { node },
    };
    Fault { at_ms: rng.u64(0..FAULTS_END_MS), kind }
}
