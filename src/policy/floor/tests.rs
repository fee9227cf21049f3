//! Each line loosens one thing, as an operator might; none of them may load.

use std::collections::BTreeMap;
use std::error::Error as _;

use crate::policy::{Policy, PolicyError};

const LIMITS: (&str, &str) = ("limits.toml", include_str!("../../../policy/limits.toml"));
const MOUNTS: (&str, &str) = ("mounts.toml", include_str!("../../../policy/mounts.toml"));
const PROCESS: (&str, &str) = ("process.toml", include_str!("../../../policy/process.toml"));
const RUN: (&str, &str) = ("seccomp-run.toml", include_str!("../../../policy/seccomp-run.toml"));
const SERVER: (&str, &str) =
    ("seccomp-server.toml", include_str!("../../../policy/seccomp-server.toml"));

fn why(error: &PolicyError) -> String {
    format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default())
}

/// Changes one place of a file and returns what the floor says.
fn loosened((file, text): (&str, &str), from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from:?} stands once in {file}");
    let files = BTreeMap::from([(file.to_owned(), text.replace(from, to))]);
    match Policy::from_files(&files) {
        Err(PolicyError::Floor(error)) => {
            assert_eq!(error.file, file);
            error.to_string()
        }
        Err(other) => {
            panic!("{from:?} -> {to:?}: {}", why(&other))
        }
        Ok(_) => panic!("{from:?} -> {to:?} loads"),
    }
}

/// Adds a group of rules, after removing the lines that name a call otherwise.
fn with_rule(
    source: (&'static str, &'static str),
    call: &str,
    rule: &str,
) -> Result<Policy, PolicyError> {
    let quoted = format!("\"{call}\"");
    let kept = source.1.lines().filter_map(|line| {
        if !line.contains(&quoted) {
            return Some(line.to_owned());
        }
        let only =
            line.contains(&format!("call = {quoted}")) || line.contains(&format!("[{quoted}]"));
        (!only)
            .then(|| line.replace(&format!("{quoted}, "), "").replace(&format!(", {quoted}]"), "]"))
    });
    let kept = kept.collect::<Vec<_>>().join("\n");
    assert!(!kept.contains(&quoted), "{call} is gone");
    let text = format!("{kept}\n[[group]]\nname = \"added\"\nreason = \"r\"\n{rule}\n");
    Policy::from_files(&BTreeMap::from([(source.0.to_owned(), text)]))
}

fn refused_rule(source: (&'static str, &'static str), call: &str, condition: &str) -> String {
    let condition = if condition.is_empty() {
        String::new()
    } else {
        format!("when = [{condition}], else = \"EPERM\", ")
    };
    let rule = format!("allow = [{{ call = \"{call}\", {condition}reason = \"r\" }}]");
    match with_rule(source, call, &rule) {
        Err(PolicyError::Floor(error)) => error.to_string(),
        Err(other) => panic!("{rule}: {}", why(&other)),
        Ok(_) => panic!("{rule} loads in {}", source.0),
    }
}

#[test]
fn no_limit_can_be_switched_off() {
    let cases = [
        ("\"memory.swap.max\"  = { value = \"0\"", "\"memory.swap.max\"  = { value = \"1GiB\""),
        ("\"memory.oom.group\" = { value = \"1\"", "\"memory.oom.group\" = { value = \"0\""),
        ("\"memory.max\"       = { value = \"1GiB\"", "\"memory.max\"       = { value = \"0\""),
        ("\"pids.max\"         = { value = \"128\"", "\"pids.max\"         = { value = \"0\""),
        ("size      = { value = \"512MiB\"", "size      = { value = \"0\""),
        ("size      = { value = \"512MiB\"", "size      = { value = \"2GiB\""),
        ("nr_inodes = { value = \"65536\"", "nr_inodes = { value = \"0\""),
        ("wall = { value = \"60s\"", "wall = { value = \"0s\""),
        ("value    = \"1\"\n", "value    = \"0\"\n"),
        ("value    = \"1\"\n", "value    = \"1GiB\"\n"),
        ("\"core\"", "\"cpu\""),
        ("\"core\"", "\"nofile\""),
        ("\"nofile\"", "\"data\""),
        ("value    = \"1024\"\nreason   = \"what", "value    = \"1000000\"\nreason   = \"what"),
        ("\"rtprio\"", "\"rttime\""),
        ("body            = { value = \"1MiB\"", "body            = { value = \"1KiB\""),
        ("runs_per_core = { value = \"16\"", "runs_per_core = { value = \"0\""),
    ];
    for (from, to) in cases {
        loosened(LIMITS, from, to);
    }
    assert!(
        loosened(LIMITS, "value    = \"1\"\n", "value    = \"0\"\n")
            .contains("run.rlimit core must be \"1\"")
    );
}

