//! Every wall of the built-in policy has a proof, every header means something, and the table that
//! `policy explain` prints says what the headers say.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use primcs::policy::Policy;
use primcs::policy::explain::{Entry, entries, means};

use super::headers::{Proofs, read};
use super::support::programs::checkout;

fn built_in() -> Vec<Entry> {
    entries(&Policy::embedded().expect("the built-in policy"))
}

/// Walls that no header names.
fn unproved(entries: &[Entry], proofs: &Proofs) -> BTreeSet<String> {
    let is_proved = |id: &str| proofs.keys().any(|proved| means(proved, id));
    let walls = entries.iter().filter(|entry| entry.is_wall && !is_proved(&entry.id));
    walls.map(|entry| entry.id.clone()).collect()
}

#[test]
fn every_wall_of_the_policy_is_proved_by_a_test() {
    let (entries, proofs) = (built_in(), read());
    assert!(entries.iter().filter(|entry| entry.is_wall).count() > 300, "walls were not found");
    let unproved = unproved(&entries, &proofs);
    let headers: Vec<_> = unproved.iter().map(|id| format!("  proves: {id}")).collect();
    assert!(
        unproved.is_empty(),
        "no test proves these lines of policy/. Write one that attacks and is seen to succeed \
         without the line, and put above it `# proves: ENTRY` (tests/isolation/*.py) or \
         `/// proves: ENTRY` (Rust):\n{}",
        headers.join("\n")
    );
}

/// The check above is no check if it cannot fail.
#[test]
fn a_new_wall_without_a_test_is_noticed() {
    let proofs = read();
    let mut entries = built_in();
    for id in ["limits io.max", "mounts sys cover", "process privilege groups", "ending time"] {
        entries.push(Entry { id: id.to_owned(), value: "1".to_owned(), is_wall: true });
        assert_eq!(unproved(&entries, &proofs), BTreeSet::from([id.to_owned()]));
        entries.pop();
    }
}

#[test]
fn every_header_names_an_entry_of_the_policy() {
    let entries = built_in();
    let means_some = |proved: &str| entries.iter().any(|entry| means(proved, &entry.id));
    let unknown: Vec<_> = read()
        .into_iter()
        .filter(|(proved, _)| !means_some(proved))
        .map(|(proved, tests)| format!("  {proved:?} ({tests:?})"))
        .collect();
    assert!(
        unknown.is_empty(),
        "headers name what no line of policy/ decides; `policy explain` lists the lines, and \
         src/policy/explain gives each its name:\n{}",
        unknown.join("\n")
    );
}

/// With `PRIMCS_WRITE_PROOFS=1`, as `make policy` sets it, this writes the table.
#[test]
fn the_committed_table_is_what_the_headers_say() {
    let mut table = "# Which tests prove which entry. Made from the headers of the tests by `make policy`; do not edit.\n\
         # FIRST word of a test: its program (`cargo test --test FIRST`; lib: `cargo test --lib`).\n"
        .to_owned();
    for (entry, tests) in read() {
        let tests: Vec<_> = tests.into_iter().collect();
        writeln!(table, "{entry}: {}", tests.join(", ")).expect("a string grows");
    }
    let path = checkout().join("policy/proofs.txt");
    if std::env::var_os("PRIMCS_WRITE_PROOFS").is_some() {
        fs::write(&path, &table).expect("policy/proofs.txt can be written");
    }
    let committed = fs::read_to_string(&path).expect("policy/proofs.txt");
    assert!(committed == table, "policy/proofs.txt is out of date; run `make policy`");
}
