//! What every [`Log`] must do, as tests that any backend can run: one function a property.
//!
//! Each gets a fresh, empty log and panics, saying which promise is broken. Faults that need a
//! particular backend (power loss, full disks, damage) are tested beside that backend.

use crate::{
    AppendError, BODY_BYTES_MAX, Epoch, Hash, Header, Incarnation, Kind, Log, Offset, PartitionId,
    ReadError, Record, Tail,
};
use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

const P: PartitionId = PartitionId(3);

/// Runs every property on a log of its own.
pub async fn suite<L: Log, F: Future<Output = L>>(fresh: impl Fn() -> F) {
    genesis_is_only_at_1(&fresh().await).await;
    offset_and_hash_are_both_checked(&fresh().await).await;
    one_of_two_owners_wins(&fresh().await).await;
    many_in_flight_land_in_order(&fresh().await).await;
    after_a_refused_record_the_next_is_refused(&fresh().await).await;
    the_same_record_again_conflicts(&fresh().await).await;
    reads_are_dense_and_in_order(&fresh().await).await;
    what_is_read_is_durable(&fresh().await).await;
    tail_past_waits_and_wakes(&fresh().await).await;
    trimming_keeps_the_tail(&fresh().await).await;
    partitions_are_independent(&fresh().await).await;
    the_largest_record_fits(&fresh().await).await;
}

/// A partition begins with `Genesis`, once.
pub async fn genesis_is_only_at_1<L: Log>(log: &L) {
    assert_eq!(tail(log, P).await, Tail::EMPTY, "a partition that was never written is empty");
    assert!(read(log, Offset(1), usize::MAX).await.is_empty(), "and has no records");
    let late = batch(P, Tail { offset: Offset(1), hash: Hash::of(b"none") }, b"");
    conflicts(log, &late, "a record before Genesis").await;
    let first = appended(log, genesis(P)).await;
    assert_eq!(tail(log, P).await, first);
    conflicts(log, &genesis_of(P, Incarnation(2)), "a second Genesis").await;
    assert_eq!(tail(log, P).await, first, "a refused append changes nothing");
}

/// The condition is the tail's offset *and* its hash.
pub async fn offset_and_hash_are_both_checked<L: Log>(log: &L) {
    let first = appended(log, genesis(P)).await;
    let second = appended(log, batch(P, first, b"second")).await;
    conflicts(log, &batch(P, first, b"behind"), "an offset behind the tail").await;
    let beyond = Tail { offset: second.offset.next(), hash: second.hash };
    conflicts(log, &batch(P, beyond, b"beyond"), "an offset beyond the tail").await;
    let other = Tail { offset: second.offset, hash: Hash::of(b"other") };
    conflicts(log, &batch(P, other, b"other"), "the tail's offset with another hash").await;
    let third = appended(log, batch(P, second, b"third")).await;
    assert_eq!(tail(log, P).await, third);
}

/// Of two that expect the same tail, one wins, and the other cannot go on.
pub async fn one_of_two_owners_wins<L: Log>(log: &L) {
    let mut at = appended(log, genesis(P)).await;
    for round in 0..20u8 {
        let ours = batch(P, at, &[round, 1]);
        let theirs = batch(P, at, &[round, 2]);
        let both = [ours.clone(), theirs.clone()].map(|record| in_flight(log, record));
        let outcomes = all(both.into()).await;
        let (winner, loser) = match (&outcomes[0], &outcomes[1]) {
            (Ok(_), Err(AppendError::Conflict { .. })) => (ours, theirs),
            (Err(AppendError::Conflict { .. }), Ok(_)) => (theirs, ours),
            other => panic!("of two owners exactly one wins, not {other:?}"),
        };
        conflicts(log, &batch(P, loser.tail(), b"on"), "what continues the loser's record").await;
        at = winner.tail();
        assert_eq!(tail(log, P).await, at);
    }
}

