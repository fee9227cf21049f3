//! Plain words, constants of the kernel, and system calls newer than our table of them.
#![forbid(unsafe_code)]

use super::{Text, add_new, deciding};
use crate::policy::Policy;
use crate::policy::explain::seccomp;
use crate::policy::seccomp::Call;

/// The words by which a question may ask for this, and the entries that answer it.
const TOPICS: [(&[&str], &[&str]); 14] = [
    (
        &["raw socket", "raw sockets", "packet socket"],
        &[
            "seccomp-run allow socket",
            "process privilege capabilities",
            "process namespace network",
        ],
    ),
    (
        &["socket", "sockets"],
        &["seccomp-run allow socket", "process namespace network", "limits sockets"],
    ),
    (
        &["network", "internet", "loopback"],
        &["process namespace network", "seccomp-run allow socket", "limits sockets"],
    ),
    (
        &["pid", "process", "processes", "signal", "signals"],
        &["process namespace pid", "neighbours processes", "always init", "limits pids.max"],
    ),
    (
        &["mount", "mounts"],
        &[
            "process namespace mount",
            "mounts root",
            "seccomp-run deny mount",
            "seccomp-run deny umount2",
        ],
    ),
    (
        &["outlive", "outlives", "lifetime", "ending", "daemon", "background", "leftover"],
        &["ending"],
    ),
    (
        &["neighbour", "neighbours", "neighbor", "neighbors", "tenant", "tenants"],
        &[
            "neighbours",
            "always ids",
            "process namespace pid",
            "process namespace mount",
            "process namespace ipc",
        ],
    ),
    (&["proc", "/proc"], &["mounts proc"]),
    (
        &["root", "uid 0", "privilege", "privileges", "setuid", "sudo"],
        &[
            "process identity uid",
            "process privilege",
            "process namespace user",
            "always ids",
            "mounts run nosuid",
        ],
    ),
    (
        &["memory"],
        &[
            "limits memory.max",
            "limits memory.swap.max",
            "limits memory.oom.group",
            "limits tmpfs size",
        ],
    ),
    (
        &["disk", "files"],
        &["limits tmpfs", "mounts run.directory", "mounts root.tmpfs", "process landlock"],
    ),
    (&["fork bomb", "threads"], &["limits pids.max", "limits rlimit nproc"]),
    (&["32-bit", "i386", "x32"], &["seccomp-run architecture", "seccomp-run x32"]),
    (&["init"], &["always init", "process namespace pid"]),
];

/// By which word of it a question of several is about a topic, when it is none of the above.
const STEMS: [(&str, usize); 6] = [
    ("outliv", 5),
    ("neighbo", 6),
    ("raw socket", 0),
    ("network", 2),
    ("fork bomb", 11),
    ("tenant", 6),
];

/// Beginnings of the names of constants, and the calls they are an argument of.
const CONSTANTS: [(&str, &[&str]); 17] = [
    ("AF_", &["socket", "socketpair"]),
    ("PF_", &["socket", "socketpair"]),
    ("SOCK_", &["socket"]),
    ("IPPROTO_", &["socket", "setsockopt"]),
    ("SOL_", &["setsockopt"]),
    ("SO_", &["setsockopt"]),
    ("TCP_", &["setsockopt"]),
    ("IP_", &["setsockopt"]),
    ("IPV6_", &["setsockopt"]),
    ("UDP_", &["setsockopt"]),
    ("CLONE_", &["clone", "clone3", "unshare"]),
    ("MAP_", &["mmap"]),
    ("PROT_", &["mmap", "mprotect"]),
    ("PR_", &["prctl"]),
    ("MADV_", &["madvise"]),
    ("MSG_", &["sendto", "sendmsg", "sendmmsg"]),
    ("PTRACE_", &["ptrace"]),
];
const REQUESTS: [&str; 6] = ["TIOC", "SIOC", "FIO", "TCGET", "TCSET", "BLK"];

/// Calls of recent kernels that our table does not have, so no rule can name them.
const NEWER: [&str; 20] = [
    "cachestat",
    "map_shadow_stack",
    "futex_wake",
    "futex_wait",
    "futex_requeue",
    "statmount",
    "listmount",
    "lsm_get_self_attr",
    "lsm_set_self_attr",
    "lsm_list_modules",
    "setxattrat",
    "getxattrat",
    "listxattrat",
    "removexattrat",
    "open_tree_attr",
    "file_getattr",
    "file_setattr",
    "uretprobe",
    "listns",
    "io_pgetevents",
];

pub(super) fn shown() -> String {
    TOPICS
        .iter()
        .filter_map(|(words, _)| words.first())
        .map(|word| format!("{word:?}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What a plain word is about, or a question with one in it.
pub(super) fn topic(policy: &Policy, name: &str) -> Text {
    let name = name.to_lowercase();
    let exactly = TOPICS.iter().find(|(words, _)| words.contains(&name.as_str()));
    let within = || {
        let is_question = name.contains(' ') || name.contains("liv") || name.contains("neighbo");
        let (_, index) = STEMS.iter().find(|(stem, _)| is_question && name.contains(stem))?;
        TOPICS.get(*index)
    };
    exactly.or_else(within).map_or_else(Text::default, |(_, ids)| deciding(policy, ids))
}

/// A constant of the kernel: what the rules of its calls say, whether they name it or not.
pub(super) fn constant(policy: &Policy, name: &str) -> Text {
    let is_constant =
        |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    if name.is_empty() || !name.chars().all(is_constant) {
        return Text::default();
    }
    if let Some(resource) = name.strip_prefix("RLIMIT_") {
        let id = format!("limits rlimit {}", resource.to_lowercase());
        return deciding(
            policy,
            &[&id, "seccomp-run allow setrlimit", "seccomp-run allow prlimit64"],
        );
    }
    let mut text = Text::default();
    let calls = if REQUESTS.iter().any(|beginning| name.starts_with(beginning)) {
        &["ioctl"][..]
    } else {
        let found = CONSTANTS.iter().find(|(beginning, _)| name.starts_with(beginning));
        found.map_or(&[][..], |(_, calls)| *calls)
    };
    if calls.is_empty() {
        return text;
    }
    let values = |call: &Call| -> Vec<String> {
        let lines = policy.seccomp_run.allows(*call).flat_map(|line| &line.when);
        lines.map(ToString::to_string).collect()
    };
    let is_named = calls
        .iter()
        .filter_map(|call| Call::named(call))
        .any(|call| values(&call).iter().any(|clause| clause.split(' ').any(|word| word == name)));
    let says = if is_named { "is named by a rule of" } else { "is named by no rule of" };
    text.heading(1, name);
    text.paragraph(&format!(
        "`{name}` {says} `{}` in a run; what the rules let through is all there is.",
        calls.join("`, `")
    ));
    for call in calls.iter().filter_map(|call| Call::named(call)) {
        let mut items = Text::default();
        let [run, _] = seccomp::both(policy);
        run.one_call(call).into_iter().for_each(|item| items.add(item));
        add_new(&mut text, items);
    }
    text
}

pub(super) fn newer_call(policy: &Policy, name: &str) -> Text {
    let mut text = Text::default();
    if NEWER.contains(&name) {
        text.heading(1, name);
        for (named, who) in seccomp::both(policy).into_iter().zip(["In a run", "In the server"]) {
            text.heading(2, who);
            text.add(named.otherwise(&format!("`{name}` is not named and")));
        }
    }
    text
}
