//! The real binary as a process, which drills start and kill.

use super::CrashError;
use crate::load::Endpoint;
use serde_json::json;
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

const READY_WITHIN: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct Server {
    binary: PathBuf,
    data: PathBuf,
    address: String,
    /// Whether it asks for keys.
    keyed: bool,
    /// Of whoever asks: at first the administrator's, which it says once.
    key: Option<String>,
    child: Option<Child>,
}

impl Server {
    /// Finds a free port; it stays the same over all restarts, as an address in production does. It
    /// asks for no keys.
    pub(crate) fn new(binary: &Path, data: &Path) -> Result<Self, CrashError> {
        Self::at_free_port(binary, data, false)
    }

    /// The same, and it asks for keys; [`Self::endpoint`] has the administrator's.
    pub(crate) fn keyed(binary: &Path, data: &Path) -> Result<Self, CrashError> {
        Self::at_free_port(binary, data, true)
    }

    fn at_free_port(binary: &Path, data: &Path, keyed: bool) -> Result<Self, CrashError> {
        let run = |source| CrashError::Run { binary: binary.to_owned(), source };
        let probe = TcpListener::bind("127.0.0.1:0").map_err(run)?;
        let address = probe.local_addr().map_err(run)?.to_string();
        let (binary, data) = (binary.to_owned(), data.to_owned());
        Ok(Self { binary, data, address, keyed, key: None, child: None })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whoever asks there has their key, if one is needed.
    pub(crate) async fn endpoint(&self) -> Result<Endpoint, CrashError> {
        self.endpoint_of(self.key.as_deref(), REQUEST_TIMEOUT).await
    }

    /// Whoever asks there has these credentials, and waits for so long.
    pub(crate) async fn endpoint_of(
        &self,
        credentials: Option<&str>,
        timeout: Duration,
    ) -> Result<Endpoint, CrashError> {
        Ok(Endpoint::resolve(&self.address, credentials, timeout).await?)
    }

    /// The key of whoever asks, if one is needed.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Whoever asks from now on is of this tenant, and may do everything there.
    pub(crate) async fn become_tenant(
        &mut self,
        admin: &str,
        tenant: &str,
    ) -> Result<(), CrashError> {
        let endpoint = self.endpoint_of(Some(admin), REQUEST_TIMEOUT).await?;
        let body = json!({"tenant": tenant, "scopes": ["admin"]}).to_string();
        let (mut client, mut writer) = (endpoint.connect().await?, endpoint.writer());
        let reply = client.call(writer.post("/v1/keys", None, body.as_bytes())).await?;
        let made: serde_json::Value = serde_json::from_slice(reply.body).unwrap_or_default();
        let Some(key) = made["key"].as_str() else {
            return Err(CrashError::Answer(format!("POST /v1/keys: {}", reply.status)));
        };
        self.key = Some(key.to_owned());
        Ok(())
    }

    /// Starts it and waits until it is ready; answers how long that took.
    pub(crate) async fn start(&mut self) -> Result<u64, CrashError> {
        let started = Instant::now();
        let log = self.log();
        let run = |source| CrashError::Run { binary: self.binary.clone(), source };
        let stderr = std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let says_key = self.keyed && self.key.is_none();
        let mut child = Command::new(&self.binary)
            .arg("serve")
            .arg("--data")
            .arg(&self.data)
            .args(["--init", "--http", &self.address])
            .args((!self.keyed).then_some("--insecure-no-auth"))
            .stdin(Stdio::null())
            .stdout(if says_key { Stdio::piped() } else { Stdio::null() })
            .stderr(stderr.map_err(run)?)
            .kill_on_drop(true)
            .spawn()
            .map_err(run)?;
        if let Some(said) = child.stdout.take() {
            let key = timeout(READY_WITHIN, admin_key(said)).await;
            self.key = key.map_err(|_| CrashError::Answer("it said no key".into()))?;
        }
        self.child = Some(child);
        let endpoint = self.endpoint().await?;
        while started.elapsed() < READY_WITHIN {
            if is_ready(&endpoint).await {
                return Ok(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Err(CrashError::NotReady(READY_WITHIN, self.end_of_log()))
    }

    fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    pub(crate) fn end_of_log(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        text.lines().rev().take(5).collect::<Vec<_>>().join(" | ")
    }

    /// The most memory that was resident since it was started, in MiB, where Linux says so.
    pub(crate) fn memory_mib(&self) -> Option<u64> {
        let id = self.child.as_ref()?.id()?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib.div_ceil(1024))
    }

    /// SIGKILL, and waits until the process is gone; it must not have ended by itself.
    pub(crate) async fn kill(&mut self) -> Result<(), CrashError> {
        if let Some(mut child) = self.child.take() {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(CrashError::Died(status, self.end_of_log()));
            }
            let killed = child.kill().await;
            killed.map_err(|source| CrashError::Run { binary: self.binary.clone(), source })?;
        }
        Ok(())
    }
}

/// The key that it says, and whatever else it says unread.
async fn admin_key(said: ChildStdout) -> Option<String> {
    let mut lines = BufReader::new(said).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(key) = line.strip_prefix("admin key: ") {
            let key = key.trim().to_owned();
            // Who says something that nobody reads would fail.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Some(key);
        }
    }
    None
}

async fn is_ready(endpoint: &Endpoint) -> bool {
    let Ok(mut client) = endpoint.connect().await else { return false };
    let mut writer = endpoint.writer();
    client.call(writer.get("/readyz")).await.is_ok_and(|reply| reply.status == 200)
}
