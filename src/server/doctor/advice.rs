//! From a step that the kernel refused to the check it belongs to, and to the one thing that mends
//! it on this host. Errno alone says little: what the host's switches say decides.
#![forbid(unsafe_code)]

use crate::wire::FailedStep;

use super::checks;
use super::engine::{self, Lack};
use super::facts::Facts;

/// The check that a step belongs to; none for a step that is not known here. Steps have the names that
/// the sandbox gives them.
pub(super) fn check_of(step: &str) -> Option<&'static str> {
    if let Some(check) = checks::find(step) {
        return Some(check.id);
    }
    let begins = |words: &[&str]| words.iter().any(|word| step.starts_with(word));
    let has = |words: &[&str]| words.iter().any(|word| step.contains(word));
    Some(match () {
        () if has(&["landlock"]) => "step.landlock",
        () if begins(&["clone3", "unshare cgroup", "sethostname"]) => "step.clone",
        () if begins(&["unshare mount", "make mounts private"]) => "step.mount_namespace",
        () if has(&["cgroup", "place nursery", "memory.", "pids.max", "cpu."]) => "cgroup.limits",
        () if NURSERY.contains(&step) => "step.nursery",
        () if has(&["/proc", "tcp_rmem"]) => "step.mount_proc",
        () if has(&["overlay", "private copy"]) => "step.overlay",
        () if begins(&["bind /dev"]) => "step.devices",
        () if begins(&["pivot_root", "detach old root"]) => "step.pivot_root",
        () if has(&["uid_map", "gid_map", "setgroups", "setresuid", "setresgid"]) => "step.id_map",
        () if begins(&["bring lo"]) => "step.network",
        () if has(&["make tmpfs", "move_mount"]) => "step.tmpfs",
        () if begins(&["setrlimit"]) => "step.rlimits",
        () if begins(&["keyctl"]) => "step.keyring",
        () if begins(&["seccomp"]) => "step.seccomp",
        () if begins(&["execve"]) => "step.program",
        () if begins(&["prctl", "capset", "drop ", "clear ", "read cap", "keep cap"]) => {
            "step.capabilities"
        }
        () if begins(&["mount", "umount", "make", "link", "bind", "chdir", "remove", "open /"]) => {
            "step.mounts"
        }
        () => return None,
    })
}

/// Steps in which the nursery is started, asked, or speaks with what it has made.
const NURSERY: [&str; 26] = [
    "ask nursery",
    "copy program into memory",
    "duplicate socket",
    "fchown pipe",
    "fcntl",
    "fork",
    "hear hello",
    "make arguments",
    "pipe2",
    "place descriptors",
    "poll",
    "read setup",
    "report",
    "restore signals",
    "say go",
    "send setup",
    "set oom_score_adj",
    "setsid",
    "setsockopt SO_PASSCRED",
    "setsockopt SO_RCVTIMEO",
    "socketpair",
    "start nursery",
    "wait",
    "wait for go",
    "wait for init",
    "write setup",
];

/// The one thing to do about a refused step, where the errno and this host say more than the table.
pub(super) fn fix(id: &str, step: &FailedStep, facts: &Facts) -> Option<String> {
    let fix = match (id, step.errno) {
        ("step.user_namespace" | "step.clone", libc::ENOSPC | libc::EUSERS) => {
            namespaces_used_up(facts)
        }
        ("step.user_namespace" | "step.clone", libc::EINVAL) => {
            "use a kernel with CONFIG_USER_NS, or run primcs as root"
        }
        // Otherwise it is what covers the host's own /proc.
        ("step.mount_proc", libc::EPERM | libc::EACCES) if !facts.apparmor_restricts() => {
            return match (step.errno, facts.enforced_profile()) {
                (libc::EACCES, Some(_)) => Some(refused(id, step.errno, facts)),
                _ => engine::option(Lack::WholeProc, facts),
            };
        }
        (
            "step.user_namespace"
            | "step.clone"
            | "step.id_map"
            | "step.mount_namespace"
            | "step.mount_proc"
            | "step.mounts"
            | "step.tmpfs"
            | "step.pivot_root"
            | "step.overlay"
            | "step.network"
            | "step.capabilities",
            libc::EPERM | libc::EACCES,
        ) => return Some(refused(id, step.errno, facts)),
        ("host.core_dumps", _) => checks::RLIMITS,
        ("host.landlock", _) => checks::LANDLOCK,
        (_, libc::ENOSPC) if id.starts_with("step.") => {
            "raise user.max_mnt_namespaces, user.max_pid_namespaces and user.max_user_namespaces \
             (sysctl), and fs.mount-max"
        }
        (_, libc::ENOSYS) if facts.filtered => return Some(filtered(facts)),
        (_, libc::ENOSYS) => "use a kernel that knows this call (Linux 5.14 or newer)",
        (_, libc::ENOMEM | libc::EAGAIN) => {
            "give this host more memory or processes (ulimit -u, pids.max), and start again"
        }
        _ => return None,
    };
    Some(fix.to_owned())
}

