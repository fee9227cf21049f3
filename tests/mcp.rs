//! Both doors as a client meets them: protocol of both eras, the shape of call and result, and
//! every pitfall of HTTP, server-sent events and stdio that has bitten somebody before.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
#[path = "mcp/raw.rs"]
mod raw;

#[cfg(test)]
#[path = "mcp/protocol.rs"]
mod protocol;

#[cfg(test)]
#[path = "mcp/call.rs"]
mod call;

#[cfg(test)]
#[path = "mcp/http.rs"]
mod http;

#[cfg(test)]
#[path = "mcp/token.rs"]
mod token;

#[cfg(test)]
#[path = "mcp/confined.rs"]
mod confined;
