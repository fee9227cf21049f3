//! Files and folders of the operator: configuration, policy, state directory, our own programs.
//! What decides over runs is believed only where nobody but root and this process's user could have
//! put it there.
//!
//! A path is opened one component after the other, each beneath the one before, and each is judged
//! by the descriptor that is then used: nothing is looked up twice, so nothing can be exchanged in
//! between.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, fstat, mkdirat};

/// Why something is not believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be opened.
    #[error("cannot open {}{}", whole.display(), at(path, whole))]
    Open {
        /// The component.
        path: PathBuf,
        /// The path it is part of.
        whole: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A folder cannot be made.
    #[error("cannot make the folder {}", path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else may have written it.
    #[error("{} {problem}, so {} is not to be trusted", path.display(), whole.display())]
    Untrusted {
        /// The component.
        path: PathBuf,
        /// The path it is part of.
        whole: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
    /// No configuration or policy is that long; half of one would be another one.
    #[error("{} has more than {MOST_BYTES} bytes", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
}

/// What is wrong with a component of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Where it leads can change.
    #[error("is a symbolic link")]
    Link,
    /// `..` after a link leads elsewhere than it reads.
    #[error("has `..` after it")]
    Upwards,
    /// Something else stands where a folder belongs.
    #[error("is no folder")]
    NoFolder,
    /// A device, a pipe or a folder stands where a file belongs.
    #[error("is no regular file")]
    NoFile,
    /// Neither root's nor ours.
    #[error("belongs to user {0}")]
    Owner(u32),
    /// By mode.
    #[error("is writable by others (mode {0:04o})")]
    Writable(u32),
}

impl TrustError {
    /// Whether there is simply nothing.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Open { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// One thing for the operator to do.
    #[must_use]
    pub fn next(&self) -> String {
        let (path, problem) = match self {
            Self::Open { .. } | Self::Read { .. } => {
                return "see that it exists and that this user, and the server's, may read it"
                    .to_owned();
            }
            Self::Make { path, .. } => {
                return format!("make {} yourself, or name another place", path.display());
            }
            Self::TooLarge { path } => {
                return format!("see whether {} is the file you meant", path.display());
            }
            Self::Untrusted { path, problem, .. } => (path.display(), problem),
        };
        match problem {
            Problem::Link => format!("name the place that {path} leads to"),
            Problem::Upwards => "name the path without `..`".to_owned(),
            Problem::NoFolder | Problem::NoFile => "name another path".to_owned(),
            Problem::Owner(_) => {
                format!("let {path} belong to root or to the user who starts primcs (chown)")
            }
            Problem::Writable(_) => format!("chmod go-w {path}"),
        }
    }
}

/// Which component, where that is not the whole.
fn at(path: &Path, whole: &Path) -> String {
    if path == whole { String::new() } else { format!(", at {}", path.display()) }
}

/// Largest file believed to be one of ours.
pub const MOST_BYTES: u64 = 1 << 20;

/// Reads one file.
pub fn read(path: &Path) -> Result<String, TrustError> {
    let walk = Walk::to(path)?;
    read_all(walk.open(Kind::File, None)?, &walk.whole)
}

/// Reads every `*.toml` file of a folder, by name.
pub fn read_folder(folder: &Path) -> Result<BTreeMap<String, String>, TrustError> {
    let walk = Walk::to(folder)?;
    let folder = walk.open(Kind::Folder, None)?;
    let failed = |source| TrustError::Read { path: walk.whole.clone(), source };
    let listed = folder.try_clone().map_err(failed)?;
    let mut listed = Dir::from_fd(listed).map_err(|error| failed(error.into()))?;
    let mut files = BTreeMap::new();
    for entry in listed.iter() {
        let entry = entry.map_err(|error| failed(error.into()))?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        let path = walk.whole.join(name);
        if path.extension().is_some_and(|extension| extension == "toml") {
            let file = walk.step(&folder, Kind::File, true, &path)?;
            files.insert(name.to_string_lossy().into_owned(), read_all(file, &path)?);
        }
    }
    Ok(files)
}

/// Makes a folder, and those above it, where it is missing. What is there already is judged before
/// anything is made in it.
pub fn make_folder(path: &Path, mode: u32) -> Result<(), TrustError> {
    let mode = Mode::from_bits_truncate(mode);
    Walk::to(path)?.open(Kind::Folder, Some(mode)).map(drop)
}

/// Opens a program that belongs to `this` one. Whoever can replace this one in its folder is
/// trusted already: its owner, and the group that is that user's alone (with umask 002, which is
/// usual for such groups, it may write to the folders).
pub fn open_program(path: &Path, this: &Metadata) -> Result<File, TrustError> {
    let own_group = (this.uid() != 0 && this.uid() == this.gid()).then_some(this.gid());
    let walk = Walk { also: Some(this.uid()), own_group, ..Walk::to(path)? };
    walk.open(Kind::File, None).map(File::from)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
}

/// One path, and who may own and change what it leads through.
#[derive(Debug)]
struct Walk {
    whole: PathBuf,
    also: Option<u32>,
    /// May write to folders.
    own_group: Option<u32>,
}

