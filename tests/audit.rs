//! The audit log of the real supervisor: each run has one record with what really ran, and neither a
//! hostile server nor a hostile run nor a journal that fails changes that. tests/vm tries the real
//! journald.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
#[allow(dead_code, reason = "tests/halves.rs uses the rest")]
#[path = "halves/fake_server.rs"]
mod fake_server;

#[cfg(test)]
#[path = "audit/journal.rs"]
mod journal;

#[cfg(test)]
#[path = "audit/in_the_journal.rs"]
mod in_the_journal;

#[cfg(test)]
#[path = "audit/on_stderr.rs"]
mod on_stderr;