fn namespaces_used_up(facts: &Facts) -> &'static str {
    match facts.max_user_namespaces {
        Some(0) => "sysctl -w user.max_user_namespaces=15000: it is 0, so that there are none",
        _ => {
            "start primcs less deep: more than 32 user namespaces do not nest; or raise user.max_user_namespaces (sysctl)"
        }
    }
}

/// Who says EPERM or EACCES: each switch that can, the most specific first.
fn refused(id: &str, errno: i32, facts: &Facts) -> String {
    // As root all but the first step happens in namespaces that a process without any right made.
    let plain = facts.rootless || matches!(id, "step.user_namespace" | "step.clone");
    if plain && facts.unprivileged_userns == Some(0) {
        return "sysctl -w kernel.unprivileged_userns_clone=1: it is 0, so that plain users, and the unprivileged half of root's primcs, make no user namespace".to_owned();
    }
    if plain && facts.max_user_namespaces == Some(0) {
        return "sysctl -w user.max_user_namespaces=15000: it is 0, so that there are none"
            .to_owned();
    }
    if facts.apparmor_restricts() && (facts.rootless || id != "step.mount_namespace") {
        return APPARMOR.to_owned();
    }
    // It refuses mounts with EACCES, and so says another thing than a filter does.
    if let Some(profile) = facts.enforced_profile()
        && (errno == libc::EACCES || !facts.filtered)
    {
        return engine::option(Lack::Mounts, facts).unwrap_or_else(|| {
            format!("let the AppArmor profile {profile}, in which primcs was started, allow userns, mount, umount, pivot_root and every capability")
        });
    }
    if facts.filtered {
        return filtered(facts);
    }
    if !facts.rootless && facts.lacks.iter().any(|one| one == "CAP_SYS_ADMIN") {
        return engine::option(Lack::Administration, facts)
            .unwrap_or_else(|| "give root CAP_SYS_ADMIN".to_owned());
    }
    if facts.lsm.contains("apparmor") || facts.lsm.contains("selinux") {
        return "look into the log of AppArmor or SELinux (dmesg, ausearch -m avc) and let primcs make namespaces and mounts".to_owned();
    }
    let fix = if facts.rootless {
        "run primcs as root"
    } else {
        "let root make namespaces and mounts here"
    };
    fix.to_owned()
}

/// What a filter around primcs must let through.
fn filtered(facts: &Facts) -> String {
    let calls = "clone, clone3, unshare, setns, mount, umount2, pivot_root, open_tree, move_mount, fsopen, fsconfig, fsmount and mount_setattr";
    engine::option(Lack::Calls, facts).unwrap_or_else(|| {
        format!("let the system-call filter around primcs allow {calls}; in a unit that is SystemCallFilter= and RestrictNamespaces=")
    })
}

/// Ubuntu. Root is no way out of it: what makes the namespaces of runs has no right as root either.
const APPARMOR: &str = "load the AppArmor profile of PRIMCS, as root: sh /usr/share/primcs/apparmor/load (in the sources packaging/apparmor/load); it names primcs in /usr/libexec/primcs and /usr/local/bin, so start that. kernel.apparmor_restrict_unprivileged_userns is not 0, and whoever has no profile gets user namespaces without rights";

