//! Rust source, told apart into code and comments: enough for the checks, not a parser.

/// Source with the same lines twice: once its code alone, with the inside of strings and all
/// comments blanked; once its comments alone.
pub(crate) struct Source {
    pub(crate) code: Vec<String>,
    pub(crate) comments: Vec<String>,
}

/// A function: its name, its first line (from 1) and how many lines it has.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn new(text: &str) -> Self {
        let (mut code, mut comments) = (String::new(), String::new());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (len, kind) = next(rest, first, code.chars().next_back());
            for character in rest[..len].chars() {
                let blank = if character == '\n' { '\n' } else { ' ' };
                code.push(if kind == Kind::Code { character } else { blank });
                comments.push(if kind == Kind::Comment { character } else { blank });
            }
            rest = &rest[len..];
        }
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        Self { code: lines(&code), comments: lines(&comments) }
    }

    /// The line (from 0) from which on everything is for tests, if there is one.
    pub(crate) fn tests_from(&self) -> usize {
        let tests = self.code.iter().position(|line| line.trim() == "#[cfg(test)]");
        tests.filter(|at| self.code[at + 1].contains('{')).unwrap_or(self.code.len())
    }

    /// Every function that has a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let starts = self.code.iter().enumerate().filter_map(|(at, line)| {
            let (before, after) = line.split_once("fn ")?;
            let name: String =
                after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let starts = before.is_empty() || before.ends_with([' ', '(']);
            (starts && !name.is_empty()).then_some((at, name))
        });
        starts
            .filter_map(|(at, name)| {
                let lines = self.body_lines(at)?;
                Some(Function { name, line: at + 1, lines })
            })
            .collect()
    }

    /// Lines from `at` to the end of the body that begins there, if it has one.
    fn body_lines(&self, at: usize) -> Option<usize> {
        let (mut braces, mut others) = (0_usize, 0_usize);
        for (count, line) in self.code[at..].iter().enumerate() {
            for character in line.chars() {
                match character {
                    '(' | '[' => others += 1,
                    ')' | ']' => others = others.checked_sub(1)?,
                    ';' if braces == 0 && others == 0 => return None,
                    '{' => braces += 1,
                    '}' => {
                        braces = braces.checked_sub(1)?;
                        if braces == 0 && others == 0 {
                            return Some(count + 1);
                        }
                    }
                    _ => {}
                }
            }
        }
        None
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// How many bytes belong together, and what they are. Quotes stay in the code.
fn next(rest: &str, first: char, before: Option<char>) -> (usize, Kind) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Kind::Comment);
    }
    if rest.starts_with("/*") {
        return (rest.find("*/").map_or(rest.len(), |end| end + 2), Kind::Comment);
    }
    let in_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_name && let Some(len) = raw_string(rest) {
        return (len, Kind::Literal);
    }
    match first {
        '"' => (string(rest), Kind::Literal),
        '\'' => character(rest).map_or((1, Kind::Code), |len| (len, Kind::Literal)),
        _ => (first.len_utf8(), Kind::Code),
    }
}

fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let inside = body.find(&end)?;
    Some(rest.len() - body.len() + inside + end.len())
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character literal; `None` of a lifetime.
fn character(rest: &str) -> Option<usize> {
    let inside = rest[1..].chars().next()?;
    if inside == '\\' {
        return rest[3..].find('\'').map(|end| end + 4);
    }
    let end = 1 + inside.len_utf8();
    rest[end..].starts_with('\'').then_some(end + 1)
}

#[test]
fn code_strings_and_comments_are_told_apart() {
    let text = "let a = \"// no\\\" { comment\"; // yes }\nlet b: &'static str = r#\"}\"#; '{'; '\\'';\n/* { */ end";
    let source = Source::new(text);
    assert_eq!(source.code.len(), 3);
    for unwanted in ["no", "yes", "{", "}"] {
        assert!(!source.code.concat().contains(unwanted), "{unwanted} in {:?}", source.code);
    }
    assert!(source.code[1].contains("&'static str ="));
    assert!(source.code[2].contains("end"));
    assert_eq!(source.comments[0].trim(), "// yes }");
}

#[test]
fn functions_are_measured() {
    let source =
        Source::new("fn a(b: [u8; 2]) {\n  if b { c }\n}\nfn without();\nfn d() -> u8 { 1 }\n");
    let found: Vec<_> = source.functions().into_iter().map(|f| (f.name, f.line, f.lines)).collect();
    assert_eq!(found, [("a".into(), 1, 3), ("d".into(), 5, 1)]);
}
