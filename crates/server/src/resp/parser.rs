//! Bytes in, commands out: arrays of bulk strings, and lines as a person types them. Nothing is
//! copied: a command is ranges into the bytes that were read. What a command means is not here.
//!
//! The format is the request half of [RESP](https://redis.io/docs/latest/develop/reference/protocol-spec/),
//! the same in its versions 2 and 3. Two things are stricter than Redis: every length ends with
//! CR LF, and so does what it is the length of. Complaints have Redis's words, because clients
//! and people know them.

use super::inline;
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// Arguments of one command, its name among them.
pub(super) const ARGUMENTS_MAX: usize = 1_024;
/// Bytes of one command's arguments.
pub(super) const COMMAND_BYTES_MAX: usize = 512 * 1_024;
/// Bytes of a command that is typed as a line.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1_024;
/// Arguments of a command of somebody whom we do not know yet.
const STRANGER_ARGUMENTS_MAX: usize = 10;
/// Bytes of such a command.
const STRANGER_BYTES_MAX: usize = 16 * 1_024;
/// Arguments after which no further command joins a pipeline.
const PIPELINE_ARGUMENTS_MAX: usize = 8 * 1_024;
/// Commands that wait for `EXEC`.
pub(super) const QUEUED_MAX: usize = 4_096;
/// Arguments of those, their names among them.
const QUEUED_ARGUMENTS_MAX: usize = 32 * 1_024;
/// Bytes of those.
const QUEUED_BYTES_MAX: usize = 512 * 1_024;
/// Commands and arguments that a pipeline has room for without asking for memory, and keeps it.
const KEPT: usize = 1_024;

/// Bytes that are no command. The connection cannot go on: nobody knows where the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtocolError {
    #[error("invalid multibulk length")]
    InvalidArrayLength,
    #[error("unauthenticated multibulk length")]
    StrangersArrayLength,
    #[error("invalid bulk length")]
    InvalidBulkLength,
    #[error("unauthenticated bulk length")]
    StrangersBulkLength,
    #[error("expected '$', got '{}'", char::from(*.0))]
    ExpectedBulk(u8),
    #[error("too big inline request")]
    LineTooLong,
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
}

impl ProtocolError {
    /// As it is answered: with the byte that came, whatever it is.
    pub(super) fn said(self) -> Vec<u8> {
        match self {
            Self::ExpectedBulk(got) => [b"expected '$', got '", &[got][..], b"'"].concat(),
            other => other.to_string().into_bytes(),
        }
    }
}

/// What a command may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    arguments_max: usize,
    bytes_max: usize,
    line_bytes_max: usize,
    /// Commands that one reading takes.
    commands_max: usize,
    too_many: ProtocolError,
    too_large: ProtocolError,
}

impl Bounds {
    /// For a caller whom we know: `commands_max` at a time.
    pub(super) fn known(commands_max: usize) -> Self {
        Self {
            arguments_max: ARGUMENTS_MAX,
            bytes_max: COMMAND_BYTES_MAX,
            line_bytes_max: LINE_BYTES_MAX,
            commands_max,
            too_many: ProtocolError::InvalidArrayLength,
            too_large: ProtocolError::InvalidBulkLength,
        }
    }

    /// For a caller whom we do not know. One command at a time: the next may be of one whom we
    /// know.
    pub(super) fn stranger() -> Self {
        Self {
            arguments_max: STRANGER_ARGUMENTS_MAX,
            bytes_max: STRANGER_BYTES_MAX,
            line_bytes_max: STRANGER_BYTES_MAX,
            commands_max: 1,
            too_many: ProtocolError::StrangersArrayLength,
            too_large: ProtocolError::StrangersBulkLength,
        }
    }
}

/// Where an argument is, from its command's first byte.
type Span = Range<u32>;

/// Commands that arrived together.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    bytes: Bytes,
    spans: Vec<Span>,
    commands: Vec<Placed>,
}

/// A command within a pipeline.
#[derive(Debug, Clone, Copy)]
struct Placed {
    /// Its first byte.
    at: usize,
    /// The end of its arguments in the list of all.
    spans_end: usize,
}

impl Pipeline {
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// The `n`-th command; there must be one.
    pub(super) fn command(&self, n: usize) -> Command<'_> {
        let first = n.checked_sub(1).map_or(0, |before| self.commands[before].spans_end);
        let placed = self.commands[n];
        Command { bytes: &self.bytes, at: placed.at, spans: &self.spans[first..placed.spans_end] }
    }

    /// Lets go of all commands: the bytes that they lay in can be read into again.
    pub(super) fn clear(&mut self) {
        self.bytes = Bytes::new();
        self.commands.clear();
        self.commands.shrink_to(KEPT);
        self.spans.clear();
        self.spans.shrink_to(KEPT);
    }
}

