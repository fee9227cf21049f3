//! Plain words, each exactly: what they mean in entries of the policy.
#![forbid(unsafe_code)]

use super::{Text, deciding};
use crate::policy::Policy;
use crate::policy::explain::proofs::Proofs;
use crate::policy::explain::text::Item;

/// Words and phrases that ask for the same, the entries whose lines answer, and the answer in a
/// sentence where there is one.
struct Topic {
    words: &'static [&'static str],
    says: &'static str,
    ids: &'static [&'static str],
}

/// The first word of each topic.
pub(super) fn first() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().filter_map(|topic| topic.words.first().copied())
}

pub(super) fn all() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().flat_map(|topic| topic.words.iter().copied())
}

/// What is said for exactly this word or phrase, in small or capital letters.
pub(super) fn topic(policy: &Policy, name: &str) -> Text {
    let name = name.to_lowercase();
    let mut topics = TOPICS.iter();
    let Some(topic) = topics.find(|topic| topic.words.contains(&name.as_str())) else {
        return Text::default();
    };
    let lines = deciding(policy, topic.ids);
    let proofs = Proofs::of_the_built_in_policy();
    let is_built_in = |item: &Item| item.entries.iter().all(|entry| proofs.is_built_in(entry));
    let mut text = Text::default();
    // The sentence was written about the built-in values; the lines say what is enforced.
    let holds = lines.items().next().is_some() && lines.items().all(is_built_in);
    if !topic.says.is_empty() && holds {
        text.paragraph(topic.says);
    }
    text.append(lines);
    text
}

