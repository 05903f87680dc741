//! A history by jobs and leases: what is known of each, and what may be.

use crate::history::jobs::{Given, JobHistory, Lease, Operation, Outcome, Request, Word, Work};
use std::collections::BTreeMap;

/// What clients know.
pub(super) struct Book<'h> {
    pub(super) history: &'h JobHistory,
    /// Jobs that somebody was told were taken in.
    pub(super) jobs: BTreeMap<&'h str, Known<'h>>,
    /// Leases that a worker was told of, in record order.
    pub(super) leases: Vec<Held<'h>>,
    /// Places in `leases`, by job.
    pub(super) leases_of: BTreeMap<&'h str, Vec<usize>>,
    /// Operations that say something of a job by a lease, by both.
    words: BTreeMap<(&'h str, Lease), Vec<usize>>,
    /// Operations that cancel, by job.
    pub(super) cancels: BTreeMap<&'h str, Vec<usize>>,
}

/// A job that was taken in.
pub(super) struct Known<'h> {
    /// The operation that was told first.
    pub(super) operation: usize,
    pub(super) work: &'h Work,
    /// No attempt at it was sent sooner.
    pub(super) called_ms: u64,
    /// When somebody heard of it first.
    pub(super) heard_ms: u64,
    /// When it was taken in, in record time, if anybody was told or could read it in the end.
    pub(super) at_ms: Option<u64>,
}

/// A lease that a worker was given.
pub(super) struct Held<'h> {
    pub(super) operation: usize,
    pub(super) client: u64,
    pub(super) given: &'h Given,
    pub(super) from_ms: u64,
    /// It was live until then for certain.
    pub(super) live_until_ms: u64,
}

impl Held<'_> {
    pub(super) fn is_live(&self, at_ms: u64) -> bool {
        self.from_ms <= at_ms && at_ms < self.live_until_ms
    }

    pub(super) fn job(&self) -> &str {
        &self.given.job
    }
}

impl<'h> Book<'h> {
    pub(super) fn new(history: &'h JobHistory) -> Self {
        let mut book = Self {
            history,
            jobs: BTreeMap::new(),
            leases: Vec::new(),
            leases_of: BTreeMap::new(),
            words: BTreeMap::new(),
            cancels: BTreeMap::new(),
        };
        let mut first_called: BTreeMap<&str, u64> = BTreeMap::new();
        for (index, operation) in history.operations.iter().enumerate() {
            if let Some(key) = &operation.retry_key {
                let first = first_called.entry(key).or_insert(operation.called_ms);
                *first = operation.called_ms.min(*first);
            }
            match &operation.request {
                Request::Word { job, lease, .. } => {
                    book.words.entry((job, *lease)).or_default().push(index);
                }
                Request::Cancel { job } => book.cancels.entry(job).or_default().push(index),
                _ => {}
            }
        }
        for (index, operation) in history.operations.iter().enumerate() {
            let retry_key = operation.retry_key.as_deref();
            let called_ms = retry_key.and_then(|key| first_called.get(key).copied());
            let called_ms = called_ms.unwrap_or(operation.called_ms);
            match (&operation.request, &operation.returned) {
                (Request::Enqueue(works), Some((heard_ms, Outcome::Enqueued { jobs, at_ms }))) => {
                    for (work, taken) in works.iter().zip(jobs).filter(|(_, job)| !job.duplicate) {
                        let (operation, heard_ms, at_ms) = (index, *heard_ms, *at_ms);
                        let known = Known { operation, work, called_ms, heard_ms, at_ms };
                        book.learn(&taken.job, known);
                    }
                }
                (Request::Lease { .. }, Some((_, Outcome::Leased { jobs }))) => {
                    for given in jobs {
                        book.leases.push(Held {
                            operation: index,
                            client: operation.client,
                            given,
                            from_ms: given.at_ms,
                            live_until_ms: 0,
                        });
                    }
                }
                _ => {}
            }
        }
        let found = history.end.as_ref().map(|end| &end.jobs);
        for (job, known) in &mut book.jobs {
            known.at_ms = known.at_ms.or_else(|| Some(found?.get(*job)?.created_ms));
        }
        book.leases.sort_by_key(|held| (held.from_ms, held.given.lease.fence));
        for index in 0..book.leases.len() {
            book.leases[index].live_until_ms = book.live_until_ms(&book.leases[index]);
            let job = book.leases[index].given.job.as_str();
            book.leases_of.entry(job).or_default().push(index);
        }
        book
    }

