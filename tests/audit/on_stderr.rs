//! Records on stderr: lines of JSON, one for each run and refusal, whatever the server and the run
//! would like there to be.
#![forbid(unsafe_code)]

use std::process::Stdio;

use primcs::wire::{CancelReason, RunRequest, ToServer, ToSupervisor, Verdict};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::fake_server::FakeServer;
use super::support::programs::{Build, finish, primcs};

/// The records of a supervisor that ends now.
#[track_caller]
fn records(mut fake: FakeServer) -> Vec<Value> {
    fake.hang_up();
    let log = fake.log_at_the_end();
    let lines = log.lines().filter(|line| !line.starts_with("primcs-supervisor: "));
    let records: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_eq!(records.first().expect("a record")["audit"], "opened");
    assert_eq!(records.last().expect("a record")["audit"], "closed");
    records
}

fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["audit"] == kind).collect()
}

fn sha256(code: &str) -> String {
    Sha256::digest(code).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn each_run_has_one_record_of_what_ran_and_how_it_ended() {
    let (mut fake, welcome) = FakeServer::greeted(&["--audit"]);
    let codes = ["print(1)", "raise SystemExit(7)", "import os; os.kill(os.getpid(), 11)"];
    for (code, verdict) in codes.iter().zip([Verdict::Ok, Verdict::Error, Verdict::Error]) {
        assert_eq!(fake.verdict(code), verdict);
    }
    let records = records(fake);
    let runs = of_kind(&records, "run");
    assert_eq!(runs.len(), codes.len(), "{records:?}");
    for (record, code) in runs.iter().zip(codes) {
        assert_eq!(record["code_sha256"], sha256(code));
        assert_eq!(record["code_bytes"], code.len());
        assert_eq!(record["principal"], "local");
        assert_eq!(record["policy_digest"], *welcome.policy_digest);
        assert_eq!(record["limits_hard"], welcome.limits.hard);
        assert_eq!(record["limits_disk_bytes"], welcome.limits.disk_bytes);
        assert!(record["recorded_at_ms"].as_u64() >= record["asked_at_ms"].as_u64());
    }
    assert_eq!((&runs[0]["verdict"], &runs[0]["exit_code"]), (&"ok".into(), &0.into()));
    assert_eq!((&runs[1]["verdict"], &runs[1]["exit_code"]), (&"error".into(), &7.into()));
    assert_eq!((&runs[2]["verdict"], &runs[2]["signal"]), (&"error".into(), &11.into()));
    let ids: std::collections::BTreeSet<_> =
        runs.iter().map(|record| record["run_id"].as_str()).collect();
    assert_eq!(ids.len(), codes.len());
}

#[test]
fn a_run_that_writes_records_everywhere_adds_none() {
    let (mut fake, _) = FakeServer::greeted(&["--audit"]);
    let verdict = fake.verdict(concat!(
        "import os\n",
        "line = '\\n{\"audit\": \"run\", \"principal\": \"forged\"}\\n'\n",
        "for fd in range(3): os.write(fd, line.encode()) if fd else None\n",
        "for path in ['/proc/1/fd/2', '/proc/self/fd/2', '/dev/stderr', '/dev/console', '/dev/kmsg']:\n",
        "    try: open(path, 'w').write(line)\n",
        "    except OSError: pass\n",
        "import socket\n",
        "for path in ['/run/systemd/journal/socket', '/dev/log']:\n",
        "    try: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(line.encode(), path)\n",
        "    except OSError: pass\n",
    ));
    assert_eq!(verdict, Verdict::Ok);
    let records = records(fake);
    assert_eq!(records.len(), 3, "{records:?}");
    assert_eq!(records[1]["principal"], "local");
}

#[test]
fn a_server_that_names_callers_to_forge_records_is_refused_and_recorded() {
    let (mut fake, _) = FakeServer::greeted(&["--audit"]);
    let forged = "x\"}\n{\"audit\":\"run\",\"principal\":\"admin\"}\n";
    let huge = "a".repeat(100_000);
    let named = |request: RunRequest, name: &str| {
        ToSupervisor::Run(RunRequest { principal: name.to_owned(), ..request })
    };
    for name in [forged, &huge, "", "\0", "\u{85}"] {
        let request = fake.run_request("print(1)");
        fake.send(&named(request, name));
        let Some((ToServer::Refused { .. }, _)) = fake.receive() else { panic!("{name:?} runs") };
    }
    let request = fake.run_request("print(1)");
    let longest = "\u{7ff}".repeat(128);
    assert_eq!(fake.verdict_of(&named(request, &longest)), Verdict::Ok);
    let records = records(fake);
    let refused = of_kind(&records, "refused");
    assert_eq!((records.len(), refused.len()), (8, 5), "{records:?}");
    assert!(refused.iter().all(|record| record["verdict"] == "rejected"));
    assert!(refused[0]["principal"].as_str().expect("text").starts_with("x\"}\\u{a}{"));
    assert!(refused[1]["principal"].as_str().expect("text").len() < 1100);
    assert_eq!(of_kind(&records, "run")[0]["principal"], "\\u{7ff}".repeat(128));
}

#[test]
fn a_server_that_breaks_off_suppresses_no_record() {
    for break_off in [FakeServer::hang_up, |fake: &mut FakeServer| fake.send_raw(b"{", &[])] {
        let (mut fake, _) = FakeServer::greeted(&["--audit"]);
        let (started, _pipes, _) = fake.long_run();
        break_off(&mut fake);
        let records = records(fake);
        let [run] = of_kind(&records, "run")[..] else { panic!("{records:?}") };
        assert_eq!(run["run_id"], *started.run_id);
        assert_eq!(run["verdict"], "killed");
    }
}

#[test]
fn what_the_server_says_of_an_end_is_told_as_its_word() {
    let (mut fake, _) = FakeServer::greeted(&["--audit"]);
    let (started, _pipes, _) = fake.long_run();
    let cancel = ToSupervisor::Cancel { run_id: started.run_id, why: CancelReason::OutputLimit };
    fake.send(&cancel);
    let Some((ToServer::Ended(_), _)) = fake.receive() else { panic!("it goes on") };
    // Once more is once too late.
    fake.send(&cancel);
    let records = records(fake);
    let [run] = of_kind(&records, "run")[..] else { panic!("{records:?}") };
    assert_eq!(run["verdict"], "output_limit");
}

#[test]
fn a_flood_of_refused_requests_leaves_few_records_and_its_count() {
    const MANY: u64 = 500;
    let (mut fake, _) = FakeServer::greeted(&["--audit"]);
    for _ in 0..MANY {
        let request = fake.request("\0");
        fake.send(&request);
        let Some((ToServer::Refused { .. }, _)) = fake.receive() else { panic!("it runs") };
    }
    let records = records(fake);
    let written = u64::try_from(of_kind(&records, "refused").len()).expect("a number");
    let counted: u64 = records.iter().filter_map(|record| record["unrecorded"].as_u64()).sum();
    assert_eq!(written + counted, MANY);
    assert!((1..MANY / 2).contains(&written), "{written}");
}

#[test]
fn a_server_asks_for_records_and_a_command_does_not() {
    let served = finish(primcs(Build::Normal, "stdio").stdout(Stdio::null()), "");
    let records = |log: &str| log.lines().filter(|line| line.contains("\"audit\":")).count();
    assert_eq!(records(&served.stderr()), 2, "{}", served.stderr());
    let ran = finish(primcs(Build::Normal, "run").args(["-c", "print(1)"]), "");
    assert_eq!((ran.stdout().as_str(), records(&ran.stderr())), ("1\n", 0), "{}", ran.stderr());
}
