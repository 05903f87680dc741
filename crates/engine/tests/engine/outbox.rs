//! The outbox of one partition and what arrives at it: one step at a time.

use crate::toy::{Command, Counts, Item, NoteCount, Notes};
use crate::world::{ID, START, World};
use evenkeel_engine::{
    DEAD_RETENTION_MS, Delivery, Failure, Mark, OUTBOX_ID, Options, Outcome, Parcel, TenantId,
    dead_deliveries,
};
use evenkeel_log::{Incarnation, PartitionId, Record};
use evenkeel_state::{Effect, Layer};

const THERE: PartitionId = PartitionId(7);
const FROM: PartitionId = PartitionId(6);

fn mark(incarnation: u32, sequence: u64) -> Mark {
    Mark { incarnation: Incarnation(incarnation), sequence }
}

fn parcel(incarnation: u32, item: &Item) -> Parcel {
    Parcel {
        incarnation: Incarnation(incarnation),
        tenant: TenantId(0),
        at: START,
        item: postcard::to_stdvec(item).unwrap(),
    }
}

/// Items of the first life of the log of `FROM`.
fn delivery(after: u64, items: &[Item]) -> Delivery {
    let after = if after == 0 { Mark::default() } else { mark(1, after) };
    Delivery { from: FROM, after, parcels: items.iter().map(|item| parcel(1, item)).collect() }
}

fn send(world: &mut World, notes: impl IntoIterator<Item = u64>) {
    for note in notes {
        world.ask(Command::Send { to: THERE.0, item: Item::Note(note) }).unwrap();
    }
}

fn items(delivery: &Delivery) -> Vec<Item> {
    delivery.parcels.iter().map(|parcel| postcard::from_bytes(&parcel.item).unwrap()).collect()
}

fn notes(from: u64, to: u64) -> Vec<Item> {
    (from..=to).map(Item::Note).collect()
}

/// What was noted, in order.
fn noted(world: &World) -> Vec<u64> {
    let count = world.get::<NoteCount>(&()).map_or(0, |count| count.0);
    (1..=count).map(|at| world.get::<Notes>(&at).unwrap().0).collect()
}

fn arrive(world: &mut World, delivery: Delivery) -> Vec<(PartitionId, Mark)> {
    world.owner.deliver(delivery);
    world.quiet();
    std::mem::take(&mut world.acknowledged)
}

fn wait_ms(world: &mut World, ms: u64) {
    world.now = world.now.plus_ms(ms);
    world.quiet();
}

/// How many rows of the outbox `record` deletes.
fn deleted(record: &Record) -> usize {
    let layer = Layer::decode(record.body()).unwrap();
    let deletes =
        |effect: &Effect<'_>| matches!(effect, Effect::Delete { key } if key[0] == OUTBOX_ID);
    layer.effects().filter(deletes).count()
}

#[test]
fn what_is_sent_is_delivered_once_it_is_durable() {
    let mut world = World::new(Options::default());
    let request = world.request(Command::Send { to: THERE.0, item: Item::Note(1) });
    world.submit(request);
    world.poll();
    assert!(world.sent.is_empty(), "its record is not durable yet");
    world.land_all();
    world.poll();
    let (to, first) = world.sent.pop().unwrap();
    assert_eq!((to, first.from, first.after), (THERE, ID, Mark::default()));
    assert_eq!((items(&first), first.last()), (notes(1, 1), mark(1, 1)));

    // Nothing more is on its way until that is acknowledged.
    send(&mut world, 2..=3);
    assert!(world.sent.is_empty());
    world.owner.acknowledged(THERE, mark(1, 1));
    world.quiet();
    let (_, second) = world.sent.pop().unwrap();
    assert_eq!((second.after, items(&second)), (mark(1, 1), notes(2, 3)));
    assert_eq!(world.owner.outbox_stats().rows, 2);
    world.owner.acknowledged(THERE, mark(1, 3));
    world.quiet();
    assert!(world.sent.is_empty());
    assert_eq!((world.owner.outbox_stats().rows, world.owner.outbox_stats().oldest), (0, None));
}

