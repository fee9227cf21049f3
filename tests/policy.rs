//! The policy proves itself: every entry that keeps something out names the tests that try it, each
//! system-call rule is executed under the shipped filters with arguments on either side of it, and
//! what a run sees of a file system is what `mounts.toml` lists.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
#[path = "policy/headers.rs"]
mod headers;

#[cfg(test)]
#[path = "policy/proofs.rs"]
mod proofs;

#[cfg(test)]
#[path = "policy/rows.rs"]
mod rows;

#[cfg(test)]
#[path = "policy/filters.rs"]
mod filters;

#[cfg(test)]
#[path = "policy/in_a_run.rs"]
mod in_a_run;

#[cfg(test)]
#[path = "policy/views.rs"]
mod views;

#[cfg(test)]
#[path = "policy/limits.rs"]
mod limits;

#[cfg(test)]
#[path = "policy/places.rs"]
mod places;

#[cfg(test)]
#[path = "policy/command.rs"]
mod command;
