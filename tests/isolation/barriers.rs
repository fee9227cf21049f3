//! Every barrier that `PRIMCS_WEAKEN` can take away is taken away by a test, and no test names one
//! that is not there. The list is read from the sources: `stands("...")` is where a barrier is.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use super::attempt::read;
use super::support::programs::checkout;
use super::support::sources::{files, text};

/// Calls in tests whose first argument is the list of barriers to take away.
const REMOVERS: [&str; 5] =
    ["weakened", "weakened_with", "only_this_stops_it", "with_and_without", "attempts"];

/// Texts of all Rust files below a directory of the checkout, as one.
fn texts(directory: &str) -> String {
    files(directory, "rs").iter().map(|path| text(path)).collect()
}

/// What stands between `before` and `after`, each time.
fn between<'a>(text: &'a str, before: &str, after: char) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(move |rest| Some(rest.split_once(after)?.0))
}

/// The barriers that stand in the sources.
fn barriers() -> BTreeSet<String> {
    let found: BTreeSet<_> = between(&texts("src"), "stands(\"", '"').map(str::to_owned).collect();
    assert!(found.len() > 10, "barriers are no longer written stands(\"...\"): {found:?}");
    found
}

/// Those that tests other than the attempts take away.
fn removed_by_tests() -> BTreeSet<String> {
    let tests = texts("tests");
    let calls = REMOVERS.map(|name| format!("{name}(&["));
    let lists = calls.iter().flat_map(|call| between(&tests, call, ']'));
    // Of `"one", "other"` every second piece is a name; a death or a hang takes nothing away.
    let names = lists.flat_map(|list| list.split('"').skip(1).step_by(2));
    let is_fault = |name: &&str| name.starts_with("crash:") || name.starts_with("hang:");
    names.filter(|name| !is_fault(name)).map(str::to_owned).collect()
}

fn removed_by_attempts() -> BTreeSet<String> {
    crate::NAMES.iter().flat_map(|name| read(name).stopped_by).collect()
}

#[test]
fn every_barrier_is_taken_away_by_a_test() {
    let removed: BTreeSet<_> = &removed_by_attempts() | &removed_by_tests();
    let kept: Vec<_> = barriers().difference(&removed).cloned().collect();
    assert!(kept.is_empty(), "no test shows what happens without {kept:?}");
}

/// A wrong name would weaken nothing, and then the second half of its attempt fails, but with this
/// message it is found sooner.
#[test]
fn every_barrier_that_a_test_names_exists() {
    let barriers = barriers();
    let policy = text(&checkout().join("policy/seccomp-run.toml"));
    let is_rule = |name: &str| policy.contains(&format!("\"{name}\""));
    for name in &removed_by_attempts() | &removed_by_tests() {
        let exists = match name.split_once(':') {
            Some(("seccomp", call)) => is_rule(call),
            _ => barriers.contains(&name),
        };
        assert!(exists, "a test takes away {name:?}, which is no barrier");
    }
}
