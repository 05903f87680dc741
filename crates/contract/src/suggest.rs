//! "Did you mean …?": the known name nearest to a mistyped one, whoever asks: paths and settings
//! here, sections and keys of a file, fields, parameters and scopes of a request.

/// Longer names are answered without a suggestion, so that a hostile name costs nothing.
const NAME_BYTES_MAX: usize = 128;

/// The name nearest to `wrong`, if one is near enough to be what was meant: at most a third of
/// its letters differ, and never more than four. A name of more than 128 bytes gets none.
#[must_use]
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.len() > NAME_BYTES_MAX {
        return None;
    }
    let near = |(distance, name): &(usize, &str)| {
        *distance <= (wrong.len().max(name.len()) / 3).clamp(1, 4)
    };
    names
        .into_iter()
        .map(|name| (distance(wrong.as_bytes(), name.as_bytes()), name))
        .filter(near)
        .min()
        .map(|(_, name)| name)
}

/// Optimal string alignment distance: insertions, deletions, substitutions and swaps of
/// neighbours, each 1 (the restricted form of Damerau, 1964). O(a · b) time, three rows of memory.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before_last: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substitute = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substitute.min(last[j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_known_by_hand() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("hold", "hold", 0),
            ("hodl", "hold", 1),
            ("kitten", "sitting", 3),
            ("deadline", "deadline_ms", 3),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            assert_eq!(distance(b.as_bytes(), a.as_bytes()), expected, "{b} {a}");
        }
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let names = ["reservations.hold", "reservations.holds", "meta.keys"];
        assert_eq!(nearest("reservation.hold", names), Some("reservations.hold"));
        assert_eq!(nearest("reservations.holds", names), Some("reservations.holds"));
        assert_eq!(nearest("limits.check", names), None);
        assert_eq!(nearest("x", names), None);
        assert_eq!(nearest("deadline", ["deadline_ms"]), Some("deadline_ms"));
        let settings = ["http", "connections_max", "body_bytes_max"];
        assert_eq!(nearest("conections_max", settings), Some("connections_max"));
        assert_eq!(nearest("htpt", settings), Some("http"), "neighbours swapped are one slip");
        assert_eq!(nearest("colour", settings), None);
        let fields = ["holder", "ttl_ms", "seats", "quantity"];
        assert_eq!(nearest("holdr", fields), Some("holder"));
        assert_eq!(nearest("ttl", fields), None);
        assert_eq!(nearest("seat", fields), Some("seats"));
    }

    #[test]
    fn a_name_without_bound_is_not_compared() {
        let longest = "h".repeat(NAME_BYTES_MAX);
        assert_eq!(nearest(&longest, [longest.as_str()]), Some(longest.as_str()));
        let longer = "h".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(nearest(&longer, [longer.as_str()]), None);
    }
}
