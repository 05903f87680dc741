//! What a connection sends to be decided, and what becomes of it.

use super::{
    frames::{self, Id},
    session::{End, Session},
};
use crate::{answer::Delivered, failure, problem::Problem};
use evenkeel_contract::{Meter, Outcome};
use evenkeel_domains::{
    Command, Reply,
    chat::{self, Action},
};
use evenkeel_node::{AnsweredSend, CallOptions};
use std::{collections::HashMap, sync::Arc, time::Instant};

/// What is sent and not yet answered, on one connection: no more is read meanwhile.
pub(super) const IN_FLIGHT_MAX: usize = 256;

/// Something that was sent and is not yet answered.
struct InFlight {
    id: Box<str>,
    began: Instant,
    is_read: bool,
}

/// All of a connection's.
pub(super) struct Sends {
    in_flight: HashMap<u64, InFlight>,
    last: u64,
    send_meter: Option<Arc<Meter>>,
    read_meter: Option<Arc<Meter>>,
}

impl Sends {
    pub(super) fn new(send_meter: Option<Arc<Meter>>, read_meter: Option<Arc<Meter>>) -> Self {
        Self { in_flight: HashMap::new(), last: 0, send_meter, read_meter }
    }

    /// Whether there is room for more.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight.len() < IN_FLIGHT_MAX
    }

    fn meter(&self, is_read: bool) -> Option<&Meter> {
        if is_read { self.read_meter.as_deref() } else { self.send_meter.as_deref() }
    }
}

impl Session {
    /// Sends something to be decided; its answer comes through the outlet.
    pub(super) fn send(
        &mut self,
        id: &Id,
        conversation: String,
        action: Action,
    ) -> Result<(), Problem> {
        let Some(who) = &self.who else { return Ok(()) };
        let is_read = matches!(action, Action::Read { .. });
        let by = who.user.as_deref().map(str::to_owned);
        let command = Command::Chat(chat::Command { conversation, by, action });
        self.sends.last += 1;
        let began = Instant::now();
        let options = CallOptions::default();
        let sent =
            self.edge.node.send_for(&self.outlet, self.sends.last, who.tenant(), command, options);
        if let Err(error) = sent {
            let problem = failure::problem(error);
            self.count(is_read, problem.outcome(), began);
            return Err(problem);
        }
        let id = id.clone().unwrap_or_else(|| "null".into());
        self.sends.in_flight.insert(self.sends.last, InFlight { id, began, is_read });
        Ok(())
    }

    fn count(&self, is_read: bool, outcome: Outcome, began: Instant) {
        if let Some(meter) = self.sends.meter(is_read) {
            self.edge.meters.record(meter, outcome, began, None);
        }
    }

    pub(super) async fn write_answer(&mut self, answered: AnsweredSend) -> Result<(), End> {
        let Some(InFlight { id, began, is_read }) = self.sends.in_flight.remove(&answered.number)
        else {
            return Ok(());
        };
        let text = match self.edge.node.answered(answered) {
            Ok(called) => {
                self.count(is_read, Outcome::Ok, began);
                let (reply, delivered) = Delivered::split(called);
                if let Some(meter) = self.sends.meter(is_read) {
                    self.edge.meters.rested(meter, delivered.replayed, &delivered.as_of);
                }
                match reply {
                    Reply::Chat(chat::Reply::Sent(sent)) => frames::sent(&id, &sent),
                    Reply::Chat(chat::Reply::Read { seq, unread }) => {
                        frames::read(&id, seq, unread)
                    }
                    _ => unreachable!("what was sent is answered by its domain"),
                }
            }
            Err(error) => {
                let problem = failure::problem(error);
                self.count(is_read, problem.outcome(), began);
                frames::failed(Some(&id), &problem)
            }
        };
        self.write(text).await
    }
}
