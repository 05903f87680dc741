//! One path in plain words, in the order in which a path should be thought about. Prose comes
//! from the declaration; everything that code knows is put into `words` from facts and settings, so that it
//! changes when they do.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::delivered::{Budget, Delivered};
use crate::exposition::metric;
use crate::path::{Access, Coordination};
use crate::registry::{Contract, coordination};
use crate::settings::Settings;
use crate::words::{
    boundary, bytes, changed, durability, freshness, how_long, idempotency, milliseconds, order,
    refusals, spent,
};
use crate::wrap;

/// One path, explained: [`fmt::Display`] for people, serde for programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Its name.
    pub path: String,
    /// Its verb and route.
    pub route: String,
    /// Whether it can change anything.
    pub access: Access,
    /// How much coordination one call spends.
    pub coordination: Coordination,
    /// The settings that hold.
    pub promised: Settings,
    /// The settings that hold until somebody changes them.
    pub defaults: Settings,
    /// The live numbers, if there are any.
    pub delivered: Option<Delivered>,
    /// What they leave of the error budget.
    pub budget: Option<Budget>,
    /// The words, in order.
    pub sections: Vec<Section>,
    /// A request to copy.
    pub curl: String,
}

/// One step of thinking about a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Its title.
    pub title: String,
    /// Its items, in order.
    pub items: Vec<Item>,
}

/// One labelled statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What it is about.
    pub label: String,
    /// The statement.
    pub text: String,
}

/// One line of a list of contracts: promised beside delivered, without the words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Its name.
    pub path: String,
    /// Its verb and route.
    pub route: String,
    /// Whether it can change anything.
    pub access: Access,
    /// How much coordination one call spends.
    pub coordination: Coordination,
    /// What someone is doing when a product calls this.
    pub user_action: String,
    /// A request to copy.
    pub curl: String,
    /// The settings that hold.
    pub promised: Settings,
    /// The live numbers, if there are any.
    pub delivered: Option<Delivered>,
    /// What they leave of the error budget.
    pub budget: Option<Budget>,
}

/// The line of `contract` in a list, with live numbers if there are any.
#[must_use]
pub fn summarize(contract: &Contract, delivered: Option<&Delivered>) -> Summary {
    let Contract { path, settings, .. } = contract;
    Summary {
        path: path.name.to_owned(),
        route: path.route.to_owned(),
        access: path.access,
        coordination: coordination(contract),
        user_action: path.user_action.to_owned(),
        curl: path.curl.to_owned(),
        promised: *settings,
        delivered: delivered.cloned(),
        budget: delivered.map(|delivered| delivered.budget(&settings.slo)),
    }
}

/// Explains `contract`, with live numbers if there are any.
#[must_use]
pub fn explain(contract: &Contract, delivered: Option<&Delivered>) -> Explanation {
    let summary = summarize(contract, delivered);
    let mut sections = vec![
        action(contract),
        promised(contract),
        hot(contract),
        data(contract),
        breaks(contract),
        trade_off(contract),
        again(contract),
        watch(contract),
    ];
    if let (Some(delivered), Some(budget)) = (delivered, &summary.budget) {
        sections.push(live(contract, delivered, budget));
    }
    Explanation {
        path: summary.path,
        route: summary.route,
        access: summary.access,
        coordination: summary.coordination,
        promised: summary.promised,
        defaults: contract.path.defaults,
        delivered: summary.delivered,
        budget: summary.budget,
        sections,
        curl: summary.curl,
    }
}

fn section<const N: usize>(title: &str, items: [(&str, String); N]) -> Section {
    let items = items.into_iter().filter(|(_, text)| !text.is_empty());
    Section {
        title: title.to_owned(),
        items: items.map(|(label, text)| Item { label: label.to_owned(), text }).collect(),
    }
}

fn action(contract: &Contract) -> Section {
    let path = contract.path;
    section(
        "What the user does",
        [("user action", path.user_action.to_owned()), ("promise", path.promise.to_owned())],
    )
}

fn promised(contract: &Contract) -> Section {
    let (settings, defaults) = (&contract.settings, &contract.path.defaults);
    let deadline = format!(
        "{} ms{}",
        settings.deadline_ms,
        changed(&settings.deadline_ms, &defaults.deadline_ms)
    );
    let priority =
        format!("{}{}", settings.priority, changed(&settings.priority, &defaults.priority));
    let objective = format!(
        "{} % answered without an error of the server{}; 99 of 100 answers within {} ms{}",
        settings.slo.availability,
        changed(&settings.slo.availability, &defaults.slo.availability),
        settings.slo.latency_p99_ms,
        changed(&settings.slo.latency_p99_ms, &defaults.slo.latency_p99_ms),
    );
    section(
        "What is promised now",
        [
            ("freshness", freshness(contract)),
            ("refusals", refusals(contract)),
            ("durability", durability(contract.path.facts.durability).to_owned()),
            ("coordination", spent(coordination(contract), contract.path.access).to_owned()),
            ("deadline", deadline),
            ("priority", priority),
            ("objective", objective),
        ],
    )
}

