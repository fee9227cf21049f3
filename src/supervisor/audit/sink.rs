//! Where audit records go, and in which form: entries of the journal under systemd, else lines of
//! JSON on stderr. The journal is waited for no longer than a burst of entries takes it, and stderr
//! never: every clock of every run stands still meanwhile.
#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{SFlag, fstat};
use serde_json::{Map, Value};

use crate::journal::{self, Entry};

/// Of every record, for ever; docs/audit.md has it.
const MESSAGE_ID: &str = "fb65211406c9461e8c5a146a9b5ae388";

/// How long the journal may take to make room for one record.
pub(super) const PATIENCE: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) enum Sink {
    /// Nobody wants records.
    Off,
    Journal(UnixDatagram),
    Stderr(OwnedFd),
}

impl Sink {
    pub(super) fn of_this_process() -> Self {
        if journal::is_stderr(std::env::var_os(journal::STREAM).as_deref())
            && let Ok(socket) = journal::socket(Some(PATIENCE))
        {
            return Self::Journal(socket);
        }
        Self::of_stderr()
    }

    pub(super) fn of_stderr() -> Self {
        // A closed stderr takes nothing, now or later.
        own_stderr().map_or(Self::Off, Self::Stderr)
    }

    /// Whether what cannot be sent is sent later.
    pub(super) const fn keeps(&self) -> bool {
        matches!(self, Self::Journal(_))
    }

    pub(super) fn encode(&self, record: &Map<String, Value>) -> Vec<u8> {
        match self {
            Self::Off => Vec::new(),
            Self::Journal(_) => entry(record).bytes().to_owned(),
            Self::Stderr(_) => line(record.clone()),
        }
    }

    pub(super) fn send(&self, encoded: &[u8]) -> io::Result<()> {
        let sent = match self {
            Self::Off => encoded.len(),
            // By its path each time: a journal that was started anew may have another socket.
            Self::Journal(socket) => socket.send_to(encoded, journal::SOCKET)?,
            Self::Stderr(stderr) => write_now(stderr, encoded)?,
        };
        if sent == encoded.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}

pub(super) fn line(record: Map<String, Value>) -> Vec<u8> {
    (Value::Object(record).to_string() + "\n").into_bytes()
}

fn entry(record: &Map<String, Value>) -> Entry {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let of = |name| record.get(name).map(text).unwrap_or_default();
    let mut entry = Entry::default();
    // What a caller has chosen comes last, so that it can pose as nothing else.
    let (event, run, verdict, who) = (of("audit"), of("run_id"), of("verdict"), of("principal"));
    entry.add("MESSAGE", format!("audit: {event} {run} {verdict} {who}").trim_end());
    entry.add("MESSAGE_ID", MESSAGE_ID);
    // Not `info`: a journal may be set to store nothing below `notice`.
    entry.add("PRIORITY", if verdict == "sandbox_failed" { "4" } else { "5" });
    entry.add("SYSLOG_IDENTIFIER", "primcs-supervisor");
    for (name, value) in record {
        entry.add(&format!("PRIMCS_{name}"), &text(value));
    }
    entry
}

/// A pipe is opened once more: whether it blocks would otherwise be settled for the server as well.
fn own_stderr() -> io::Result<OwnedFd> {
    let stderr = io::stderr();
    let is_pipe = fstat(&stderr)?.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFIFO.bits();
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_NONBLOCK);
    match is_pipe.then(|| options.open("/proc/self/fd/2")) {
        Some(Ok(pipe)) => Ok(pipe.into()),
        // A pipe that another user has made cannot be; then we look before we write.
        Some(Err(_)) | None => stderr.as_fd().try_clone_to_owned(),
    }
}

/// At once or not at all. A record is shorter than what a pipe takes in one piece: none is cut.
fn write_now(stderr: &OwnedFd, line: &[u8]) -> io::Result<usize> {
    match send(stderr.as_raw_fd(), line, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
        Err(Errno::ENOTSOCK) => {}
        sent => return Ok(sent?),
    }
    let mut polled = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut polled, PollTimeout::ZERO)? == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(nix::unistd::write(stderr, line)?)
}
