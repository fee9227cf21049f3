//! What no policy file may loosen, whoever wrote it.
//!
//! An operator may give runs more memory or another tool; nobody gets to give them a network, a
//! capability or a way to mount. Each message names the file, the key and what to do.
#![forbid(unsafe_code)]

mod filters;

use super::limits::{Limits, Resource};
use super::mounts::{MountFlag, Mounts, RootMountKind};
use super::process::{LandlockRight, NamespaceKind, Process, Securebit};
use super::{Bytes, Policy};

/// A key that is weaker than the floor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {key} {problem}")]
pub struct FloorError {
    /// Which file.
    pub file: &'static str,
    /// Which key or rule in it.
    pub key: String,
    /// What is wrong and what to do.
    pub problem: String,
}

/// Refuses a policy that loosens what no file may loosen.
pub fn check(policy: &Policy) -> Result<(), FloorError> {
    limits(&policy.limits)?;
    mounts(&policy.mounts)?;
    process(&policy.process)?;
    filters::run(&policy.seccomp_run)?;
    filters::server(&policy.seccomp_server)
}

fn limits(limits: &Limits) -> Result<(), FloorError> {
    const FILE: &str = "limits.toml";
    let cgroup = &limits.run.cgroup;
    demand(
        FILE,
        "run.cgroup \"memory.swap.max\"",
        cgroup.memory_swap_max.value == Bytes(0),
        "must be \"0\": swap turns a memory limit into load on the host's disk",
    )?;
    demand(
        FILE,
        "run.cgroup \"memory.oom.group\"",
        cgroup.memory_oom_group.value == 1,
        "must be \"1\": out of memory ends the whole run",
    )?;
    demand(
        FILE,
        "run.cgroup \"memory.max\"",
        cgroup.memory_max.value >= Bytes(64 << 20),
        "must be at least \"64MiB\": an interpreter does not start below it",
    )?;
    demand(
        FILE,
        "run.cgroup \"pids.max\"",
        (1..=32_768).contains(&cgroup.pids_max.value),
        "must lie between \"1\" and \"32768\"",
    )?;
    demand(
        FILE,
        "run.tmpfs size",
        (Bytes(1 << 20)..=cgroup.memory_max.value).contains(&limits.run.tmpfs.size.value),
        "must lie between \"1MiB\" and memory.max: it is memory; 0 would mean without limit",
    )?;
    demand(
        FILE,
        "run.tmpfs nr_inodes",
        limits.run.tmpfs.nr_inodes.value >= 256,
        "must be at least \"256\"; 0 would mean without limit",
    )?;
    demand(FILE, "run wall", !limits.run.wall.value.is_zero(), "must not be 0")?;
    demand(
        FILE,
        "call body",
        limits.call.body.value >= Bytes(limits.call.code_characters.value),
        "must be at least as large as code_characters, or no code of that length gets through",
    )?;
    demand(
        FILE,
        "host runs_per_core",
        limits.host.runs_per_core.value >= 1,
        "must be at least \"1\"",
    )?;
    let mut seen = std::collections::BTreeSet::new();
    for entry in &limits.run.rlimit {
        let key = format!("run.rlimit {}", entry.resource);
        demand(FILE, &key, seen.insert(entry.resource), "stands twice; keep one")?;
    }
    let core = limits.rlimit(Resource::Core);
    demand(
        FILE,
        "run.rlimit core",
        core == Some(1),
        "must be \"1\": with 0 the kernel starts a piped core handler as the host's root, above 1 it writes dumps",
    )?;
    for (resource, most) in BOUNDED_RLIMITS {
        let bounded = limits.rlimit(resource).is_some_and(|value| value <= most);
        let problem = format!("must be set, to at most \"{most}\"");
        demand(FILE, &format!("run.rlimit {resource}"), bounded, &problem)?;
    }
    Ok(())
}

