//! Whoever follows all conversations, over as many connections as that takes.

use super::{
    CONVERSATIONS, Told,
    wire::{self, Heard},
};
use crate::{
    history::chat::{Delivery, Reader},
    load::{WebSocket, WebSocketError},
};
use std::{sync::Arc, time::Duration};

/// What the buffer of a connection begins with.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;

pub(super) struct Follower {
    pub(super) told: Arc<Told>,
    /// Who is present by it, and is shown who else is.
    present: Option<String>,
    /// Whether it is a user who follows: they are not sent what they may not read.
    is_user: bool,
    places: Vec<Place>,
}

struct Place {
    reader: usize,
    /// The position of the last event that was dealt with.
    position: Option<String>,
    /// Whether that was asked for on this connection, and did not end.
    is_followed: bool,
}

impl Follower {
    /// The back end, from the beginning: it hears what comes, whoever is removed.
    pub(super) fn new(told: &Arc<Told>, name: &str, present: Option<&str>) -> Self {
        Self::with(told, name, present, None)
    }

    /// A user, from the beginning.
    pub(super) fn of_user(told: &Arc<Told>, user: &str) -> Self {
        Self::with(told, &format!("{user} with a token"), None, Some(user))
    }

    fn with(told: &Arc<Told>, name: &str, present: Option<&str>, user: Option<&str>) -> Self {
        let place = |conversation: &&str| {
            let reader = Reader {
                name: name.to_owned(),
                conversation: (*conversation).to_owned(),
                user: user.map(str::to_owned),
                waited: None,
                is_at_end: false,
            };
            let reader = told.reads(reader, present.is_some());
            Place { reader, position: None, is_followed: false }
        };
        let places = CONVERSATIONS.iter().map(place).collect();
        let (present, is_user) = (present.map(str::to_owned), user.is_some());
        Self { told: Arc::clone(told), present, is_user, places }
    }

    /// Asks on a new connection for what follows.
    pub(super) fn follow(&mut self, socket: &mut WebSocket) {
        self.places.iter_mut().for_each(|place| place.is_followed = false);
        self.follow_rest(socket);
    }

    /// Asks for what follows where nothing comes any more.
    pub(super) fn follow_rest(&mut self, socket: &mut WebSocket) {
        for (number, place) in self.places.iter_mut().enumerate() {
            if !std::mem::replace(&mut place.is_followed, true) {
                self.told.begins(place.reader);
                let position = place.position.as_deref();
                socket.push(&wire::subscription(number, position, self.present.as_deref()));
            }
        }
    }

    /// Takes all that has arrived; answers what is not about following.
    pub(super) fn take(&mut self, socket: &mut WebSocket) -> Result<Vec<Heard>, WebSocketError> {
        let mut others = Vec::new();
        while let Some(text) = socket.take()? {
            let heard = wire::heard(text);
            match heard.ok_or(WebSocketError::Malformed("no frame of the protocol"))? {
                Heard::Event { place, position, event } => {
                    let place = &mut self.places[place];
                    place.position = Some(position);
                    self.told.sees(place.reader, event.seq, Delivery::Event(event));
                }
                Heard::Reset { place, position } => {
                    let seq = wire::sequence(&position)
                        .ok_or(WebSocketError::Malformed("no position of a reset"))?;
                    let place = &mut self.places[place];
                    place.position = Some(position);
                    self.told.sees(place.reader, seq, Delivery::Reset { seq });
                }
                Heard::Present { place, user, online } => {
                    self.told.is_shown(self.places[place].reader, user, online);
                }
                Heard::Ended { place, removed } if self.is_user => {
                    let place = &mut self.places[place];
                    place.is_followed = false;
                    if removed {
                        self.told.ends(place.reader);
                    }
                }
                // Another connection is another try.
                Heard::Ended { .. } | Heard::Refused { id: None, .. } => {
                    return Err(WebSocketError::Malformed("a subscription ended"));
                }
                other => others.push(other),
            }
        }
        Ok(others)
    }

    /// Sends what is to be sent, reads once, and takes what came, if anything does within `limit`.
    pub(super) async fn exchange(
        &mut self,
        socket: &mut WebSocket,
        limit: Duration,
    ) -> Result<Vec<Heard>, WebSocketError> {
        match socket.fill(limit).await {
            Err(error) if error.is_timeout() && !socket.has_outbound() => Ok(Vec::new()),
            Err(error) => Err(error),
            Ok(()) => self.take(socket),
        }
    }
}
