//! The floor of `mounts.toml`: a root built from nothing and read-only, no set-user-id bit, no
//! device node but the harmless ones, a `/proc` by allow list, no `/sys`, nothing of the host but
//! system directories.
#![forbid(unsafe_code)]

use super::{File, FloorError, is_below, is_kernel_view};
use crate::policy::mounts::{MountFlag, Mounts, Root, RootMountKind};

pub(super) fn check(mounts: &Mounts) -> Result<(), FloorError> {
    let file = File("mounts.toml");
    root(file, &mounts.root)?;
    has_flags(file, "run flags", &mounts.run.flags, &[MountFlag::Nosuid, MountFlag::Nodev])?;
    let all = [MountFlag::Ro, MountFlag::Nosuid, MountFlag::Nodev, MountFlag::Noexec];
    has_flags(file, "proc flags", &mounts.proc.flags, &all)?;
    for entry in &mounts.proc.show {
        let path = entry.path.as_str();
        let below = |known: &str| known.ends_with('/') && path.starts_with(known);
        file.demand(
            &format!("proc show {path}"),
            SHOWABLE.contains(&path) || SHOWABLE.iter().any(|known| below(known)),
            "is not one of the entries known to be harmless; remove it",
        )?;
    }
    for directory in &mounts.run.directory {
        let target = directory.target.as_str();
        // The first mount is "/" itself, which everything lies below.
        let mut parts = mounts.root.mount.iter().skip(1).map(|mount| mount.target.as_str());
        let hides = parts.any(|part| is_below(target, part) || is_below(part, target));
        file.demand(
            &format!("run.directory {target}"),
            target != "/" && target != "/dev" && !is_kernel_view(target) && !hides,
            "would cover a read-only part of the root; choose another target",
        )?;
    }
    for tree in &mounts.base.tree {
        let path = tree.path.as_str();
        file.demand(
            &format!("base.tree {path}"),
            SYSTEM_DIRECTORIES.iter().any(|root| is_below(path, root)),
            "is outside /usr, /lib, /lib64 and /opt; remove it: nothing of /etc, /home, /root or /var is copied whole",
        )?;
    }
    Ok(())
}

fn root(file: File, root: &Root) -> Result<(), FloorError> {
    let first = root.mount.first().map(|mount| (mount.target.as_str(), mount.kind));
    file.demand(
        "root.mount",
        first == Some(("/", RootMountKind::Tmpfs)),
        "must begin with \"/\" as a tmpfs: the root is built from nothing",
    )?;
    for mount in &root.mount {
        let target = mount.target.as_str();
        let key = format!("root.mount {target}");
        has_flags(file, &key, &mount.flags, &[MountFlag::Ro, MountFlag::Nosuid, MountFlag::Nodev])?;
        file.demand(
            &key,
            !is_kernel_view(target),
            "shows the kernel; remove it: /proc has a section of its own and /sys is never shown",
        )?;
    }
    for device in &root.device {
        let name = device.name.as_str();
        file.demand(
            &format!("root.device {name}"),
            HARMLESS_DEVICES.contains(&name),
            "is not one of the harmless device nodes; remove it",
        )?;
    }
    Ok(())
}

fn has_flags(
    file: File,
    key: &str,
    flags: &[MountFlag],
    needed: &[MountFlag],
) -> Result<(), FloorError> {
    for flag in needed {
        let word = format!("{flag:?}").to_lowercase();
        file.demand(key, flags.contains(flag), &format!("needs the flag \"{word}\"; add it"))?;
    }
    Ok(())
}

const HARMLESS_DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

const SYSTEM_DIRECTORIES: [&str; 4] = ["/usr", "/lib", "/lib64", "/opt"];

/// A name that ends in `/` stands for every leaf below it.
const SHOWABLE: [&str; 14] = [
    "self",
    "thread-self",
    "cpuinfo",
    "meminfo",
    "stat",
    "uptime",
    "loadavg",
    "version",
    "filesystems",
    "mounts",
    "sys/kernel/",
    "sys/vm/",
    "sys/fs/",
    "sys/net/",
];
