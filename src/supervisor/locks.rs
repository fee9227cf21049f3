//! Record locks (fcntl) are kernel memory that nobody is charged for, and no limit bounds them
//! (seen: 2.3 GB of the host's memory in 46 seconds from a run charged 54 MB). To list them costs
//! the kernel milliseconds, so nobody looks while its unreclaimable memory does not grow. When it
//! does, a sample of the newest locks names the run that hoards them.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs::{File, read_link, read_to_string};
use std::io::{self, Read};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

/// How often the kernel's memory is looked at while runs live.
pub const PERIOD: Duration = Duration::from_millis(100);

/// Some thousand locks; those made last come first.
const SAMPLE: u64 = 64 * 1024;

/// So many of the sample are no accident.
const HOARD: u64 = 250;

/// The kernel's memory as it was, and when to look again.
#[derive(Debug, Default)]
pub struct Watch {
    least: Option<u64>,
    next: Option<Instant>,
}

impl Watch {
    /// When to look; never while nothing runs.
    #[must_use]
    pub const fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Whether the kernel's own memory has grown by more than `most` bytes since the least that was
    /// seen while runs live.
    pub fn has_grown(&mut self, running: bool, most: u64, now: Instant) -> io::Result<bool> {
        if !running {
            *self = Self::default();
        }
        if !running || self.next.is_some_and(|next| next > now) {
            return Ok(false);
        }
        self.next = Some(now + PERIOD);
        let used = unreclaimable(&read_to_string("/proc/meminfo")?);
        let least = self.least.unwrap_or(used).min(used);
        let grown = used - least > most;
        // Whoever it was, the next look waits until it has grown as much again.
        self.least = Some(if grown { used } else { least });
        Ok(grown)
    }
}

/// Which of these inits' runs holds most of the newest locks, when that is too many.
pub fn hoarder(inits: &[Pid]) -> io::Result<Option<Pid>> {
    let mut text = Vec::new();
    File::open("/proc/locks")?.take(SAMPLE).read_to_end(&mut text)?;
    let namespace = |pid: Pid| read_link(format!("/proc/{pid}/ns/pid")).ok();
    let mut held: HashMap<_, u64> = HashMap::new();
    for (holder, count) in holders(&String::from_utf8_lossy(&text)) {
        *held.entry(namespace(Pid::from_raw(holder))).or_default() += count;
    }
    let own = |init: &Pid| held.get(&Some(namespace(*init)?)).copied();
    let most = inits.iter().filter_map(|init| Some((own(init)?, *init))).max();
    Ok(most.filter(|(held, _)| *held > HOARD).map(|(_, init)| init))
}

fn unreclaimable(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("SUnreclaim:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// How many each process holds. A line is `1: POSIX  ADVISORY  WRITE 1234 00:2d:56 0 EOF`.
fn holders(text: &str) -> HashMap<i32, u64> {
    let mut holders = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split_whitespace().skip(1);
        if fields.next() == Some("POSIX")
            && let Some(pid) = fields.nth(2).and_then(|pid| pid.parse().ok())
        {
            *holders.entry(pid).or_default() += 1;
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_locks_count_for_their_holder_and_nothing_else_does() {
        let text = "1: POSIX  ADVISORY  WRITE 12 00:2d:56 0 EOF\n1: -> POSIX  ADVISORY  WRITE 13 00:2d:56 0 EOF\n2: FLOCK  ADVISORY  WRITE 12 00:2d:56 0 EOF\n3: POSIX  ADVISORY  READ 12 00:2d:57 0 9\n4: OFDLCK ADVISORY  READ -1 00:2d:57 0 9\n";
        assert_eq!(holders(text), HashMap::from([(12, 2)]));
    }

    #[test]
    fn growth_is_told_once_for_each_step_of_it() {
        assert_eq!(unreclaimable("Slab: 9 kB\nSUnreclaim:   7 kB\n"), 7168);
        let (mut watch, now) = (Watch::default(), Instant::now());
        assert!(!watch.has_grown(true, 0, now).unwrap(), "there is nothing to compare with yet");
        watch.least = Some(0);
        assert!(!watch.has_grown(true, 0, now).unwrap(), "it is not time yet");
        assert!(watch.has_grown(true, 0, now + PERIOD).unwrap());
        assert!(!watch.has_grown(true, u64::MAX, now + 2 * PERIOD).unwrap());
        assert!(!watch.has_grown(false, 0, now + 3 * PERIOD).unwrap());
        assert_eq!(watch.next(), None, "nothing runs");
    }
}
