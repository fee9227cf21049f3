//! What is printed is what is enforced and what is committed.

use super::text::Line;
use super::*;

fn policy() -> Policy {
    Policy::embedded().unwrap()
}

#[test]
fn the_committed_explanation_is_the_one_that_is_printed() {
    let printed = explain(&policy(), None).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policy.md");
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(committed == printed, "docs/policy.md is out of date; run `make policy`");
}

#[test]
fn every_reason_of_every_file_is_explained() {
    let printed = explain(&policy(), None).unwrap();
    let texts = [
        include_str!("../../../policy/limits.toml"),
        include_str!("../../../policy/mounts.toml"),
        include_str!("../../../policy/process.toml"),
        include_str!("../../../policy/seccomp-run.toml"),
        include_str!("../../../policy/seccomp-server.toml"),
    ];
    let mut count = 0;
    for text in texts {
        let value: toml::Table = text.parse().unwrap();
        reasons(&toml::Value::Table(value), &mut |reason| {
            assert!(printed.contains(reason), "not explained: {reason}");
            count += 1;
        });
    }
    assert!(count > 150, "only {count} reasons found");
}

fn reasons(value: &toml::Value, found: &mut impl FnMut(&str)) {
    if let Some(table) = value.as_table() {
        for (key, value) in table {
            match value.as_str() {
                Some(reason) if key == "reason" => found(reason),
                _ => reasons(value, found),
            }
        }
    }
    for item in value.as_array().into_iter().flatten() {
        reasons(item, found);
    }
}

#[test]
fn one_call_is_explained_for_both_programs() {
    let text = explain(&policy(), Some("execve")).unwrap();
    assert!(text.contains("`execve` `execveat` allowed"), "{text}");
    assert!(text.contains("refused with EPERM"), "{text}");
    let text = explain(&policy(), Some("io_pgetevents_time64")).unwrap_err().to_string();
    assert!(text.contains("seccomp-run"), "{text}");
    let text = explain(&policy(), Some("vhangup")).unwrap();
    assert!(text.contains("refused with EPERM"), "{text}");
    let text = explain(&policy(), Some("openat2")).unwrap();
    assert!(text.contains("not named, fails with ENOSYS"), "{text}");
}

#[test]
fn a_part_is_explained_alone() {
    let text = explain(&policy(), Some("limits")).unwrap();
    assert!(text.contains("`wall` = 60s, a call may ask for up to 600s"), "{text}");
    assert!(!text.contains("Environment"), "{text}");
}

#[test]
fn whatever_has_a_name_is_found_by_it() {
    let policy = policy();
    for (name, says) in [
        ("memory.max", "- `memory.max` = 1GiB: "),
        ("pids.max", "- `pids.max` = 128: "),
        ("wall", "- `wall` = 60s"),
        ("nofile", "- `rlimit nofile` = 1024: "),
        ("tmpfs.size", "- `tmpfs size` = 512MiB: "),
        ("output.written", "- `output written` = 64MiB: "),
        ("queue", "- `queue` = 512: "),
        ("/usr", "of the private copy (ro, nosuid, nodev): "),
        ("/usr", "of the private copy may execute, read_file, read_dir: "),
        ("/workspace", "- `/workspace` mode "),
        ("/proc/self/task", "- `/proc/self/task` may read_file, read_dir: "),
        ("HOME", "- `HOME=/home/run`: "),
        ("git", "`git`"),
        ("CAP_SYS_ADMIN", "- `capabilities` = none: "),
        ("cap_net_raw", "- `capabilities` = none: "),
        ("capabilities", "- `capabilities` = none: "),
        ("no_new_privs", "- `no_new_privs` = true: "),
        ("umask", "- `umask` = 0022: "),
        ("umask", "## In a run"),
    ] {
        let text = explain(&policy, Some(name)).unwrap();
        assert!(text.contains(says), "{name}: {text}");
        assert!(text.starts_with('#') && text.lines().count() < 20, "{name}: {text}");
    }
    for name in ["", "cap_nothing", "memo", "the", "AFNETLINK"] {
        let error = explain(&policy, Some(name)).unwrap_err().to_string();
        assert!(error.contains("memory.max") && error.contains("docs/threat-model.md"), "{error}");
    }
}

