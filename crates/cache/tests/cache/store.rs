//! A store that is written, read by loads and heard of late, with a core before it. It judges every answer by what
//! the store was when, and knows nothing of how a cache works.

use evenkeel_cache::{Answer, Core, Loaded, Look, Options, Outcome, Ticket, Wait};

/// Fails the run with a sentence.
macro_rules! ensure {
    ($holds:expr, $($sentence:tt)*) => {
        if !$holds {
            return Err(format!($($sentence)*));
        }
    };
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Look {
        key: u8,
        bound_ms: u64,
    },
    /// A load reads the store; without this it does so when it ends.
    Read {
        which: usize,
    },
    Finish {
        which: usize,
        fails: bool,
    },
    Write {
        key: u8,
        present: bool,
    },
    /// The cache hears of the next write.
    Hear,
    Pass {
        ms: u64,
    },
}

/// The value of a key is the version at which it was written.
type Value = u64;

struct Write {
    key: u8,
    present: bool,
    at_ms: u64,
}

struct Load {
    ticket: Ticket<u8>,
    read: Option<Loaded<Value>>,
}

#[derive(Clone, Copy)]
struct Call {
    key: u8,
    bound_ms: u64,
    looked_ms: u64,
    /// Writes of which the cache had heard when it looked.
    heard: usize,
    load: u64,
    /// None of who loads.
    wait: Option<Wait>,
    again: bool,
}

pub(crate) struct Store {
    core: Core<u8, Value, &'static str>,
    options: Options<u8, Value>,
    now_ms: u64,
    writes: Vec<Write>,
    heard: usize,
    loads: Vec<Load>,
    calls: Vec<Call>,
    /// Until when no load of a key begins after one that failed,
    paused: [u64; 3],
    /// unless its key was written since.
    freed: [bool; 3],
    answers: usize,
}

