//! Commands do not outlive their worker: a process beside it ends them when it is gone, however it
//! went. It learns that from a pipe which nobody else holds, so that even SIGKILL is noticed.

use crate::failure::Failure;
use rustix::process::Pid;
use std::{
    io::Write,
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, PoisonError},
};

/// Reads `+ GROUP` and `- GROUP` until nobody can write any more, and ends the groups that are left.
const SCRIPT: &str = r#"
groups=
while read -r sign group; do
  case $sign in
    +) groups="$groups $group" ;;
    -) left=
       for other in $groups; do [ "$other" = "$group" ] || left="$left $other"; done
       groups=$left ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
"#;

/// The process beside the worker.
pub(super) struct Guard {
    process: Child,
    /// None once it is to end.
    pipe: Mutex<Option<ChildStdin>>,
}

impl Guard {
    pub(super) fn start() -> Result<Self, Failure> {
        let mut process = Command::new("sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // What interrupts the worker's group must not end this before the worker.
            .process_group(0)
            .spawn()
            .map_err(|error| Failure::because("cannot start sh, which runs the commands", error))?;
        let pipe = Mutex::new(process.stdin.take());
        Ok(Self { process, pipe })
    }

    /// A group of processes is to end with the worker.
    pub(super) fn watch(&self, group: Pid) {
        self.write('+', group);
    }

    /// It has ended.
    pub(super) fn forget(&self, group: Pid) {
        self.write('-', group);
    }

    /// A line is written at once or not at all. Without its guard a worker still works.
    fn write(&self, sign: char, group: Pid) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{sign} {}\n", group.as_raw_nonzero());
        if let Some(Err(error)) = pipe.as_mut().map(|pipe| pipe.write_all(line.as_bytes())) {
            tracing::warn!(%error, "the process that ends commands with their worker is gone");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        let _ = self.process.wait();
    }
}
