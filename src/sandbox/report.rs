//! What a run's pid 1 and the supervisor say to each other, and the step errors both report.
#![forbid(unsafe_code)]

use std::io;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::weaken;

/// Largest message on this socket.
pub const MAX_MESSAGE: usize = 4096;

/// What the init says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FromInit {
    /// First; the kernel puts the sender's pid beside it.
    Hello,
    /// A step of confinement failed; nothing of the code was run.
    Failed(StepFailure),
    /// The program ended.
    Ended {
        /// When it exited.
        exit_code: Option<i32>,
        /// When a signal ended it.
        signal: Option<i32>,
        /// User and system time of all that was reaped.
        cpu_ms: u64,
    },
}

/// What the supervisor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ToInit {
    /// Cgroups and id maps are set. Beside it: stdout, stderr, result, the run's tmpfs.
    Go,
}

/// A step and what the kernel said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step}: {}", Errno::from_raw(*errno))]
pub struct StepFailure {
    /// Kernel name of the step.
    pub step: String,
    /// As in errno(3).
    pub errno: i32,
}

/// Names the step that failed.
pub trait InStep<T> {
    /// Turns the cause into a [`StepFailure`].
    fn in_step(self, step: &str) -> Result<T, StepFailure>;
}

impl<T> InStep<T> for io::Result<T> {
    fn in_step(self, step: &str) -> Result<T, StepFailure> {
        self.map_err(|error| StepFailure {
            step: step.to_owned(),
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        })
        .inspect(|_| weaken::done(step))
    }
}

impl<T> InStep<T> for nix::Result<T> {
    fn in_step(self, step: &str) -> Result<T, StepFailure> {
        self.map_err(io::Error::from).in_step(step)
    }
}
