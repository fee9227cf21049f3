//! The HTTP door towards strangers: who is answered, how much they may send, and that a quiet run
//! does not look like a dead server.
#![forbid(unsafe_code)]

use std::io::{BufRead as _, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::json;

use crate::raw::{KeptAlive, header_lines, headers, json, post, post_to, request};
use crate::support::http::{Connection, Response};
use crate::support::mcp::{Call, Era};
use crate::support::processes::{descendants, eventually};
use crate::support::programs::{Build, finish, primcs, with_open_files};
use crate::support::server::{Server, shared};

fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut connection = Connection::open(address);
    connection.send("GET", path, headers, b"");
    connection.response().expect("no HTTP answer")
}

/// Status of a `tools/list` with these headers over the usual ones.
fn list_with(address: SocketAddr, changed: &[(&'static str, &str)]) -> u16 {
    let message = request(Era::Modern, 1, "tools/list", json!({}));
    let mut sent = headers(Era::Modern, &message);
    sent.retain(|(name, _)| !changed.iter().any(|(other, _)| name == other));
    sent.extend(changed.iter().map(|(name, value)| (*name, (*value).to_owned())));
    post_to(address, "/mcp", &sent, message.to_string().as_bytes()).status
}

#[test]
fn both_paths_are_the_same_endpoint_and_no_other_is() {
    let message = request(Era::Modern, 1, "tools/list", json!({}));
    for (path, status) in [("/mcp", 200), ("/mcp/", 200), ("/", 404), ("/mcp/x", 404)] {
        let sent = headers(Era::Modern, &message);
        let response = post_to(shared().address, path, &sent, message.to_string().as_bytes());
        assert_eq!(response.status, status, "{path}");
    }
}

#[test]
fn hosts_and_origins_that_a_browser_was_tricked_into_are_turned_away() {
    let address = shared().address;
    let port = address.port();
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), "[::1]".to_owned()] {
        assert_eq!(list_with(address, &[("Host", &host)]), 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", ""] {
        assert_eq!(list_with(address, &[("Host", host)]), 403, "{host:?}");
    }
    for origin in ["https://evil.example", "http://localhost:3000", "null"] {
        assert_eq!(list_with(address, &[("Origin", origin)]), 403, "{origin}");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(get(address, path, &[("Host", "evil.example")]).status, 403, "{path}");
    }
}

#[test]
fn one_setting_opens_the_door_for_the_public_name() {
    let folder = crate::support::programs::scratch();
    let config = folder.join("public.toml");
    std::fs::write(
        &config,
        "public_url = \"https://primcs.example.com/mcp\"\nallowed_origins = [\"https://app.example\"]\n",
    )
    .expect("writing the configuration");
    let server = Server::start(&["--config", config.to_str().expect("UTF-8")]);
    assert_eq!(list_with(server.address, &[("Host", "primcs.example.com")]), 200);
    for origin in ["https://primcs.example.com", "https://app.example"] {
        let own = [("Host", "primcs.example.com"), ("Origin", origin)];
        assert_eq!(list_with(server.address, &own), 200, "{origin}");
    }
    assert_eq!(list_with(server.address, &[("Host", "other.example.com")]), 403);
    assert_eq!(list_with(server.address, &[("Origin", "https://evil.example")]), 403);
}

#[test]
fn what_is_no_mcp_request_is_refused_by_the_right_status() {
    let address = shared().address;
    assert_eq!(list_with(address, &[("Content-Type", "text/plain")]), 415);
    assert_eq!(list_with(address, &[("Accept", "application/json")]), 406);
    assert_eq!(list_with(address, &[("Accept", "text/event-stream")]), 406);
    for method in ["GET", "DELETE", "PUT"] {
        let mut connection = Connection::open(address);
        connection.send(method, "/mcp", &[("Accept", "text/event-stream")], b"");
        let answer = connection.response().expect("an answer");
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
    }
    let sent = headers(Era::Legacy, &json!({}));
    for body in ["", "{", "[]", "5"] {
        let status = post_to(address, "/mcp", &sent, body.as_bytes()).status;
        assert!((400..=422).contains(&status), "{body:?}: {status}");
    }
}

/// proves: limits call body
#[test]
fn a_body_over_the_limit_is_413_and_the_server_lives_on() {
    let call = Call::new(&"#".repeat(5 * 1024 * 1024)).message(Era::Modern, 1);
    let body = call.to_string();
    let mut stream = TcpStream::connect(shared().address).expect("connecting");
    let lines = header_lines(&headers(Era::Modern, &call));
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sending the head");
    // The server may answer and close before it has read all of it.
    let _ = stream.write_all(body.as_bytes());
    let mut answer = [0; 16];
    stream.read_exact(&mut answer).expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(list_with(shared().address, &[]), 200);
}

#[test]
fn a_head_that_is_too_large_or_never_ends_is_dropped() {
    let address = shared().address;
    let mut large = TcpStream::connect(address).expect("connecting");
    let long = "x".repeat(128 * 1024);
    // Refused while it is being written.
    let _ = write!(large, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n");
    let mut answer = String::new();
    let _ = large.read_to_string(&mut answer);
    assert!(!answer.contains(" 200 "), "{answer}");

    let many: Vec<_> = (0..100).map(|number| format!("X-{number}: y\r\n")).collect();
    let many = many.concat();
    let mut crowded = TcpStream::connect(address).expect("connecting");
    write!(crowded, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").expect("sending");
    let mut answer = String::new();
    let _ = crowded.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");

    let mut slow = TcpStream::connect(address).expect("connecting");
    slow.write_all(b"GET /healthz HT").expect("sending");
    slow.set_read_timeout(Some(Duration::from_secs(60))).expect("read time-out");
    let began = Instant::now();
    let mut answer = Vec::new();
    let _ = slow.read_to_end(&mut answer);
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

/// rmcp sends nothing, not even a status line, before its handler says something.
#[test]
fn a_quiet_run_without_progress_is_kept_alive_in_both_eras() {
    for era in Era::BOTH {
        let began = Instant::now();
        let connection =
            Call::new("import time; time.sleep(13); print('late')").send(shared().address, era);
        let mut response = connection.response().expect("an answer");
        assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some("text/event-stream"));
        assert_eq!(response.header("x-accel-buffering"), Some("no"));
        let mut comments = 0;
        let answer = loop {
            let mut line = String::new();
            assert!(response.body.read_line(&mut line).expect("reading") > 0, "ended early");
            if line.starts_with(':') {
                comments += 1;
            } else if let Some(data) = line.strip_prefix("data: ") {
                break data.to_owned();
            }
        };
        assert!(comments >= 2, "{comments} signs of life in 13 s");
        assert!(answer.contains("late"), "{answer}");
    }
}

#[test]
fn a_quiet_run_with_progress_says_started_at_once_and_beats_afterwards() {
    for era in Era::BOTH {
        let began = Instant::now();
        let answer =
            Call::new("import time; time.sleep(12)").with_progress().answer(shared().address, era);
        let first = answer.progress.first().expect("progress");
        assert_eq!(first.message, "started");
        assert!(first.at - began < Duration::from_secs(1), "{:?}", first.at - began);
        let beats = answer.progress.iter().skip(1).filter(|one| one.stream.is_none()).count();
        assert!(beats >= 1, "silence for 12 s");
        let rising = answer.progress.windows(2).all(|pair| pair[0].count < pair[1].count);
        assert!(rising, "{:?}", answer.progress);
    }
}

/// A small window, so that what the kernel holds on its way is soon full.
fn call_without_reading(address: SocketAddr, call: &Call) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("connecting");
    setsockopt(&stream, sockopt::RcvBuf, &4096).expect("a small window");
    let message = call.message(Era::Modern, 1);
    let (lines, body) = (header_lines(&headers(Era::Modern, &message)), message.to_string());
    let length = body.len();
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {length}\r\n\r\n{body}"
    )
    .expect("sending");
    stream
}

#[test]
fn a_client_that_stops_reading_is_cut_off_and_its_run_cancelled() {
    let server = Server::start(&[]);
    Call::new("print(1)").answer(server.address, Era::Modern).expect("ok");
    let supervisor = server.supervisor().pid;
    let live = || descendants(supervisor).len();
    // The answer comes before the last of its run is reaped; what stays is the nursery.
    assert!(eventually(Duration::from_secs(10), || live() == 1), "an earlier run stays");
    let idle = 1;
    // Far below the output limit, and at work for longer than anybody here waits.
    let code = "
        import time
        for n in range(40):
            print('x' * (1 << 20))
        time.sleep(300)
    ";
    let call = Call::new(code).timeout(300).with_progress();
    let began = Instant::now();
    let stream = call_without_reading(server.address, &call);
    assert!(eventually(Duration::from_secs(10), || live() > idle), "the run did not start");
    assert!(eventually(Duration::from_secs(90), || live() <= idle), "the run goes on");
    assert!(began.elapsed() > Duration::from_secs(55), "cut off after {:?}", began.elapsed());
    drop(stream);
}

#[test]
fn connections_beyond_the_most_wait_for_a_place() {
    const MOST: usize = 1000;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(4096), hard).expect("room for descriptors");
    let server = Server::start(&[]);
    let connect = || TcpStream::connect(server.address).expect("connecting");
    let mut held: Vec<_> = (0..MOST).map(|_| connect()).collect();
    let mut next = connect();
    next.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sending");
    next.set_read_timeout(Some(Duration::from_secs(1))).expect("read time-out");
    let mut answer = [0; 15];
    let waits = next.read(&mut answer).expect_err("answered although every place is taken");
    assert!(matches!(waits.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{waits}");
    held.pop();
    next.set_read_timeout(Some(Duration::from_secs(10))).expect("read time-out");
    next.read_exact(&mut answer).expect("an answer once a place is free");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

/// Idle clients may take every place, never the descriptors that the runs of others need.
#[test]
fn idle_connections_leave_descriptors_for_every_run_whatever_the_limit() {
    const RUNS: usize = 4;
    let server = Server::with_open_files(256, &["--max-runs", &RUNS.to_string()]);
    let mut callers: Vec<_> = (0..RUNS).map(|_| KeptAlive::open(server.address)).collect();
    let list = request(Era::Modern, 1, "tools/list", json!({}));
    for caller in &mut callers {
        // It has its place before the others come.
        assert!(caller.exchange(Era::Modern, &list).contains("run_code"));
    }
    // Beyond the descriptors there are, and not beyond what the kernel's backlog takes besides.
    let idle: Vec<_> = (0..260)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address).expect("connecting");
            stream.write_all(b"POST /mcp HTTP/1.1\r\n").expect("sending");
            stream
        })
        .collect();
    for _ in 0..2 {
        std::thread::scope(|scope| {
            for caller in &mut callers {
                scope.spawn(|| {
                    let call = Call::new("import time\ntime.sleep(1)\nprint('ran')");
                    let answer = caller.exchange(Era::Modern, &call.message(Era::Modern, 2));
                    assert!(answer.contains("\"stdout\":\"ran\\n\""), "{answer}");
                });
            }
        });
    }
    drop(idle);
    assert!(!server.log().contains("cannot accept"), "{}", server.log());
}

