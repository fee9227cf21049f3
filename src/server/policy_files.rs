//! The server's reading of the policy: for limits, explanations and its own filter. What is
//! enforced on runs, the supervisor reads itself; a difference shows in the digest.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::policy::{Policy, PolicyError};

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub(super) enum PolicyFilesError {
    #[error("cannot read {}; the policy must be readable by the server's user", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the policy cannot be used")]
    Policy(#[from] PolicyError),
}

/// A policy file is a few kilobytes.
const MOST_BYTES: u64 = 1 << 20;

/// The built-in policy, with whole files replaced by the `.toml` files of `folder`.
pub(super) fn load(folder: Option<&Path>) -> Result<Policy, PolicyFilesError> {
    let mut replaced = BTreeMap::new();
    if let Some(folder) = folder {
        let unreadable =
            |path: &Path, source| PolicyFilesError::Unreadable { path: path.into(), source };
        for entry in std::fs::read_dir(folder).map_err(|source| unreadable(folder, source))? {
            let path = entry.map_err(|source| unreadable(folder, source))?.path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = read(&path).map_err(|source| unreadable(&path, source))?;
            replaced.insert(name, text);
        }
    }
    Ok(Policy::from_files(&replaced)?)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}
