//! A job's command: started, fed, listened to within bounds, and ended with all that it started.

use super::guard::Guard;
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    io::{self, Write},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

/// What is kept of the end of stderr.
const STDERR_BYTES_MAX: usize = 4 * 1_024;
const CHUNK_BYTES: usize = 8 * 1_024;
/// How long output may still come after the command itself has ended.
const DRAIN: Duration = Duration::from_millis(500);

/// Becomes the command, which is its `$0`, once it is told to on stdin; what follows there is the
/// command's. A worker that is killed before it has told its guard tells nobody, and nothing is run.
const BEGIN: &str = r#"read -r go && exec sh -c "$0""#;

/// What a command wrote.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// All of stdout, if it was within the bound.
    pub(super) out: Option<Vec<u8>>,
    /// The last of stderr.
    pub(super) err: Vec<u8>,
}

/// A command that was started: a group of processes of its own.
pub(super) struct Running {
    child: Child,
    group: Pid,
    guard: Arc<Guard>,
    out: Arc<Mutex<Head>>,
    err: Arc<Mutex<Tail>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts `sh -c command` with these variables and `payload` as its stdin.
    pub(super) fn start(
        command: &str,
        variables: &[(&str, &str)],
        payload: &str,
        out_bytes_max: usize,
        guard: Arc<Guard>,
    ) -> io::Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", BEGIN, command])
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let group = pid.ok_or_else(|| io::Error::other("it has no process id"))?;
        guard.watch(group);
        if let Some(mut stdin) = child.stdin.take() {
            let told = format!("go\n{payload}");
            // A command that does not want to know closes it, which is its own affair.
            tokio::spawn(async move { _ = stdin.write_all(told.as_bytes()).await });
        }
        let out = Arc::new(Mutex::new(Head { bytes: Vec::new(), max: out_bytes_max, whole: true }));
        let err = Arc::new(Mutex::new(Tail::default()));
        let mut readers = Vec::with_capacity(2);
        readers.extend(child.stdout.take().map(|pipe| tokio::spawn(read(pipe, Arc::clone(&out)))));
        readers.extend(child.stderr.take().map(|pipe| tokio::spawn(read(pipe, Arc::clone(&err)))));
        Ok(Self { child, group, guard, out, err, readers })
    }

    /// Completes once the command has ended. May be dropped and asked again.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends it: asks first, and makes it so after `grace`.
    pub(super) async fn stop(&mut self, grace: Duration) {
        let _ = kill_process_group(self.group, Signal::TERM);
        let asked = timeout(grace, self.child.wait()).await;
        // The group, for whatever it has started: mostly there is nobody left.
        let _ = kill_process_group(self.group, Signal::KILL);
        if asked.is_err() {
            let _ = self.child.wait().await;
        }
    }

    /// What it wrote, once it has ended. What it left running and still writes is ended too.
    pub(super) async fn output(mut self) -> Output {
        let readers = std::mem::take(&mut self.readers);
        let mut unread = false;
        for mut reader in readers {
            if timeout(DRAIN, &mut reader).await.is_err() {
                unread = true;
                reader.abort();
            }
        }
        if unread {
            let _ = kill_process_group(self.group, Signal::KILL);
        }
        self.guard.forget(self.group);
        let head = std::mem::take(&mut *lock(&self.out));
        let tail = std::mem::take(&mut *lock(&self.err));
        Output { out: head.whole.then_some(head.bytes), err: tail.0 }
    }
}

trait Keep: Send + 'static {
    fn keep(&mut self, chunk: &[u8]);
}

/// The first bytes, and whether they were all.
#[derive(Default)]
struct Head {
    bytes: Vec<u8>,
    max: usize,
    whole: bool,
}

impl Keep for Head {
    fn keep(&mut self, chunk: &[u8]) {
        self.whole &= self.bytes.len() + chunk.len() <= self.max;
        if self.whole {
            self.bytes.extend_from_slice(chunk);
        } else {
            self.bytes = Vec::new();
        }
    }
}

/// The last bytes; all of them also go where the worker's own words go.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Keep for Tail {
    fn keep(&mut self, chunk: &[u8]) {
        let _ = io::stderr().write_all(chunk);
        self.0.extend_from_slice(chunk);
        self.0.drain(..self.0.len().saturating_sub(STDERR_BYTES_MAX));
    }
}

async fn read(mut pipe: impl AsyncRead + Unpin, into: Arc<Mutex<impl Keep>>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(bytes @ 1..) = pipe.read(&mut chunk).await {
        lock(&into).keep(&chunk[..bytes]);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(30);

    fn start(command: &str, payload: &str) -> Running {
        let guard = Arc::new(Guard::start().unwrap());
        Running::start(command, &[("NAME", "a b")], payload, 1_000, guard).unwrap()
    }

    async fn run(command: &str, payload: &str) -> (Option<i32>, Output) {
        let mut running = start(command, payload);
        let status = running.ended().await.unwrap();
        (status.code(), running.output().await)
    }

    #[tokio::test]
    async fn a_command_has_its_payload_and_variables_and_is_heard() {
        let (code, output) = run("cat; printf %s \"$NAME\"; echo no >&2; exit 3", "[1]").await;
        assert_eq!((code, output.out.as_deref()), (Some(3), Some(&b"[1]a b"[..])));
        assert_eq!(output.err, b"no\n");
    }

    /// Neither blocks: a payload that nobody reads, and output that nobody keeps.
    #[tokio::test]
    async fn what_is_not_read_and_what_is_too_much_stops_nothing() {
        let large = "x".repeat(1 << 20);
        let (code, output) =
            run("yes 2>&1 | head -c 300000; yes no | head -c 9000 >&2", &large).await;
        assert_eq!((code, output.out), (Some(0), None));
        assert_eq!(output.err.len(), STDERR_BYTES_MAX);
    }

    #[tokio::test]
    async fn what_a_command_leaves_behind_does_not_hold_it_up() {
        let (code, output) = run("sleep 1000 & echo $!", "").await;
        assert_eq!(code, Some(0));
        let left = String::from_utf8(output.out.unwrap()).unwrap();
        gone(left.trim().parse().unwrap()).await;
    }

    #[tokio::test]
    async fn a_command_that_does_not_listen_is_ended_with_what_it_started() {
        let mut running = start("trap '' TERM; sleep 1000 & echo $!; wait; wait", "");
        // It has started its own once it has said so.
        while lock(&running.out).bytes.is_empty() {
            tokio::task::yield_now().await;
        }
        running.stop(Duration::from_millis(10)).await;
        assert_eq!(running.ended().await.unwrap().code(), None);
        let out = running.output().await.out.unwrap();
        gone(String::from_utf8(out).unwrap().trim().parse().unwrap()).await;
        let mut polite = start("trap 'exit 7' TERM; echo x; while :; do sleep 0.01; done", "");
        while lock(&polite.out).bytes.is_empty() {
            tokio::task::yield_now().await;
        }
        polite.stop(GRACE).await;
        assert_eq!(polite.ended().await.unwrap().code(), Some(7));
    }

    /// Waits until a process is gone, or only waits to be buried.
    async fn gone(pid: i32) {
        let state = || {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            status.rsplit(") ").next()?.chars().next()
        };
        while state().is_some_and(|state| state != 'Z') {
            tokio::task::yield_now().await;
        }
    }
}
