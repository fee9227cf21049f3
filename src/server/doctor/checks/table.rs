//! The table of all checks: stable ids, in the order in which a start passes them, what each means
//! and the usual way to mend it.
#![forbid(unsafe_code)]

use super::Check;

const fn check(id: &'static str, means: &'static str, fix: &'static str) -> Check {
    Check { id, means, fix: Some(fix) }
}

const fn fact(id: &'static str, means: &'static str) -> Check {
    Check { id, means, fix: None }
}

const UNCONFINED: &str = "do not serve here: a wall that should stand does not; report it as SECURITY.md says, with `primcs doctor --json`";
const UNLIMITED: &str = "do not serve here: the kernel took a limit and does not keep it; look for another program that changes the cgroups below primcs-*, else report it with `primcs doctor --json`";
const ENDLESS: &str =
    "do not serve here: a run went on beyond its limit; report it with `primcs doctor --json`";
const FILTERED: &str = "let the system-call filter around primcs allow it";
pub(in crate::server::doctor) const RLIMITS: &str =
    "let the system-call filter around primcs allow prlimit64";
pub(in crate::server::doctor) const LANDLOCK: &str = "let the system-call filter around primcs allow the landlock calls, or answer all three with ENOSYS";
const MOUNTS: &str = "let root keep CAP_SYS_ADMIN here, and let neither a system-call filter nor AppArmor or SELinux refuse mounts";

