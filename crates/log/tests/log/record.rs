//! The record's bytes: what is written comes back, what is damaged is noticed.

use bytes::Bytes;
use evenkeel_log::{
    BODY_BYTES_MAX, Epoch, HEADER_BYTES, Hash, Header, Incarnation, Kind, Offset, PartitionId,
    RECORD_BYTES_MAX, Record, RecordError,
};
use proptest::prelude::*;

fn headers() -> impl Strategy<Value = Header> {
    let kinds = prop_oneof![Just(Kind::Announce), Just(Kind::Batch), Just(Kind::Checkpoint)];
    let numbers =
        (any::<u16>(), any::<u32>(), any::<u64>(), 1..u64::MAX, any::<u64>(), any::<u32>());
    (kinds, numbers, any::<[u8; 16]>()).prop_map(|(kind, numbers, prev)| {
        let (partition, incarnation, epoch, offset, time_ms, writer) = numbers;
        Header {
            kind: if offset == 1 { Kind::Genesis } else { kind },
            partition: PartitionId(partition),
            incarnation: Incarnation(incarnation),
            epoch: Epoch(epoch),
            offset: Offset(offset),
            time_ms,
            writer,
            prev: Hash(prev),
        }
    })
}

proptest! {
    #[test]
    fn a_record_comes_back_as_it_was_sealed(
        header in headers(),
        body in proptest::collection::vec(any::<u8>(), 0..2000),
        after in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let record = Record::new(header, &body);
        let mut bytes = record.as_bytes().to_vec();
        prop_assert_eq!(bytes.len(), HEADER_BYTES + body.len());
        bytes.extend(after);
        let read = Record::parse(&Bytes::from(bytes)).unwrap();
        prop_assert_eq!(read.header(), &header);
        prop_assert_eq!(read.body(), &body[..]);
        prop_assert_eq!(read.tail(), record.tail());
        prop_assert_eq!(read.expected().offset.next(), header.offset);
    }

    #[test]
    fn any_changed_byte_is_noticed(
        header in headers(),
        body in proptest::collection::vec(any::<u8>(), 0..300),
        at in any::<proptest::sample::Index>(),
        change in 1..=255u8,
    ) {
        let mut bytes = Record::new(header, &body).as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(Record::parse(&Bytes::from(bytes)).is_err(), "byte {}", at);
    }

    #[test]
    fn a_cut_record_is_noticed(header in headers(), body in any::<[u8; 40]>(), cut in 1..128usize) {
        let bytes = Record::new(header, &body).as_bytes().clone();
        let cut = Record::parse(&bytes.slice(..bytes.len() - cut));
        prop_assert_eq!(cut.err(), Some(RecordError::Truncated));
    }
}

#[test]
fn every_single_flipped_bit_is_noticed() {
    let header = Header {
        kind: Kind::Batch,
        partition: PartitionId(2),
        incarnation: Incarnation(1),
        epoch: Epoch(3),
        offset: Offset(9),
        time_ms: 5,
        writer: 7,
        prev: Hash::of(b"before"),
    };
    let whole = Record::new(header, b"effects").as_bytes().to_vec();
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(Record::parse(&Bytes::from(flipped)).is_err(), "bit {bit}");
    }
}

#[test]
fn the_largest_body_makes_the_largest_record() {
    let header = Header {
        kind: Kind::Genesis,
        partition: PartitionId(0),
        incarnation: Incarnation(1),
        epoch: Epoch(0),
        offset: Offset(1),
        time_ms: 0,
        writer: 0,
        prev: Hash::ZERO,
    };
    let record = Record::new(header, &vec![1; BODY_BYTES_MAX]);
    assert_eq!(record.as_bytes().len(), RECORD_BYTES_MAX);
    assert!(Record::parse(record.as_bytes()).is_ok());
    let outcome = std::panic::catch_unwind(|| Record::new(header, &vec![1; BODY_BYTES_MAX + 1]));
    assert!(outcome.is_err(), "one byte more is refused");
}
