//! Plain words, constants of the kernel, and system calls newer than our table of them.
#![forbid(unsafe_code)]

use super::{Text, add_new, deciding};
use crate::policy::Policy;
use crate::policy::explain::proofs::Proofs;
use crate::policy::explain::seccomp;
use crate::policy::explain::text::Item;
use crate::policy::seccomp::Call;

/// The words by which a question may ask for something, the answer in a sentence, and the entries
/// whose lines hold it up.
struct Topic {
    words: &'static [&'static str],
    says: &'static str,
    ids: &'static [&'static str],
}

const TOPICS: [Topic; 14] = [
    Topic {
        words: &["raw socket", "raw sockets", "packet socket"],
        says: "A run cannot open a raw or packet socket: the filter lets only stream and datagram sockets of UNIX, IPv4 and IPv6 through, and the capability that a raw one takes is not there either.",
        ids: &[
            "seccomp-run allow socket",
            "process privilege capabilities",
            "process namespace network",
        ],
    },
    Topic {
        words: &["socket", "sockets"],
        says: "",
        ids: &["seccomp-run allow socket", "process namespace network", "limits sockets"],
    },
    Topic {
        words: &["network", "internet", "loopback"],
        says: "A run has no network but its own loopback; no setting gives it another.",
        ids: &["process namespace network", "seccomp-run allow socket", "limits sockets"],
    },
    Topic {
        words: &["pid", "process", "processes", "signal", "signals"],
        says: "A run sees and signals its own processes and no others.",
        ids: &["process namespace pid", "neighbours processes", "always init", "limits pids.max"],
    },
    Topic {
        words: &["mount", "mounts"],
        says: "",
        ids: &[
            "process namespace mount",
            "mounts root",
            "seccomp-run deny mount",
            "seccomp-run deny umount2",
        ],
    },
    Topic {
        words: &["outlive", "outlives", "lifetime", "daemon", "background", "leftover"],
        says: "No process of a run outlives its call, and nothing that it wrote does but the answer.",
        ids: &["ending", "process namespace pid", "limits wall"],
    },
    Topic {
        words: &["neighbour", "neighbor", "neighbors", "tenant", "tenants"],
        says: "A run cannot see its neighbour: no file, socket, process or answer of it.",
        ids: &[
            "neighbours",
            "always ids",
            "process namespace pid",
            "process namespace mount",
            "process namespace ipc",
        ],
    },
    Topic { words: &["proc", "/proc"], says: "", ids: &["mounts proc"] },
    Topic {
        words: &["root", "uid 0", "privilege", "privileges", "setuid", "sudo"],
        says: "A run is never root, inside or outside, and cannot become it.",
        ids: &[
            "process identity uid",
            "process privilege",
            "process namespace user",
            "always ids",
            "mounts run nosuid",
        ],
    },
    Topic {
        words: &["memory"],
        says: "",
        ids: &[
            "limits memory.max",
            "limits memory.swap.max",
            "limits memory.oom.group",
            "limits tmpfs size",
        ],
    },
    Topic {
        words: &["disk", "files"],
        says: "",
        ids: &["limits tmpfs", "mounts run.directory", "mounts root.tmpfs", "process landlock"],
    },
    Topic {
        words: &["fork bomb", "threads"],
        says: "",
        ids: &["limits pids.max", "limits rlimit nproc"],
    },
    Topic {
        words: &["32-bit", "i386", "x32"],
        says: "A 32-bit call ends the process that makes it, and x32 numbers do not exist.",
        ids: &["seccomp-run architecture", "seccomp-run x32"],
    },
    Topic { words: &["init"], says: "", ids: &["always init", "process namespace pid"] },
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
        .filter_map(|topic| topic.words.first())
        .map(|word| format!("{word:?}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What a plain word is about, or a question with one in it.
pub(super) fn topic(policy: &Policy, name: &str) -> Text {
    let name = name.to_lowercase();
    let exactly = TOPICS.iter().find(|topic| topic.words.contains(&name.as_str()));
    let within = || {
        let is_question = name.contains(' ') || name.contains("liv") || name.contains("neighbo");
        let (_, index) = STEMS.iter().find(|(stem, _)| is_question && name.contains(stem))?;
        TOPICS.get(*index)
    };
    let Some(topic) = exactly.or_else(within) else { return Text::default() };
    let lines = deciding(policy, topic.ids);
    let proofs = Proofs::of_the_built_in_policy();
    let is_built_in = |item: &Item| item.entries.iter().all(|entry| proofs.is_built_in(entry));
    let mut text = Text::default();
    // The sentence was written about the built-in values; the lines say what is enforced.
    if !topic.says.is_empty() && lines.items().all(is_built_in) {
        text.paragraph(topic.says);
    }
    text.append(lines);
    text
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
            text.add(named.otherwise(&format!("`{name}`"), "not named, "));
        }
    }
    text
}
