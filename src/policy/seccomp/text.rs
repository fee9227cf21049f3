//! How a filter's file is written, and the way from there to a [`Filter`]: every name looked up,
//! every contradiction refused. Trusts nothing about the text.
#![forbid(unsafe_code)]

use serde::Deserialize;

use super::{Allow, Call, Clause, Deny, Errno, Filter, Group, Otherwise, RuleError};
use crate::policy::reason::Reason;

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
        let unknown =
            || rule_error(group, &name, "no system call has this name; mind the spelling");
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
