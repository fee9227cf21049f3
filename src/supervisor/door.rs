//! Where our one server comes from when we are a service: systemd listens, and we take the first
//! connection. Who may connect is the mode of the socket's file (systemd/primcs-supervisor.socket).
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use nix::sys::socket::{getsockopt, sockopt};

use crate::sys::descriptors;

/// Whether this is a socket on which somebody listens, and no connection.
pub fn listens(socket: &OwnedFd) -> io::Result<bool> {
    Ok(getsockopt(socket, sockopt::AcceptConn)?)
}

/// Takes the connection that waits, if one does.
pub fn accept(listening: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    descriptors::set_nonblocking(listening)?;
    // std asks nothing of the kind of socket.
    match UnixListener::from(listening.try_clone()?).accept() {
        Ok((connection, _)) => Ok(Some(connection.into())),
        Err(error) if is_nobody(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Nobody has come, or whoever came has left again.
fn is_nobody(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | ConnectionAborted | Interrupted)
}
