//! From JSON lines to medians, spread and ratios.

use std::path::Path;

use evenkeel_drill::load::Spread;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::AnyError;

/// One measured row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) report: Value,
}

/// All runs of one label.
struct Row {
    label: String,
    runs: Vec<Value>,
    connections: u64,
}

impl Row {
    fn spread(&self, pointer: &str) -> Spread {
        let values = self.runs.iter().filter_map(|run| run.pointer(pointer));
        Spread::of(values.filter_map(Value::as_f64))
    }

    fn rate(&self) -> Spread {
        self.spread("/rate_per_s")
    }

    fn errors(&self) -> f64 {
        let kinds = self.runs.iter().filter_map(|run| run["kinds"].as_array());
        kinds
            .flatten()
            .map(|kind| {
                kind["errors"].as_f64().unwrap_or(0.0) + kind["shed"].as_f64().unwrap_or(0.0)
            })
            .sum()
    }

    fn fell_behind(&self) -> bool {
        let kept = |run: &Value| run.pointer("/open/kept_up") != Some(&Value::Bool(false));
        !self.runs.iter().all(kept)
    }
}

fn read(path: &Path) -> Result<Vec<Row>, AnyError> {
    let mut rows: Vec<Row> = Vec::new();
    for line in std::fs::read_to_string(path)?.lines() {
        let line: Line = serde_json::from_str(line)?;
        let runs = line.report["runs"].as_array().cloned().unwrap_or_default();
        match rows.iter_mut().find(|row| row.label == line.label) {
            Some(row) => row.runs.extend(runs),
            None => rows.push(Row {
                connections: line.report["connections"].as_u64().unwrap_or(0),
                label: line.label,
                runs,
            }),
        }
    }
    Ok(rows)
}

/// The median rate of one label, as a whole number.
pub(crate) fn median(path: &Path, label: &str) -> Result<String, AnyError> {
    let rows = read(path)?;
    let row = rows.iter().find(|row| row.label == label);
    let row = row.ok_or_else(|| format!("no row `{label}`"))?;
    Ok(format!("{:.0}", row.rate().median))
}

/// A row a label, in the order of their first appearance; ratios of Evenkeel's median to the
/// others of the same scenario. A label is `scenario/who`.
pub(crate) fn markdown(path: &Path) -> Result<String, AnyError> {
    let rows = read(path)?;
    let mut out = String::from(
        "| row | connections | runs | ok/s median | min–max | p50 ms | p99 ms | p99.9 ms | errors | Evenkeel is |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in &rows {
        let rate = row.rate();
        let ms = |pointer: &str| row.spread(pointer).median / 1e3;
        let behind = if row.fell_behind() {
            " (fell behind)"
        } else {
            ""
        };
        out.push_str(&format!(
            "| {} | {} | {} | {:.0}{behind} | {:.0}–{:.0} | {:.2} | {:.2} | {:.2} | {:.0} | {} |\n",
            row.label,
            row.connections,
            row.runs.len(),
            rate.median,
            rate.min,
            rate.max,
            ms("/latency/p50_us"),
            ms("/latency/p99_us"),
            ms("/latency/p999_us"),
            row.errors(),
            ratio(&rows, row)
        ));
    }
    Ok(out)
}

fn ratio(rows: &[Row], row: &Row) -> String {
    let Some((scenario, who)) = row.label.split_once('/') else {
        return String::new();
    };
    let ours = format!("{scenario}/evenkeel");
    let ours = rows.iter().find(|row| row.label == ours);
    match ours {
        Some(ours) if who != "evenkeel" && row.rate().median > 0.0 => {
            format!("{:.2} ×", ours.rate().median / row.rate().median)
        }
        _ => String::new(),
    }
}