impl Store {
    pub(crate) fn new(options: Options<u8, Value>) -> Self {
        let core = Core::new(options.clone(), 7);
        let (writes, loads, calls) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            core,
            options,
            now_ms: 1_000,
            writes,
            heard: 0,
            loads,
            calls,
            paused: [0; 3],
            freed: [false; 3],
            answers: 0,
        }
    }

    /// Runs `steps` and then ends what is under way; how many answers there were, or which promise broke.
    pub(crate) fn run(mut self, steps: &[Step]) -> Result<usize, String> {
        for step in steps {
            self.step(*step)?;
        }
        while !self.loads.is_empty() {
            self.finish(0, false)?;
        }
        ensure!(self.calls.is_empty(), "a caller is never answered");
        Ok(self.answers)
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Look { key, bound_ms } => {
                let (looked_ms, heard) = (self.now_ms, self.heard);
                let look = self.core.look(&key, self.now_ms, bound_ms);
                let call =
                    Call { key, bound_ms, looked_ms, heard, load: 0, wait: None, again: false };
                self.take(call, look)
            }
            Step::Read { which } if !self.loads.is_empty() => {
                let which = which % self.loads.len();
                let read = self.read(*self.loads[which].ticket.key());
                self.loads[which].read.get_or_insert(read);
                Ok(())
            }
            Step::Finish { which, fails } if !self.loads.is_empty() => {
                self.finish(which % self.loads.len(), fails)
            }
            Step::Write { key, present } => {
                self.writes.push(Write { key, present, at_ms: self.now_ms });
                Ok(())
            }
            Step::Hear if self.heard < self.writes.len() => {
                let key = self.writes[self.heard].key;
                self.heard += 1;
                self.freed[usize::from(key)] = true;
                self.core.invalidate(&key, self.heard as u64);
                Ok(())
            }
            Step::Pass { ms } => {
                self.now_ms += ms;
                Ok(())
            }
            Step::Read { .. } | Step::Finish { .. } | Step::Hear => Ok(()),
        }
    }

    /// What `key` is when the first `version` writes are done.
    fn at(&self, key: u8, version: usize) -> Option<Value> {
        let last = self.writes[..version].iter().rposition(|write| write.key == key)?;
        self.writes[last].present.then_some(last as u64 + 1)
    }

    fn read(&self, key: u8) -> Loaded<Value> {
        let version = self.writes.len();
        Loaded { value: self.at(key, version), as_of: version as u64 }
    }

    fn take(&mut self, call: Call, look: Look<u8, Value, &'static str>) -> Result<(), String> {
        match look {
            Look::Found(answer, ticket) => {
                if let Some(ticket) = ticket {
                    ensure!(answer.outcome == Outcome::Stale, "loaded again without need");
                    self.begin(ticket)?;
                }
                self.judge(&call, &answer)
            }
            Look::Load(ticket) => {
                self.calls.push(Call { load: ticket.load(), wait: None, ..call });
                self.begin(ticket)
            }
            Look::Wait(wait) => {
                let load = wait.load();
                let known = self.loads.iter().any(|known| known.ticket.load() == load);
                ensure!(known, "waits for a load that is not under way");
                self.calls.push(Call { load, wait: Some(wait), ..call });
                Ok(())
            }
            Look::Failed(_) => {
                let paused = self.now_ms < self.paused[usize::from(call.key)];
                ensure!(paused, "refused without a failure");
                Ok(())
            }
            Look::Full => Err("full".to_owned()),
        }
    }

    fn begin(&mut self, ticket: Ticket<u8>) -> Result<(), String> {
        let key = *ticket.key();
        let under_way = self.loads.iter().any(|load| *load.ticket.key() == key);
        ensure!(!under_way, "two loads of one key at a time");
        let at = usize::from(key);
        let paused = self.now_ms < self.paused[at] && !self.freed[at];
        ensure!(!paused, "a load right after one that failed");
        ensure!(ticket.began_ms() == self.now_ms, "a load that began at another time");
        self.loads.push(Load { ticket, read: None });
        Ok(())
    }

    fn finish(&mut self, which: usize, fails: bool) -> Result<(), String> {
        let Load { ticket, read } = self.loads.remove(which);
        let (key, load, began_ms) = (*ticket.key(), ticket.load(), ticket.began_ms());
        let loaded = read.unwrap_or_else(|| self.read(key));
        let result = if fails { Err(&"down") } else { Ok(&loaded) };
        self.core.finish(ticket, result, self.now_ms);
        if fails {
            self.paused[usize::from(key)] = self.now_ms + self.options.pause_ms;
            self.freed[usize::from(key)] = false;
        }
        let (ended, others) = self.calls.drain(..).partition(|call| call.load == load);
        self.calls = others;
        for call in ended {
            if fails {
                if let Some(answer) = self.core.in_place(&key, self.now_ms, call.bound_ms) {
                    ensure!(answer.outcome == Outcome::StaleOnError, "not told that it failed");
                    self.judge(&call, &answer)?;
                }
            } else if call.wait.is_none_or(|wait| wait.admits(loaded.as_of)) {
                let outcome = if call.wait.is_none() { Outcome::Loaded } else { Outcome::Joined };
                let age_ms = self.now_ms - began_ms;
                let answer = Answer { value: loaded.value, as_of: loaded.as_of, age_ms, outcome };
                self.judge(&call, &answer)?;
            } else {
                ensure!(!call.again, "a caller waits a third time");
                let look = self.core.look_again(&key, self.now_ms, call.bound_ms);
                self.take(Call { again: true, ..call }, look)?;
            }
        }
        Ok(())
    }

    fn judge(&mut self, call: &Call, answer: &Answer<Value>) -> Result<(), String> {
        self.answers += 1;
        let Answer { value, as_of, age_ms, outcome } = *answer;
        let version = usize::try_from(as_of).unwrap();
        ensure!(value == self.at(call.key, version), "{outcome:?}: not what it was at its version");
        // Every write before its load began is in it, so its age is not said too small.
        let complete = self.writes.iter().take_while(|write| write.at_ms + age_ms < self.now_ms);
        let complete = complete.count();
        let missed = |to: usize| (version..to).any(|at| self.writes[at].key == call.key);
        ensure!(!missed(complete), "{outcome:?}: older than it says");
        ensure!(
            !missed(call.heard),
            "{outcome:?}: older than a write of which the cache had heard"
        );
        let options = &self.options;
        let bound_ms = call.bound_ms.min(options.age_ms_max);
        let waited_ms = self.now_ms - call.looked_ms;
        let within = match outcome {
            Outcome::Hit if value.is_none() => age_ms < options.absent_ms.min(bound_ms + 1),
            Outcome::Hit => age_ms < options.fresh_ms.min(bound_ms + 1),
            Outcome::Stale => value.is_some() && age_ms <= options.stale_ms.min(bound_ms),
            Outcome::StaleOnError => value.is_some() && age_ms <= bound_ms,
            Outcome::Loaded => age_ms <= waited_ms,
            Outcome::Joined => age_ms <= call.bound_ms.saturating_add(waited_ms),
        };
        ensure!(within, "{outcome:?}: {age_ms} ms old, the bound being {bound_ms}");
        Ok(())
    }
}
