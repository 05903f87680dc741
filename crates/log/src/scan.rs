//! Walks the whole log from its oldest segment to its end without changing anything, tells a torn
//! tail from corruption, and finds whom corruption concerns.
//!
//! A group is written only after its predecessor's sync returned. So bytes that are no group, with
//! nothing valid after them, are the torn end of the last write; with *anything* valid after them
//! (a group of a later sequence, or another segment) they are damage to what was promised.

use crate::chain::Chains;
use crate::fs::Files;
use crate::group::{GroupHeader, GroupKey, Link, align};
use crate::index::Place;
use crate::segment::{SegmentDamage, SegmentHeader, Window, file_name, parse_file_name};
use crate::wal::WalError;
use crate::{Offset, PartitionId, Record};
use bytes::Bytes;
use std::ops::ControlFlow;
use std::sync::Arc;

/// How much is read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// A damaged place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment's file.
    pub segment: String,
    /// The first damaged byte, as near as can be told.
    pub position: u64,
    /// What is the matter, as a sentence that names the place.
    pub detail: String,
}

/// A record and where it is.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// The segment's file.
    pub segment: &'a str,
    /// The record's first byte in it.
    pub position: u64,
    /// The sequence of the group that holds it.
    pub group: u64,
    /// The record.
    pub record: &'a Record,
}

/// A segment that was walked.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) number: u64,
    /// Where the first group begins.
    pub(crate) start: u64,
    /// Every partition's tail at the segment's start.
    pub(crate) base: Vec<(PartitionId, Offset)>,
    /// Where the last group ends.
    pub(crate) end: u64,
    pub(crate) damaged: bool,
}