fn hot(contract: &Contract) -> Section {
    section(
        "Hot paths",
        [
            ("hot read", contract.path.hot_read.to_owned()),
            ("hot write", contract.path.hot_write.to_owned()),
        ],
    )
}

fn data(contract: &Contract) -> Section {
    let path = contract.path;
    let facts = &path.facts;
    let bounds = match path.access {
        Access::Write => format!(
            "one request changes at most {} rows and {} of effects",
            facts.bounds.rows_max,
            bytes(facts.bounds.bytes_max)
        ),
        Access::Read => format!(
            "one answer holds at most {} rows and {}",
            facts.bounds.rows_max,
            bytes(facts.bounds.bytes_max)
        ),
    };
    section(
        "Data",
        [
            ("stored", path.data.to_owned()),
            ("boundary", boundary(facts.partition_key)),
            ("order", order(facts.order, facts.partition_key)),
            ("changes", facts.side_effects.join("; ")),
            ("bounds", bounds),
            ("moves", path.moves.to_owned()),
        ],
    )
}

fn breaks(contract: &Contract) -> Section {
    section(
        "Failure and load",
        [
            ("first failure", contract.path.first_failure.to_owned()),
            ("first bottleneck", contract.path.first_bottleneck.to_owned()),
        ],
    )
}

fn trade_off(contract: &Contract) -> Section {
    let path = contract.path;
    section(
        "Trade-off",
        [
            ("kept", path.kept.to_owned()),
            ("given up", path.given_up.to_owned()),
            ("stale: what", path.blast_radius.what.to_owned()),
            ("stale: how long", how_long(&contract.settings)),
            ("stale: who", path.blast_radius.who.to_owned()),
            ("in a partition", path.during_partition.to_owned()),
            ("inline", path.inline.to_owned()),
            ("later", path.later.to_owned()),
        ],
    )
}

fn again(contract: &Contract) -> Section {
    let path = contract.path;
    section(
        "Again",
        [
            ("idempotency", idempotency(contract)),
            ("recovery", path.recovery.to_owned()),
            ("replay", path.replay.to_owned()),
        ],
    )
}

fn watch(contract: &Contract) -> Section {
    let own = contract.path.watch.join(", ");
    let every = metric::EVERY_PATH.join(", ");
    section(
        "Watch",
        [
            ("metrics", own),
            ("of every path", format!("{every}, each with path=\"{}\"", contract.path.name)),
        ],
    )
}

fn live(contract: &Contract, delivered: &Delivered, budget: &Budget) -> Section {
    let slo = &contract.settings.slo;
    let met = |met: Option<bool>| match met {
        Some(true) => " (met)",
        Some(false) => " (MISSED)",
        None => "",
    };
    let codes: Vec<String> =
        delivered.outcomes.iter().map(|(code, count)| format!("{code} {count}")).collect();
    let staleness = match (delivered.staleness_p99_ms, contract.settings.max_staleness_ms) {
        (None, _) => String::new(),
        (Some(p99), None) => format!("p99 {p99:.0} ms"),
        (Some(p99), Some(bound)) => {
            let met = met(delivered.staleness_met(&contract.settings));
            format!("p99 {p99:.0} ms of {bound} ms{met}")
        }
    };
    section(
        &format!("Delivered in the last {} s", delivered.window_s),
        [
            (
                "rate",
                format!("{:.1} a second, {} requests", delivered.rate_per_s, delivered.requests),
            ),
            ("outcomes", codes.join(", ")),
            (
                "latency",
                format!(
                    "p50 {}, p99 {} of {} ms{}",
                    milliseconds(delivered.latency_p50_ms),
                    milliseconds(delivered.latency_p99_ms),
                    slo.latency_p99_ms,
                    met(budget.latency_met)
                ),
            ),
            ("staleness", staleness),
            (
                "spent",
                format!(
                    "{} appends, {} barriers; {} answers replayed",
                    delivered.appends, delivered.barriers, delivered.replays
                ),
            ),
            (
                "error budget",
                format!(
                    "{:.1} % left since the start, burning at {:.2} (1 is sustainable)",
                    budget.left * 100.0,
                    budget.burn_rate
                ),
            ),
        ],
    )
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDTH: usize = 100;
        const LABEL: usize = 20;
        let mut out = format!(
            "{}\n{} ({}, coordination: {})\n",
            self.path, self.route, self.access, self.coordination
        );
        for section in &self.sections {
            out.push_str(&format!("\n{}\n", section.title));
            for item in &section.items {
                out.push_str(&format!("  {:<width$}", item.label, width = LABEL - 2));
                wrap::fill(&mut out, &item.text, LABEL, WIDTH);
                out.push('\n');
            }
        }
        out.push_str("\nTry it\n  ");
        out.push_str(&self.curl.replace('\n', "\n  "));
        out.push('\n');
        f.write_str(&out)
    }
}
