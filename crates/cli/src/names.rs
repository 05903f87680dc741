//! Names that callers choose, checked before they become part of an address.

/// Names that callers choose.
const NAME_BYTES_MAX: usize = 128;
/// What a refusal repeats of what was given.
const SHOWN_CHARS_MAX: usize = 120;

/// What is wrong with a name, if something is.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(legal) {
        return Ok(());
    }
    Err(format!(
        "{what} is named {:?}, and names are 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 . _ : @ -",
        cut(name)
    ))
}

/// A queue's name, from an argument.
pub(crate) fn queue(text: &str) -> Result<String, String> {
    check_name("the queue", text).map(|()| text.to_owned())
}

/// The name of a kind of jobs, from an argument.
pub(crate) fn kind(text: &str) -> Result<String, String> {
    check_name("the kind", text).map(|()| text.to_owned())
}

/// A worker's name, from an argument.
pub(crate) fn worker(text: &str) -> Result<String, String> {
    check_name("the worker", text).map(|()| text.to_owned())
}

/// The beginning of a text that was given.
pub(crate) fn cut(text: &str) -> &str {
    text.char_indices().nth(SHOWN_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_stand_in_an_address() {
        let longest = "q".repeat(NAME_BYTES_MAX);
        for name in ["a", "mail.eu-1:x@y_z", &longest] {
            assert_eq!(queue(name).as_deref(), Ok(name));
        }
        let longer = "q".repeat(NAME_BYTES_MAX + 1);
        for name in ["", "a/b", "a b", "a?b", "ä", "a%20b", &longer] {
            assert!(queue(name).is_err_and(|why| why.contains("names are 1 to 128")), "{name}");
        }
    }
}
