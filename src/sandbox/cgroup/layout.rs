//! Which cgroups this host offers, found by looking at what is mounted and where this process is.
#![forbid(unsafe_code)]

use std::path::{Component, Path, PathBuf};

use super::{CgroupError, Controller};
use crate::sys::mountinfo::{self, Mount, mounts};

/// Where limits come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The unified tree with its controllers.
    V2,
    /// v1 controllers, and a unified tree without controllers.
    Hybrid,
    /// v1 controllers only.
    V1,
    /// No cgroups at all; only with `--allow-soft-limits`.
    None,
}

impl Layout {
    /// The word used in the log, in `doctor` and in health.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::Hybrid => "hybrid",
            Self::V1 => "v1",
            Self::None => "none",
        }
    }
}

/// What was found: the directory of each hierarchy below which this instance may make its parent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) layout: Layout,
    pub(super) roots: Vec<(Controller, PathBuf)>,
    /// The processes that must leave the v2 root for a leaf below it: under v2 a group with
    /// processes of its own hands no controller on.
    pub(super) in_the_way: Vec<String>,
}

/// What the choice depends on, besides what lies in the tree.
struct Here<'a> {
    mounts: &'a str,
    own: &'a str,
    /// This process and its parent.
    us: [String; 2],
    rootless: bool,
}

/// Finds the directories below which this instance may make its parent.
pub(super) fn detect(rootless: bool) -> Result<Found, CgroupError> {
    let here = Here {
        mounts: &read(mountinfo::PATH)?,
        own: &read("/proc/self/cgroup")?,
        us: [nix::unistd::getpid(), nix::unistd::getppid()].map(|pid| pid.to_string()),
        rootless,
    };
    choose(&here, &|path| std::fs::read_to_string(path).unwrap_or_default())
}

fn read(path: &str) -> Result<String, CgroupError> {
    std::fs::read_to_string(path)
        .map_err(|source| CgroupError::Access { name: path.to_owned(), source })
}

fn choose(here: &Here<'_>, read: &dyn Fn(&Path) -> String) -> Result<Found, CgroupError> {
    let unified = mounts(here.mounts).find(|mount| mount.kind == "cgroup2");
    if let Some(mount) = unified {
        // A controller is in one version only, so the others are here too or nowhere.
        if lacks(&read(&Path::new(mount.at).join("cgroup.controllers"))) != CONTROLLERS {
            return choose_v2(here, mount, read);
        }
    }
    let mut roots = Vec::new();
    for (controller, name) in
        [(Controller::Memory, "memory"), (Controller::Cpu, "cpu"), (Controller::Pids, "pids")]
    {
        let mount = mounts(here.mounts)
            .find(|mount| mount.kind == "cgroup" && mount.has(name))
            .ok_or_else(|| CgroupError::Unavailable(format!("no {name} controller is mounted")))?;
        roots.push((controller, mount.at.into()));
    }
    let layout = if unified.is_some() { Layout::Hybrid } else { Layout::V1 };
    if let Some(mount) = unified {
        roots.insert(0, (Controller::Unified, mount.at.into()));
    }
    Ok(Found { layout, roots, in_the_way: Vec::new() })
}

/// Our own group, when it is ours alone: a delegated service or scope, or a whole container. Else, as
/// root, the top of the tree, which systemd keeps free of processes and in which nothing is changed.
fn choose_v2(
    here: &Here<'_>,
    mount: Mount<'_>,
    read: &dyn Fn(&Path) -> String,
) -> Result<Found, CgroupError> {
    let found = |root: PathBuf, in_the_way| Found {
        layout: Layout::V2,
        roots: vec![(Controller::Unified, root)],
        in_the_way,
    };
    let why_not_own = match own_group(here.own, mount) {
        None => "the group of this process is not below the mounted tree".to_owned(),
        Some(own) => {
            let missing = lacks(&read(&own.join("cgroup.controllers")));
            let members: Vec<_> =
                read(&own.join("cgroup.procs")).lines().map(str::to_owned).collect();
            // A process of another pid namespace shows as 0.
            let only_us = members.iter().all(|pid| pid != "0" && here.us.contains(pid));
            match (missing.is_empty(), only_us) {
                (true, true) => return Ok(found(own, members)),
                (true, false) => format!("{} holds processes of others", own.display()),
                (false, _) => format!("{} was not given {}", own.display(), missing.join(", ")),
            }
        }
    };
    if here.rootless {
        return Err(CgroupError::Unavailable(why_not_own));
    }
    let missing = lacks(&read(&Path::new(mount.at).join("cgroup.subtree_control")));
    if missing.is_empty() {
        return Ok(found(mount.at.into(), Vec::new()));
    }
    Err(CgroupError::Unavailable(format!(
        "{why_not_own}, and {} does not hand on {}",
        mount.at,
        missing.join(", ")
    )))
}

/// Where the group of this process is in the mounted tree; `/../x` would be outside of it.
fn own_group(own: &str, mount: Mount<'_>) -> Option<PathBuf> {
    let path = Path::new(own.lines().find_map(|line| line.strip_prefix("0::"))?);
    let below = path.strip_prefix(mount.root).ok()?;
    let inside = below.components().all(|part| matches!(part, Component::Normal(_)));
    inside.then(|| Path::new(mount.at).join(below))
}

/// The controllers that runs need and this list does not name.
pub(super) fn lacks(controllers: &str) -> Vec<&'static str> {
    let is_named = |wanted: &str| controllers.split_whitespace().any(|name| name == wanted);
    CONTROLLERS.into_iter().filter(|wanted| !is_named(wanted)).collect()
}

/// What the limits of a run are made of.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

#[cfg(test)]
mod tests;
