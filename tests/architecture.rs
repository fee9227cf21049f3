//! The rules of the house that a compiler does not know: who may import whom, where `unsafe` may
//! stand, which crates are in the privileged process, and how much there is to read.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    reason = "a test panics to fail"
)]

#[path = "architecture/source.rs"]
mod source;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use source::{Token, lines_of_code, own_paths, tokens};

/// A room and the rooms it may name besides itself; src/lib.rs draws the same.
const ARROWS: &[(&str, &[&str])] = &[
    ("bin/primcs", &["server"]),
    ("bin/primcs-supervisor", &["supervisor"]),
    ("server", &["causes", "journal", "notify", "policy", "settings", "sys", "trusted", "wire"]),
    (
        "supervisor",
        &["causes", "journal", "notify", "policy", "sandbox", "settings", "sys", "trusted", "wire"],
    ),
    ("sandbox", &["policy", "sys", "wire"]),
    ("wire", &["sys::socket"]),
    ("causes", &[]),
    ("journal", &[]),
    ("notify", &[]),
    ("policy", &[]),
    ("settings", &["trusted"]),
    ("sys", &[]),
    ("trusted", &[]),
];

/// What runs with privilege while there are runs, and so is read first by whoever doubts us.
const AT_EVERY_RUN: &[&str] = &[
    "bin/primcs-supervisor",
    "causes",
    "journal",
    "notify",
    "sandbox",
    "supervisor",
    "sys",
    "wire",
];
const LINES_AT_EVERY_RUN: usize = 4_570;

/// What runs with privilege once, before the first message: reading policy and settings as
/// far as they can be trusted, and copying the host's interpreter (docs/decisions/0010-size-of-the-privileged-half.md).
const AT_START: &[&str] = &[
    "policy",
    "settings",
    "supervisor::arguments",
    "supervisor::base",
    "supervisor::startup",
    "trusted",
];
const LINES_AT_START: usize = 4_250;

