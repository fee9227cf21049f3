//! Files that the supervisor itself reads before it takes a message: configuration and replacement
//! policy. Only what root (rootless: the user) alone can change is believed.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// Largest file believed to be one of ours.
const MOST_BYTES: u64 = 1 << 20;

/// Why a file is not believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else could have written it.
    #[error("{path} is {problem}, so somebody else may decide what is in {whole}")]
    Untrusted {
        /// The component.
        path: PathBuf,
        /// The whole path.
        whole: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Reads one file, every component of whose path is owned by root or by us, is no link, and can be
/// written by nobody else.
pub fn read(path: &Path) -> Result<String, TrustError> {
    let failed = |source| TrustError::Read { path: path.to_owned(), source };
    check_components(path)?;
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    let mut text = String::new();
    file.take(MOST_BYTES).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Reads every `*.toml` file of a folder, by name.
pub fn read_folder(folder: &Path) -> Result<BTreeMap<String, String>, TrustError> {
    check_components(folder)?;
    let failed = |source| TrustError::Read { path: folder.to_owned(), source };
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml")
            && let Some(name) = path.file_name()
        {
            files.insert(name.to_string_lossy().into_owned(), read(&path)?);
        }
    }
    Ok(files)
}

fn check_components(path: &Path) -> Result<(), TrustError> {
    let whole = std::path::absolute(path)
        .map_err(|source| TrustError::Read { path: path.to_owned(), source })?;
    let mut so_far = PathBuf::new();
    for component in whole.components() {
        so_far.push(component);
        let untrusted =
            |problem| TrustError::Untrusted { path: so_far.clone(), whole: whole.clone(), problem };
        if component == Component::ParentDir {
            return Err(untrusted("a step upwards"));
        }
        let found = std::fs::symlink_metadata(&so_far)
            .map_err(|source| TrustError::Read { path: so_far.clone(), source })?;
        let is_last = so_far == whole;
        if found.file_type().is_symlink() {
            return Err(untrusted("a symbolic link"));
        }
        if found.uid() != 0 && found.uid() != nix::unistd::geteuid().as_raw() {
            return Err(untrusted("owned by another user"));
        }
        // In a sticky folder nobody else can replace the next component, which is ours.
        let is_sticky = found.mode() & libc::S_ISVTX != 0 && !is_last;
        if found.mode() & 0o022 != 0 && !is_sticky {
            return Err(untrusted("writable by others"));
        }
    }
    Ok(())
}
