//! Our own words on stdout. A reader that has gone (`primcs ... | head -1`) wanted no more of them,
//! so that is no failure.
#![forbid(unsafe_code)]

use std::io::{self, Write as _};

pub(super) fn print(text: &str) -> io::Result<()> {
    unless_reader_left(io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()))
}

/// The same for whatever else was written.
pub(super) fn unless_reader_left(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
