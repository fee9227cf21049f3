//! What a copy was made of, remembered beside it, so that a start on an unchanged host costs a few
//! thousand `stat` calls and runs nothing.
//!
//! The index decides what is looked at, so it is trusted as far as its directory is closed to
//! everybody but us (`store.rs`).
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BaseError;
use super::interpreter::Choice;
use super::manifest::write_beside;
use crate::policy::hex;

/// Everything the key is made of.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Index {
    /// [`FORMAT`], so that a newer program makes its own copy.
    pub format: u32,
    /// Digest of what policy wants copied.
    pub policy_digest: String,
    /// Whom the sources had to be readable for.
    pub reader: Option<(u32, u32)>,
    /// Which interpreter, and which others were considered.
    pub choice: Choice,
    /// Every path that was looked at; true when a link there was followed.
    pub sources: BTreeMap<PathBuf, bool>,
    /// What was left out and why, for the log.
    pub skipped: Vec<String>,
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    mode: u32,
}

impl Fingerprint {
    /// Of what `stat` said.
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            mode: metadata.mode(),
        }
    }
}

impl Index {
    /// The name of the copy: sha256 over the choice, the policy and every source's fingerprint.
    pub(super) fn key(&self) -> Result<String, BaseError> {
        let mut hash = Sha256::new();
        let head = (self.format, &self.policy_digest, self.reader, &self.choice);
        hash.update(serde_json::to_vec(&head).map_err(|source| BaseError::Encode { source })?);
        for (path, follow) in &self.sources {
            let metadata =
                if *follow { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) };
            hash.update(b"\0");
            hash.update(path.as_os_str().as_encoded_bytes());
            hash.update(b"\0");
            match metadata {
                Ok(metadata) => {
                    let print = Fingerprint::of(&metadata);
                    for number in [print.device, print.inode, print.size] {
                        hash.update(number.to_le_bytes());
                    }
                    hash.update(print.modified.0.to_le_bytes());
                    hash.update(print.modified.1.to_le_bytes());
                    hash.update(print.mode.to_le_bytes());
                }
                // That something is absent or closed is part of the key: when it appears, it is
                // wanted.
                Err(error) => hash.update(error.raw_os_error().unwrap_or_default().to_le_bytes()),
            }
        }
        Ok(hex(&hash.finalize()))
    }

    /// Reads what [`Index::write`] wrote; none when there is none or another program wrote it.
    pub(super) fn read(directory: &Path) -> Option<Self> {
        let text = std::fs::read(directory.join(NAME)).ok()?;
        serde_json::from_slice(&text).ok().filter(|index: &Self| index.format == FORMAT)
    }

    /// Writes it beside the copy.
    pub(super) fn write(&self, directory: &Path) -> Result<(), BaseError> {
        let path = directory.join(NAME);
        let text = serde_json::to_vec(self).map_err(|source| BaseError::Encode { source })?;
        write_beside(&path, &text)
    }
}

/// Raised whenever the same sources would make another copy.
pub(super) const FORMAT: u32 = 1;
const NAME: &str = "index.json";