impl Walk {
    fn to(path: &Path) -> Result<Self, TrustError> {
        let whole = std::path::absolute(path).map_err(|source| TrustError::Open {
            path: path.into(),
            whole: path.into(),
            source,
        })?;
        Ok(Self { whole, also: None, own_group: None })
    }

    fn problem(&self, part: &OwnedFd, kind: Kind, is_last: bool) -> Result<Option<Problem>, Errno> {
        let found = fstat(part)?;
        let is = |format| found.st_mode & libc::S_IFMT == format;
        let wanted = match kind {
            Kind::Folder => (libc::S_IFDIR, Problem::NoFolder),
            Kind::File => (libc::S_IFREG, Problem::NoFile),
        };
        let owner = found.st_uid;
        let others = match kind {
            Kind::Folder if self.own_group == Some(found.st_gid) => 0o002,
            Kind::Folder | Kind::File => 0o022,
        };
        // In a sticky folder of root's (/tmp) only its owner can move an entry, and the next
        // component's owner is judged as well.
        let is_sticky = found.st_mode & libc::S_ISVTX != 0 && owner == 0 && !is_last;
        Ok(if is(libc::S_IFLNK) {
            Some(Problem::Link)
        } else if !is(wanted.0) {
            Some(wanted.1)
        } else if owner != 0 && owner != nix::unistd::geteuid().as_raw() && self.also != Some(owner)
        {
            Some(Problem::Owner(owner))
        } else if found.st_mode & others != 0 && !is_sticky {
            Some(Problem::Writable(found.st_mode & 0o7777))
        } else {
            None
        })
    }

    /// From / to the last component; with `make`, folders that are missing are made.
    fn open(&self, kind: Kind, make: Option<Mode>) -> Result<OwnedFd, TrustError> {
        let root = Path::new("/");
        let mut names = self.whole.components().skip(1).peekable();
        let mut at =
            open(root, FOLDER, Mode::empty()).map_err(|error| self.unopened(root, error))?;
        self.judge(&at, Kind::Folder, names.peek().is_none(), root)?;
        let mut so_far = root.to_owned();
        while let Some(component) = names.next() {
            let Component::Normal(name) = component else {
                return Err(self.untrusted(&so_far, Problem::Upwards));
            };
            so_far.push(name);
            let is_last = names.peek().is_none();
            let kind = if is_last { kind } else { Kind::Folder };
            let opened = self.step(&at, kind, is_last, &so_far);
            at = match (opened, make) {
                (Err(error), Some(mode)) if error.is_absent() => {
                    match mkdirat(&at, name, mode) {
                        Ok(()) | Err(Errno::EEXIST) => {}
                        Err(error) => {
                            return Err(TrustError::Make { path: so_far, source: error.into() });
                        }
                    }
                    self.step(&at, kind, is_last, &so_far)?
                }
                (opened, _) => opened?,
            };
        }
        Ok(at)
    }

    /// Opens the last name of `so_far` beneath `at`. First only as a name, so that no device or
    /// pipe is touched before it is judged; the last one then to be read, and judged again.
    fn step(
        &self,
        at: &OwnedFd,
        kind: Kind,
        is_last: bool,
        so_far: &Path,
    ) -> Result<OwnedFd, TrustError> {
        let name = so_far.file_name().unwrap_or_default();
        let beneath = |how| {
            openat(at, name, how, Mode::empty()).map_err(|error| self.unopened(so_far, error))
        };
        let named = beneath(NAME)?;
        self.judge(&named, kind, is_last, so_far)?;
        if !is_last {
            return Ok(named);
        }
        let opened = beneath(if kind == Kind::Folder { FOLDER } else { FILE })?;
        self.judge(&opened, kind, is_last, so_far)?;
        Ok(opened)
    }

    fn judge(
        &self,
        part: &OwnedFd,
        kind: Kind,
        is_last: bool,
        so_far: &Path,
    ) -> Result<(), TrustError> {
        match self.problem(part, kind, is_last) {
            Ok(None) => Ok(()),
            Ok(Some(problem)) => Err(self.untrusted(so_far, problem)),
            Err(error) => Err(self.unopened(so_far, error)),
        }
    }

    fn unopened(&self, so_far: &Path, error: Errno) -> TrustError {
        let (path, whole) = (so_far.to_owned(), self.whole.clone());
        TrustError::Open { path, whole, source: error.into() }
    }

    fn untrusted(&self, so_far: &Path, problem: Problem) -> TrustError {
        TrustError::Untrusted { path: so_far.to_owned(), whole: self.whole.clone(), problem }
    }
}

fn read_all(file: OwnedFd, path: &Path) -> Result<String, TrustError> {
    let mut text = String::new();
    File::from(file)
        .take(MOST_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|source| TrustError::Read { path: path.to_owned(), source })?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= MOST_BYTES) {
        Ok(text)
    } else {
        Err(TrustError::TooLarge { path: path.to_owned() })
    }
}

const NAME: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
const FOLDER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
const FILE: OFlag = OFlag::O_NONBLOCK.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

#[cfg(test)]
mod tests;
