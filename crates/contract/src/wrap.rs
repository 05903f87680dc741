//! Filling text to a width. Widths are counted in characters: the prose here is plain text.

/// Appends `text` to `out`, broken at spaces so that no line exceeds `width` where that can be
/// helped. The cursor is at column `indent`; further lines are indented to it.
pub(crate) fn fill(out: &mut String, text: &str, indent: usize, width: usize) {
    for (at, line) in text.lines().enumerate() {
        if at > 0 {
            new_line(out, indent);
        }
        let mut column = indent;
        for (at, word) in line.split_whitespace().enumerate() {
            let length = word.chars().count();
            if at > 0 && column + 1 + length > width {
                new_line(out, indent);
                column = indent;
            } else if at > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += length;
        }
    }
}

fn new_line(out: &mut String, indent: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fill_up_to_the_width_and_long_words_stand_alone() {
        let mut out = String::new();
        fill(&mut out, "one two  three\nfour incomprehensibilities end", 2, 10);
        assert_eq!(out, "one two\n  three\n  four\n  incomprehensibilities\n  end");
    }
}
