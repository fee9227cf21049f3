//! The private copy is checked through the page cache, at start and every few minutes: a flaw of the
//! kernel that writes into cached pages would show here and nowhere on the disk. A mismatch ends
//! admission for good, because every later run would start from those bytes.
#![forbid(unsafe_code)]

use std::io;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::base::{self, Base};
use crate::sys::clone::{Side, fork_process};
use crate::sys::descriptors::close_from;
use crate::sys::signals::exit_now;
use crate::sys::wait::Exit;

/// When the copy is looked at, and what was found.
#[derive(Debug)]
pub struct Integrity {
    period: Duration,
    next: Instant,
    checking: Option<(Pid, Instant)>,
    damaged: bool,
}

impl Integrity {
    /// The copy was found whole just now.
    #[must_use]
    pub fn checked_now(period: Duration) -> Self {
        Self { period, next: Instant::now() + period, checking: None, damaged: false }
    }

    /// When [`Integrity::attend`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.checking {
            Some((_, began)) => Some(began + PATIENCE),
            None => (!self.damaged).then_some(self.next),
        }
    }

    /// Starts a check whose time has come, ends one that takes too long.
    pub fn attend(&mut self, base: &Base) -> io::Result<()> {
        let now = Instant::now();
        match self.checking {
            _ if self.deadline().is_none_or(|due| due > now) => {}
            Some((child, _)) => {
                kill_check(child);
                // Its end is its answer; until then it is not killed again and again.
                self.checking = Some((child, now));
            }
            None => self.checking = Some((start_check(base)?, now)),
        }
        Ok(())
    }

    /// Ends a check that is under way; nobody will read its answer.
    pub fn stop(&mut self) {
        if let Some((child, _)) = self.checking {
            kill_check(child);
        }
    }

    /// Whether this child was a check; then its answer has been taken.
    pub fn take_answer(&mut self, exit: &Exit) -> bool {
        if self.checking.is_none_or(|(child, _)| child != exit.pid) {
            return false;
        }
        self.checking = None;
        self.next = Instant::now() + self.period;
        self.damaged |= !is_whole(exit);
        true
    }

    /// Whether runs must be refused.
    #[must_use]
    pub const fn is_damaged(&self) -> bool {
        self.damaged
    }
}

/// Reads the whole copy in a child: it takes a moment, and a flaw in reading it is not one in this
/// process. [`is_whole`] reads its exit.
pub fn start_check(base: &Base) -> io::Result<Pid> {
    match fork_process()? {
        Side::Parent(child) => Ok(child),
        Side::Child => {
            // It keeps nothing of ours open and does not outlive us.
            let alone = set_pdeathsig(Signal::SIGKILL).is_ok() && close_from(3).is_ok();
            let whole = base::verify(&base.directory).is_ok_and(|digest| digest == base.digest);
            exit_now(i32::from(!(alone && whole)))
        }
    }
}

/// What a check says by its exit; one that was killed says no.
#[must_use]
pub fn is_whole(exit: &Exit) -> bool {
    exit.exit_code == Some(0)
}

fn kill_check(child: Pid) {
    // ESRCH: it has ended by itself and waits to be reaped.
    let _ = kill(child, Signal::SIGKILL);
}

/// A check that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(pid: i32, exit_code: Option<i32>) -> Exit {
        Exit { pid: Pid::from_raw(pid), exit_code, signal: None }
    }

    #[test]
    fn a_check_that_fails_or_dies_is_never_forgotten() {
        for answer in [Some(1), None] {
            let mut integrity = Integrity::checked_now(Duration::ZERO);
            integrity.checking = Some((Pid::from_raw(7), Instant::now()));
            assert!(!integrity.take_answer(&exit(8, Some(1))), "somebody else's child");
            assert!(integrity.take_answer(&exit(7, answer)));
            assert!(integrity.is_damaged());
            assert_eq!(integrity.deadline(), None);
        }
    }
}
