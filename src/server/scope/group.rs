//! Which cgroup this process is in, and whether a supervisor could set limits below it. Only looks.
//!
//! Trusts the kernel, and systemd for its mark on what it has delegated.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::sys::{mountinfo, xattr};

use super::{is_root, text};

/// Where this process is in the unified tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) top: PathBuf,
    directory: PathBuf,
}

impl Group {
    /// `mounts` and `own` are mountinfo and cgroup of this process.
    pub(super) fn find(mounts: &str, own: &str) -> Option<Self> {
        let mount = mountinfo::mounts(mounts).find(|mount| mount.kind == "cgroup2")?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
        let below = Path::new(own).strip_prefix(mount.root).ok()?;
        let top = PathBuf::from(mount.at);
        Some(Self { directory: top.join(below), top })
    }

    pub(super) fn is_ours_alone(&self) -> bool {
        let own = std::process::id().to_string();
        text(self.directory.join("cgroup.procs")).lines().all(|pid| pid == own)
    }

    /// Whether limits can be set below, and systemd leaves that to us. Its mark on a delegated unit
    /// is root's to read and to set, so user managers leave none: their units are this user's.
    pub(super) fn may_be_divided(&self) -> bool {
        let given = text(self.directory.join("cgroup.controllers"));
        let is_given = |wanted| given.split_whitespace().any(|name| name == wanted);
        let is_marked =
            |unit| xattr::get(unit, c"trusted.delegate").is_ok_and(|value| value == b"1");
        let is_left_to_us = if is_root() {
            unit(&self.directory, &self.top).is_none_or(is_marked)
        } else {
            let owner = fs::metadata(&self.directory).map(|found| found.uid());
            owner.is_ok_and(|owner| owner == nix::unistd::geteuid().as_raw())
        };
        ["memory", "pids", "cpu"].into_iter().all(is_given) && is_left_to_us
    }
}

/// The innermost directory that is a service's or a scope's.
fn unit<'a>(directory: &'a Path, top: &Path) -> Option<&'a Path> {
    let is_unit =
        |path: &&Path| path.extension().is_some_and(|kind| kind == "service" || kind == "scope");
    directory.ancestors().take_while(|path| *path != top).find(is_unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "24 30 0:22 / /proc rw - proc proc rw\n\
        30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn our_group_is_found_where_the_tree_is_mounted() {
        let group =
            Group::find(MOUNTS, "0::/user.slice/user-1000.slice/session-3.scope\n").unwrap();
        assert_eq!(group.top, Path::new("/sys/fs/cgroup"));
        let session = Path::new("/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope");
        assert_eq!(group.directory, session);
        assert_eq!(Group::find(MOUNTS, "4:memory:/x\n"), None);
        assert_eq!(Group::find("24 30 0:22 / /proc rw - proc proc rw\n", "0::/\n"), None);
    }

    #[test]
    fn the_innermost_unit_decides_and_a_slice_is_none() {
        let top = Path::new("/sys/fs/cgroup");
        for (below, wanted) in [
            ("a.slice/b.service", Some("a.slice/b.service")),
            ("a.slice/b.service/leaf", Some("a.slice/b.service")),
            (
                "u.slice/user@1.service/app.slice/c.scope",
                Some("u.slice/user@1.service/app.slice/c.scope"),
            ),
            ("a.slice", None),
            ("made-by-hand", None),
            ("", None),
        ] {
            let directory = top.join(below);
            assert_eq!(unit(&directory, top), wanted.map(|path| top.join(path)).as_deref());
        }
    }
}
