//! Replies as bytes, in version 2 of the protocol or version 3. What version 2 has no type for is
//! written as Redis writes it there: a map as an array of twice as many, a boolean as 0 or 1. What
//! is said is not here.
//!
//! The caller announces how many items an array or map has and then writes them; nothing counts
//! along.

use crate::text::push_decimal;

/// Bytes of an error: what callers sent is repeated only so far.
const ERROR_BYTES_MAX: usize = 512;

/// The version in which a connection is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Protocol {
    /// What every client begins with.
    #[default]
    Resp2,
    /// What `HELLO 3` asks for.
    Resp3,
}

impl Protocol {
    /// Its number.
    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}

/// Replies that wait to be sent, in order.
#[derive(Debug, Default)]
pub(super) struct Replies {
    out: Vec<u8>,
    /// How the next are written.
    pub(super) protocol: Protocol,
}

impl Replies {
    /// None yet.
    #[cfg(test)]
    pub(super) const fn new(protocol: Protocol) -> Self {
        Self { out: Vec::new(), protocol }
    }

    /// What is to be sent.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.out
    }

    /// Forgets what was sent, and keeps room for `kept_bytes` at most.
    pub(super) fn clear(&mut self, kept_bytes: usize) {
        self.out.clear();
        self.out.shrink_to(kept_bytes);
    }

    /// A short text, without line ends.
    pub(super) fn simple(&mut self, text: &'static str) {
        self.out.push(b'+');
        self.out.extend_from_slice(text.as_bytes());
        self.end_line();
    }

    /// An error of these parts: the first begins with its code, the others may be what a caller
    /// sent. Line ends become spaces, and it is cut off where it gets long.
    pub(super) fn error(&mut self, parts: &[&[u8]]) {
        self.out.push(b'-');
        let bytes = parts.iter().flat_map(|part| part.iter()).take(ERROR_BYTES_MAX);
        self.out.extend(bytes.map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }));
        self.end_line();
    }

    /// A number.
    pub(super) fn integer(&mut self, number: i64) {
        self.out.push(b':');
        self.signed(number);
    }

    /// Any bytes.
    pub(super) fn bulk(&mut self, bytes: &[u8]) {
        self.counted(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.end_line();
    }

    /// A text.
    pub(super) fn text(&mut self, text: &str) {
        self.bulk(text.as_bytes());
    }

    /// A text for people, which says that it is one; in version 2 a text like any other.
    pub(super) fn prose(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.text(text),
            Protocol::Resp3 => {
                self.counted(b'=', 4 + text.len());
                self.out.extend_from_slice(b"txt:");
                self.out.extend_from_slice(text.as_bytes());
                self.end_line();
            }
        }
    }

    /// Nothing.
    pub(super) fn null(&mut self) {
        let text: &[u8] = match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        };
        self.out.extend_from_slice(text);
    }

    /// Yes or no; 1 or 0 in version 2.
    pub(super) fn boolean(&mut self, yes: bool) {
        let text: &[u8] = match (self.protocol, yes) {
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
        };
        self.out.extend_from_slice(text);
    }

    /// The beginning of a list of `items`.
    pub(super) fn array(&mut self, items: usize) {
        self.counted(b'*', items);
    }

    /// The beginning of a map of `pairs`: a key, its value, and so on.
    pub(super) fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.counted(b'*', pairs * 2),
            Protocol::Resp3 => self.counted(b'%', pairs),
        }
    }

    /// The beginning of a set of `items`.
    pub(super) fn set(&mut self, items: usize) {
        let kind = match self.protocol {
            Protocol::Resp2 => b'*',
            Protocol::Resp3 => b'~',
        };
        self.counted(kind, items);
    }

    fn counted(&mut self, kind: u8, count: usize) {
        self.out.push(kind);
        push_decimal(&mut self.out, count as u64);
        self.end_line();
    }

    fn signed(&mut self, number: i64) {
        if number < 0 {
            self.out.push(b'-');
        }
        push_decimal(&mut self.out, number.unsigned_abs());
        self.end_line();
    }

    fn end_line(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `write` writes, in both versions.
    fn both(write: impl Fn(&mut Replies)) -> [String; 2] {
        [Protocol::Resp2, Protocol::Resp3].map(|protocol| {
            let mut replies = Replies::new(protocol);
            write(&mut replies);
            String::from_utf8(replies.as_bytes().to_vec()).unwrap()
        })
    }

    #[test]
    fn each_type_in_both_versions() {
        let same = |text: &str| [text.to_owned(), text.to_owned()];
        assert_eq!(both(|r| r.simple("OK")), same("+OK\r\n"));
        assert_eq!(both(|r| r.integer(0)), same(":0\r\n"));
        assert_eq!(both(|r| r.integer(i64::MIN)), same(":-9223372036854775808\r\n"));
        assert_eq!(both(|r| r.bulk(b"a\r\nb")), same("$4\r\na\r\nb\r\n"));
        assert_eq!(both(|r| r.bulk(b"")), same("$0\r\n\r\n"));
        assert_eq!(both(|r| r.array(10)), same("*10\r\n"));
        assert_eq!(both(|r| r.prose("ab")), ["$2\r\nab\r\n", "=6\r\ntxt:ab\r\n"]);
        assert_eq!(both(Replies::null), ["$-1\r\n", "_\r\n"]);
        assert_eq!(both(|r| r.boolean(true)), [":1\r\n", "#t\r\n"]);
        assert_eq!(both(|r| r.boolean(false)), [":0\r\n", "#f\r\n"]);
        assert_eq!(both(|r| r.map(3)), ["*6\r\n", "%3\r\n"]);
        assert_eq!(both(|r| r.set(3)), ["*3\r\n", "~3\r\n"]);
    }

    #[test]
    fn an_error_stays_on_its_line_and_short() {
        let mut replies = Replies::default();
        replies.error(&[b"ERR no '", b"a\r\n+OK", b"'"]);
        assert_eq!(replies.as_bytes(), b"-ERR no 'a  +OK'\r\n");
        replies.clear(0);
        replies.error(&[b"ERR ", &[b'x'; 10_000]]);
        assert_eq!(replies.as_bytes().len(), 1 + ERROR_BYTES_MAX + 2);
    }

    #[test]
    fn memory_is_given_back() {
        let mut replies = Replies::default();
        replies.bulk(&[0; 100_000]);
        replies.clear(1_000);
        assert!(replies.as_bytes().is_empty() && replies.out.capacity() <= 1_000);
    }
}
