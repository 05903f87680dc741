//! Sizes and habits of the sources.

use crate::{
    report,
    source::Source,
    tree::{Text, files},
};

/// Files aim at 500 lines; this is where it fails.
const FILE_LINES_MAX: usize = 600;
/// Functions aim at 70 lines; this is where it fails.
const FUNCTION_LINES_MAX: usize = 100;

/// Code that may ask what time it is, and what for. Everything else is told the time, or times
/// nothing, so that a simulation can run it.
const CLOCKS: [(&str, &str); 11] = [
    ("crates/node/src/clock.rs", "record time begins with the wall clock"),
    ("crates/node/src/host.rs", "sleeps until something is due"),
    ("crates/cache/src/cache.rs", "measures how old values are"),
    ("crates/log/src/wal.rs", "measures syncs for the metrics"),
    ("crates/log/src/fs.rs", "the lock says since when it is held"),
    ("crates/server/src/", "measures and limits requests"),
    ("crates/drill/src/load/", "measures a server"),
    ("crates/drill/src/crash/", "waits for a real process"),
    ("crates/drill/src/prices/push.rs", "measures a server"),
    ("crates/cli/src/commands/", "waits and retries for a person"),
    ("bench/", "measures peers"),
];

/// What has no place in code that a simulator runs.
const IMPURE: [&str; 12] = [
    "SystemTime",
    "Instant",
    "tokio",
    "thread::",
    "spawn(",
    "mpsc",
    "fastrand",
    "getrandom",
    "std::fs",
    "std::net",
    "std::env",
    "async ",
];

fn sources() -> impl Iterator<Item = (&'static Text, Source)> {
    files().iter().filter(|file| file.is_rust()).map(|file| (file, Source::new(&file.text)))
}

/// Every line of code that `wrong` says something about.
fn code_lines(wrong: impl Fn(&Text, &str, bool) -> Option<String>) -> Vec<String> {
    let mut found = Vec::new();
    for (file, source) in sources() {
        let tests_from = source.tests_from();
        for (at, line) in source.code.iter().enumerate() {
            let test = file.is_test() || at >= tests_from;
            if let Some(why) = wrong(file, line, test) {
                found.push(format!("{}:{}: {why}", file.path, at + 1));
            }
        }
    }
    found
}

fn allowed(path: &str, list: &[(&str, &str)]) -> bool {
    list.iter().any(|(prefix, _)| path.starts_with(prefix))
}

#[test]
fn files_and_functions_fit() {
    let mut found = Vec::new();
    for (file, source) in sources() {
        let lines = source.code.len();
        if lines > FILE_LINES_MAX {
            found.push(format!("{}: {lines} lines", file.path));
        }
        let functions = source.functions();
        let large = functions.iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
        found.extend(large.map(|function| {
            let path = &file.path;
            format!("{path}:{}: {} has {} lines", function.line, function.name, function.lines)
        }));
    }
    let rule = format!("at most {FILE_LINES_MAX} lines a file, {FUNCTION_LINES_MAX} a function");
    report(&rule, &found);
}

#[test]
fn every_file_says_what_it_is_for() {
    let found: Vec<String> = files()
        .iter()
        .filter(|file| file.is_rust() && !file.text.starts_with("//!"))
        .map(|file| file.path.clone())
        .collect();
    report("each source file begins with //! and says what it is for", &found);
}

#[test]
fn nothing_unfinished_is_left() {
    let found = code_lines(|_, line, _| {
        let words = ["todo!", "unimplemented!", "dbg!(", "#[ignore"];
        let word = words.into_iter().find(|word| line.contains(word))?;
        Some(word.to_owned())
    });
    report("no unfinished code and no test that does not run", &found);
}

#[test]
fn only_the_command_line_prints() {
    let found = code_lines(|file, line, test| {
        let prints = ["println!", "print!("].into_iter().find(|word| line.contains(word))?;
        let to_stderr = line.contains("eprint");
        let shows = ["/benches/", "/examples/"].iter().any(|part| file.path.contains(part));
        let fine = (test && to_stderr) || shows;
        let programs = ["crates/cli/src/", "bench/", "examples/"];
        let cli = programs.iter().any(|folder| file.path.starts_with(folder));
        (!fine && !cli).then(|| prints.to_owned())
    });
    report("libraries log with tracing; data and words are printed by the CLI alone", &found);
}

#[test]
fn only_what_may_know_the_time_asks_for_it() {
    let found = code_lines(|file, line, test| {
        let clocks = ["SystemTime::now", "Instant::now"];
        let clock = clocks.into_iter().find(|clock| line.contains(clock))?;
        (!test && !allowed(&file.path, &CLOCKS)).then(|| clock.to_owned())
    });
    report("time is passed in, except where the list in style.rs says why not", &found);
}

#[test]
fn what_a_simulator_runs_is_pure() {
    let cache =
        ["core", "hot", "look", "options"].map(|name| format!("crates/cache/src/{name}.rs"));
    let pure = ["crates/engine/src/", "crates/domains/src/"].map(str::to_owned);
    let found = code_lines(|file, line, test| {
        let concerned = !test && pure.iter().chain(&cache).any(|path| file.path.starts_with(path));
        let impure = IMPURE.into_iter().find(|word| concerned && line.contains(word))?;
        Some(impure.to_owned())
    });
    report("what a simulator runs has no clock, no randomness, no I/O, no task", &found);
}

#[test]
fn tests_wait_without_pausing() {
    let found = code_lines(|_, line, test| {
        let sleeps = test && (line.contains("sleep(") || line.contains("sleep_until("));
        sleeps.then(|| line.trim().to_owned())
    });
    report("tests wait for the thing they wait for", &found);
}

#[test]
fn no_code_is_commented_out() {
    let mut found = Vec::new();
    for (file, source) in sources() {
        for (at, comment) in source.comments.iter().enumerate() {
            let Some(text) = comment.trim().strip_prefix("//") else { continue };
            // Documentation may show code.
            if !text.starts_with(['/', '!']) && looks_like_code(text.trim()) {
                found.push(format!("{}:{}: {}", file.path, at + 1, text.trim()));
            }
        }
    }
    report("what is not used is removed; the history has it", &found);
}

fn looks_like_code(text: &str) -> bool {
    let begins = ["let ", "pub fn ", "fn ", "use ", "#[", "return ", "impl ", "match ", "}"];
    let begins = begins.into_iter().any(|word| text.starts_with(word));
    let ends = text.ends_with(';') || text.ends_with('{') || text.ends_with("}");
    let calls = text.contains("();") || (text.ends_with(");") && !text.contains(' '));
    (begins && ends) || calls || text.ends_with(") {") || text.contains(" => {")
}

#[test]
fn code_is_told_from_prose() {
    for code in ["let a = b;", "}", "call(a);", "if a == b(c) {", "Some(a) => {", "#[test] {"] {
        assert!(looks_like_code(code), "{code}");
    }
    for prose in ["let it be", "a list (of these);", "use what is there", "{a}", "returns 1; or 2"]
    {
        assert!(!looks_like_code(prose), "{prose}");
    }
}
