//! The steps after which something dies, by the process that dies; `steps.rs` and `starts.rs` visit
//! every one. The sources are read too, so that a new step is not forgotten. A `*` stands for what
//! depends on the host.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use super::support::sources::{files, text};

/// In pid 1 of a run.
pub(crate) const INIT: &[&str] = &[
    "report",
    "wait for go",
    "setresgid",
    "setresuid",
    "prctl PR_SET_PDEATHSIG",
    "prctl PR_SET_DUMPABLE",
    "poll",
    "unshare cgroup namespace",
    "setsid",
    "sethostname",
    "bring lo up",
    "keyctl JOIN_SESSION_KEYRING",
    "setrlimit *",
    "mount /proc",
    "set tcp_rmem",
    "read tcp_rmem back",
    "cover /proc/sys",
    "copy /proc/sys",
    "copy /proc/sys/*",
    "list /proc",
    "cover /proc/k*",
    "make /proc read-only",
    "move_mount tmpfs",
    "mount /tmp",
    "umount staging",
    "chdir /workspace",
    "prctl PR_SET_SECUREBITS",
    "drop bounding set",
    "clear ambient set",
    "capset",
    "read capabilities back",
    "prctl PR_SET_NO_NEW_PRIVS",
    "fork",
    "seccomp",
    "wait",
];

/// In what the init has forked, before it is Python.
pub(crate) const PROGRAM: &[&str] = &[
    "duplicate socket",
    "setsid",
    "restore signals",
    "prctl PR_SET_DUMPABLE",
    "place descriptors",
    "landlock_create_ruleset",
    "open *",
    "landlock_add_rule *",
    "landlock_restrict_self",
    "seccomp",
];

/// In the nursery when it is asked for an init.
pub(crate) const NURSERY: &[&str] = &["asked for init", "clone3"];

/// In the nursery before it says that it is ready.
pub(crate) const NURSERY_AT_START: &[&str] = &[
    "prctl PR_SET_NAME",
    "set oom_score_adj",
    "unshare mount namespace",
    "mount template root",
    "make *",
    "bind private copy",
    "mount tree of mount points",
    "chdir template",
    "mount overlay of private copy",
    "bind /u*",
    "mount attributes of *",
    "detach private copy",
    "remove mount point",
    "link *",
    "bind /dev/*",
    "fork",
    "mount template /proc",
    "make template read-only",
    "pivot_root",
    "detach old root",
    "chdir /",
    "drop bounding set",
    "setgroups",
    "setresgid",
    "setresuid",
    "clear ambient set",
    "capset",
    "read capabilities back",
    "prctl PR_SET_NO_NEW_PRIVS",
    "prctl PR_SET_PDEATHSIG",
];

/// In the supervisor, from a run's request to the last of it.
pub(crate) const SUPERVISOR: &[&str] = &[
    "make leaf",
    "make tmpfs",
    "pipe2",
    "fchown pipe",
    "socketpair",
    "setsockopt SO_PASSCRED",
    "fcntl",
    "ask nursery",
    "hear hello",
    "enter cgroup",
    "write setgroups",
    "write gid_map",
    "write uid_map",
    "say go",
    "hear the end",
    "kill",
    "reap",
    "remove leaf",
];

/// In the supervisor before it greets.
pub(crate) const SUPERVISOR_AT_START: &[&str] = &[
    "take instance number",
    "make cgroups",
    "socketpair",
    "copy program into memory",
    "start nursery",
    "write setup",
    "send setup",
    "setsockopt SO_RCVTIMEO",
    "fcntl",
];

/// In the supervisor while it makes the private copy.
pub(crate) const COPY: &[&str] = &["copy a file", "make copy", "name copy"];

/// Steps without an "after" in which somebody could die.
const WITHOUT: &[(&str, &str)] = &[
    ("execve ", "what succeeds is another program"),
    ("read /proc/sys/", "named only when it fails"),
    ("read setup", "the nursery knows of no fault yet"),
    ("open /", "only where a test takes the barrier away"),
    ("read capabilities", "only where a test takes the barrier away"),
    ("keep capabilities", "only where a test takes the barrier away"),
];

/// Where names of steps stand.
const BEFORE_A_NAME: [&str; 6] = [
    "in_step(\"",
    "in_step(&format!(\"",
    "let step = format!(\"",
    "let step = || format!(\"",
    "wait_for_success(\"",
    "weaken::done(\"",
];

/// Arguments that carry a name which stands in one of those places.
const CARRIERS: [&str; 4] =
    ["in_step(step)", "in_step(&step)", "in_step(&step())", "in_step(self,"];

/// However its lines are broken.
fn privileged_half() -> String {
    let all = [files("src/sandbox", "rs"), files("src/supervisor", "rs")].concat();
    let sources = all.iter().map(|path| {
        let source = text(path);
        let words: Vec<_> = source.split_whitespace().collect();
        words.join(" ").replace("( ", "(") + "\n"
    });
    sources.collect()
}

/// Names as they stand in the sources, up to what depends on the host.
fn names(text: &str) -> BTreeSet<&str> {
    BEFORE_A_NAME
        .iter()
        .flat_map(|before| text.split(*before).skip(1))
        .filter_map(|rest| rest.split_once('"'))
        .map(|(name, _)| name.split_once('{').map_or(name, |(fixed, _)| fixed))
        .collect()
}

#[test]
fn every_named_step_is_one_after_which_somebody_dies_in_a_test() {
    let text = privileged_half();
    let names = names(&text);
    assert!(names.len() > 60, "names of steps are written otherwise now: {names:?}");
    let visited: BTreeSet<&str> =
        [INIT, PROGRAM, NURSERY, NURSERY_AT_START, SUPERVISOR, SUPERVISOR_AT_START, COPY]
            .into_iter()
            .flatten()
            .copied()
            .collect();
    let is_visited = |name: &&str| {
        visited.contains(*name)
            || visited
                .iter()
                .any(|one| *one != "make *" && name.ends_with([' ', '/']) && one.starts_with(*name))
    };
    let excused = |name: &&str| WITHOUT.iter().any(|(excused, _)| name == excused);
    let forgotten: Vec<_> = names
        .iter()
        .filter(|name| **name != "make " && !is_visited(name) && !excused(name))
        .collect();
    assert!(forgotten.is_empty(), "no test has anything die after {forgotten:?}");
    let unknown: Vec<_> = visited
        .iter()
        .filter(|one| {
            let fixed = one.trim_end_matches('*');
            !names.iter().any(|name| {
                name == &fixed || (name.ends_with([' ', '/']) && fixed.starts_with(name))
            })
        })
        .collect();
    assert!(unknown.is_empty(), "no step has the name {unknown:?}");
}

#[test]
fn every_step_has_a_name_that_can_be_found() {
    let text = privileged_half();
    for rest in text.split("in_step(").skip(1) {
        let call = format!("in_step({rest}");
        let found = BEFORE_A_NAME.iter().chain(&CARRIERS).any(|known| call.starts_with(known));
        let shown: String = call.chars().take(60).collect();
        assert!(found, "write the name of the step out: {shown}");
    }
}
