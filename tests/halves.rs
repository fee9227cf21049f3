//! A hostile server speaks to the real supervisor and gets nothing: a message that is malformed,
//! oversized, unknown or out of turn, and any descriptor, ends the connection, the supervisor and
//! every run, and leaves nothing behind.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
#[path = "halves/fake_server.rs"]
mod fake_server;

#[cfg(test)]
#[path = "halves/copy.rs"]
mod copy;

#[cfg(test)]
#[path = "halves/messages.rs"]
mod messages;

#[cfg(test)]
#[path = "halves/descriptors.rs"]
mod descriptors;

#[cfg(test)]
#[path = "halves/floods.rs"]
mod floods;

#[cfg(test)]
#[path = "halves/policies.rs"]
mod policies;