fn mounts(mounts: &Mounts) -> Result<(), FloorError> {
    const FILE: &str = "mounts.toml";
    let first = mounts.root.mount.first();
    let built_from_nothing =
        first.is_some_and(|root| root.target.as_str() == "/" && root.kind == RootMountKind::Tmpfs);
    demand(
        FILE,
        "root.mount",
        built_from_nothing,
        "must begin with \"/\" as a tmpfs: the root is built from nothing",
    )?;
    for mount in &mounts.root.mount {
        let key = format!("root.mount {}", mount.target.as_str());
        has_flags(FILE, &key, &mount.flags, &[MountFlag::Ro, MountFlag::Nosuid, MountFlag::Nodev])?;
        demand(
            FILE,
            &key,
            !is_kernel_view(mount.target.as_str()),
            "shows the kernel; remove it: /proc has its own section and /sys is never shown",
        )?;
    }
    has_flags(FILE, "run flags", &mounts.run.flags, &[MountFlag::Nosuid, MountFlag::Nodev])?;
    has_flags(
        FILE,
        "proc flags",
        &mounts.proc.flags,
        &[MountFlag::Ro, MountFlag::Nosuid, MountFlag::Nodev, MountFlag::Noexec],
    )?;
    for entry in &mounts.proc.show {
        let name = entry.path.as_str();
        let harmless = SHOWABLE_IN_PROC.contains(&name)
            || SHOWABLE_IN_PROC.iter().any(|known| {
                known.ends_with('/')
                    && name.strip_prefix(known).is_some_and(|leaf| !leaf.is_empty())
            });
        demand(
            FILE,
            &format!("proc show {name}"),
            harmless,
            "is not one of the entries known to be harmless; remove it",
        )?;
    }
    for device in &mounts.root.device {
        let key = format!("root.device {}", device.name.as_str());
        demand(
            FILE,
            &key,
            DEVICES.contains(&device.name.as_str()),
            "is not one of the harmless device nodes; remove it",
        )?;
    }
    for directory in &mounts.run.directory {
        let target = directory.target.as_str();
        let key = format!("run.directory {target}");
        let covers = target == "/" || is_kernel_view(target) || covers_base(mounts, target);
        demand(
            FILE,
            &key,
            !covers,
            "would cover a read-only part of the root; choose another target",
        )?;
    }
    for tree in &mounts.base.tree {
        let path = tree.path.as_str();
        let key = format!("base.tree {path}");
        demand(
            FILE,
            &key,
            TREE_ROOTS.iter().any(|root| is_below(path, root)),
            "is outside the host's system directories (/usr, /lib, /lib64, /opt); remove it: nothing of /etc, /home, /root or /var is ever copied whole",
        )?;
    }
    Ok(())
}

