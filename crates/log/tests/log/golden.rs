//! The bytes of a log of version 1, as a file: what is written today, and what must be readable for
//! ever. A format that changes gets a new version and a new file; this one stays as it is.
//!
//! A line is 16 bytes of the segment, after their position; lines of zeroes are left out.
//! `EVENKEEL_WRITE_GOLDEN=1` writes a file that is not there yet.

use super::fixtures::{Written, open, read_all};
use evenkeel_log::{Files, PartitionId};
use std::{fmt::Write, fs, path::Path};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/log-1.txt");

/// Two groups: of two partitions, then of one and of `meta`.
fn told() -> Written {
    let mut written = Written::new();
    let (mut wal, _) = open(&written.files).unwrap();
    written.group(&mut wal, &[1, 2], 20);
    written.group(&mut wal, &[2, PartitionId::META.0], 40);
    written
}

/// The one segment's name, and its contents.
fn segment(written: &Written) -> (String, Vec<u8>) {
    let names = written.files.list().unwrap();
    let name = names.into_iter().find(|name| name.starts_with("segment-")).unwrap();
    let bytes = written.files.contents(&name);
    (name, bytes)
}

fn in_lines(bytes: &[u8]) -> String {
    let mut lines = String::new();
    for (at, line) in bytes.chunks(16).enumerate().filter(|(_, line)| **line != [0; 16]) {
        // Writing to a String cannot fail; the same holds below.
        let _ = write!(lines, "{:06x} ", at * 16);
        for byte in line {
            let _ = write!(lines, "{byte:02x}");
        }
        lines.push('\n');
    }
    lines
}

#[test]
fn a_log_of_version_1() {
    let written = told();
    let (name, bytes) = segment(&written);
    if std::env::var_os("EVENKEEL_WRITE_GOLDEN").is_some() && !Path::new(FILE).exists() {
        fs::create_dir_all(Path::new(FILE).parent().unwrap()).unwrap();
        fs::write(FILE, in_lines(&bytes)).unwrap();
    }
    let golden = fs::read_to_string(FILE).unwrap();
    assert_eq!(in_lines(&bytes), golden, "what is written is no longer version 1");

    // And what the file holds is read, whatever is written by then.
    let files = written.files.clone();
    files.overwrite(&name, 0, &vec![0; bytes.len()]);
    for line in golden.lines() {
        let (at, hex) = line.split_once(' ').unwrap();
        let position = u64::from_str_radix(at, 16).unwrap();
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        files.overwrite(&name, position, &bytes);
    }
    let (wal, recovered) = open(&files).unwrap();
    assert!(recovered.is_whole(), "{recovered:?}");
    for partition in [1, 2, PartitionId::META.0] {
        let partition = PartitionId(partition);
        assert_eq!(read_all(&wal, partition, 1 << 20), written.records[&partition]);
    }
}
