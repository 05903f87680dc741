//! One task for many partitions: what is decided for all of them in one round goes to the log
//! together, and one wake-up brings all of their outcomes back. (A task for each took a third
//! more processor time where load is spread: every partition was woken for every group.)
//!
//! A partition that panics is dropped here, alone: whoever waits for it hears so, the others of
//! the host go on, and nothing of it is lost, since the log has it.

use crate::{
    Clock,
    call::NodeError,
    lateness::View,
    owner::{Message, Owner},
    stats::Gauges,
    ticket::ReadTicket,
};
use evenkeel_engine::{Failure, Mailbox, Refused};
use evenkeel_log::{Log, PartitionId};
use std::{
    collections::HashMap,
    future::poll_fn,
    mem::take,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::{Instant, sleep_until},
};

/// Messages that are taken in before the partitions decide.
const INTAKE_MAX: usize = 1_024;
/// Reads are answered for as long as it took to decide before, within these. What is left of them comes in the next
/// round, so that those who read hold nobody up who writes.
const READS_FOR: Duration = Duration::from_millis(2);
const READS_FOR_MAX: Duration = Duration::from_millis(20);
/// Reads that wait for a round, fairly between tenants.
const READS_MAX: usize = 8_192;
/// Nothing is due later than this after a round.
const IDLE_MS: u64 = 60_000;
const PANICKED: &str = "the partition ended unexpectedly; it is served again after a restart";

/// A message for the partition in this slot.
pub(crate) type Letter = (usize, Message);

/// Carries messages to one partition.
#[derive(Clone)]
pub(crate) struct Mailbag {
    pub(crate) letters: mpsc::Sender<Letter>,
    pub(crate) slot: usize,
}

impl Mailbag {
    /// Waits for room. `Err`: the host has ended.
    pub(crate) async fn send(&self, message: Message) -> Result<(), ()> {
        self.letters.send((self.slot, message)).await.map_err(|_| ())
    }

    /// Says at once if there is no room.
    pub(crate) fn try_send(&self, message: Message) -> Result<(), NodeError> {
        self.letters.try_send((self.slot, message)).map_err(|error| {
            let (message, failure) = match error {
                TrySendError::Full((_, message)) => (message, Failure::Overloaded.into()),
                TrySendError::Closed((_, message)) => (message, NodeError::not_served()),
            };
            if let Message::Follow(mut ticket) = message {
                ticket.answer(Err(failure.clone()));
            }
            failure
        })
    }
}

/// Carries what one partition has for another. It keeps no host alive, and never waits: what finds no
/// room comes again, as what is lost does.
#[derive(Clone, Default)]
pub(crate) struct Couriers(Arc<HashMap<PartitionId, (mpsc::WeakSender<Letter>, usize)>>);

impl Couriers {
    pub(crate) fn new<'m>(mailbags: impl Iterator<Item = (PartitionId, &'m Mailbag)>) -> Self {
        let ways = mailbags.map(|(id, mailbag)| (id, (mailbag.letters.downgrade(), mailbag.slot)));
        Self(Arc::new(ways.collect()))
    }

    pub(crate) fn carry(&self, to: PartitionId, message: Message) {
        if let Some((letters, slot)) = self.0.get(&to)
            && let Some(letters) = letters.upgrade()
        {
            let _ = letters.try_send((*slot, message));
        }
    }
}

/// A partition's place in its host: empty once it has panicked.
pub(crate) struct Slot<L> {
    owner: Option<Owner<L>>,
    gauges: Arc<Gauges>,
}

impl<L: Log> Slot<L> {
    pub(crate) fn new(owner: Owner<L>) -> Self {
        let gauges = Arc::clone(&owner.gauges);
        Self { owner: Some(owner), gauges }
    }

    /// Has the owner do `work`; the default if there is none, or none any more.
    fn with<R: Default>(&mut self, work: impl FnOnce(&mut Owner<L>) -> R) -> R {
        let Some(owner) = &mut self.owner else { return R::default() };
        // What it may leave half done is dropped with it.
        let done = catch_unwind(AssertUnwindSafe(|| work(owner)));
        done.unwrap_or_else(|_| {
            self.give_up();
            R::default()
        })
    }

