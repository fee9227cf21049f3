//! Cgroup files and directories: opened beneath a descriptor, every written value read back.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Pid, UnlinkatFlags, unlinkat};

use super::CgroupError;

/// Cloning into a leaf needs write permission on `cgroup.procs` of the leaf and of the parent.
pub(super) fn give_entry(
    directory: BorrowedFd<'_>,
    spawner: Option<u32>,
) -> Result<(), CgroupError> {
    let Some(spawner) = spawner else { return Ok(()) };
    nix::unistd::fchownat(
        directory,
        "cgroup.procs",
        Some(spawner.into()),
        None,
        nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
    )
    .map_err(access("cgroup.procs"))
}

pub(super) fn set(directory: BorrowedFd<'_>, name: &str, value: &str) -> Result<(), CgroupError> {
    write_file(directory, name, value)?;
    let found = read_file(directory, name)?;
    let found = found.trim();
    // The kernel rounds byte values down to whole pages.
    let rounded = match (found.parse::<u64>(), value.parse::<u64>()) {
        (Ok(found), Ok(wanted)) => {
            found <= wanted && wanted - found < 4096 && (found > 0 || wanted == 0)
        }
        _ => found == value,
    };
    if rounded { Ok(()) } else { Err(not_set(name, value, found)) }
}

pub(super) fn keyed(directory: BorrowedFd<'_>, file: &str, key: &str) -> Result<u64, CgroupError> {
    let text = read_file(directory, file)?;
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(|| not_set(file, key, &text))
}

pub(super) fn read_number(directory: BorrowedFd<'_>, file: &str) -> Option<u64> {
    read_file(directory, file).ok()?.trim().parse().ok()
}

pub(super) fn read_file(directory: BorrowedFd<'_>, name: &str) -> Result<String, CgroupError> {
    let file = openat(directory, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(access(name))?;
    let mut text = String::new();
    File::from(file)
        .read_to_string(&mut text)
        .map_err(|source| CgroupError::Access { name: name.to_owned(), source })?;
    Ok(text)
}

pub(super) fn write_file(
    directory: BorrowedFd<'_>,
    name: &str,
    value: &str,
) -> Result<(), CgroupError> {
    let file = openat(directory, name, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(access(name))?;
    File::from(file)
        .write_all(value.as_bytes())
        .map_err(|source| CgroupError::Access { name: name.to_owned(), source })
}

pub(super) fn make_directory(parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, CgroupError> {
    match mkdirat(parent, name, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
        Err(error) => return Err(access(name)(error)),
    }
    open_directory(parent, name).map_err(access(name))
}

pub(super) fn open_root(path: &Path) -> Result<OwnedFd, CgroupError> {
    nix::fcntl::open(path, DIRECTORY, Mode::empty()).map_err(access(&path.display().to_string()))
}

pub(super) fn open_directory(parent: BorrowedFd<'_>, name: &str) -> nix::Result<OwnedFd> {
    openat(parent, name, DIRECTORY | OFlag::O_NOFOLLOW, Mode::empty())
}

pub(super) fn remove_directory(parent: BorrowedFd<'_>, name: &str) -> Result<(), CgroupError> {
    match unlinkat(parent, name, UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(()),
        Err(error) => Err(access(name)(error)),
    }
}

/// A killed process leaves its cgroup a moment after the kill; this is only for what an earlier,
/// dead instance left behind.
pub(super) fn remove_when_empty(parent: BorrowedFd<'_>, name: &str) -> Result<(), CgroupError> {
    let mut result = remove_directory(parent, name);
    for _ in 0..200 {
        if result.is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
        result = remove_directory(parent, name);
    }
    result
}

pub(super) fn kill_members(leaf: &OwnedFd) {
    if write_file(leaf.as_fd(), "cgroup.kill", "1").is_ok() {
        return;
    }
    let members = read_file(leaf.as_fd(), "cgroup.procs").unwrap_or_default();
    for pid in members.lines().filter_map(|line| line.parse().ok()) {
        // Gone already is as good.
        let _ = nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
}

pub(super) fn children(parent: &OwnedFd) -> Result<Vec<String>, CgroupError> {
    let mut directory = nix::dir::Dir::openat(parent, ".", DIRECTORY, Mode::empty())
        .map_err(access("directory"))?;
    let mut names = Vec::new();
    for entry in directory.iter() {
        let entry = entry.map_err(access("directory"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type() == Some(nix::dir::Type::Directory) && name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

pub(super) fn access(name: &str) -> impl FnOnce(nix::errno::Errno) -> CgroupError {
    let name = name.to_owned();
    move |error| CgroupError::Access { name, source: error.into() }
}

pub(super) fn not_set(name: &str, wanted: &str, found: &str) -> CgroupError {
    CgroupError::NotSet {
        name: name.to_owned(),
        wanted: wanted.to_owned(),
        found: found.trim().to_owned(),
    }
}
