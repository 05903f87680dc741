//! Small texts: numbers written without the formatting machinery, names checked, escapes undone.

use std::borrow::Cow;

/// The longest name a caller may choose.
pub(crate) const NAME_BYTES_MAX: usize = 128;

/// Appends `number` in decimal.
pub(crate) fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).expect("a digit is less than 10");
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `bytes` in lower-case hexadecimal.
pub(crate) fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is less than 16"));
        }
    }
}

/// The bytes that `text` is the hexadecimal of.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let nibble =
        |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}

/// Whether `name` is one that a caller may choose: 1–128 of `A-Z a-z 0-9 . _ : @ -`.
pub(crate) fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(legal)
}

/// Undoes percent-encoding; `None` if what comes out is not text or an escape is cut off.
pub(crate) fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(&from_hex(after.get(..2)?)?);
        rest = &after[2..];
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// `text`, cut to `bytes_max` at a character's end: what callers sent is repeated only so far.
pub(crate) fn cut(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Cow::Owned(format!("{}…", &text[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_are() {
        for number in [0, 7, 10, 99, 12_345, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    #[test]
    fn hexadecimal_comes_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        push_hex(&mut text, &bytes);
        assert_eq!(from_hex(&text), Some(bytes));
        for wrong in ["0", "0g", "é", "+1"] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_have_a_length_and_an_alphabet() {
        let longest = "n".repeat(NAME_BYTES_MAX);
        for good in ["a", "2013-01-01.UA1545", "x:y@z_", longest.as_str()] {
            assert!(is_name(good), "{good}");
        }
        let too_long = "n".repeat(NAME_BYTES_MAX + 1);
        for bad in ["", "a b", "a/b", "é", "a\0", "a%", too_long.as_str()] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn escapes_are_undone_or_refused() {
        assert_eq!(percent_decoded("a%3Ab%40"), Some("a:b@".into()));
        assert_eq!(percent_decoded("plain"), Some("plain".into()));
        for wrong in ["%", "%4", "%zz", "%ff", "%+1", "%é"] {
            assert_eq!(percent_decoded(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_cut_keeps_characters_whole() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("ééé", 3), "é…");
    }
}
