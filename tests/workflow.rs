//! The public workflow runs what `.ci/run` runs, and besides it only the advisories check.
#![forbid(unsafe_code)]
#![allow(clippy::panic, reason = "a test panics to fail")]

use std::fs;

fn text(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{path}: {cause}"))
}

/// The one-line values of a key, in order, without list dashes and comments.
fn values<'a>(yaml: &'a str, key: &str) -> Vec<&'a str> {
    let key = format!("{key}: ");
    yaml.lines()
        .map(|line| line.trim_start().trim_start_matches("- "))
        .filter_map(|line| line.strip_prefix(key.as_str()))
        .map(|value| value.split(" #").next().unwrap_or(value).trim())
        .collect()
}

#[test]
fn the_workflow_runs_the_script_and_the_advisories_check_and_nothing_else() {
    let script = text(".ci/run");
    let version = script
        .lines()
        .find_map(|line| line.strip_prefix("readonly cargo_deny="))
        .expect(".ci/run pins cargo-deny");
    assert_eq!(
        values(&text(".github/workflows/ci.yml"), "run"),
        [
            r#"sudo --preserve-env=CI env "PATH=$PATH" "HOME=$HOME" .ci/run"#,
            &format!("cargo install --locked --version {version} cargo-deny"),
            "cargo deny --locked check advisories",
        ],
        "a check belongs in .ci/run, where it runs before a push"
    );
}

#[test]
fn foreign_actions_are_pinned_by_commit() {
    for action in values(&text(".github/workflows/ci.yml"), "uses") {
        let commit = action.split('@').nth(1).expect("an action has a version");
        assert!(
            commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{action}: a tag can be moved; name the commit"
        );
    }
}

#[test]
fn the_script_makes_each_check_of_the_house() {
    let script = text(".ci/run");
    for check in [
        "cargo fmt --check",
        "cargo clippy --locked --all-targets -- --deny warnings",
        "cargo clippy --locked --no-default-features --lib --bin primcs-supervisor -- --deny warnings",
        "cargo deny --locked check --hide-inclusion-graph bans licenses sources",
        "primcs -- policy check policy",
        "make --no-print-directory test",
    ] {
        assert!(
            script.lines().any(|line| !line.trim_start().starts_with('#') && line.contains(check)),
            ".ci/run no longer runs `{check}`"
        );
    }
}
