//! From what a reader asks for to the lines that answer it: by the names of the files, of the
//! kernel, or plain words. An answer is always lines of the policy with their proofs; what is not
//! listed is answered by the line that stops everything not listed.
#![forbid(unsafe_code)]

mod path;
mod words;

use super::text::{Line, Text};
use super::{PARTS, Part, always, everything_else, limits, mounts, process, seccomp};
use crate::policy::Policy;
use crate::policy::seccomp::Call;

/// A name that `explain` knows nothing about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is nothing that the policy names. If it is a system call, no rule names it and it fails \
     with {otherwise}; if it is a file, it is not there. Ask for {}, for a system call (\"clone\"), a \
     limit (\"memory.max\"), a path (\"/usr\"), a variable (\"HOME\"), a tool (\"git\"), a constant \
     (\"AF_NETLINK\"), or a word such as {}",
    PARTS.map(|(part, _)| part).join(", "),
    words::shown()
)]
pub struct UnknownName {
    /// As asked for.
    pub name: String,
    /// What a system call gets that no rule names.
    pub otherwise: String,
}

pub(super) fn about(policy: &Policy, name: &str) -> Result<Text, UnknownName> {
    let name = name.trim();
    if let Some((_, part)) = PARTS.iter().find(|(own, _)| *own == name) {
        return Ok(part(policy));
    }
    let mut found = by_name(policy, name);
    add_new(&mut found, words::topic(policy, name));
    if found.is_empty() {
        found = words::constant(policy, name);
    }
    if found.is_empty() {
        found = path::about(policy, name);
    }
    if found.is_empty() {
        found = words::newer_call(policy, name);
    }
    if found.is_empty() {
        let otherwise = policy.seccomp_run.otherwise.errno.to_string();
        return Err(UnknownName { name: name.to_owned(), otherwise });
    }
    Ok(found)
}

/// A name may be several things: `umask` is a call and a setting.
fn by_name(policy: &Policy, name: &str) -> Text {
    let call = Call::named(name);
    let mut found = call.map_or_else(Text::default, |call| seccomp::one_call(policy, call));
    let settled = settled_by(name);
    found.append(limits::explain(&policy.limits).about(settled));
    found.append(process::explain(&policy.process).about(settled));
    found.append(mounts::explain(&policy.mounts).about(settled));
    for part in [always::ending, always::neighbours, always::always] {
        found.append(part(policy).about(settled));
    }
    found
}

/// The entry that decides over a name which the files need not write out.
fn settled_by(name: &str) -> &str {
    let is_capability = name.to_ascii_uppercase().parse::<caps::Capability>().is_ok();
    if is_capability { "capabilities" } else { name }
}

/// The lines of all files about these entries, each file below its headings.
fn deciding(policy: &Policy, ids: &[&str]) -> Text {
    let mut found = Text::default();
    let rest: Part = everything_else;
    for part in [rest].into_iter().chain(PARTS.map(|(_, part)| part)) {
        let mut kept = Text::default();
        for id in ids {
            add_new(&mut kept, part(policy).deciding(id));
        }
        found.append(kept);
    }
    found
}

/// Adds lines that are not there yet; a heading goes with the first of its lines.
fn add_new(found: &mut Text, more: Text) {
    let has = |found: &Text, text: &str| {
        found.0.iter().any(|line| matches!(line, Line::Item(item) if item.text == text))
    };
    let titled = |found: &Text, wanted: &str| {
        found.0.iter().any(|line| matches!(line, Line::Heading { title, .. } if title == wanted))
    };
    let mut above = Vec::new();
    for line in more.0 {
        match line {
            Line::Heading { level, title } => {
                above.retain(|(higher, _)| *higher < level);
                above.push((level, title));
            }
            Line::Item(item) if !has(found, &item.text) => {
                for (level, title) in above.drain(..) {
                    if !titled(found, &title) {
                        found.heading(level, &title);
                    }
                }
                found.add(item);
            }
            Line::Paragraph(text) if !text.is_empty() => found.paragraph(&text),
            Line::Item(_) | Line::Paragraph(_) => {}
        }
    }
}