/// Everything that a scan found.
pub(crate) struct Scan {
    pub(crate) identity: [u8; 16],
    pub(crate) key: GroupKey,
    pub(crate) chains: Chains,
    pub(crate) segments: Vec<Walked>,
    /// The last group, and where it is if it is in the last segment.
    pub(crate) last: Link,
    pub(crate) last_group: Option<(u64, usize)>,
    pub(crate) damage: Vec<Damage>,
    /// The torn end of the last write begins at the last segment's end.
    pub(crate) torn: bool,
    pub(crate) groups: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// A group with a damaged body: torn if it turns out to be the last, corruption otherwise.
struct Suspect {
    header: GroupHeader,
    position: u64,
    body: Bytes,
    before: Link,
}

/// The numbers of the segments in a directory, in order.
pub(crate) fn segment_numbers<F: Files>(files: &F) -> Result<Vec<u64>, WalError> {
    let names = files.list().map_err(WalError::io("list the log's directory"))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| parse_file_name(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Scans the log, showing every whole record to `visit` until it breaks off.
pub(crate) fn scan<F: Files>(
    files: &F,
    visit: &mut dyn FnMut(&Placed<'_>) -> ControlFlow<()>,
) -> Result<Scan, WalError> {
    let numbers = segment_numbers(files)?;
    if numbers.is_empty() {
        return Err(WalError::NotInitialized);
    }
    let identity = find_identity(files, &numbers)?;
    let mut scanner = Scanner {
        visit,
        last: None,
        suspect: None,
        unproven: None,
        stopped: false,
        out: Scan {
            identity,
            key: GroupKey::of(&identity),
            chains: Chains::default(),
            segments: Vec::new(),
            last: Link::START,
            last_group: None,
            damage: Vec::new(),
            torn: false,
            groups: 0,
            records: 0,
            bytes: 0,
        },
    };
    for number in numbers {
        scanner.segment(files, number)?;
        if scanner.stopped {
            break;
        }
    }
    Ok(scanner.finish())
}

/// The log's identity, from the first segment whose header can be read.
fn find_identity<F: Files>(files: &F, numbers: &[u64]) -> Result<[u8; 16], WalError> {
    for number in numbers {
        let mut window = open(files, *number)?;
        let header = SegmentHeader::read(&mut window, *number)
            .map_err(WalError::io("read a segment's header"))?;
        match header {
            Ok(header) => return Ok(header.identity),
            Err(SegmentDamage::Version(version)) => return Err(WalError::Version(version)),
            Err(SegmentDamage::Unreadable) => {}
        }
    }
    Err(WalError::Corrupt("the header of every segment is damaged".to_owned()))
}

fn open<F: Files>(files: &F, number: u64) -> Result<Window<F::File>, WalError> {
    let file = files.open_read(&file_name(number)).map_err(WalError::io("open a segment"))?;
    Window::new(file, CHUNK_BYTES).map_err(WalError::io("open a segment"))
}

struct Scanner<'v> {
    visit: &'v mut dyn FnMut(&Placed<'_>) -> ControlFlow<()>,
    /// The last group whose header was whole; `None` while not even the beginning is known.
    last: Option<Link>,
    suspect: Option<Suspect>,
    /// A segment's header was damaged: until a group or another header continues from the last
    /// group, nothing shows that none is missing.
    unproven: Option<Arc<str>>,
    stopped: bool,
    out: Scan,
}

impl Scanner<'_> {
    fn segment<F: Files>(&mut self, files: &F, number: u64) -> Result<(), WalError> {
        let name = file_name(number);
        let mut window = open(files, number)?;
        // That there is a next segment proves that everything in the one before was synced.
        self.confirm_suspect();
        if let Some(previous) = self.out.segments.last()
            && previous.number + 1 != number
        {
            let missing = file_name(previous.number + 1);
            self.doubt_all(&missing, 0, "the file is missing");
            self.last = None;
        }
        let header = SegmentHeader::read(&mut window, number)
            .map_err(WalError::io("read a segment's header"))?;
        let header = match header {
            Ok(header) if header.identity == self.out.identity => Some(header),
            Ok(_) => {
                return Err(WalError::Corrupt(format!("{name} belongs to another log")));
            }
            Err(SegmentDamage::Version(version)) => return Err(WalError::Version(version)),
            Err(SegmentDamage::Unreadable) => None,
        };
        let start = match &header {
            Some(header) => {
                self.enter(&name, header);
                header.groups_start()
            }
            None => {
                let detail = self.note_damage(&name, 0, "the segment's header is damaged");
                match self.last {
                    Some(_) => self.unproven = Some(detail),
                    None => self.out.chains.doubt_all(&detail),
                }
                align(1)
            }
        };
        let base = self.out.chains.known.iter();
        let base = base.map(|(partition, known)| (*partition, known.tail.offset)).collect();
        let damaged = header.is_none();
        self.out.segments.push(Walked { number, start, base, end: start, damaged });
        self.out.last_group = None;
        self.groups(&name, &mut window)
    }

    /// What a whole segment header says about everything before it.
    fn enter(&mut self, name: &str, header: &SegmentHeader) {
        if self.out.segments.is_empty() {
            self.out.chains.begin(header);
        } else {
            if self.last.is_some_and(|last| last != header.last) {
                let (segment, end) = self.end_so_far();
                self.doubt_all(&segment, end, "groups after this are damaged");
            }
            self.out.chains.settle(name, header);
        }
        self.last = Some(header.last);
        self.unproven = None;
    }

    fn groups<H: crate::fs::File>(
        &mut self,
        name: &str,
        window: &mut Window<H>,
    ) -> Result<(), WalError> {
        let key = self.out.key;
        let read = WalError::io("read a segment");
        let file_bytes = window.file_bytes();
        loop {
            let (_, from) = self.end_so_far();
            let sequence = self.last.map_or(0, |last| last.sequence);
            let next = window.next_group(&key, from, file_bytes, sequence).map_err(&read)?;
            let Some((position, header)) = next else {
                return Ok(());
            };
            self.confirm_suspect();
            if self.last.is_some_and(|last| !header.follows(last)) {
                self.doubt_all(name, from, "a group is damaged, with whole ones after it");
            }
            self.unproven = None;
            let body_at = position + header.body_start() as u64;
            let body = window.slice(body_at, header.body_bytes).map_err(&read)?;
            let body = body.expect("a group that does not fit its file is not found");
            self.group(name, position, header, body);
            if self.stopped {
                return Ok(());
            }
        }
    }

    fn group(&mut self, name: &str, position: u64, header: GroupHeader, body: Bytes) {
        let before = self.last.unwrap_or(Link { sequence: 0, hash: header.prev });
        self.last = Some(header.link);
        let end = align(position + header.bytes() as u64);
        let segment = self.out.segments.last_mut().expect("a group is in a segment");
        segment.end = end;
        let place = Place { segment: segment.number, position };
        let Some(records) = header.records(&body) else {
            self.suspect = Some(Suspect { header, position, body, before });
            return;
        };
        self.out.last_group = Some((position, header.bytes()));
        self.out.groups += 1;
        self.out.bytes += header.bytes() as u64;
        let mut at = position + header.body_start() as u64;
        for record in &records {
            self.out.records += 1;
            self.out.chains.apply(record, place);
            let placed =
                Placed { segment: name, position: at, group: header.link.sequence, record };
            if (self.visit)(&placed).is_break() {
                self.stopped = true;
                return;
            }
            at += record.as_bytes().len() as u64;
        }
    }

    /// Something valid follows the suspect: it is corruption.
    fn confirm_suspect(&mut self) {
        let Some(suspect) = self.suspect.take() else {
            return;
        };
        let walked = self.out.segments.last_mut().expect("a suspect is in a segment");
        walked.damaged = true;
        let place = Place { segment: walked.number, position: suspect.position };
        let name = file_name(walked.number);
        let detail = self.note_damage(&name, suspect.position, "a group's body is damaged");
        self.out.chains.apply_damaged(&suspect.header, &suspect.body, place, &detail);
    }

    /// Something of any partition may be missing.
    fn doubt_all(&mut self, segment: &str, position: u64, what: &str) {
        let detail = self.note_damage(segment, position, what);
        if let Some(walked) = self.out.segments.last_mut() {
            walked.damaged = true;
        }
        self.out.chains.doubt_all(&detail);
    }

    fn note_damage(&mut self, segment: &str, position: u64, what: &str) -> Arc<str> {
        let detail = format!("{segment}, byte {position}: {what}");
        let shared = Arc::from(detail.as_str());
        self.out.damage.push(Damage { segment: segment.to_owned(), position, detail });
        shared
    }

    fn end_so_far(&self) -> (String, u64) {
        let walked = self.out.segments.last().expect("asked only within or after a segment");
        (file_name(walked.number), walked.end)
    }

    fn finish(mut self) -> Scan {
        if let Some(suspect) = self.suspect.take() {
            let walked = self.out.segments.last_mut().expect("a suspect is in a segment");
            walked.end = suspect.position;
            self.last = Some(suspect.before);
            self.out.torn = true;
        }
        if let Some(damage) = self.unproven.take() {
            self.out.chains.doubt_all(&damage);
        }
        self.out.last = self.last.unwrap_or(Link::START);
        self.out.chains.finish();
        self.out
    }
}