#[test]
fn every_entry_with_a_name_in_code_type_is_found_by_it() {
    let policy = policy();
    for (_, part) in PARTS {
        for line in part(&policy).0 {
            let Line::Item(item) = line else { continue };
            let text = item.text;
            for name in item.name.split('`').skip(1).step_by(2) {
                let found = explain(&policy, Some(name)).unwrap();
                assert!(found.contains(text.as_str()), "{name}: {found}");
            }
        }
    }
}

/// What a reviewer asks, and what must stand in the answer besides a proof.
#[test]
fn plain_questions_are_answered() {
    let policy = policy();
    for (question, says) in [
        ("raw socket", "cannot open a raw or packet socket"),
        ("May a run open a raw socket?", "cannot open a raw or packet socket"),
        ("socket", "type in SOCK_STREAM | SOCK_DGRAM"),
        ("/proc/kcore", "is covered: everything in `/proc` that is not listed is"),
        ("may it read /proc/kcore?", "`/proc/kcore` is covered"),
        ("/proc/sys/kernel/core_pattern", "is covered"),
        ("/proc/self/mem", "belongs to one of the run's own processes"),
        ("/proc/1/environ", "which is not dumpable"),
        ("/etc/shadow", "is not there: the root is built from nothing"),
        ("/var/run/docker.sock", "is not there"),
        ("/tmp/x", "is below `/tmp`, the run's own"),
        ("/usr/bin/bash", "is a listed tool"),
        ("/proc/2/root/etc/shadow", "the path that they have in its root decides"),
        ("/dev/fd/3", "is `/proc/self/fd/3`"),
        ("/dev", "- `/dev/null`"),
        ("/usr/bin/gcc", "is no listed tool, so it is not there"),
        ("LD_PRELOAD", "`LD_PRELOAD` is not set in a run"),
        ("server", "- `execve` `execveat` `fork` `vfork` refused with EPERM"),
        ("server", "after start the server works on the descriptors it holds"),
        ("cgroup", "- `pids.max` = 128"),
        ("timeout", "- `wall` = 60s"),
        ("env", "- `HOME=/home/run`"),
        ("RLIMIT_CORE", "`rlimit core` = 1"),
        ("CAP_SYS_ADMIN", "`capabilities` = none"),
        ("network", "no network but its own loopback"),
        ("pid", "sees and signals its own processes and no others"),
        ("mount", "`mount` `umount2`"),
        ("outlives its call", "No process of a run outlives its call"),
        ("lifetime", "when the `supervisor` is killed"),
        ("sees its neighbour", "timing, load and locks on shared files tell of each other"),
        ("neighbours", "`flock` on a readable file"),
        ("i386", "ends the process"),
        ("always", "the `floor`"),
    ] {
        let text = explain(&policy, Some(question)).unwrap();
        assert!(text.contains(says) && text.contains("  - proof: `"), "{question}: {text}");
    }
}

/// Worked out from the rules: the same constant may be let through here and refused there.
#[test]
fn a_constant_is_answered_for_each_filter_by_its_rules() {
    let policy = policy();
    for (name, run, server) in [
        (
            "AF_UNIX",
            "`socketpair` lets `AF_UNIX` through as `domain`.",
            "`socket` is refused with EPERM",
        ),
        (
            "AF_NETLINK",
            "`socket` does not let `AF_NETLINK` through as `domain`; answer: EAFNOSUPPORT.",
            "`socket` is refused",
        ),
        ("SOCK_RAW", "`socket` does not let `SOCK_RAW` through as `type`", "`socket` is refused"),
        (
            "SOCK_CLOEXEC",
            "`socket` lets `SOCK_CLOEXEC` through as `type` when ",
            "`socket` is refused",
        ),
        (
            "PROT_EXEC",
            "`mprotect` lets `PROT_EXEC` through as `prot`.",
            "`mprotect` does not let `PROT_EXEC` through",
        ),
        (
            "CLONE_VM",
            "`clone` lets `CLONE_VM` through as `flags`.",
            "when `flags has all of CLONE_VM | ",
        ),
        (
            "CLONE_NEWUSER",
            "`clone` does not let `CLONE_NEWUSER` through as `flags`; answer: EPERM.",
            "`unshare` is refused with EPERM",
        ),
        ("PR_SET_SECCOMP", "`prctl` does not let `PR_SET_SECCOMP` through", "`seccomp` is refused"),
        (
            "TIOCSTI",
            "`ioctl` does not let `TIOCSTI` through as `request`; answer: ENOTTY.",
            "answer: ENOTTY.",
        ),
        (
            "F_NOTIFY",
            "`fcntl` does not let `F_NOTIFY` through as `cmd`; answer: EINVAL.",
            "answer: EPERM.",
        ),
        (
            "F_SETOWN",
            "`fcntl` lets `F_SETOWN` through as `cmd`.",
            "`fcntl` does not let `F_SETOWN` through",
        ),
        (
            "POSIX_FADV_DONTNEED",
            "answer: success without effect.",
            "`fadvise64` is named by no rule and fails with ENOSYS.",
        ),
        ("PRIO_PROCESS", "through as `which` when `who == 0`.", "`setpriority` is refused"),
        (
            "RLIMIT_CORE",
            "through as `resource` when `pid == 0` and `new_limit == NULL`.",
            "`setrlimit` is refused",
        ),
        (
            "SO_ATTACH_FILTER",
            "`setsockopt` does not let `SO_ATTACH_FILTER` through",
            "answer: ENOPROTOOPT.",
        ),
        ("ARCH_SET_FS", "`arch_prctl` lets `ARCH_SET_FS` through as `code`.", "ENOSYS"),
    ] {
        let text = explain(&policy, Some(name)).unwrap();
        let (in_run, in_server) = text.split_once("## In the server").unwrap();
        assert!(in_run.contains(run), "{name}: {in_run}");
        assert!(in_server.contains(server), "{name}: {in_server}");
    }
}

