//! A journal in the hands of a test, at the path where journald listens: the programs under test are
//! started in a mount namespace of their own, which takes root.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::stat::fstat;

use super::support::aloud::not_tried;
use super::support::programs::{checkout, empty_folder, forget_settings};

/// The fields of one entry.
pub(crate) type Entry = BTreeMap<String, String>;

/// What listens, until it is told not to.
pub(crate) struct Journal {
    folder: PathBuf,
    socket: Option<UnixDatagram>,
    /// Stands for the journal's end of the stderr of what we start.
    stderr: UnixStream,
    theirs: OwnedFd,
}

impl Journal {
    /// None, and said so, for a user who can mount nothing.
    #[track_caller]
    pub(crate) fn new(name: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            not_tried("only root can put a journal of its own where journald listens");
            return None;
        }
        let (stderr, theirs) = UnixStream::pair().expect("a pair");
        let folder = empty_folder(&format!("journal-{name}"));
        let mut journal = Self { folder, socket: None, stderr, theirs: theirs.into() };
        journal.listen();
        Some(journal)
    }

    /// Where it listens.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// Takes entries, from now on.
    pub(crate) fn listen(&mut self) {
        let path = self.path();
        let socket = UnixDatagram::bind(&path).expect("a socket");
        fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("a mode");
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        self.socket = Some(socket);
    }

    /// As when journald is gone and its socket with it.
    pub(crate) fn go(&mut self) {
        self.socket = None;
        fs::remove_file(self.path()).expect("the socket");
    }

    /// A command that starts `program` so that its stderr, and it knows, is the journal's.
    pub(crate) fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new("unshare");
        forget_settings(&mut command);
        command.args(["-m", "sh"]).arg(checkout().join("tests/audit/journal.sh"));
        command.arg(&self.folder).arg(program);
        let stream = fstat(&self.theirs).expect("a stream");
        command.env("JOURNAL_STREAM", format!("{}:{}", stream.st_dev, stream.st_ino));
        command.stderr(Stdio::from(self.theirs.try_clone().expect("a descriptor")));
        command
    }

    /// The next entry.
    #[track_caller]
    pub(crate) fn next(&self) -> Entry {
        let mut bytes = vec![0; 1 << 18];
        let socket = self.socket.as_ref().expect("it listens");
        let length = socket.recv(&mut bytes).expect("an entry in time");
        entry(&bytes[..length])
    }

    /// The next one of this kind of audit record; others are passed over.
    #[track_caller]
    pub(crate) fn record(&self, audit: &str) -> Entry {
        loop {
            let entry = self.next();
            if entry.get("PRIMCS_AUDIT").is_some_and(|kind| kind == audit) {
                return entry;
            }
        }
    }

    /// What was written to stderr as text so far.
    pub(crate) fn stderr(&self) -> String {
        use std::io::Read as _;
        self.stderr.set_nonblocking(true).expect("a socket");
        let mut bytes = vec![0; 1 << 16];
        let length = (&self.stderr).read(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}

/// Reads one entry as journald does; a second field of one name, or a second entry, is a failure.
fn entry(mut bytes: &[u8]) -> Entry {
    let mut fields = Entry::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n').expect("a line");
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        let (name, value);
        if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
            (name, value, bytes) = (&line[..equals], &line[equals + 1..], rest);
        } else {
            let length = u64::from_le_bytes(rest[..8].try_into().expect("eight bytes"));
            let end = 8 + usize::try_from(length).expect("a length");
            assert_eq!(rest[end], b'\n');
            (name, value, bytes) = (line, &rest[8..end], &rest[end + 1..]);
        }
        let name = String::from_utf8(name.to_vec()).expect("a name");
        assert!(!name.is_empty() && !name.starts_with('_'), "{name:?}");
        let value = String::from_utf8(value.to_vec()).expect("text");
        assert_eq!(fields.insert(name.clone(), value), None, "{name} twice");
    }
    fields
}
