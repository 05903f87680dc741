//! Answers that are kept for a moment: timelines, availability, heads of conversations. Whoever accepts an
//! answer of a certain age may get one that was read for somebody else; everybody else is answered by the owner.
//!
//! What is kept is the answer's body, written. A write takes it away before the writer is answered; what others
//! did elsewhere shows once it is too old, which an answer's staleness counts in. A caller's session tokens are
//! honoured: what is older than what they have seen is not for them.

use crate::{
    answer::{Answer, Delivered},
    call::Call,
    code::Code,
    failure, json,
    problem::Problem,
};
use bytes::Bytes;
use evenkeel_cache::{Cache, Counters, LoadError, Loaded, Options};
use evenkeel_contract::Level;
use evenkeel_domains::view_of;
use evenkeel_engine::{Entity, TenantId};
use evenkeel_log::Offset;
use evenkeel_node::{Called, NodeError, ReadOptions, SessionToken};
use serde::Serialize;
use std::{
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Up to this age an answer is given again and nothing else happens.
const FRESH_MS: u64 = 250;
/// Up to this age it is given while it is read again, if its caller accepts it.
const AGE_MS_MAX: u64 = 5_000;
/// What a kept answer takes beside its body.
const ENTRY_BYTES: u64 = 256;

/// The answers that are kept.
pub(crate) struct Reads(Cache<Key, Arc<Labelled>, NodeError>);

/// Whose it is, and what of.
type Label = (TenantId, Arc<str>);

/// Which answer: that of one view. Whose and of what is for people.
#[derive(Clone)]
struct Key {
    view: Entity,
    label: Option<Label>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.view == other.view
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.view.hash(state);
    }
}

/// An answer, and of what it is: names that somebody chose may have one view.
struct Labelled {
    label: Label,
    kept: Kept,
}

/// What was answered: a body or, as it rests on something too, a no.
pub(crate) struct Kept {
    answer: Result<Written, NodeError>,
    as_of: Vec<SessionToken>,
    /// How stale it was when it was read.
    staleness_ms: u64,
}

/// A body, written.
pub(crate) struct Written {
    /// Of a list: the page of all of its items.
    body: Bytes,
    /// Of a list: where each item ends, and the cursor of a page that ends with it.
    ends: Vec<(usize, String)>,
    /// Of a list: the first smaller page that was asked for, of so many items. Most ask for the same.
    smaller: OnceLock<(usize, Bytes)>,
}

impl Kept {
    /// What a read came to, of which `write` makes a body.
    pub(crate) fn of<A>(
        called: Result<Called<A>, NodeError>,
        write: impl FnOnce(A, &[SessionToken]) -> Written,
    ) -> Result<Self, NodeError> {
        match called {
            Ok(Called { answer, as_of, staleness_ms, .. }) => {
                let answer = Ok(write(answer, &as_of));
                Ok(Self { answer, as_of, staleness_ms })
            }
            Err(refused @ NodeError::Refused { as_of, .. }) => {
                Ok(Self { answer: Err(refused), as_of: vec![as_of], staleness_ms: 0 })
            }
            Err(error) => Err(error),
        }
    }

    fn bytes(&self) -> u64 {
        let Ok(Written { body, ends, .. }) = &self.answer else { return ENTRY_BYTES };
        let cursors: usize = ends.iter().map(|(_, cursor)| cursor.len() + 32).sum();
        let bodies = if ends.is_empty() { body.len() } else { 2 * body.len() };
        (bodies + cursors) as u64 + ENTRY_BYTES
    }

    /// How far the partition that it is of was: what its writes are counted by.
    fn offset(&self) -> u64 {
        self.as_of.first().map_or(0, |token| token.offset.0)
    }

    fn has_seen(&self, session: &[SessionToken]) -> bool {
        let seen = |token: &SessionToken| {
            let ours = self.as_of.iter().find(|ours| ours.partition == token.partition);
            ours.is_none_or(|ours| ours.offset >= token.offset)
        };
        session.iter().all(seen)
    }
}

impl Written {
    /// Something that is no list.
    pub(crate) fn whole(value: &impl Serialize) -> Self {
        Self { body: json::written(value).into(), ends: Vec::new(), smaller: OnceLock::new() }
    }

    /// The items of a list, each with the cursor of a page that ends with it.
    pub(crate) fn list<T: Serialize>(
        items: impl IntoIterator<Item = (T, String)>,
        is_whole: bool,
    ) -> Self {
        let (mut body, mut ends) = (LIST_BEGINS.to_vec(), Vec::new());
        for (item, cursor) in items {
            if !ends.is_empty() {
                body.push(b',');
            }
            body.extend_from_slice(&json::written(&item));
            ends.push((body.len(), cursor));
        }
        end_list(&mut body, ends.last().filter(|_| !is_whole));
        Self { body: body.into(), ends, smaller: OnceLock::new() }
    }

    /// A page of up to `limit` of the list's first items.
    pub(crate) fn page(&self, limit: usize) -> Bytes {
        if limit >= self.ends.len() {
            return self.body.clone();
        }
        let (items, page) = self.smaller.get_or_init(|| (limit, self.first(limit)));
        if *items == limit { page.clone() } else { self.first(limit) }
    }

