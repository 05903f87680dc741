//! Ordering keys: the jobs of one run one after the other, by their numbers. The head of the line is
//! the only one that a worker can have, and stays the head while it waits for another attempt.

use super::{
    State,
    subject::Subject,
    tables::{Job, Jobs, KeyHash, OrderKey, OrderKeys, OrderLines, Over},
};
use evenkeel_log::Hash;
use evenkeel_state::{Order, Read, StateError};

/// Condemned jobs of a line that one step makes dead letters; the rest is due at once. What another
/// partition says of one job may be such a step, and has few rows.
pub(super) const CONDEMNED_MAX: usize = 8;

/// Whether a job's ordering key lets it go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is the head of its line, or has no ordering key.
    Has,
    /// Another is before it, or it is to become a dead letter.
    Waits,
}

/// Names an ordering key.
pub(super) fn key_hash(ordering_key: &str) -> KeyHash {
    Hash::of(ordering_key.as_bytes()).0
}

impl Subject<'_, '_, '_> {
    fn order_key(&self, hash: KeyHash) -> Result<Option<OrderKey>, StateError> {
        self.ctx.tx.get::<OrderKeys>(&(self.queue.id, hash))
    }

    pub(super) fn turn(&self, number: u64, job: &Job) -> Result<Turn, StateError> {
        let Some(hash) = job.ordering.filter(|_| job.in_line) else { return Ok(Turn::Has) };
        let key = self.order_key(hash)?;
        let has = key.is_none_or(|key| key.head == number && number > key.condemned);
        Ok(if has { Turn::Has } else { Turn::Waits })
    }

    /// A job that is still in its line is to run again, whatever it was condemned to.
    pub(super) fn spare(&mut self, number: u64, job: &Job) -> Result<Turn, StateError> {
        if let Some(hash) = job.ordering.filter(|_| job.in_line)
            && let Some(mut key) = self.order_key(hash)?.filter(|key| number <= key.condemned)
        {
            key.condemned = 0;
            self.ctx.tx.put::<OrderKeys>(&(self.queue.id, hash), &key);
        }
        self.turn(number, job)
    }

    /// Puts a job into the line of its ordering key, by its number: a dead letter that comes back is
    /// before those that are younger, but takes no turn away.
    pub(super) fn join(&mut self, number: u64, job: &mut Job) -> Result<Turn, StateError> {
        let Some(hash) = job.ordering else { return Ok(Turn::Has) };
        job.in_line = true;
        self.ctx.tx.put::<OrderLines>(&(self.queue.id, hash, number), &());
        let new = OrderKey { head: number, from: number, count: 0, condemned: 0 };
        let mut key = self.order_key(hash)?.unwrap_or(new);
        key.count += 1;
        key.from = key.from.min(number);
        if number <= key.condemned {
            // Who comes back is to run. Those that are left of the condemned run after it.
            key.condemned = 0;
        }
        self.ctx.tx.put::<OrderKeys>(&(self.queue.id, hash), &key);
        Ok(if key.head == number { Turn::Has } else { Turn::Waits })
    }

    /// Takes a job out of its line; if it was the head, the next has its turn.
    pub(super) fn leave(&mut self, hash: KeyHash, number: u64) -> Result<(), StateError> {
        self.ctx.tx.delete::<OrderLines>(&(self.queue.id, hash, number));
        let Some(mut key) = self.order_key(hash)? else { return Ok(()) };
        key.count -= 1;
        let mut gone = number;
        for step in 0.. {
            if key.count == 0 {
                self.ctx.tx.delete::<OrderKeys>(&(self.queue.id, hash));
                return Ok(());
            }
            if key.head != gone {
                break;
            }
            let Some(next) = self.next_in_line(hash, key.from)? else { break };
            key.head = next;
            key.from = next;
            if next > key.condemned {
                self.ctx.tx.put::<OrderKeys>(&(self.queue.id, hash), &key);
                return self.take_turn(next);
            }
            if step == CONDEMNED_MAX {
                self.ctx.tx.put::<OrderKeys>(&(self.queue.id, hash), &key);
                self.tell(next, Over::Passed);
                return Ok(());
            }
            self.execute(next)?;
            self.ctx.tx.delete::<OrderLines>(&(self.queue.id, hash, next));
            key.count -= 1;
            gone = next;
        }
        self.ctx.tx.put::<OrderKeys>(&(self.queue.id, hash), &key);
        Ok(())
    }

    fn next_in_line(&self, hash: KeyHash, from: u64) -> Result<Option<u64>, StateError> {
        let range = (self.queue.id, hash, from)..=(self.queue.id, hash, u64::MAX);
        let rows = self.ctx.tx.scan::<OrderLines>(range, Order::Ascending, 1)?;
        Ok(rows.first().map(|((_, _, number), ())| *number))
    }

    /// A dead letter that holds up its line goes on doing so.
    fn take_turn(&mut self, number: u64) -> Result<(), StateError> {
        match self.ctx.tx.get::<Jobs>(&number)? {
            Some(mut job) if job.state == State::Waiting => self.start(number, &mut job),
            _ => Ok(()),
        }
    }

    /// The turn of a job that was condemned then has come by the timer. It dies, or was spared.
    pub(super) fn pass(&mut self, number: u64) -> Result<(), StateError> {
        let Some(job) = self.ctx.tx.get::<Jobs>(&number)? else { return Ok(()) };
        if !self.is_condemned(number, &job)? {
            return self.take_turn(number);
        }
        self.execute(number)?;
        job.ordering.map_or(Ok(()), |hash| self.leave(hash, number))
    }

    /// A condemned job whose turn has come.
    fn execute(&mut self, number: u64) -> Result<(), StateError> {
        let Some(mut job) = self.ctx.tx.get::<Jobs>(&number)? else { return Ok(()) };
        job.in_line = false;
        if job.state == State::Dead {
            self.ctx.tx.put::<Jobs>(&number, &job);
            return Ok(());
        }
        let error = "a job before it of its ordering key became a dead letter";
        self.bury(number, &mut job, error.to_owned())
    }

    /// Whether a job's turn is to become a dead letter.
    fn is_condemned(&self, number: u64, job: &Job) -> Result<bool, StateError> {
        let Some(hash) = job.ordering.filter(|_| job.in_line) else { return Ok(false) };
        Ok(self.order_key(hash)?.is_some_and(|key| number <= key.condemned))
    }

    /// All that are in the line now become dead letters when their turn comes, if `number` is its
    /// head.
    pub(super) fn condemn(&mut self, hash: KeyHash, number: u64) -> Result<(), StateError> {
        let Some(mut key) = self.order_key(hash)?.filter(|key| key.head == number) else {
            return Ok(());
        };
        let line = (self.queue.id, hash, number)..=(self.queue.id, hash, u64::MAX);
        let last = self.ctx.tx.scan::<OrderLines>(line, Order::Descending, 1)?;
        key.condemned = last.first().map_or(number, |((_, _, last), ())| *last);
        self.ctx.tx.put::<OrderKeys>(&(self.queue.id, hash), &key);
        Ok(())
    }
}
