//! What a node keeps of timelines, as its edge does: the newest page of each, by the read cache's own
//! [`Core`], from which a write takes it away before the writer is answered.
//!
//! Whoever accepts an answer of a certain age may get one that was read for somebody else: if, with how late
//! it was when it was read, it is not older than that; and if it is not older than what they have seen.

use super::{World, reading::Whom};
use crate::{
    history::feed::{Item, Load, Outcome, Page, Place, Request},
    sim::{machines::BEGIN_MS, run::BrokenKept},
};
use evenkeel_cache::{Core, Loaded, Look, Options, Switches, Ticket, Wait};
use evenkeel_domains::{feed, view_of};
use evenkeel_engine::{Entity, TenantId};
use evenkeel_log::Offset;
use std::{collections::BTreeMap, rc::Rc};

/// Items that are kept of a timeline.
pub(super) const LIMIT: usize = 6;
const FRESH_MS: u64 = 250;
const AGE_MS_MAX: u64 = 5_000;
const CAPACITY_BYTES: u64 = 1 << 20;

/// The newest of a timeline, and how late it was when it was read.
pub(super) struct Kept {
    items: Vec<Item>,
    is_whole: bool,
    offset: Offset,
    late_ms: u64,
}

/// What a read came to: a timeline, how far its partition was, and how late it was.
pub(in crate::sim) type Read = ((Vec<Item>, Option<Place>), Offset, u64);

/// A read that is to be kept.
pub(in crate::sim) struct Loading {
    pub(super) of: String,
    ticket: Ticket<Entity>,
    /// In the history.
    number: usize,
    node: usize,
    life: u64,
}

struct Waiter {
    operation: usize,
    client: usize,
    /// None: the load is theirs.
    wait: Option<Wait>,
}

/// What the process keeps; nothing of what it kept in an earlier life.
pub(super) struct Cache {
    life: u64,
    broken: BrokenKept,
    seed: u64,
    core: Core<Entity, Rc<Kept>, String>,
    waiting: BTreeMap<u64, Vec<Waiter>>,
}

impl Cache {
    pub(super) fn new(broken: BrokenKept, seed: u64) -> Self {
        Self { life: 0, broken, seed, core: core(broken, seed), waiting: BTreeMap::new() }
    }
}

fn core(broken: BrokenKept, seed: u64) -> Core<Entity, Rc<Kept>, String> {
    let BrokenKept { fill_after_invalidate, no_coalescing, .. } = broken;
    let options = Options {
        fresh_ms: FRESH_MS,
        absent_ms: 0,
        stale_ms: AGE_MS_MAX,
        age_ms_max: AGE_MS_MAX,
        switches: Switches { fill_after_invalidate, no_coalescing },
        ..Options::new(CAPACITY_BYTES, |_, kept: &Rc<Kept>| 256 * kept.items.len() as u64)
    };
    Core::new(options, seed)
}

impl World {
    fn cache(&mut self) -> &mut Cache {
        let life = self.machines.nodes[0].life;
        if self.cache.life != life {
            self.cache = Cache { life, ..Cache::new(self.cache.broken, self.cache.seed) };
        }
        &mut self.cache
    }

    /// Whether a client may be answered with what was read for others.
    pub(super) fn accepts_kept(&self, operation: usize, client: usize) -> bool {
        let request = &self.history.operations[operation].request;
        matches!(request, Request::Read { before: None, limit, .. } if *limit <= LIMIT)
            && self.bound_ms(client) > 0
    }

    /// A view has changed at a node.
    pub(super) fn forget(&mut self, node: usize, view: Entity) {
        let Some(partition) = &self.machines.nodes[node].partition else { return };
        let offset = partition.tail().offset.0;
        self.cache().core.invalidate(&view, offset);
    }

