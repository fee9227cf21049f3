//! `primcs policy check DIR`: what a folder of replacement files would change, file by file, and
//! what is wrong with it and where. Starts nothing and changes nothing.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use crate::policy::explain::{Entry, entries};
use crate::policy::seccomp::Call;
use crate::policy::{Policy, PolicyError, file_names, lint};
use crate::trusted::{self, TrustError};

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("the built-in policy does not load")]
    BuiltIn(#[source] PolicyError),
    #[error("{} of {} cannot be used:\n{}", problems.len(), folder, problems.join("\n"))]
    Problems { folder: String, problems: Vec<String> },
}

/// What is to be printed, and what is wrong, if anything is.
pub(super) struct Report {
    pub(super) text: String,
    pub(super) outcome: Result<(), CheckError>,
}

/// Reads the folder as both programs would and tries each file, then all together.
pub(super) fn check(folder: &Path) -> Result<Report, CheckError> {
    let files = trusted::read_folder(folder)?;
    let built_in = Policy::embedded().map_err(CheckError::BuiltIn)?;
    let (mut text, mut problems) = (String::new(), Vec::new());
    for name in file_names() {
        match files.get(name) {
            None => line(&mut text, &format!("{name}: as built in")),
            Some(own) => match alone(name, own) {
                Ok(policy) => {
                    let changes = changes(name, &built_in, &policy);
                    let says = if changes.is_empty() { ", and decides the same" } else { "" };
                    line(&mut text, &format!("{name}: replaced{says}"));
                    for change in changes {
                        line(&mut text, &format!("  {change}"));
                    }
                }
                Err(found) => {
                    line(&mut text, &format!("{name}: replaced, cannot be used"));
                    problems.extend(found);
                }
            },
        }
    }
    if problems.is_empty() {
        match Policy::from_files(&files) {
            Ok(policy) => line(&mut text, &format!("ok, digest {}", policy.digest)),
            Err(error) => problems.push(told(&error, &files)),
        }
    }
    let folder = folder.display().to_string();
    let failed = CheckError::Problems { folder, problems: problems.clone() };
    Ok(Report { text, outcome: if problems.is_empty() { Ok(()) } else { Err(failed) } })
}

fn line(text: &mut String, line: &str) {
    // A string takes all that is written to it.
    let _ = writeln!(text, "{line}");
}

/// This one file beside the built-in others. The built-in files pass the lint, so what it finds is
/// in this one.
fn alone(name: &str, text: &str) -> Result<Policy, Vec<String>> {
    let files = BTreeMap::from([(name.to_owned(), text.to_owned())]);
    let policy = Policy::from_files(&files).map_err(|error| vec![told(&error, &files)])?;
    let terse = lint::check(&policy);
    if terse.is_empty() {
        return Ok(policy);
    }
    let say = |terse: &lint::Terse| {
        format!("{}{}: {terse}", terse.file, at(text, &terse.group, terse.call))
    };
    Err(terse.iter().map(say).collect())
}

/// The error with its causes and, as far as it can be found, the line.
fn told(error: &PolicyError, files: &BTreeMap<String, String>) -> String {
    let line = |file: &str, group: &str, word: &str| {
        files.get(file).map(|text| at(text, group, word)).unwrap_or_default()
    };
    let place = match error {
        // The parser says the line itself.
        PolicyError::UnknownFile { .. } | PolicyError::Parse { .. } => String::new(),
        PolicyError::Rule { file, source } => {
            let call = source.call.split(' ').next().unwrap_or_default();
            format!("{file}{}: ", line(file, &source.group, call))
        }
        PolicyError::Floor(floor) => {
            let word = floor.key.rsplit(' ').next().unwrap_or_default();
            let word = word.trim_matches('"');
            let last = floor.key.rsplit('.').next().unwrap_or_default();
            let found = line(floor.file, "", word);
            let found = if found.is_empty() { line(floor.file, "", last) } else { found };
            format!("{}{found}: ", floor.file)
        }
    };
    format!("{place}{}", crate::causes::with_causes(error))
}

/// ` line N`: the first one after the group's name that names this.
fn at(text: &str, group: &str, word: &str) -> String {
    let quoted = format!("\"{word}\"");
    let is_group = |line: &str| line.starts_with("name") && line.contains(&format!("\"{group}\""));
    let begins = text.lines().position(is_group).unwrap_or_default();
    let names = |line: &str| line.contains(&quoted) || line.trim_start().starts_with(word);
    let found =
        text.lines().enumerate().skip(begins).find(|(_, line)| !word.is_empty() && names(line));
    found.map_or_else(String::new, |(index, _)| format!(" line {}", index + 1))
}

