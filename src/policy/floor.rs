//! What no policy file may loosen, whoever wrote it.
//!
//! An operator may give runs more memory or another tool; nobody gets to give them a network, a
//! capability or a way to mount. Each message names the file, the key and what to do.
#![forbid(unsafe_code)]

mod filters;
mod limits;
mod mounts;
mod process;

use super::Policy;

/// A key that is weaker than the floor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {key} {problem}")]
pub struct FloorError {
    /// Which file.
    pub file: &'static str,
    /// Which key or rule in it.
    pub key: String,
    /// What is wrong and what to do.
    pub problem: String,
}

/// Refuses a policy that loosens what no file may loosen.
pub fn check(policy: &Policy) -> Result<(), FloorError> {
    limits::check(&policy.limits)?;
    mounts::check(&policy.mounts)?;
    process::check(&policy.process, &policy.mounts.run)?;
    filters::check_run(&policy.seccomp_run)?;
    filters::check_server(&policy.seccomp_server)
}

/// The file whose keys are looked at.
#[derive(Clone, Copy)]
struct File(&'static str);

impl File {
    fn demand(self, key: &str, holds: bool, problem: &str) -> Result<(), FloorError> {
        let error =
            || FloorError { file: self.0, key: key.to_owned(), problem: problem.to_owned() };
        holds.then_some(()).ok_or_else(error)
    }
}

fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_kernel_view(path: &str) -> bool {
    is_below(path, "/proc") || is_below(path, "/sys")
}

#[cfg(test)]
mod tests;
