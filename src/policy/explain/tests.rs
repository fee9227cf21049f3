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
        assert!(error.contains("memory.max") && error.contains("ENOSYS"), "{error}");
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
        ("kcore", "is covered: everything in `/proc` that is not listed is"),
        ("/proc/sys/kernel/core_pattern", "is covered"),
        ("/proc/self/mem", "is below `/proc/self`, which is shown"),
        ("/proc/1/environ", "one of the run's own processes"),
        ("/etc/shadow", "is not there: the root is built from nothing"),
        ("/var/run/docker.sock", "is not there"),
        ("/tmp/x", "is below `/tmp`, the run's own"),
        ("/usr/bin/gcc", "only when the private copy holds it"),
        ("AF_NETLINK", "is named by no rule of `socket`"),
        ("AF_UNIX", "is named by a rule of `socket`"),
        ("CLONE_NEWUSER", "is named by a rule of `clone`"),
        ("PR_SET_SECCOMP", "is named by no rule of `prctl`"),
        ("TIOCSTI", "is named by no rule of `ioctl`"),
        ("RLIMIT_CORE", "`rlimit core` = 1"),
        ("CAP_SYS_ADMIN", "`capabilities` = none"),
        ("network", "no network but its own loopback"),
        ("pid", "sees and signals its own processes and no others"),
        ("mount", "`mount` `umount2`"),
        ("futex_wait", "not named, fails with ENOSYS"),
        ("outlives its call", "No process of a run outlives its call"),
        ("lifetime", "when the `supervisor` is killed"),
        ("sees its neighbour", "cannot see its neighbour"),
        ("neighbours", "`flock` on a readable file"),
        ("i386", "ends the process"),
        ("always", "the `floor`"),
    ] {
        let text = explain(&policy, Some(question)).unwrap();
        assert!(text.contains(says) && text.contains("  - proof: `"), "{question}: {text}");
    }
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
