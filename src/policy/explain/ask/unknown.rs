//! What is said of a name that nothing is known about: which ones are near it, and where to look.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use super::{PARTS, constants, words};
use crate::policy::Policy;
use crate::policy::explain::text::Line;
use crate::policy::seccomp::Call;

/// A name that `explain` knows nothing about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{says}")]
pub struct UnknownName {
    /// As asked for.
    pub name: String,
    /// What to ask instead.
    pub says: String,
}

impl UnknownName {
    pub(super) fn path(name: &str) -> Self {
        let says = format!(
            "{name:?} is not looked up: write the path out, without empty parts, `.` and `..`"
        );
        Self { name: name.to_owned(), says }
    }

    pub(super) fn of(policy: &Policy, name: &str) -> Self {
        let mut says = vec![format!("{name:?} is nothing that the policy names.")];
        let near = near(policy, name);
        if !near.is_empty() {
            let near: Vec<_> = near.iter().map(|near| format!("{near:?}")).collect();
            says.push(format!("Ask for {}.", near.join(", ")));
        }
        let is_part =
            |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        if !name.is_empty() && name.chars().all(is_part) {
            let otherwise = policy.seccomp_run.otherwise.errno;
            says.push(format!(
                "If it is a system call, no rule names it and it fails with {otherwise} in a run; \
                 if it is a program, ask for \"/usr/bin/{name}\"; if an entry of /proc, for \
                 \"/proc/{name}\"."
            ));
        }
        says.push(format!(
            "There are answers for {}, a system call (\"clone\"), a limit (\"memory.max\"), a path \
             (\"/usr\"), a variable (\"HOME\"), a tool (\"git\"), a constant (\"AF_NETLINK\"), and: {}. \
             For other questions see docs/threat-model.md, SECURITY.md and docs/doctor.md",
            PARTS.map(|(part, _)| part).join(", "),
            words::first().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
        ));
        Self { name: name.to_owned(), says: says.join(" ") }
    }
}

/// Names that may have been meant, the nearest first: of a question the plain words in it, else what
/// is written alike.
fn near(policy: &Policy, name: &str) -> Vec<String> {
    let name = name.to_lowercase();
    if name.len() > LONGEST {
        return Vec::new();
    }
    if name.contains(' ') {
        let question = name.replace(|letter: char| letter.is_ascii_punctuation(), " ");
        let is_in = |word: &&str| format!(" {question} ").contains(&format!(" {word} "));
        return words::all().filter(is_in).map(str::to_owned).collect();
    }
    let mut nearest: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for known in known(policy) {
        let other = known.to_lowercase();
        let (length, most) = (name.chars().count(), name.chars().count() / 4);
        let begins = length > 3 && other.starts_with(&name);
        let steps = if begins { most.min(1) } else { distance(&name, &other) };
        if steps <= most {
            nearest.entry(steps).or_default().insert(known);
        }
    }
    let calls = constants::calls(policy, &name.to_uppercase());
    let mut near: Vec<_> = nearest.into_values().flatten().take(MOST).collect();
    near.extend(calls.into_iter().map(|call| call.name().to_owned()));
    near
}

/// All names in code type, all calls, parts and plain words.
fn known(policy: &Policy) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = Call::all().map(|call| call.name().to_owned()).collect();
    known.extend(PARTS.map(|(part, _)| part.to_owned()));
    known.extend(words::all().map(str::to_owned));
    for (_, part) in PARTS {
        for line in part(policy).0 {
            let Line::Item(item) = line else { continue };
            known.extend(item.name.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    known
}

/// How many letters must be put in, taken out or changed.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut next = vec![at + 1];
        let pairs = row.iter().zip(row.iter().skip(1)).zip(other.chars());
        for ((diagonal, above), own) in pairs {
            let before = next.last().copied().unwrap_or_default();
            let changed = diagonal + usize::from(letter != own);
            next.push(changed.min(above + 1).min(before + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// A longer name is no slip of the pen.
const LONGEST: usize = 100;
/// So many are named.
const MOST: usize = 5;
