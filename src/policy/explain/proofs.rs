//! Which test proves which entry: the table `policy/proofs.txt`, made from the headers of the tests
//! and held equal to them by one. It is no part of the policy and of its digest.
//!
//! The tests run the built-in policy. So a value that an operator has changed is proved by none.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::text::Entry;
use crate::policy::Policy;

const TABLE: &str = include_str!("../../../policy/proofs.txt");

/// The proofs that hold for a policy.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// Values of the built-in policy.
    built_in: BTreeMap<String, BTreeSet<String>>,
}

/// Lines of the table: an entry, or the beginning of several and `*`, and the names of tests.
pub fn table() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (entry, tests) = line.split_once(": ")?;
        Some((entry, tests.split(", ").collect()))
    })
}

/// Whether `entry`, as a header of a test writes it, means this entry.
#[must_use]
pub fn means(entry: &str, id: &str) -> bool {
    match entry.strip_suffix('*') {
        Some(beginning) => id.starts_with(beginning),
        None => entry == id,
    }
}

impl Proofs {
    pub(super) fn of_the_built_in_policy() -> &'static Self {
        static PROOFS: LazyLock<Proofs> = LazyLock::new(|| {
            // With a built-in policy that does not load nothing is proved, and nothing starts either.
            let entries = Policy::embedded().map(|policy| super::entries(&policy));
            let mut built_in: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for entry in entries.unwrap_or_default() {
                built_in.entry(entry.id).or_default().insert(entry.value);
            }
            Proofs { built_in }
        });
        &PROOFS
    }

    /// Whether the built-in policy decides the same.
    pub(super) fn is_built_in(&self, entry: &Entry) -> bool {
        self.built_in.get(&entry.id).is_some_and(|values| values.contains(&entry.value))
    }

    /// The line below an item with these entries.
    pub(super) fn of(&self, entries: &[Entry]) -> Option<String> {
        let (mut tests, mut changed) = (BTreeSet::new(), Vec::new());
        for entry in entries {
            if self.is_built_in(entry) {
                let proofs = table().filter(|(proved, _)| means(proved, &entry.id));
                tests.extend(proofs.flat_map(|(_, tests)| tests));
            } else {
                changed.push(format!("`{}`", entry.id));
            }
        }
        let tests: Vec<_> = tests.into_iter().map(|test| format!("`{test}`")).collect();
        match (tests.is_empty(), changed.is_empty()) {
            (true, true) => None,
            (false, true) => Some(format!("proof: {}", tests.join(", "))),
            (true, false) => Some(not_covered(&changed)),
            (false, false) => {
                Some(format!("{}; proof of the rest: {}", not_covered(&changed), tests.join(", ")))
            }
        }
    }
}

fn not_covered(changed: &[String]) -> String {
    format!(
        "not covered by this repository's tests, since it is not as built in: {}",
        changed.join(", ")
    )
}
