//! Where cgroups are mounted, whether they can be written to, and which group this process is in.
#![forbid(unsafe_code)]

use super::text;
use crate::sys::mountinfo::{self, Mount};

/// What of cgroups is here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::server::doctor) struct Seen {
    /// Controllers somewhere to be found, in either version.
    pub(in crate::server::doctor) controllers: Vec<String>,
    /// Each mount in words, with the group of this process in it.
    pub(in crate::server::doctor) places: Vec<String>,
}

/// Reads it from the kernel.
pub(super) fn look() -> Seen {
    of(&text(mountinfo::PATH), &text("/proc/self/cgroup"), &text)
}

/// `read` gives the text of a file, nothing where there is none.
fn of(mounts: &str, own: &str, read: &dyn Fn(&str) -> String) -> Seen {
    let mut seen = Seen::default();
    for mount in mountinfo::mounts(mounts) {
        let Mount { root, at, kind, of_file_system: options, .. } = mount;
        let is_writable = mount.options.split(',').any(|one| one == "rw") && mount.has("rw");
        let access = if is_writable { "" } else { ", read-only" };
        let (name, group) = match kind {
            "cgroup2" => ("v2".to_owned(), group(own, str::is_empty)),
            "cgroup" => {
                let here: Vec<_> = options.split(',').filter(|one| LIMITS.contains(one)).collect();
                if here.is_empty() {
                    continue;
                }
                let is_one = |named: &str| named.split(',').any(|one| here.contains(&one));
                (format!("v1 {}", here.join(" ")), group(own, is_one))
            }
            _ => continue,
        };
        // What is mounted is the part of the tree below `root`.
        let below = group.strip_prefix(root.trim_end_matches('/')).unwrap_or(group);
        let path = format!("{at}{}", if below == "/" { "" } else { below });
        if kind == "cgroup2" {
            let named = read(&format!("{path}/cgroup.controllers"));
            seen.controllers.extend(named.split_whitespace().map(str::to_owned));
        } else {
            seen.controllers.extend(options.split(',').map(str::to_owned));
        }
        seen.places.push(format!("{name} at {path}{access}"));
    }
    seen
}

/// The group of this process in the hierarchy whose controllers are so.
fn group(own: &str, is_wanted: impl Fn(&str) -> bool) -> &str {
    let mut groups = own.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    groups.find(|(named, _)| is_wanted(named)).map_or("/", |(_, path)| path)
}

/// Those that limits are made of.
const LIMITS: [&str; 3] = ["memory", "pids", "cpu"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_this_process_is_named_in_either_version() {
        let v2 = of(
            "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate",
            "0::/system.slice/primcs.service",
            &|path| {
                match path {
                    "/sys/fs/cgroup/system.slice/primcs.service/cgroup.controllers" => "cpu memory",
                    _ => "",
                }
                .to_owned()
            },
        );
        assert_eq!(v2.controllers, ["cpu", "memory"]);
        assert_eq!(v2.places, ["v2 at /sys/fs/cgroup/system.slice/primcs.service"]);
        let v1 = of(
            "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
             35 31 0:32 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
             36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
             37 31 0:34 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices",
            "9:cpu,cpuacct:/batch\n4:memory:/",
            &|_| String::new(),
        );
        assert_eq!(
            v1.places,
            ["v1 memory at /sys/fs/cgroup/memory, read-only", "v1 cpu at /sys/fs/cgroup/cpu/batch"]
        );
        assert!(v1.controllers.contains(&"memory".to_owned()));
        // A container that sees its own part of the tree.
        let part =
            of("1 0 0:1 /docker/x /sys/fs/cgroup ro - cgroup2 c rw", "0::/docker/x", &|_| {
                String::new()
            });
        assert_eq!(part.places, ["v2 at /sys/fs/cgroup, read-only"]);
    }
}
