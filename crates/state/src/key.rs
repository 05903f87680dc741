//! Keys as bytes whose order is the order of the typed keys.
//!
//! Every encoding ends by itself (fixed size, or a terminator), so a tuple's encoding is that of its
//! parts one after the other, and the encoding of its first parts is a prefix to scan or drop by.

use smallvec::SmallVec;
use std::cmp::Ordering;
use std::ops::Deref;

/// An encoded key: the table's id, then the typed key.
///
/// Their order is that of their bytes, found eight at a time: it decides how fast a memtable is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyBytes(SmallVec<[u8; 32]>);

impl KeyBytes {
    /// No bytes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }

    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Appends one.
    pub fn push(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Appends several.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Keeps the first `bytes` at most.
    pub fn truncate(&mut self, bytes: usize) {
        self.0.truncate(bytes);
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Deref for KeyBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Ord for KeyBytes {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = (self.0.as_slice(), other.0.as_slice());
        while let (Some((x, rest_a)), Some((y, rest_b))) =
            (a.split_first_chunk::<8>(), b.split_first_chunk::<8>())
        {
            if x != y {
                return u64::from_be_bytes(*x).cmp(&u64::from_be_bytes(*y));
            }
            (a, b) = (rest_a, rest_b);
        }
        // What is left over of keys of one length, with equal bytes before it to make up a word.
        match (self.0.last_chunk::<8>(), other.0.last_chunk::<8>()) {
            (Some(x), Some(y)) if a.len() == b.len() => {
                u64::from_be_bytes(*x).cmp(&u64::from_be_bytes(*y))
            }
            _ => a.cmp(b),
        }
    }
}

impl PartialOrd for KeyBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A type with an order-preserving encoding: `a < b` exactly when `a`'s bytes are before `b`'s.
pub trait KeyCodec: Sized {
    /// Appends the encoding.
    fn encode(&self, out: &mut KeyBytes);
    /// Takes the encoding off the front; `None` if it is not there.
    fn decode(bytes: &mut &[u8]) -> Option<Self>;
}

macro_rules! big_endian {
    ($($number:ty),*) => {$(
        impl KeyCodec for $number {
            fn encode(&self, out: &mut KeyBytes) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn decode(bytes: &mut &[u8]) -> Option<Self> {
                Some(Self::from_be_bytes(*bytes.split_off(..size_of::<Self>())?.as_array()?))
            }
        }
    )*};
}
big_endian!(u8, u16, u32, u64);

impl<const N: usize> KeyCodec for [u8; N] {
    fn encode(&self, out: &mut KeyBytes) {
        out.extend_from_slice(self);
    }
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        bytes.split_off(..N)?.as_array().copied()
    }
}

/// The bytes, then a NUL. Text with a NUL inside has no encoding: whoever parses names refuses it.
impl KeyCodec for String {
    fn encode(&self, out: &mut KeyBytes) {
        encode_text(self, out);
    }
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        decode_text(bytes).map(str::to_owned)
    }
}

/// Appends `text` and its terminator: for the callers' own text types.
pub fn encode_text(text: &str, out: &mut KeyBytes) {
    debug_assert!(!text.as_bytes().contains(&0), "text in a key has no NUL inside");
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

/// Takes text and its terminator off the front.
pub fn decode_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    *bytes = &bytes[end + 1..];
    Some(text)
}

macro_rules! tuples {
    ($($($part:ident $index:tt),*;)*) => {$(
        impl<$($part: KeyCodec),*> KeyCodec for ($($part,)*) {
            #[allow(unused_variables, reason = "the empty tuple has no parts")]
            fn encode(&self, out: &mut KeyBytes) {
                $(self.$index.encode(out);)*
            }
            #[allow(unused_variables, clippy::unused_unit, reason = "the empty tuple has no parts")]
            fn decode(bytes: &mut &[u8]) -> Option<Self> {
                Some(($($part::decode(bytes)?,)*))
            }
        }
    )*};
}
tuples! {
    ;
    A 0;
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
    A 0, B 1, C 2, D 3, E 4;
}

/// The least key above every key that starts with `prefix`; `None` if there is none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<KeyBytes> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut after = KeyBytes::from_slice(&prefix[..last]);
    after.push(prefix[last] + 1);
    Some(after)
}
