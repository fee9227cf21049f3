//! Whatever dies, and whenever: what depends on it is gone at once with everything it held, the
//! callers are told, the others go on, and the next start finds a clean house.
//!
//! `crashes/moments.rs` kills each of our processes at random moments under load,
//! `crashes/steps.rs` and `crashes/starts.rs` just after every step that has a name in the sources
//! (programs built with the feature `weaken`; src/sandbox/weaken/faults.rs says how).
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
#[path = "crashes/remains.rs"]
mod remains;

#[cfg(test)]
#[path = "crashes/load.rs"]
mod load;

#[cfg(test)]
#[path = "crashes/moments.rs"]
mod moments;

#[cfg(test)]
#[path = "crashes/named.rs"]
mod named;

#[cfg(test)]
#[path = "crashes/starts.rs"]
mod starts;

#[cfg(test)]
#[path = "crashes/steps.rs"]
mod steps;
