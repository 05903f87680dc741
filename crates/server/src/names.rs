//! Which name was perhaps meant by one that does not exist.

use evenkeel_contract::nearest;
use std::{collections::BTreeMap, ops::Bound};

/// Names before and after one that does not exist among which the one that was meant is looked for.
const NEIGHBOURS_MAX: usize = 250;

/// The name of `named` that was perhaps meant by `name`.
pub(crate) fn meant<'n, T>(name: &str, named: &'n BTreeMap<String, T>) -> Option<&'n str> {
    let before = named.range::<str, _>((Bound::Unbounded, Bound::Excluded(name)));
    let after = named.range::<str, _>((Bound::Excluded(name), Bound::Unbounded));
    let (before, after) = (before.rev().take(NEIGHBOURS_MAX), after.take(NEIGHBOURS_MAX));
    nearest(name, before.chain(after).map(|(name, _)| name.as_str()))
}
