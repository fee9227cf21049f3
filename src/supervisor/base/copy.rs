//! Writes a plan to an empty directory: regular files, directories and links with inodes of their
//! own, and the manifest of what was written.
//!
//! Plain reads and writes on purpose. `std::io::copy` would use `copy_file_range`, which on some
//! file systems shares the host's extents; the wall is that a run and the host share nothing.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::BaseError;
use super::manifest::{Entry, Manifest};
use super::plan::{Piece, Pieces};
use super::sources::Fingerprint;
use crate::sandbox::weaken;

/// Makes `root` (which must not exist) from `pieces`, whose paths are absolute.
pub(super) fn write(root: &Path, pieces: &Pieces) -> Result<Manifest, BaseError> {
    let mut manifest = Manifest::new();
    let parents = pieces.keys().flat_map(|path| path.ancestors().skip(1));
    // Sorted, so that each comes after its own parent.
    for directory in parents.collect::<BTreeSet<_>>() {
        let target = root.join(relative(directory));
        let made = std::fs::create_dir(&target).and_then(|()| set_mode(&target, 0o755));
        made.map_err(BaseError::write(&target))?;
        manifest.insert(relative(directory), Entry::Directory);
    }
    for (path, piece) in pieces {
        let target = root.join(relative(path));
        let entry = write_piece(piece, &target).map_err(BaseError::write(&target))?;
        manifest.insert(relative(path), entry);
        weaken::done("copy a file");
    }
    Ok(manifest)
}

fn write_piece(piece: &Piece, target: &Path) -> io::Result<Entry> {
    match piece {
        Piece::File { source, fingerprint } => copy_file(source, *fingerprint, target),
        Piece::Text(text) => Entry::pass(0o644, text.as_bytes(), create(target, 0o644)?),
        Piece::Link(to) => symlink(to, target).map(|()| Entry::Link { target: to.clone() }),
    }
}

fn copy_file(source: &Path, fingerprint: Fingerprint, target: &Path) -> io::Result<Entry> {
    // The file that was judged, not one that took its place since, and whole.
    let require_unchanged = |file: &File| match Fingerprint::of(&file.metadata()?) {
        now if now == fingerprint => Ok(()),
        _ => Err(io::Error::other("its source on the host changed meanwhile; start again")),
    };
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let from = OpenOptions::new().read(true).custom_flags(flags).open(source)?;
    require_unchanged(&from)?;
    let mode = fingerprint.mode_of_copy();
    let to = create(target, mode)?;
    let entry = Entry::pass(mode, &from, &to)?;
    // Compiled Python files are valid only beside a source with the time they recorded.
    to.set_modified(from.metadata()?.modified()?)?;
    require_unchanged(&from)?;
    Ok(entry)
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    set_mode(path, mode)?;
    Ok(file)
}

/// Whatever the umask is.
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}
