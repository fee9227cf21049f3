//! What can go wrong on the way to a copy, and what mends it. Trusts nothing, decides nothing.
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};

use crate::trusted::TrustError;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaseError {
    /// Neither the system nor `PATH` has a usable one.
    #[error("there is no usable Python on this host")]
    NoInterpreter,
    /// An interpreter named by a relative path.
    #[error("{} is not an absolute path", path.display())]
    NotAbsolute {
        /// As named.
        path: PathBuf,
    },
    /// It could not be started, or did not answer.
    #[error("{} could not be asked what it is", path.display())]
    AskInterpreter {
        /// What was started.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is there, and no run could use it.
    #[error("{} cannot be used: {why}", path.display())]
    Interpreter {
        /// As named or found.
        path: PathBuf,
        /// The obstacle.
        why: String,
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
    /// Something in the state directory could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in the state directory could not be written, or what it is copied from not read.
    #[error("cannot write {}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
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

impl BaseError {
    /// For `map_err`.
    pub(super) fn read(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    /// For `map_err`.
    pub(super) fn write(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    /// Says why `path` cannot be the interpreter of runs.
    pub(super) fn interpreter(path: &Path, why: impl Into<String>) -> Self {
        Self::Interpreter { path: path.to_owned(), why: why.into() }
    }
}
