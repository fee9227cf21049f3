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
        "cargo fmt --check --manifest-path fuzz/Cargo.toml",
        "cargo clippy --locked --all-targets -- --deny warnings",
        "cargo clippy --locked --no-default-features --lib --bin primcs-supervisor -- --deny warnings",
        "cargo deny --locked check --hide-inclusion-graph bans licenses sources",
        "primcs -- policy check policy",
        "make --no-print-directory test",
        ".ci/fuzz",
    ] {
        assert!(
            script.lines().any(|line| !line.trim_start().starts_with('#') && line.contains(check)),
            ".ci/run no longer runs `{check}`"
        );
    }
}

/// Each target is built, has a corpus to begin with, and says in docs/fuzzing.md what it promises.
#[test]
fn every_fuzz_target_is_built_documented_and_has_a_small_corpus() {
    let (manifest, page) = (text("fuzz/Cargo.toml"), text("docs/fuzzing.md"));
    let (mut targets, mut total) = (0, 0);
    for name in names_in("fuzz/fuzz_targets") {
        let target = name.trim_end_matches(".rs");
        assert!(manifest.contains(&format!("\npath = \"fuzz_targets/{name}\"\n")), "{name}");
        assert!(
            page.contains(&format!("| `{target}` |")),
            "docs/fuzzing.md does not know {target}"
        );
        let corpus = format!("fuzz/corpus/{target}");
        let sizes: Vec<_> =
            names_in(&corpus).iter().map(|input| bytes(&format!("{corpus}/{input}"))).collect();
        assert!(!sizes.is_empty(), "{corpus} is empty");
        total += sizes.iter().sum::<u64>();
        targets += 1;
    }
    assert!(targets >= 5, "only {targets} targets");
    assert!(total < 200_000, "{total} bytes of corpora: merge them anew (docs/fuzzing.md)");
}

/// What is fuzzed is what is shipped.
#[test]
fn the_fuzzed_crates_have_the_versions_of_the_shipped_ones() {
    let (shipped, fuzzed) = (text("Cargo.lock"), text("fuzz/Cargo.lock"));
    let shipped = packages(&shipped);
    let own = ["arbitrary", "derive_arbitrary", "jobserver", "libfuzzer-sys", "primcs-fuzz"];
    let other: Vec<_> = packages(&fuzzed)
        .into_iter()
        .filter(|package| !own.contains(&package.0) && !shipped.contains(package))
        .collect();
    assert!(
        other.is_empty(),
        "not as in Cargo.lock: {other:?}; cp Cargo.lock fuzz/ && cargo update --workspace --manifest-path fuzz/Cargo.toml"
    );
}

fn names_in(directory: &str) -> Vec<String> {
    let path = format!("{}/{directory}", env!("CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(&path).unwrap_or_else(|cause| panic!("{path}: {cause}"));
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.map(|entry| entry.map_or_else(|cause| panic!("{path}: {cause}"), name)).collect()
}

fn bytes(path: &str) -> u64 {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::metadata(&path).unwrap_or_else(|cause| panic!("{path}: {cause}")).len()
}

/// Name and version of each package of a lock file.
fn packages(lock: &str) -> Vec<(&str, &str)> {
    let lines: Vec<_> = lock.lines().collect();
    lines
        .windows(2)
        .filter_map(|pair| {
            let &[name, version] = pair else { return None };
            Some((
                name.strip_prefix("name = ")?.trim_matches('"'),
                version.strip_prefix("version = ")?.trim_matches('"'),
            ))
        })
        .collect()
}