const TOPICS: &[Topic] = &[
    Topic {
        words: &[
            "raw socket",
            "raw sockets",
            "packet socket",
            "packet sockets",
            "open a raw socket",
            "ping",
        ],
        says: "A run cannot open a raw or packet socket: the filter lets only stream and datagram sockets of UNIX, IPv4 and IPv6 through, with the protocols TCP and UDP, and the capability that a raw one takes is not there either.",
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
        words: &[
            "network",
            "internet",
            "loopback",
            "localhost",
            "metadata",
            "cloud metadata",
            "reach the network",
            "reach the internet",
        ],
        says: "A run has no network but its own loopback; no setting gives it another. The host's localhost is not it.",
        ids: &["process namespace network", "seccomp-run allow socket", "limits sockets"],
    },
    Topic {
        words: &["dns"],
        says: "A run asks no name server: it has no network but its own loopback, and names come from its own files.",
        ids: &[
            "process namespace network",
            "mounts base.etc /etc/nsswitch.conf",
            "mounts base.etc /etc/hosts",
        ],
    },
    Topic {
        words: &["pid", "process", "processes", "signal", "signals"],
        says: "A run sees and signals its own processes and no others.",
        ids: &["process namespace pid", "neighbours processes", "always init", "limits pids.max"],
    },
    Topic {
        words: &["namespace", "namespaces"],
        says: "",
        ids: &[
            "process namespace",
            "seccomp-run allow clone",
            "seccomp-run deny clone3",
            "seccomp-run deny unshare",
        ],
    },
    Topic {
        words: &["user namespace", "user namespaces", "make a user namespace"],
        says: "A run is in a user namespace of its own and cannot make another.",
        ids: &[
            "process namespace user",
            "seccomp-run allow clone",
            "seccomp-run deny clone3",
            "seccomp-run deny unshare",
        ],
    },
    Topic {
        words: &["mount", "mounts", "mount a file system"],
        says: "",
        ids: &[
            "process namespace mount",
            "mounts root",
            "seccomp-run deny mount",
            "seccomp-run deny umount2",
        ],
    },
    Topic {
        words: &[
            "outlives its call",
            "outlive its call",
            "outlive",
            "outlives",
            "lifetime",
            "daemon",
            "daemons",
            "background",
            "leftover",
            "leftovers",
        ],
        says: "No process of a run outlives its call. What it wrote is gone but for its answer and a line in the log; after a crash an empty cgroup may stay until the next start.",
        ids: &["ending", "process namespace pid", "limits wall"],
    },
    Topic {
        words: &[
            "neighbour",
            "neighbor",
            "neighbors",
            "tenant",
            "tenants",
            "see its neighbour",
            "sees its neighbour",
            "see its neighbours",
        ],
        says: "A run cannot read a file, socket, process or answer of its neighbour. It can notice it: both share a kernel and the private copy, so timing, load and locks on shared files tell of each other (docs/threat-model.md).",
        ids: &[
            "neighbours",
            "always ids",
            "process namespace pid",
            "process namespace mount",
            "process namespace ipc",
        ],
    },
    Topic {
        words: &["side channel", "side channels", "covert channel", "timing"],
        says: "Side channels of the CPU, and signals between two runs that want to talk, are not kept out; see docs/threat-model.md and SECURITY.md, \"Not promised\".",
        ids: &["neighbours channels"],
    },
    Topic { words: &["proc"], says: "", ids: &["mounts proc"] },
    Topic {
        words: &["root", "uid 0", "become root", "privilege", "privileges", "setuid", "sudo"],
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
        words: &["rootless"],
        says: "What is weaker without root is listed in SECURITY.md, \"Weaker modes, and how\".",
        ids: &["always ids"],
    },
    Topic {
        words: &["server"],
        says: "",
        ids: &[
            "always server",
            "always supervisor",
            "ending server",
            "process server.landlock",
            "seccomp-server",
        ],
    },
    Topic {
        words: &["cgroup", "cgroups"],
        says: "",
        ids: &[
            "limits memory.max",
            "limits memory.swap.max",
            "limits memory.oom.group",
            "limits pids.max",
            "limits cpu.max",
            "process namespace cgroup",
            "ending remains",
        ],
    },
    Topic {
        words: &["memory", "ram"],
        says: "",
        ids: &[
            "limits memory.max",
            "limits memory.swap.max",
            "limits memory.oom.group",
            "limits tmpfs size",
        ],
    },
    Topic { words: &["swap"], says: "", ids: &["limits memory.swap.max"] },
    Topic {
        words: &["cpu", "cores"],
        says: "",
        ids: &["limits cpu.max", "limits host runs_per_core"],
    },
    Topic { words: &["timeout", "time limit"], says: "", ids: &["limits wall", "ending wall"] },
    Topic {
        words: &["disk", "files", "inodes", "fill the disk"],
        says: "",
        ids: &["limits tmpfs", "limits rlimit fsize", "mounts run.directory", "mounts root.tmpfs"],
    },
    Topic {
        words: &["fork bomb", "threads"],
        says: "",
        ids: &["limits pids.max", "limits rlimit nproc"],
    },
    Topic {
        words: &["core dump", "core dumps"],
        says: "A crash in a run writes no core dump and starts no handler of the host.",
        ids: &["limits rlimit core", "seccomp-run allow setrlimit", "seccomp-run allow prlimit64"],
    },
    Topic {
        words: &["descriptors", "file descriptors"],
        says: "",
        ids: &["always descriptors", "limits rlimit nofile"],
    },
    Topic {
        words: &["environment", "environment variables", "env"],
        says: "",
        ids: &["process environment"],
    },
    Topic {
        words: &["interpreter"],
        says: "",
        ids: &["mounts base.python", "mounts base.python.skip"],
    },
    Topic {
        words: &["keyring", "keyrings"],
        says: "",
        ids: &["process privilege new_session_keyring", "seccomp-run deny keyctl"],
    },
    Topic {
        words: &["landlock"],
        says: "",
        ids: &[
            "process landlock",
            "process server.landlock",
            "seccomp-run deny landlock_create_ruleset",
        ],
    },
    Topic {
        words: &["io_uring"],
        says: "",
        ids: &["seccomp-run deny io_uring_setup", "seccomp-server deny io_uring_setup"],
    },
    Topic {
        words: &["seccomp", "system calls", "syscalls"],
        says: "Every system call goes through a filter: `primcs policy explain seccomp-run` prints that of a run, `seccomp-server` that of the server.",
        ids: &["seccomp-run otherwise", "seccomp-run architecture", "seccomp-server otherwise"],
    },
    Topic {
        words: &["32-bit", "i386", "x32"],
        says: "A 32-bit call ends the process that makes it; a call by an x32 number fails as one that no rule names (as a service, systemd's own filter ends the thread instead).",
        ids: &["seccomp-run architecture", "seccomp-run x32"],
    },
    Topic { words: &["init"], says: "", ids: &["always init", "process namespace pid"] },
];
