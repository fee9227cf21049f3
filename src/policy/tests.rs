//! Which sets of files load, and what their digest follows.

use std::collections::BTreeMap;
use std::error::Error as _;

use super::*;

fn with(name: &str, change: impl Fn(&str) -> String) -> Result<Policy, PolicyError> {
    let (_, text) = FILES.iter().find(|(own, _)| *own == name).unwrap();
    let changed = change(text);
    assert_ne!(*text, changed, "the change changes something");
    Policy::from_files(&BTreeMap::from([(name.to_owned(), changed)]))
}

fn why(error: &PolicyError) -> String {
    format!("{error}: {}", error.source().map(ToString::to_string).unwrap_or_default())
}

#[test]
fn the_embedded_policy_loads_and_keeps_to_its_floor() {
    let policy = Policy::embedded().unwrap();
    assert_eq!(policy.digest.len(), 64);
    assert_eq!(policy.limits.run.cgroup.memory_max.value, Bytes(1 << 30));
}

#[test]
fn a_file_of_another_name_is_refused() {
    let files = BTreeMap::from([("limit.toml".to_owned(), String::new())]);
    let error = Policy::from_files(&files).unwrap_err();
    assert!(error.to_string().contains("limits.toml"), "{error}");
}

#[test]
fn the_digest_follows_every_byte_of_every_file() {
    let mut digests = std::collections::BTreeSet::from([Policy::embedded().unwrap().digest]);
    for (name, _) in FILES {
        digests.insert(with(name, |text| format!("{text}\n# a comment")).unwrap().digest);
    }
    assert_eq!(digests.len(), FILES.len() + 1);
}

#[test]
fn no_entry_loads_without_its_reason() {
    let mut tried = 0;
    for (name, text) in FILES {
        let parts: Vec<&str> = text.split("reason").collect();
        for index in 1..parts.len() {
            // Only the key, not the word in a comment or inside a reason.
            if !parts[index].trim_start().starts_with('=') {
                continue;
            }
            let (before, after) = (parts[..index].join("reason"), parts[index..].join("reason"));
            let files = BTreeMap::from([(name.to_owned(), format!("{before}cause{after}"))]);
            let line = before.lines().count();
            assert!(
                Policy::from_files(&files).is_err(),
                "{name} line {line} loads without a reason"
            );
            tried += 1;
        }
    }
    assert!(tried > 250, "only {tried} reasons found");
}

#[test]
fn an_empty_reason_is_no_reason() {
    let error = with("limits.toml", |text| text.replacen("\"with 0 the kernel", "\"\" # \"", 1))
        .unwrap_err();
    assert!(why(&error).contains("the reason is empty"), "{}", why(&error));
}

#[test]
fn an_unknown_key_is_refused_and_named() {
    let error =
        with("limits.toml", |text| text.replacen("[call]", "[call]\nfiels = 1", 1)).unwrap_err();
    assert!(why(&error).contains("fiels"), "{}", why(&error));
}
