//! The files that name what the suite may find failing. They are YAML for the suite; the comments
//! above each entry are for people and for this reader, which accepts nothing else.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;

use crate::lack::Lack;
use crate::support::programs::checkout;

/// One failure that is expected, and why.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) scenario: String,
    pub(crate) check: String,
    /// What the suite wants of a server and this one does not have.
    pub(crate) lacks: Lack,
    /// Part of what the suite says when it meets the lack.
    pub(crate) seen: String,
}

pub(crate) fn path(revision: &str) -> PathBuf {
    checkout().join("tests/conformance").join(revision).with_extension("yml")
}

/// All entries. A line that is no entry with its two reasons is a mistake.
pub(crate) fn read(revision: &str) -> Vec<Entry> {
    let path = path(revision);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let (_, text) = text.split_once("\nserver:\n").expect("the list of the server");
    let lines: Vec<_> = text.lines().collect();
    let entries = lines.chunks(3).map(|lines| entry(lines).unwrap_or_else(|| panic!("{lines:?}")));
    entries.collect()
}

fn entry(lines: &[&str]) -> Option<Entry> {
    let &[lacks, seen, entry] = lines else { return None };
    let (scenario, check) = entry.strip_prefix("  - ")?.split_once(':')?;
    Some(Entry {
        scenario: scenario.to_owned(),
        check: check.to_owned(),
        lacks: Lack::parse(lacks.strip_prefix("  # lacks: ")?)?,
        seen: seen.strip_prefix("  # seen: ").filter(|seen| !seen.is_empty())?.to_owned(),
    })
}