/// Records in flight together land in the order of the calls.
pub async fn many_in_flight_land_in_order<L: Log>(log: &L) {
    let mut at = appended(log, genesis(P)).await;
    let records: Vec<Record> = (0..16u8)
        .map(|index| {
            let record = batch(P, at, &[index; 100]);
            at = record.tail();
            record
        })
        .collect();
    let outcomes = all(records.iter().map(|record| in_flight(log, record.clone())).collect()).await;
    for (record, outcome) in records.iter().zip(outcomes) {
        assert_eq!(must("a pipelined append", outcome), record.tail());
    }
    assert_eq!(read(log, Offset(2), usize::MAX).await, records);
}

/// The second of two records in flight is refused if the first is, even when something else has
/// taken the first one's offset: an offset alone is no fence.
pub async fn after_a_refused_record_the_next_is_refused<L: Log>(log: &L) {
    let at = appended(log, genesis(P)).await;
    let first = batch(P, at, b"first of the old owner");
    let second = batch(P, first.tail(), b"second of the old owner");
    let announce = record_of(Kind::Announce, P, Incarnation(1), at, b"");
    let together = vec![
        in_flight(log, announce.clone()),
        in_flight(log, first.clone()),
        in_flight(log, second.clone()),
    ];
    let outcomes = all(together).await;
    assert!(outcomes[0].is_ok(), "the successor announces itself: {:?}", outcomes[0]);
    for outcome in &outcomes[1..] {
        let refused = matches!(outcome, Err(AppendError::Conflict { .. }));
        assert!(refused, "the old owner's records are refused, not {outcome:?}");
    }
    conflicts(log, &second, "the old owner's second record, on its own").await;
    assert_eq!(tail(log, P).await, announce.tail());
}

/// Submitting what is in the log already answers `Conflict`, and reading shows whose it is.
pub async fn the_same_record_again_conflicts<L: Log>(log: &L) {
    let at = appended(log, genesis(P)).await;
    let record = batch(P, at, b"once");
    appended(log, record.clone()).await;
    conflicts(log, &record, "the same record again").await;
    assert_eq!(read(log, Offset(2), usize::MAX).await, [record], "and it is there once");
}

/// Reads show every record, in order, at least one a call, and none past the tail.
pub async fn reads_are_dense_and_in_order<L: Log>(log: &L) {
    let mut records = vec![genesis(P)];
    appended(log, genesis(P)).await;
    for size in 0..60usize {
        let last = records.last().expect("it begins with Genesis").tail();
        let record = batch(P, last, &vec![7; size * size * 5]);
        appended(log, record.clone()).await;
        records.push(record);
    }
    assert_eq!(read(log, Offset(0), usize::MAX).await, records, "from before the first");
    for bytes_max in [0, 1, 300, 20_000] {
        let mut from = Offset(1);
        while from.0 <= records.len() as u64 {
            let some = read(log, from, bytes_max).await;
            let begin = usize::try_from(from.0 - 1).expect("a small offset");
            assert!(!some.is_empty(), "at least one record from offset {from}");
            assert_eq!(some, records[begin..begin + some.len()], "from offset {from}");
            let bytes: usize = some.iter().map(|record| record.as_bytes().len()).sum();
            assert!(some.len() == 1 || bytes <= bytes_max, "{bytes} of at most {bytes_max} bytes");
            from = Offset(from.0 + some.len() as u64);
        }
        assert!(read(log, from, bytes_max).await.is_empty(), "nothing at the tail");
    }
    assert!(read(log, Offset(10_000), 1000).await.is_empty(), "nothing beyond the tail");
}

