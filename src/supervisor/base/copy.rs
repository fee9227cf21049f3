//! Writes a plan to an empty directory: regular files, directories and links with inodes of their
//! own, and the manifest of what was written.
//!
//! Plain reads and writes on purpose. `std::io::copy` would use `copy_file_range`, which on some
//! file systems shares the host's extents; the wall is that a run and the host share nothing.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::BaseError;
use super::manifest::{CHUNK, Entry, Manifest};
use super::plan::{Piece, Pieces};
use super::sources::Fingerprint;
use crate::policy::hex;

/// Makes `root` (which must not exist) from `pieces`, whose paths are absolute.
pub(super) fn write(root: &Path, pieces: &Pieces) -> Result<Manifest, BaseError> {
    let mut manifest = Manifest::default();
    make_directory(root)?;
    let mut directories = BTreeSet::new();
    for path in pieces.keys() {
        let parents = path.parent().into_iter().flat_map(Path::ancestors);
        directories.extend(parents.map(relative).filter(|path| path.components().next().is_some()));
    }
    for directory in directories {
        make_directory(&root.join(&directory))?;
        manifest.0.insert(directory, Entry::Directory { mode: 0o755 });
    }
    for (path, piece) in pieces {
        let name = relative(path);
        let target = root.join(&name);
        let entry = match piece {
            Piece::File { source, fingerprint, executable } => {
                copy_file(source, *fingerprint, &target, mode(*executable))?
            }
            Piece::Text(text) => {
                let file = create(&target, mode(false))?;
                let mut bytes = text.as_bytes();
                fill(&mut bytes, &target, file, &target, mode(false))?
            }
            Piece::Link(to) => {
                symlink(to, &target)
                    .map_err(|source| BaseError::Write { path: target.clone(), source })?;
                Entry::Link { target: to.clone() }
            }
        };
        manifest.0.insert(name, entry);
    }
    Ok(manifest)
}

fn copy_file(
    source: &Path,
    fingerprint: Fingerprint,
    target: &Path,
    mode: u32,
) -> Result<Entry, BaseError> {
    let failed = |error| BaseError::Source { path: source.to_owned(), source: error };
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut from =
        OpenOptions::new().read(true).custom_flags(flags).open(source).map_err(failed)?;
    let metadata = from.metadata().map_err(failed)?;
    // The file that was judged, not one that took its place since.
    if !metadata.is_file() || Fingerprint::of(&metadata) != fingerprint {
        return Err(BaseError::Changed { path: source.to_owned() });
    }
    let to = create(target, mode)?;
    let keep = to.try_clone().map_err(|error| write_failed(target, error))?;
    let entry = fill(&mut from, source, to, target, mode)?;
    // Compiled Python files are valid only beside a source with the time they recorded.
    let modified = metadata.modified().map_err(failed)?;
    keep.set_modified(modified).map_err(|error| write_failed(target, error))?;
    let after = from.metadata().map_err(failed)?;
    let is_same = Fingerprint::of(&after) == fingerprint;
    if is_same { Ok(entry) } else { Err(BaseError::Changed { path: source.to_owned() }) }
}

fn fill(
    from: &mut impl Read,
    source: &Path,
    mut to: File,
    target: &Path,
    mode: u32,
) -> Result<Entry, BaseError> {
    let mut hash = Sha256::new();
    let mut size = 0u64;
    let mut buffer = vec![0u8; CHUNK];
    loop {
        let count = from
            .read(&mut buffer)
            .map_err(|error| BaseError::Source { path: source.to_owned(), source: error })?;
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Entry::File { mode, size, sha256: hex(&hash.finalize()) });
        }
        hash.update(bytes);
        size = size.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        to.write_all(bytes).map_err(|error| write_failed(target, error))?;
    }
}

fn create(path: &Path, mode: u32) -> Result<File, BaseError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let file = file.map_err(|error| write_failed(path, error))?;
    // Whatever the umask is.
    file.set_permissions(Permissions::from_mode(mode))
        .map_err(|error| write_failed(path, error))?;
    Ok(file)
}

fn make_directory(path: &Path) -> Result<(), BaseError> {
    std::fs::create_dir(path).map_err(|error| write_failed(path, error))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o755))
        .map_err(|error| write_failed(path, error))
}

fn write_failed(path: &Path, source: std::io::Error) -> BaseError {
    BaseError::Write { path: path.to_owned(), source }
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}

fn mode(executable: bool) -> u32 {
    if executable { 0o755 } else { 0o644 }
}
