//! How many record locks (fcntl) a run holds. The kernel charges nobody for them and has no limit
//! (seen: 2.3 GB of the host's memory in 46 seconds from a run charged 54 MB), and each one makes
//! every later look at its file longer. `/proc/locks` says which process holds each; to which run
//! that belongs, its pid namespace says. A `flock` needs an open file of its own, which is charged.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use nix::unistd::Pid;

/// More is not read: one run cannot make so many between two looks.
const MOST_TEXT: u64 = 16 << 20;

/// Record locks in the pid namespace of this process; when all on the host are `most` or fewer,
/// their number, since no run can then hold more.
pub fn count(member: Pid, most: u64) -> io::Result<u64> {
    let mut text = Vec::new();
    File::open("/proc/locks")?.take(MOST_TEXT).read_to_end(&mut text)?;
    let holders = holders(&String::from_utf8_lossy(&text));
    let all = holders.values().sum();
    if all <= most {
        return Ok(all);
    }
    let own = namespace(member)?;
    let is_own = |pid: i32| namespace(Pid::from_raw(pid)).is_ok_and(|namespace| namespace == own);
    Ok(holders.into_iter().filter(|(pid, _)| is_own(*pid)).map(|(_, held)| held).sum())
}

fn namespace(pid: Pid) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/pid"))
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
}