/// What the entries of one file say otherwise.
fn changes(name: &str, built_in: &Policy, other: &Policy) -> Vec<String> {
    let file = format!("{} ", name.trim_end_matches(".toml"));
    let values = |policy: &Policy| {
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let own = entries(policy).into_iter().filter(|entry| entry.id.starts_with(&file));
        own.for_each(|Entry { id, value, .. }| {
            values.entry(id).or_default().insert(value);
        });
        values
    };
    let (before, after) = (values(built_in), values(other));
    let ids: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let said = |policy: &Policy, id: &str, values: Option<&BTreeSet<String>>| {
        let all = values.map(|values| values.iter().cloned().collect::<Vec<_>>().join(" or "));
        all.map_or_else(
            || unlisted(policy, id),
            |all| if all.is_empty() { "listed".to_owned() } else { all },
        )
    };
    let different = ids.into_iter().filter(|id| before.get(*id) != after.get(*id));
    different
        .map(|id| {
            let now = said(other, id, after.get(id));
            format!("{id}: {now} (built in: {})", said(built_in, id, before.get(id)))
        })
        .collect()
}

/// What is decided where an entry is missing: a call without any rule gets what is left for it.
fn unlisted(policy: &Policy, id: &str) -> String {
    let mut words = id.split(' ');
    let filter = match words.next() {
        Some("seccomp-run") => &policy.seccomp_run,
        Some("seccomp-server") => &policy.seccomp_server,
        _ => return "not listed".to_owned(),
    };
    let Some(call) = words.nth(1).and_then(Call::named) else { return "not listed".to_owned() };
    if filter.allows(call).next().is_some() || filter.denies(call).next().is_some() {
        return "not listed, other lines name the call".to_owned();
    }
    format!("not listed, fails with {}", filter.otherwise.errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = include_str!("../../policy/seccomp-run.toml");

    fn refused(text: &str) -> String {
        alone("seccomp-run.toml", text).unwrap_err().join("\n")
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let number = |needle: &str| RUN.lines().position(|line| line.contains(needle)).unwrap() + 1;
        let said = refused(&RUN.replace(
            "call = \"mprotect\", reason = \"",
            "call = \"mprotect\", reason = \"r\" }, #",
        ));
        let place = format!("seccomp-run.toml line {}: group \"memory\"", number("\"mprotect\""));
        assert!(said.contains(&place), "{said}");
        let said = refused(&RUN.replace("\"mincore\"", "\"mincores\""));
        assert!(said.contains(&format!("line {}: ", number("\"mincore\""))), "{said}");
        let said = refused(&RUN.replace("[otherwise]", "[otherwise]\nthing = 1"));
        assert!(said.contains("line 6") || said.contains("line 5"), "{said}");
        let ptrace = "{ call = \"ptrace\", reason = \"debuggers\" },\n  { call = \"membarrier\"";
        let text = RUN
            .replace("{ call = \"membarrier\"", ptrace)
            .replace("\"ptrace\", \"kcmp\"", "\"kcmp\"");
        let said = refused(&text);
        assert!(said.contains(&format!("line {}: ", number("\"membarrier\""))), "{said}");
        assert!(said.contains("may never be allowed"), "{said}");
    }

    #[test]
    fn every_difference_is_listed_and_nothing_else() {
        let built_in = Policy::embedded().unwrap();
        assert_eq!(
            changes("seccomp-run.toml", &built_in, &alone("seccomp-run.toml", RUN).unwrap()),
            Vec::<String>::new()
        );
        let text = RUN.replace("\"pause\", \"signalfd\"", "\"signalfd\"").replace(
            "errno = \"EPERM\", reason = \"tells which",
            "errno = \"ENOSYS\", reason = \"tells which",
        );
        let removed = text.lines().filter(|line| !line.contains("call = \"userfaultfd\""));
        let text = removed.collect::<Vec<_>>().join("\n");
        let other = alone("seccomp-run.toml", &text).unwrap();
        assert_eq!(
            changes("seccomp-run.toml", &built_in, &other),
            [
                "seccomp-run allow pause: not listed, fails with ENOSYS (built in: allowed)",
                "seccomp-run deny mincore: refused with ENOSYS (built in: refused with EPERM)",
                "seccomp-run deny userfaultfd: not listed, fails with ENOSYS (built in: refused with EPERM)",
            ]
        );
    }
}
