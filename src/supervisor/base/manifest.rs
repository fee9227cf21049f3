//! Every entry of a copy with its digest, and the check that the copy still is what was written.
//!
//! The check reads through the page cache on purpose: what a run would execute is what the cache
//! holds, so a page altered there (a kernel flaw's usual prey) is found although the disk is whole.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BaseError;
use crate::policy::hex;

/// One entry; its mode follows from its kind and is checked, not merely recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(super) enum Entry {
    /// Mode 0755.
    Directory {
        /// Permission bits.
        mode: u32,
    },
    /// Mode 0755 or 0644.
    File {
        /// Permission bits.
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

/// Paths relative to the copy's root.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Manifest(pub BTreeMap<PathBuf, Entry>);

impl Manifest {
    /// Writes it and returns its digest, which stands for the whole copy.
    pub(super) fn write(&self, directory: &Path) -> Result<String, BaseError> {
        let text =
            serde_json::to_vec_pretty(self).map_err(|source| BaseError::Encode { source })?;
        let path = directory.join(NAME);
        write_beside(&path, &text)?;
        Ok(hex(&Sha256::digest(&text)))
    }
}

/// The digest of the manifest beside the copy, without a look at the files.
pub(super) fn digest(directory: &Path) -> Result<String, BaseError> {
    Ok(hex(&Sha256::digest(text(directory)?)))
}

/// Compares every entry below `directory/root` with the manifest; returns the manifest's digest.
pub(super) fn verify(directory: &Path) -> Result<String, BaseError> {
    let text = text(directory)?;
    let Manifest(mut expected) = serde_json::from_slice(&text)
        .map_err(|_| damaged(&directory.join(NAME), "it cannot be parsed"))?;
    let root = directory.join(super::ROOT);
    let owner = nix::unistd::geteuid().as_raw();
    check_entry(&root, Some(Entry::Directory { mode: 0o755 }), owner)?;
    let mut pending = vec![PathBuf::new()];
    while let Some(below) = pending.pop() {
        let path = root.join(&below);
        let failed = |source| BaseError::Read { path: path.clone(), source };
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            let name = below.join(entry.map_err(failed)?.file_name());
            let wanted = expected.remove(&name);
            if matches!(wanted, Some(Entry::Directory { .. })) {
                pending.push(name.clone());
            }
            check_entry(&root.join(&name), wanted, owner)?;
        }
    }
    match expected.keys().next() {
        None => Ok(hex(&Sha256::digest(&text))),
        Some(missing) => Err(damaged(&root.join(missing), "it is missing")),
    }
}

fn check_entry(path: &Path, wanted: Option<Entry>, owner: u32) -> Result<(), BaseError> {
    let failed = |source| BaseError::Read { path: path.to_owned(), source };
    let wanted = wanted.ok_or_else(|| damaged(path, "it does not belong there"))?;
    let found = std::fs::symlink_metadata(path).map_err(failed)?;
    if found.uid() != owner {
        return Err(damaged(path, "its owner is another"));
    }
    let mode = found.mode() & 0o7777;
    match wanted {
        Entry::Directory { mode: wanted } if found.is_dir() && mode == wanted => Ok(()),
        Entry::Link { target } if found.is_symlink() => {
            let is_same = std::fs::read_link(path).map_err(failed)? == target;
            if is_same { Ok(()) } else { Err(damaged(path, "the link leads elsewhere")) }
        }
        Entry::File { mode: wanted, size, sha256 }
            if found.is_file() && mode == wanted && found.nlink() == 1 && found.size() == size =>
        {
            if hash_file(path).map_err(failed)? == sha256 {
                return Ok(());
            }
            drop_cached_pages(path).map_err(failed)?;
            Err(damaged(path, "its content is another"))
        }
        Entry::Directory { .. } | Entry::Link { .. } | Entry::File { .. } => {
            Err(damaged(path, "its type, mode, size or link count is another"))
        }
    }
}

fn hash_file(path: &Path) -> std::io::Result<String> {
    let mut file = open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; CHUNK];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

/// So that the next reader sees what is on the disk, when only the page cache was changed.
fn drop_cached_pages(path: &Path) -> std::io::Result<()> {
    let file = open(path)?;
    Ok(posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path)
}

fn text(directory: &Path) -> Result<Vec<u8>, BaseError> {
    let path = directory.join(NAME);
    std::fs::read(&path).map_err(|source| BaseError::Read { path, source })
}

fn damaged(path: &Path, how: &'static str) -> BaseError {
    BaseError::Damaged { path: path.to_owned(), how }
}

/// Writes a file that did not exist, for our eyes only, whatever the umask is.
pub(super) fn write_beside(path: &Path, text: &[u8]) -> Result<(), BaseError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text))
        .map_err(|source| BaseError::Write { path: path.to_owned(), source })
}

/// Read at once.
pub(super) const CHUNK: usize = 256 * 1024;
const NAME: &str = "manifest.json";

#[cfg(test)]
mod tests;
