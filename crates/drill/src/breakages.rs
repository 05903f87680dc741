//! Breakages: guarantees that are taken away, one at a time, to see which promise breaks.
//!
//! Each must be caught: a search over seeds finds a run whose verdict is not valid, and the run
//! is then made as short as it can be. They exist only here: nothing that serves can reach them.

mod counterexample;
mod naive;
mod shrink;

pub use counterexample::Counterexample;
pub use naive::{DoubleSales, check_then_act};

use crate::sim::{Broken, BrokenChat, BrokenJobs, BrokenKept, Plan, Product, Scene, Size, run};
use evenkeel_domains::Switches as DomainSwitches;
use evenkeel_engine::Switches;

/// A guarantee that can be taken away.
#[derive(Debug, Clone, Copy)]
pub struct Breakage {
    /// Its name.
    pub name: &'static str,
    /// What is taken away.
    pub takes_away: &'static str,
    /// What that guarantee is for.
    pub protects: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Simulated {
        product: Product,
        scene: Scene,
        broken: Broken,
    },
    /// Not a switch in Evenkeel, but the way to do without it.
    Naive,
}

const NOTHING: Switches = Switches {
    ack_before_append: false,
    no_idempotency_row: false,
    unfenced_refusal: false,
    absent_means_not_appended: false,
    no_outbox_dedup: false,
};
const INTACT: Broken = Broken {
    engine: NOTHING,
    domains: DomainSwitches { no_client_id_dedup: false },
    no_tail_check: false,
    no_fsync: false,
    wall_clock: false,
    window_reset: false,
    unbounded_lease: false,
    refund_twice: false,
    jobs: WELL,
    chat: FOLLOWED,
    kept: KEPT,
};
const KEPT: BrokenKept =
    BrokenKept { fill_after_invalidate: false, no_coalescing: false, ignore_session: false };
const FOLLOWED: BrokenChat =
    BrokenChat { off_by_one: false, by_wall_clock: false, unbounded_buffer: false };
const WELL: BrokenJobs = BrokenJobs {
    no_fence: false,
    ack_first: false,
    no_jitter: false,
    unbounded_backlog: false,
    check_outside: false,
};

