//! How many connections the door may hold: as many as leave descriptors for every run.
#![forbid(unsafe_code)]

use crate::server::assemble::whole;

/// More wait in the kernel's backlog. Queue and live runs together fit.
const MOST: u64 = 1000;

/// Fewer, and a handful of idle clients shut everybody else out.
const LEAST: u64 = 16;

/// For what is open all the time: log, socket, runtime, listener, and files read at times.
const OWN: u64 = 64;

/// Stdout, stderr and result.
const PIPES_OF_A_RUN: u64 = 3;

/// What a server with so many runs needs at least.
pub(in crate::server) fn least_descriptors(max_runs: u32) -> u64 {
    let pipes = PIPES_OF_A_RUN.saturating_mul(u64::from(max_runs));
    OWN.saturating_add(pipes).saturating_add(LEAST)
}

/// Connections at most, or `None` when too few would remain.
pub(in crate::server) fn connections(descriptors: u64, max_runs: u32) -> Option<usize> {
    let more = descriptors.checked_sub(least_descriptors(max_runs))?;
    Some(whole(LEAST.saturating_add(more).min(MOST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_runs_together_never_use_up_the_descriptors() {
        for (descriptors, max_runs, most) in [
            (8192, 14, Some(1000)),
            (1024, 14, Some(918)),
            (256, 4, Some(180)),
            (122, 14, Some(16)),
            (121, 14, None),
            (0, 1, None),
            (1024, u32::MAX, None),
            (u64::MAX, u32::MAX, Some(1000)),
        ] {
            assert_eq!(connections(descriptors, max_runs), most, "{descriptors}, {max_runs} runs");
        }
    }
}
