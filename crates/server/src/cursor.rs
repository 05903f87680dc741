//! Cursors: where a list goes on, as opaque text. A cursor belongs to its list, filter included;
//! it grants nothing, since the request that carries it is checked like any other.

use crate::{
    problem::Problem,
    query,
    text::{from_hex, push_hex},
};

/// The version of the encoding: version, four bytes of the list's hash, the place.
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 5;

/// Which list a cursor is of: its name and everything that was asked of it.
pub(crate) struct List<'l>(pub(crate) &'l [&'l str]);

impl List<'_> {
    fn mark(&self) -> [u8; 4] {
        let mut hasher = blake3::Hasher::new();
        for part in self.0 {
            hasher.update(part.as_bytes()).update(&[0]);
        }
        let mut mark = [0; 4];
        mark.copy_from_slice(&hasher.finalize().as_bytes()[..4]);
        mark
    }

    /// The cursor of the place after `last`.
    pub(crate) fn cursor(&self, last: &str) -> String {
        let mut text = String::with_capacity(2 * (HEAD_BYTES + last.len()));
        push_hex(&mut text, &[VERSION]);
        push_hex(&mut text, &self.mark());
        push_hex(&mut text, last.as_bytes());
        text
    }

    /// The place that `cursor` marks in this list.
    pub(crate) fn place(&self, cursor: &str) -> Result<String, Problem> {
        let bytes = from_hex(cursor).unwrap_or_default();
        let place =
            bytes.get(HEAD_BYTES..).and_then(|place| String::from_utf8(place.to_vec()).ok());
        match place {
            Some(place) if bytes[0] == VERSION && bytes[1..HEAD_BYTES] == self.mark() => Ok(place),
            Some(_) => Err(query::bad("cursor", "is of another list, or of other filters")),
            None => Err(query::bad("cursor", "is not one that a list answered")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_to_its_list_only() {
        let list = List(&["seats", "default", "gig", "free"]);
        let cursor = list.cursor("A1");
        assert_eq!(list.place(&cursor), Ok("A1".to_owned()));
        for other in [&["seats", "default", "gig", "held"][..], &["seats", "default", "gigfree"]] {
            assert!(List(other).place(&cursor).is_err());
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let list = List(&["keys"]);
        let cursor = list.cursor("k");
        let later_version = format!("02{}", &cursor[2..]);
        for wrong in ["", "zz", "01", &cursor[..cursor.len() - 1], &later_version, "é"] {
            assert!(list.place(wrong).is_err(), "{wrong}");
        }
    }
}
