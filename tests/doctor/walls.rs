//! A wall or limit that is really missing fails its check by id, refuses every start, and shows in
//! `/readyz`. Programs built with the feature `weaken`, with the start's own gate in place.
#![forbid(unsafe_code)]

use super::examine::without;
use super::support::aloud::not_tried;
use super::support::http::Connection;
use super::support::programs::{Build, finish, limits_are_hard, primcs};
use super::support::server::{Server, shared};

/// Barriers that are taken away, and the ids that must then fail.
const MISSING: [(&str, &[&str]); 17] = [
    ("network", &["wall.network"]),
    ("proc_masks", &["wall.proc_masks"]),
    ("proc_read_only", &["wall.proc_read_only"]),
    ("capabilities", &["wall.capabilities"]),
    // Without it the kernel lets nobody unprivileged load a filter or a Landlock domain.
    ("no_new_privs,seccomp,landlock", &["wall.no_new_privs", "wall.seccomp", "wall.landlock"]),
    ("seccomp", &["wall.seccomp", "wall.namespaces"]),
    ("seccomp:keyctl", &["wall.keyring"]),
    ("landlock", &["wall.landlock"]),
    ("root_read_only", &["wall.root"]),
    ("environment", &["wall.environment"]),
    ("descriptors", &["wall.descriptors"]),
    ("oom_score", &["wall.oom_rank"]),
    ("dumpable,landlock", &["wall.init"]),
    ("rlimit_core", &["limit.core"]),
    ("rlimits", &["limit.rlimits", "limit.open_files", "limit.file_size"]),
    ("tmpfs_size", &["limit.disk"]),
    ("tmpfs_inodes", &["limit.inodes"]),
];

/// Those that only a cgroup can keep.
const UNLIMITED: [(&str, &[&str]); 3] =
    [("memory_max", &["limit.memory"]), ("pids_max", &["limit.pids"]), ("cpu_max", &["limit.cpu"])];

#[test]
fn a_missing_wall_is_named_and_no_other_is_blamed_for_it() {
    let interfaces = std::fs::read_dir("/sys/class/net").expect("interfaces").count();
    for (barriers, ids) in MISSING {
        if barriers == "network" && interfaces < 2 {
            not_tried("the wall around the network: this host has none either");
            continue;
        }
        is_named(barriers, ids);
    }
}

#[test]
fn a_missing_limit_is_named_by_the_kernels_own_count() {
    if !limits_are_hard() {
        return not_tried("no control group limits runs here");
    }
    for (barriers, ids) in UNLIMITED {
        is_named(barriers, ids);
    }
}

#[track_caller]
fn is_named(barriers: &str, ids: &[&str]) {
    let found = without(barriers);
    assert_eq!(found.status, 1, "without {barriers}: {:#}", found.report["failure"]);
    for id in ids {
        found.is_mended_by(id, "failed", &["do not serve here"]);
        assert!(!found.check(id)["seen"].as_str().expect("text").is_empty(), "{id}");
    }
    found.is("step.program", "ok");
    found.is("wall.hostname", "ok");
}

#[test]
fn without_a_wall_nothing_starts() {
    for subcommand in ["run", "stdio", "serve"] {
        let mut command = primcs(Build::Weakened, subcommand);
        command.env("PRIMCS_WEAKEN", "proc_masks");
        match subcommand {
            "run" => command.args(["-c", "print('ran')"]),
            "serve" => command.args(["--listen", "127.0.0.1:0"]),
            _ => &mut command,
        };
        let finished = finish(&mut command, "");
        assert!(!finished.status.success(), "{subcommand}");
        assert!(finished.stdout.is_empty(), "{}", finished.stdout());
        let said = finished.stderr();
        assert!(said.contains("wall.proc_masks") && said.contains("next: do not serve"), "{said}");
    }
}

fn readiness(server: &Server) -> (u16, serde_json::Value) {
    let mut connection = Connection::open(server.address);
    connection.send("GET", "/readyz", &[], b"");
    let response = connection.response().expect("an answer");
    let status = response.status;
    (status, serde_json::from_str(&response.text().expect("a body")).expect("JSON"))
}

/// The gate itself is the barrier that is taken away here, so that the server is up to be asked.
#[test]
fn readiness_names_the_checks_that_failed() {
    let (status, report) = readiness(shared());
    assert_eq!((status, &report["failed"]), (200, &serde_json::json!([])));
    let weakened = Server::weakened(&["start_gate", "proc_masks"]);
    let (status, report) = readiness(&weakened);
    assert_eq!(status, 503, "{report:#}");
    assert_eq!(report["failed"], serde_json::json!(["wall.proc_masks"]));
    assert!(report["failure"].as_str().expect("text").contains("wall.proc_masks"));
}
