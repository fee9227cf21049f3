//! Both filters as they are shipped, loaded into a process of its own, against every row.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use primcs::policy::explain::entries;
use primcs::policy::{Filter, Policy};
use serde_json::{Value, json};

use super::rows::{Row, rows};
use super::support::programs::finish;

/// What `load.py` answers where the shipped filter lets a call through.
const MARK: i64 = -133;

/// No rule looks at these, and no call is served.
fn anything(_call: &str) -> [u64; 6] {
    [u64::MAX; 6]
}

/// What the loaded filter says to each row, where that is not what the row expects.
fn disagreements(filter: &Filter, rows: &[Row]) -> Vec<String> {
    let programs: Vec<Vec<Value>> = filter
        .compile()
        .expect("it compiles")
        .iter()
        .map(|program| program.iter().map(|one| json!([one.code, one.jt, one.jf, one.k])).collect())
        .collect();
    let table: Vec<_> = rows.iter().map(|row| json!([row.number, row.arguments])).collect();
    let code = [include_str!("calls.py"), include_str!("load.py")].concat();
    let python = std::env::var("PRIMCS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let given = json!({ "programs": programs, "rows": table }).to_string();
    let finished = finish(Command::new(python).args(["-I", "-c", &code]), &given);
    let answers: Vec<i64> = serde_json::from_slice(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", finished.status, finished.stderr()));
    assert_eq!(answers.len(), rows.len());
    let wrong = rows
        .iter()
        .zip(answers)
        .filter(|(row, answer)| *answer != row.refused.map_or(MARK, |errno| -i64::from(errno)));
    wrong.map(|(row, answer)| format!("{}: {answer} to {row:x?}", row.entry)).collect()
}

/// Every rule has a row, every wall one that is refused.
fn assert_whole(file: &str, rows: &[Row], policy: &Policy) {
    let tried: BTreeSet<_> = rows.iter().map(|row| row.entry.as_str()).collect();
    let refused: BTreeSet<_> =
        rows.iter().filter(|row| row.refused.is_some()).map(|row| row.entry.as_str()).collect();
    for entry in entries(policy) {
        let is_ours = entry.id.strip_prefix(file).is_some_and(|rest| rest.starts_with(' '));
        // Arithmetic of 32-bit calls is another instruction set: isolation/run_32_bit_calls.py.
        if !is_ours || entry.id.ends_with(" architecture") {
            continue;
        }
        let table = if entry.is_wall { &refused } else { &tried };
        assert!(table.contains(entry.id.as_str()), "no row tries {}", entry.id);
    }
}

fn agrees(file: &str, filter: impl Fn(&Policy) -> &Filter) {
    let policy = Policy::embedded().expect("the built-in policy");
    let rows = rows(file, filter(&policy), anything);
    assert_whole(file, &rows, &policy);
    let wrong = disagreements(filter(&policy), &rows);
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// proves: seccomp-run allow *; seccomp-run deny *; seccomp-run otherwise; seccomp-run x32
#[test]
fn the_loaded_filter_of_a_run_answers_each_rule_on_either_side() {
    agrees("seccomp-run", |policy| &policy.seccomp_run);
}

/// proves: seccomp-server allow *; seccomp-server deny *; seccomp-server otherwise
#[test]
fn the_loaded_filter_of_the_server_answers_each_rule_on_either_side() {
    agrees("seccomp-server", |policy| &policy.seccomp_server);
}

/// Loads the built-in policy with one rule of a file changed and tries the rows of the unchanged.
fn changed(name: &str, text: &str, from: &str, to: &str, entry: &str) {
    assert_eq!(text.matches(from).count(), 1, "{from:?} stands once in {name}");
    let files = BTreeMap::from([(name.to_owned(), text.replace(from, to))]);
    let other = Policy::from_files(&files).expect("the floor lets it be");
    let policy = Policy::embedded().expect("the built-in policy");
    let (file, own, other) = if name == "seccomp-run.toml" {
        ("seccomp-run", &policy.seccomp_run, &other.seccomp_run)
    } else {
        ("seccomp-server", &policy.seccomp_server, &other.seccomp_server)
    };
    let wrong = disagreements(other, &rows(file, own, anything));
    assert!(!wrong.is_empty(), "nobody notices {to:?} instead of {from:?}");
    let elsewhere: Vec<_> =
        wrong.iter().filter(|line| !line.starts_with(&format!("{entry}: "))).collect();
    assert!(elsewhere.is_empty(), "{from:?} changes more than {entry}: {elsewhere:?}");
}

/// The tests above are no tests if a changed rule passes them.
#[test]
fn a_rule_that_is_loosened_tightened_or_gone_is_noticed() {
    const RUN: &str = include_str!("../../policy/seccomp-run.toml");
    const SERVER: &str = include_str!("../../policy/seccomp-server.toml");
    for (from, to, entry) in [
        (
            "SO_OOBINLINE | SO_SNDBUF",
            "SO_OOBINLINE | SO_RCVBUF | SO_SNDBUF",
            "seccomp-run allow setsockopt optname",
        ),
        (
            "\"protocol in IPPROTO_IP | IPPROTO_TCP | IPPROTO_UDP\"",
            "\"protocol in IPPROTO_IP | IPPROTO_TCP\"",
            "seccomp-run allow socket protocol",
        ),
        (
            "call = \"memfd_secret\", errno = \"EPERM\"",
            "call = \"memfd_secret\", errno = \"ENOSYS\"",
            "seccomp-run deny memfd_secret",
        ),
        ("\"pause\", \"signalfd\"", "\"signalfd\"", "seccomp-run allow pause"),
    ] {
        changed("seccomp-run.toml", RUN, from, to, entry);
    }
    changed(
        "seccomp-server.toml",
        SERVER,
        "\"execve\", \"execveat\", \"fork\", \"vfork\"",
        "\"execve\", \"execveat\", \"fork\"",
        "seccomp-server deny vfork",
    );
    changed(
        "seccomp-server.toml",
        SERVER,
        "F_SETFL | F_DUPFD_CLOEXEC",
        "F_SETFL | F_DUPFD_CLOEXEC | F_NOTIFY",
        "seccomp-server allow fcntl cmd",
    );
}