    async fn take_over(&mut self) {
        let Some(owner) = &mut self.owner else { return };
        let done = {
            let mut work = pin!(owner.take_over());
            poll_fn(|context| {
                let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
                polled.map_or(Poll::Ready(false), |polled| polled.map(|()| true))
            })
            .await
        };
        if !done {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.gauges.quarantine(PANICKED.into());
        if let Some(owner) = self.owner.take() {
            tracing::error!(partition = %owner.partition.id(), "{PANICKED}");
            owner.give_up_ready();
            // What was on its way from here stays so: views are as late as it was, and later.
            for (view, to) in
                View::ALL.into_iter().flat_map(|view| owner.partitions().map(move |to| (view, to)))
            {
                let now = owner.clock.now();
                let since = self.gauges.behind(view, to).map_or(now, |since| since.min(now));
                self.gauges.set_behind(view, to, Some(since));
            }
            // Whoever waits is told by their tickets' end.
            drop(owner);
        }
    }
}

/// Some partitions and the task that drives them.
pub(crate) struct Host<L> {
    pub(crate) slots: Vec<Slot<L>>,
    pub(crate) letters: mpsc::Receiver<Letter>,
    pub(crate) clock: Clock,
}

impl<L: Log> Host<L> {
    /// Takes over every partition and drives them until all were told to stop. `ready` hears when
    /// each is led or known to be out of service.
    pub(crate) async fn run(self, ready: oneshot::Sender<()>) {
        let Self { slots, mut letters, clock } = self;
        let mut slots = take_over_all(slots).await;
        let mut ready = Some(ready);
        let mut inbox = Vec::with_capacity(INTAKE_MAX);
        let (mut reads, mut decided_for) = (Reads::new(READS_MAX), Duration::ZERO);
        let mut tick = pin!(sleep_until(Instant::now()));
        loop {
            tokio::select! {
                biased;
                () = poll_fn(|context| {
                    let ready = slots
                        .iter_mut()
                        .filter_map(|slot| slot.with(|owner| owner.poll(context)))
                        .count();
                    if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
                }) => {}
                received = letters.recv_many(&mut inbox, INTAKE_MAX) => {
                    if received == 0 {
                        return;
                    }
                }
                () = &mut tick => slots.iter_mut().for_each(|slot| slot.with(Owner::touch)),
                () = std::future::ready(()), if !reads.is_empty() => {}
            }
            // Whoever else is ready to ask gets to, so that one round serves many.
            tokio::task::yield_now().await;
            while inbox.len() < INTAKE_MAX
                && let Ok(letter) = letters.try_recv()
            {
                inbox.push(letter);
            }
            for (slot, message) in inbox.drain(..) {
                match message {
                    // Those who ask from then on would keep it from ending.
                    Message::Read(ticket) | Message::ReadConfirmed(ticket)
                        if slots[slot].with(|owner| !owner.stopping.is_empty()) =>
                    {
                        ticket.lost();
                    }
                    Message::Read(ticket) => take_turn(&mut reads, slot, ticket),
                    message => slots[slot].with(|owner| owner.accept(message)),
                }
            }
            let reads_for = decided_for.clamp(READS_FOR, READS_FOR_MAX);
            take_some(&mut reads, reads_for, |(slot, ticket)| {
                slots[slot].with(|owner| owner.answer(ticket));
            });
            let (now, begun) = (clock.now(), Instant::now());
            let mut wake_ms = IDLE_MS;
            for (at, slot) in slots.iter_mut().enumerate() {
                if slot.with(|owner| owner.step(now)) {
                    slot.take_over().await;
                }
                for ticket in slot.with(Owner::confirmed) {
                    take_turn(&mut reads, at, ticket);
                }
                wake_ms =
                    wake_ms.min(slot.owner.as_ref().map_or(IDLE_MS, |o| o.wake_after_ms(now)));
            }
            let all = |is: fn(&Owner<L>) -> bool| {
                slots.iter().all(|slot| slot.owner.as_ref().is_none_or(is))
            };
            if all(Owner::is_settled)
                && let Some(ready) = ready.take()
            {
                let _ = ready.send(());
            }
            decided_for = begun.elapsed();
            if reads.is_empty() && all(Owner::has_ended) {
                let stopped: Vec<_> = slots
                    .iter_mut()
                    .flat_map(|slot| slot.with(|owner| take(&mut owner.stopping)))
                    .collect();
                // Whoever hears of it finds that they let go of the log, and of the store unless a flush just fails.
                drop(slots);
                for done in stopped {
                    let _ = done.send(());
                }
                return;
            }
            let wake = Instant::now() + Duration::from_millis(wake_ms.max(1));
            if wake < tick.deadline() || tick.is_elapsed() {
                tick.as_mut().reset(wake);
            }
        }
    }
}

/// Reads that wait, and of which partition in the host they are.
type Reads = Mailbox<(usize, ReadTicket)>;

/// Has a read wait for its turn; whoever has to make way for it is told so.
fn take_turn(reads: &mut Reads, slot: usize, ticket: ReadTicket) {
    let (tenant, priority) = (ticket.tenant, ticket.priority);
    if let Err(Refused((_, ticket))) = reads.push(tenant, priority, (slot, ticket)) {
        ticket.refuse(Failure::Overloaded);
    }
}

/// Takes those whose turn it is, as far as there is time: one at least.
fn take_some<T>(waiting: &mut Mailbox<T>, at_most: Duration, mut take: impl FnMut(T)) {
    let begun = Instant::now();
    while let Some(first) = waiting.pop() {
        take(first);
        if begun.elapsed() >= at_most {
            return;
        }
    }
}

/// Reads every partition's log to its end, side by side, and announces.
async fn take_over_all<L: Log>(slots: Vec<Slot<L>>) -> Vec<Slot<L>> {
    let tasks: Vec<_> = slots
        .into_iter()
        .map(|mut slot| {
            tokio::spawn(async move {
                slot.take_over().await;
                slot
            })
        })
        .collect();
    let mut slots = Vec::new();
    for task in tasks {
        slots.push(task.await.expect("a slot contains its owner's panics"));
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::{Duration, Mailbox, Reads, take_some, take_turn};
    use crate::{call::NodeError, ticket::ReadTicket};
    use evenkeel_domains::{Query, reservations};
    use evenkeel_engine::{Failure, Priority, TenantId};
    use tokio::sync::oneshot;

    #[test]
    fn a_tenant_that_floods_makes_way_and_takes_turns() {
        let mut reads = Reads::new(4);
        let mut ask = |tenant, priority| {
            let (reply, answer) = oneshot::channel();
            let query = reservations::Query::Resource { resource: "gig".into() };
            let query = Query::Reservations(query);
            let ticket = ReadTicket { tenant: TenantId(tenant), priority, query, reply };
            take_turn(&mut reads, 0, ticket);
            answer
        };
        let mut flood: Vec<_> = (0..4).map(|_| ask(1, Priority::Default)).collect();
        let _other = ask(2, Priority::Default);
        let mut shed = ask(2, Priority::Sheddable);
        let overloaded = Err(NodeError::Failed(Failure::Overloaded));
        let told = flood.pop().unwrap().try_recv().unwrap().map(drop);
        assert_eq!(told, overloaded, "the newest of the flood makes way");
        assert_eq!(shed.try_recv().unwrap().map(drop), overloaded, "it is the least important");
        let mut served = Vec::new();
        take_some(&mut reads, Duration::MAX, |(_, ticket)| served.push(ticket.tenant.0));
        assert_eq!(served, [1, 2, 1, 1]);
    }

    #[test]
    fn a_round_takes_what_there_is_time_for() {
        let mut waiting = Mailbox::new(5);
        for one in 0..5 {
            waiting.push(TenantId(1), Priority::Default, one).unwrap();
        }
        let mut taken = Vec::new();
        take_some(&mut waiting, Duration::ZERO, |one| taken.push(one));
        assert_eq!((taken.as_slice(), waiting.len()), (&[0][..], 4), "one, and the rest waits");
        take_some(&mut waiting, Duration::MAX, |one| taken.push(one));
        assert_eq!((taken.as_slice(), waiting.len()), (&[0, 1, 2, 3, 4][..], 0), "in their order");
    }
}
