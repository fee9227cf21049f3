//! What an operator changes in a policy file holds in a run.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;

use super::support::programs::{Build, finish, primcs, scratch};

/// What stands once in a file, and what is put there.
type Places = &'static [(&'static str, &'static str)];

/// The files as they are built in, each with some places changed.
const CHANGES: [(&str, &str, Places); 3] = [
    (
        "process.toml",
        include_str!("../../policy/process.toml"),
        &[
            ("gid           = { value = 1000", "gid           = { value = 1234"),
            ("directory     = { value = \"/workspace\"", "directory     = { value = \"/tmp\""),
        ],
    ),
    (
        "mounts.toml",
        include_str!("../../policy/mounts.toml"),
        &[("[run]\nflags  = [", "[run]\nflags  = [\"noexec\", ")],
    ),
    (
        "limits.toml",
        include_str!("../../policy/limits.toml"),
        &[("result          = { value = \"64KiB\"", "result          = { value = \"1KiB\"")],
    ),
];

fn policy() -> PathBuf {
    let folder = scratch().join("another-policy");
    // Left by an earlier time, or not there.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    for (name, text, places) in CHANGES {
        let mut changed = text.to_owned();
        for (from, to) in places {
            assert_eq!(text.matches(from).count(), 1, "{from:?} stands once in {name}");
            changed = changed.replace(from, to);
        }
        fs::write(folder.join(name), changed).expect("a policy file");
    }
    folder
}

#[test]
fn ids_directory_flags_and_size_of_a_result_are_those_of_the_policy() {
    const CODE: &str = "import os\n\
        print(os.getuid(), os.getgid(), os.getcwd(), open('/proc/self/gid_map').read().split()[0])\n\
        for line in open('/proc/self/mountinfo'):\n    at = line.split()\n    \
        print(*at[4:6]) if at[4] in ('/tmp', '/workspace', '/dev/shm', '/venv', '/home/run') else None\n\
        'x' * 5000";
    let mut command = primcs(Build::Normal, "run");
    command.arg("--policy").arg(policy()).args(["--json", "-c", CODE]);
    let finished = finish(&mut command, "");
    let answer: serde_json::Value = serde_json::from_slice(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", finished.stdout(), finished.stderr()));
    let stdout = answer.get("stdout").and_then(|text| text.as_str()).expect("stdout");
    let mut lines = stdout.lines();
    assert_eq!(lines.next(), Some("1000 1234 /tmp 1234"), "{answer}");
    let mounts: Vec<_> = lines.collect();
    assert_eq!(mounts.len(), 5, "{answer}");
    for mount in mounts {
        for flag in ["nosuid", "nodev", "noexec"] {
            assert!(mount.contains(flag), "{mount}");
        }
    }
    let value = answer.get("result").and_then(|text| text.as_str()).expect("a result");
    assert_eq!(value.len(), 1024, "{answer}");
}
