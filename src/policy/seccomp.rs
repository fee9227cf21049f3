//! System-call filters: the typed form of `seccomp-*.toml`, and what each call gets by it.
//!
//! Trusts nothing about the text: every name must be known, no call may stand in two places that
//! disagree, and a condition always says what happens otherwise.
#![forbid(unsafe_code)]

mod calls;
pub(in crate::policy) mod clause;
mod compile;
pub(in crate::policy) mod constants;

use std::fmt;

use serde::Deserialize;

use super::reason::Reason;

pub use calls::Call;
pub use clause::Clause;
pub use compile::{CompileError, Program};
pub use constants::Errno;

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

/// A filter as its file writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterText {
    otherwise: OtherwiseText,
    group: Vec<GroupText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OtherwiseText {
    errno: String,
    reason: Reason,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupText {
    name: String,
    reason: Reason,
    #[serde(default)]
    allow: Vec<AllowText>,
    #[serde(default)]
    deny: Vec<DenyText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowText {
    call: OneOrMore,
    #[serde(default)]
    when: Vec<String>,
    #[serde(rename = "else")]
    otherwise: Option<String>,
    reason: Reason,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DenyText {
    call: OneOrMore,
    errno: String,
    reason: Reason,
}

/// One call, or calls that are the same thing by several names.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl TryFrom<FilterText> for Filter {
    type Error = RuleError;

    fn try_from(text: FilterText) -> Result<Self, RuleError> {
        let errno = errno("otherwise", "every other call", &text.otherwise.errno)?;
        let groups: Result<_, _> = text.group.into_iter().map(group).collect();
        let otherwise = Otherwise { errno, reason: text.otherwise.reason };
        let filter = Self { otherwise, groups: groups? };
        filter.refuse_contradictions()?;
        Ok(filter)
    }
}

impl Filter {
    fn refuse_contradictions(&self) -> Result<(), RuleError> {
        for group in &self.groups {
            for call in group.deny.iter().flat_map(|line| &line.calls) {
                if self.allows(*call).next().is_some() {
                    return Err(rule_error(
                        &group.name,
                        call.name(),
                        "it is allowed and denied; keep one of the two",
                    ));
                }
                if self.denies(*call).count() > 1 {
                    return Err(rule_error(
                        &group.name,
                        call.name(),
                        "it is denied twice; keep one line",
                    ));
                }
            }
            for line in &group.allow {
                for call in &line.calls {
                    let lines: Vec<&Allow> = self.allows(*call).collect();
                    if lines.len() > 1
                        && lines.iter().any(|other| other.otherwise != line.otherwise)
                    {
                        let problem =
                            "its lines differ in `else`, or one has no condition; make them agree";
                        return Err(rule_error(&group.name, call.name(), problem));
                    }
                    if lines.len() > 1 && line.when.is_empty() {
                        return Err(rule_error(
                            &group.name,
                            call.name(),
                            "it is allowed twice; keep one line",
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

fn group(text: GroupText) -> Result<Group, RuleError> {
    let name = text.name;
    let mut allow = Vec::with_capacity(text.allow.len());
    for line in text.allow {
        let calls = calls_named(&name, line.call)?;
        let shown = shown(&calls);
        let when: Result<Vec<_>, _> = line
            .when
            .iter()
            .map(|clause| {
                Clause::parse(&calls, clause).map_err(|problem| rule_error(&name, &shown, &problem))
            })
            .collect();
        let when = when?;
        let otherwise =
            line.otherwise.as_deref().map(|value| errno(&name, &shown, value)).transpose()?;
        if otherwise.is_some() == when.is_empty() {
            let problem = "`when` and `else` belong together; write both or neither";
            return Err(rule_error(&name, &shown, problem));
        }
        allow.push(Allow { calls, when, otherwise, reason: line.reason });
    }
    let mut deny = Vec::with_capacity(text.deny.len());
    for line in text.deny {
        let calls = calls_named(&name, line.call)?;
        let errno = errno(&name, &shown(&calls), &line.errno)?;
        deny.push(Deny { calls, errno, reason: line.reason });
    }
    Ok(Group { name, reason: text.reason, allow, deny })
}

fn calls_named(group: &str, names: OneOrMore) -> Result<Vec<Call>, RuleError> {
    let names = match names {
        OneOrMore::One(name) => vec![name],
        OneOrMore::More(names) if !names.is_empty() => names,
        OneOrMore::More(_) => {
            return Err(rule_error(group, "", "the list of calls is empty; remove the line"));
        }
    };
    let mut calls: Vec<Call> = Vec::with_capacity(names.len());
    for name in names {
        let unknown = || {
            rule_error(group, &name, "no system call of x86_64 has this name; mind the spelling")
        };
        let call = Call::named(&name).ok_or_else(unknown)?;
        if calls.contains(&call) {
            return Err(rule_error(group, &name, "it stands twice in one line; keep it once"));
        }
        calls.push(call);
    }
    Ok(calls)
}

fn errno(group: &str, call: &str, name: &str) -> Result<Errno, RuleError> {
    let unknown = || {
        rule_error(
            group,
            call,
            &format!("{name:?} is no error this policy uses; one of: {}", Errno::names()),
        )
    };
    Errno::named(name).ok_or_else(unknown)
}

fn shown(calls: &[Call]) -> String {
    calls.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn rule_error(group: &str, call: &str, problem: &str) -> RuleError {
    RuleError { group: group.to_owned(), call: call.to_owned(), problem: problem.to_owned() }
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
