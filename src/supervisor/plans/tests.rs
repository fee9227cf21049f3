//! No entry of a policy file is for show: whatever is changed in one is refused, or changes what is
//! enforced.

use std::collections::BTreeMap;
use std::ffi::OsString;

use nix::fcntl::{Flock, FlockArg};
use toml::Value;

use super::*;
use crate::policy::limits::{CallLimits, HostLimits, OutputLimits, SocketLimits};
use crate::supervisor::admission;
use crate::wire::RunRequest;

const FILES: [(&str, &str); 5] = [
    ("limits.toml", include_str!("../../../policy/limits.toml")),
    ("mounts.toml", include_str!("../../../policy/mounts.toml")),
    ("process.toml", include_str!("../../../policy/process.toml")),
    ("seccomp-run.toml", include_str!("../../../policy/seccomp-run.toml")),
    ("seccomp-server.toml", include_str!("../../../policy/seccomp-server.toml")),
];

/// A copy whose interpreter lies outside `/usr`.
fn base() -> Base {
    let file = std::fs::File::open("/dev/null").unwrap();
    Base {
        directory: "/state/base/key".into(),
        root: "/state/base/key/root".into(),
        directories: ["etc", "opt", "usr"].map(OsString::from).to_vec(),
        links: vec![("bin".into(), "usr/bin".into())],
        lock: Flock::lock(file, FlockArg::LockSharedNonblock).unwrap(),
        python: "/opt/python/bin/python3.12".into(),
        version: "3.12.1".to_owned(),
        digest: "0".repeat(64),
        skipped: Vec::new(),
        is_new: false,
    }
}

fn facts(base: &Base) -> Facts<'_> {
    Facts {
        base,
        build_at: "/state/template".into(),
        python: base.python.to_string_lossy().into_owned(),
        version: base.version.clone(),
        landlock_abi: Some(7),
    }
}

/// What a file decides, as text: all that enforces or is counted against.
fn enforced(file: &str, policy: &Policy, base: &Base) -> String {
    match file {
        "seccomp-run.toml" => format!("{:?}", policy.seccomp_run.compile().unwrap()),
        "seccomp-server.toml" => format!("{:?}", policy.seccomp_server.compile().unwrap()),
        _ => {
            // The filter is most of the work and not what these files decide.
            let mut policy = policy.clone();
            policy.seccomp_run.groups.truncate(1);
            plans(&policy, base)
        }
    }
}

fn plans(policy: &Policy, base: &Base) -> String {
    let facts = facts(base);
    let limits = &policy.limits;
    // What is counted against while a run lives. Each field is named, so that a new one is missed here.
    let OutputLimits { written, kept, text_characters, result } = &limits.run.output;
    let SocketLimits { inet, tcp_rmem: _ } = &limits.run.sockets;
    let CallLimits { code_characters: _, body, queue } = &limits.call;
    let HostLimits { runs_per_core: _, memory_share: _, kernel_growth, copy_check } = &limits.host;
    let counted = (written.value, kept.value, text_characters.value, result.value);
    let counted =
        (counted, body.value, queue.value, copy_check.value, inet.value, kernel_growth.value);
    let asked = |characters: u64, timeout: Option<u64>| {
        let request = RunRequest {
            code: "#".repeat(usize::try_from(characters).unwrap()),
            ..request(timeout)
        };
        format!("{:?}", admission::admit(&request, policy).map(|admitted| admitted.wall))
    };
    let admitted = [
        asked(limits.call.code_characters.value, None),
        asked(20_000, None),
        asked(20_001, Some(u64::MAX)),
        asked(1, Some(u64::MAX)),
    ];
    let plans = (
        template(policy, &facts),
        sandbox(policy, &facts).unwrap(),
        workspace(policy, &facts),
        leaf(policy),
        policy.process.identity.oom_score_adj.value,
    );
    let most = (most_runs(policy, 1 << 40, 3), most_runs(policy, 100 << 30, 1 << 20));
    // The copy has the whole of its section as its key; the server grants itself these rules.
    let others = (&policy.mounts.base, &policy.process.server.landlock.rule);
    format!("{plans:?}\n{admitted:?}\n{most:?}\n{counted:?}\n{others:?}")
}

fn request(timeout_ms: Option<u64>) -> RunRequest {
    RunRequest { request: 1, principal: "local".to_owned(), code: String::new(), timeout_ms }
}

#[test]
fn a_share_of_memory_is_no_run_less_by_rounding() {
    let policy = Policy::embedded().unwrap();
    assert_eq!(policy.limits.host.memory_share.value.0, 75);
    assert_eq!(most_runs(&policy, 4 << 30, 64), 3);
    assert_eq!(most_runs(&policy, u64::MAX, 64), 256);
}

/// proves: limits host *
#[test]
fn every_change_of_limits_is_refused_or_enforced() {
    assert_nothing_is_for_show("limits.toml", 25, 1);
}

#[test]
fn every_change_of_mounts_is_refused_or_enforced() {
    assert_nothing_is_for_show("mounts.toml", 500, 1);
}

#[test]
fn every_change_of_process_is_refused_or_enforced() {
    assert_nothing_is_for_show("process.toml", 100, 1);
}

#[test]
fn every_change_of_the_filter_of_runs_is_refused_or_enforced() {
    assert_nothing_is_for_show("seccomp-run.toml", 50, 7);
}

