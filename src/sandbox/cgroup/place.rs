//! The directories below which an instance makes its parent, one a hierarchy; chosen once, because
//! under v2 the choice moves this very process: a group with processes of its own hands no
//! controller on, so we make way into a leaf `supervisor`, and go back at the end.
//!
//! Nothing in the tree is trusted to be as it was left: what is written is read back.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::files::{
    access, children, kill_members, make_directory, not_set, open_directory, open_root, read_file,
    remove_directory, remove_when_empty, write_file,
};
use super::layout::{Layout, detect, lacks};
use super::{CgroupError, Controller};

/// Where the groups of all instances are that were started as we were.
#[derive(Debug)]
pub struct Place {
    layout: Layout,
    roots: Vec<(Controller, OwnedFd)>,
    made_way: bool,
}

impl Place {
    /// Looks at this host and, under v2, makes way for the runs. `rootless` may use no group but
    /// its own.
    pub fn take(rootless: bool) -> Result<Self, CgroupError> {
        let found = detect(rootless)?;
        let mut roots = Vec::new();
        for (controller, path) in &found.roots {
            roots.push((*controller, open_root(path)?));
        }
        let mut place = Self { layout: found.layout, roots, made_way: false };
        if let (false, Some((_, group))) = (found.in_the_way.is_empty(), place.roots.first()) {
            // From here on, dropping it leads us back.
            place.made_way = true;
            make_way(group.as_fd(), &found.in_the_way)?;
        }
        Ok(place)
    }

    pub(super) const fn layout(&self) -> Layout {
        self.layout
    }

    pub(super) fn roots(&self) -> &[(Controller, OwnedFd)] {
        &self.roots
    }

    /// Names of all groups here, ours and others'.
    pub fn groups(&self) -> Result<Vec<String>, CgroupError> {
        let mut names = Vec::new();
        for (_, root) in &self.roots {
            names.extend(children(root)?);
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Removes the group called `name` and all below it, killing what is in there.
    pub fn clear(&self, name: &str) -> Result<(), CgroupError> {
        for (_, root) in &self.roots {
            match open_directory(root.as_fd(), name) {
                Ok(parent) => {
                    for child in children(&parent)? {
                        let leaf =
                            open_directory(parent.as_fd(), &child).map_err(access(&child))?;
                        kill_members(&leaf);
                        drop(leaf);
                        remove_when_empty(parent.as_fd(), &child)?;
                    }
                    drop(parent);
                    remove_when_empty(root.as_fd(), name)?;
                }
                Err(nix::errno::Errno::ENOENT) => {}
                Err(error) => return Err(access(name)(error)),
            }
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let (true, Some((_, group))) = (self.made_way, self.roots.first()) {
            // An empty leaf that stays behind does no harm, and systemd removes it with the unit.
            let _ = go_back(group.as_fd());
        }
    }
}

/// Lets the groups below this one have what limits are made of.
pub(super) fn hand_on_controllers(group: BorrowedFd<'_>) -> Result<(), CgroupError> {
    write_file(group, "cgroup.subtree_control", "+memory +pids +cpu")?;
    let handed_on = read_file(group, "cgroup.subtree_control")?;
    if lacks(&handed_on).is_empty() {
        return Ok(());
    }
    Err(not_set("cgroup.subtree_control", "memory pids cpu", &handed_on))
}

fn make_way(group: BorrowedFd<'_>, processes: &[String]) -> Result<(), CgroupError> {
    let leaf = make_directory(group, LEAF)?;
    for pid in processes {
        write_file(leaf.as_fd(), "cgroup.procs", pid)?;
    }
    // Fails when another process has come into the group since we looked.
    hand_on_controllers(group)
}

fn go_back(group: BorrowedFd<'_>) -> Result<(), CgroupError> {
    let leaf = open_directory(group, LEAF).map_err(access(LEAF))?;
    write_file(group, "cgroup.subtree_control", "-memory -pids -cpu")?;
    // Read again: our parent may be gone, and its number another's.
    for pid in read_file(leaf.as_fd(), "cgroup.procs")?.lines() {
        write_file(group, "cgroup.procs", pid)?;
    }
    drop(leaf);
    remove_directory(group, LEAF)
}

/// Where this process and its parent are while controllers are handed on.
const LEAF: &str = "supervisor";
