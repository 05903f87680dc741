//! `evenkeel log`: a look into a log that no server has open, changing nothing.

use crate::{failure::Failure, output};
use evenkeel_log::{Kind, PartitionId, Placed, RealFiles, Recovered, inspect, verify};
use evenkeel_state::{Effect, Effects};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// The log's directory within a data directory.
const LOG_DIRECTORY: &str = "log";
/// The tables whose rows hold what webhooks are signed with, and what tokens are.
const SECRET_TABLES: [u8; 2] = [0x18, 0x19];
/// What is shown in their place: what this prints is sent to others who are to help.
const SECRET_ROW: &str = "not shown: it holds a secret";

/// Look into a log that no server has open.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Inspect(Inspect),
    Verify(Verify),
}

/// Print the records, in the order of the log.
#[derive(Debug, clap::Args)]
struct Inspect {
    /// A server's data directory, or the log's own.
    directory: PathBuf,
    /// Only this partition: its number, or `meta`.
    #[arg(long, value_parser = parse_partition)]
    partition: Option<PartitionId>,
    /// Only from this offset on.
    #[arg(long, value_name = "OFFSET", default_value_t = 1)]
    from: u64,
    /// At most so many records.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// With what each record puts, deletes and drops.
    #[arg(long)]
    effects: bool,
    /// Print JSON, one record a line.
    #[arg(long)]
    json: bool,
}

/// Walk the whole log and check every hash; exit code 1 if anything is damaged.
#[derive(Debug, clap::Args)]
struct Verify {
    /// A server's data directory, or the log's own.
    directory: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Inspect(args) => show(args),
        Action::Verify(args) => check(args),
    }
}

fn parse_partition(text: &str) -> Result<PartitionId, String> {
    match text {
        "meta" => Ok(PartitionId::META),
        number => number
            .parse()
            .map(PartitionId)
            .map_err(|_| format!("a partition is a number from 0 to {}, or `meta`", u16::MAX)),
    }
}

fn open(directory: &Path) -> Result<RealFiles, Failure> {
    let within = directory.join(LOG_DIRECTORY);
    let directory = if within.is_dir() { &within } else { directory };
    RealFiles::open(directory)
        .map_err(|error| Failure::because(format!("cannot open {}", directory.display()), error))
}

fn show(args: &Inspect) -> Result<(), Failure> {
    let files = open(&args.directory)?;
    let mut shown = 0;
    let mut stopped = None;
    let found = inspect(&files, |placed| {
        let header = placed.record.header();
        let wanted = args.partition.is_none_or(|partition| partition == header.partition)
            && header.offset.0 >= args.from;
        if !wanted {
            return ControlFlow::Continue(());
        }
        if args.limit.is_some_and(|limit| shown >= limit) {
            return ControlFlow::Break(());
        }
        shown += 1;
        let printed = if args.json {
            output::json_line(&record_json(placed, args.effects))
        } else {
            output::print(&record_text(placed, args.effects))
        };
        match printed {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                stopped = Some(failure);
                ControlFlow::Break(())
            }
        }
    })?;
    match stopped {
        Some(failure) => Err(failure),
        None => report_damage(&found),
    }
}

fn check(args: &Verify) -> Result<(), Failure> {
    let found = verify(&open(&args.directory)?)?;
    if args.json {
        output::json(&found_json(&found))?;
    } else {
        output::print(&found_text(&found))?;
    }
    report_damage(&found)
}

fn report_damage(found: &Recovered) -> Result<(), Failure> {
    for damage in &found.damage {
        eprintln!("evenkeel: damaged: {}", damage.detail);
    }
    for partition in &found.partitions {
        if let Some(why) = &partition.quarantined {
            eprintln!("evenkeel: partition {} would not be served: {why}", partition.partition);
        }
    }
    if let Some(why) = &found.unseen_quarantined {
        eprintln!("evenkeel: partitions without whole records would not be served: {why}");
    }
    if found.is_whole() { Ok(()) } else { Err(Failure::Ended(1)) }
}

fn found_text(found: &Recovered) -> String {
    let mut out = format!(
        "{} records in {} groups, {} bytes, {} segments\n",
        found.records, found.groups, found.bytes, found.segments
    );
    for partition in &found.partitions {
        let _ = writeln!(
            out,
            "partition {:<6} incarnation {} offsets {} to {} tail {}{}",
            partition.partition.to_string(),
            partition.incarnation,
            partition.first,
            partition.tail.offset,
            partition.tail.hash,
            if partition.quarantined.is_some() { " DAMAGED" } else { "" },
        );
    }
    if let Some(torn) = &found.torn {
        let _ = writeln!(
            out,
            "torn end at {}, byte {}: the rest of a write that was never acknowledged; the next \
             start removes it",
            torn.segment, torn.position
        );
    }
    let _ = writeln!(out, "{}", if found.is_whole() { "whole" } else { "DAMAGED" });
    out
}