#[test]
fn every_change_of_the_filter_of_the_server_is_refused_or_enforced() {
    assert_nothing_is_for_show("seccomp-server.toml", 28, 7);
}

/// `at_least` so many changes load and show, of which one in `every` is tried: compiling a filter
/// takes a moment, and `policy::seccomp::tests` holds each of its rules to the compiled program.
fn assert_nothing_is_for_show(file: &str, at_least: usize, every: usize) {
    let base = base();
    let (_, text) = FILES.into_iter().find(|(name, _)| *name == file).unwrap();
    // A refusal by name that is the same as the one without a name is for people. With another one
    // for the rest, it must show.
    let text = text.replace("errno  = \"ENOSYS\"", "errno  = \"ENOMEM\"");
    let whole = Value::Table(text.parse().unwrap());
    let load =
        |whole: &Value| Policy::from_files(&BTreeMap::from([(file.to_owned(), written(whole))]));
    let before = enforced(file, &load(&whole).unwrap(), &base);
    let (mut count, mut for_show) = (0, Vec::new());
    for (place, changed) in changes(&whole).into_iter().step_by(every) {
        match load(&changed) {
            Err(_) => {}
            Ok(policy) if enforced(file, &policy, &base) == before => for_show.push(place),
            Ok(_) => count += 1,
        }
    }
    assert!(for_show.is_empty(), "{file} is not enforced here:\n{}", for_show.join("\n"));
    assert!(count >= at_least, "only {count} changes of {file} load and are enforced");
}

#[test]
fn what_is_written_for_a_change_is_what_was_read() {
    for (file, text) in FILES {
        let table: toml::Table = text.parse().unwrap();
        let again: toml::Table = written(&Value::Table(table.clone())).parse().unwrap();
        assert_eq!(table, again, "{file}");
    }
}

#[test]
fn an_interpreter_outside_usr_may_be_executed() {
    let (policy, base) = (Policy::embedded().unwrap(), base());
    let plan = sandbox(&policy, &facts(&base)).unwrap().landlock.unwrap();
    let rights = [LandlockRight::Execute, LandlockRight::ReadFile, LandlockRight::ReadDir];
    let bits = LandlockRight::bits(&rights, 7);
    for directory in ["/usr", "/etc", "/opt"] {
        assert!(plan.directories.contains(&(directory.to_owned(), bits)), "{directory}");
    }
}

/// The whole with one thing changed, each time another: every value that is not a reason or a title.
fn changes(whole: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    match whole {
        Value::Table(table) => {
            for (key, value) in table {
                let is_title =
                    key == "name" && (table.contains_key("allow") || table.contains_key("deny"));
                if key == "reason" || is_title {
                    continue;
                }
                for (place, changed) in changes(value) {
                    let mut other = table.clone();
                    other.insert(key.clone(), changed);
                    found.push((format!("{key} {place}"), Value::Table(other)));
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let mut without = items.clone();
                without.remove(index);
                found.push((format!("without {index}"), Value::Array(without)));
                for (place, changed) in changes(item) {
                    let mut other = items.clone();
                    other[index] = changed;
                    found.push((format!("{index} {place}"), Value::Array(other)));
                }
            }
            if items.first().is_some_and(Value::is_table) {
                return found;
            }
            // Another mount flag, Landlock right, namespace: most places take only some of them.
            for word in WORDS.map(Value::from).into_iter().filter(|word| !items.contains(word)) {
                let more = items.iter().cloned().chain([word.clone()]).collect();
                found.push((format!("with {word:?}"), Value::Array(more)));
            }
        }
        Value::String(text) => {
            for other in other_texts(text) {
                found.push((format!("{text:?} -> {other:?}"), Value::from(other)));
            }
        }
        Value::Integer(number) => found.push((number.to_string(), Value::from(number + 1))),
        Value::Boolean(is) => found.push((is.to_string(), Value::from(!is))),
        Value::Float(_) | Value::Datetime(_) => panic!("a policy has no such value: {whole:?}"),
    }
    found
}

/// Longer, and with its first number one more.
fn other_texts(text: &str) -> Vec<String> {
    let mut others = vec![format!("{text}x")];
    if let Some(start) = text.find(|letter: char| letter.is_ascii_digit()) {
        let (before, rest) = text.split_at(start);
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        if let Ok(number) = digits.parse::<u64>() {
            // Modes and masks begin with a zero that must stay.
            let zeros = digits.len();
            others.push(format!("{before}{:0zeros$}{after}", number + 1));
        }
    }
    others
}

const WORDS: [&str; 6] = ["noexec", "nodev", "make_reg", "ioctl_dev", "/dev/full", "noroot"];

/// TOML of a table, with everything below its keys on one line.
fn written(whole: &Value) -> String {
    let table = whole.as_table().unwrap();
    let lines = table.iter().map(|(key, value)| format!("{key:?} = {}", inline(value)));
    lines.collect::<Vec<_>>().join("\n")
}

fn inline(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let entries: Vec<_> =
                table.iter().map(|(key, value)| format!("{key:?} = {}", inline(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => serde_json::to_string(text).unwrap(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(is) => is.to_string(),
        Value::Float(_) | Value::Datetime(_) => panic!("a policy has no such value: {value:?}"),
    }
}
