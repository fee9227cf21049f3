//! What the tests share: where the programs are, clients that send exactly what they are told, and
//! the kernel's own view of what is left. Each test program uses a part of it.
#![forbid(unsafe_code)]
#![allow(dead_code, reason = "shared; each test program uses a part")]

pub(crate) mod aloud;
pub(crate) mod http;
pub(crate) mod mcp;
pub(crate) mod places;
pub(crate) mod policies;
pub(crate) mod processes;
pub(crate) mod programs;
pub(crate) mod server;
pub(crate) mod sources;
pub(crate) mod stdio;
pub(crate) mod stubborn;
