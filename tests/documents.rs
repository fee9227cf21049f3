//! What the documents say exists, exists: every test they name, every file they point to. A proof
//! that was renamed or removed is then missed here and not by the reader who looks for it.
//!
//! What counts as the name of a test: between backticks, `some_name.py` (an attempt in
//! `tests/isolation`) or words joined by two or more underscores, unless the policy uses that word.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test panics to fail"
)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use support::sources::files;

/// Documents that name tests, and how many at least: fewer means that they are no longer found.
const PROVED: &[(&str, usize)] =
    &[("SECURITY.md", 60), ("docs/threat-model.md", 60), ("docs/past-escapes.md", 50)];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names of the functions that `cargo test` runs.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in [files("src", "rs"), files("tests", "rs")].concat() {
        let text = fs::read_to_string(&path).expect("UTF-8");
        for rest in text.split("#[test]").skip(1).chain(text.split("#[tokio::test").skip(1)) {
            let name = rest.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
            found.insert(name.expect("a test is a function").0.to_owned());
        }
    }
    assert!(found.len() > 200, "tests are no longer found: {}", found.len());
    found
}

/// Every word that a policy file uses.
fn policy_words() -> BTreeSet<String> {
    let rules = files("policy", "toml");
    let texts: String = rules.iter().map(|path| fs::read_to_string(path).expect("UTF-8")).collect();
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    texts.split(|letter| !is_part(letter)).map(str::to_owned).collect()
}

/// What stands between single backticks, line by line, outside blocks.
fn quoted(text: &str) -> Vec<&str> {
    let mut inside_block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside_block = !inside_block;
        } else if !inside_block {
            found.extend(line.split('`').skip(1).step_by(2));
        }
    }
    found
}

fn is_test_name(word: &str) -> bool {
    let plain = word.chars().all(|l| l.is_ascii_lowercase() || l.is_ascii_digit() || l == '_');
    plain && word.split('_').filter(|part| !part.is_empty()).count() >= 3
}

#[test]
fn every_test_that_a_document_names_exists() {
    let (tests, policy) = (tests(), policy_words());
    let mut missing = Vec::new();
    for (document, least) in PROVED {
        let text = read(document);
        let mut seen = 0;
        for word in quoted(&text) {
            let attempt = word.strip_suffix(".py").filter(|stem| !stem.contains(['/', '*']));
            let exists = match attempt {
                Some(_) => root().join("tests/isolation").join(word).is_file(),
                None if is_test_name(word) && !policy.contains(word) => tests.contains(word),
                None => continue,
            };
            seen += 1;
            if !exists {
                missing.push(format!("{document}: {word}"));
            }
        }
        assert!(seen >= *least, "{document} names only {seen} tests");
    }
    assert!(missing.is_empty(), "no such test:\n  {}", missing.join("\n  "));
}

/// `limits/bombs` for `tests/limits/bombs.rs`, and `src/...` as it is.
#[test]
fn every_file_of_tests_or_sources_that_a_document_names_exists() {
    let mut missing = Vec::new();
    let mut seen = 0;
    for (document, _) in PROVED {
        let text = read(document);
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_/.:-".contains(letter);
        for word in text.split(|letter| !is_part(letter)) {
            let word = word.trim_end_matches(['.', ':']);
            let path = match word.split_once('/') {
                Some(("src" | "tests", _)) => root().join(word),
                Some((room, file)) if is_room(room) && !file.is_empty() => {
                    root().join("tests").join(format!("{word}.rs"))
                }
                _ => continue,
            };
            seen += 1;
            if !path.exists() && !path.with_extension("rs").exists() {
                missing.push(format!("{document}: {word}"));
            }
        }
    }
    assert!(seen > 20, "files are no longer found: {seen}");
    assert!(missing.is_empty(), "no such file:\n  {}", missing.join("\n  "));
}

/// Whether this is a folder of `tests`, by its plain name.
fn is_room(name: &str) -> bool {
    !name.is_empty() && !name.contains('.') && root().join("tests").join(name).is_dir()
}

/// Rows are answered or honest: a source to read, and a test or the reason why there is none.
#[test]
fn every_past_escape_has_a_source_and_an_answer() {
    let text = read("docs/past-escapes.md");
    let rows: Vec<_> =
        text.lines().filter(|line| line.starts_with("| ") && !line.contains("| ---")).collect();
    let rows: Vec<_> = rows.into_iter().filter(|row| !row.starts_with("| what |")).collect();
    assert!(rows.len() > 30, "rows are no longer found: {}", rows.len());
    for row in rows {
        assert!(row.contains("](https://"), "no source: {row}");
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 4, "four cells: {row}");
        let proved = quoted(cells[3])
            .iter()
            .any(|word| word.strip_suffix(".py").is_some() || is_test_name(word));
        assert!(proved || cells[3].contains("not applicable"), "no answer: {row}");
    }
}

/// `[text](path)` and `[text](path#heading)` within the repository.
#[test]
fn links_between_documents_lead_somewhere() {
    let mut broken = Vec::new();
    let mut seen = 0;
    let documents =
        ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "policy/README.md"];
    let documents = documents.iter().map(|name| root().join(name)).chain(files("docs", "md"));
    for document in documents {
        let text = fs::read_to_string(&document).expect("UTF-8");
        let folder = document.parent().expect("a folder");
        for link in text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)) {
            if link.contains("://") {
                continue;
            }
            seen += 1;
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { folder.join(path) };
            let leads = target.exists() && (heading.is_empty() || has_heading(&target, heading));
            if !leads {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(seen > 20, "links are no longer found: {seen}");
    assert!(broken.is_empty(), "links that lead nowhere:\n  {}", broken.join("\n  "));
}

/// As the forges derive it: lower case, blanks to dashes, signs dropped.
fn has_heading(document: &Path, wanted: &str) -> bool {
    let text = fs::read_to_string(document).expect("UTF-8");
    text.lines().filter(|line| line.starts_with('#')).any(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|l| l.is_alphanumeric() || matches!(l, ' ' | '-' | '_'));
        kept.map(|l| if l == ' ' { '-' } else { l }).eq(wanted.chars())
    })
}

#[test]
fn the_reader_of_documents_is_not_fooled() {
    let text = "`one_two.py` and `a_b_c`\n```\n`not_in_a_block`\n```\n`x` `a_b`";
    assert_eq!(quoted(text), ["one_two.py", "a_b_c", "x", "a_b"]);
    assert!(is_test_name("a_b_c") && !is_test_name("a_b") && !is_test_name("a-b_c_d"));
    assert!(policy_words().contains("no_new_privs"));
    assert!(!policy_words().contains("a_fork_bomb_ends_with_its_time"));
}
