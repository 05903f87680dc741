//! Linearizability, for any sequential model.
//!
//! The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with
//! Lowe's memoisation ("Testing for linearizability", 2017): place operations one after another,
//! never one after another that had returned before it was called; remember every pair of (set
//! of placed operations, state) and never look at one twice. Operations without an answer may be
//! placed anywhere after their call, or nowhere.
//!
//! It knows nothing of reservations; it judges one object at a time, whoever calls it partitions.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// In how many ways answers may say in which order they were decided.
pub const STAMPS: usize = 2;

/// What an object does, one operation after another.
pub trait Model {
    /// What it remembers.
    type State: Clone + Eq + Hash;
    /// What it is asked.
    type Op;
    /// What it answers.
    type Ret;

    /// The state at the start.
    fn init(&self) -> Self::State;

    /// The states that `op` may lead to if it answers `ret`; none if it cannot answer so in this
    /// state. Without `ret` nobody knows the answer: the states in which it had an effect.
    fn step(&self, state: &Self::State, op: &Self::Op, ret: Option<&Self::Ret>)
    -> Vec<Self::State>;

    /// Numbers that grow in the order in which operations were decided, whatever clients saw: of
    /// two answered operations that both have the n-th, the smaller comes first. The search is
    /// exponentially quicker with them.
    fn stamps(&self, _op: &Self::Op, _ret: &Self::Ret) -> [Option<u64>; STAMPS] {
        [None; STAMPS]
    }
}

/// One operation on the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<Op, Ret> {
    /// What was asked.
    pub op: Op,
    /// When.
    pub called: u64,
    /// When the answer came, and what it was; `None` if it may have had an effect at any time
    /// since, or none.
    pub returned: Option<(u64, Ret)>,
}

/// What the search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order that explains every answer.
    Valid,
    /// There is none.
    Invalid {
        /// The longest order that explains its operations (indices of the calls).
        placed: Vec<usize>,
        /// The answered operation that cannot come after them.
        stuck: usize,
    },
    /// The budget was spent before either was known.
    Unknown {
        /// The steps taken.
        steps: usize,
    },
}

/// Judges `calls` against `model`, in at most `steps_max` steps of the model.
pub fn check<M: Model>(model: &M, calls: &[Call<M::Op, M::Ret>], steps_max: usize) -> Verdict {
    Search::new(model, calls, steps_max).run()
}

/// One placed operation: the state after it, and what else could have been placed next.
struct Frame<S> {
    /// The operation that led here; `None` at the start.
    placed: Option<usize>,
    /// Other states that it could have led to.
    alternatives: Vec<S>,
    state: S,
    /// Operations that may come next, the best last.
    candidates: Vec<usize>,
    cursors: Cursors,
}

/// In each list of a [`Search`], how many operations at its start are placed.
#[derive(Clone, Copy, Default)]
struct Cursors {
    by_call: usize,
    by_return: usize,
    by_stamp: [usize; STAMPS],
    open: usize,
}

struct Search<'m, M: Model> {
    model: &'m M,
    calls: &'m [Call<M::Op, M::Ret>],
    stamps: Vec<[Option<u64>; STAMPS]>,
    /// Answered operations by call, by return, and by each stamp.
    by_call: Vec<usize>,
    by_return: Vec<usize>,
    by_stamp: [Vec<usize>; STAMPS],
    /// Operations without an answer, by call.
    open: Vec<usize>,
    placed: Vec<bool>,
    /// Two hashes of the set of placed operations.
    placed_hash: (u64, u64),
    placed_answered: usize,
    seen: HashSet<(u64, u64)>,
    steps: usize,
    steps_max: usize,
    /// The longest order so far and what could not follow it.
    deepest: Option<(usize, Vec<usize>, usize)>,
}

impl<'m, M: Model> Search<'m, M> {
    fn new(model: &'m M, calls: &'m [Call<M::Op, M::Ret>], steps_max: usize) -> Self {
        let stamps: Vec<_> = calls
            .iter()
            .map(|call| match &call.returned {
                Some((_, ret)) => model.stamps(&call.op, ret),
                None => [None; STAMPS],
            })
            .collect();
        let (mut by_call, mut open): (Vec<usize>, Vec<usize>) =
            (0..calls.len()).partition(|index| calls[*index].returned.is_some());
        by_call.sort_by_key(|index| calls[*index].called);
        open.sort_by_key(|index| calls[*index].called);
        let mut by_return = by_call.clone();
        by_return.sort_by_key(|index| calls[*index].returned.as_ref().map(|(at, _)| *at));
        let by_stamp = std::array::from_fn(|which| {
            let mut stamped: Vec<usize> =
                by_call.iter().copied().filter(|index| stamps[*index][which].is_some()).collect();
            stamped.sort_by_key(|index| stamps[*index][which]);
            stamped
        });
        Self {
            model,
            calls,
            stamps,
            by_call,
            by_return,
            by_stamp,
            open,
            placed: vec![false; calls.len()],
            placed_hash: (0, 0),
            placed_answered: 0,
            seen: HashSet::new(),
            steps: 0,
            steps_max,
            deepest: None,
        }
    }

    fn run(mut self) -> Verdict {
        let start = self.frame(None, self.model.init(), Vec::new(), Cursors::default());
        let mut path = vec![start];
        while self.placed_answered < self.by_call.len() {
            if self.steps >= self.steps_max {
                return Verdict::Unknown { steps: self.steps };
            }
            let Some(frame) = path.last_mut() else {
                return self.invalid();
            };
            let next = match frame.candidates.pop() {
                Some(index) => self.place(&frame.state, index),
                None => {
                    self.note_dead_end(&path);
                    self.back_up(&mut path)
                }
            };
            let Some((index, mut alternatives)) = next else {
                continue;
            };
            self.mark(index, true);
            match self.first_new(&mut alternatives) {
                Some(state) => {
                    let cursors = path.last().map_or_else(Cursors::default, |frame| frame.cursors);
                    path.push(self.frame(Some(index), state, alternatives, cursors));
                }
                None => self.mark(index, false),
            }
        }
        Verdict::Valid
    }