    /// Answers a client from what is kept, or has it read.
    pub(super) fn look_up(&mut self, node: usize, operation: usize, client: usize, again: bool) {
        let Request::Read { of, .. } = &self.history.operations[operation].request else { return };
        let (of, key) = (of.clone(), view_of(feed::DOMAIN, TenantId(0), of));
        let (now_ms, bound_ms) = (self.machines.now_ms, self.bound_ms(client));
        let cache = self.cache();
        let look = match again {
            false => cache.core.look(&key, now_ms, bound_ms),
            true => cache.core.look_again(&key, now_ms, bound_ms),
        };
        let waiter = |wait| Waiter { operation, client, wait };
        match look {
            Look::Found(found, ticket) => {
                if let Some(ticket) = ticket {
                    self.load(node, of, ticket, operation);
                }
                self.serve(node, operation, client, found.value, found.age_ms);
            }
            Look::Load(ticket) => {
                cache.waiting.entry(ticket.load()).or_default().push(waiter(None));
                self.load(node, of, ticket, operation);
            }
            Look::Wait(wait) => {
                cache.waiting.entry(wait.load()).or_default().push(waiter(Some(wait)));
            }
            Look::Failed(why) => self.answer(operation, Outcome::TurnedAway(why), Offset(0)),
            Look::Full => {
                let why = "too many loads are under way".to_owned();
                self.answer(operation, Outcome::TurnedAway(why), Offset(0));
            }
        }
    }

    fn load(&mut self, node: usize, of: String, ticket: Ticket<Entity>, operation: usize) {
        let (number, began_ms) = (self.history.loads.len(), self.now_ms());
        let life = self.machines.nodes[node].life;
        self.history.loads.push(Load { of: of.clone(), operation, began_ms, ended_ms: None });
        self.begin(node, Whom::Cache(Loading { of, ticket, number, node, life }), u64::MAX);
    }

    /// A read has come to its end: those who wait for it are answered.
    pub(super) fn loaded(&mut self, loading: Loading, read: Result<Read, String>) {
        let Loading { ticket, number, node, life, .. } = loading;
        if self.machines.nodes[node].life != life {
            return;
        }
        self.history.loads[number].ended_ms = Some(self.now_ms());
        let (now_ms, began_ms, load, key) =
            (self.machines.now_ms, ticket.began_ms(), ticket.load(), *ticket.key());
        let loaded = read.map(|((items, next), offset, late_ms)| {
            let kept = Kept { items, is_whole: next.is_none(), offset, late_ms };
            Loaded { value: Some(Rc::new(kept)), as_of: offset.0 }
        });
        let cache = self.cache();
        cache.core.finish(ticket, loaded.as_ref(), now_ms);
        for Waiter { operation, client, wait } in cache.waiting.remove(&load).unwrap_or_default() {
            // Who has given up, and asks something else by now, waits no more.
            if self.calls.get(&operation) != Some(&client) {
                continue;
            }
            match &loaded {
                Ok(Loaded { value, as_of }) => {
                    if wait.is_some_and(|wait| !wait.admits(*as_of)) {
                        self.look_up(node, operation, client, true);
                    } else {
                        let age_ms = now_ms - began_ms;
                        self.serve(node, operation, client, value.clone(), age_ms);
                    }
                }
                Err(why) => {
                    let bound_ms = self.bound_ms(client);
                    match self.cache().core.in_place(&key, now_ms, bound_ms) {
                        Some(found) => {
                            self.serve(node, operation, client, found.value, found.age_ms);
                        }
                        None => {
                            let outcome = Outcome::TurnedAway(why.clone());
                            self.answer(operation, outcome, Offset(0));
                        }
                    }
                }
            }
        }
    }

    /// Answers with what is kept, if it will do.
    fn serve(
        &mut self,
        node: usize,
        operation: usize,
        client: usize,
        kept: Option<Rc<Kept>>,
        age_ms: u64,
    ) {
        let Request::Read { limit, .. } = self.history.operations[operation].request else {
            return;
        };
        let will_do = |kept: &Rc<Kept>| {
            kept.late_ms + age_ms <= self.bound_ms(client)
                && (self.cache.broken.ignore_session
                    || self.has_seen_no_more(kept.offset, operation, client))
        };
        let Some(kept) = kept.filter(will_do) else {
            return self.read_anew(node, operation, client);
        };
        let complete_to = self.machines.now_ms.saturating_sub(kept.late_ms + age_ms + BEGIN_MS);
        let page = Page {
            items: kept.items.iter().take(limit).cloned().collect(),
            is_last: kept.is_whole && kept.items.len() <= limit,
            offset: Some(kept.offset.0),
            complete_to_ms: Some(complete_to),
        };
        self.answer(operation, Outcome::Page(page), kept.offset);
    }
}