#[test]
fn what_is_refused_or_not_durable_is_not_sent() {
    let mut world = World::new(Options::default());
    let refused = world.ask(Command::SendAndRefuse { to: THERE.0, item: Item::Note(1) });
    assert!(matches!(refused, Err(Failure::Refused(_))));
    let request = world.request(Command::Send { to: THERE.0, item: Item::Note(2) });
    world.submit(request);
    world.poll();
    let lost = world.pending.remove(0);
    world.tell(lost.id, Outcome::Refused("no space".into()));
    world.quiet();
    assert!(world.sent.is_empty());
    assert_eq!(world.owner.next_wake(), None);
    send(&mut world, [3]);
    let (_, delivery) = world.sent.pop().unwrap();
    assert_eq!((items(&delivery), delivery.last()), (notes(3, 3), mark(1, 1)));
}

#[test]
fn what_nobody_acknowledges_is_delivered_again_less_and_less_often() {
    let mut world = World::new(Options::default());
    send(&mut world, 1..=1);
    let (_, first) = world.sent.pop().unwrap();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let due = world.owner.next_wake().unwrap();
        pauses.push(due.0 - world.now.0);
        world.now = due.minus_ms(1);
        world.quiet();
        assert!(world.sent.is_empty());
        wait_ms(&mut world, 1);
        assert_eq!(world.sent.pop().unwrap().1, first);
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    world.owner.acknowledged(THERE, mark(1, 1));
    send(&mut world, [2]);
    assert_eq!(world.sent.pop().unwrap().1.after, mark(1, 1), "and at once after a success");
    let records = world.log.len();
    world.owner.acknowledged(THERE, mark(1, 2));
    assert_eq!(world.owner.next_wake(), Some(world.now.plus_ms(1_000)), "to delete the rows");
    wait_ms(&mut world, 1_000);
    assert_eq!(deleted(&world.log[records]), 1, "the other went with the record of the second");
    assert_eq!(world.owner.next_wake(), None, "a quiet partition is left alone");
}

#[test]
fn a_delivery_is_bounded() {
    let options = Options { delivery_rows_max: 40, ..Options::default() };
    let mut world = World::new(options.clone());
    for note in 1..=100 {
        let request = world.request(Command::Send { to: THERE.0, item: Item::Note(note) });
        world.submit(request);
    }
    world.quiet();
    assert_eq!(world.sent.pop().unwrap().1.last(), mark(1, 40));
    world.owner.acknowledged(THERE, mark(1, 40));
    world.quiet();
    assert_eq!(world.sent.pop().unwrap().1.last(), mark(1, 80));

    // An item is two bytes.
    let mut world = World::new(Options { delivery_bytes_max: 10, ..options.clone() });
    send(&mut world, [0]);
    world.owner.acknowledged(THERE, mark(1, 1));
    let request =
        |world: &mut World| world.request(Command::Send { to: THERE.0, item: Item::Note(1) });
    for _ in 0..100 {
        let request = request(&mut world);
        world.submit(request);
    }
    world.sent.clear();
    world.quiet();
    assert_eq!(world.sent.pop().unwrap().1.parcels.len(), 5);
    let mut world = World::new(Options { delivery_bytes_max: 1, ..options });
    send(&mut world, [0]);
    assert_eq!(world.sent.pop().unwrap().1.parcels.len(), 1, "or it would never go");
}

#[test]
fn acknowledged_rows_go_with_the_next_record() {
    let mut world = World::new(Options::default());
    send(&mut world, 1..=3);
    world.owner.acknowledged(THERE, mark(1, 3));
    world.quiet();
    let before = world.log.len();
    wait_ms(&mut world, 10);
    assert_eq!(world.log.len(), before, "no record for that alone");
    world.ask(Command::Count(1)).unwrap();
    assert_eq!(deleted(world.log.last().unwrap()), 1 + 2);
    wait_ms(&mut world, 5_000);
    assert_eq!(world.log.len(), before + 1);
}

#[test]
fn many_acknowledged_rows_wait_for_nothing() {
    let mut world = World::new(Options::default());
    for note in 0..300 {
        let request = world.request(Command::Send { to: THERE.0, item: Item::Note(note) });
        world.submit(request);
    }
    world.quiet();
    let before = world.log.len();
    world.owner.acknowledged(THERE, mark(1, 256));
    world.quiet();
    assert_eq!(world.log[before..].iter().map(deleted).sum::<usize>(), 256);
}

