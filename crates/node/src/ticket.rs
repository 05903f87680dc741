//! Where a command's answer goes: to whoever waits for it alone, or to whoever waits for many
//! that were sent together, and is woken once, when the last of them is answered. And a read's.

use crate::{call::NodeError, live::ToOutlet};
use evenkeel_domains::{Domains, Found, Query};
use evenkeel_engine::{Answer, Delivered, Failure, Priority, TenantId};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, oneshot};

/// A read on its way.
pub(crate) struct ReadTicket {
    pub(crate) tenant: TenantId,
    pub(crate) priority: Priority,
    pub(crate) query: Query,
    pub(crate) reply: oneshot::Sender<Result<(Found, Delivered), NodeError>>,
}

impl ReadTicket {
    pub(crate) fn refuse(self, failure: impl Into<NodeError>) {
        let _ = self.reply.send(Err(failure.into()));
    }

    /// The partition is led by another node now.
    pub(crate) fn lost(self) {
        self.refuse(Failure::Unavailable("this node does not lead the partition".into()));
    }
}

/// Given with a command. Dropped without an answer, it says that there will be none.
pub(crate) enum CommandTicket {
    /// Of a command that is waited for alone.
    One(oneshot::Sender<Answer<Domains>>),
    /// Of one of many.
    OfMany(Part),
    /// Of one that was sent for a connection, whose other answers it joins.
    ToOutlet(ToOutlet),
}

impl CommandTicket {
    /// A caller that has gone away needs no answer.
    pub(crate) fn send(self, answer: Answer<Domains>) {
        match self {
            Self::One(sender) => drop(sender.send(answer)),
            Self::OfMany(mut part) => part.settle(Some(answer)),
            Self::ToOutlet(mut to) => to.settle(Some(answer)),
        }
    }
}

/// The place of one answer among many.
pub(crate) struct Part {
    /// `None` once it is settled.
    gather: Option<Arc<Gather>>,
    at: usize,
}

impl Part {
    fn settle(&mut self, answer: Option<Answer<Domains>>) {
        if let Some(gather) = self.gather.take() {
            gather.settle(self.at, answer);
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.settle(None);
    }
}

/// The answers to commands that were sent together.
pub(crate) struct Gather {
    /// Empty once nobody waits any more.
    answers: Mutex<Vec<Option<Answer<Domains>>>>,
    missing: AtomicUsize,
    complete: Notify,
}

impl Gather {
    pub(crate) fn new(count: usize) -> Arc<Self> {
        let answers = Mutex::new((0..count).map(|_| None).collect());
        Arc::new(Self { answers, missing: AtomicUsize::new(count), complete: Notify::new() })
    }

    /// The ticket of answer `at`. There must be exactly one of each.
    pub(crate) fn ticket(self: &Arc<Self>, at: usize) -> CommandTicket {
        CommandTicket::OfMany(Part { gather: Some(Arc::clone(self)), at })
    }

    fn settle(&self, at: usize, answer: Option<Answer<Domains>>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = answers.get_mut(at) {
            *place = answer;
        }
        drop(answers);
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.complete.notify_one();
        }
    }

    /// All answers, in the order of their tickets; `None` where there is none `within` that time.
    pub(crate) async fn answers(&self, within: Duration) -> Vec<Option<Answer<Domains>>> {
        if self.missing.load(Ordering::Acquire) > 0 {
            // What is missing then is reported so.
            let _ = tokio::time::timeout(within, self.complete.notified()).await;
        }
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_engine::{Delivered, Failure};

    fn answer() -> Answer<Domains> {
        Answer { outcome: Err(Failure::Overloaded), delivered: Delivered::default() }
    }

    #[tokio::test]
    async fn many_are_answered_together_and_in_their_order() {
        let gather = Gather::new(3);
        let tickets: Vec<_> = (0..3).map(|at| gather.ticket(at)).collect();
        for (at, ticket) in tickets.into_iter().enumerate().rev() {
            // The second is given up on.
            if at != 1 {
                ticket.send(answer());
            }
        }
        let answers = gather.answers(Duration::from_secs(60)).await;
        assert_eq!(answers, [Some(answer()), None, Some(answer())]);
    }

    #[tokio::test]
    async fn an_answer_that_comes_too_late_hurts_nobody() {
        let gather = Gather::new(2);
        let late = gather.ticket(0);
        gather.ticket(1).send(answer());
        let answers = gather.answers(Duration::ZERO).await;
        assert_eq!(answers, [None, Some(answer())]);
        late.send(answer());
    }
}
