//! Reads from the headers of all tests which entries of the policy they prove: `# proves: ENTRY;
//! ENTRY` in an attempt of `tests/isolation`, `/// proves: ENTRY; ENTRY` above `#[test]` in Rust. An
//! entry is written as `primcs::policy::explain::entries` names it; a trailing `*` means all that
//! begin so, and is for tests that derive what they try from the policy.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::support::programs::checkout;
use super::support::sources::{files, text};

/// Entry to the tests whose headers name it.
pub(crate) type Proofs = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn read() -> Proofs {
    let mut proofs = Proofs::new();
    for path in files("tests/isolation", "py") {
        let name = stem(&path);
        let text = text(&path);
        let headers: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("# proves: ")).collect();
        assert!(!headers.is_empty() || name == "prelude", "{name}.py has no line `# proves: ...`");
        for header in headers {
            note(&mut proofs, header, &format!("isolation a_run_cannot::{name}"));
        }
    }
    for path in files("tests", "rs").into_iter().chain(files("src", "rs")) {
        of_rust(&path, &mut proofs);
    }
    assert!(proofs.len() > 100, "the headers were not found: {proofs:?}");
    proofs
}

/// The headers of one Rust file. Our formatter makes indentation tell where a module ends.
fn of_rust(path: &Path, proofs: &mut Proofs) {
    let (program, base) = place(path);
    let (mut modules, mut header, mut is_test) = (Vec::new(), Vec::new(), false);
    for line in text(path).lines() {
        let (indent, code) = (line.len() - line.trim_start().len(), line.trim_start());
        if code == "}" {
            modules.retain(|(outer, _)| *outer < indent);
        }
        if let Some(name) = code.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
            modules.push((indent, name.to_owned()));
        }
        if let Some(entries) = code.strip_prefix("/// proves: ") {
            header.push(entries.to_owned());
        }
        is_test |= code == "#[test]" || code.starts_with("#[tokio::test");
        let beginnings =
            ["fn ", "async fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn ", "const fn "];
        let begun = beginnings.iter().find_map(|beginning| code.strip_prefix(beginning));
        let Some(rest) = begun else { continue };
        let function = rest.split('(').next().unwrap_or_default();
        assert!(
            header.is_empty() || is_test,
            "{}: `/// proves:` stands above {function}, which is no test",
            path.display()
        );
        let inner = modules.iter().map(|(_, name)| name.as_str());
        let full: Vec<_> = base.iter().map(String::as_str).chain(inner).chain([function]).collect();
        for entries in header.drain(..) {
            note(proofs, &entries, &format!("{program} {}", full.join("::")));
        }
        is_test = false;
    }
    assert!(header.is_empty(), "{}: `/// proves:` with no test below", path.display());
}

/// The test program of a file, and the module it is there.
fn place(path: &Path) -> (String, Vec<String>) {
    let below = path.strip_prefix(checkout()).expect("below the checkout").with_extension("");
    let mut parts: Vec<_> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.remove(0) == "src" {
        return ("lib".to_owned(), parts);
    }
    (parts.remove(0), parts)
}

fn note(proofs: &mut Proofs, header: &str, test: &str) {
    // Clippy wants names in code type where a doc comment has them.
    for entry in header.replace('`', "").split(';').map(str::trim) {
        assert!(!entry.is_empty(), "{test}: an empty entry in its header {header:?}");
        proofs.entry(entry.to_owned()).or_default().insert(test.to_owned());
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}
