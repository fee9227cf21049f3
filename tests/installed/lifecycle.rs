//! Whatever happens to the halves: nothing of a run stays, and the service answers again.
#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::remains::{Idle, start};
use super::support::mcp::run;
use super::support::processes::eventually;
use super::support::server::shared;
use super::support::stubborn::STUBBORN;
use super::unit::{
    SERVER, SOCKET, SUPERVISOR, becomes_ready, get, is_active, is_ready, journal, main_pid, output,
    property, succeeds, supervisor, supervisors_group, with_drop_in,
};
use super::witness::{PATIENCE, is_gone, write_down};

/// Long enough to be under way when something happens, short enough to end before any deadline.
const SHORT: &str = "
print('under way', flush=True)
import time
time.sleep(8)
print('ended by itself')
";

#[track_caller]
fn answers() {
    becomes_ready();
    assert_eq!(run(shared().address, "print('again')").expect("ok").stdout(), "again\n");
}

/// Kills `pid` while stubborn runs go on.
#[track_caller]
fn kill_while_runs_go(pid: i32) {
    let idle = Idle::look();
    let streams = [start(STUBBORN), start(STUBBORN)];
    let seen = idle.runs();
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killing it");
    seen.is_gone();
    drop(streams);
    answers();
    // Whatever is below the next supervisor is its own; nothing of the dead one was left.
    let after = Idle::look();
    assert!(after.groups_are_as_many_as(&idle), "{after:?} and before {idle:?}");
}

#[test]
fn kill_9_of_the_server_leaves_nothing() {
    becomes_ready();
    let before = restarts();
    kill_while_runs_go(main_pid(SERVER));
    write_down("systemd".as_ref(), "NRestarts of both halves", before, restarts());
}

#[test]
fn kill_9_of_the_supervisor_leaves_nothing() {
    becomes_ready();
    let before = restarts();
    kill_while_runs_go(supervisor().pid);
    write_down("systemd".as_ref(), "NRestarts of both halves", before, restarts());
}

fn restarts() -> Value {
    json!([SERVER, SUPERVISOR].map(|unit| property(unit, "NRestarts")))
}

/// Readiness goes first; what is under way ends by itself.
#[test]
fn a_stop_drains() {
    let idle = Idle::look();
    let stream = start(SHORT);
    let seen = idle.runs();
    succeeds("systemctl", &["--no-block", "stop", SERVER]);
    assert!(eventually(PATIENCE, || !is_ready()), "ready while it stops");
    if let Some((status, words)) = get("/readyz") {
        assert_eq!(status, 503, "{words}");
    }
    let answer = stream.answer().expect("ok");
    assert_eq!(answer.stdout(), "under way\nended by itself\n");
    seen.is_gone();
    assert!(eventually(PATIENCE, || property(SERVER, "ActiveState") == "inactive"));
    assert_eq!(property(SERVER, "Result"), "success");
    succeeds("systemctl", &["start", SERVER]);
    answers();
}

/// A run that does not want to end does not keep the service from stopping.
#[test]
fn a_stop_of_both_halves_leaves_nothing() {
    let idle = Idle::look();
    let stream = start(STUBBORN);
    let seen = idle.runs();
    let group = supervisors_group();
    succeeds("systemctl", &["stop", SERVER, SUPERVISOR, SOCKET]);
    drop(stream);
    seen.is_gone();
    is_gone(&group);
    succeeds("systemctl", &["start", SERVER, SUPERVISOR, SOCKET]);
    answers();
}

#[test]
fn a_restart_of_either_half_leaves_nothing() {
    for unit in [SERVER, SUPERVISOR] {
        let idle = Idle::look();
        let stream = start(STUBBORN);
        let seen = idle.runs();
        succeeds("systemctl", &["restart", unit]);
        drop(stream);
        seen.is_gone();
        answers();
    }
}

/// Without a control group that takes limits there is no service, and the journal says what to do.
#[test]
fn a_denied_delegation_is_refused_and_the_journal_says_so() {
    becomes_ready();
    with_drop_in(SUPERVISOR, "[Service]\nDelegate=no\n", || {
        // The manager of a user who stays logged in asks for the same controllers.
        succeeds("systemctl", &["stop", "user@*.service", SERVER, SUPERVISOR, SOCKET]);
        hand_on_no_cpu(Path::new("/sys/fs/cgroup"));
        is_refused(&["does not hand on cpu", "Delegate=yes"]);
    });
    succeeds("systemctl", &["restart", "systemd-logind.service"]);
    answers();
}

#[test]
fn control_groups_that_cannot_be_written_are_refused_and_the_journal_says_so() {
    becomes_ready();
    with_drop_in(SUPERVISOR, "[Service]\nProtectControlGroups=yes\n", || {
        is_refused(&["Read-only file system", "fix"]);
    });
    answers();
}

/// Starts the supervisor, which must not be ready, and looks for these words in its journal.
#[track_caller]
fn is_refused(words: &[&str]) {
    let done = output("systemctl", &["restart", SUPERVISOR]);
    assert!(!done.status.success(), "started without limits");
    let journal = journal(&[SUPERVISOR], 60);
    assert!(words.iter().all(|words| journal.contains(words)), "{journal}");
    assert!(!is_ready(), "served without limits");
    write_down("journal".as_ref(), "the supervisor says", "active", words.join(", "));
}

/// From the leaves up, as the kernel wants it.
fn hand_on_no_cpu(group: &Path) {
    for entry in fs::read_dir(group).expect("a control group").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            hand_on_no_cpu(&entry.path());
        }
    }
    let file = group.join("cgroup.subtree_control");
    let handed_on = fs::read_to_string(&file).unwrap_or_default();
    if handed_on.split_whitespace().any(|name| name == "cpu") {
        fs::write(&file, "-cpu").unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        write_down(
            &file,
            "controllers",
            handed_on.trim(),
            fs::read_to_string(&file).unwrap_or_default().trim(),
        );
    }
}

/// While a run is under way; it gets its answer.
#[test]
fn an_upgrade_lets_runs_end_and_serves_again() {
    let idle = Idle::look();
    let version = || succeeds("dpkg-query", &["--show", "--showformat=${Version}", "primcs"]);
    let before = version();
    let stream = start(SHORT);
    let seen = idle.runs();
    let newer = env::var("PRIMCS_TEST_NEWER_PACKAGE").expect("PRIMCS_TEST_NEWER_PACKAGE");
    succeeds("apt-get", &["install", "--yes", &newer]);
    stream.answer().expect("ok");
    seen.is_gone();
    assert_ne!(version(), before);
    for unit in [SERVER, SUPERVISOR, SOCKET] {
        assert!(eventually(PATIENCE, || is_active(unit)), "{unit}");
    }
    answers();
    write_down("dpkg".as_ref(), "version", before, version());
}
