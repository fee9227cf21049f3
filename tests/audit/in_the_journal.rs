//! Records in the journal: as fields, and no run without one.
#![forbid(unsafe_code)]

use std::os::unix::net::UnixDatagram;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use primcs::wire::{Refusal, ToServer, Verdict};

use super::fake_server::FakeServer;
use super::journal::Journal;
use super::support::mcp::run;
use super::support::processes::eventually;
use super::support::programs::{Build, limits_are_hard, program, state_dir};

/// A supervisor whose stderr is the journal's.
fn audited(journal: &Journal) -> FakeServer {
    let mut command = journal.command(program(Build::Normal, "primcs-supervisor"));
    command.arg("--state-dir").arg(state_dir(Build::Normal)).arg("--audit");
    assert!(limits_are_hard(), "root has them");
    FakeServer::start_with(command)
}

#[test]
fn a_record_is_one_entry_with_its_fields() {
    let Some(journal) = Journal::new("fields") else { return };
    let mut fake = audited(&journal);
    let welcome = fake.greet();
    assert_eq!(fake.verdict("raise SystemExit(3)"), Verdict::Error);
    let opened = journal.record("opened");
    assert_eq!(opened["PRIMCS_POLICY_DIGEST"], welcome.policy_digest);
    let record = journal.record("run");
    let page = include_str!("../../docs/audit.md");
    assert!(page.contains(&record["MESSAGE_ID"]));
    for name in record.keys().filter(|name| name.starts_with("PRIMCS_")) {
        assert!(page.contains(&format!("| `{name}` |")), "{name} is not in docs/audit.md");
    }
    for (name, value) in [
        ("SYSLOG_IDENTIFIER", "primcs-supervisor"),
        ("PRIORITY", "5"),
        ("PRIMCS_VERDICT", "error"),
        ("PRIMCS_EXIT_CODE", "3"),
        ("PRIMCS_PRINCIPAL", "local"),
        ("PRIMCS_LIMITS_HARD", "true"),
    ] {
        assert_eq!(record.get(name).map(String::as_str), Some(value), "{record:?}");
    }
    fake.hang_up();
    journal.record("closed");
}

#[test]
fn what_ran_is_known_even_when_the_supervisor_did_not_live_to_see_the_end() {
    let Some(journal) = Journal::new("killed") else { return };
    let mut fake = audited(&journal);
    fake.greet();
    let (started, _pipes, _) = fake.long_run();
    kill(Pid::from_raw(fake.pid()), Signal::SIGKILL).expect("a signal");
    let record = journal.record("begun");
    assert_eq!(record["PRIMCS_RUN_ID"], started.run_id);
    for name in ["PRINCIPAL", "CODE_SHA256", "CODE_BYTES", "HOST_UID", "ASKED_AT_MS"] {
        assert!(record.contains_key(&format!("PRIMCS_{name}")), "{name}: {record:?}");
    }
}

/// Of a flood that the journal is still reading: its socket is full at nearly any moment.
#[test]
fn a_flood_that_the_journal_keeps_up_with_stops_no_run() {
    let Some(journal) = Journal::new("burst") else { return };
    let mut fake = audited(&journal);
    fake.greet();
    let over = AtomicBool::new(false);
    let (path, mut refused, mut ended) = (journal.path(), 0, 0);
    let flood = UnixDatagram::unbound().expect("a socket");
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                flood.send_to(b"MESSAGE=flood\n", &path).expect("it listens");
            }
            flood.send_to(b"MESSAGE=the last\n", &path).expect("it listens");
        });
        let reader = threads.spawn(|| {
            let mut ran = 0;
            loop {
                let entry = journal.next();
                if entry.get("MESSAGE").is_some_and(|message| message == "the last") {
                    return ran;
                }
                ran += u32::from(entry.get("PRIMCS_AUDIT").is_some_and(|kind| kind == "run"));
                // As long as journald takes for an entry.
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        // No assertion before the threads have ended.
        while refused == 0 && ended < 20 {
            let request = fake.request("pass");
            fake.send(&request);
            match fake.receive() {
                Some((ToServer::Started(_), _)) => {
                    ended += u32::from(matches!(fake.receive(), Some((ToServer::Ended(_), _))));
                }
                _ => refused += 1,
            }
        }
        over.store(true, Ordering::Relaxed);
        assert_eq!(reader.join().expect("the reader"), ended);
    });
    assert_eq!((refused, ended), (0, 20));
}