    /// A page of fewer items than there are.
    fn first(&self, limit: usize) -> Bytes {
        let last = limit.checked_sub(1).map(|last| &self.ends[last]);
        let mut page = self.body[..last.map_or(LIST_BEGINS.len(), |(end, _)| *end)].to_vec();
        end_list(&mut page, last);
        page.into()
    }
}

/// What a page of a list begins with.
const LIST_BEGINS: &[u8] = b"{\"items\":[";

/// Ends a page that goes on, if it does, after an item with this cursor.
fn end_list(page: &mut Vec<u8>, last: Option<&(usize, String)>) {
    page.extend_from_slice(b"],\"cursor\":");
    // A cursor is hexadecimal: it needs no escape.
    match last {
        Some((_, cursor)) => page.extend_from_slice(format!("\"{cursor}\"}}").as_bytes()),
        None => page.extend_from_slice(b"null}"),
    }
}

/// A body that may be answered, and what it rests on.
pub(crate) struct Found {
    kept: Arc<Labelled>,
    delivered: Delivered,
}

impl Found {
    /// Answers with all of it.
    pub(crate) fn answer(self) -> Result<Answer, Problem> {
        self.of(|written| written.body.clone())
    }

    /// Answers with a page of it.
    pub(crate) fn page(self, limit: usize) -> Result<Answer, Problem> {
        self.of(|written| written.page(limit))
    }

    fn of(self, body: impl FnOnce(&Written) -> Bytes) -> Result<Answer, Problem> {
        let Self { kept, delivered } = self;
        match &kept.kept.answer {
            Ok(written) => Ok(Answer::written(body(written)).delivered(delivered)),
            Err(error) => Err(failure::problem(error.clone())),
        }
    }
}

impl Reads {
    /// So many bytes of answers.
    pub(crate) fn new(capacity_bytes: u64) -> Self {
        let weigh = |_: &Key, labelled: &Arc<Labelled>| labelled.kept.bytes();
        Self(Cache::new(&Options {
            fresh_ms: FRESH_MS,
            absent_ms: 0,
            stale_ms: AGE_MS_MAX,
            age_ms_max: AGE_MS_MAX,
            ..Options::new(capacity_bytes, weigh)
        }))
    }

    /// What a node calls when a view has changed.
    pub(crate) fn forget(&self, view: Entity, offset: Offset) {
        self.0.invalidate(&Key { view, label: None }, offset.0);
    }

    /// What happened so far.
    pub(crate) fn counters(&self) -> Counters {
        self.0.counters()
    }

    /// What most is read of: whose, what, and its share of all reads.
    pub(crate) fn hot(&self) -> Vec<(Label, f64)> {
        let hot = self.0.hot().into_iter();
        hot.filter_map(|hot| Some((hot.key.label?, hot.share))).collect()
    }
}

/// What is kept of the resource, conversation or user of this name, or what `load` reads of it, if whoever
/// calls accepts that. None: ask the owner. `load` is asked with what it is to read with.
pub(crate) async fn find<L>(
    call: &Call,
    domain: u8,
    name: &str,
    load: impl FnOnce(ReadOptions) -> L,
) -> Result<Option<Found>, Problem>
where
    L: Future<Output = Result<Kept, NodeError>> + Send + 'static,
{
    let (edge, path) = (&call.edge, call.route.path.unwrap_or_default());
    let options = call.read_options()?;
    let settings = edge.node.settings(path);
    let Some(bound_ms) = options.may_be_stale_ms_by(&settings) else { return Ok(None) };
    let is_eventual = options.level == Some(Level::Eventual);
    if !is_eventual {
        edge.node.check_session(&options.session).map_err(failure::problem)?;
    }
    let tenant = &call.caller.tenant;
    let label: Label = (tenant.id, name.into());
    let key = Key { view: view_of(domain, tenant.id, name), label: Some(label.clone()) };
    let deadline = Duration::from_millis(options.deadline_ms_by(&settings));
    let any_age = ReadOptions { level: Some(Level::Eventual), ..ReadOptions::default() };
    let load = || {
        let (kept, label) = (load(any_age), label.clone());
        async {
            let kept = kept.await?;
            Ok(Loaded { as_of: kept.offset(), value: Some(Arc::new(Labelled { label, kept })) })
        }
    };
    let found = tokio::time::timeout(deadline, edge.reads.0.get(&key, bound_ms, load)).await;
    let late = || Problem::new(Code::DeadlineExceeded, "it was not read in time");
    let found = found.map_err(|_| late())?.map_err(|error| match error {
        LoadError::Failed(error) => failure::problem((*error).clone()),
        LoadError::Overloaded => Problem::new(Code::Overloaded, error.to_string()),
        LoadError::TimedOut => late(),
        LoadError::Lost => Problem::new(Code::Internal, error.to_string()),
    })?;
    let Some(labelled) = found.value.filter(|labelled| labelled.label == label) else {
        return Ok(None);
    };
    let kept = &labelled.kept;
    let staleness_ms = kept.staleness_ms + found.age_ms;
    if staleness_ms > bound_ms || !is_eventual && !kept.has_seen(&options.session) {
        return Ok(None);
    }
    let delivered = Delivered { as_of: kept.as_of.clone(), staleness_ms, replayed: false };
    Ok(Some(Found { kept: labelled, delivered }))
}