/// A wrong answer is worse than none.
#[test]
fn what_is_not_understood_gets_no_answer_but_the_names_near_it() {
    let policy = policy();
    for (question, near) in [
        ("can a tenant fill the disk", "\"disk\""),
        ("is the network namespace of the init shared", "\"namespace\""),
        ("Unshare", "Ask for \"unshare\"."),
        ("memory_max", "\"memory.max\""),
        ("AF_FOO", "Ask for \"socket\", \"socketpair\"."),
        ("cachestat", "no rule names it and it fails with ENOSYS"),
        ("kcore", "\"/proc/kcore\""),
        ("gcc", "\"/usr/bin/gcc\""),
        ("/etc/../etc/shadow", "is not looked up"),
        ("/proc/self/./mem", "is not looked up"),
    ] {
        let error = explain(&policy, Some(question)).unwrap_err().to_string();
        assert!(error.contains(near), "{question}: {error}");
    }
    let error = explain(&policy, Some("Is it safe?")).unwrap_err().to_string();
    assert!(!error.contains("ENOSYS") && !error.contains("Ask for"), "{error}");
}

/// The policy with one file changed, as an operator would.
fn changed(name: &str, text: &str, from: &str, to: &str) -> Policy {
    assert!(text.contains(from));
    let files = std::collections::BTreeMap::from([(name.to_owned(), text.replace(from, to))]);
    Policy::from_files(&files).unwrap()
}

#[test]
fn what_an_operator_changed_is_proved_by_nobody() {
    let limits = include_str!("../../../policy/limits.toml");
    let other = changed("limits.toml", limits, "{ value = \"1GiB\"", "{ value = \"2GiB\"");
    let text = explain(&other, Some("memory.max")).unwrap();
    assert!(
        text.contains("not covered by this repository's tests") && !text.contains("proof: "),
        "{text}"
    );
    // The line beside it is as it was.
    let text = explain(&other, Some("pids.max")).unwrap();
    assert!(text.contains("  - proof: `") && !text.contains("not covered"), "{text}");
    // Of a line with several entries each counts for itself; a reason is no value.
    let calls = include_str!("../../../policy/seccomp-run.toml");
    let other = changed("seccomp-run.toml", calls, "\"protocol in IPPROTO_IP | ", "\"protocol in ");
    let text = explain(&other, Some("socket")).unwrap();
    assert!(
        text.contains("not as built in: `seccomp-run allow socket protocol`; proof of the rest"),
        "{text}"
    );
    let text = explain(&other, Some("raw socket")).unwrap();
    assert!(!text.contains("cannot open a raw"), "a sentence about other values: {text}");
    let other = changed("limits.toml", limits, "a fork bomb ends here", "enough for us");
    let text = explain(&other, Some("pids.max")).unwrap();
    assert!(text.contains("enough for us") && text.contains("  - proof: `"), "{text}");
}
