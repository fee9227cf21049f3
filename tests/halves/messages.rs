//! Messages that no true server sends.
#![forbid(unsafe_code)]

use std::time::Duration;

use primcs::policy::Policy;
use primcs::wire::codec::MAX_MESSAGE;
use primcs::wire::{CancelReason, Refusal, ToServer, ToSupervisor, Verdict};
use serde_json::json;

use super::fake_server::{FakeServer, hello, hello_with};
use super::support::processes::assert_gone;

fn bytes(message: &ToSupervisor) -> Vec<u8> {
    serde_json::to_vec(message).expect("JSON")
}

/// Sends this first, in place of a hello.
#[track_caller]
fn refused_before_hello(first: &[u8]) {
    let mut fake = FakeServer::start(&[]);
    fake.send_raw(first, &[]);
    fake.assert_ends();
}

/// Sends this while a run is live.
#[track_caller]
fn refused_after_hello(what: &str, message: &[u8]) {
    let (mut fake, _) = FakeServer::greeted(&[]);
    let (_, _pipes, processes) = fake.long_run();
    fake.send_raw(message, &[]);
    assert_gone(&processes, Duration::from_secs(1));
    eprintln!("{what}");
    fake.assert_ends();
}

#[test]
fn a_true_server_is_served() {
    let (mut fake, welcome) = FakeServer::greeted(&[]);
    assert_eq!(welcome.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(fake.verdict("print(1)"), Verdict::Ok);
    fake.hang_up();
    fake.assert_ends();
}

#[test]
fn another_version_is_refused() {
    let digest = Policy::embedded().expect("the policy").digest;
    refused_before_hello(&bytes(&hello_with("0.0.1-other", &digest)));
}

/// proves: always trust
#[test]
fn another_policy_is_refused() {
    refused_before_hello(&bytes(&hello_with(env!("CARGO_PKG_VERSION"), &"0".repeat(64))));
}

#[test]
fn a_run_before_hello_is_refused() {
    let mut fake = FakeServer::start(&[]);
    let request = fake.request("print(1)");
    fake.send(&request);
    fake.assert_ends();
}

#[test]
fn a_probe_before_hello_is_refused() {
    refused_before_hello(&bytes(&ToSupervisor::Probe { quiet: false }));
}

#[test]
fn a_cancel_before_hello_is_refused() {
    let cancel = ToSupervisor::Cancel { run_id: "x".to_owned(), why: CancelReason::Client };
    refused_before_hello(&bytes(&cancel));
}

#[test]
fn a_second_hello_is_refused() {
    refused_after_hello("a second hello", &bytes(&hello()));
}

#[test]
fn malformed_messages_are_refused() {
    let messages: [(&str, Vec<u8>); 10] = [
        ("cut short", b"{\"type\":\"run\",\"request\":1,\"princ".to_vec()),
        ("no JSON", b"run print(1)".to_vec()),
        ("no UTF-8", b"{\"type\":\"probe\",\"quiet\":true,\"\xff\xfe\":1}".to_vec()),
        ("two in one packet", b"{\"type\":\"probe\",\"quiet\":true}".repeat(2)),
        ("a list", b"[]".to_vec()),
        ("nothing but depth", vec![b'['; 100_000]),
        ("a zero byte", vec![0]),
        ("empty", Vec::new()),
        ("unknown", json!({ "type": "shell", "command": "id" }).to_string().into_bytes()),
        ("no type", json!({ "run_id": "1" }).to_string().into_bytes()),
    ];
    for (what, message) in messages {
        refused_after_hello(what, &message);
    }
}

#[test]
fn messages_with_wrong_fields_are_refused() {
    let run = |field: &str, value: serde_json::Value| {
        let mut run = json!({
            "type": "run", "request": 9, "principal": "local", "code": "print(1)", "timeout_ms": null,
        });
        run[field] = value;
        run.to_string().into_bytes()
    };
    for (what, message) in [
        ("an unknown field", run("uid", json!(0))),
        ("a path for code", run("code", json!({ "path": "/etc/shadow" }))),
        ("a negative time", run("timeout_ms", json!(-1))),
        ("a huge number", run("request", json!(1e300))),
        ("no code", b"{\"type\":\"run\",\"request\":1,\"principal\":\"local\"}".to_vec()),
        (
            "an unknown reason",
            json!({"type": "cancel", "run_id": "x", "why": "ok"}).to_string().into_bytes(),
        ),
        (
            "a word of the supervisor's",
            json!({"type": "probed", "failure": null}).to_string().into_bytes(),
        ),
    ] {
        refused_after_hello(what, &message);
    }
}

/// proves: always supervisor
#[test]
fn oversized_messages_are_refused() {
    let mut request = serde_json::to_vec(&json!({
        "type": "run", "request": 1, "principal": "local", "code": "#", "timeout_ms": null,
    }))
    .expect("JSON");
    // Spaces between values are JSON, so only the size is wrong.
    request.resize(MAX_MESSAGE + 1, b' ');
    refused_after_hello("one byte too long", &request);
}

/// proves: limits wall ceiling; always supervisor
#[test]
fn more_time_than_policy_allows_is_not_granted() {
    let (mut fake, welcome) = FakeServer::greeted(&[]);
    let mut run = fake.run_request("print(1)");
    run.timeout_ms = Some(u64::MAX);
    fake.send(&ToSupervisor::Run(run));
    match fake.receive() {
        Some((ToServer::Started(started), _)) => {
            assert_eq!(started.limits.wall_ms, welcome.timeout_ceiling_ms);
        }
        other => panic!("not started but {other:?}"),
    }
}

/// The server checks this too; a server that is not itself any more may not.
#[test]
fn more_code_than_policy_allows_is_not_run() {
    let most = Policy::embedded().expect("the policy").limits.call.code_characters.value;
    let most = usize::try_from(most).expect("a short length");
    let (mut fake, _) = FakeServer::greeted(&[]);
    let padded = |length: usize| format!("{:<length$}", "print(1)");
    assert_eq!(fake.verdict(&padded(most)), Verdict::Ok);
    for code in [padded(most + 1), "print(1)\0".to_owned()] {
        let request = fake.request(&code);
        fake.send(&request);
        match fake.receive() {
            Some((ToServer::Refused { refusal: Refusal::Rejected { .. }, .. }, none)) => {
                assert!(none.is_empty());
            }
            other => panic!("not rejected but {other:?}"),
        }
    }
}

#[test]
fn cancelling_runs_that_do_not_exist_does_nothing() {
    let (mut fake, _) = FakeServer::greeted(&[]);
    let (started, _pipes, processes) = fake.long_run();
    let prefix: String = started.run_id.chars().take(4).collect();
    for run_id in ["", "1", "../../x", "\0", prefix.as_str(), &"x".repeat(10_000)] {
        fake.send(&ToSupervisor::Cancel { run_id: run_id.to_owned(), why: CancelReason::Client });
    }
    // In order, so all of the above have been read when this is answered.
    assert_eq!(fake.verdict("print(1)"), Verdict::Ok);
    assert!(processes.iter().all(super::support::processes::Process::lives), "a wrong run ended");
    fake.send(&ToSupervisor::Cancel { run_id: started.run_id, why: CancelReason::Client });
    match fake.receive() {
        Some((ToServer::Ended(ended), _)) => assert_eq!(ended.verdict, Verdict::Cancelled),
        other => panic!("not ended but {other:?}"),
    }
    assert_gone(&processes, Duration::from_secs(1));
}

/// proves: always supervisor
#[test]
fn the_server_cannot_choose_a_verdict_but_its_reason_of_a_cancel() {
    let (mut fake, _) = FakeServer::greeted(&[]);
    for (why, verdict) in [
        (CancelReason::Client, Verdict::Cancelled),
        (CancelReason::OutputLimit, Verdict::OutputLimit),
        (CancelReason::Shutdown, Verdict::Killed),
    ] {
        let (started, _pipes, _) = fake.long_run();
        fake.send(&ToSupervisor::Cancel { run_id: started.run_id, why });
        match fake.receive() {
            Some((ToServer::Ended(ended), _)) => assert_eq!(ended.verdict, verdict),
            other => panic!("not ended but {other:?}"),
        }
    }
}

/// proves: ending server
#[test]
fn a_server_that_dies_takes_its_runs_along() {
    let (mut fake, _) = FakeServer::greeted(&[]);
    let (_, pipes, processes) = fake.long_run();
    drop(pipes);
    fake.hang_up();
    assert_gone(&processes, Duration::from_secs(1));
    fake.assert_ends();
}

#[test]
fn a_principal_is_a_name_that_no_run_and_no_log_ever_shows() {
    let names = ["../../root".to_owned(), "hostile\u{202e}\"\\".to_owned(), "hostile".repeat(36)];
    // No run is recorded under these, so none starts.
    let refused =
        [String::new(), "hostile\nhostile \u{1b}[2Jhostile\0".to_owned(), "hostile".repeat(37)];
    // Whatever a program can read of itself and of its surroundings.
    let code = "
import os, socket
seen = [repr(os.environ), repr(os.listdir('/workspace')), socket.gethostname(), *os.listdir('/tmp')]
for name in ('cmdline', 'environ', 'cgroup', 'mountinfo', 'status'):
    seen.append(open('/proc/self/' + name).read())
    seen.append(open('/proc/1/' + name).read() if name in ('cgroup', 'status') else '')
assert 'hos' + 'tile' not in ''.join(seen), seen
";
    let (mut fake, _) = FakeServer::greeted(&[]);
    for principal in names {
        let mut run = fake.run_request(code);
        run.principal.clone_from(&principal);
        assert_eq!(fake.verdict_of(&ToSupervisor::Run(run)), Verdict::Ok, "{principal:?}");
    }
    for principal in refused {
        let mut run = fake.run_request(code);
        run.principal = principal;
        fake.send(&ToSupervisor::Run(run));
        let answer = fake.receive();
        assert!(matches!(answer, Some((ToServer::Refused { .. }, _))), "{answer:?}");
    }
    // The same code does find what is there to be found.
    let found = fake.request(&format!("import os\nos.mkdir('hostile')\n{code}"));
    assert_eq!(fake.verdict_of(&found), Verdict::Error);
    // Refused, so that the supervisor has something to log.
    let mut last = fake.run_request("pass");
    last.principal = "hostile\nhostile".to_owned();
    fake.send_raw(&[bytes(&ToSupervisor::Run(last)), b"}".to_vec()].concat(), &[]);
    let log = fake.log_at_the_end();
    assert!(log.contains("broke the protocol"), "{log:?}");
    assert!(!log.contains("hostile"), "{log:?}");
}
