//! PRIMCS: arbitrary Python in a throw-away sandbox, behind one MCP tool.
//!
//! Two programs are built from this crate, and the line between them is the line of privilege:
//!
//! ```text
//! bin/primcs            -> server -> policy (read only), wire, sys (to confine itself)
//! bin/primcs-supervisor -> supervisor -> sandbox -> sys
//!                          supervisor, sandbox -> policy, wire
//! server, supervisor    -> settings -> trusted (files of the operator), notify and journal (systemd),
//!                          causes (how errors are told)
//! causes, journal, notify, policy, sys, trusted -> nothing of ours
//! wire                  -> nothing of ours but sys::socket
//! ```
//!
//! `server` is asynchronous, speaks MCP and has no privilege. `supervisor` is synchronous, has
//! privilege, reads nothing from a network and does one thing: turn an admitted request into a
//! confined process and say how that ended. `tests/architecture.rs` holds the arrows above.
//!
//! Start reading at `supervisor::run` for the privileged half, `server::run` for the other.

pub mod causes;
pub mod journal;
pub mod notify;
pub mod policy;
pub mod sandbox;
#[cfg(feature = "server")]
pub mod server;
pub mod settings;
pub mod supervisor;
pub mod sys;
pub mod trusted;
pub mod wire;
