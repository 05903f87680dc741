//! The lines of a file, read on a thread of their own and parsed there.

use super::line::{Entry, LINE_BYTES_MAX, parse};
use crate::failure::Failure;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Stdin},
    path::Path,
};
use tokio::sync::mpsc;

/// One line.
pub(super) struct Item {
    /// Its number, from 1.
    pub(super) line: u64,
    /// Its length, for the progress bar.
    pub(super) bytes: u64,
    /// What it says, or what is wrong with it.
    pub(super) entry: Result<Entry, String>,
}

/// Where lines come from.
pub(super) enum Source {
    /// A file, and its length if it has one.
    File(File, Option<u64>),
    /// Stdin.
    Stdin(Stdin),
}

impl Source {
    /// Opens a file; `-` is stdin.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::Stdin(io::stdin()));
        }
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened
            .map_err(|error| Failure::because(format!("cannot read {}", path.display()), error))?;
        Ok(Self::File(file, metadata.is_file().then_some(metadata.len())))
    }

    /// How long it is, if that is known.
    pub(super) fn bytes(&self) -> Option<u64> {
        match self {
            Self::File(_, bytes) => *bytes,
            Self::Stdin(_) => None,
        }
    }

    /// Reads all lines into the queue; ends early when nobody takes them any more.
    pub(super) fn read(self, queue: &mpsc::Sender<Item>) -> io::Result<()> {
        match self {
            Self::File(file, _) => read_lines(BufReader::with_capacity(1 << 18, file), queue),
            Self::Stdin(stdin) => read_lines(stdin.lock(), queue),
        }
    }
}

fn read_lines(mut from: impl BufRead, queue: &mpsc::Sender<Item>) -> io::Result<()> {
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let bytes =
            (&mut from).take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut text)? as u64;
        if bytes == 0 {
            break;
        }
        let too_long = bytes > LINE_BYTES_MAX as u64 && text.last() != Some(&b'\n');
        if too_long {
            from.skip_until(b'\n')?;
        } else if text.trim_ascii().is_empty() {
            continue;
        }
        let entry = match too_long {
            true => Err(format!("it is longer than {LINE_BYTES_MAX} bytes")),
            false => parse(&text),
        };
        if queue.blocking_send(Item { line, bytes, entry }).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &[u8]) -> Vec<(u64, bool)> {
        let (queue, mut items) = mpsc::channel(16);
        read_lines(text, &queue).unwrap();
        drop(queue);
        let mut seen = Vec::new();
        while let Some(item) = items.blocking_recv() {
            seen.push((item.line, item.entry.is_ok()));
        }
        seen
    }

    #[test]
    fn lines_are_counted_and_empty_ones_passed_over() {
        let good = br#"{"resource":"a","kind":"quantity","capacity":1}"#;
        let mut text = [good, &b"\n\n  \r\nno\n"[..], good].concat();
        assert_eq!(items(&text), [(1, true), (4, false), (5, true)]);
        text.push(b'\n');
        assert_eq!(items(&text).len(), 3);
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory_and_spoils_only_itself() {
        let good = b"{\"resource\":\"a\",\"kind\":\"quantity\",\"capacity\":1}\n";
        let long = vec![b'x'; LINE_BYTES_MAX + 10];
        assert_eq!(items(&[&long[..], b"\n", good].concat()), [(1, false), (2, true)]);
    }
}
