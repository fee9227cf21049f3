//! What is printed is what is enforced and what is committed.

use super::*;

fn policy() -> Policy {
    Policy::embedded().unwrap()
}

#[test]
fn the_committed_explanation_is_the_one_that_is_printed() {
    let printed = explain(&policy(), None).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policy.md");
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(committed == printed, "docs/policy.md is out of date; run `make policy`");
}

#[test]
fn every_reason_of_every_file_is_explained() {
    let printed = explain(&policy(), None).unwrap();
    let texts = [
        include_str!("../../../policy/limits.toml"),
        include_str!("../../../policy/mounts.toml"),
        include_str!("../../../policy/process.toml"),
        include_str!("../../../policy/seccomp-run.toml"),
        include_str!("../../../policy/seccomp-server.toml"),
    ];
    let mut count = 0;
    for text in texts {
        let value: toml::Table = text.parse().unwrap();
        reasons(&toml::Value::Table(value), &mut |reason| {
            assert!(printed.contains(reason), "not explained: {reason}");
            count += 1;
        });
    }
    assert!(count > 150, "only {count} reasons found");
}

fn reasons(value: &toml::Value, found: &mut impl FnMut(&str)) {
    if let Some(table) = value.as_table() {
        for (key, value) in table {
            match value.as_str() {
                Some(reason) if key == "reason" => found(reason),
                _ => reasons(value, found),
            }
        }
    }
    for item in value.as_array().into_iter().flatten() {
        reasons(item, found);
    }
}

#[test]
fn one_call_is_explained_for_both_programs() {
    let text = explain(&policy(), Some("execve")).unwrap();
    assert!(text.contains("`execve` `execveat` allowed"), "{text}");
    assert!(text.contains("refused with EPERM"), "{text}");
    let text = explain(&policy(), Some("io_pgetevents_time64")).unwrap_err().to_string();
    assert!(text.contains("seccomp-run"), "{text}");
    let text = explain(&policy(), Some("vhangup")).unwrap();
    assert!(text.contains("refused with EPERM"), "{text}");
    let text = explain(&policy(), Some("openat2")).unwrap();
    assert!(text.contains("not named, fails with ENOSYS"), "{text}");
}

#[test]
fn a_part_is_explained_alone() {
    let text = explain(&policy(), Some("limits")).unwrap();
    assert!(text.contains("`wall` = 60s, a call may ask for up to 600s"), "{text}");
    assert!(!text.contains("Environment"), "{text}");
}
