//! Framing: one JSON value a packet, descriptors beside it, both bounded.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Serialize, de::DeserializeOwned};

use crate::sys::socket;

/// Largest packet. 20,000 characters of code take at most six bytes each as JSON.
pub const MAX_MESSAGE: usize = 160 * 1024;

/// Most descriptors beside one message.
pub const MAX_DESCRIPTORS: usize = 4;

/// What can go wrong; each of these ends the connection.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The kernel said no.
    #[error("cannot use the socket")]
    Socket(#[source] std::io::Error),
    /// Not the JSON of a known message.
    #[error("not a message of this version")]
    Malformed(#[source] serde_json::Error),
    /// Larger than [`MAX_MESSAGE`], or more descriptors than [`MAX_DESCRIPTORS`].
    #[error("message is larger than the protocol allows")]
    TooLarge,
}

/// Sends one message.
pub fn send<T: Serialize>(
    socket: impl AsFd,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), CodecError> {
    let bytes = serde_json::to_vec(message).map_err(CodecError::Malformed)?;
    if bytes.len() > MAX_MESSAGE || descriptors.len() > MAX_DESCRIPTORS {
        return Err(CodecError::TooLarge);
    }
    socket::send_packet(socket.as_fd(), &bytes, descriptors).map_err(CodecError::Socket)
}

/// Receives one message with its descriptors; `None` when the other side has closed.
pub fn receive<T: DeserializeOwned>(
    socket: impl AsFd,
) -> Result<Option<(T, Vec<OwnedFd>)>, CodecError> {
    let packet = socket::receive_packet(socket.as_fd(), MAX_MESSAGE, MAX_DESCRIPTORS)
        .map_err(CodecError::Socket)?;
    if packet.truncated {
        return Err(CodecError::TooLarge);
    }
    if packet.bytes.is_empty() {
        return Ok(None);
    }
    let message = serde_json::from_slice(&packet.bytes).map_err(CodecError::Malformed)?;
    Ok(Some((message, packet.descriptors)))
}
