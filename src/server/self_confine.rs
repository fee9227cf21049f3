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
    ABI, Access as _, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

use crate::policy::Policy;
use crate::policy::process::{Landlock, SERVER_THREADS};

use super::weaken;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfineError {
    #[error("cannot restrict the server's files")]
    Landlock(#[from] RulesetError),
    #[error("cannot open {path}, which process.toml grants to the server")]
    Open {
        path: String,
        #[source]
        source: landlock::PathFdError,
    },
    #[error("process.toml grants the server a right on {path} that the server cannot ask for")]
    Right { path: String },
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

/// No file but what `[server.landlock]` grants, no new port, no connection, no signal to others.
/// Call with one thread, when every file is read and the port is bound. `kernel_has_it` is what the
/// supervisor found.
pub(super) fn restrict_files(granted: &Landlock, kernel_has_it: bool) -> Result<(), ConfineError> {
    if !weaken::stands("server_landlock") {
        return Ok(());
    }
    let abi = ABI::V6;
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?;
    let status = grant(ruleset, granted)?.restrict_self()?;
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

/// The rules of the policy, all of them and nothing else.
fn grant(mut ruleset: RulesetCreated, granted: &Landlock) -> Result<RulesetCreated, ConfineError> {
    for rule in &granted.rule {
        let bits = rule.rights.iter().fold(0, |all, right| all | right.bit());
        for path in &rule.paths {
            let path = path.as_str();
            let unknown = |_| ConfineError::Right { path: path.to_owned() };
            let access = BitFlags::<AccessFs>::from_bits(bits).map_err(unknown)?;
            let open = |source| ConfineError::Open { path: path.to_owned(), source };
            ruleset =
                ruleset.add_rule(PathBeneath::new(PathFd::new(path).map_err(open)?, access))?;
        }
    }
    Ok(ruleset)
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
    for entry in fs::read_dir(SERVER_THREADS)? {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::process::LandlockRight;

    /// What a thread meets that is restricted as this policy says. Landlock holds for the calling
    /// thread alone, so the test itself stays free.
    fn restricted<T: Send + 'static>(
        granted: Landlock,
        attempt: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let thread = std::thread::spawn(move || {
            restrict_files(&granted, true).expect("this test needs a kernel with Landlock");
            attempt()
        });
        thread.join().unwrap()
    }

    fn is_refused<T>(opened: io::Result<T>) -> bool {
        opened.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    }

    /// proves: process server.landlock; process server.landlock /proc/self/task
    #[test]
    fn the_server_may_open_what_the_policy_says_and_nothing_else() {
        const ELSEWHERE: &str = env!("CARGO_MANIFEST_DIR");
        let granted = Policy::embedded().unwrap().process.server.landlock;
        let (threads, elsewhere) = restricted(granted.clone(), || {
            (open_every_status().map(|threads| threads.len()), fs::read_dir(ELSEWHERE))
        });
        assert!(threads.unwrap() > 0 && is_refused(elsewhere));

        // The same with another path shows that the policy decides, not this file.
        let mut moved = granted;
        moved.rule[0].paths = vec![ELSEWHERE.to_owned().try_into().unwrap()];
        moved.rule[0].rights = vec![LandlockRight::ReadDir];
        let (threads, listed, read) = restricted(moved, || {
            let file = File::open(format!("{ELSEWHERE}/Cargo.toml"));
            (open_every_status(), fs::read_dir(ELSEWHERE), file)
        });
        assert!(is_refused(threads) && listed.is_ok() && is_refused(read));
    }
}
