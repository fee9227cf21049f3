//! The floor of the system-call filters: calls no file may allow, and arguments no file may let
//! through. Rules with conditions are looked at one by one, since each of them alone can allow.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use super::{File, FloorError};
use crate::policy::seccomp::clause::Test;
use crate::policy::seccomp::constants::constant;
use crate::policy::seccomp::{Allow, Call, Decision, Filter};

const RUN: File = File("seccomp-run.toml");
const SERVER: File = File("seccomp-server.toml");

pub(super) fn check_run(filter: &Filter) -> Result<(), FloorError> {
    common(RUN, filter)?;
    one_of(RUN, filter, "socketpair", 0, &["AF_UNIX"])?;
    for call in SELF_ONLY {
        one_of(RUN, filter, call, 0, &["NULL"])?;
    }
    one_of(RUN, filter, "setpriority", 0, &["PRIO_PROCESS"])?;
    one_of(RUN, filter, "setpriority", 1, &["NULL"])?;
    one_of(RUN, filter, "ioprio_set", 0, &["IOPRIO_WHO_PROCESS"])?;
    one_of(RUN, filter, "ioprio_set", 1, &["NULL"])?;
    refused(RUN, filter, "madvise", &[("advice", 2, "MADV_MERGEABLE")])?;
    refused(RUN, filter, "mmap", &[("flags", 3, "MAP_HUGETLB")])?;
    refused(RUN, filter, "memfd_create", &[("flags", 1, "MFD_HUGETLB")])?;
    refused(RUN, filter, "fadvise64", &[("advice", 3, "POSIX_FADV_DONTNEED")])?;
    for command in ["F_NOTIFY", "F_SETLEASE"] {
        refused(RUN, filter, "fcntl", &[("cmd", 1, command)])?;
    }
    for (call, index) in [("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)] {
        refused(RUN, filter, call, &[("flags", index, "MSG_ZEROCOPY")])?;
    }
    refused(RUN, filter, "setrlimit", &[("resource", 0, "RLIMIT_CORE")])?;
    // A pointer to a new limit is any value but NULL.
    refused(
        RUN,
        filter,
        "prlimit64",
        &[("resource", 1, "RLIMIT_CORE"), ("new_limit", 2, "AF_UNIX")],
    )
}

pub(super) fn check_server(filter: &Filter) -> Result<(), FloorError> {
    common(SERVER, filter)?;
    for name in NEVER_FOR_SERVER {
        never(SERVER, filter, name)?;
    }
    for line in lines(filter, "clone") {
        let threads_only = tests(line, 0)
            .any(|test| matches!(test, Test::HasAll(bits) if bits & bit("CLONE_THREAD") != 0));
        SERVER.demand(
            "allow clone",
            threads_only,
            "must demand `flags has all of CLONE_THREAD`: the server starts no process",
        )?;
    }
    for line in lines(filter, "mmap").chain(lines(filter, "mprotect")) {
        let no_code = tests(line, 2)
            .any(|test| matches!(test, Test::HasNone(bits) if bits & bit("PROT_EXEC") != 0));
        SERVER.demand(
            "allow mmap, mprotect",
            no_code,
            "must demand `prot has none of PROT_EXEC`: the server makes no new code",
        )?;
    }
    Ok(())
}

fn common(file: File, filter: &Filter) -> Result<(), FloorError> {
    let silent = filter.otherwise.errno.number() == 0;
    file.demand("otherwise", !silent, "must be an error; use ENOSYS")?;
    for name in NEVER {
        never(file, filter, name)?;
    }
    for line in lines(filter, "clone") {
        let closed = tests(line, 0)
            .any(|test| matches!(test, Test::HasNone(bits) if bits & namespaces() == namespaces()));
        file.demand(
            "allow clone",
            closed,
            "must demand `flags has none of` every CLONE_NEW flag: no run makes namespaces",
        )?;
    }
    one_of(file, filter, "socket", 0, &["AF_UNIX", "AF_INET", "AF_INET6"])?;
    for option in
        ["PR_SET_SECCOMP", "PR_SET_MM", "PR_CAP_AMBIENT", "PR_SET_SECUREBITS", "PR_SET_PTRACER"]
    {
        refused(file, filter, "prctl", &[("option", 0, option)])?;
    }
    for request in ["TIOCSTI", "TIOCLINUX", "TIOCSETD"] {
        refused(file, filter, "ioctl", &[("request", 1, request)])?;
    }
    for (level, option) in SOCKET_OPTIONS {
        refused(file, filter, "setsockopt", &[("level", 1, level), ("optname", 2, option)])?;
    }
    Ok(())
}

fn never(file: File, filter: &Filter, name: &str) -> Result<(), FloorError> {
    let allowed = lines(filter, name).next().is_some();
    file.demand(
        &format!("allow {name}"),
        !allowed,
        "may never be allowed, whatever its arguments; remove the line",
    )
}

/// Every line that allows the call must hold this argument to some of these values.
fn one_of(
    file: File,
    filter: &Filter,
    name: &str,
    index: u8,
    values: &[&str],
) -> Result<(), FloorError> {
    let values: BTreeSet<u64> = values.iter().filter_map(|value| constant(value)).collect();
    for line in lines(filter, name) {
        let held = tests(line, index)
            .any(|test| matches!(test, Test::OneOf(own) if own.is_subset(&values)));
        let problem = format!(
            "must hold argument {index} to the values of the embedded file; copy its condition"
        );
        file.demand(&format!("allow {name}"), held, &problem)?;
    }
    Ok(())
}

/// The call must not be allowed with these arguments, the others being 0.
fn refused(
    file: File,
    filter: &Filter,
    name: &str,
    arguments: &[(&str, usize, &str)],
) -> Result<(), FloorError> {
    let Some(call) = Call::named(name) else { return Ok(()) };
    let mut values = [0; 6];
    let mut shown = Vec::new();
    for (argument, index, value) in arguments {
        if let Some(slot) = values.get_mut(*index) {
            *slot = bit(value);
        }
        shown.push(format!("{argument} {value}"));
    }
    let holds = filter.decide(call, &values) != Decision::Allow;
    let problem = format!("lets {} through; add a condition that excludes it", shown.join(", "));
    file.demand(&format!("allow {name}"), holds, &problem)
}

fn lines<'a>(filter: &'a Filter, name: &str) -> impl Iterator<Item = &'a Allow> {
    Call::named(name).into_iter().flat_map(|call| filter.allows(call))
}

