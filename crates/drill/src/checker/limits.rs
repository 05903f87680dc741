//! Limits admit no more than they say (I8).
//!
//! Of each subject, the units that clients were told may pass are added up over every stretch of
//! time. What was given back, or may have been, is left out: the rest is what must fit, also where
//! a refund gave back more than its check had counted.
//!
//! A check of an exact limit was admitted at the record time of its answer. Of a leased one, or
//! where only a stored answer was heard, that was at some time between the call and the answer, and
//! it counts for a stretch only if both are within. So what is found is certain, and something may
//! be overlooked.

use super::{Evidence, Violation};
use crate::history::limits::{LimitHistory, Operation, Outcome, Request};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What a history says about limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LimitReport {
    /// Subjects that were admitted more than their limit says.
    pub violations: Vec<Violation>,
    /// Each limit, in the order of names.
    pub measured: Vec<Measured>,
}

/// How much a limit admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// Which.
    pub limit: String,
    /// Units a period that its policy says.
    pub quantity: u64,
    /// The period.
    pub period_ms: u64,
    /// Subjects that anybody asked about.
    pub keys: u64,
    /// Units that were admitted, of all subjects.
    pub admitted: u64,
    /// Units that were asked to be given back.
    pub refunded: u64,
    /// Checks that were refused: where there are none, it was not used up.
    pub refused: u64,
    /// By how much a subject may exceed the policy.
    pub over_admission_max: u64,
    /// By how much one did at most, in any stretch.
    pub over_admission: u64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "limit {}: {} units admitted of {} keys, {} refunded, {} checks refused; policy {} in {} ms, at most {} \
             more; {} more seen",
            self.limit,
            self.admitted,
            self.keys,
            self.refunded,
            self.refused,
            self.quantity,
            self.period_ms,
            self.over_admission_max,
            self.over_admission
        )
    }
}

type Numbered<'h> = (usize, &'h Operation);

/// Units that were admitted, at some time from one moment to another.
struct Admission {
    operation: usize,
    units: u64,
    from_ms: u64,
    to_ms: u64,
}

/// The stretch in which the most was admitted beyond the policy.
struct Worst {
    over: u64,
    from_ms: u64,
    to_ms: u64,
    units: u64,
    most: u64,
}

/// Judges every subject of the history.
#[must_use]
pub fn check_limits(history: &LimitHistory) -> LimitReport {
    let mut subjects: BTreeMap<(&str, &str), Vec<Numbered<'_>>> = BTreeMap::new();
    for (index, operation) in history.operations.iter().enumerate() {
        let subject = (operation.limit.as_str(), operation.key.as_str());
        subjects.entry(subject).or_default().push((index, operation));
    }
    let mut report = LimitReport::default();
    for (limit, rule) in &history.rules {
        let mut measured = Measured {
            limit: limit.clone(),
            quantity: rule.quantity,
            period_ms: rule.period_ms,
            keys: 0,
            admitted: 0,
            refunded: 0,
            refused: 0,
            over_admission_max: rule.beyond.unwrap_or(0),
            over_admission: 0,
        };
        for ((_, key), operations) in subjects.iter().filter(|((of, _), _)| of == limit) {
            let all = admissions(operations, rule.beyond.is_none());
            let refunds = refunds(operations);
            let admitted: u64 = all.iter().map(|admission| admission.units).sum();
            let kept = kept(all, &refunds, operations);
            measured.keys += 1;
            measured.admitted += admitted;
            let refused = |(_, operation): &&Numbered<'_>| {
                matches!(operation.returned, Some((_, Outcome::Refused)))
            };
            measured.refused += operations.iter().filter(refused).count() as u64;
            measured.refunded +=
                admitted - kept.iter().map(|admission| admission.units).sum::<u64>();
            let Some(worst) = worst(&kept, |stretch_ms| rule.most(stretch_ms)) else { continue };
            measured.over_admission = measured.over_admission.max(worst.over);
            if worst.over > measured.over_admission_max {
                let whom = format!("whoever limit {limit} of key {key} protects");
                report.violations.push(violation(whom, &worst, &measured, &kept, &refunds));
            }
        }
        report.measured.push(measured);
    }
    report
}