/// Commands that wait. They are copied: what they were read with is not kept for them.
#[derive(Debug, Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    commands: Vec<Placed>,
}

impl Queue {
    /// Puts `command` behind the others, if there is room.
    pub(super) fn push(&mut self, command: Command<'_>) -> bool {
        let at = self.bytes.len();
        let bytes: usize = command.rest(0).map(<[u8]>::len).sum();
        let fits = self.commands.len() < QUEUED_MAX
            && self.spans.len() + command.len() <= QUEUED_ARGUMENTS_MAX
            && at + bytes <= QUEUED_BYTES_MAX;
        if fits {
            for argument in command.rest(0) {
                let from = self.bytes.len() - at;
                self.bytes.extend_from_slice(argument);
                self.spans.push(span(from, self.bytes.len() - at));
            }
            self.commands.push(Placed { at, spans_end: self.spans.len() });
        }
        fits
    }

    /// All of them, as if they had arrived together.
    pub(super) fn together(self) -> Pipeline {
        let Self { bytes, spans, commands } = self;
        Pipeline { bytes: bytes.into(), spans, commands }
    }
}

/// One command: its name and its arguments. There is at least the name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Command<'a> {
    bytes: &'a Bytes,
    at: usize,
    spans: &'a [Span],
}

impl<'a> Command<'a> {
    /// Arguments, the name among them.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn name(&self) -> &'a [u8] {
        &self.bytes[self.place(0)]
    }

    /// The `n`-th argument, the name being the 0th.
    pub(super) fn get(&self, n: usize) -> Option<&'a [u8]> {
        (n < self.spans.len()).then(|| &self.bytes[self.place(n)])
    }

    /// The same, to keep: it shares the bytes that were read.
    pub(super) fn shared(&self, n: usize) -> Option<Bytes> {
        (n < self.spans.len()).then(|| self.bytes.slice(self.place(n)))
    }

    /// All from the `n`-th on.
    pub(super) fn rest(self, n: usize) -> impl Iterator<Item = &'a [u8]> {
        (n..self.spans.len()).map(move |n| &self.bytes[self.place(n)])
    }

    fn place(&self, n: usize) -> Range<usize> {
        let span = &self.spans[n];
        self.at + span.start as usize..self.at + span.end as usize
    }
}

/// How far the command that has not arrived whole was read. It begins the buffer.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// What of it was looked at.
    at: usize,
    /// Arguments still to come; `None` before that is known.
    missing: Option<usize>,
    /// The length of the argument that is coming.
    bulk: Option<usize>,
    /// Bytes of its arguments so far.
    bytes: usize,
    spans: Vec<Span>,
}

/// How reading a command went.
enum Step {
    /// It is cut off.
    More,
    /// It has so many bytes, and is in the list.
    Whole(usize),
    /// So many bytes that ask nothing: an empty line or array.
    Nothing(usize),
}

impl Parser {
    /// Takes whole commands from `buffer` into `pipeline`, which is cleared first. What is cut off
    /// stays and is not looked at again. After an error `pipeline` has what came before it.
    pub(super) fn read(
        &mut self,
        buffer: &mut BytesMut,
        bounds: Bounds,
        pipeline: &mut Pipeline,
    ) -> Result<(), ProtocolError> {
        pipeline.clear();
        pipeline.spans.append(&mut self.spans);
        let mut at = 0;
        let mut whole = 0;
        let result = loop {
            if pipeline.commands.len() >= bounds.commands_max || whole >= PIPELINE_ARGUMENTS_MAX {
                break Ok(());
            }
            match self.step(&mut buffer[at..], &bounds, &mut pipeline.spans, whole) {
                Ok(Step::More) => break Ok(()),
                Ok(Step::Nothing(bytes)) => at += bytes,
                Ok(Step::Whole(bytes)) => {
                    whole = pipeline.spans.len();
                    pipeline.commands.push(Placed { at, spans_end: whole });
                    at += bytes;
                }
                Err(error) => break Err(error),
            }
        };
        if pipeline.spans.len() > whole {
            self.spans.extend(pipeline.spans.drain(whole..));
        }
        pipeline.bytes = buffer.split_to(at).freeze();
        result
    }

