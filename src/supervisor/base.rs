//! The private copy of the host's interpreter, libraries and tools that every run sees as its own
//! system.
//!
//! A run that sees the host's `/usr` shares the page cache with it: a kernel flaw that writes to a
//! cached page then writes to the host's libc. So runs see a copy that has no inode in common with
//! the host. Here it is chosen (`interpreter`, `plan`), made (`copy`), found again (`sources`,
//! `store`) and checked (`manifest`).
//!
//! Trusts policy, root's own directories, and a state directory closed to everybody else. Call it
//! before entering a user namespace (owners would read as the overflow id) and from one thread.
//! `prepare` sets `no_new_privs` for the calling process and all that comes after it.
#![forbid(unsafe_code)]

mod copy;
mod elf;
mod error;
mod foreign;
mod host;
mod interpreter;
mod libraries;
mod manifest;
mod plan;
mod sources;
mod store;

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::policy;
use crate::sandbox::weaken;
pub use error::BaseError;
use interpreter::Interpreter;
use nix::fcntl::Flock;
use plan::Plan;
use sources::Index;
use store::Store;

/// The unprivileged ids that foreign programs are run with, and for whom all must be readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Never 0.
    pub uid: u32,
    /// Never 0.
    pub gid: u32,
}

/// What to prepare.
#[derive(Debug)]
pub struct BaseRequest<'a> {
    /// Copies lie in its `base` folder.
    pub state_dir: &'a Path,
    /// The interpreter the operator named.
    pub python: Option<&'a Path>,
    /// The `PATH` that `python3` is looked for on, last of all.
    pub search_path: &'a [PathBuf],
    /// What is copied.
    pub policy: &'a policy::mounts::Base,
    /// None when rootless: then runs are ourselves.
    pub reader: Option<Reader>,
}

/// A copy in use. Dropping it gives it up, also in a forked child: the lock is shared with it.
#[derive(Debug)]
pub struct Base {
    /// Its directory, for [`verify`].
    pub directory: PathBuf,
    /// What a run sees as `/`, without the mounts.
    pub root: PathBuf,
    /// Directories directly below `root`.
    pub directories: Vec<OsString>,
    /// Links directly below `root` (`bin` to `usr/bin`), with their relative targets.
    pub links: Vec<(OsString, PathBuf)>,
    /// Held while in use; a copy nobody holds is removed.
    pub lock: Flock<File>,
    /// Where the interpreter lies inside a run.
    pub python: PathBuf,
    /// Its version, as in `3.11.2`.
    pub version: String,
    /// Digest of the manifest; what [`verify`] must return.
    pub digest: String,
    /// What was left out and why, for the log.
    pub skipped: Vec<String>,
    /// True when it was made just now.
    pub is_new: bool,
}

/// Finds the copy for this host and policy, or makes it.
pub fn prepare(request: &BaseRequest<'_>) -> Result<Base, BaseError> {
    let store = Store::open(request.state_dir)?;
    let choice = Choice::make(request)?;
    for place in store.entries()? {
        let Some(index) = Index::read(&place) else { continue };
        if store.place(&index.key(&choice.text)) == place {
            store.prune(&place)?;
            return hold(place, choice, index, false);
        }
    }
    build(request, &store, choice)
}

/// Makes the copy anew in place of one that [`verify`] refused.
pub fn replace(request: &BaseRequest<'_>, damaged: Base) -> Result<Base, BaseError> {
    let store = Store::open(request.state_dir)?;
    drop(damaged);
    build(request, &store, Choice::make(request)?)
}

/// Reads the whole copy through the page cache and compares it with its manifest, whose digest it
/// returns. Meant for a child process: it takes a moment.
pub fn verify(directory: &Path) -> Result<String, BaseError> {
    manifest::verify(directory)
}

struct Choice {
    interpreter: Interpreter,
    passed_over: Vec<String>,
    /// All that decides about a copy besides its sources. Of the policy only the part that does:
    /// another limit is no reason to copy again.
    text: String,
}

impl Choice {
    fn make(request: &BaseRequest<'_>) -> Result<Self, BaseError> {
        let BaseRequest { python, search_path, policy, reader, .. } = *request;
        let (interpreter, passed_over) = interpreter::choose(python, search_path, reader)?;
        let text = format!("{FORMAT} {policy:?} {reader:?} {interpreter:?}");
        Ok(Self { interpreter, passed_over, text })
    }
}

fn build(request: &BaseRequest<'_>, store: &Store, choice: Choice) -> Result<Base, BaseError> {
    let Plan { pieces, sources, skipped, .. } =
        plan::make(request.policy, &choice.interpreter, request.reader)?;
    let index = Index { sources, skipped };
    // Before the copying: a change under way gives another key at the next start.
    let key = index.key(&choice.text);
    let building = store.begin()?;
    manifest::write(&copy::write(&building.join(ROOT), &pieces)?, &building)?;
    index.write(&building)?;
    weaken::done("make copy");
    let place = store.finish(&building, &key)?;
    weaken::done("name copy");
    store.prune(&place)?;
    hold(place, choice, index, true)
}

fn hold(directory: PathBuf, choice: Choice, index: Index, is_new: bool) -> Result<Base, BaseError> {
    let lock = Store::hold(&directory)?;
    let digest = manifest::digest(&directory)?;
    let root = directory.join(ROOT);
    let (directories, links) = top_level(&root).map_err(BaseError::read(&root))?;
    let Choice { interpreter, passed_over, .. } = choice;
    Ok(Base {
        root,
        directory,
        directories,
        links,
        lock,
        python: interpreter.real,
        version: interpreter.version,
        digest,
        skipped: [passed_over, index.skipped].concat(),
        is_new,
    })
}

/// Directories, and links with their targets.
type TopLevel = (Vec<OsString>, Vec<(OsString, PathBuf)>);

fn top_level(root: &Path) -> std::io::Result<TopLevel> {
    let (mut directories, mut links) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_type()?.is_symlink() {
            links.push((entry.file_name(), std::fs::read_link(entry.path())?));
        } else {
            directories.push(entry.file_name());
        }
    }
    directories.sort();
    links.sort();
    Ok((directories, links))
}

/// Raised whenever the same sources would make another copy.
const FORMAT: u32 = 2;
const ROOT: &str = "root";

#[cfg(test)]
mod tests;
