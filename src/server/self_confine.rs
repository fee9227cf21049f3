//! The server confines itself: after this a bug in HTTP or JSON is a bug in a process that can
//! open no file, start no program and call few parts of the kernel.
//!
//! Two steps, because Landlock binds only the calling thread: files first, while there is one
//! thread, then the filter on all of them. Then the kernel is asked whether it is so. Every failure
//! stops the start.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, Read as _};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

use crate::policy::Policy;

use super::weaken;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfineError {
    #[error("cannot restrict the server's files")]
    Landlock(#[from] RulesetError),
    #[error("cannot open {THREADS}, which the server must keep to check itself")]
    Threads(#[source] landlock::PathFdError),
    #[error("the kernel has Landlock, yet it does not hold the server")]
    LandlockNotInForce,
    #[error("the server's filter does not compile: {0}")]
    Compile(String),
    #[error("cannot install the server's filter")]
    Install(#[source] seccompiler::Error),
    #[error("cannot read back how the server is confined")]
    ReadBack(#[source] io::Error),
    #[error("thread {thread} of the server is not confined: {field} is {value}, not {want}")]
    NotConfined { thread: String, field: &'static str, value: String, want: &'static str },
}

/// The only path the server can still open: its own threads, to read back what holds for them.
const THREADS: &str = "/proc/self/task";

/// What must stand in the status of every thread.
const IN_FORCE: [(&str, &str); 6] = [
    ("NoNewPrivs", "1"),
    ("Seccomp", "2"),
    ("CapInh", NO_CAPABILITY),
    ("CapPrm", NO_CAPABILITY),
    ("CapEff", NO_CAPABILITY),
    ("CapAmb", NO_CAPABILITY),
];
const NO_CAPABILITY: &str = "0000000000000000";

/// No file, no new port, no connection, no signal to others. Call with one thread, when every file
/// is read and the port is bound. `kernel_has_it` is what the supervisor found.
pub(super) fn restrict_files(kernel_has_it: bool) -> Result<(), ConfineError> {
    if !weaken::stands("server_landlock") {
        return Ok(());
    }
    let abi = ABI::V6;
    let threads = PathFd::new(THREADS).map_err(ConfineError::Threads)?;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rule(PathBeneath::new(threads, AccessFs::ReadFile | AccessFs::ReadDir))?
        .restrict_self()?;
    match status.ruleset {
        RulesetStatus::NotEnforced if kernel_has_it => Err(ConfineError::LandlockNotInForce),
        RulesetStatus::NotEnforced => {
            tracing::warn!(
                "this kernel has no Landlock; the filter alone keeps the server from files"
            );
            Ok(())
        }
        RulesetStatus::PartiallyEnforced | RulesetStatus::FullyEnforced => Ok(()),
    }
}

/// Installs the filter of `policy/seccomp-server.toml` on every thread and reads back that it, and
/// everything done before, holds for each of them.
pub(super) fn filter_calls(policy: &Policy) -> Result<(), ConfineError> {
    if !weaken::stands("server_seccomp") {
        return Ok(());
    }
    let programs = policy
        .seccomp_server
        .compile()
        .map_err(|error| ConfineError::Compile(error.to_string()))?;
    // The filter forbids to open anything, so the files to read back from are opened first. A
    // thread that begins meanwhile inherits what its parent has, or is synchronised.
    let threads = open_every_status().map_err(ConfineError::ReadBack)?;
    for program in &programs {
        seccompiler::apply_filter_all_threads(program).map_err(ConfineError::Install)?;
    }
    threads.into_iter().try_for_each(check_thread)
}

struct Thread {
    id: String,
    status: File,
}

fn open_every_status() -> io::Result<Vec<Thread>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(THREADS)? {
        let entry = entry?;
        let id = entry.file_name().to_string_lossy().into_owned();
        threads.push(Thread { id, status: File::open(entry.path().join("status"))? });
    }
    Ok(threads)
}

fn check_thread(mut thread: Thread) -> Result<(), ConfineError> {
    let mut status = String::new();
    match thread.status.read_to_string(&mut status) {
        // Ended since; then nothing of it needs confinement.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(()),
        read => read.map_err(ConfineError::ReadBack)?,
    };
    for (field, want) in IN_FORCE {
        let value = value_of(&status, field).unwrap_or_default();
        if value != want {
            let (thread, value) = (thread.id, value.to_owned());
            return Err(ConfineError::NotConfined { thread, field, value, want });
        }
    }
    Ok(())
}

fn value_of<'a>(status: &'a str, field: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim)
}