/// What the table cannot say, as it depends on how primcs was started.
pub(super) fn for_this_start(id: &str, facts: &Facts) -> Option<String> {
    let by_unit = |line: &str| facts.in_a_unit.then(|| format!("write {line} into the unit"));
    match id {
        "start.policy" => facts.policy.as_deref().map(|folder| {
            let folder = folder.display();
            format!("mend that line in {folder}, or take its file out of there: then the built-in one of that name holds; `primcs policy check {folder}` tries them")
        }),
        "start.room" => facts.policy.as_deref().map(|folder| {
            let file = folder.join("limits.toml");
            format!("give this host more memory, or write a lower memory.max into {} (a copy of the built-in limits.toml, changed)", file.display())
        }),
        "host.open_files" => {
            engine::option(Lack::OpenFiles, facts).or_else(|| by_unit("LimitNOFILE=8192"))
        }
        "host.core_dumps" => {
            engine::option(Lack::CoreDumps, facts).or_else(|| by_unit("LimitCORE=1"))
        }
        // Root of a container or of `unshare -r`, with few ids or one.
        "host.capabilities" | "host.ids" if !facts.rootless && !facts.has_ids_of_runs => {
            let leave = "leave the user namespace that primcs was started in (`unshare -r`): it has too few ids; run primcs as the plain user or as real root";
            engine::option(Lack::Ids, facts).or_else(|| Some(leave.to_owned()))
        }
        "host.capabilities" => engine::option(Lack::Administration, facts),
        "host.ids" if facts.rootless => Some("run primcs as a service of root".to_owned()),
        "host.container" => Some("start the container without --privileged, as another user than root (--user 65532); docs/containers.md lists the options that are enough".to_owned()),
        "host.user_namespaces" if facts.max_user_namespaces == Some(0) => None,
        "host.user_namespaces" if facts.unprivileged_userns == Some(0) => {
            Some("sysctl -w kernel.unprivileged_userns_clone=1".to_owned())
        }
        "host.user_namespaces" => Some(APPARMOR.to_owned()),
        _ => None,
    }
}

/// One that nobody named is passed over when it does not serve, until none is left.
pub(super) fn for_interpreter(said: &str) -> &'static str {
    if said.contains("there is no usable Python") {
        "install Python 3.10 or newer (Debian, Ubuntu: apt-get install python3)"
    } else {
        "name a Python of 3.10 or newer with --python, or name none: the newest of /usr/local/bin and /usr/bin is taken then"
    }
}

/// What would give hard limits here.
pub(super) fn for_cgroups(said: &str, facts: &Facts) -> String {
    let in_container = engine::option(Lack::Cgroup, facts);
    let in_container = in_container.as_deref();
    let fix = if said.contains("swap of a cgroup") {
        "swapoff -a, or boot with swapaccount=1"
    } else if said.contains("os error 30") || said.contains("Read-only") {
        in_container
            .or(facts.in_a_unit.then_some(
                "write Delegate=yes into the unit, and take ProtectControlGroups= out of it",
            ))
            .unwrap_or("mount -o remount,rw /sys/fs/cgroup, and the controllers mounted below it")
    } else if said.contains("controller is mounted") {
        "mount that controller, as in `mount -t cgroup -o memory none /sys/fs/cgroup/memory`, or boot with cgroup v2"
    } else if let Some(Err(next)) = &facts.scope {
        next
    } else if said.contains("was not given") && said.contains("/user@") {
        DELEGATE_ALL
    } else if facts.in_a_unit {
        "write Delegate=yes into the unit"
    } else if let (Some(option), false) = (in_container, facts.systemd) {
        option
    } else if facts.rootless && facts.user_manager {
        "systemd-run --user --scope -p Delegate=yes primcs serve"
    } else if facts.rootless && facts.systemd {
        "loginctl enable-linger $USER, log in again, then: systemd-run --user --scope -p Delegate=yes primcs serve"
    } else if facts.rootless {
        "run primcs as root: sudo primcs serve; no user manager runs here that could delegate a cgroup to a plain user (where one does: systemd-run --user --scope -p Delegate=yes primcs serve)"
    } else if facts.systemd {
        "systemd-run --scope -p Delegate=yes primcs serve, or a service with Delegate=yes"
    } else {
        "mount -t cgroup2 none /sys/fs/cgroup, and start primcs in a group without other processes"
    };
    if facts.allows_soft_limits {
        return fix.to_owned();
    }
    format!("{fix}; or accept runs without hard limits with --allow-soft-limits")
}

/// systemd before 252 hands no cpu on to user managers.
const DELEGATE_ALL: &str = "as root: mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu memory pids\\n' > /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload; then log out of all sessions and in again (with linger: systemctl restart user@UID.service)";

#[cfg(test)]
mod tests;
