//! The bounded queue in front of a partition, fair between tenants.

use crate::{Priority, TenantId};
use std::collections::{BTreeMap, VecDeque};

const CLASSES: usize = 3;

/// What waits to be decided. Tenants take turns, one request each; within a tenant the more
/// important goes first, and equals in the order in which they came.
///
/// When it is full, room is made at the expense of whoever is least entitled to it: first
/// anything of lower priority, then the newest request of a tenant that holds more than its
/// share. A tenant's share is the capacity divided by the tenants that wait.
#[derive(Debug)]
pub struct Mailbox<I> {
    capacity: usize,
    len: usize,
    tenants: BTreeMap<TenantId, Queue<I>>,
    turns: VecDeque<TenantId>,
    class_len: [usize; CLASSES],
}

#[derive(Debug)]
struct Queue<I> {
    len: usize,
    classes: [VecDeque<I>; CLASSES],
}

impl<I> Default for Queue<I> {
    fn default() -> Self {
        Self { len: 0, classes: Default::default() }
    }
}

/// The item that found no room: the one that was offered, or one that had to make way for it.
#[derive(Debug)]
pub struct Refused<I>(pub I);

impl<I> Mailbox<I> {
    /// An empty mailbox for at most `capacity` items.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            len: 0,
            tenants: BTreeMap::new(),
            turns: VecDeque::new(),
            class_len: [0; CLASSES],
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes `item` in. `Err` holds whichever item was refused so that the bound holds.
    pub fn push(
        &mut self,
        tenant: TenantId,
        priority: Priority,
        item: I,
    ) -> Result<(), Refused<I>> {
        let evicted = if self.len < self.capacity {
            None
        } else if let Some((victim, class)) = self.victim(tenant, priority) {
            Some(self.evict(victim, class))
        } else {
            return Err(Refused(item));
        };
        self.insert(tenant, priority, |class| class.push_back(item));
        evicted.map_or(Ok(()), |item| Err(Refused(item)))
    }

    /// Puts back an item that was popped and could not be finished; it is next of its tenant.
    pub fn push_front(&mut self, tenant: TenantId, priority: Priority, item: I) {
        self.insert(tenant, priority, |class| class.push_front(item));
    }

    /// The next item.
    pub fn pop(&mut self) -> Option<I> {
        let tenant = self.turns.pop_front()?;
        let queue = self.tenants.get_mut(&tenant).expect("a tenant has a turn while it waits");
        let class = (0..CLASSES).rev().find(|class| !queue.classes[*class].is_empty());
        let class = class.expect("a tenant's queue is removed once empty");
        let item = queue.classes[class].pop_front().expect("this class is not empty");
        queue.len -= 1;
        if queue.len == 0 {
            self.tenants.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        self.len -= 1;
        self.class_len[class] -= 1;
        Some(item)
    }

    /// Removes every item for which `gone` says so.
    pub fn remove_if(&mut self, mut gone: impl FnMut(&I) -> bool) -> Vec<I> {
        let mut removed = Vec::new();
        for queue in self.tenants.values_mut() {
            for (class, items) in queue.classes.iter_mut().enumerate() {
                let (out, kept): (Vec<I>, Vec<I>) = items.drain(..).partition(&mut gone);
                items.extend(kept);
                queue.len -= out.len();
                self.len -= out.len();
                self.class_len[class] -= out.len();
                removed.extend(out);
            }
        }
        self.tenants.retain(|_, queue| queue.len > 0);
        self.turns.retain(|tenant| self.tenants.contains_key(tenant));
        removed
    }

    fn insert(&mut self, tenant: TenantId, priority: Priority, put: impl FnOnce(&mut VecDeque<I>)) {
        let queue = self.tenants.entry(tenant).or_default();
        if queue.len == 0 {
            self.turns.push_back(tenant);
        }
        put(&mut queue.classes[priority as usize]);
        queue.len += 1;
        self.len += 1;
        self.class_len[priority as usize] += 1;
    }

    /// Who makes way for `tenant`'s request of `priority`: a tenant and one of its classes.
    fn victim(&self, tenant: TenantId, priority: Priority) -> Option<(TenantId, usize)> {
        let lower = (0..priority as usize).find(|class| self.class_len[*class] > 0);
        if let Some(class) = lower {
            let most = self.tenants.iter().max_by_key(|(_, queue)| queue.classes[class].len());
            return most.map(|(id, _)| (*id, class));
        }
        let own = self.tenants.get(&tenant).map_or(0, |queue| queue.len);
        let waiting = self.tenants.len() + usize::from(own == 0);
        let share = self.capacity / waiting;
        let (most, queue) = self.tenants.iter().max_by_key(|(_, queue)| queue.len)?;
        if own >= share || queue.len <= share {
            return None;
        }
        let class = (0..=priority as usize).find(|class| !queue.classes[*class].is_empty())?;
        Some((*most, class))
    }

    fn evict(&mut self, tenant: TenantId, class: usize) -> I {
        let queue = self.tenants.get_mut(&tenant).expect("a victim waits");
        let item = queue.classes[class].pop_back().expect("a victim's class is not empty");
        queue.len -= 1;
        self.len -= 1;
        self.class_len[class] -= 1;
        if queue.len == 0 {
            self.tenants.remove(&tenant);
            self.turns.retain(|turn| *turn != tenant);
        }
        item
    }
}
