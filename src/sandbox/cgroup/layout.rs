//! Which cgroups this host offers, found by looking at what is mounted and where this process is.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::{CgroupError, Controller};

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

/// Finds the directories below which this instance may make its parent.
pub(super) fn detect() -> Result<(Layout, Vec<(Controller, PathBuf)>), CgroupError> {
    let mounts = read("/proc/self/mountinfo")?;
    let own = read("/proc/self/cgroup")?;
    choose(&mounts, &own, &|path| std::fs::read_to_string(path).unwrap_or_default())
}

fn read(path: &str) -> Result<String, CgroupError> {
    std::fs::read_to_string(path)
        .map_err(|source| CgroupError::Access { name: path.to_owned(), source })
}

fn choose(
    mounts: &str,
    own: &str,
    read: &dyn Fn(&Path) -> String,
) -> Result<(Layout, Vec<(Controller, PathBuf)>), CgroupError> {
    let unified = mounts.lines().find_map(|line| mount_point(line, "cgroup2", None));
    if let Some(mount) = &unified {
        let below = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or("");
        // A service with delegation owns the cgroup it was started in; root elsewhere starts at the top.
        for base in [mount.join(below), mount.clone()] {
            let controllers = read(&base.join("cgroup.controllers"));
            if ["memory", "pids", "cpu"]
                .iter()
                .all(|c| controllers.split_whitespace().any(|found| found == *c))
            {
                return Ok((Layout::V2, vec![(Controller::Unified, base)]));
            }
        }
    }
    let mut found = Vec::new();
    for (controller, name) in
        [(Controller::Memory, "memory"), (Controller::Cpu, "cpu"), (Controller::Pids, "pids")]
    {
        let mount = mounts
            .lines()
            .find_map(|line| mount_point(line, "cgroup", Some(name)))
            .ok_or_else(|| CgroupError::Unavailable(format!("no {name} controller is mounted")))?;
        found.push((controller, mount));
    }
    let layout = if unified.is_some() { Layout::Hybrid } else { Layout::V1 };
    if let Some(mount) = unified {
        found.insert(0, (Controller::Unified, mount));
    }
    Ok((layout, found))
}

/// The mount point of a line of mountinfo, when it is of this type and has this controller.
fn mount_point(line: &str, kind: &str, controller: Option<&str>) -> Option<PathBuf> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut fields = file_system.split(' ');
    if fields.next()? != kind {
        return None;
    }
    let options = fields.nth(1)?;
    if controller.is_some_and(|wanted| !options.split(',').any(|option| option == wanted)) {
        return None;
    }
    mount.split(' ').nth(4).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 25 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
31 25 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 25 0:28 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
33 25 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

    #[test]
    fn v1_controllers_beside_a_bare_unified_tree_are_hybrid() {
        let (layout, roots) = choose(HYBRID, "0::/\n", &|_| "hugetlb\n".to_owned()).unwrap();
        assert_eq!(layout, Layout::Hybrid);
        assert_eq!(roots.len(), 4);
    }

    #[test]
    fn a_unified_tree_with_controllers_is_v2_at_the_own_group() {
        let mounts = "33 25 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate";
        let (layout, roots) =
            choose(mounts, "0::/system.slice/x.service\n", &|_| "cpu io memory pids\n".to_owned())
                .unwrap();
        assert_eq!(layout, Layout::V2);
        assert_eq!(
            roots,
            [(Controller::Unified, PathBuf::from("/sys/fs/cgroup/system.slice/x.service"))]
        );
    }

    #[test]
    fn a_host_without_a_memory_controller_is_refused() {
        let mounts =
            HYBRID.lines().filter(|line| !line.contains("memory")).collect::<Vec<_>>().join("\n");
        assert!(choose(&mounts, "", &|_| String::new()).is_err());
    }
}
