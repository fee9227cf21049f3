//! Lines that load but say too little: a call with a long history of holes may be allowed only with
//! a condition on its arguments or with a reason that a reviewer can weigh.
//!
//! A rule for people who change the policy, so it is checked by `primcs policy check` and CI. What
//! must never be allowed is the floor's, and that holds in the supervisor.
#![forbid(unsafe_code)]

use super::Policy;
use super::seccomp::Filter;

/// A line that says too little.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "group \"{group}\": {call} is allowed whatever its arguments, for a reason of {characters} characters; \
     add a condition, or say in at least {LEAST_REASON} why it may be open"
)]
pub struct Terse {
    /// Which file.
    pub file: &'static str,
    /// Name of the group.
    pub group: String,
    /// The dangerous call.
    pub call: &'static str,
    /// Length of its reason.
    pub characters: usize,
}

/// Finds such lines in both filters.
#[must_use]
pub fn check(policy: &Policy) -> Vec<Terse> {
    let run = terse("seccomp-run.toml", &policy.seccomp_run);
    let server = terse("seccomp-server.toml", &policy.seccomp_server);
    run.into_iter().chain(server).collect()
}

fn terse(file: &'static str, filter: &Filter) -> Vec<Terse> {
    let mut found = Vec::new();
    for group in &filter.groups {
        for line in group.allow.iter().filter(|line| line.when.is_empty()) {
            let characters = line.reason.as_str().chars().count();
            let dangerous = line.calls.iter().map(|call| call.name());
            for call in dangerous.filter(|name| DANGEROUS.contains(name)) {
                if characters < LEAST_REASON {
                    found.push(Terse { file, group: group.name.clone(), call, characters });
                }
            }
        }
    }
    found
}

/// Room for what the call is needed for and for what keeps it from harm.
const LEAST_REASON: usize = 60;

/// Each was the way in of published escapes, or makes what others need.
const DANGEROUS: [&str; 10] = [
    "clone",
    "execve",
    "execveat",
    "ioctl",
    "mmap",
    "mprotect",
    "prctl",
    "ptrace",
    "setsockopt",
    "socket",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const RUN: &str = include_str!("../../policy/seccomp-run.toml");

    fn with(from: &str, to: &str) -> Vec<Terse> {
        assert_eq!(RUN.matches(from).count(), 1, "{from:?} stands once");
        let files = BTreeMap::from([("seccomp-run.toml".to_owned(), RUN.replace(from, to))]);
        check(&Policy::from_files(&files).unwrap())
    }

    #[test]
    fn the_built_in_policy_says_enough() {
        assert_eq!(check(&Policy::embedded().unwrap()), []);
    }

    #[test]
    fn a_dangerous_call_needs_a_condition_or_a_longer_reason() {
        let line = RUN.lines().find(|line| line.contains("call = \"mprotect\"")).unwrap();
        let short = "  { call = \"mprotect\", reason = \"thread stacks\" },";
        let found = with(line, short);
        let [terse] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((terse.call, terse.characters), ("mprotect", 13));
        assert!(terse.to_string().contains("add a condition"), "{terse}");
        let condition = short
            .replace("reason", "when = [\"prot has none of PROT_EXEC\"], else = \"EPERM\", reason");
        assert_eq!(with(line, &condition), []);
        let longer = short.replace("stacks", &format!("stacks{}", ", as they are".repeat(4)));
        assert_eq!(with(line, &longer), []);
        // One short of it.
        let nearly = short.replace("thread stacks", &"x".repeat(LEAST_REASON - 1));
        assert_eq!(with(line, &nearly).len(), 1);
    }
}
