//! What `/proc/self/mountinfo` says (proc(5)). Text in, text out: paths stay as the kernel has escaped
//! them, which those of cgroups never are. Lines that are not as they should be are passed over.
#![forbid(unsafe_code)]

/// Where the kernel has it, for this process.
pub const PATH: &str = "/proc/self/mountinfo";

/// One mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount<'a> {
    /// The part of the file system that is mounted.
    pub root: &'a str,
    /// The mount point.
    pub at: &'a str,
    /// Options of the mount, separated by commas.
    pub options: &'a str,
    /// Type of the file system.
    pub kind: &'a str,
    /// Options of the file system: with cgroup v1 its controllers are among them.
    pub of_file_system: &'a str,
}

impl Mount<'_> {
    /// Whether the file system has this option.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.of_file_system.split(',').any(|one| one == option)
    }
}

/// The mounts, in the kernel's order.
pub fn mounts(text: &str) -> impl Iterator<Item = Mount<'_>> {
    text.lines().filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let (mut mount, mut file_system) = (mount.split(' ').skip(3), file_system.split(' '));
        Some(Mount {
            root: mount.next()?,
            at: mount.next()?,
            options: mount.next()?,
            kind: file_system.next()?,
            of_file_system: file_system.nth(1)?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_mount_however_many_optional_fields_it_has() {
        let text = "35 31 0:32 /docker/x /sys/fs/cgroup/cpu ro,nosuid - cgroup cgroup rw,cpu,cpuacct\n\
             cut short\n\
             36 31 0:30 / /sys/fs/cgroup rw,nosuid shared:4 master:1 - cgroup2 none rw\n";
        let found: Vec<_> = mounts(text).collect();
        let cpu = Mount {
            root: "/docker/x",
            at: "/sys/fs/cgroup/cpu",
            options: "ro,nosuid",
            kind: "cgroup",
            of_file_system: "rw,cpu,cpuacct",
        };
        assert_eq!(found.first(), Some(&cpu));
        assert!(cpu.has("cpu") && !cpu.has("cp"));
        assert_eq!(found.get(1).map(|mount| mount.kind), Some("cgroup2"));
        assert_eq!(found.len(), 2);
        let own = std::fs::read_to_string(PATH).unwrap();
        assert_eq!(mounts(&own).count(), own.lines().count());
        assert!(mounts(&own).any(|mount| mount.kind == "proc" && mount.at == "/proc"));
    }
}
