//! What can go wrong on the way to a copy, and what mends it. Trusts nothing, decides nothing.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use crate::trusted::TrustError;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaseError {
    /// Neither the system nor `PATH` has a usable one.
    #[error(
        "no usable Python: install Python 3.10 or newer (Debian: apt-get install python3), or name one with --python"
    )]
    NoInterpreter,
    /// An interpreter named by a relative path.
    #[error("{} is not an absolute path; name it from / on", path.display())]
    NotAbsolute {
        /// As named.
        path: PathBuf,
    },
    /// It could not be started, or did not answer.
    #[error("{} could not be asked what it is; name another interpreter with --python", path.display())]
    AskInterpreter {
        /// What was started.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It answered something else.
    #[error("{} did not answer like a whole CPython; name one with --python", path.display())]
    NotPython {
        /// What was started.
        path: PathBuf,
    },
    /// Older than 3.10.
    #[error("{} is Python {version}; 3.10 or newer is needed: install one or name it with --python", path.display())]
    TooOld {
        /// What was asked.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// Found, not named, and below a home directory.
    #[error("{} lies below a home directory; such an interpreter is used only when named with --python", path.display())]
    BelowHome {
        /// Its binary.
        path: PathBuf,
    },
    /// Runs are other users, and other users cannot read it.
    #[error("{}: runs are other users, and {} is closed to them (mode {mode:04o}); use an interpreter below /usr, or open it with: chmod o+rx {}", path.display(), closed.display(), closed.display())]
    Unreadable {
        /// The interpreter.
        path: PathBuf,
        /// The first part of its path that is closed.
        closed: PathBuf,
        /// That part's mode.
        mode: u32,
    },
    /// It answered, and cannot be copied.
    #[error("{} cannot be used: {why}; name another interpreter with --python", path.display())]
    Interpreter {
        /// Its binary.
        path: PathBuf,
        /// The obstacle.
        why: String,
    },
    /// Something of the host could not be read.
    #[error("cannot read {} of this host", path.display())]
    Source {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A package upgrade under way, most likely.
    #[error("{} changed while it was copied; start again", path.display())]
    Changed {
        /// Where.
        path: PathBuf,
    },
    /// Somebody else could change what lies in the state directory.
    #[error(transparent)]
    State(TrustError),
    /// Another instance holds it for too long.
    #[error("{} has been locked by another instance for a minute; end that instance or choose another --state-dir", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// The state directory could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The state directory could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A path of the host that JSON cannot hold.
    #[error("a path of this host is no UTF-8 text")]
    Encode {
        /// Why.
        source: serde_json::Error,
    },
    /// The copy is not what was written.
    #[error("the private copy is damaged at {}: {how}", path.display())]
    Damaged {
        /// The first difference.
        path: PathBuf,
        /// What it is.
        how: &'static str,
    },
}
