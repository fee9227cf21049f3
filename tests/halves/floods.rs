//! More than the supervisor can do: it says busy, stays small, and never waits for the server.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use primcs::wire::{CancelReason, Refusal, ToServer, ToSupervisor, Verdict};

use super::fake_server::FakeServer;
use super::support::aloud::not_tried;
use super::support::processes::{assert_gone, descendants};
use super::support::programs::limits_are_hard;

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
            other @ (ToServer::Welcome(_) | ToServer::Unable(_) | ToServer::Probed(_)) => {
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

/// Ends that come together once took the place of another run's word, for which the supervisor then
/// waited while every clock stood still.
#[test]
fn runs_that_end_at_once_hold_up_nobody() {
    const AT_ONCE: usize = 6;
    let (mut fake, _) = FakeServer::greeted(&[]);
    for _ in 0..10 {
        let together = SystemTime::now() + Duration::from_millis(500);
        let together = together.duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
        let code = format!("import time\nwhile time.time() < {together}: time.sleep(0)");
        for _ in 0..AT_ONCE {
            let request = fake.request(&code);
            fake.send(&request);
        }
        // Younger than all of them, and silent.
        let silent = fake.run_request("import time\ntime.sleep(600)");
        fake.send(&ToSupervisor::Run(silent.clone()));
        let (mut pipes, mut live, mut ended) = (Vec::new(), None, 0);
        while ended < AT_ONCE || live.is_none() {
            match fake.receive() {
                Some((ToServer::Started(run), handed)) => {
                    pipes.extend(handed);
                    live = live.or((run.request == silent.request).then_some(run.run_id));
                }
                Some((ToServer::Ended(run), _)) => {
                    assert_eq!(run.verdict, Verdict::Ok);
                    ended += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        fake.send(&ToSupervisor::Cancel {
            run_id: live.expect("it is live"),
            why: CancelReason::Client,
        });
        assert!(matches!(fake.receive(), Some((ToServer::Ended(_), _))));
    }
}

#[test]
fn a_request_number_in_use_is_out_of_turn() {
    let (mut fake, _) = FakeServer::greeted(&[]);
    let (started, _pipes, processes) = fake.long_run();
    let mut again = fake.run_request("print(1)");
    again.request = started.request;
    fake.send(&ToSupervisor::Run(again));
    // Neither a second run nor an answer to the first: all of it ends.
    assert_gone(&processes, Duration::from_secs(1));
    fake.assert_ends();
}

#[test]
fn a_request_number_whose_run_has_ended_is_free() {
    let (mut fake, _) = FakeServer::greeted(&[]);
    let request = fake.request("print(1)");
    for _ in 0..2 {
        assert_eq!(fake.verdict_of(&request), Verdict::Ok);
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
    assert_gone(&below, Duration::from_secs(2));
    fake.assert_ends();
}

/// KiB in memory; 0 when the process has ended.
fn resident(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// By the kernel's own counts.
#[test]
fn a_quiet_probe_runs_into_no_limit_of_which_the_kernels_log_would_tell() {
    if !limits_are_hard() {
        return not_tried("there are no cgroups, which count");
    }
    let (mut fake, _) = FakeServer::greeted(&[]);
    for quiet in [true, false, true] {
        fake.send(&ToSupervisor::Probe { quiet });
        let Some((ToServer::Probed(report), _)) = fake.receive() else { panic!("no answer") };
        assert_eq!(report.problem, None);
        let counted = report.counted.as_ref().expect("a cgroup");
        let ran_into = (counted.out_of_memory, counted.pids_refused > 0);
        assert_eq!(ran_into, (!quiet, !quiet), "{counted:?}");
        assert!(counted.cpu_periods > 0 && report.text.contains("limit.disk held"), "{report:?}");
    }
}

#[test]
fn a_flood_of_probes_and_cancels_is_survived() {
    let (mut fake, _) = FakeServer::greeted(&[]);
    for _ in 0..200 {
        fake.send(&ToSupervisor::Cancel { run_id: "none".to_owned(), why: CancelReason::Client });
    }
    for _ in 0..5 {
        fake.send(&ToSupervisor::Probe { quiet: true });
    }
    for _ in 0..5 {
        match fake.receive() {
            Some((ToServer::Probed(report), _)) => assert_eq!(report.problem, None),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fake.verdict("print(1)"), Verdict::Ok);
}