#[test]
fn an_answer_to_something_else_is_none() {
    let mut world = World::new(Options::default());
    send(&mut world, 1..=2);
    world.sent.clear();
    for (by, through) in [(THERE, mark(1, 3)), (FROM, mark(1, 1)), (THERE, mark(2, 2))] {
        world.owner.acknowledged(by, through);
        assert_eq!(world.owner.outbox_stats().rows, 2);
    }
    // The first of two was done; a late answer takes nothing back.
    world.owner.acknowledged(THERE, mark(1, 2));
    world.owner.acknowledged(THERE, mark(1, 1));
    assert_eq!(world.owner.outbox_stats().rows, 0);
}

#[test]
fn a_full_outbox_refuses_what_would_add_to_it() {
    let options = Options { outbox_rows_max: 3, ..Options::default() };
    let mut world = World::new(options);
    send(&mut world, 1..=3);
    let full = world.ask(Command::Send { to: THERE.0, item: Item::Note(4) });
    assert_eq!(full, Err(Failure::Overloaded));
    // Neither whatever else is asked, nor what goes elsewhere, nor what was delivered.
    assert_eq!(world.ask(Command::Count(1)), Ok(1));
    world.ask(Command::Send { to: FROM.0, item: Item::Note(1) }).unwrap();
    let forward = Item::Forward { to: THERE.0, note: 9 };
    let done = arrive(&mut world, delivery(0, &[forward.clone(), forward.clone()]));
    assert_eq!(done, [(FROM, mark(1, 2))]);
    assert_eq!(noted(&world), [9, 9]);
    // But what nothing can stop must end somewhere: twice as many, and nothing is taken in.
    assert_eq!(world.ask(Command::Count(1)), Ok(2));
    arrive(&mut world, delivery(2, &[forward]));
    assert_eq!(world.ask(Command::Count(1)), Err(Failure::Overloaded));
    world.owner.acknowledged(THERE, mark(1, 5));
    wait_ms(&mut world, 1_000);
    assert_eq!(world.ask(Command::Count(1)), Ok(3));
    world.ask(Command::Send { to: THERE.0, item: Item::Note(4) }).unwrap();
}

#[test]
fn a_full_outbox_has_room_as_soon_as_it_is_acknowledged() {
    let mut world = World::new(Options { outbox_bytes_max: 600, ..Options::default() });
    for note in 0..300 {
        let request = world.request(Command::Send { to: THERE.0, item: Item::Note(note % 100) });
        world.submit(request);
    }
    world.quiet();
    let send = |world: &mut World| world.ask(Command::Send { to: THERE.0, item: Item::Note(1) });
    assert_eq!(send(&mut world), Err(Failure::Overloaded), "two bytes each");
    world.owner.acknowledged(THERE, mark(1, 256));
    assert_eq!(send(&mut world), Ok(0));
}

#[test]
fn what_arrives_is_done_once_and_acknowledged_when_it_is_durable() {
    let mut world = World::new(Options::default());
    world.owner.deliver(delivery(0, &notes(1, 2)));
    world.poll();
    assert_eq!(world.pending.len(), 1);
    assert!(world.acknowledged.is_empty(), "not durable yet");
    // Again, while it is on its way: that rests on the same record.
    world.owner.deliver(delivery(0, &notes(1, 2)));
    world.poll();
    assert!(world.acknowledged.is_empty());
    world.quiet();
    assert_eq!(world.acknowledged, [(FROM, mark(1, 2)), (FROM, mark(1, 2))]);
    assert_eq!(noted(&world), [1, 2]);
    world.acknowledged.clear();

    // In part known, in part new; then all known: without a record.
    assert_eq!(arrive(&mut world, delivery(1, &notes(2, 4))), [(FROM, mark(1, 4))]);
    let before = world.log.len();
    assert_eq!(arrive(&mut world, delivery(0, &notes(1, 3))), [(FROM, mark(1, 3))]);
    assert_eq!((noted(&world), world.log.len()), (vec![1, 2, 3, 4], before));
}

#[test]
fn nothing_is_done_before_what_was_sent_before_it() {
    let mut world = World::new(Options::default());
    assert_eq!(arrive(&mut world, delivery(1, &notes(2, 3))), []);
    assert_eq!(noted(&world), []);
    arrive(&mut world, delivery(0, &notes(1, 1)));
    arrive(&mut world, delivery(1, &notes(2, 3)));
    assert_eq!(noted(&world), [1, 2, 3]);
}

