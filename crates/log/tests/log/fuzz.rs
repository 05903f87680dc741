//! Hostile bytes: whatever is in a record or in the log's directory, nothing panics and nothing is
//! shown that was not written. `EVENKEEL_FUZZ_ITERATIONS` makes the runs longer.

use super::fixtures::{FaultWal, Numbers, Written, iterations, open, record};
use bytes::Bytes;
use evenkeel_log::{Files, Offset, PartitionId, Record, Tail, verify};

/// Any bytes are a record that says exactly them, or an error.
fn fuzz_record(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(parsed) = Record::parse(&bytes) {
        let whole = parsed.as_bytes();
        assert_eq!(whole, &bytes[..whole.len()]);
        assert_eq!(Record::new(*parsed.header(), parsed.body()), parsed);
    }
}

/// `data` says how a directory is mangled; then the log is opened, read and written.
fn fuzz_directory(data: &[u8]) {
    let mut written = Written::new();
    let (mut wal, _) = open(&written.files).unwrap();
    written.group(&mut wal, &[1, 2, 3], 10);
    for round in 0..50u16 {
        written.group(&mut wal, &[1 + round % 3], usize::from(round) * 20);
    }
    drop(wal);
    for step in data.chunks_exact(8) {
        mangle(&written, step);
    }
    let _ = verify(&written.files);
    let Ok((mut wal, _)) = open(&written.files) else {
        return;
    };
    for partition in 1..=3 {
        check(&wal, &written, partition);
        let id = PartitionId(partition);
        if let Ok(tail) = wal.reader().tail(id) {
            let next = record(id, tail, b"after");
            wal.write_group(std::slice::from_ref(&next)).unwrap();
            let read = wal.reader().read(id, next.header().offset, 1000).unwrap();
            assert_eq!(read, [next]);
        }
    }
}

fn mangle(written: &Written, step: &[u8]) {
    let names = written.files.list().unwrap();
    let name = &names[usize::from(step[0]) % names.len()];
    let length = written.files.contents(name).len();
    let place = u64::from_le_bytes([step[2], step[3], step[4], 0, 0, 0, 0, 0]);
    let position = place % (length.max(1) as u64);
    let at = usize::try_from(position).unwrap();
    let bytes = (usize::from(step[5]) * 8).min(length - at);
    match step[1] % 8 {
        0..3 if length > 0 => written.files.flip(name, position, step[6]),
        3 => written.files.overwrite(name, position, &vec![step[6]; bytes]),
        4 => {
            // Bytes of another place, aligned as groups are.
            let other = written.files.contents(&names[usize::from(step[6]) % names.len()]);
            let from = (usize::from(step[7]) * 512).min(other.len());
            let chunk = &other[from..other.len().min(from + 2048)];
            let to = at / 512 * 512;
            let chunk = &chunk[..chunk.len().min(length - to)];
            written.files.overwrite(name, to as u64, chunk);
        }
        5 => written.files.truncate(name, position),
        6 if names.len() > 1 => written.files.remove(name).unwrap(),
        7 => {
            let other = &names[usize::from(step[6]) % names.len()];
            if other != name {
                written.files.rename(name, other).unwrap();
            }
        }
        _ => {}
    }
}

/// What a partition shows, if it shows anything, is what was written, in order.
fn check(wal: &FaultWal, written: &Written, partition: u16) {
    let all = &written.records[&PartitionId(partition)];
    let reader = wal.reader();
    let Ok(tail) = reader.tail(PartitionId(partition)) else {
        return;
    };
    let known = all.iter().any(|record| record.tail() == tail);
    assert!(known || tail == Tail::EMPTY, "partition {partition} ends at {tail:?}");
    let mut from = 1;
    while from <= tail.offset.0 {
        match reader.read(PartitionId(partition), Offset(from), 700) {
            Ok(some) => {
                let begin = usize::try_from(from - 1).unwrap();
                assert!(!some.is_empty());
                assert_eq!(some, all[begin..begin + some.len()]);
                from += some.len() as u64;
            }
            Err(evenkeel_log::ReadError::Trimmed { first }) => from = first.0,
            Err(_) => return,
        }
    }
}

#[test]
fn records_of_hostile_bytes() {
    let mut numbers = Numbers::new(1);
    let whole = record(PartitionId(1), Tail::EMPTY, b"some effects").as_bytes().to_vec();
    for _ in 0..iterations(20_000) {
        let mut data = whole.clone();
        for _ in 0..=numbers.below(3) {
            let at = numbers.index(data.len());
            data[at] = u8::try_from(numbers.below(256)).unwrap();
        }
        data.truncate(numbers.index(data.len() + 1));
        fuzz_record(&data);
        let noise: Vec<u8> =
            (0..numbers.below(300)).map(|_| u8::try_from(numbers.below(256)).unwrap()).collect();
        fuzz_record(&noise);
    }
    fuzz_record(&whole);
}

#[test]
fn directories_of_hostile_bytes() {
    let mut numbers = Numbers::new(2);
    for _ in 0..iterations(400) {
        let steps = 1 + numbers.below(4);
        let data: Vec<u8> =
            (0..steps * 8).map(|_| u8::try_from(numbers.below(256)).unwrap()).collect();
        fuzz_directory(&data);
    }
}
