//! Reading what is there, whatever it is.

use super::{CrashError, LOOK_EVERY};
use crate::load::{Client, ClientError, Endpoint};
use serde::{Deserialize, de::DeserializeOwned};
use std::time::{Duration, Instant};

/// What is asked for is answered within this, however late it is, or is taken for what never is.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// Somebody who looks at one thing after the other.
pub(super) struct Look<'e> {
    client: Client,
    endpoint: &'e Endpoint,
    /// How fresh it is to be, if not as its contract says.
    level: Option<&'static str>,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    cursor: Option<String>,
}

impl<'e> Look<'e> {
    pub(super) async fn at(
        endpoint: &'e Endpoint,
        level: Option<&'static str>,
    ) -> Result<Self, CrashError> {
        Ok(Self { client: endpoint.connect().await?, endpoint, level })
    }

    /// All of a list, so many items a page.
    pub(super) async fn list<T: DeserializeOwned>(
        &mut self,
        path: &str,
        limit: usize,
    ) -> Result<Vec<T>, CrashError> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page: Page<T> = self.get(&format!("{path}?limit={limit}{cursor}")).await?;
            all.extend(page.items);
            match page.cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// What is there; asked for again while it cannot be answered.
    pub(super) async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, CrashError> {
        let began = Instant::now();
        let level = self.level.map(|level| ("Evenkeel-Consistency", level));
        loop {
            let mut writer = self.endpoint.writer();
            let request = writer.write("GET", path, level.as_slice(), None);
            let reply = match self.client.call(request).await {
                Err(ClientError::Closed) if began.elapsed() <= ANSWERED_WITHIN => {
                    tokio::time::sleep(LOOK_EVERY).await;
                    self.client = self.endpoint.connect().await?;
                    continue;
                }
                reply => reply?,
            };
            let strange = |body: &[u8]| {
                let body: String = String::from_utf8_lossy(body).chars().take(300).collect();
                CrashError::Answer(format!("GET {path}: {} {body}", reply.status))
            };
            if reply.is_success() {
                return serde_json::from_slice(reply.body).map_err(|_| strange(reply.body));
            }
            if reply.status != 503 || began.elapsed() > ANSWERED_WITHIN {
                return Err(strange(reply.body));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
