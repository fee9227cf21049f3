//! The journal's native protocol, as far as we speak it: one entry a datagram. Every value stands
//! behind its length, so that none, whatever is in it, can end its field or begin another.
//!
//! Trusts nothing of what it carries. A journal that does not take an entry, at once or within the
//! caller's patience, is an error for the caller to answer.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::stat::fstat;

/// Where journald listens, on every host that has it.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// Set by systemd for what it starts: which file is the journal's.
pub const STREAM: &str = "JOURNAL_STREAM";

/// The journal takes no longer name.
const LONGEST_NAME: usize = 64;

/// Whether stderr is what systemd has connected to the journal, and was not redirected since.
#[must_use]
pub fn is_stderr(stream: Option<&OsStr>) -> bool {
    let found = fstat(io::stderr()).map(|found| format!("{}:{}", found.st_dev, found.st_ino));
    stream.and_then(OsStr::to_str).zip(found.ok()).is_some_and(|(said, found)| said == found)
}

/// A socket to send entries from, that waits so long for room at most; without patience, never.
pub fn socket(patience: Option<Duration>) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(patience.is_none())?;
    socket.set_write_timeout(patience)?;
    Ok(socket)
}

/// One entry.
#[derive(Debug, Default)]
pub struct Entry(Vec<u8>);

impl Entry {
    /// Adds a field; a character that no name may have becomes `_`.
    pub fn add(&mut self, name: &str, value: &str) {
        let plain = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'_' };
        self.0.extend(name.bytes().take(LONGEST_NAME).map(|byte| plain(byte.to_ascii_uppercase())));
        self.0.push(b'\n');
        self.0.extend(u64::try_from(value.len()).unwrap_or(u64::MAX).to_le_bytes());
        self.0.extend(value.bytes());
        self.0.push(b'\n');
    }

    /// As it is sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_everything_that_separates_fields_is_one_field() {
        let mut entry = Entry::default();
        entry.add("primcs.who", "a\n\nPRIORITY=0\nX\n");
        assert_eq!(entry.bytes(), b"PRIMCS_WHO\n\x10\0\0\0\0\0\0\0a\n\nPRIORITY=0\nX\n\n");
    }

    #[test]
    fn stderr_is_the_journal_only_when_systemd_named_this_very_file() {
        assert!(!is_stderr(None));
        assert!(!is_stderr(Some(OsStr::new("0:0"))));
        let own = fstat(io::stderr()).unwrap();
        let named = format!("{}:{}", own.st_dev, own.st_ino);
        assert!(is_stderr(Some(OsStr::new(&named))));
    }
}
