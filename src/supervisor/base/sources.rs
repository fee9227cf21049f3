//! What a copy was made of, remembered beside it, so that a start on an unchanged host costs a few
//! thousand `stat` calls, and one question to the interpreter.
//!
//! The index decides what is looked at, so it is trusted as far as its directory is closed to
//! everybody but us (`store.rs`).
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BaseError;
use super::manifest::write_beside;
use crate::policy::hex;

/// What a later start needs to know of a copy.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Index {
    /// Every path that was looked at, also those where nothing was.
    pub sources: BTreeSet<PathBuf>,
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

    /// The mode of a copy: read by all, written by its owner, executed by all or nobody.
    pub(super) fn mode_of_copy(self) -> u32 {
        if self.mode & 0o111 != 0 { 0o755 } else { 0o644 }
    }
}

impl Index {
    /// The name of the copy: sha256 over the choice (interpreter, policy, reader) and what lies at
    /// the end of every source today.
    pub(super) fn key(&self, choice: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(choice);
        for path in &self.sources {
            // That something is absent or closed is part of the key: when it appears, it is wanted.
            let found = std::fs::metadata(path).map_err(|error| error.raw_os_error());
            let found = found.as_ref().map(Fingerprint::of);
            hash.update(format!("\n{:?}", (path, found)));
        }
        hex(&hash.finalize())
    }

    /// Reads what [`Index::write`] wrote; none when there is none or another program wrote it.
    pub(super) fn read(directory: &Path) -> Option<Self> {
        let text = std::fs::read(directory.join(NAME)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Writes it beside the copy.
    pub(super) fn write(&self, directory: &Path) -> Result<(), BaseError> {
        write_beside(&directory.join(NAME), self).map(drop)
    }
}

const NAME: &str = "index.json";
