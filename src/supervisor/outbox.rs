//! Messages on their way to the server. The supervisor never blocks on a server that does not read:
//! what the socket does not take at once waits here, up to a bound.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::wire::{CodecError, ToServer, send};

/// A server that lets this many answers pile up is not the one we started.
const MOST_WAITING: usize = 4096;

/// The sending side of the server's socket.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<(ToServer, Vec<OwnedFd>)>,
}

impl Outbox {
    /// Queues one message with its descriptors.
    pub fn push(&mut self, message: ToServer, descriptors: Vec<OwnedFd>) {
        self.waiting.push_back((message, descriptors));
    }

    /// Whether the loop should wait for the socket to become writable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends what the socket takes.
    ///
    /// # Errors
    /// When the connection is to be ended.
    pub fn flush(&mut self, socket: BorrowedFd<'_>) -> Result<(), CodecError> {
        while let Some((message, descriptors)) = self.waiting.front() {
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            match send(socket, message, &borrowed) {
                Ok(()) => drop(self.waiting.pop_front()),
                Err(CodecError::Socket(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return if self.waiting.len() > MOST_WAITING {
                        Err(CodecError::TooLarge)
                    } else {
                        Ok(())
                    };
                }
                // The kernel counts descriptors under way by user: as a plain user, those of runs too.
                // No event tells when there is room again, so the loop turns slowly meanwhile.
                Err(CodecError::Socket(error))
                    if error.raw_os_error() == Some(libc::ETOOMANYREFS)
                        && self.waiting.len() <= MOST_WAITING =>
                {
                    std::thread::sleep(Duration::from_millis(1));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