/// Attempts with one retry key are one check; the others are each their own.
fn admissions(operations: &[Numbered<'_>], exact: bool) -> Vec<Admission> {
    let mut groups: BTreeMap<(Option<&str>, usize), Vec<Numbered<'_>>> = BTreeMap::new();
    for (index, operation) in operations {
        if matches!(operation.request, Request::Check { .. }) {
            let retry_key = operation.retry_key.as_deref();
            let alone = if retry_key.is_some() { 0 } else { *index };
            groups.entry((retry_key, alone)).or_default().push((*index, operation));
        }
    }
    groups.values().filter_map(|attempts| admission(attempts, exact)).collect()
}

fn admission(attempts: &[Numbered<'_>], exact: bool) -> Option<Admission> {
    let told = attempts.iter().filter_map(|(index, operation)| match operation.returned {
        Some((at_ms, Outcome::Admitted { counted_at_ms })) => {
            Some((at_ms, *index, *operation, counted_at_ms))
        }
        _ => None,
    });
    let (to_ms, operation, first, _) = told.clone().min_by_key(|(at_ms, ..)| *at_ms)?;
    let Request::Check { units } = first.request else { return None };
    let counted =
        told.clone().find_map(|(_, index, _, counted_at_ms)| Some((index, counted_at_ms?)));
    if let Some((operation, counted_at_ms)) = counted.filter(|_| exact) {
        return Some(Admission { operation, units, from_ms: counted_at_ms, to_ms: counted_at_ms });
    }
    let from_ms = attempts.iter().map(|(_, operation)| operation.called_ms).min()?;
    Some(Admission { operation, units, from_ms, to_ms })
}

/// Operations whose units may have been given back, and the refunds that may have done so.
fn refunds(operations: &[Numbered<'_>]) -> BTreeMap<usize, Vec<usize>> {
    let mut refunds: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, operation) in operations {
        if let Request::Refund { of, .. } = operation.request
            && operation.may_have_happened()
        {
            refunds.entry(of).or_default().push(*index);
        }
    }
    refunds
}

/// Admissions of which nothing was given back.
fn kept(
    all: Vec<Admission>,
    refunds: &BTreeMap<usize, Vec<usize>>,
    operations: &[Numbered<'_>],
) -> Vec<Admission> {
    // A refund names one attempt of what may have been asked several times.
    let keys: BTreeMap<usize, Option<&str>> = operations
        .iter()
        .map(|(index, operation)| (*index, operation.retry_key.as_deref()))
        .collect();
    let refunded: BTreeSet<&str> =
        refunds.keys().filter_map(|of| keys.get(of).copied().flatten()).collect();
    all.into_iter()
        .filter(|admission| {
            let key = keys.get(&admission.operation).copied().flatten();
            let named = key.is_some_and(|key| refunded.contains(key));
            !named && !refunds.contains_key(&admission.operation)
        })
        .collect()
}

/// Looks at every stretch that begins and ends with an admission.
fn worst(kept: &[Admission], most: impl Fn(u64) -> u64) -> Option<Worst> {
    let mut begins: Vec<&Admission> = kept.iter().collect();
    begins.sort_unstable_by_key(|admission| std::cmp::Reverse(admission.from_ms));
    // What begins no earlier than the stretch, by its end.
    let mut ends: Vec<(u64, u64)> = Vec::with_capacity(kept.len());
    let mut worst: Option<Worst> = None;
    for admission in begins {
        let (from_ms, end) = (admission.from_ms, (admission.to_ms, admission.units));
        ends.insert(ends.partition_point(|(to_ms, _)| *to_ms < end.0), end);
        let mut units = 0;
        for (to_ms, more) in &ends {
            units += more;
            let most = most(to_ms.saturating_sub(from_ms));
            let over = units.saturating_sub(most);
            if over > worst.as_ref().map_or(0, |worst| worst.over) {
                worst = Some(Worst { over, from_ms, to_ms: *to_ms, units, most });
            }
        }
    }
    worst
}

fn violation(
    whom: String,
    worst: &Worst,
    measured: &Measured,
    kept: &[Admission],
    refunds: &BTreeMap<usize, Vec<usize>>,
) -> Violation {
    let Worst { from_ms, to_ms, units, most, .. } = worst;
    let bound = match measured.over_admission_max {
        0 => String::new(),
        bound => format!(" and edges at most {bound} more"),
    };
    // Asked for once, no refund can have given back twice.
    let repeated = || refunds.values().filter(|refunds| refunds.len() > 1);
    let back = match repeated().map(Vec::len).sum::<usize>() {
        0 => String::new(),
        times => format!(", leaving out what was refunded (asked for {times} times)"),
    };
    let within =
        |admission: &&Admission| admission.from_ms >= *from_ms && admission.to_ms <= *to_ms;
    let mut events: BTreeSet<usize> =
        kept.iter().filter(within).map(|admission| admission.operation).collect();
    events.extend(repeated().flatten());
    Violation {
        invariant: "I8",
        promise: format!(
            "a limit of {} in {} ms admits at most {most} in {} ms{bound}, but {units} were \
             admitted then{back}.",
            measured.quantity,
            measured.period_ms,
            to_ms - from_ms
        ),
        whom,
        events: events.into_iter().map(Evidence::Operation).collect(),
    }
}