/// proves: always floor
#[test]
fn the_view_of_the_file_system_stays_closed() {
    let root = "[root.tmpfs]\nflags  = [\"ro\", \"nosuid\", \"nodev\"]";
    let base = "[root.base]\nflags  = [\"ro\", \"nosuid\", \"nodev\"]";
    let cases = [
        (root, "[root.tmpfs]\nflags  = [\"nosuid\", \"nodev\"]"),
        (base, "[root.base]\nflags  = [\"nosuid\", \"nodev\"]"),
        (base, "[root.base]\nflags  = [\"ro\", \"nodev\"]"),
        (base, "[root.base]\nflags  = [\"ro\", \"nosuid\"]"),
        (base, "[root.base]\nflags  = [\"ro\", \"nosuid\", \"nodev\", \"noexec\"]"),
        ("path   = \"/dev/fd\"", "path   = \"/lib64\""),
        ("path   = \"/dev/fd\"", "path   = \"/dev/shm/fd\""),
        ("{ path = \"net\"", "{ path = \"version\""),
        (
            "[run]\nflags  = [\"nosuid\", \"nodev\"]",
            "[run]\nflags  = [\"ro\", \"nosuid\", \"nodev\"]",
        ),
        ("target = \"/workspace\"", "target = \"/work\""),
        ("name   = \"venv\"", "name   = \"env\""),
        ("target = \"/home/run\"", "target = \"/primcs/run\""),
        ("[run]\nflags  = [\"nosuid\", \"nodev\"]", "[run]\nflags  = [\"nosuid\"]"),
        ("[run]\nflags  = [\"nosuid\", \"nodev\"]", "[run]\nflags  = [\"nodev\"]"),
        (
            "flags  = [\"ro\", \"nosuid\", \"nodev\", \"noexec\"]",
            "flags  = [\"nosuid\", \"nodev\", \"noexec\"]",
        ),
        (
            "flags  = [\"ro\", \"nosuid\", \"nodev\", \"noexec\"]",
            "flags  = [\"ro\", \"nosuid\", \"nodev\"]",
        ),
        ("{ path = \"loadavg\"", "{ path = \"kcore\""),
        ("{ path = \"loadavg\"", "{ path = \"sysrq-trigger\""),
        ("{ path = \"loadavg\"", "{ path = \"sys\""),
        ("name   = \"full\"", "name   = \"kmsg\""),
        ("target = \"/workspace\"", "target = \"/\""),
        ("target = \"/workspace\"", "target = \"/dev\""),
        ("target = \"/workspace\"", "target = \"/usr/bin\""),
        ("target = \"/workspace\"", "target = \"/proc/sys\""),
        ("path   = \"/usr/lib/file\"", "path   = \"/etc\""),
        ("path   = \"/usr/lib/file\"", "path   = \"/root\""),
        ("path   = \"/usr/lib/file\"", "path   = \"/usrlocal\""),
    ];
    for (from, to) in cases {
        loosened(MOUNTS, from, to);
    }
}

/// proves: always floor
#[test]
fn a_run_keeps_no_privilege_and_shares_no_namespace() {
    for kind in ["user", "mount", "pid", "network", "ipc", "uts", "cgroup"] {
        let other = if kind == "user" { "pid" } else { "user" };
        let said = loosened(PROCESS, &format!("kind = \"{kind}\""), &format!("kind = \"{other}\""));
        assert!(said.contains(&format!("namespace {kind}")), "{said}");
    }
    let cases = [
        ("uid           = { value = 1000", "uid           = { value = 0"),
        ("gid           = { value = 1000", "gid           = { value = 0"),
        ("oom_score_adj = { value = 1000", "oom_score_adj = { value = 0"),
        ("hostname      = { value = \"sandbox\"", "hostname      = { value = \"\""),
        ("directory     = { value = \"/workspace\"", "directory     = { value = \"/usr\""),
        ("capabilities        = { value = []", "capabilities        = { value = [\"CAP_NET_RAW\"]"),
        ("no_new_privs        = { value = true", "no_new_privs        = { value = false"),
        ("new_session_keyring = { value = true", "new_session_keyring = { value = false"),
        ("\"noroot\", ", ""),
        (", \"no_cap_ambient_raise\"", ""),
        ("name = \"MPLBACKEND\"", "name = \"LD_PRELOAD\""),
        ("name = \"MPLBACKEND\"", "name = \"A=B\""),
        (
            "rights = [\"execute\", \"read_file\", \"read_dir\"]",
            "rights = [\"execute\", \"write_file\"]",
        ),
        ("\"make_fifo\"", "\"make_char\""),
        ("\"make_fifo\"", "\"make_block\""),
        ("rights = [\"read_dir\"]", "rights = [\"remove_dir\"]"),
    ];
    for (from, to) in cases {
        loosened(PROCESS, from, to);
    }
}