fn tests(line: &Allow, index: u8) -> impl Iterator<Item = &Test> {
    line.when.iter().filter(move |clause| clause.argument.index == index).map(|clause| &clause.test)
}

fn namespaces() -> u64 {
    NAMESPACE_FLAGS.iter().fold(0, |all, name| all | bit(name))
}

fn bit(name: &str) -> u64 {
    constant(name).unwrap_or_default()
}

const NAMESPACE_FLAGS: [&str; 8] = [
    "CLONE_NEWUSER",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWNET",
    "CLONE_NEWIPC",
    "CLONE_NEWUTS",
    "CLONE_NEWCGROUP",
    "CLONE_NEWTIME",
];

const SELF_ONLY: [&str; 5] =
    ["prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"];

const SOCKET_OPTIONS: [(&str, &str); 7] = [
    ("SOL_SOCKET", "SO_ZEROCOPY"),
    ("SOL_SOCKET", "SO_ATTACH_FILTER"),
    ("SOL_SOCKET", "SO_ATTACH_BPF"),
    ("SOL_SOCKET", "SO_ATTACH_REUSEPORT_CBPF"),
    ("SOL_SOCKET", "SO_ATTACH_REUSEPORT_EBPF"),
    ("IPPROTO_TCP", "TCP_ULP"),
    ("IPPROTO_UDP", "UDP_ENCAP"),
];

#[rustfmt::skip]
const NEVER: &[&str] = &[
    "clone3", "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "name_to_handle_at", "open_by_handle_at",
    "bpf", "perf_event_open", "keyctl", "add_key", "request_key", "ptrace", "process_vm_readv",
    "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp", "userfaultfd", "memfd_secret", "seccomp",
    "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "sendfile", "splice", "vmsplice", "tee", "copy_file_range",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon",
    "swapoff", "quotactl", "quotactl_fd", "acct", "syslog", "settimeofday", "clock_settime",
    "clock_adjtime", "adjtimex", "iopl", "ioperm", "modify_ldt", "fanotify_init", "inotify_init", "inotify_init1", "inotify_add_watch", "fanotify_mark",
    "lookup_dcookie", "move_pages", "migrate_pages", "mbind", "set_mempolicy", "get_mempolicy", "mlockall",
    "mincore", "sethostname", "setdomainname", "vhangup", "capset", "setgroups", "sync", "syncfs",
];

const NEVER_FOR_SERVER: &[&str] = &["execve", "execveat", "fork", "vfork"];
