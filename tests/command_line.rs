//! `primcs` as a command: what it prints where, and how it exits. Scripts rely on it.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
#[path = "command_line/run.rs"]
mod run;

#[cfg(test)]
#[path = "command_line/others.rs"]
mod others;

#[cfg(test)]
#[path = "command_line/interpreter.rs"]
mod interpreter;

#[cfg(test)]
#[path = "command_line/policy.rs"]
mod policy;
