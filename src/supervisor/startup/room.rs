//! How many runs fit. The memory caps of all of them together stay within the policy's share of this
//! host's memory. Where a cgroup around primcs has a limit, as that of a container has, the default
//! goes by that; whoever asks for more has it from the engine, which keeps the host safe.
#![forbid(unsafe_code)]

use std::path::Path;

use super::{StartupError, plans, read_proc};
use crate::policy::Policy;
use crate::settings::Settings;
use crate::sys::mountinfo;

/// Runs at once, at most.
pub(super) fn max_runs(settings: &Settings, policy: &Policy) -> Result<u32, StartupError> {
    let meminfo = read_proc("/proc/meminfo")?;
    let kilobytes: u64 = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let fit = |bytes| plans::most_runs(policy, bytes, u64::try_from(cores).unwrap_or(1));
    let most = fit(kilobytes * 1024);
    if most == 0 {
        return Err(StartupError::NoRoom);
    }
    let (mounts, own) = (read_proc(mountinfo::PATH)?, read_proc("/proc/self/cgroup")?);
    let limit = limit_around(&mounts, &own, &|file| std::fs::read_to_string(file).ok());
    match settings.max_runs {
        Some(asked) if asked > most => Err(StartupError::TooManyRuns { asked, most }),
        Some(asked) => Ok(asked),
        None => Ok(limit.map_or(most, |bytes| fit(bytes).clamp(1, most))),
    }
}

/// The smallest limit of memory of our own group and of those above it that can be seen from here.
fn limit_around(mounts: &str, own: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let limits = own.lines().filter_map(|line| {
        let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
        let (kind, controller, file) = match controllers {
            "" => ("cgroup2", None, "memory.max"),
            _ if controllers.split(',').any(|one| one == "memory") => {
                ("cgroup", Some("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let mount = mountinfo::mounts(mounts)
            .find(|one| one.kind == kind && controller.is_none_or(|name| one.has(name)))?;
        let below = Path::new(group).strip_prefix(mount.root).ok()?;
        let at = Path::new(mount.at);
        let limit = |group| read(&at.join(group).join(file))?.trim().parse::<u64>().ok();
        below.ancestors().filter_map(limit).min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(mounts: &str, own: &str, files: &[(&str, &str)]) -> Option<u64> {
        limit_around(mounts, own, &|wanted| {
            let found = files.iter().find(|(path, _)| Path::new(path) == wanted);
            found.map(|(_, text)| format!("{text}\n"))
        })
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let mounts = "35 24 0:30 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup2 rw";
        let own = "0::/a/b";
        let inner = ("/sys/fs/cgroup/a/b/memory.max", "max");
        let middle = ("/sys/fs/cgroup/a/memory.max", "4294967296");
        let top = ("/sys/fs/cgroup/memory.max", "8589934592");
        assert_eq!(limit(mounts, own, &[inner, middle, top]), Some(4 << 30));
        assert_eq!(limit(mounts, own, &[inner, top]), Some(8 << 30));
        assert_eq!(limit(mounts, own, &[inner]), None);
        // A container: its own cgroup is the root of what it sees.
        assert_eq!(limit(mounts, "0::/", &[top]), Some(8 << 30));
    }

    #[test]
    fn a_container_that_sees_its_part_of_a_v1_tree_has_its_limit() {
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             34 31 0:31 /docker/x /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n\
             35 31 0:32 /docker/x /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory";
        let own = "5:cpu:/docker/x\n4:memory:/docker/x\n0::/docker/x";
        let file = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824");
        assert_eq!(limit(mounts, own, &[file]), Some(1 << 30));
        // Of another group than ours nothing is said.
        assert_eq!(limit(mounts, "4:memory:/docker/y", &[file]), None);
    }
}