    /// The states after `index`, if it can follow `state`.
    fn place(&mut self, state: &M::State, index: usize) -> Option<(usize, Vec<M::State>)> {
        self.steps += 1;
        let call = &self.calls[index];
        let ret = call.returned.as_ref().map(|(_, ret)| ret);
        let mut states = self.model.step(state, &call.op, ret);
        if ret.is_none() {
            // Nobody needs an unanswered operation that changes nothing.
            states.retain(|next| next != state);
        }
        Some((index, states))
    }

    /// Takes back the last operation; answers the other states that it could have led to.
    fn back_up(&mut self, path: &mut Vec<Frame<M::State>>) -> Option<(usize, Vec<M::State>)> {
        let frame = path.pop()?;
        let index = frame.placed?;
        self.mark(index, false);
        Some((index, frame.alternatives))
    }

    /// Takes states from `alternatives` until one was never looked at.
    fn first_new(&mut self, alternatives: &mut Vec<M::State>) -> Option<M::State> {
        while let Some(state) = alternatives.pop() {
            if self.is_new(&state) {
                return Some(state);
            }
        }
        None
    }

    fn mark(&mut self, index: usize, placed: bool) {
        self.placed[index] = placed;
        let of = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, index).hash(&mut hasher);
            hasher.finish()
        };
        self.placed_hash.0 ^= of(0);
        self.placed_hash.1 ^= of(1);
        match (self.calls[index].returned.is_some(), placed) {
            (true, true) => self.placed_answered += 1,
            (true, false) => self.placed_answered -= 1,
            (false, _) => {}
        }
    }

    /// Whether this state with these operations placed was never looked at. Pairs are kept as
    /// 128 bits of hash: two that collide are less likely than the machine's failing.
    fn is_new(&mut self, state: &M::State) -> bool {
        let with_state = |set: u64| {
            let mut hasher = DefaultHasher::new();
            (set, state).hash(&mut hasher);
            hasher.finish()
        };
        let pair = (with_state(self.placed_hash.0), with_state(self.placed_hash.1));
        self.seen.insert(pair)
    }

    /// What may come after `placed`. First by stamp; only when none of these will do, operations
    /// that nobody had an answer to.
    fn frame(
        &self,
        placed: Option<usize>,
        state: M::State,
        alternatives: Vec<M::State>,
        before: Cursors,
    ) -> Frame<M::State> {
        let cursors = self.advance(before);
        let mut candidates = Vec::new();
        if let Some(deadline) = self.by_return.get(cursors.by_return) {
            let deadline = self.calls[*deadline].returned.as_ref().map_or(u64::MAX, |at| at.0);
            let waiting = |list: &[usize]| -> Vec<usize> {
                let in_time = list.iter().take_while(|index| self.calls[**index].called < deadline);
                in_time.copied().filter(|index| !self.placed[*index]).collect()
            };
            candidates = waiting(&self.by_call[cursors.by_call..]);
            candidates.retain(|index| self.is_in_turn(*index, cursors));
            candidates
                .sort_by_key(|index| self.stamps[*index].map(|stamp| stamp.unwrap_or(u64::MAX)));
            candidates.extend(waiting(&self.open[cursors.open..]));
            candidates.reverse();
        }
        Frame { placed, alternatives, state, candidates, cursors }
    }

    fn advance(&self, before: Cursors) -> Cursors {
        let skip = |list: &[usize], from: usize| {
            from + list[from..].iter().take_while(|index| self.placed[**index]).count()
        };
        Cursors {
            by_call: skip(&self.by_call, before.by_call),
            by_return: skip(&self.by_return, before.by_return),
            by_stamp: std::array::from_fn(|which| {
                skip(&self.by_stamp[which], before.by_stamp[which])
            }),
            open: skip(&self.open, before.open),
        }
    }

    /// Whether no operation that waits has a smaller stamp.
    fn is_in_turn(&self, index: usize, cursors: Cursors) -> bool {
        (0..STAMPS).all(|which| {
            let next = self.by_stamp[which].get(cursors.by_stamp[which]);
            let next = next.and_then(|next| self.stamps[*next][which]);
            self.stamps[index][which].is_none_or(|own| Some(own) == next)
        })
    }

    fn note_dead_end(&mut self, path: &[Frame<M::State>]) {
        let depth = self.placed_answered;
        if self.deepest.as_ref().is_some_and(|(deepest, ..)| *deepest >= depth) {
            return;
        }
        let Some(last) = path.last() else { return };
        let again = self.frame(None, last.state.clone(), Vec::new(), last.cursors);
        let mut in_turn = again.candidates.into_iter().rev();
        let in_turn = in_turn.find(|index| self.calls[*index].returned.is_some());
        let overdue = self.by_return.get(last.cursors.by_return).copied();
        if let Some(stuck) = in_turn.or(overdue) {
            let placed = path.iter().filter_map(|frame| frame.placed).collect();
            self.deepest = Some((depth, placed, stuck));
        }
    }

    fn invalid(self) -> Verdict {
        let (_, placed, stuck) =
            self.deepest.expect("a search gives up only after a dead end, which was noted");
        Verdict::Invalid { placed, stuck }
    }
}