    /// A retry is told the same.
    fn learn(&mut self, job: &'h str, known: Known<'h>) {
        let old = self.jobs.entry(job).or_insert(Known { ..known });
        old.heard_ms = old.heard_ms.min(known.heard_ms);
        old.at_ms = old.at_ms.or(known.at_ms);
    }

    pub(super) fn operation(&self, index: usize) -> &'h Operation {
        &self.history.operations[index]
    }

    /// The leases of a job, in record order.
    pub(super) fn of_job<'b>(
        &'b self,
        job: &str,
    ) -> impl Iterator<Item = &'b Held<'h>> + use<'b, 'h> {
        let places = self.leases_of.get(job).map_or(&[][..], Vec::as_slice);
        places.iter().map(|place| &self.leases[*place])
    }

    /// What was said by a lease.
    pub(super) fn words<'b>(
        &'b self,
        job: &'b str,
        lease: Lease,
    ) -> impl Iterator<Item = (usize, &'h Operation, Word)> + use<'b, 'h> {
        let indices = self.words.get(&(job, lease)).map_or(&[][..], Vec::as_slice);
        indices.iter().filter_map(|index| {
            let operation = self.operation(*index);
            let Request::Word { word, .. } = operation.request else { return None };
            Some((*index, operation, word))
        })
    }

    /// When a lease ends unless something is said: as it was told, and later by extensions that were
    /// granted by `at_ms`. None if one may have been of which nobody heard.
    pub(super) fn expires_at_ms(&self, held: &Held<'_>, at_ms: u64) -> Option<u64> {
        let mut latest = (held.from_ms, held.given.expires_at_ms);
        for (_, operation, word) in self.words(held.job(), held.given.lease) {
            let Word::Extend { .. } = word else { continue };
            if operation.is_unknown() && operation.called_ms <= at_ms {
                return None;
            }
            if let Some(Outcome::Stands { until_ms, at_ms: Some(decided_ms), .. }) =
                operation.outcome()
                && *decided_ms <= at_ms
            {
                latest = latest.max((*decided_ms, *until_ms));
            }
        }
        Some(latest.1)
    }

    fn live_until_ms(&self, held: &Held<'_>) -> u64 {
        let mut granted = (held.from_ms, held.given.expires_at_ms);
        let mut until = u64::MAX;
        for (_, operation, word) in self.words(held.job(), held.given.lease) {
            match (word, operation.outcome()) {
                (Word::Extend { lease_ms }, None | Some(Outcome::Unknown)) => {
                    until = until.min(operation.called_ms + lease_ms);
                }
                (
                    Word::Extend { .. },
                    Some(Outcome::Stands { until_ms, at_ms: Some(at_ms), .. }),
                ) => granted = granted.max((*at_ms, *until_ms)),
                (word, None | Some(Outcome::Unknown)) if word.ends() => {
                    until = until.min(operation.called_ms);
                }
                (word, Some(Outcome::Stands { at_ms, .. })) if word.ends() => {
                    until = until.min(at_ms.unwrap_or(operation.called_ms));
                }
                _ => {}
            }
        }
        until.min(granted.1)
    }

    /// Since when a job may be done, if it may.
    pub(super) fn done_from_ms(&self, job: &str) -> Option<(usize, u64)> {
        let words = self.of_job(job).flat_map(|held| self.words(held.job(), held.given.lease));
        let done = words.filter(|(_, operation, word)| {
            *word == Word::Complete && operation.may_have_happened()
        });
        done.map(|(index, operation, _)| (index, decided(operation)))
            .min_by_key(|(_, at_ms)| *at_ms)
    }

    /// Cancellations that may have happened.
    pub(super) fn cancelled<'b>(&'b self, job: &str) -> impl Iterator<Item = usize> + use<'b, 'h> {
        let indices = self.cancels.get(job).map_or(&[][..], Vec::as_slice);
        indices.iter().copied().filter(|index| self.operation(*index).may_have_happened())
    }
}

/// When a word was decided, or the earliest that it can have been.
pub(super) fn decided(operation: &Operation) -> u64 {
    match operation.outcome() {
        Some(Outcome::Stands { at_ms: Some(at_ms), .. }) => *at_ms,
        _ => operation.called_ms,
    }
}
