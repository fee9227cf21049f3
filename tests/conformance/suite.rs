//! Runs the suite for one revision and reads what it wrote down about each check.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::baseline::{self, Entry};
use crate::lack::Lack;
use crate::support::mcp::Era;
use crate::support::programs::installed;
use crate::support::server::shared;

/// A scenario that counts for nothing unless it really ran and passed.
#[derive(Debug)]
pub(crate) struct Must {
    pub(crate) pass: &'static str,
    /// At least so many of its checks.
    pub(crate) passed: usize,
}

/// A revision of the protocol, as the suite knows it.
#[derive(Debug)]
pub(crate) struct Revision {
    pub(crate) name: &'static str,
    pub(crate) era: Era,
    /// How many the pinned suite has; with fewer, it would say less.
    pub(crate) scenarios: usize,
    pub(crate) must: &'static [Must],
}

/// What the suite says of one check.
#[derive(Debug)]
struct Check {
    id: String,
    status: String,
    said: String,
}

/// Of each scenario.
type Results = BTreeMap<String, Vec<Check>>;

impl Revision {
    pub(crate) fn holds(&self) {
        let expected = baseline::read(self.name);
        let results = self.run();
        assert_eq!(results.len(), self.scenarios, "{:?}", results.keys());
        for must in self.must {
            must.has_passed(&results, &expected);
        }
        for entry in &expected {
            entry.fails_for_its_reason(&results);
            entry.lacks.must_be_so(self.era);
        }
    }

    /// The suite ends well only when exactly the expected checks fail.
    fn run(&self) -> Results {
        let directory = tempdir(self.name);
        let said = Command::new(installed("node/bin/node"))
            .arg(installed(
                "conformance/node_modules/@modelcontextprotocol/conformance/dist/index.js",
            ))
            .args(["server", "--requirements", self.name, "--url"])
            .arg(format!("http://{}/mcp", shared().address))
            .arg("--expected-failures")
            .arg(baseline::path(self.name))
            .arg("--output-dir")
            .arg(&directory)
            .output()
            .expect("node starts");
        let text = String::from_utf8_lossy(&said.stdout);
        let errors = String::from_utf8_lossy(&said.stderr);
        let summary = text.split("=== SUMMARY ===").last().unwrap_or_default();
        assert!(said.status.success(), "the suite ended with {}: {summary}\n{errors}", said.status);
        let results = read(&directory);
        fs::remove_dir_all(&directory).expect("the results can be removed");
        results
    }
}

impl Must {
    fn has_passed(&self, results: &Results, expected: &[Entry]) {
        let Some(checks) = results.get(self.pass) else { panic!("{} did not run", self.pass) };
        let passed = checks.iter().filter(|check| check.status == "SUCCESS").count();
        assert!(passed >= self.passed, "{}: only {passed} checks passed: {checks:?}", self.pass);
        let bad = checks.iter().filter(|check| check.is_bad()).find(|check| {
            !expected.iter().any(|entry| entry.scenario == self.pass && entry.check == check.id)
        });
        assert!(bad.is_none(), "{}: {bad:?}", self.pass);
    }
}

impl Entry {
    /// It failed, every time it was tried, and in the words that go with what is lacking.
    fn fails_for_its_reason(&self, results: &Results) {
        let of_scenario = results.get(&self.scenario).map(Vec::as_slice).unwrap_or_default();
        let checks: Vec<_> = of_scenario.iter().filter(|check| check.id == self.check).collect();
        assert!(!checks.is_empty(), "{self:?} was not tried");
        for check in checks {
            assert!(check.is_bad() && check.said.contains(&self.seen), "{self:?}: {check:?}");
            // A barrier that refuses the request itself would be another reason.
            assert!(!check.said.contains("403"), "{self:?}: {check:?}");
        }
        if self.lacks == Lack::Session {
            assert!(self.seen.contains("session") || self.seen == "logging/setLevel", "{self:?}");
        }
    }
}

impl Check {
    fn is_bad(&self) -> bool {
        matches!(self.status.as_str(), "FAILURE" | "WARNING")
    }
}

/// Below the target directory: the suite runs as the user of the tests, not as the server.
fn tempdir(revision: &str) -> PathBuf {
    let name = format!("conformance-{revision}-{}", std::process::id());
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).expect("a directory for the results");
    directory
}

/// One directory a scenario, `server-NAME-DATE`, with a `checks.json`.
fn read(directory: &Path) -> Results {
    let entries = fs::read_dir(directory).expect("the results");
    let scenarios = entries.map(|entry| {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("UTF-8");
        let name = name.strip_prefix("server-").expect("a scenario of servers");
        // Such as -2026-11-24T21-28-31-951Z.
        let (name, _) = name.split_at(name.len() - "-YYYY-MM-DDTHH-MM-SS-mmmZ".len());
        let text = fs::read_to_string(entry.path().join("checks.json")).expect("checks.json");
        let checks: Vec<Value> = serde_json::from_str(&text).expect("a list of checks");
        (name.to_owned(), checks.iter().map(check).collect())
    });
    scenarios.collect()
}

fn check(value: &Value) -> Check {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let said = match value["errorMessage"].as_str() {
        Some(message) => message.to_owned(),
        None => text(&value["details"]["message"]),
    };
    Check { id: text(&value["id"]), status: text(&value["status"]), said }
}
