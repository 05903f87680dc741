//! Whoever follows their timeline from its beginning, over every restart.

use super::{Phase, Told, USERS, wire};
use crate::{
    history::feed::Delivery,
    load::{self, ClientError, Endpoint},
};
use std::{sync::Arc, time::Duration};

const RECONNECT: Duration = Duration::from_millis(10);
/// Who hears nothing for so long looks whether it is over.
const QUIET: Duration = Duration::from_millis(100);

pub(super) struct Subscriber {
    user: &'static str,
    number: usize,
    endpoint: Endpoint,
    told: Arc<Told>,
    last_id: Option<String>,
}

impl Subscriber {
    pub(super) fn new(user: &'static str, endpoint: &Endpoint, told: &Arc<Told>) -> Self {
        let number = USERS.iter().position(|one| *one == user).unwrap_or_default();
        let (endpoint, told) = (endpoint.clone(), Arc::clone(told));
        Self { user, number, endpoint, told, last_id: None }
    }

    /// Until all is over.
    pub(super) async fn run(mut self) {
        while !self.told.is_past(Phase::Quiet) {
            // A stream that breaks is asked for again.
            let _ = self.read().await;
            tokio::time::sleep(RECONNECT).await;
        }
    }

    async fn read(&mut self) -> Result<(), ClientError> {
        let mut writer = self.endpoint.writer();
        let path = format!("/v1/feeds/{}/timeline/stream", self.user);
        let bytes = match &self.last_id {
            Some(id) => writer.write("GET", &path, &[("Last-Event-ID", id)], None),
            None => writer.get(&format!("{path}?since=start")),
        };
        let mut stream = self.endpoint.connect().await?.subscribe(bytes).await?;
        if self.last_id.is_some() {
            self.told.resumes();
        }
        stream.set_quiet_max(QUIET);
        loop {
            match stream.next().await {
                Ok(Some(event)) => self.take(&event)?,
                Ok(None) => return Ok(()),
                Err(ClientError::TimedOut) if !self.told.is_past(Phase::Quiet) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, event: &load::Event) -> Result<(), ClientError> {
        const STRANGE: ClientError = ClientError::Malformed("no event of a timeline");
        match event.event.as_str() {
            "open" => {}
            "reset" => {
                let sequence = wire::sequence(&event.id).ok_or(STRANGE)?;
                self.told.sees(self.number, sequence, Delivery::Reset);
            }
            kind => {
                let (sequence, what) = wire::delivery(kind, &event.data).ok_or(STRANGE)?;
                self.told.sees(self.number, sequence, what);
            }
        }
        if !event.id.is_empty() {
            self.last_id = Some(event.id.clone());
        }
        Ok(())
    }
}
