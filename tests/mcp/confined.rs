//! The server half confines itself: what the kernel says about its threads, and what happens when
//! it tries to leave.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::aloud::not_tried;
use crate::support::mcp::run;
use crate::support::processes::eventually;
use crate::support::programs::{Build, finish, primcs, weaken};
use crate::support::server::shared;

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name} is missing")).trim()
}

/// proves: always server
#[test]
fn every_thread_of_the_server_is_without_privilege_and_filtered() {
    let server = shared();
    let Some(pid) = server.own_pid() else {
        return not_tried("which process the service at PRIMCS_TEST_URL is, is not known");
    };
    assert_eq!(run(server.address, "print(1)").stdout(), "1\n");
    let root = nix::unistd::geteuid().is_root();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let mut count = 0;
    for thread in threads {
        let path = thread.expect("a thread").path();
        let status = fs::read_to_string(path.join("status")).expect("its status");
        count += 1;
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(field(&status, set), "0000000000000000", "{set}");
        }
        assert_eq!(field(&status, "NoNewPrivs"), "1");
        assert_eq!(field(&status, "Seccomp"), "2");
        if root {
            assert_eq!(field(&status, "CapBnd"), "0000000000000000");
            assert_eq!(field(&status, "Groups"), "");
            for ids in ["Uid", "Gid"] {
                let ids: Vec<_> = field(&status, ids).split_whitespace().collect();
                assert!(ids.iter().all(|id| *id != "0" && *id == ids[0]), "{ids:?}");
            }
        }
    }
    assert!((2..100).contains(&count), "{count} threads");
}

#[test]
fn the_server_keeps_no_environment_and_no_descriptor_that_its_starter_had_for_others() {
    // The shell leaves descriptor 9 open, as careless starters do.
    let mut starter = Command::new("sh");
    starter.args(["-c", r#"exec 9</etc/hostname; exec "$0" "$@""#]);
    let server = primcs(Build::Normal, "stdio");
    starter.arg(server.get_program()).args(server.get_args());
    let own = server.get_envs().filter_map(|(name, value)| Some((name, value?)));
    starter.envs(own).env("AWS_SECRET_ACCESS_KEY", "key of the operator");
    starter.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = starter.spawn().expect("a server");
    let of = |name: &str| format!("/proc/{}/{name}", server.id());
    let has_started = || fs::read(of("comm")).is_ok_and(|name| name == b"primcs\n");
    let forgets = || {
        let environment = fs::read(of("environ")).unwrap_or_default();
        let there = !environment.is_empty() && !of_the_operator(&environment);
        has_started() && there && !Path::new(&of("fd/9")).exists()
    };
    let forgotten = eventually(Duration::from_secs(20), forgets);
    let environment = fs::read(of("environ")).map(|bytes| of_the_operator(&bytes));
    drop(server.stdin.take());
    server.wait().expect("its end");
    assert!(forgotten, "the key is there: {environment:?}");
}

fn of_the_operator(environment: &[u8]) -> bool {
    environment.windows(4).any(|four| four == b"AWS_")
}

/// What the server's own attempts met, with these barriers away.
fn attempts(without: &[&str]) -> String {
    let mut command = primcs(Build::Weakened, "stdio");
    command.env("PRIMCS_PROVE", "1");
    if !without.is_empty() {
        command.env("PRIMCS_WEAKEN", weaken(without));
    }
    let log = finish(&mut command, "").stderr();
    assert!(log.contains("\"tried\""), "no attempt was made: {log}");
    log
}

fn met<'a>(log: &'a str, attempt: &str) -> &'a str {
    let (_, rest) = log.split_once(&format!("\"{attempt}\":\"")).unwrap_or_else(|| {
        panic!("{attempt} is missing in {log}");
    });
    rest.split('"').next().unwrap_or_default()
}

/// proves: seccomp-server deny openat; seccomp-server deny mount; seccomp-server deny bind
/// proves: seccomp-server deny execve; seccomp-server deny statx
#[test]
fn the_server_can_open_no_file_mount_nothing_listen_nowhere_and_start_no_program() {
    let log = attempts(&[]);
    for attempt in ["shadow", "passwd", "look", "mount", "listen", "exec"] {
        let said = met(&log, attempt);
        assert!(
            said.contains("ermission denied") || said.contains("not permitted"),
            "{attempt}: {said}"
        );
    }
}

/// proves: process server.landlock; seccomp-server deny openat; seccomp-server deny execve
#[test]
fn each_wall_alone_still_keeps_files_closed_and_programs_unstarted() {
    for without in ["server_seccomp", "server_landlock"] {
        let log = attempts(&[without]);
        assert_ne!(met(&log, "passwd"), "succeeded", "without {without}");
        assert_ne!(met(&log, "exec"), "succeeded", "without {without}");
    }
}

/// proves: process server.landlock
#[test]
fn without_its_walls_it_could() {
    let log = attempts(&["server_seccomp", "server_landlock"]);
    assert_eq!(met(&log, "passwd"), "succeeded");
    assert_eq!(met(&log, "look"), "succeeded");
    assert_eq!(met(&log, "listen"), "succeeded");
    assert!(!log.contains("tried to exec"), "exec came back: {log}");
    if nix::unistd::geteuid().is_root() {
        assert_ne!(met(&log, "shadow"), "succeeded", "its user id is a wall of its own");
        let log = attempts(&["server_seccomp", "server_landlock", "server_privilege"]);
        assert_eq!(met(&log, "shadow"), "succeeded");
        assert!(met(&log, "mount").contains("No such device"), "{}", met(&log, "mount"));
    }
}
