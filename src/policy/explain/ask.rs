//! From what a reader asks for to the lines that answer it: by the names of the files, of the
//! kernel, or a few plain words. An answer is always lines of the policy with their proofs. What is
//! asked in other words gets no answer but the names that would: a wrong one is worse than none.
#![forbid(unsafe_code)]

mod constants;
mod path;
mod unknown;
mod words;

use super::text::{Line, Text};
use super::{PARTS, Part, always, everything_else, limits, mounts, process, seccomp};
use crate::policy::Policy;
use crate::policy::seccomp::Call;

pub use unknown::UnknownName;

pub(super) fn about(policy: &Policy, question: &str) -> Result<Text, UnknownName> {
    let name = asked(question);
    if let Some((_, part)) = PARTS.iter().find(|(own, _)| *own == name) {
        return Ok(part(policy));
    }
    let mut found = by_name(policy, name);
    add_new(&mut found, words::topic(policy, name));
    if found.is_empty() {
        found = constants::about(policy, name);
    }
    if found.is_empty() && name.starts_with('/') {
        found = path::about(policy, name).ok_or_else(|| UnknownName::path(name))?;
    }
    if found.is_empty() {
        found = unset(policy, name);
    }
    if found.is_empty() { Err(UnknownName::of(policy, name)) } else { Ok(found) }
}

/// The name in a question: without blanks, question mark and the words it may begin with; the path,
/// if there is one in it.
fn asked(question: &str) -> &str {
    let mut name = question.trim().trim_end_matches('?').trim_end();
    for beginning in ["may it ", "may a run ", "can it ", "can a run "] {
        if let Some((start, rest)) = name.split_at_checked(beginning.len())
            && start.eq_ignore_ascii_case(beginning)
        {
            name = rest.trim_start();
        }
    }
    let mut paths = name.split_whitespace().filter(|word| word.starts_with('/'));
    if let (Some(path), None) = (paths.next(), paths.next()) {
        name = path;
    }
    match name.trim_end_matches('/') {
        "" if name.starts_with('/') => "/",
        trimmed => trimmed,
    }
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

/// A name that can only be that of an environment variable, none of those listed.
fn unset(policy: &Policy, name: &str) -> Text {
    let is_part =
        |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    let is_variable = name.contains('_') && name.chars().all(is_part);
    if !is_variable || name.starts_with("CAP_") || constants::is_one(policy, name) {
        return Text::default();
    }
    let mut text = Text::default();
    text.heading(1, name);
    text.paragraph(&format!("As an environment variable `{name}` is not set in a run."));
    text.append(everything_else(policy).deciding("process environment"));
    text
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
