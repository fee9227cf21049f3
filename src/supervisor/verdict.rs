//! How a run ended. Decided here and only here, from what the kernel counted and what this
//! supervisor did itself; the program's own word counts as an exit status, no more.
#![forbid(unsafe_code)]

use crate::sandbox::report::StepFailure;
use crate::wire::{CancelReason, Verdict};

/// What made a run end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The init reported the end of the program.
    Ended {
        /// When it exited.
        exit_code: Option<i32>,
        /// When a signal ended it.
        signal: Option<i32>,
    },
    /// The init vanished without a word: killed from outside, or with its whole cgroup.
    Vanished,
    /// The wall clock ran out.
    Timeout,
    /// The kernel said that memory ran out.
    OutOfMemory,
    /// It held more network sockets or locks than the policy allows, and those are charged to nobody.
    HeldTooMany,
    /// The server asked.
    Cancelled(CancelReason),
    /// A step of confinement failed.
    StepFailed(StepFailure),
    /// This supervisor is stopping.
    Stopping,
}

/// The verdict, given how many processes the kernel killed for want of memory.
#[must_use]
pub fn decide(cause: &Cause, oom_kills: u64) -> Verdict {
    match cause {
        Cause::StepFailed(_) => Verdict::SandboxFailed,
        Cause::Cancelled(CancelReason::Client) => Verdict::Cancelled,
        Cause::Cancelled(CancelReason::OutputLimit) => Verdict::OutputLimit,
        Cause::OutOfMemory | Cause::HeldTooMany => Verdict::OutOfMemory,
        // A child may have been the victim and the program gone on: the limit was hit all the same.
        Cause::Ended { .. } | Cause::Vanished | Cause::Timeout if oom_kills > 0 => {
            Verdict::OutOfMemory
        }
        Cause::Ended { exit_code: Some(0), .. } => Verdict::Ok,
        Cause::Ended { .. } => Verdict::Error,
        Cause::Timeout => Verdict::Timeout,
        Cause::Cancelled(CancelReason::Shutdown) | Cause::Stopping | Cause::Vanished => {
            Verdict::Killed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(exit_code: Option<i32>, signal: Option<i32>) -> Cause {
        Cause::Ended { exit_code, signal }
    }

    #[test]
    fn the_exit_status_decides_when_nothing_else_happened() {
        assert_eq!(decide(&ended(Some(0), None), 0), Verdict::Ok);
        assert_eq!(decide(&ended(Some(3), None), 0), Verdict::Error);
        assert_eq!(decide(&ended(None, Some(11)), 0), Verdict::Error);
    }

    #[test]
    fn a_kill_for_memory_outweighs_what_the_program_says() {
        assert_eq!(decide(&ended(Some(0), None), 1), Verdict::OutOfMemory);
        assert_eq!(decide(&Cause::Vanished, 1), Verdict::OutOfMemory);
    }

    #[test]
    fn what_the_server_asked_for_is_its_reason_and_nothing_more() {
        assert_eq!(decide(&Cause::Cancelled(CancelReason::Client), 1), Verdict::Cancelled);
        assert_eq!(decide(&Cause::Cancelled(CancelReason::OutputLimit), 0), Verdict::OutputLimit);
        assert_eq!(decide(&Cause::Cancelled(CancelReason::Shutdown), 0), Verdict::Killed);
    }
}