/// proves: always floor
#[test]
fn no_filter_allows_what_is_never_allowed() {
    let calls = [
        "clone3",
        "mount",
        "umount2",
        "pivot_root",
        "move_mount",
        "open_tree",
        "fsopen",
        "unshare",
        "setns",
        "bpf",
        "keyctl",
        "add_key",
        "ptrace",
        "process_vm_writev",
        "pidfd_getfd",
        "userfaultfd",
        "seccomp",
        "io_uring_setup",
        "open_by_handle_at",
        "perf_event_open",
        "init_module",
        "landlock_restrict_self",
    ];
    for source in [RUN, SERVER] {
        for call in calls {
            let said = refused_rule(source, call, "");
            assert!(said.contains(&format!("allow {call} may never be allowed")), "{said}");
        }
    }
    for call in ["execve", "execveat", "fork", "vfork"] {
        refused_rule(SERVER, call, "");
    }
}

/// proves: always floor
#[test]
fn no_condition_on_arguments_can_be_dropped_or_widened() {
    let dropped = [
        "clone",
        "socket",
        "socketpair",
        "ioctl",
        "prctl",
        "setsockopt",
        "prlimit64",
        "setrlimit",
        "sendmsg",
        "sendto",
        "sendmmsg",
        "madvise",
        "fcntl",
        "mmap",
        "memfd_create",
        "fadvise64",
        "sched_setaffinity",
        "sched_setscheduler",
        "sched_setparam",
        "sched_setattr",
        "setpriority",
        "ioprio_set",
    ];
    for call in dropped {
        refused_rule(RUN, call, "");
    }
    let widened = [
        ("clone", "\"flags has none of CLONE_NEWUSER\""),
        ("clone", "\"flags == CLONE_VM\""),
        ("socket", "\"domain != AF_UNIX\""),
        ("socket", "\"type == SOCK_STREAM\""),
        ("prctl", "\"option in PR_SET_NAME | PR_SET_SECCOMP\""),
        ("prctl", "\"option != PR_SET_MM\""),
        ("ioctl", "\"request != TIOCLINUX\""),
        ("setsockopt", "\"level == SOL_SOCKET\""),
        ("setsockopt", "\"level == IPPROTO_TCP\""),
        ("prlimit64", "\"resource != RLIMIT_CORE\""),
        ("prlimit64", "\"pid == 0\""),
        ("setpriority", "\"who == 0\""),
        ("setpriority", "\"which == PRIO_PROCESS\""),
    ];
    for (call, condition) in widened {
        refused_rule(RUN, call, condition);
    }
    for call in ["clone", "mmap", "mprotect", "prctl"] {
        refused_rule(SERVER, call, "");
    }
    refused_rule(SERVER, "clone", "\"flags has all of CLONE_THREAD\"");
}

#[test]
fn a_filter_cannot_answer_success_to_everything_else() {
    loosened(RUN, "[otherwise]\nerrno  = \"ENOSYS\"", "[otherwise]\nerrno  = \"0\"");
    loosened(SERVER, "[otherwise]\nerrno  = \"ENOSYS\"", "[otherwise]\nerrno  = \"0\"");
}

#[test]
fn what_an_operator_may_change_loads() {
    let more_memory = LIMITS.1.replace("{ value = \"1GiB\"", "{ value = \"4GiB\"");
    assert_ne!(more_memory, LIMITS.1);
    Policy::from_files(&BTreeMap::from([(LIMITS.0.to_owned(), more_memory)])).unwrap();
    with_rule(RUN, "mincore", "allow = [{ call = \"sync_file_range\", reason = \"r\" }]").unwrap();
}

#[test]
fn the_server_keeps_its_own_threads_and_gets_nothing_else() {
    let own = "paths  = [\"/proc/self/task\"]";
    for (to, says) in [
        ("paths  = [\"/proc/self/task\", \"/etc\"]", "opens more to the server"),
        ("paths  = [\"/\"]", "opens more to the server"),
        ("paths  = [\"/proc/self/task/1\"]", "must grant"),
    ] {
        assert!(loosened(PROCESS, own, to).contains(says), "{to}");
    }
    let file = PROCESS.1.split(own).nth(1).unwrap();
    for (to, says) in
        [("\"read_dir\", \"write_file\"", "opens more"), ("\"execute\"", "opens more")]
    {
        let from = "rights = [\"read_file\", \"read_dir\"]";
        let text = file.replace(from, &format!("rights = [\"read_file\", {to}]"));
        let whole = format!("{}{own}{text}", PROCESS.1.split(own).next().unwrap());
        let files = BTreeMap::from([(PROCESS.0.to_owned(), whole)]);
        let error = Policy::from_files(&files).unwrap_err();
        assert!(why(&error).contains(says), "{to}: {}", why(&error));
    }
}
