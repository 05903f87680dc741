//! The guide (`docs/guide`) names every path, breakage and price, and none that there is not.

use evenkeel_drill::{breakages::BREAKAGES, prices::PRICES};
use std::{collections::BTreeSet, fs, path::Path};

/// Names of one sort, in the guide and in the code.
#[derive(Default)]
struct Names {
    told: BTreeSet<String>,
    known: BTreeSet<String>,
}

impl Names {
    fn known<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { known: names.into_iter().map(str::to_owned).collect(), ..Self::default() }
    }

    fn tell(&mut self, name: &str) {
        // `evenkeel explain PATH` is about any.
        if !name.chars().all(|c| c.is_ascii_uppercase()) {
            self.told.insert(name.to_owned());
        }
    }

    /// What is missing in the guide, and what is in it and nowhere else.
    fn differ(&self, sort: &str, found: &mut Vec<String>) {
        found.extend(self.known.difference(&self.told).map(|name| format!("no {sort}: {name}")));
        found.extend(
            self.told.difference(&self.known).map(|name| format!("unknown {sort}: {name}")),
        );
    }
}

#[test]
fn the_guide_names_all_that_there_is_and_nothing_else() {
    let paths: Vec<&str> = evenkeel_domains::paths().iter().map(|path| path.name).collect();
    let domains: BTreeSet<&str> = paths.iter().filter_map(|name| name.split('.').next()).collect();
    let mut explained = Names::known(paths.iter().copied());
    let mut broken = Names::known(BREAKAGES.iter().map(|breakage| breakage.name));
    let mut priced = Names::known(PRICES.iter().map(|price| price.name));
    let mut unknown = Vec::new();
    for code in code(&guide()) {
        let words: Vec<&str> = code.split_whitespace().collect();
        for pair in words.windows(2) {
            match pair[0] {
                "explain" => explained.tell(pair[1]),
                "--break" => broken.tell(pair[1]),
                "price" => priced.tell(pair[1]),
                _ => {}
            }
        }
        let [name] = words[..] else { continue };
        let of = name.split_once('.').filter(|(_, operation)| is_word(operation, '_'));
        if of.is_some_and(|(domain, _)| domains.contains(domain)) {
            explained.tell(name);
        } else if name.contains('-') && is_word(name, '-') {
            // A breakage or a price that is spoken of; it has its command elsewhere.
            if !broken.known.contains(name) && !priced.known.contains(name) {
                unknown.push(format!("neither breakage nor price: {name}"));
            }
        }
    }
    explained.differ("path", &mut unknown);
    broken.differ("drill sim --break", &mut unknown);
    priced.differ("drill price", &mut unknown);
    assert!(unknown.is_empty(), "docs/guide does not agree with the code:\n{}", unknown.join("\n"));
}

/// All pages of the guide.
fn guide() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide");
    let pages: Result<Vec<String>, _> = fs::read_dir(folder)
        .expect("the guide is there")
        .map(|page| fs::read_to_string(page?.path()))
        .collect();
    let pages = pages.expect("its pages are text");
    assert!(pages.len() > 6, "a page for each family, and an index");
    pages.join("\n")
}

/// Each line of a fenced block without its comment, and everything between backticks.
fn code(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut code = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            code.extend(line.split(" #").next());
        } else {
            code.extend(line.split('`').skip(1).step_by(2));
        }
    }
    code
}

fn is_word(name: &str, joint: char) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == joint)
}