/// All of them.
pub(in crate::server::doctor) const CHECKS: &[Check] = &[
    fact("host.kernel", "release and architecture; what a kernel lacks shows below, by doing"),
    fact("host.lsm", "security modules that may refuse steps, or add walls"),
    check(
        "host.container",
        "whether primcs is inside a container, and whether systemd runs this host; a container with all rights keeps nothing from its host",
        "start the container without --privileged",
    ),
    fact("host.cgroups", "where cgroups are mounted, and the group that primcs was started in"),
    fact("host.filter", "a system-call filter already around primcs; runs inherit it"),
    check(
        "host.user_namespaces",
        "each run lives in a user namespace, where its ids mean nothing to the host; 0 of them, or none for plain users, and there is no run",
        "sysctl -w user.max_user_namespaces=15000",
    ),
    check(
        "host.capabilities",
        "what root may do here at all; without CAP_SYS_RESOURCE limits can only be lowered, which is all that primcs does",
        "give root CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_CHOWN, CAP_DAC_OVERRIDE and CAP_KILL",
    ),
    check(
        "host.open_files",
        "hard limit of open files; each connection and each run takes some",
        "raise it before primcs starts: `ulimit -Hn 8192`, as root",
    ),
    fact(
        "host.memory",
        "memory of this host; the caps of all runs together stay below a share of it, by default also of what a cgroup around primcs, as a container's, lets it have",
    ),
    fact(
        "host.swap",
        "swap of this host; runs may use none of it, so that a memory limit is no load on the disk",
    ),
    check(
        "host.proc",
        "primcs reads the host's /proc at start",
        "mount the whole proc file system at /proc, without masks over its files",
    ),
    check(
        "start.programs",
        "both programs of one package, beside each other, and written by nobody else",
        "install primcs and primcs-supervisor from one package, root-owned, into one folder",
    ),
    check(
        "start.one_package",
        "server and supervisor are of one version and have read one policy",
        "install primcs and primcs-supervisor from one package, and give both the same `policy`, which neither flag nor file changed meanwhile",
    ),
    check(
        "start.settings",
        "flags, PRIMCS_* and the configuration file",
        "mend that setting; `primcs config default` prints all there are",
    ),
    check(
        "start.policy",
        "the files of the policy, within the floor",
        "mend that line in the folder that `policy` names (primcs.toml, PRIMCS_POLICY, --policy; for the package /etc/primcs/policy), or take its file out of there",
    ),
    check(
        "host.core_dumps",
        "where the kernel hands core dumps to a program, it starts it as the host's root, unless a run's limit of core dumps is exactly 1; a limit that is 0 cannot become 1 again. Where the pattern begins with `@`, Linux 6.16 and newer send the memory of what crashed to that socket, whatever the limit (older ones write a file of that name)",
        "start primcs with a hard limit of core dumps that is not 0: `ulimit -Hc 1`",
    ),
    check(
        "start.state_dir",
        "where the private copy of interpreter and libraries is kept; nobody else may be able to write there",
        "name another folder with --state-dir",
    ),
    check(
        "host.ids",
        "as root each live run has a host id that nobody else has; a plain user's runs all have that user's id",
        "remove or move the range that overlaps",
    ),
    check("start.interpreter", "the Python that runs code", "install Python 3.10 or newer"),
    check(
        "start.copy",
        "the private copy that runs see instead of the host's own files",
        "free space there, or name another folder with --state-dir; a damaged copy is made again when the folder `base` in it is deleted",
    ),
    check(
        "step.user_namespace",
        "the supervisor of a plain user gets its rights from a user namespace",
        "let plain users make user namespaces, or run primcs as root",
    ),
    check("step.mount_namespace", "mounts of primcs are never seen on the host", MOUNTS),
    check(
        "start.instance",
        "a number that no other supervisor of this host has",
        "stop a supervisor that is not needed",
    ),
    check(
        "cgroup.memory",
        "memory of a run is limited by the kernel",
        "boot with the memory controller on (no cgroup_disable=memory), and have it delegated",
    ),
    check(
        "cgroup.pids",
        "processes and threads of a run are limited by the kernel",
        "use a kernel with the pids controller, and have it delegated",
    ),
    check(
        "cgroup.cpu",
        "CPU time of a run is limited by the kernel",
        "use a kernel with the cpu controller, and have it delegated",
    ),
    check(
        "cgroup.limits",
        "groups of its own in which primcs sets limits and reads them back; without them primcs refuses to start unless told --allow-soft-limits",
        "start primcs alone in a cgroup of its own: as a systemd service with Delegate=yes, or by `systemd-run --scope -p Delegate=yes primcs serve`",
    ),
    check(
        "start.room",
        "at least one run fits into this host's memory and the policy's share of it",
        "give this host more memory, or write a lower memory.max into a limits.toml of your own, in the folder that `policy` names",
    ),
    check(
        "host.landlock",
        "Landlock is the second wall around files: should a mount be wrong, the kernel still refuses by path. Without it the first wall stands alone",
        "boot a kernel with CONFIG_SECURITY_LANDLOCK and `landlock` in lsm= (its list is in /sys/kernel/security/lsm)",
    ),
    check("step.mounts", "the root of a run is built from nothing, in a mount namespace", MOUNTS),
    check(
        "step.overlay",
        "the private copy is shown through an overlay, which tells a run no path of the host",
        "load it: modprobe overlay",
    ),
    check(
        "step.devices",
        "a run has five harmless device nodes",
        "give primcs /dev/null, zero, full, random and urandom on a file system without `nodev`",
    ),
    check(
        "step.mount_proc",
        "each run has a fresh /proc that shows its own processes only; the kernel refuses it where the host's own /proc is masked, as in a container",
        "unmount what covers parts of the host's /proc: the lines with /proc/ in /proc/self/mountinfo; in a container its engine does not cover it when told so",
    ),
    check("step.pivot_root", "the host's root is let go of", MOUNTS),
    check(
        "step.nursery",
        "the unprivileged process that makes runs",
        "look for the reason in the kernel's log (dmesg) and mend that",
    ),
    check(
        "step.capabilities",
        "nursery and run give up every capability",
        "let root keep CAP_SETPCAP, CAP_SETUID and CAP_SETGID, and let the system-call filter around primcs allow prctl and capset",
    ),
    check(
        "step.clone",
        "an unprivileged process makes the namespaces of a run",
        "let plain users make user namespaces",
    ),
    check(
        "step.id_map",
        "ids of a run are mapped to one id of the host",
        "let root keep CAP_SETUID and CAP_SETGID",
    ),
    check("step.network", "a run has a loopback of its own", FILTERED),
    check("step.tmpfs", "everything writable in a run is one tmpfs of limited size", FILTERED),
    check("step.rlimits", "resource limits are lowered", RLIMITS),
    check("step.keyring", "a run gets a session keyring of its own", FILTERED),
    check("step.landlock", "the second wall is built", LANDLOCK),
    check(
        "step.seccomp",
        "the filter of system calls is loaded",
        "use a kernel with CONFIG_SECCOMP_FILTER",
    ),
    check(
        "step.program",
        "the interpreter starts inside all of this",
        "name another interpreter with --python",
    ),
    check("wall.user", "the run is user and group of the policy and in no other group", UNCONFINED),
    check("wall.capabilities", "no capability in any of the five sets", UNCONFINED),
    check("wall.no_new_privs", "no program gives a run more rights", UNCONFINED),
    check("wall.seccomp", "dangerous system calls are refused by the filter", UNCONFINED),
    check("wall.namespaces", "a run makes no namespace", UNCONFINED),
    check("wall.mounts", "a run mounts nothing", UNCONFINED),
    check("wall.keyring", "a run reaches no keyring", UNCONFINED),
    check("wall.landlock", "what only Landlock refuses is refused", UNCONFINED),
    check("wall.network", "no interface but the run's own loopback, no route anywhere", UNCONFINED),
    check("wall.sockets", "no netlink, raw, packet or vsock socket", UNCONFINED),
    check("wall.root", "the root, /usr and /etc are read-only", UNCONFINED),
    check("wall.host_files", "files of the host are not there", UNCONFINED),
    check("wall.proc_masks", "/proc shows its allow list and no more", UNCONFINED),
    check("wall.proc_read_only", "/proc is read-only", UNCONFINED),
    check("wall.processes", "a run sees its own processes only", UNCONFINED),
    check("wall.init", "a run cannot look into its init", UNCONFINED),
    check("wall.environment", "no variable but those of the policy", UNCONFINED),
    check("wall.descriptors", "no descriptor came along from outside", UNCONFINED),
    check("wall.cgroup", "paths of the host's cgroups are unknown", UNCONFINED),
    check("wall.hostname", "the name of the host is unknown", UNCONFINED),
    check("wall.oom_rank", "when the host itself runs out of memory, a run goes first", UNCONFINED),
    check("limit.memory", "the kernel killed a run that took more than its memory", UNLIMITED),
    check("limit.pids", "the kernel refused a process beyond the limit", UNLIMITED),
    check("limit.cpu", "the kernel rationed CPU time", UNLIMITED),
    check("limit.disk", "the tmpfs of a run is full at its size", UNLIMITED),
    check("limit.inodes", "the tmpfs of a run is full at its number of files", UNLIMITED),
    check("limit.open_files", "no descriptor beyond the limit", UNLIMITED),
    check("limit.file_size", "no file longer than the limit", UNLIMITED),
    check(
        "limit.core",
        "the limit of core dumps is 1, with which the kernel starts no handler for a run; read back inside a run",
        UNLIMITED,
    ),
    check(
        "limit.rlimits",
        "all other resource limits are the policy's, as read back inside a run (stack, memlock, nproc and the like)",
        UNLIMITED,
    ),
    check("limit.wall", "a program that goes on is killed when its time is over", ENDLESS),
    check("limit.output", "a program that floods its output is killed at the limit", ENDLESS),
    check("limit.sockets", "a program that makes too many network sockets is killed", ENDLESS),
    check(
        "run.probe",
        "the probe came to its end, and said nothing that this table does not know",
        "look at what it said; the kernel's log (dmesg) and that of its security module say more",
    ),
];
