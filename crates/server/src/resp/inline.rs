//! Commands that are typed as a line, by a person at a terminal: words between blanks, with quotes
//! and escapes as Redis has them.

use super::parser::ProtocolError;
use std::ops::Range;

/// The next word of `line`, a range of `bytes`, which then begins after it. Quotes and escapes are
/// undone where they stand: what is meant is never longer than what was typed.
pub(super) fn next(
    bytes: &mut [u8],
    line: &mut Range<usize>,
) -> Result<Option<(usize, usize)>, ProtocolError> {
    while line.start < line.end && is_blank(bytes[line.start]) {
        line.start += 1;
    }
    if line.start >= line.end {
        return Ok(None);
    }
    let (from, mut to) = (line.start, line.start);
    while line.start < line.end {
        let byte = bytes[line.start];
        match byte {
            b'"' | b'\'' => to = quoted(bytes, line, byte, to)?,
            b' ' | b'\t' | b'\r' => break,
            _ => {
                bytes[to] = byte;
                to += 1;
                line.start += 1;
            }
        }
    }
    Ok(Some((from, to)))
}

/// What may come before a word or after a quote. Of these a vertical tab and a form feed do not end
/// a word: so it is in Redis.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\x0b' | b'\x0c')
}

/// Undoes the quotes that `line` begins with, writing what is in them to `to`; where that ends.
fn quoted(
    bytes: &mut [u8],
    line: &mut Range<usize>,
    quote: u8,
    mut to: usize,
) -> Result<usize, ProtocolError> {
    line.start += 1;
    loop {
        let left = &bytes[line.clone()];
        let (byte, length) = match *left {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [byte, ref after @ ..] if byte == quote => {
                if after.first().is_some_and(|byte| !is_blank(*byte)) {
                    return Err(ProtocolError::UnbalancedQuotes);
                }
                line.start += 1;
                return Ok(to);
            }
            [b'\\', b'\'', ..] if quote == b'\'' => (b'\'', 2),
            [b'\\', b'x', high, low, ..] if quote == b'"' && is_hex(high) && is_hex(low) => {
                (nibble(high) << 4 | nibble(low), 4)
            }
            [b'\\', escaped, ..] if quote == b'"' => (unescaped(escaped), 2),
            [byte, ..] => (byte, 1),
        };
        bytes[to] = byte;
        to += 1;
        line.start += length;
    }
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => b'\x08',
        b'a' => b'\x07',
        other => other,
    }
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn nibble(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    }
}
