//! The server half confines itself: what the kernel says about its threads, and what happens when
//! it tries to leave.
#![forbid(unsafe_code)]

use std::fs;

use crate::support::aloud::not_tried;
use crate::support::mcp::run;
use crate::support::programs::{Build, finish, primcs, weaken};
use crate::support::server::shared;

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name} is missing")).trim()
}

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
/// proves: seccomp-server deny execve
#[test]
fn the_server_can_open_no_file_mount_nothing_listen_nowhere_and_start_no_program() {
    let log = attempts(&[]);
    for attempt in ["shadow", "passwd", "mount", "listen", "exec"] {
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
    assert_eq!(met(&log, "listen"), "succeeded");
    assert!(!log.contains("tried to exec"), "exec came back: {log}");
    if nix::unistd::geteuid().is_root() {
        assert_ne!(met(&log, "shadow"), "succeeded", "its user id is a wall of its own");
        let log = attempts(&["server_seccomp", "server_landlock", "server_privilege"]);
        assert_eq!(met(&log, "shadow"), "succeeded");
        assert!(met(&log, "mount").contains("No such device"), "{}", met(&log, "mount"));
    }
}