/// The source was restored to where it had sent two items; what it sends from then on is new, whatever
/// was done here before under those numbers.
#[test]
fn a_restored_source_goes_on_in_another_incarnation() {
    let mut world = World::new(Options::default());
    arrive(&mut world, delivery(0, &notes(1, 4)));
    let mut restored = delivery(1, &[Item::Note(2)]);
    restored.parcels.push(parcel(2, &Item::Note(30)));
    restored.parcels.push(parcel(2, &Item::Note(40)));
    assert_eq!(arrive(&mut world, restored.clone()), [(FROM, mark(2, 4))]);
    assert_eq!(arrive(&mut world, restored), [(FROM, mark(2, 4))]);
    // What the first life sent arrives at last.
    assert_eq!(arrive(&mut world, delivery(2, &notes(3, 9))), [(FROM, mark(1, 9))]);
    assert_eq!(noted(&world), [1, 2, 3, 4, 30, 40]);
}

#[test]
fn a_row_that_cannot_be_read_holds_up_its_destination_only() {
    let mut world = World::new(Options::default());
    send(&mut world, 1..=1);
    world.ask(Command::GarbleOutbox { to: THERE.0 }).unwrap();
    wait_ms(&mut world, 1_000);
    world.sent.clear();
    let other = PartitionId(THERE.0 + 1);
    world.ask(Command::Send { to: other.0, item: Item::Note(2) }).unwrap();
    wait_ms(&mut world, 1_000);
    let sent = std::mem::take(&mut world.sent);
    assert!(!sent.is_empty() && sent.iter().all(|(to, _)| *to == other), "{sent:?}");
    world.owner.acknowledged(other, mark(1, 1));
    wait_ms(&mut world, 1_000);
    assert_eq!(world.owner.outbox_stats().rows, 1, "what cannot be read is not given up");
}

#[test]
fn an_item_that_cannot_be_done_holds_nobody_up() {
    let mut world = World::new(Options::default());
    world.ask(Command::Garble(5)).unwrap();
    let mut arriving = delivery(
        0,
        &[
            Item::Note(1),
            Item::Panic(2),
            Item::Read(5),
            Item::Write { rows: 257 },
            Item::Write { rows: 256 },
            Item::Note(3),
        ],
    );
    arriving.parcels[0].item.clear();
    assert_eq!(arrive(&mut world, arriving.clone()), [(FROM, mark(1, 6))]);
    assert_eq!(noted(&world), [3]);
    assert_eq!(world.get::<Counts>(&6), None);
    let dead = dead_deliveries(&world.owner.view(), 100).unwrap();
    let found: Vec<_> = dead.iter().map(|dead| (dead.mark.sequence, dead.why.as_str())).collect();
    assert_eq!(found[0], (1, "this version cannot read it"));
    assert_eq!(found[1], (2, "an internal error"));
    assert!(found[2].0 == 3 && found[2].1.contains("a row that cannot be read"));
    assert_eq!(found[3], (4, "it would change more rows or bytes than one item may"));
    assert_eq!(found.len(), 4);
    assert_eq!((dead[1].from, &dead[1].item), (FROM, &arriving.parcels[1].item));
    assert_eq!(world.owner.outbox_stats().dead, 4);
    // Once, whatever comes again; and kept for a while.
    arrive(&mut world, arriving);
    assert_eq!(world.owner.outbox_stats().dead, 4);
    let log = world.log.clone();
    wait_ms(&mut world, DEAD_RETENTION_MS - 1);
    assert_eq!(world.owner.outbox_stats().dead, 4);
    wait_ms(&mut world, 1);
    assert_eq!(world.owner.outbox_stats().dead, 0);
    assert_eq!(dead_deliveries(&world.owner.view(), 100).unwrap(), []);
    assert_eq!(World::following(log).owner.outbox_stats().dead, 0, "not looked at yet");
}

