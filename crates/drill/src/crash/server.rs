//! The real binary as a process, which drills start and kill.

use super::CrashError;
use crate::load::Endpoint;
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

const READY_WITHIN: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct Server {
    binary: PathBuf,
    data: PathBuf,
    address: String,
    child: Option<Child>,
}

impl Server {
    /// Finds a free port; it stays the same over all restarts, as an address in production does.
    pub(crate) fn new(binary: &Path, data: &Path) -> Result<Self, CrashError> {
        let run = |source| CrashError::Run { binary: binary.to_owned(), source };
        let probe = TcpListener::bind("127.0.0.1:0").map_err(run)?;
        let address = probe.local_addr().map_err(run)?.to_string();
        Ok(Self { binary: binary.to_owned(), data: data.to_owned(), address, child: None })
    }

    pub(crate) async fn endpoint(&self) -> Result<Endpoint, CrashError> {
        Ok(Endpoint::resolve(&self.address, None, REQUEST_TIMEOUT).await?)
    }

    /// Starts it and waits until it is ready; answers how long that took.
    pub(crate) async fn start(&mut self) -> Result<u64, CrashError> {
        let started = Instant::now();
        let log = self.data.with_extension("log");
        let run = |source| CrashError::Run { binary: self.binary.clone(), source };
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let child = Command::new(&self.binary)
            .arg("serve")
            .arg("--data")
            .arg(&self.data)
            .args(["--init", "--insecure-no-auth", "--http", &self.address])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr.map_err(run)?)
            .kill_on_drop(true)
            .spawn()
            .map_err(run)?;
        self.child = Some(child);
        let endpoint = self.endpoint().await?;
        while started.elapsed() < READY_WITHIN {
            if is_ready(&endpoint).await {
                return Ok(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let end = text.lines().rev().take(5).collect::<Vec<_>>().join(" | ");
        Err(CrashError::NotReady(READY_WITHIN, end))
    }

    /// SIGKILL, and waits until the process is gone.
    pub(crate) async fn kill(&mut self) -> Result<(), CrashError> {
        if let Some(mut child) = self.child.take() {
            let killed = child.kill().await;
            killed.map_err(|source| CrashError::Run { binary: self.binary.clone(), source })?;
        }
        Ok(())
    }
}

async fn is_ready(endpoint: &Endpoint) -> bool {
    let Ok(mut client) = endpoint.connect().await else { return false };
    let mut writer = endpoint.writer();
    client.call(writer.get("/readyz")).await.is_ok_and(|reply| reply.status == 200)
}
