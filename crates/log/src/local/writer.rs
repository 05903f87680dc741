//! The writer's loop: take what is pending, admit, write one group, publish, answer.

use super::Board;
use super::queue::Pending;
use crate::fs::Files;
use crate::wal::{Staged, Wal, WalError};
use crate::{AppendError, Record};
use std::collections::VecDeque;

/// Says that the log has failed if the writer ends by a panic, so that nobody waits for ever.
struct Guard<'a> {
    board: &'a Board,
    in_order: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if !self.in_order {
            self.board.queue.refuse_all("the log's writer ended unexpectedly; restart");
            self.board.fail("the log's writer ended unexpectedly");
        }
    }
}

/// Runs until the queue is closed and drained, or the log fails.
pub(super) fn run<F: Files>(wal: Wal<F>, board: &Board, group_bytes_max: usize) -> Wal<F> {
    let mut guard = Guard { board, in_order: false };
    let mut writer = Writer {
        wal,
        board,
        group_bytes_max,
        backlog: VecDeque::new(),
        staged: Staged::default(),
        records: Vec::new(),
        admitted: Vec::new(),
        refused: Vec::new(),
    };
    loop {
        if writer.backlog.is_empty() {
            board.queue.take(&mut writer.backlog);
        }
        if writer.backlog.is_empty() {
            break;
        }
        if let Err(reason) = writer.write_one_group() {
            writer.give_up(&reason);
            break;
        }
    }
    guard.in_order = true;
    writer.wal
}

struct Writer<'a, F: Files> {
    wal: Wal<F>,
    board: &'a Board,
    group_bytes_max: usize,
    /// Taken from the queue, not yet in a group.
    backlog: VecDeque<Pending>,
    staged: Staged,
    /// The group's records, and who waits for each.
    records: Vec<Record>,
    admitted: Vec<Pending>,
    /// What does not continue its partition. Answered after the group: what it conflicts with may
    /// be in there.
    refused: Vec<(Pending, AppendError)>,
}

impl<F: Files> Writer<'_, F> {
    /// `Err` is why the log has failed.
    fn write_one_group(&mut self) -> Result<(), String> {
        let bytes = self.fill();
        let outcome = self.wal.write_admitted(&self.records);
        // Before the answers: who hears one may count on the room.
        self.board.queue.answered(bytes);
        match outcome {
            Ok(()) => self.publish(),
            Err(WalError::Fatal(reason)) => {
                let unknown = AppendError::Indeterminate(reason.clone());
                self.answer_admitted(&Err(unknown));
                self.answer_refused();
                return Err(reason);
            }
            // Nothing was begun.
            Err(error) => self.answer_admitted(&Err(AppendError::Full(error.to_string()))),
        }
        self.answer_refused();
        Ok(())
    }

    /// Moves one group's worth from the backlog; answers how many bytes that were.
    fn fill(&mut self) -> usize {
        self.staged.clear();
        self.records.clear();
        let mut bytes = 0;
        while let Some(next) = self.backlog.front() {
            if bytes > 0 && bytes + next.bytes() > self.group_bytes_max {
                break;
            }
            let Some(pending) = self.backlog.pop_front() else {
                break;
            };
            bytes += pending.bytes();
            match self.wal.admit(&pending.record, &mut self.staged) {
                Ok(()) => {
                    self.records.push(pending.record.clone());
                    self.admitted.push(pending);
                }
                Err(refusal) => self.refused.push((pending, refusal)),
            }
        }
        bytes
    }

    fn publish(&mut self) {
        for record in &self.records {
            self.board.publish(record.header().partition, record.header().offset);
        }
        for pending in self.admitted.drain(..) {
            let tail = pending.record.tail();
            pending.answer(Ok(tail));
        }
    }

    fn answer_admitted(&mut self, outcome: &Result<crate::Tail, AppendError>) {
        for pending in self.admitted.drain(..) {
            pending.answer(outcome.clone());
        }
    }

    fn answer_refused(&mut self) {
        let reader = self.wal.reader();
        for (pending, refusal) in self.refused.drain(..) {
            // The tail that is durable now; the one it was refused for may not have made it.
            let refusal = match (refusal, reader.tail(pending.record.header().partition)) {
                (AppendError::Conflict { .. }, Ok(tail)) => AppendError::Conflict { tail },
                (refusal, _) => refusal,
            };
            pending.answer(Err(refusal));
        }
    }

    /// The log has failed: everything that was not begun certainly has no effect.
    fn give_up(&mut self, reason: &str) {
        let reason = format!("{reason}; the process must restart");
        for pending in self.backlog.drain(..) {
            pending.answer(Err(AppendError::Quarantined(reason.clone())));
        }
        self.board.queue.refuse_all(&reason);
        self.board.fail(&reason);
    }
}