fn found_json(found: &Recovered) -> Value {
    let partitions: Vec<_> = found
        .partitions
        .iter()
        .map(|partition| {
            json!({
                "partition": partition.partition.to_string(),
                "incarnation": partition.incarnation.0,
                "first": partition.first.0,
                "tail": partition.tail.offset.0,
                "hash": partition.tail.hash.to_string(),
                "damaged": partition.quarantined,
            })
        })
        .collect();
    let place = |segment: &str, position: u64| json!({ "segment": segment, "position": position });
    json!({
        "whole": found.is_whole(),
        "segments": found.segments,
        "groups": found.groups,
        "records": found.records,
        "bytes": found.bytes,
        "partitions": partitions,
        "damage": found.damage.iter().map(|damage| json!({
            "segment": damage.segment, "position": damage.position, "detail": damage.detail,
        })).collect::<Vec<_>>(),
        "unseen_damaged": found.unseen_quarantined,
        "torn": found.torn.as_ref().map(|torn| place(&torn.segment, torn.position)),
    })
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Genesis => "genesis",
        Kind::Announce => "announce",
        Kind::Batch => "batch",
        Kind::Checkpoint => "checkpoint",
    }
}

/// RFC 3339; a time that no calendar has is shown as the number it is.
fn time(time_ms: u64) -> String {
    i64::try_from(time_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| format!("{time_ms} ms"), |time| format!("{time:.3}"))
}

fn record_text(placed: &Placed<'_>, with_effects: bool) -> String {
    let (record, header) = (placed.record, placed.record.header());
    let mut out = format!(
        "{}:{} group {} partition {} offset {} {} epoch {} incarnation {} {} body {} bytes hash {} \
         prev {}\n",
        placed.segment,
        placed.position,
        placed.group,
        header.partition,
        header.offset,
        kind_name(header.kind),
        header.epoch,
        header.incarnation,
        time(header.time_ms),
        record.body().len(),
        record.tail().hash,
        header.prev,
    );
    if with_effects {
        for effect in effects(record.body()) {
            let _ = match effect {
                Ok(("put", table, key, Some(row))) => {
                    writeln!(out, "  put    {table} {key} = {row}")
                }
                Ok((verb, table, key, _)) => writeln!(out, "  {verb:<6} {table} {key}"),
                Err(why) => writeln!(out, "  not readable: {why}"),
            };
        }
    }
    out
}

fn record_json(placed: &Placed<'_>, with_effects: bool) -> Value {
    let (record, header) = (placed.record, placed.record.header());
    let mut out = json!({
        "segment": placed.segment,
        "position": placed.position,
        "group": placed.group,
        "partition": header.partition.to_string(),
        "offset": header.offset.0,
        "kind": kind_name(header.kind),
        "epoch": header.epoch.0,
        "incarnation": header.incarnation.0,
        "time": time(header.time_ms),
        "body_bytes": record.body().len(),
        "hash": record.tail().hash.to_string(),
        "prev": header.prev.to_string(),
    });
    if with_effects {
        let effects = effects(record.body()).map(|effect| match effect {
            Ok((verb, table, key, row)) => {
                json!({ "effect": verb, "table": table, "key": key, "row": row })
            }
            Err(why) => json!({ "not_readable": why }),
        });
        out["effects"] = effects.collect();
    }
    out
}

/// Verb, table, key and row, the last three in hexadecimal digits; of a row with a secret only that.
type Decoded = (&'static str, String, String, Option<String>);

fn effects(body: &[u8]) -> impl Iterator<Item = Result<Decoded, String>> {
    let (effects, error) = match Effects::parse(body) {
        Ok(effects) => (Some(effects), None),
        Err(error) => (None, Some(Err(error.to_string()))),
    };
    let decoded = effects.into_iter().flatten().map(|effect| {
        let (verb, key, row) = match effect.map_err(|error| error.to_string())? {
            Effect::Put { key, row } => ("put", key, Some(row)),
            Effect::Delete { key } => ("delete", key, None),
            Effect::DropPrefix { prefix } => ("drop", prefix, None),
        };
        let (table, key) = key.split_at(key.len().min(1));
        let secret = table.first().is_some_and(|table| SECRET_TABLES.contains(table));
        let shown = |row| if secret { SECRET_ROW.to_owned() } else { hex(row) };
        Ok((verb, format!("0x{}", hex(table)), hex(key), row.map(shown)))
    });
    error.into_iter().chain(decoded)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
