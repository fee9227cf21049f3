//! What the server and the supervisor say to each other: bounded JSON messages, one a packet, over
//! a `SOCK_SEQPACKET` socket, with descriptors beside them.
//!
//! Each side trusts nothing of the other: an unknown, oversized, truncated or out-of-turn message
//! ends the connection. There is no negotiation inside one package: versions must be equal.
#![forbid(unsafe_code)]

pub mod codec;
pub mod message;

pub use codec::{CodecError, receive, send};
pub use message::{
    CancelReason, Counted, Ended, FailedStep, InterpreterInfo, LimitsInForce, ProbeReport, Refusal,
    RunRequest, Started, ToServer, ToSupervisor, Unable, Usage, Verdict, Welcome,
};