#[test]
fn without_a_journal_no_run_starts_and_no_record_is_lost() {
    let Some(mut journal) = Journal::new("gone") else { return };
    let mut fake = audited(&journal);
    fake.greet();
    let (started, _pipes, _) = fake.long_run();
    journal.go();
    // The one under way ends, and its record waits.
    fake.send(&primcs::wire::ToSupervisor::Cancel {
        run_id: started.run_id.clone(),
        why: primcs::wire::CancelReason::Client,
    });
    let Some((ToServer::Ended(_), _)) = fake.receive() else { panic!("it goes on") };
    for _ in 0..3 {
        let request = fake.request("print(1)");
        fake.send(&request);
        match fake.receive() {
            Some((ToServer::Refused { refusal: Refusal::SandboxFailed { message }, .. }, _)) => {
                assert!(message.contains("audit record") && message.contains("systemd-journald"));
            }
            other => panic!("not refused but {other:?}"),
        }
    }
    journal.listen();
    let record = journal.record("run");
    assert_eq!(
        (&record["PRIMCS_RUN_ID"], record["PRIMCS_VERDICT"].as_str()),
        (&started.run_id, "cancelled")
    );
    assert_eq!(fake.verdict("print(1)"), Verdict::Ok);
    // Those refused meanwhile are told of by the next record, which is made before its run is.
    assert_eq!(journal.record("begun")["PRIMCS_UNRECORDED"], "3");
    let record = journal.record("run");
    assert_eq!(
        (record["PRIMCS_VERDICT"].as_str(), record["PRIMCS_UNRECORDED"].as_str()),
        ("ok", "0")
    );
}

#[test]
fn where_no_journal_listens_the_supervisor_does_not_start_and_says_why() {
    let Some(mut journal) = Journal::new("none") else { return };
    journal.go();
    let mut fake = audited(&journal);
    fake.send(&super::fake_server::hello());
    match fake.receive_within(Duration::from_secs(120)) {
        Some((ToServer::Unable(unable), _)) => {
            assert!(unable.problem.contains("audit record"), "{unable:?}");
        }
        other => panic!("not unable but {other:?}"),
    }
}

/// The kernel lets a few datagrams wait for a journal that is there and does not read.
#[test]
fn a_journal_that_does_not_read_holds_nothing_up_and_in_the_end_has_each_run_once() {
    let Some(journal) = Journal::new("slow") else { return };
    let mut fake = audited(&journal);
    fake.greet();
    let waits: usize = std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .expect("a number");
    let mut ran = 0;
    loop {
        let request = fake.request("pass");
        fake.send(&request);
        let asked = Instant::now();
        match fake.receive() {
            Some((ToServer::Started(_), _)) => {}
            Some((ToServer::Refused { .. }, _)) => {
                assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
                break;
            }
            other => panic!("{other:?}"),
        }
        let Some((ToServer::Ended(_), _)) = fake.receive() else { panic!("it goes on") };
        ran += 1;
        assert!(ran <= waits + 2, "more run than records can wait");
    }
    fake.hang_up();
    let mut ids = std::collections::BTreeSet::new();
    loop {
        let record = journal.next();
        match record["PRIMCS_AUDIT"].as_str() {
            "run" => assert!(ids.insert(record["PRIMCS_RUN_ID"].clone()), "twice"),
            "closed" => break,
            _ => {}
        }
    }
    assert_eq!(ids.len(), ran);
}

/// As when somebody floods it, which any program of the host can: the server's own socket does.
#[test]
fn a_journal_that_takes_no_entry_to_the_end_gets_each_record_as_text() {
    let Some(mut journal) = Journal::new("flooded") else { return };
    let mut fake = audited(&journal);
    fake.greet();
    let (started, _pipes, _) = fake.long_run();
    journal.go();
    fake.hang_up();
    let mut text = String::new();
    let has_both = eventually(Duration::from_secs(10), || {
        text.push_str(&journal.stderr());
        text.contains("\"audit\":\"closed\"")
    });
    assert!(has_both, "{text}");
    let records =
        text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let told: Vec<_> =
        records.map(|record| (record["audit"].clone(), record["run_id"].clone())).collect();
    assert_eq!(told[0], ("run".into(), started.run_id.into()), "{text}");
    assert!(text.contains("ALARM") && !text.contains("lost"), "{text}");
}

/// Ends with the test, however that ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself, as it should.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn both_halves_speak_of_a_run_by_one_id_and_stderr_stays_empty() {
    let Some(journal) = Journal::new("server") else { return };
    let mut command = journal.command(program(Build::Normal, "primcs"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--state-dir"]).arg(state_dir(Build::Normal));
    let mut server = Killed(command.spawn().expect("primcs"));
    let address = loop {
        if let Some(address) = journal.next().get("PRIMCS_ADDRESS") {
            break address.parse().expect("an address");
        }
    };
    // From here on the server is confined, and still has its journal.
    assert_eq!(run(address, "print(6 * 7)").stdout(), "42\n");
    let record = journal.record("run");
    let said = journal.next();
    assert_eq!(said["PRIMCS_RUN_ID"], record["PRIMCS_RUN_ID"]);
    for (name, value) in [
        ("MESSAGE", "run"),
        ("SYSLOG_IDENTIFIER", "primcs"),
        ("PRIMCS_TARGET", "primcs::server::run"),
        ("PRIMCS_STATUS", "ok"),
        ("PRIORITY", "6"),
    ] {
        assert_eq!(said.get(name).map(String::as_str), Some(value), "{said:?}");
    }
    let pid = Pid::from_raw(i32::try_from(server.0.id()).expect("a pid"));
    kill(pid, Signal::SIGTERM).expect("a signal");
    journal.record("closed");
    let over = eventually(Duration::from_secs(10), || server.0.try_wait().expect("wait").is_some());
    assert!(over, "it goes on");
    assert_eq!(journal.stderr(), "");
}
