//! From a step that the kernel refused to the check it belongs to, and to the one thing that mends
//! it on this host. Errno alone says little: what the host's switches say decides.
#![forbid(unsafe_code)]

use crate::wire::FailedStep;

use super::checks;
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
        (
            "step.user_namespace"
            | "step.clone"
            | "step.id_map"
            | "step.mount_namespace"
            | "step.mounts"
            | "step.tmpfs"
            | "step.pivot_root"
            | "step.overlay"
            | "step.network",
            libc::EPERM | libc::EACCES,
        ) => refused(id, facts),
        ("host.core_dumps", _) => checks::RLIMITS,
        ("host.landlock", _) => checks::LANDLOCK,
        ("step.mount_proc", libc::EACCES) if facts.apparmor_restricts() => APPARMOR,
        (_, libc::ENOSPC) if id.starts_with("step.") => {
            "raise user.max_mnt_namespaces, user.max_pid_namespaces and user.max_user_namespaces \
             (sysctl), and fs.mount-max"
        }
        (_, libc::ENOSYS) if facts.filtered => checks::FILTERED,
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

/// Who says EPERM: each switch that can, the most specific first.
fn refused(id: &str, facts: &Facts) -> &'static str {
    let namespaces = matches!(id, "step.user_namespace" | "step.clone");
    let plain = facts.rootless || namespaces;
    if plain && facts.unprivileged_userns == Some(0) {
        return "sysctl -w kernel.unprivileged_userns_clone=1: it is 0, so that plain users, and the unprivileged half of root's primcs, make no user namespace";
    }
    if plain && facts.max_user_namespaces == Some(0) {
        return "sysctl -w user.max_user_namespaces=15000: it is 0, so that there are none";
    }
    if plain && facts.apparmor_restricts() {
        return APPARMOR;
    }
    if facts.filtered {
        return "start the container with --security-opt seccomp=unconfined, or with a profile that allows clone, clone3, unshare, setns, mount, umount2, pivot_root, open_tree, move_mount, fsopen, fsconfig, fsmount and mount_setattr";
    }
    if !facts.rootless && facts.lacks.iter().any(|one| one == "CAP_SYS_ADMIN") {
        return "give root CAP_SYS_ADMIN (container: --cap-add SYS_ADMIN, or --privileged)";
    }
    if facts.lsm.contains("apparmor") || facts.lsm.contains("selinux") {
        return "look into the log of AppArmor or SELinux (dmesg, ausearch -m avc) and let primcs make namespaces and mounts";
    }
    if facts.rootless { "run primcs as root" } else { "let root make namespaces and mounts here" }
}

const APPARMOR: &str = "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu): it is 1, so that user namespaces of plain users have no rights; or load an AppArmor profile with `userns,` for primcs-supervisor, or run primcs as a service of root";

/// What would give hard limits here.
pub(super) fn for_cgroups(said: &str, facts: &Facts) -> String {
    let fix = if said.contains("swap of a cgroup") {
        "swapoff -a, or boot with swapaccount=1"
    } else if said.contains("os error 30") || said.contains("Read-only") {
        if facts.container.is_some() {
            "start the container with a writable cgroup of its own: --cgroupns=private and -v /sys/fs/cgroup:/sys/fs/cgroup:rw, or --privileged"
        } else {
            "mount -o remount,rw /sys/fs/cgroup, and the controllers mounted below it"
        }
    } else if said.contains("controller is mounted") {
        "mount that controller, as in `mount -t cgroup -o memory none /sys/fs/cgroup/memory`, or boot with cgroup v2"
    } else if let Some(Err(next)) = &facts.scope {
        next
    } else if said.contains("was not given") && said.contains("/user@") {
        DELEGATE_ALL
    } else if facts.rootless && facts.user_manager {
        "systemd-run --user --scope -p Delegate=yes primcs serve"
    } else if facts.rootless && facts.systemd {
        "loginctl enable-linger $USER, log in again, then: systemd-run --user --scope -p Delegate=yes primcs serve"
    } else if facts.rootless {
        "run primcs as root: sudo primcs serve; no user manager runs here that could delegate a cgroup to a plain user (where one does: systemd-run --user --scope -p Delegate=yes primcs serve)"
    } else if facts.systemd {
        "systemd-run --scope -p Delegate=yes primcs serve, or a service with Delegate=yes"
    } else if facts.container.is_some() {
        "start the container with a writable cgroup of its own: --cgroupns=private and -v /sys/fs/cgroup:/sys/fs/cgroup:rw, or --privileged"
    } else {
        "mount -t cgroup2 none /sys/fs/cgroup, and start primcs in a group without other processes"
    };
    format!("{fix}; or accept runs without hard limits with --allow-soft-limits")
}

/// systemd before 252 hands no cpu on to user managers.
const DELEGATE_ALL: &str = "as root: mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu memory pids\\n' > /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload; then log out of all sessions and in again (with linger: systemctl restart user@UID.service)";

#[cfg(test)]
mod tests;
