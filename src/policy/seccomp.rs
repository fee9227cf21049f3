//! System-call filters: the typed form of `seccomp-*.toml`, and what each call gets by it.
//!
//! Trusts nothing about the text: every name must be known, no call may stand in two places that
//! disagree, and a condition always says what happens otherwise.
#![forbid(unsafe_code)]

mod calls;
pub(in crate::policy) mod clause;
mod compile;
pub(in crate::policy) mod constants;
mod text;

use std::fmt;

use super::reason::Reason;

pub use calls::Call;
pub use clause::{Argument, Clause, Test, Width};
pub use compile::{CompileError, Program};
pub use constants::Errno;
pub use text::FilterText;

/// One filter: what is allowed, what is refused and how, and what everything else gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// What a call gets that no rule names.
    pub otherwise: Otherwise,
    /// The rules, by subject.
    pub groups: Vec<Group>,
}

/// What a call gets that no rule names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otherwise {
    /// The error.
    pub errno: Errno,
    /// Why this one.
    pub reason: Reason,
}

/// Rules about one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The subject.
    pub name: String,
    /// What the rules are for.
    pub reason: Reason,
    /// Calls that work, some only with certain arguments.
    pub allow: Vec<Allow>,
    /// Calls refused by name.
    pub deny: Vec<Deny>,
}

/// Calls that work. Several conditional lines about one call add up: one that holds is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// Which calls.
    pub calls: Vec<Call>,
    /// All of these must hold.
    pub when: Vec<Clause>,
    /// What the call gets when they do not; present exactly when `when` is not empty.
    pub otherwise: Option<Errno>,
    /// Who needs it.
    pub reason: Reason,
}

/// Calls refused by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deny {
    /// Which calls.
    pub calls: Vec<Call>,
    /// What they get.
    pub errno: Errno,
    /// Why they are dangerous.
    pub reason: Reason,
}

/// What a call gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The kernel serves it.
    Allow,
    /// It fails with this error; with error 0 it returns 0 and does nothing.
    Errno(Errno),
}

/// A rule that cannot be enforced as it is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("group \"{group}\", call \"{call}\": {problem}")]
pub struct RuleError {
    /// Name of the group.
    pub group: String,
    /// The call, as written.
    pub call: String,
    /// What is wrong and how to write it.
    pub problem: String,
}

impl Filter {
    /// What a call gets: the specification that the compiled programs must agree with.
    #[must_use]
    pub fn decide(&self, call: Call, arguments: &[u64; 6]) -> Decision {
        let mut refusal = Decision::Errno(self.otherwise.errno);
        for allow in self.allows(call) {
            if allow.when.iter().all(|clause| clause.holds(arguments)) {
                return Decision::Allow;
            }
            refusal = allow.otherwise.map_or(refusal, Decision::Errno);
        }
        self.denies(call).next().map_or(refusal, |deny| Decision::Errno(deny.errno))
    }

    /// Lines that allow this call.
    pub fn allows(&self, call: Call) -> impl Iterator<Item = &Allow> {
        self.groups
            .iter()
            .flat_map(|group| &group.allow)
            .filter(move |line| line.calls.contains(&call))
    }

    /// Lines that refuse this call by name.
    pub fn denies(&self, call: Call) -> impl Iterator<Item = &Deny> {
        self.groups
            .iter()
            .flat_map(|group| &group.deny)
            .filter(move |line| line.calls.contains(&call))
    }

    /// The same filter with some calls allowed whatever their arguments: for tests that show that
    /// an attack succeeds once its barrier is gone.
    #[cfg(feature = "weaken")]
    #[must_use]
    pub fn without(&self, calls: &[&str]) -> Self {
        let mut weakened = self.clone();
        let freed: Vec<Call> = calls.iter().filter_map(|name| Call::named(name)).collect();
        for group in &mut weakened.groups {
            group.allow.iter_mut().for_each(|line| line.calls.retain(|call| !freed.contains(call)));
            group.deny.iter_mut().for_each(|line| line.calls.retain(|call| !freed.contains(call)));
        }
        let reason = self.otherwise.reason.clone();
        let allow =
            Allow { calls: freed, when: Vec::new(), otherwise: None, reason: reason.clone() };
        weakened.groups.push(Group {
            name: "weakened by a test".to_owned(),
            reason,
            allow: vec![allow],
            deny: Vec::new(),
        });
        weakened
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => formatter.write_str("allowed"),
            Self::Errno(errno) => write!(formatter, "{errno}"),
        }
    }
}

#[cfg(test)]
mod tests;