fn process(process: &Process) -> Result<(), FloorError> {
    const FILE: &str = "process.toml";
    for kind in NAMESPACES {
        let key = format!("namespace {kind:?}").to_lowercase();
        demand(
            FILE,
            &key,
            process.has_namespace(kind),
            "is missing; put it back: no run shares it with the host",
        )?;
    }
    let identity = &process.identity;
    let ordinary = |id: u32| (1..=65_533).contains(&id);
    demand(
        FILE,
        "identity.uid",
        ordinary(identity.uid.value),
        "must be an ordinary id, from 1 to 65533",
    )?;
    demand(
        FILE,
        "identity.gid",
        ordinary(identity.gid.value),
        "must be an ordinary id, from 1 to 65533",
    )?;
    demand(
        FILE,
        "identity.oom_score_adj",
        identity.oom_score_adj.value == 1000,
        "must be 1000: a run dies before anything of the host",
    )?;
    let host_name = identity.hostname.value.as_str();
    let plain = !host_name.is_empty()
        && host_name.len() <= 63
        && host_name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    demand(FILE, "identity.hostname", plain, "must be 1 to 63 letters, digits and hyphens")?;
    let privilege = &process.privilege;
    demand(
        FILE,
        "privilege.capabilities",
        privilege.capabilities.value.is_empty(),
        "must be empty: no capability exists in a run",
    )?;
    demand(FILE, "privilege.no_new_privs", privilege.no_new_privs.value, "must be true")?;
    demand(
        FILE,
        "privilege.new_session_keyring",
        privilege.new_session_keyring.value,
        "must be true",
    )?;
    for bit in SECUREBITS {
        let key = "privilege.securebits";
        demand(
            FILE,
            key,
            privilege.securebits.value.contains(&bit),
            "must hold all four bits: noroot, no_setuid_fixup, keep_caps_locked, no_cap_ambient_raise",
        )?;
    }
    for variable in &process.environment {
        let key = format!("environment {}", variable.name);
        let plain = !variable.name.is_empty()
            && !variable.name.contains(['=', '\0'])
            && !variable.value.contains('\0');
        demand(FILE, &key, plain, "is not a variable: no `=` or NUL in a name, no NUL in a value")?;
        demand(
            FILE,
            &key,
            !variable.name.starts_with("LD_"),
            "steers the dynamic loader; remove it",
        )?;
    }
    for rule in process.landlock.rule.iter().chain(&process.server.landlock.rule) {
        let key = format!(
            "landlock.rule {:?}",
            rule.paths.iter().map(super::mounts::RootPath::as_str).collect::<Vec<_>>()
        );
        let makes_devices = rule
            .rights
            .iter()
            .any(|right| matches!(right, LandlockRight::MakeChar | LandlockRight::MakeBlock));
        demand(
            FILE,
            &key,
            !makes_devices,
            "lets device nodes be made; remove make_char and make_block",
        )?;
        let writes = rule.rights.iter().any(|right| {
            !matches!(
                right,
                LandlockRight::Execute | LandlockRight::ReadFile | LandlockRight::ReadDir
            )
        });
        let shared = rule.paths.iter().any(|path| is_shared(path.as_str()));
        demand(
            FILE,
            &key,
            !(writes && shared),
            "lets something read-only be written; leave only execute, read_file and read_dir",
        )?;
    }
    Ok(())
}

pub(super) fn demand(
    file: &'static str,
    key: &str,
    holds: bool,
    problem: &str,
) -> Result<(), FloorError> {
    if holds {
        Ok(())
    } else {
        Err(FloorError { file, key: key.to_owned(), problem: problem.to_owned() })
    }
}

fn has_flags(
    file: &'static str,
    key: &str,
    flags: &[MountFlag],
    needed: &[MountFlag],
) -> Result<(), FloorError> {
    for flag in needed {
        let problem = format!("needs the flag \"{}\"; add it", format!("{flag:?}").to_lowercase());
        demand(file, key, flags.contains(flag), &problem)?;
    }
    Ok(())
}

fn is_kernel_view(path: &str) -> bool {
    is_below(path, "/proc") || is_below(path, "/sys")
}

fn is_shared(path: &str) -> bool {
    path == "/"
        || is_kernel_view(path)
        || ["/usr", "/etc", "/lib", "/opt"].iter().any(|root| is_below(path, root))
}

/// Whether mounting here would hide, or sit inside, something of the read-only root.
fn covers_base(mounts: &Mounts, target: &str) -> bool {
    mounts.root.mount.iter().skip(1).any(|mount| {
        is_below(target, mount.target.as_str()) || is_below(mount.target.as_str(), target)
    })
}

fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

const BOUNDED_RLIMITS: [(Resource, u64); 6] = [
    (Resource::Nofile, 65_536),
    (Resource::Nproc, 65_536),
    (Resource::Memlock, 64 << 20),
    (Resource::Msgqueue, 0),
    (Resource::Nice, 20),
    (Resource::Rtprio, 0),
];

const NAMESPACES: [NamespaceKind; 7] = [
    NamespaceKind::User,
    NamespaceKind::Mount,
    NamespaceKind::Pid,
    NamespaceKind::Network,
    NamespaceKind::Ipc,
    NamespaceKind::Uts,
    NamespaceKind::Cgroup,
];

const SECUREBITS: [Securebit; 4] = [
    Securebit::Noroot,
    Securebit::NoSetuidFixup,
    Securebit::KeepCapsLocked,
    Securebit::NoCapAmbientRaise,
];

const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

const TREE_ROOTS: [&str; 4] = ["/usr", "/lib", "/lib64", "/opt"];

/// A name ending in `/` stands for everything below it.
const SHOWABLE_IN_PROC: [&str; 14] = [
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

#[cfg(test)]
mod tests;