/// Every breakage.
pub const BREAKAGES: &[Breakage] = &[
    Breakage {
        name: "no-tail-check",
        takes_away: "the log appends without checking that its tail is the record's predecessor",
        protects: "one owner at a time: a deposed one cannot append, so it cannot answer (I5)",
        kind: simulated(Scene::Cluster, Broken { no_tail_check: true, ..INTACT }),
    },
    Breakage {
        name: "ack-before-append",
        takes_away: "callers are answered when a batch is decided, not when it is durable",
        protects: "acknowledged means durable (I1)",
        kind: engine(Scene::Cluster, Switches { ack_before_append: true, ..NOTHING }),
    },
    Breakage {
        name: "no-fsync",
        takes_away: "the disk is not asked to keep what was written",
        protects: "acknowledged means durable, through power loss (I1)",
        kind: simulated(Scene::Local, Broken { no_fsync: true, ..INTACT }),
    },
    Breakage {
        name: "wall-clock-expiry",
        takes_away: "time is what the owner's wall clock says",
        protects: "a hold lasts for its time, whatever clocks do (I4)",
        kind: simulated(Scene::Cluster, Broken { wall_clock: true, ..INTACT }),
    },
    Breakage {
        name: "no-idempotency-row",
        takes_away: "keys are not remembered with their effects",
        protects: "a retry has no second effect (I2)",
        kind: engine(Scene::Cluster, Switches { no_idempotency_row: true, ..NOTHING }),
    },
    Breakage {
        name: "unfenced-refusal",
        takes_away: "refusals and reads are answered without asking whether this is still the owner",
        protects: "a no is as true as a yes (I5)",
        kind: engine(Scene::Cluster, Switches { unfenced_refusal: true, ..NOTHING }),
    },
    Breakage {
        name: "absent-means-not-appended",
        takes_away: "an append that timed out is taken for one that will never land",
        protects: "“no effect” is said only of what can have none (I1, I5)",
        kind: engine(Scene::Cluster, Switches { absent_means_not_appended: true, ..NOTHING }),
    },
    Breakage {
        name: "window-reset-on-restart",
        takes_away: "what limits have counted is forgotten when a process starts",
        protects: "a limit admits no more than it says, through crashes (I8)",
        kind: limits(Scene::Local, Broken { window_reset: true, ..INTACT }),
    },
    Breakage {
        name: "unbounded-lease",
        takes_away: "an edge takes all the tokens that there are, and keeps them",
        protects: "a leased limit admits at most what is stated beyond its policy (I8)",
        kind: limits(Scene::Cluster, Broken { unbounded_lease: true, ..INTACT }),
    },
    Breakage {
        name: "refund-twice",
        takes_away: "the keys of refunds are not remembered, so that a retry gives back again",
        protects: "a refund gives back no more than was counted (I2, I8)",
        kind: limits(Scene::Cluster, Broken { refund_twice: true, ..INTACT }),
    },
    Breakage {
        name: "no-lease-fence",
        takes_away: "what workers write to does not compare the fences of their leases",
        protects: "a stale lease changes nothing, also where a worker writes (I9)",
        kind: jobs(Scene::Cluster, BrokenJobs { no_fence: true, ..WELL }),
    },
    Breakage {
        name: "ack-before-effect",
        takes_away: "workers complete a job before they do what it is for",
        protects: "no job is lost: one whose worker died is given to another (I9)",
        kind: jobs(Scene::Local, BrokenJobs { ack_first: true, ..WELL }),
    },
    Breakage {
        name: "retry-without-jitter",
        takes_away: "the retries of jobs that failed at once wait equally long",
        protects: "a stampede of retries is spread, so that what failed can recover (I9)",
        kind: jobs(Scene::Cluster, BrokenJobs { no_jitter: true, ..WELL }),
    },
    Breakage {
        name: "unbounded-backlog",
        takes_away: "however many jobs wait, more are taken in",
        protects: "a queue takes in no more than it says, and says so at once (I14)",
        kind: jobs(Scene::Cluster, BrokenJobs { unbounded_backlog: true, ..WELL }),
    },
    Breakage {
        name: "check-outside-transaction",
        takes_away: "workers ask whether a job's effect has happened before the transaction in which \
                     it does",
        protects: "delivery repeats, effects do not (I9)",
        kind: jobs(Scene::Cluster, BrokenJobs { check_outside: true, ..WELL }),
    },
    Breakage {
        name: "no-outbox-dedup",
        takes_away: "what one partition is delivered from another again, it does again",
        protects: "work for another partition has one effect (I12)",
        kind: Kind::Simulated {
            product: Product::Jobs,
            scene: Scene::Cluster,
            broken: Broken { engine: Switches { no_outbox_dedup: true, ..NOTHING }, ..INTACT },
        },
    },
    Breakage {
        name: "no-client-id-dedup",
        takes_away: "what was sent under a client id is not looked up before it is sent again",
        protects: "a message is sent once, however often its sender has to ask (I2, I6)",
        kind: Kind::Simulated {
            product: Product::Chat,
            scene: Scene::Cluster,
            broken: Broken { domains: DomainSwitches { no_client_id_dedup: true }, ..INTACT },
        },
    },
    Breakage {
        name: "resume-off-by-one",
        takes_away: "who resumes is sent what follows the event after the last that they have",
        protects: "whoever resumes sees every event once, in order (I7)",
        kind: chat(Scene::Local, BrokenChat { off_by_one: true, ..FOLLOWED }),
    },
    Breakage {
        name: "order-by-wall-clock",
        takes_away: "conversations are read in the order of what wall clocks said",
        protects: "a conversation has one order, the same for every reader (I6)",
        kind: chat(Scene::Cluster, BrokenChat { by_wall_clock: true, ..FOLLOWED }),
    },
    Breakage {
        name: "unbounded-subscriber-buffer",
        takes_away: "as many events wait for a connection as will",
        protects: "a slow reader holds nobody up, and takes no more memory than it may (I14)",
        kind: chat(Scene::Local, BrokenChat { unbounded_buffer: true, ..FOLLOWED }),
    },
    Breakage {
        name: "cache-fill-after-invalidate",
        takes_away: "what is read is kept though it was written meanwhile",
        protects: "one's own posts are in one's timeline at once, for everybody who looks then (I10)",
        kind: kept(BrokenKept { fill_after_invalidate: true, ..KEPT }),
    },
    Breakage {
        name: "no-coalescing",
        takes_away: "whoever finds nothing kept reads, also while somebody else does",
        protects: "what many ask for at once is read once: a crowd is no stampede (I14)",
        kind: kept(BrokenKept { no_coalescing: true, ..KEPT }),
    },
    Breakage {
        name: "ignore-session-token",
        takes_away: "what is kept is given to everybody, whatever they have seen",
        protects: "reads in a session never go back (I10)",
        kind: kept(BrokenKept { ignore_session: true, ..KEPT }),
    },
    Breakage {
        name: "check-then-act",
        takes_away: "clients read what is free and then write, without holding anything",
        protects: "a seat is sold once (I3)",
        kind: Kind::Naive,
    },
];