/// What a read shows, the tail covers.
pub async fn what_is_read_is_durable<L: Log>(log: &L) {
    let mut at = appended(log, genesis(P)).await;
    for round in 0..20u8 {
        let record = batch(P, at, &[round; 50]);
        at = record.tail();
        let mut append = in_flight(log, record.clone());
        // Once polled the append is on its way; whatever is read now must be covered by the tail.
        let early = poll_fn(|context| Poll::Ready(append.as_mut().poll(context))).await;
        let shown = read(log, record.header().offset, usize::MAX).await;
        let durable = tail(log, P).await;
        if !shown.is_empty() {
            assert_eq!(durable, record.tail(), "a record was shown that is not durable");
        }
        let outcome = match early {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => append.await,
        };
        assert_eq!(must("an append", outcome), at);
    }
}

/// `tail_past` answers at once when the tail is past, and otherwise as soon as it is.
pub async fn tail_past_waits_and_wakes<L: Log>(log: &L) {
    let waits = |past: u64| -> Flight<'_> {
        Box::pin(async move { Ok(must("tail_past", log.tail_past(P, Offset(past)).await)) })
    };
    let first = genesis(P).tail();
    let outcomes = all(vec![waits(0), in_flight(log, genesis(P))]).await;
    assert_eq!(outcomes.into_iter().map(|o| must("both", o)).collect::<Vec<_>>(), [first, first]);
    assert_eq!(must("tail_past", waits(0).await), first, "it is past 0 already");

    let second = batch(P, first, b"second");
    let third = batch(P, second.tail(), b"third");
    let together =
        vec![waits(1), waits(2), in_flight(log, second.clone()), in_flight(log, third.clone())];
    let outcomes: Vec<Tail> = all(together).await.into_iter().map(|o| must("all", o)).collect();
    assert!(outcomes[0].offset >= second.header().offset);
    assert_eq!(outcomes[1], third.tail());
}

/// Trimming forgets records, never the tail.
pub async fn trimming_keeps_the_tail<L: Log>(log: &L) {
    must("trimming what was never written", log.trim(P, Offset(5)).await);
    let mut records = vec![genesis(P)];
    appended(log, genesis(P)).await;
    for index in 0..19u8 {
        let last = records.last().expect("it begins with Genesis").tail();
        let record = batch(P, last, &[index; 300]);
        appended(log, record.clone()).await;
        records.push(record);
    }
    let end = records[19].tail();
    for below in [11, 5, 21, 1000] {
        must("a trim", log.trim(P, Offset(below)).await);
        assert_eq!(tail(log, P).await, end, "after a trim below {below}");
        let kept = below.max(11);
        if kept <= 20 {
            let begin = usize::try_from(kept - 1).expect("a small offset");
            assert_eq!(read(log, Offset(kept), usize::MAX).await, records[begin..]);
        }
        match log.read(P, Offset(1), usize::MAX).await {
            // Forgetting is lazy.
            Ok(all) => assert_eq!(all, records),
            Err(ReadError::Trimmed { first }) => {
                let allowed = first.0 <= kept.min(21);
                assert!(allowed, "nobody allowed to forget what is below {first}");
            }
            Err(other) => panic!("a trimmed offset answers Trimmed, not {other}"),
        }
    }
    let more = batch(P, end, b"more");
    appended(log, more.clone()).await;
    assert_eq!(read(log, more.header().offset, usize::MAX).await, [more], "the log goes on");
}

/// What happens in one partition is nothing to the others.
pub async fn partitions_are_independent<L: Log>(log: &L) {
    let partitions = [PartitionId(0), PartitionId(1), PartitionId(700), PartitionId::META];
    let mut tails = Vec::new();
    for partition in partitions {
        tails.push(appended(log, genesis(partition)).await);
    }
    for round in 0..10u8 {
        let records: Vec<Record> = partitions
            .iter()
            .zip(&tails)
            .map(|(partition, at)| batch(*partition, *at, &[round; 64]))
            .collect();
        conflicts(log, &batch(PartitionId(1), tails[0], b""), "another partition's tail").await;
        let flights = records.iter().map(|record| in_flight(log, record.clone())).collect();
        let outcomes = all(flights).await;
        tails = outcomes.into_iter().map(|outcome| must("an append", outcome)).collect();
    }
    must("a trim", log.trim(PartitionId(1), Offset(11)).await);
    for (partition, at) in partitions.into_iter().zip(tails) {
        assert_eq!(tail(log, partition).await, at, "of partition {partition}");
        if partition != PartitionId(1) {
            let records = must("a read", log.read(partition, Offset(1), usize::MAX).await);
            assert_eq!(records.len(), 11);
            assert!(records.iter().all(|record| record.header().partition == partition));
        }
    }
}

