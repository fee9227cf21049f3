//! The run's one tmpfs, made by the supervisor and attached nowhere on the host: workspace, `/tmp`,
//! `/dev/shm`, home and the venv skeleton share its size and inodes. Its pages are charged to
//! whoever touches them, so to the run.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{fchownat, symlinkat};

use super::plan::Writable;
use super::weaken;
use crate::sys::mount::new_tmpfs;

/// Name of the script that a run executes, in its working directory.
pub const SCRIPT: &str = "script.py";

/// What every workspace of one supervisor has in common.
#[derive(Debug, Clone)]
pub struct WorkspacePlan {
    /// Bytes.
    pub size: u64,
    /// Files and directories.
    pub inodes: u64,
    /// Mount attributes, of the tmpfs and so of every directory attached from it.
    pub attributes: u64,
    /// Directories at its top.
    pub writable: Vec<Writable>,
    /// Interpreter inside a run.
    pub python: String,
    /// Such as `3.11.2`.
    pub version: String,
}

impl WorkspacePlan {
    /// Makes the tmpfs of one run with its script, all owned by `owner` as this process sees it.
    pub fn create(&self, owner: u32, code: &str) -> io::Result<OwnedFd> {
        let mut options = vec![(c"mode", "0755".to_owned())];
        if weaken::stands("tmpfs_size") {
            options.push((c"size", self.size.to_string()));
        }
        if weaken::stands("tmpfs_inodes") {
            options.push((c"nr_inodes", self.inodes.to_string()));
        }
        let root = new_tmpfs(&options, self.attributes)?;
        let tree = Tree { owner };
        for writable in &self.writable {
            tree.directory(root.as_fd(), &writable.directory, writable.mode)?;
        }
        let workspace = Tree::open(root.as_fd(), "workspace")?;
        tree.directory(workspace.as_fd(), "mounts", 0o755)?;
        tree.directory(workspace.as_fd(), "output", 0o755)?;
        tree.file(workspace.as_fd(), SCRIPT, code)?;
        self.lay_venv(&tree, Tree::open(root.as_fd(), "venv")?.as_fd())?;
        Ok(root)
    }

    /// A venv written by hand: Debian's python3 has neither venv nor pip.
    fn lay_venv(&self, tree: &Tree, venv: BorrowedFd<'_>) -> io::Result<()> {
        let home = self.python.rsplit_once('/').map_or("/usr/bin", |(directory, _)| directory);
        let mut parts = self.version.split('.');
        let short = [parts.next().unwrap_or("3"), parts.next().unwrap_or("0")].join(".");
        tree.directory(venv, "bin", 0o755)?;
        tree.directory(venv, "lib", 0o755)?;
        let lib = Tree::open(venv, "lib")?;
        let python_lib = format!("python{short}");
        tree.directory(lib.as_fd(), &python_lib, 0o755)?;
        tree.directory(Tree::open(lib.as_fd(), &python_lib)?.as_fd(), "site-packages", 0o755)?;
        let bin = Tree::open(venv, "bin")?;
        tree.link(bin.as_fd(), "python", &self.python)?;
        tree.link(bin.as_fd(), "python3", "python")?;
        tree.link(bin.as_fd(), &python_lib, "python")?;
        let version = &self.version;
        tree.file(
            venv,
            "pyvenv.cfg",
            &format!("home = {home}\ninclude-system-site-packages = false\nversion = {version}\n"),
        )
    }
}

struct Tree {
    owner: u32,
}

impl Tree {
    fn directory(&self, parent: BorrowedFd<'_>, name: &str, mode: u32) -> io::Result<()> {
        mkdirat(parent, name, Mode::from_bits_truncate(mode))?;
        // The creation mask must not narrow what the plan says.
        let made = Self::open(parent, name)?;
        nix::sys::stat::fchmod(&made, Mode::from_bits_truncate(mode))?;
        self.own(parent, name)
    }

    fn open(parent: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(parent, name, flags, Mode::empty())?)
    }

    fn file(&self, parent: BorrowedFd<'_>, name: &str, text: &str) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(parent, name, flags, Mode::from_bits_truncate(0o644))?;
        File::from(file).write_all(text.as_bytes())?;
        self.own(parent, name)
    }

    fn link(&self, parent: BorrowedFd<'_>, name: &str, target: &str) -> io::Result<()> {
        symlinkat(target, parent, name)?;
        self.own(parent, name)
    }

    fn own(&self, parent: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        let (uid, gid) = (Some(self.owner.into()), Some(self.owner.into()));
        Ok(fchownat(parent, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }
}
