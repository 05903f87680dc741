//! What a process on this machine uses, as Linux says it in `/proc`.

use std::io;
use std::time::Duration;

/// Linux counts processor time for `/proc` in hundredths of a second, whatever its own tick.
const TICKS_PER_S: u64 = 100;

/// A process by its id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process(pub(super) u32);

impl Process {
    /// Processor time that all its threads have used, in user and kernel mode.
    pub(super) fn cpu_time(self) -> io::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        let ticks = parse_ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_S))
    }

    /// Memory that is resident.
    pub(super) fn resident_bytes(self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        Ok(kib.ok_or(io::ErrorKind::InvalidData)? * 1024)
    }
}

/// The fields `utime` and `stime` of proc(5). The name before them may hold spaces.
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 2 3 4 250 31 5 6 20 0 1 0 99";
        assert_eq!(parse_ticks(stat), Some(281));
        assert_eq!(parse_ticks("7 (x) S 1"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let me = Process(std::process::id());
        assert!(me.resident_bytes().unwrap() > 0);
        let before = me.cpu_time().unwrap();
        assert!(me.cpu_time().unwrap() >= before);
        assert!(Process(u32::MAX).cpu_time().is_err());
    }
}
