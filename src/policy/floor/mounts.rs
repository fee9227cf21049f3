//! The floor of `mounts.toml`: a root built from nothing and read-only, no set-user-id bit, no
//! device node but the harmless ones, a `/proc` by allow list, no `/sys`, nothing of the host but
//! system directories.
#![forbid(unsafe_code)]

use super::{File, FloorError, is_below, is_kernel_view};
use crate::policy::mounts::{MountFlag, Mounts, Root, RunMounts};

pub(super) fn check(mounts: &Mounts) -> Result<(), FloorError> {
    let file = File("mounts.toml");
    root(file, &mounts.root)?;
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
    for name in ALWAYS_SHOWN {
        file.demand(
            &format!("proc show {name}"),
            mounts.proc.show.iter().any(|entry| entry.path.as_str() == name),
            "is missing; put it back: a link into the reader's own process directory cannot be covered",
        )?;
    }
    run(file, &mounts.run)?;
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

fn run(file: File, run: &RunMounts) -> Result<(), FloorError> {
    has_flags(file, "run flags", &run.flags, &[MountFlag::Nosuid, MountFlag::Nodev])?;
    file.demand(
        "run flags",
        !run.flags.contains(&MountFlag::Ro),
        "must not have \"ro\": these are the places a run can write",
    )?;
    for directory in &run.directory {
        let target = directory.target.as_str();
        let hides = |part: &&str| is_below(target, part) || is_below(part, target);
        file.demand(
            &format!("run.directory {target}"),
            target != "/"
                && target != "/dev"
                && !is_kernel_view(target)
                && !READ_ONLY.iter().any(hides),
            "would cover a read-only part of the root; choose another target",
        )?;
    }
    for (name, target) in FIXED_DIRECTORIES {
        let is_it = |(directory, at): (&str, &str)| directory == name && at == target;
        let mut all = run.directory.iter().map(|one| (one.name.as_str(), one.target.as_str()));
        file.demand(
            &format!("run.directory {name}"),
            all.any(is_it),
            &format!("must be there with the target \"{target}\": the program is started from it"),
        )?;
    }
    Ok(())
}

fn root(file: File, root: &Root) -> Result<(), FloorError> {
    for (key, mount) in [("root.tmpfs flags", &root.tmpfs), ("root.base flags", &root.base)] {
        has_flags(file, key, &mount.flags, &[MountFlag::Ro, MountFlag::Nosuid, MountFlag::Nodev])?;
    }
    file.demand(
        "root.base flags",
        !root.base.flags.contains(&MountFlag::Noexec),
        "must not have \"noexec\": the interpreter lies there",
    )?;
    for link in &root.link {
        let path = link.path.as_str();
        file.demand(
            &format!("root.link {path}"),
            path.strip_prefix("/dev/").is_some_and(|name| !name.contains('/')),
            "is not directly below /dev; remove it: links at the top are made as the private copy has them",
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

/// Script and interpreter lie in these.
const FIXED_DIRECTORIES: [(&str, &str); 2] = [("workspace", "/workspace"), ("venv", "/venv")];

/// What is not a run's own: the private copy's usual parts, our own file, and what covers `/proc`.
const READ_ONLY: [&str; 10] =
    ["/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/primcs", "/mnt", "/var/empty"];

/// Links into the process directory of whoever reads them.
const ALWAYS_SHOWN: [&str; 4] = ["self", "thread-self", "mounts", "net"];

/// A name that ends in `/` stands for every leaf below it.
const SHOWABLE: [&str; 15] = [
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
    "net",
    "sys/kernel/",
    "sys/vm/",
    "sys/fs/",
    "sys/net/",
];