#[test]
fn a_new_owner_knows_what_is_on_its_way_and_what_died() {
    let mut world = World::new(Options::default());
    send(&mut world, 1..=3);
    world.owner.acknowledged(THERE, mark(1, 1));
    arrive(&mut world, delivery(0, &[Item::Note(1), Item::Panic(2)]));
    let mut next = World::following(world.log.clone());
    next.quiet();
    let (to, again) = next.sent.pop().unwrap();
    assert_eq!((to, again.after, items(&again)), (THERE, mark(1, 1), notes(2, 3)));
    assert_eq!((next.owner.outbox_stats().rows, next.owner.outbox_stats().dead), (2, 1));
    assert_eq!(
        arrive(&mut next, delivery(0, &[Item::Note(1), Item::Panic(2)])),
        [(FROM, mark(1, 2))]
    );
    assert_eq!(noted(&next), [1]);
}

#[test]
fn who_does_not_lead_neither_takes_nor_tells() {
    let mut world = World::new(Options::default());
    send(&mut world, [1]);
    world.sent.clear();
    world.owner.deliver(delivery(0, &notes(1, 1)));
    world.poll();
    world.intrude();
    world.land_all();
    assert!(world.stepped_down);
    world.owner.deliver(delivery(0, &notes(1, 1)));
    world.owner.acknowledged(THERE, mark(1, 1));
    wait_ms(&mut world, 10_000);
    assert_eq!((world.acknowledged.len(), world.sent.len()), (0, 0));
    assert_eq!(world.owner.next_wake(), None);
    // It takes over again: nothing was done, nothing was acknowledged.
    let intruder = world.log.last().unwrap().clone();
    world.owner.follow(&intruder).unwrap();
    world.owner.announce(world.now);
    world.quiet();
    assert_eq!(noted(&world), []);
    assert_eq!(items(&world.sent.pop().unwrap().1), notes(1, 1));
    assert_eq!(arrive(&mut world, delivery(0, &notes(1, 1))), [(FROM, mark(1, 1))]);
}

/// A record that the log did not take has deleted nothing and done nothing.
#[test]
fn what_the_log_refused_is_done_again() {
    let mut world = World::new(Options::default());
    send(&mut world, 1..=2);
    world.owner.acknowledged(THERE, mark(1, 2));
    world.owner.deliver(delivery(0, &notes(1, 1)));
    world.poll();
    let refused = world.pending.remove(0);
    assert_eq!(deleted(&refused.record), 2);
    world.tell(refused.id, Outcome::Refused("no space".into()));
    assert!(world.acknowledged.is_empty());
    let before = world.log.len();
    wait_ms(&mut world, 1_000);
    assert_eq!(world.log[before..].iter().map(deleted).sum::<usize>(), 2);
    assert_eq!(arrive(&mut world, delivery(0, &notes(1, 1))), [(FROM, mark(1, 1))]);
    assert_eq!(noted(&world), [1]);
}

#[test]
fn a_partition_may_send_to_itself() {
    let mut world = World::new(Options::default());
    world.ask(Command::Send { to: ID.0, item: Item::Note(1) }).unwrap();
    let (to, own) = world.sent.pop().unwrap();
    assert_eq!(to, ID);
    assert_eq!(arrive(&mut world, own), [(ID, mark(1, 1))]);
    world.owner.acknowledged(ID, mark(1, 1));
    assert_eq!((noted(&world), world.owner.outbox_stats().rows), (vec![1], 0));
}

#[test]
fn deliveries_leave_room_for_commands() {
    let options = Options { batch_bytes_max: 2_000, batch_items_max: 100, ..Options::default() };
    let mut world = World::new(options);
    let write = Item::Write { rows: 100 };
    let items: Vec<Item> = (0..20).map(|_| write.clone()).collect();
    world.owner.deliver(delivery(0, &items));
    let request = world.request(Command::Count(1));
    let ticket = world.submit(request);
    for _ in 0..2 {
        world.poll();
        world.land_all();
    }
    assert!(world.answers.contains_key(&ticket), "in the second record at the latest");
    world.quiet();
    assert_eq!(world.acknowledged.last(), Some(&(FROM, mark(1, 20))), "in steps");
    assert!(world.acknowledged.len() > 1);
}

#[test]
fn a_guarantee_can_be_switched_off() {
    let mut options = Options::default();
    options.switches.no_outbox_dedup = true;
    let mut world = World::new(options);
    arrive(&mut world, delivery(0, &notes(1, 2)));
    arrive(&mut world, delivery(0, &notes(1, 2)));
    assert_eq!(noted(&world), [1, 2, 1, 2]);
}
