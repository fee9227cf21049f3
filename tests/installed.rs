//! What is promised to whoever installs the package, tried on a machine with systemd and cgroup v2
//! that is thrown away afterwards: `make vm` brings it. Against the service as the package starts it,
//! through its public door, with the kernel's counters read from outside as witnesses.
//!
//! Not for any other machine: it kills, reboots, and removes the package. The parts run in the order
//! of `tests/vm/guest/phase`, one test at a time. Everything is slow there, so nothing is timed.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
#[path = "isolation/names.rs"]
#[macro_use]
mod names;

/// The attempts of `isolation/`, each as one test. Their weakened halves are `isolation.rs`'s.
#[cfg(test)]
macro_rules! attempts {
    ($($name:ident)*) => {
        /// Every file has a test.
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        mod a_run_cannot {
            $(#[test] fn $name() {
                let ran = crate::witness::Counter::of_the_runs("cpu.stat", "usage_usec");
                crate::attempt::try_barred(stringify!($name));
                ran.has_risen();
            })*
        }
    };
}

#[cfg(test)]
each_attempt!(attempts);

#[cfg(test)]
#[allow(dead_code, reason = "the weakened half is for isolation.rs")]
#[path = "isolation/attempt.rs"]
mod attempt;

#[cfg(test)]
#[path = "isolation/views.rs"]
mod views;

#[cfg(test)]
#[path = "isolation/ways_out.rs"]
mod ways_out;

#[cfg(test)]
#[path = "installed/leaving.rs"]
mod leaving;

#[cfg(test)]
#[path = "installed/lifecycle.rs"]
mod lifecycle;

#[cfg(test)]
#[path = "installed/limits.rs"]
mod limits;

#[cfg(test)]
#[path = "installed/rebooted.rs"]
mod rebooted;

#[cfg(test)]
#[path = "installed/remains.rs"]
mod remains;

#[cfg(test)]
#[path = "installed/removal.rs"]
mod removal;

#[cfg(test)]
#[path = "installed/rootless.rs"]
mod rootless;

#[cfg(test)]
#[path = "installed/service.rs"]
mod service;

#[cfg(test)]
#[path = "installed/token.rs"]
mod token;

#[cfg(test)]
#[path = "installed/unit.rs"]
mod unit;

#[cfg(test)]
#[path = "installed/witness.rs"]
mod witness;
