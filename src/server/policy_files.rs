//! The server's reading of the policy: for limits, explanations and its own filter. What is
//! enforced on runs, the supervisor reads itself, by the same rules; a difference shows in the
//! digest.
#![forbid(unsafe_code)]

use std::path::Path;

use crate::policy::{Policy, PolicyError};
use crate::trusted::{self, TrustError};

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub(super) enum PolicyFilesError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("the policy cannot be used")]
    Policy(#[from] PolicyError),
}

/// The built-in policy, with whole files replaced by the `.toml` files of `folder`.
pub(super) fn load(folder: Option<&Path>) -> Result<Policy, PolicyFilesError> {
    let replaced = folder.map(trusted::read_folder).transpose()?.unwrap_or_default();
    Ok(Policy::from_files(&replaced)?)
}
