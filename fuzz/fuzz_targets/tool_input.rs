//! What a client sends: the arguments of `run_code`, and the headers by which a web page in the
//! operator's browser is told from a client. Nothing panics; admitted code keeps every bound and fits
//! the wire; without further settings only loopback names and our own origin are answered.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use libfuzzer_sys::fuzz_target;
use primcs::server::fuzzing::{Door, admit, dedent};
use primcs::wire::codec::MAX_MESSAGE;
use primcs::wire::{RunRequest, ToSupervisor};
use serde_json::{Map, Value};

const MOST_CHARACTERS: usize = 20_000;
const CEILING: Duration = Duration::from_secs(600);

fuzz_target!(|input: &[u8]| {
    let [head, rest @ ..] = input else { return };
    match head % 4 {
        0 => arguments(rest),
        1 => indentation(rest),
        2 => door(rest),
        _ => lists(rest),
    }
});

fn arguments(bytes: &[u8]) {
    let Ok(arguments) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return };
    let call = match admit(&arguments, MOST_CHARACTERS, CEILING) {
        Ok(call) => call,
        Err(refusal) => {
            // It goes into logs and to a model: no control character of the caller's choice.
            assert!(!refusal.chars().any(char::is_control), "{refusal:?}");
            return assert!(refusal.len() < 1000, "{refusal:?}");
        }
    };
    assert!(call.code.chars().count() <= MOST_CHARACTERS && !call.code.contains('\0'));
    assert!(call.timeout.is_none_or(|time| (Duration::from_millis(1)..=CEILING).contains(&time)));
    let request = ToSupervisor::Run(RunRequest {
        request: u64::MAX,
        principal: "x".repeat(1024),
        code: call.code,
        timeout_ms: call.timeout.and_then(|time| time.as_millis().try_into().ok()),
    });
    let message = serde_json::to_vec(&request).expect("it can be written");
    assert!(message.len() <= MAX_MESSAGE, "{} bytes", message.len());
}

/// The same lines, each without the same beginning of blanks; nothing is left to take away.
fn indentation(bytes: &[u8]) {
    let Ok(code) = std::str::from_utf8(bytes) else { return };
    let once = dedent(code);
    assert_eq!(once.split('\n').count(), code.split('\n').count());
    let mut margin = None;
    for (before, after) in code.split('\n').zip(once.split('\n')) {
        let taken = before.strip_suffix(after).expect("a line lost more than its beginning");
        if after.is_empty() {
            let blanks = before.trim_matches([' ', '\t', '\r', '\x0b', '\x0c']);
            assert!(blanks.is_empty(), "text was lost");
        } else {
            assert!(taken.bytes().all(|byte| matches!(byte, b' ' | b'\t')), "{taken:?} was lost");
            // Blank lines of code without a margin stay as they are.
            assert_eq!(*margin.get_or_insert(taken), taken, "lines lost different beginnings");
        }
    }
    assert_eq!(dedent(&once), once);
}

/// Lines: the request's target, then headers.
fn door(bytes: &[u8]) {
    let listen: SocketAddr = ([127, 0, 0, 1], 9000).into();
    let door = Door::new(listen, None, &[], &[]).expect("loopback");
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let Some(Ok(uri)) = lines.next().map(Uri::try_from) else { return };
    let mut headers = HeaderMap::new();
    for line in lines.take(8) {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(at);
        let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name),
            HeaderValue::from_bytes(value.get(1..).unwrap_or_default()),
        ) else {
            continue;
        };
        headers.append(name, value);
    }
    if !door.answers(&uri, &headers) {
        return;
    }
    let mut hosts = headers.get_all("host").iter();
    assert!(hosts.next().is_some_and(is_loopback) && hosts.next().is_none());
    if let Some(authority) = uri.authority() {
        assert!(is_loopback(&HeaderValue::try_from(authority.as_str()).expect("a header")));
    }
    let own =
        |origin: &HeaderValue| origin.as_bytes().eq_ignore_ascii_case(b"http://127.0.0.1:9000");
    assert!(headers.get_all("origin").iter().all(own), "{headers:?}");
}

/// By hand, as a browser would split it: a name, and perhaps a colon and digits.
fn is_loopback(host: &HeaderValue) -> bool {
    let host = host.as_bytes().to_ascii_lowercase();
    [&b"localhost"[..], b"127.0.0.1", b"[::1]"].iter().any(|name| {
        let port = host.strip_prefix(*name);
        port.is_some_and(|port| match port {
            [] => true,
            [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
            _ => false,
        })
    })
}

/// Settings of the door: whatever an operator writes is taken or refused with words.
fn lists(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines: Vec<String> = text.lines().take(4).map(str::to_owned).collect();
    let [url, rest @ ..] = lines.as_slice() else { return };
    let listen: SocketAddr = ([0, 0, 0, 0], 80).into();
    for (hosts, origins) in [(rest, &[][..]), (&[][..], rest)] {
        match Door::new(listen, Some(url), hosts, origins) {
            Err(refusal) => assert!(!refusal.is_empty()),
            Ok(door) => {
                // A door with names of its own still has no answer for a request without a host.
                assert!(!door.answers(&Uri::from_static("/mcp"), &HeaderMap::new()));
            }
        }
    }
}
