//! What was acknowledged and what was delivered: the two must agree once all is quiet.
//!
//! A *stream* is one conversation at one of its subscribers. Its messages must come in the order of
//! their `seq`, none twice, and in the end all that were acknowledged. Beside their number the sum of
//! their `seq` is compared, so that a wrong one does not pass for a missing one.

/// Violations that are told in words; the others are counted.
const TOLD_MAX: usize = 5;

#[derive(Debug, Clone, Default)]
struct Sent {
    acked: u64,
    sum: u64,
    /// Sends of which nobody knows what became.
    unknown: u64,
}

#[derive(Debug, Clone, Default)]
struct Stream {
    delivered: u64,
    sum: u64,
    last_seq: Option<u64>,
}

/// The books of one run.
#[derive(Debug)]
pub(super) struct Ledger {
    sent: Vec<Sent>,
    streams: Vec<Stream>,
    subscribers: usize,
    begun: u64,
    answered: u64,
    violations: u64,
    told: Vec<String>,
}

impl Ledger {
    /// For so many conversations with so many subscribers each.
    pub(super) fn new(conversations: u32, subscribers: usize) -> Self {
        let conversations = conversations as usize;
        Self {
            sent: vec![Sent::default(); conversations],
            streams: vec![Stream::default(); conversations * subscribers],
            subscribers,
            begun: 0,
            answered: 0,
            violations: 0,
            told: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self) {
        self.begun += 1;
    }

    pub(super) fn ack(&mut self, conversation: u32, seq: u64) {
        self.answered += 1;
        let sent = &mut self.sent[conversation as usize];
        sent.acked += 1;
        sent.sum = sent.sum.wrapping_add(seq);
    }

    /// It has no effect, or nobody knows.
    pub(super) fn fail(&mut self, conversation: u32, unknown: bool) {
        self.answered += 1;
        self.sent[conversation as usize].unknown += u64::from(unknown);
    }

    /// A message at the conversation's subscriber of that number.
    pub(super) fn deliver(&mut self, conversation: u32, subscriber: usize, seq: u64) {
        let at = conversation as usize * self.subscribers + subscriber;
        let known = subscriber < self.subscribers;
        let Some(stream) = self.streams.get_mut(at).filter(|_| known) else {
            self.violation(|| format!("conversation {conversation} was not subscribed here"));
            return;
        };
        stream.delivered += 1;
        stream.sum = stream.sum.wrapping_add(seq);
        let last = stream.last_seq.replace(seq);
        if last.is_some_and(|last| seq <= last) {
            self.violation(|| {
                format!("conversation {conversation}: seq {seq} came after {}", last.unwrap_or(0))
            });
        }
    }

    fn violation(&mut self, say: impl FnOnce() -> String) {
        self.violations += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(say());
        }
    }

    /// True once every send was answered and every stream has what it should.
    pub(super) fn is_settled(&self) -> bool {
        self.begun == self.answered && self.unsettled().next().is_none()
    }

    fn unsettled(&self) -> impl Iterator<Item = (usize, &Sent, &Stream)> {
        let streams = self.streams.chunks(self.subscribers.max(1));
        let all = self.sent.iter().zip(streams).enumerate();
        all.flat_map(|(conversation, (sent, streams))| {
            streams.iter().map(move |stream| (conversation, sent, stream))
        })
        .filter(|(_, sent, stream)| !fits(sent, stream))
    }

    /// How many rules were broken over the whole run, and the first of them in words.
    pub(super) fn judge(mut self) -> (u64, Option<String>) {
        if self.begun > self.answered {
            let open = self.begun - self.answered;
            self.violations += open;
            self.told.push(format!("{open} sends were never answered"));
        } else {
            // A send that is not answered may be delivered, or not yet: then nothing follows.
            let wrong: Vec<String> = self
                .unsettled()
                .map(|(conversation, sent, stream)| {
                    let (acked, delivered) = (sent.acked, stream.delivered);
                    format!("conversation {conversation}: {acked} acknowledged, {delivered} delivered, or not the same ones")
                })
                .collect();
            self.violations += wrong.len() as u64;
            self.told.extend(wrong.into_iter().take(TOLD_MAX));
        }
        (self.violations, (!self.told.is_empty()).then(|| self.told.join("; ")))
    }
}

fn fits(sent: &Sent, stream: &Stream) -> bool {
    match sent.unknown {
        0 => sent.acked == stream.delivered && sent.sum == stream.sum,
        unknown => (sent.acked..=sent.acked + unknown).contains(&stream.delivered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_acknowledged_must_arrive_once_and_in_order() {
        let mut ledger = Ledger::new(2, 2);
        for seq in [4, 5] {
            ledger.begin();
            ledger.deliver(1, 0, seq);
            assert!(!ledger.is_settled());
            ledger.ack(1, seq);
            ledger.deliver(1, 1, seq);
            assert!(ledger.is_settled());
        }
        assert_eq!(ledger.judge(), (0, None));
    }

    #[test]
    fn what_breaks_a_rule_is_counted() {
        let broken = |spoil: fn(&mut Ledger)| {
            let mut ledger = Ledger::new(1, 1);
            for seq in [4, 5] {
                ledger.begin();
                ledger.ack(0, seq);
            }
            ledger.deliver(0, 0, 4);
            spoil(&mut ledger);
            ledger.judge().0
        };
        assert_eq!(broken(|ledger| ledger.deliver(0, 0, 5)), 0);
        assert_eq!(broken(|_| ()), 1, "lost");
        assert_eq!(broken(|ledger| ledger.deliver(0, 0, 6)), 1, "another");
        assert_eq!(broken(|ledger| ledger.deliver(0, 0, 4)), 2, "twice, and one lost");
        assert_eq!(broken(|ledger| ledger.deliver(0, 1, 5)), 2, "elsewhere");
        assert_eq!(broken(Ledger::begin), 1, "never answered");
        let unknown = |ledger: &mut Ledger| {
            ledger.deliver(0, 0, 5);
            ledger.begin();
            ledger.fail(0, true);
        };
        assert_eq!(broken(unknown), 0, "it may have had no effect");
    }
}