#[test]
fn a_limit_of_open_files_that_leaves_no_room_for_clients_refuses_the_start() {
    let mut command = primcs(Build::Normal, "serve");
    command.args(["--listen", "127.0.0.1:0", "--max-runs", "4"]);
    let refused = finish(&mut with_open_files(91, &command), "");
    assert!(!refused.status.success(), "{}", refused.stderr());
    for word in ["91 open files are too few for 4 runs", "need 92", "LimitNOFILE"] {
        assert!(refused.stderr().contains(word), "no {word:?} in {}", refused.stderr());
    }
}

#[test]
fn without_a_token_nobody_is_told_of_progress() {
    for era in Era::BOTH {
        let answer = Call::new("print('x', flush=True)").answer(shared().address, era);
        assert!(answer.progress.is_empty(), "{:?}", answer.progress);
    }
}

#[test]
fn one_connection_serves_many_calls_of_both_eras() {
    let mut connection = KeptAlive::open(shared().address);
    for number in 0..6 {
        let era = Era::BOTH[number % 2];
        let message = Call::new(&format!("print({number})")).message(era, 1);
        let answer = connection.exchange(era, &message);
        assert!(answer.contains(&format!("\"stdout\":\"{number}\\n\"")), "{answer}");
    }
}

#[test]
fn health_readiness_and_metrics_tell_what_they_promise() {
    let server = shared();
    assert_eq!(get(server.address, "/healthz", &[]).status, 200);
    let ready = get(server.address, "/readyz", &[]);
    assert_eq!(ready.status, 200);
    let ready = json(ready);
    assert_eq!(ready["ready"], true, "{ready}");
    assert!(ready["isolation"].is_string() && ready["limits"].is_object(), "{ready}");
    let answer = post(server.address, Era::Modern, &Call::new("print(1)").message(Era::Modern, 1));
    let digest = json(answer)["result"]["structuredContent"]["policy_digest"].clone();
    assert_eq!(ready["policy_digest"], digest);
    let metrics = get(server.address, "/metrics", &[]).text().expect("metrics");
    for name in [
        "primcs_runs_total{status=\"ok\"}",
        "primcs_runs_live",
        "primcs_runs_queued",
        "primcs_run_seconds_bucket",
        "# EOF",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
}

#[test]
fn a_probe_is_not_made_for_everybody_who_asks() {
    let server = shared();
    assert_eq!(get(server.address, "/readyz", &[]).status, 200);
    let began = Instant::now();
    for _ in 0..50 {
        assert_eq!(get(server.address, "/readyz", &[]).status, 200);
    }
    // Fifty starts of an interpreter would take more than a second.
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn beyond_loopback_the_door_stays_shut_unless_somebody_says_so() {
    let refused = finish(primcs(Build::Normal, "serve").args(["--listen", "0.0.0.0:0"]), "");
    assert!(!refused.status.success());
    assert!(refused.stderr().contains("--allow-unauthenticated"), "{}", refused.stderr());
    let open = Server::start(&["--listen", "0.0.0.0:0", "--allow-unauthenticated"]);
    let address = SocketAddr::from(([127, 0, 0, 1], open.address.port()));
    assert_eq!(list_with(address, &[("Host", "localhost")]), 200);
    // The log reaches us by a thread of its own.
    let warned = || open.log().contains("EVERYBODY");
    assert!(eventually(Duration::from_secs(10), warned), "{}", open.log());
}