const LONGEST_FILE: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a directory that belongs to the project, by its path from the root.
fn files(below: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(below)];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).expect("a readable directory") {
            let path = entry.expect("a readable entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_symlink() {
                continue;
            }
            if !path.is_dir() {
                let from_root = path.strip_prefix(root()).expect("below the root");
                found.push((from_root.to_string_lossy().into_owned(), path));
            } else if !matches!(name.as_str(), ".git" | ".venv" | "target" | "node_modules") {
                waiting.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Path from the root and text of each Rust file below a directory.
fn rust_files(below: &str) -> Vec<(String, String)> {
    let sources = files(below)
        .into_iter()
        .filter(|(_, path)| path.extension().is_some_and(|extension| extension == "rs"));
    sources.map(|(name, path)| (name, fs::read_to_string(path).expect("UTF-8"))).collect()
}

/// The Rust files of the crate: path from the root, module path, text.
fn modules() -> Vec<(String, Vec<String>, String)> {
    let found: Vec<_> = rust_files("src")
        .into_iter()
        .map(|(name, text)| {
            let module = name["src/".len()..name.len() - ".rs".len()].split('/').map(str::to_owned);
            (name.clone(), module.collect(), text)
        })
        .collect();
    assert!(found.len() > 10, "the sources were not found");
    found
}

fn room(module: &[String]) -> String {
    match module {
        [first, program, ..] if first == "bin" => format!("bin/{program}"),
        [first, ..] => first.clone(),
        [] => String::new(),
    }
}

fn refuse(what: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{what}:\n  {}", offences.join("\n  "));
}

#[test]
fn each_room_names_only_the_rooms_it_may() {
    let mut offences = Vec::new();
    let mut seen = 0;
    for (name, module, text) in modules() {
        let here = room(&module);
        if here == "lib" {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(room, _)| *room == here) else {
            offences.push(format!("{name}: the room {here} is not on the map"));
            continue;
        };
        let module: Vec<&str> = module.iter().map(String::as_str).collect();
        for (line, path) in own_paths(&text, &module) {
            let there = path.join("::");
            let within = |room: &str| there == room || there.starts_with(&format!("{room}::"));
            seen += 1;
            if !within(&here) && !allowed.iter().any(|room| within(room)) {
                offences.push(format!("{name}:{line}: {here} names {there}"));
            }
        }
    }
    assert!(seen > 0, "no path of our own was found");
    refuse("a room imports what it may not (src/lib.rs draws the arrows)", &offences);
}

#[test]
fn unsafe_stands_only_in_sys() {
    let mut offences = Vec::new();
    let mut seen = 0;
    for (name, _, text) in modules() {
        let in_sys = name.starts_with("src/sys/");
        for (line, token) in tokens(&text) {
            if token == Token::Word("unsafe".to_owned()) {
                seen += 1;
                if !in_sys {
                    offences.push(format!("{name}:{line}: unsafe"));
                }
            }
        }
        // A forbidding crate root or src/sys.rs would forbid it in src/sys/ as well. A tests.rs is
        // forbidden by the file that names it.
        let exempt = in_sys
            || name.ends_with("/tests.rs")
            || matches!(name.as_str(), "src/lib.rs" | "src/sys.rs");
        if !exempt && !text.lines().any(|line| line == "#![forbid(unsafe_code)]") {
            offences.push(format!("{name}: no line #![forbid(unsafe_code)]"));
        }
        if in_sys && !text.contains("unsafe_code, reason") && text.contains("unsafe {") {
            offences.push(format!("{name}: expects unsafe code without a reason"));
        }
    }
    assert!(seen > 0, "not even src/sys was seen to be unsafe");
    refuse("unsafe code belongs in src/sys", &offences);
}

#[test]
fn every_file_says_what_it_is_for_and_none_is_too_long() {
    let mut offences = Vec::new();
    for (name, text) in rust_files("src").into_iter().chain(rust_files("tests")) {
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            offences.push(format!("{name}: {lines} lines, more than {LONGEST_FILE}"));
        }
        if !text.starts_with("//! ") {
            offences.push(format!("{name}: its first line is not its purpose (//!)"));
        }
    }
    refuse("files that a reader would stumble over", &offences);
}

#[test]
fn the_privileged_half_can_be_read_in_an_afternoon() {
    for (part, most) in [(AT_EVERY_RUN, LINES_AT_EVERY_RUN), (AT_START, LINES_AT_START)] {
        let mut total = 0;
        for privileged in part {
            let lines: usize = modules()
                .iter()
                .filter(|(name, module, _)| {
                    privileged_part(module) == *privileged && !name.ends_with("/tests.rs")
                })
                .map(|(_, _, text)| lines_of_code(text))
                .sum();
            println!("{lines:6}  {privileged}");
            assert!(lines > 0, "nothing counts as {privileged}");
            total += lines;
        }
        println!("{total:6}  lines of code of {part:?}, of {most} at most");
        assert!(total < most, "{total} lines of code in {part:?}, {most} at most");
    }
}

/// The room of a module; what of the supervisor runs only at start counts apart, what is compiled
/// only with the server is the server's, and what lies below `sandbox::weaken` is in no program that is shipped.
fn privileged_part(module: &[String]) -> String {
    let path = module.join("::");
    for part in ["supervisor::base", "supervisor::startup", "supervisor::arguments"] {
        if path.starts_with(part) {
            return part.to_owned();
        }
    }
    if path.starts_with("sandbox::weaken::") {
        return "tests".to_owned();
    }
    let of_server = [
        "policy::explain",
        "policy::lint",
        "settings::environment",
        "settings::shown",
        "sys::xattr",
    ]
    .iter()
    .any(|part| path.starts_with(part));
    if of_server { "server".to_owned() } else { room(module) }
}

/// Names of the crates that `cargo tree` lists for the supervisor.
fn crates(edges: &str) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let listing = Command::new(cargo)
        .current_dir(root())
        .args(["tree", "--locked", "--offline", "--no-default-features", "--prefix", "none"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--edges", edges])
        .output()
        .expect("cargo runs");
    assert!(listing.status.success(), "{}", String::from_utf8_lossy(&listing.stderr));
    let text = String::from_utf8(listing.stdout).expect("UTF-8");
    let first_words = text.lines().filter_map(|line| line.split_whitespace().next());
    let mut names: Vec<_> =
        first_words.filter(|name| *name != "primcs").map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn the_supervisors_crates_are_those_that_were_decided() {
    let linked = crates("normal,no-proc-macro");
    let mut building = crates("normal");
    building.retain(|name| !linked.contains(name));
    let now = format!(
        "# Linked into primcs-supervisor; docs/decisions/0002-supervisor-crates.md says why.\n{}\n\
         # Only run by the compiler while it is built.\n{}\n",
        linked.join("\n"),
        building.join("\n")
    );
    println!("{} crates linked, {} more to build", linked.len(), building.len());
    let committed = root().join("docs/supervisor-crates.txt");
    let decided = fs::read_to_string(committed).unwrap_or_default();
    assert_eq!(
        decided, now,
        "the privileged process links other crates than decided; write the decision down in \
         docs/decisions/0002-supervisor-crates.md and this list in docs/supervisor-crates.txt:\n{now}"
    );
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let here = root().to_string_lossy().into_owned();
    let mut traces = vec!["/Users/".to_owned()];
    if let Some(parent) = root().parent().and_then(Path::to_str)
        && !["/", "/tmp", "/var/tmp", "/opt", "/srv", "/usr/src", "/root", "/home"]
            .contains(&parent)
    {
        traces.push(format!("{parent}/"));
    }
    traces.push(here);
    let mut offences = Vec::new();
    for (name, path) in files("") {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if name == "tests/architecture.rs" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if traces.iter().any(|trace| line.contains(trace.as_str())) {
                offences.push(format!("{name}:{}: {line}", number + 1));
            }
        }
    }
    refuse("a path of a developer's machine", &offences);
}

#[test]
fn the_reader_of_sources_is_not_fooled() {
    let source = r##"
        // crate::comment
        /* crate::outer /* crate::inner */ */
        use crate::{policy::{self, Digest as D}, wire::*};
        pub(crate) const TEXT: &str = "crate::literal \" still";
        const RAW: &str = r#"crate::raw " still"#;
        fn f<'a>(x: &'a str) -> char { let _ = crate::sys::pidfd::open(x); '\'' }
        mod tests { use super::super::sandbox; use super::*; mod deep { use super::super::f; } }
        use super::peer;
    "##;
    let paths = own_paths(source, &["room", "file"]);
    let found: Vec<String> = paths.into_iter().map(|(_, path)| path.join("::")).collect();
    assert_eq!(
        found,
        [
            "policy",
            "policy::Digest",
            "wire::*",
            "sys::pidfd::open",
            "room::sandbox",
            "room::file::*",
            "room::file::f",
            "room::peer",
        ]
    );
    assert_eq!(lines_of_code("//! x\n\nfn a() {\n}\n#[cfg(test)]\nmod tests {\n}\n"), 2);
    assert_eq!(lines_of_code("#[cfg(test)]\nmod tests;\nfn a() {\n}\n"), 2);
}
