//! Every entry of a copy with its digest, and the check that the copy still is what was written.
//!
//! The check reads through the page cache on purpose: what a run would execute is what the cache
//! holds, so a page altered there (a kernel flaw's usual prey) is found although the disk is whole.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BaseError;
use crate::policy::hex;

/// One entry. Every other mode, owner or number of names is damage, so they are not recorded.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum Entry {
    /// Mode 0755.
    Directory,
    /// One name.
    File {
        /// Mode 0755 or 0644.
        mode: u32,
        /// In bytes.
        size: u64,
        /// Lower-case hexadecimal.
        sha256: String,
    },
    /// A symbolic link.
    Link {
        /// Relative, as it stands in the link.
        target: PathBuf,
    },
}

/// Paths relative to the copy's root, which is the empty one.
pub(super) type Manifest = BTreeMap<PathBuf, Entry>;

impl Entry {
    /// Reads all of `from` and writes it to `to`.
    pub(super) fn pass(mode: u32, mut from: impl Read, mut to: impl Write) -> io::Result<Self> {
        let (mut hash, mut size) = (Sha256::new(), 0u64);
        let mut buffer = vec![0u8; CHUNK];
        loop {
            let count = from.read(&mut buffer)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(Self::File { mode, size, sha256: hex(&hash.finalize()) });
            }
            hash.update(bytes);
            size = size.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            to.write_all(bytes)?;
        }
    }

    /// What lies at `path`; none when no copy has such a thing.
    fn at(path: &Path) -> io::Result<Option<Self>> {
        let found = std::fs::symlink_metadata(path)?;
        let mode = found.mode() & 0o7777;
        if found.uid() != nix::unistd::geteuid().as_raw() {
            Ok(None)
        } else if found.is_symlink() {
            Ok(Some(Self::Link { target: std::fs::read_link(path)? }))
        } else if found.is_file() && found.nlink() == 1 {
            Self::pass(mode, open(path)?, io::sink()).map(Some)
        } else {
            Ok((found.is_dir() && mode == 0o755).then_some(Self::Directory))
        }
    }
}

/// Writes it beside the copy and returns its digest, which stands for the whole copy.
pub(super) fn write(manifest: &Manifest, directory: &Path) -> Result<String, BaseError> {
    write_beside(&directory.join(NAME), manifest)
}

/// The digest of the manifest beside the copy, without a look at the files.
pub(super) fn digest(directory: &Path) -> Result<String, BaseError> {
    let path = directory.join(NAME);
    Ok(hex(&Sha256::digest(std::fs::read(&path).map_err(BaseError::read(&path))?)))
}

/// Compares every entry below `directory/root` with the manifest; returns the manifest's digest.
pub(super) fn verify(directory: &Path) -> Result<String, BaseError> {
    let (path, root) = (directory.join(NAME), directory.join(super::ROOT));
    let text = std::fs::read(&path).map_err(BaseError::read(&path))?;
    let mut expected: Manifest =
        serde_json::from_slice(&text).map_err(|_| damaged(&path, "it cannot be parsed"))?;
    let mut pending = vec![PathBuf::new()];
    while let Some(name) = pending.pop() {
        let path = root.join(&name);
        let wanted = expected.remove(&name);
        let wanted = wanted.ok_or_else(|| damaged(&path, "it does not belong there"))?;
        if Entry::at(&path).map_err(BaseError::read(&path))?.as_ref() != Some(&wanted) {
            if matches!(wanted, Entry::File { .. }) {
                drop_cached_pages(&path);
            }
            return Err(damaged(&path, "its type, owner, mode, names, content or target differs"));
        }
        if wanted == Entry::Directory {
            for entry in std::fs::read_dir(&path).map_err(BaseError::read(&path))? {
                pending.push(name.join(entry.map_err(BaseError::read(&path))?.file_name()));
            }
        }
    }
    match expected.keys().next() {
        None => Ok(hex(&Sha256::digest(&text))),
        Some(missing) => Err(damaged(&root.join(missing), "it is missing")),
    }
}

/// So that the next reader sees what is on the disk, when only the page cache was changed. The copy
/// is refused whether or not this works.
fn drop_cached_pages(path: &Path) {
    if let Ok(file) = open(path) {
        let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path)
}

fn damaged(path: &Path, how: &'static str) -> BaseError {
    BaseError::Damaged { path: path.to_owned(), how }
}

/// Writes a file that did not exist, for our eyes only, whatever the umask is; returns its digest.
pub(super) fn write_beside(path: &Path, value: &impl Serialize) -> Result<String, BaseError> {
    let write = || {
        let text = serde_json::to_vec(value)?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(&text)?;
        Ok(hex(&Sha256::digest(&text)))
    };
    write().map_err(BaseError::write(path))
}

/// Read at once.
const CHUNK: usize = 256 * 1024;
const NAME: &str = "manifest.json";

#[cfg(test)]
mod tests;
