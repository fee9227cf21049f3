//! More than the supervisor can do: it says busy, stays small, and never waits for the server.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use primcs::wire::{Refusal, ToServer, ToSupervisor, Verdict};

use super::fake_server::FakeServer;
use super::support::processes::descendants;

#[test]
fn a_flood_of_runs_is_refused_busy() {
    let (mut fake, welcome) = FakeServer::greeted(&["--max-runs", "2"]);
    assert_eq!(welcome.max_runs, 2);
    let mut open = BTreeSet::new();
    let (mut started, mut refused, mut early) = (0, 0, 0);
    for _ in 0..60 {
        let request = fake.request("import time\ntime.sleep(3)");
        if let ToSupervisor::Run(run) = &request {
            open.insert(run.request);
        }
        fake.send(&request);
    }
    while !open.is_empty() {
        match fake.receive().expect("an answer to each").0 {
            ToServer::Started(run) => {
                assert!(open.remove(&run.request), "answered twice");
                started += 1;
            }
            ToServer::Refused { request, refusal } => {
                assert_eq!(refusal, Refusal::Busy);
                assert!(open.remove(&request), "answered twice");
                refused += 1;
            }
            ToServer::Ended(_) => early += 1,
            other @ (ToServer::Welcome(_) | ToServer::Unable { .. } | ToServer::Probed { .. }) => {
                panic!("{other:?}")
            }
        }
        assert!(started <= 2, "more runs than places");
    }
    assert_eq!((started, refused), (2, 58));
    for _ in early..2 {
        assert!(matches!(fake.receive(), Some((ToServer::Ended(_), _))));
    }
    assert_eq!(fake.verdict("print('after the flood')"), Verdict::Ok);
}

#[test]
fn one_request_number_cannot_be_used_twice_at_once() {
    let (mut fake, _) = FakeServer::greeted(&[]);
    let request = fake.request("import time\ntime.sleep(1)");
    fake.send(&request);
    fake.send(&request);
    let mut ids = BTreeSet::new();
    // Two runs, or the end of the connection: never one id for two runs.
    for _ in 0..2 {
        match fake.receive() {
            Some((ToServer::Started(run), _)) => assert!(ids.insert(run.run_id)),
            Some((ToServer::Refused { .. }, _)) | None => return,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_server_that_never_reads_does_not_make_the_supervisor_grow_or_stay() {
    let (mut fake, _) = FakeServer::greeted(&["--max-runs", "1"]);
    let socket = fake.socket().as_raw_fd();
    let flags = OFlag::from_bits_retain(fcntl(fake.socket(), FcntlArg::F_GETFL).expect("flags"));
    fcntl(fake.socket(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).expect("non-blocking");
    let small = resident(fake.pid());
    let request = fake.request(&"#".repeat(10_000));
    let bytes = serde_json::to_vec(&request).expect("JSON");
    let until = Instant::now() + Duration::from_secs(3);
    let mut sent = 0_u32;
    while Instant::now() < until {
        match primcs::sys::socket::send_packet(fake.socket().as_fd(), &bytes, &[]) {
            Ok(()) => sent += 1,
            Err(full) if full.kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1));
            }
            // Hung up on us: as good an answer as refusing to read.
            Err(_) => break,
        }
    }
    assert!(sent > 10, "only {sent} requests went out on {socket}");
    let grown = resident(fake.pid()).saturating_sub(small);
    assert!(grown < 64 << 10, "grew by {grown} KiB after {sent} requests");
    let below = descendants(fake.pid());
    fake.hang_up();
    super::support::processes::assert_gone(&below, Duration::from_secs(2));
    fake.assert_ends();
}

/// KiB in memory; 0 when the process has ended.
fn resident(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn a_flood_of_probes_and_cancels_is_survived() {
    let (mut fake, _) = FakeServer::greeted(&[]);
    for _ in 0..200 {
        fake.send(&ToSupervisor::Cancel {
            run_id: "none".to_owned(),
            why: primcs::wire::CancelReason::Client,
        });
    }
    for _ in 0..5 {
        fake.send(&ToSupervisor::Probe);
    }
    for _ in 0..5 {
        match fake.receive() {
            Some((ToServer::Probed { failure }, _)) => assert_eq!(failure, None),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fake.verdict("print(1)"), Verdict::Ok);
}