/// A record of the largest size comes back whole.
pub async fn the_largest_record_fits<L: Log>(log: &L) {
    let at = appended(log, genesis(P)).await;
    let body: Vec<u8> = (0..BODY_BYTES_MAX).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect();
    let record = batch(P, at, &body);
    appended(log, record.clone()).await;
    let empty = batch(P, record.tail(), b"");
    appended(log, empty.clone()).await;
    assert_eq!(read(log, Offset(2), usize::MAX).await, [record, empty]);
}

type Flight<'a> = Pin<Box<dyn Future<Output = Result<Tail, AppendError>> + Send + 'a>>;

/// Submits now; the answer comes later.
fn in_flight<L: Log>(log: &L, record: Record) -> Flight<'_> {
    Box::pin(log.append(record))
}

/// Drives all futures at once in this task, and answers their outcomes in order.
async fn all(mut flights: Vec<Flight<'_>>) -> Vec<Result<Tail, AppendError>> {
    let mut outcomes: Vec<_> = flights.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (flight, outcome) in flights.iter_mut().zip(&mut outcomes) {
            if outcome.is_none()
                && let Poll::Ready(ready) = flight.as_mut().poll(context)
            {
                *outcome = Some(ready);
            }
        }
        if outcomes.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outcomes.into_iter().flatten().collect()
}

fn must<T, E: Debug>(what: &str, outcome: Result<T, E>) -> T {
    outcome.unwrap_or_else(|error| panic!("{what} succeeds, but: {error:?}"))
}

async fn appended<L: Log>(log: &L, record: Record) -> Tail {
    let expected = record.tail();
    let tail = must("an append at the tail", log.append(record).await);
    assert_eq!(tail, expected, "an append answers the new tail");
    tail
}

async fn conflicts<L: Log>(log: &L, record: &Record, what: &str) {
    let before = tail(log, record.header().partition).await;
    match log.append(record.clone()).await {
        Err(AppendError::Conflict { tail }) => {
            assert_eq!(tail, before, "{what}: Conflict says what the tail is");
        }
        other => panic!("{what} is refused with Conflict, not {other:?}"),
    }
}

async fn tail<L: Log>(log: &L, partition: PartitionId) -> Tail {
    must("asking for the tail", log.tail(partition).await)
}

async fn read<L: Log>(log: &L, from: Offset, bytes_max: usize) -> Vec<Record> {
    must("a read", log.read(P, from, bytes_max).await)
}

fn genesis(partition: PartitionId) -> Record {
    genesis_of(partition, Incarnation(1))
}

fn genesis_of(partition: PartitionId, incarnation: Incarnation) -> Record {
    record_of(Kind::Genesis, partition, incarnation, Tail::EMPTY, b"")
}

fn batch(partition: PartitionId, at: Tail, body: &[u8]) -> Record {
    record_of(Kind::Batch, partition, Incarnation(1), at, body)
}

fn record_of(
    kind: Kind,
    partition: PartitionId,
    incarnation: Incarnation,
    at: Tail,
    body: &[u8],
) -> Record {
    let header = Header {
        kind,
        partition,
        incarnation,
        epoch: Epoch(1),
        offset: at.offset.next(),
        time_ms: 1_700_000_000_000,
        writer: 0,
        prev: at.hash,
    };
    Record::new(header, body)
}
