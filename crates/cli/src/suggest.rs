//! "Did you mean …?": the known name nearest to a mistyped one.

/// Longer names are answered without a suggestion, so that a hostile one costs nothing.
const NAME_BYTES_MAX: usize = 128;
/// More letters than this are not a slip.
const SLIPS_MAX: usize = 4;

/// The name nearest to `wrong`, if near enough to be what was meant.
pub(crate) fn nearest<'n>(
    wrong: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    if wrong.len() > NAME_BYTES_MAX {
        return None;
    }
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(slips, name)| *slips <= (wrong.len().max(name.len()) / 3).clamp(1, SLIPS_MAX))
        .min()
        .map(|(_, name)| name)
}

/// The end of a sentence that suggests `name`, if there is one.
pub(crate) fn hint(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let names = ["http", "connections_max", "body_bytes_max"];
        assert_eq!(nearest("conections_max", names), Some("connections_max"));
        assert_eq!(nearest("htpt", names), Some("http"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest(&"h".repeat(10_000), names), None);
    }
}