const fn simulated(scene: Scene, broken: Broken) -> Kind {
    Kind::Simulated { product: Product::Reservations, scene, broken }
}

const fn engine(scene: Scene, engine: Switches) -> Kind {
    simulated(scene, Broken { engine, ..INTACT })
}

const fn limits(scene: Scene, broken: Broken) -> Kind {
    Kind::Simulated { product: Product::Limits, scene, broken }
}

const fn jobs(scene: Scene, jobs: BrokenJobs) -> Kind {
    Kind::Simulated { product: Product::Jobs, scene, broken: Broken { jobs, ..INTACT } }
}

const fn chat(scene: Scene, chat: BrokenChat) -> Kind {
    Kind::Simulated { product: Product::Chat, scene, broken: Broken { chat, ..INTACT } }
}

/// What is kept is kept by the one process that has all partitions.
const fn kept(kept: BrokenKept) -> Kind {
    let (product, scene) = (Product::Feed, Scene::Local);
    Kind::Simulated { product, scene, broken: Broken { kept, ..INTACT } }
}

/// What a search found.
#[derive(Debug)]
pub enum Found {
    /// A run that shows what broke.
    Counterexample(Box<Counterexample>),
    /// What naive clients sold twice.
    DoubleSales(DoubleSales),
    /// Nothing, in so many seeds.
    Nothing {
        /// How many were tried.
        seeds: u64,
    },
}

impl Breakage {
    /// The breakage of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        BREAKAGES.iter().find(|breakage| breakage.name == name)
    }

    /// The product that shows it, as its paths are named.
    #[must_use]
    pub const fn product(&self) -> &'static str {
        match self.kind {
            Kind::Simulated { product, .. } => product.name(),
            Kind::Naive => Product::Reservations.name(),
        }
    }

    /// Looks for a run that shows what this breakage breaks: `seed`, or from 0 on.
    #[must_use]
    pub fn find(&self, seed: Option<u64>, seeds_max: u64) -> Found {
        let Kind::Simulated { product, scene, broken } = self.kind else {
            return Found::DoubleSales(check_then_act(seed.unwrap_or(0)));
        };
        let seeds = seed.map_or(0..seeds_max, |seed| seed..seed + 1);
        // What a client can tell is worth more than what an operator would see.
        for (size, told) in [(Size::SMALL, true), (Size::USUAL, true), (Size::USUAL, false)] {
            for seed in seeds.clone() {
                let plan = Plan::about(product, seed, scene, size);
                let verdict = run(&plan, broken).verdict;
                if !verdict.violations.is_empty() && (!told || verdict.is_told_by_clients()) {
                    let shortest = shrink::shortest(plan, broken, told);
                    return Found::Counterexample(Box::new(Counterexample::new(
                        self, seed, &shortest, broken,
                    )));
                }
            }
        }
        Found::Nothing { seeds: seeds.end - seeds.start }
    }
}