    /// Reads on in the command that begins `input`. Its arguments are those of `spans` from
    /// `first` on.
    fn step(
        &mut self,
        input: &mut [u8],
        bounds: &Bounds,
        spans: &mut Vec<Span>,
        first: usize,
    ) -> Result<Step, ProtocolError> {
        if self.missing.is_none() {
            match input.first() {
                None => return Ok(Step::More),
                Some(b'*') => {}
                Some(_) => return self.line(input, bounds, spans, first),
            }
            let Some((count, length)) = number(&input[1..], ProtocolError::InvalidArrayLength)?
            else {
                return Ok(Step::More);
            };
            // Redis takes an array of less than nothing for an empty one.
            let count = usize::try_from(count).unwrap_or(0);
            if count == 0 {
                return Ok(Step::Nothing(1 + length));
            }
            if count > bounds.arguments_max {
                return Err(bounds.too_many);
            }
            self.at = 1 + length;
            self.missing = Some(count);
        }
        while self.missing > Some(0) {
            if !self.argument(input, bounds, spans)? {
                return Ok(Step::More);
            }
        }
        let length = self.at;
        self.begin_next();
        Ok(Step::Whole(length))
    }

    /// Reads the next argument; whether it was all there.
    fn argument(
        &mut self,
        input: &[u8],
        bounds: &Bounds,
        spans: &mut Vec<Span>,
    ) -> Result<bool, ProtocolError> {
        let length = match self.bulk {
            Some(length) => length,
            None => {
                match input.get(self.at) {
                    None => return Ok(false),
                    Some(b'$') => {}
                    Some(other) => return Err(ProtocolError::ExpectedBulk(*other)),
                }
                let Some((length, digits)) =
                    number(&input[self.at + 1..], ProtocolError::InvalidBulkLength)?
                else {
                    return Ok(false);
                };
                let length =
                    usize::try_from(length).map_err(|_| ProtocolError::InvalidBulkLength)?;
                self.bytes = self.bytes.saturating_add(length);
                if self.bytes > bounds.bytes_max {
                    return Err(bounds.too_large);
                }
                self.at += 1 + digits;
                self.bulk = Some(length);
                length
            }
        };
        let end = self.at + length;
        match input.get(end..end + 2) {
            None => return Ok(false),
            Some(b"\r\n") => {}
            Some(_) => return Err(ProtocolError::InvalidBulkLength),
        }
        spans.push(span(self.at, end));
        self.at = end + 2;
        self.bulk = None;
        self.missing = self.missing.map(|missing| missing - 1);
        Ok(true)
    }

    /// Reads a command that is typed as a line.
    fn line(
        &mut self,
        input: &mut [u8],
        bounds: &Bounds,
        spans: &mut Vec<Span>,
        first: usize,
    ) -> Result<Step, ProtocolError> {
        let found = input[self.at..].iter().position(|byte| *byte == b'\n');
        let end = found.map_or(input.len(), |further| self.at + further);
        if end > bounds.line_bytes_max {
            return Err(ProtocolError::LineTooLong);
        }
        if found.is_none() {
            self.at = input.len();
            return Ok(Step::More);
        }
        self.begin_next();
        let mut text = 0..end;
        while let Some((from, to)) = inline::next(input, &mut text)? {
            if spans.len() - first >= bounds.arguments_max {
                return Err(bounds.too_many);
            }
            spans.push(span(from, to));
        }
        Ok(if spans.len() > first { Step::Whole(end + 1) } else { Step::Nothing(end + 1) })
    }

    fn begin_next(&mut self) {
        self.at = 0;
        self.missing = None;
        self.bulk = None;
        self.bytes = 0;
    }
}

fn span(from: usize, to: usize) -> Span {
    let fits = "a command is far smaller than 4 GiB";
    u32::try_from(from).expect(fits)..u32::try_from(to).expect(fits)
}

/// The number that begins `input`, and how many bytes it has with its CR LF; `None` if it is cut
/// off. As in Redis there is one way to write each: no `+`, no zeros before it.
fn number(input: &[u8], wrong: ProtocolError) -> Result<Option<(i64, usize)>, ProtocolError> {
    let negative = input.first() == Some(&b'-');
    let first = usize::from(negative);
    let mut value = 0_i64;
    let mut at = first;
    loop {
        match input.get(at) {
            None => return Ok(None),
            Some(b'\r') if at > first => break,
            Some(digit @ b'0'..=b'9') => {
                let leads = at == first && *digit == b'0';
                let ends = input.get(at + 1).is_none_or(|next| *next == b'\r');
                if leads && (negative || !ends) {
                    return Err(wrong);
                }
                let next = value.checked_mul(10);
                value = next.and_then(|v| v.checked_add(i64::from(digit - b'0'))).ok_or(wrong)?;
            }
            Some(_) => return Err(wrong),
        }
        at += 1;
    }
    match input.get(at + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some((if negative { -value } else { value }, at + 2))),
        Some(_) => Err(wrong),
    }
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
