//! Runs the binary, and talks to it when it serves.

use evenkeel_drill::load::Endpoint;
use serde_json::Value;
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_secs(30);
pub(crate) const READY: &str = "Evenkeel is ready at ";
pub(crate) const LAST_LINE_OF_DEV: &str = "evenkeel drill";

/// A command whose environment says nothing but that the log's files are small.
pub(crate) fn evenkeel(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EVENKEEL_") {
            command.env_remove(name);
        }
    }
    command.env("EVENKEEL_LOG__SEGMENT_BYTES", "1048576").env_remove("NO_COLOR");
    command.args(args).stdin(Stdio::null());
    command
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks the exit code, and that stderr says all of this.
    pub(crate) fn fails(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in says {
            assert!(self.err.contains(part), "{part:?} is not in {self:?}");
        }
        self
    }

    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}

/// Runs a command to its end.
pub(crate) fn ended(mut command: Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the binary to its end.
pub(crate) fn run(args: &[&str]) -> Ended {
    ended(evenkeel(args))
}

/// A directory and a server over it.
pub(crate) struct Server {
    child: Child,
    /// Everything that it printed until it was ready.
    pub(crate) welcome: String,
    pub(crate) url: String,
    pub(crate) key: Option<String>,
    stderr: PathBuf,
    _scratch: TempDir,
}

impl Server {
    /// Starts `serve` over `data`, on a free port, and waits until it is ready.
    pub(crate) fn serve(data: &Path, args: &[&str]) -> Self {
        let mut command = evenkeel(&["serve", "--http", "127.0.0.1:0"]);
        command.arg("--data").arg(data).args(args);
        Self::start(command, READY)
    }

    /// Starts a server and reads what it prints up to a line that has `last` in it.
    pub(crate) fn start(mut command: Command, last: &str) -> Self {
        let scratch = TempDir::new().unwrap();
        let stderr = scratch.path().join("stderr");
        let mut child =
            command.stdout(Stdio::piped()).stderr(File::create(&stderr).unwrap()).spawn().unwrap();
        let mut welcome = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        while !welcome.lines().any(|line| line.contains(last)) {
            if out.read_line(&mut welcome).unwrap() == 0 {
                let said = std::fs::read_to_string(&stderr).unwrap();
                panic!("it ended before it was ready: {welcome} {said}");
            }
        }
        let after = |start: &str| {
            let found = welcome.lines().find_map(|line| line.strip_prefix(start));
            found.map(|rest| rest.trim().to_owned())
        };
        let url = after(READY).expect("it says where it is");
        let key = after("admin key: ");
        Self { child, welcome, url, key, stderr, _scratch: scratch }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    /// A client command, with the address and the key of this server.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = evenkeel(args);
        command.args(["--url", &self.url]);
        if let Some(key) = &self.key {
            command.env("EVENKEEL_KEY", key);
        }
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        ended(self.command(args))
    }

    /// One request over a connection of its own.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
        self.ask_with(method, path, &[], body)
    }

    /// The same with headers.
    pub(crate) fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> (u16, Value) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let endpoint =
                Endpoint::resolve(&self.url, self.key.as_deref(), TIMEOUT).await.unwrap();
            let mut client = endpoint.connect().await.unwrap();
            let mut writer = endpoint.writer();
            let request = writer.write(method, path, headers, body.map(str::as_bytes));
            let reply = client.call(request).await.unwrap();
            (reply.status, serde_json::from_slice(reply.body).unwrap_or_default())
        })
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// The exit code, once it has ended.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// SIGTERM; answers the exit code once it has ended.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.terminate();
        self.wait()
    }
}

/// A command that goes on while a test does something else; its output goes to files.
pub(crate) struct Started {
    child: Child,
    scratch: TempDir,
}

impl Started {
    pub(crate) fn new(mut command: Command) -> Self {
        let scratch = TempDir::new().unwrap();
        let file = |name| File::create(scratch.path().join(name)).unwrap();
        let child = command.stdout(file("out")).stderr(file("err")).spawn().unwrap();
        Self { child, scratch }
    }

    pub(crate) fn out(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("out")).unwrap()
    }

    pub(crate) fn err(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("err")).unwrap()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// What it left behind, once it has ended; no exit code if a signal ended it.
    pub(crate) fn ended(&mut self) -> Ended {
        let code = self.child.wait().unwrap().code();
        Ended { code, out: self.out(), err: self.err() }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Only what a failing test left running is still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries until there is something, for a minute at most.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only what a failing test left running is still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
