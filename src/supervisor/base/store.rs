//! Where copies lie: `STATE/base/KEY/`, shared by every instance with that state directory.
//!
//! Trusts a directory only when nobody but us (and root) could have put anything into it. Copies
//! are made under a temporary name and renamed, so one that has its name is whole.
#![forbid(unsafe_code)]

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::BaseError;

/// The folder of copies, held for one instance at a time while copies come and go.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    _turn: Flock<File>,
}

impl Store {
    /// Makes the folder and its parents where they are missing, refuses a path that somebody else
    /// could write to, and waits up to a minute for a turn.
    pub(super) fn open(state_dir: &Path) -> Result<Self, BaseError> {
        let folder = state_dir.join("base");
        // What is there already is judged before anything is made in it.
        let there = folder.ancestors().find(|part| std::fs::symlink_metadata(part).is_ok());
        require_closed(there.unwrap_or(&folder), &folder)?;
        let created = DirBuilder::new().recursive(true).mode(0o755).create(&folder);
        created.map_err(|source| BaseError::Write { path: folder.clone(), source })?;
        require_closed(&folder, &folder)?;
        let path = folder.join(".lock");
        let turn = wait_for_lock(&path, FlockArg::LockExclusiveNonblock)?;
        Ok(Self { folder, _turn: turn })
    }

    /// Where the copy with this key lies.
    pub(super) fn place(&self, key: &str) -> PathBuf {
        self.folder.join(key)
    }

    /// An empty directory beside the copies.
    pub(super) fn begin(&self) -> Result<PathBuf, BaseError> {
        let path = self.folder.join(format!(".building-{}", std::process::id()));
        remove(&path)?;
        let made = DirBuilder::new().mode(0o755).create(&path);
        made.map_err(BaseError::write(&path))?;
        Ok(path)
    }

    /// Gives a finished copy its name. One that had it goes aside; who uses it keeps it.
    pub(super) fn finish(&self, building: &Path, key: &str) -> Result<PathBuf, BaseError> {
        let place = self.place(key);
        if let Ok(damaged) = std::fs::symlink_metadata(&place) {
            let aside = self.folder.join(format!(".damaged-{}", damaged.ino()));
            std::fs::rename(&place, &aside).map_err(BaseError::write(&place))?;
        }
        std::fs::rename(building, &place).map_err(BaseError::write(&place))?;
        Ok(place)
    }

    /// Says that `copy` is in use for as long as the result lives.
    pub(super) fn hold(copy: &Path) -> Result<Flock<File>, BaseError> {
        wait_for_lock(&copy.join(HELD), FlockArg::LockSharedNonblock)
    }

    /// Removes every copy that nobody uses, and what a crash left half made.
    pub(super) fn prune(&self, keep: &Path) -> Result<(), BaseError> {
        for path in self.entries()? {
            if path == keep || path.ends_with(".lock") {
                continue;
            }
            // Held until it is removed. We have the turn, so nobody is about to take it.
            let lock = open_lock(&path.join(HELD))
                .ok()
                .map(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock));
            if !matches!(lock, Some(Err(_))) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Copies, and whatever else lies in the folder.
    pub(super) fn entries(&self) -> Result<Vec<PathBuf>, BaseError> {
        let failed = BaseError::read(&self.folder);
        let entries = std::fs::read_dir(&self.folder).map_err(failed)?;
        entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect()
    }
}

/// Refuses a path of which any part could be changed by somebody else; `folder` is what it will be.
fn require_closed(path: &Path, folder: &Path) -> Result<(), BaseError> {
    let own = nix::unistd::geteuid().as_raw();
    if !path.is_absolute() {
        return Err(BaseError::NotAbsolute { path: path.to_owned() });
    }
    for part in path.ancestors() {
        let metadata = std::fs::symlink_metadata(part)
            .map_err(|source| BaseError::Read { path: part.to_owned(), source })?;
        // In a sticky directory of root's (/tmp) only an entry's owner can move it, and the next
        // part's owner is checked as well.
        let is_sticky = metadata.mode() & 0o1000 != 0 && metadata.uid() == 0 && part != folder;
        let why = if metadata.is_symlink() {
            "is a symbolic link; name the directory it leads to"
        } else if !metadata.is_dir() {
            "is no directory"
        } else if metadata.uid() != 0 && metadata.uid() != own {
            "belongs to another user; chown it or choose another --state-dir"
        } else if metadata.mode() & 0o022 != 0 && !is_sticky {
            "is writable by others; chmod go-w it or choose another --state-dir"
        } else {
            continue;
        };
        return Err(BaseError::Open { path: part.to_owned(), why });
    }
    Ok(())
}

fn open_lock(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW;
    OpenOptions::new().write(true).create(true).mode(0o600).custom_flags(flags).open(path)
}

/// Another instance needs seconds for a copy; one that needs longer is stuck.
fn wait_for_lock(path: &Path, how: FlockArg) -> Result<Flock<File>, BaseError> {
    let failed = BaseError::write(path);
    let deadline = Instant::now() + PATIENCE;
    let mut file = open_lock(path).map_err(failed)?;
    loop {
        file = match Flock::lock(file, how) {
            Ok(lock) => return Ok(lock),
            Err((file, Errno::EAGAIN)) if Instant::now() < deadline => file,
            Err((_, Errno::EAGAIN)) => return Err(BaseError::Busy { path: path.to_owned() }),
            Err((_, errno)) => return Err(failed(errno.into())),
        };
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn remove(path: &Path) -> Result<(), BaseError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BaseError::write(path)(error)),
        _ => Ok(()),
    }
}

const HELD: &str = "in-use";
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
