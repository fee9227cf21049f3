//! The last thing before the machine reboots: runs are under way, and somebody waits for them.
#![forbid(unsafe_code)]

use std::process::{Command, Stdio};

use super::remains::Idle;
use super::support::mcp::{Call, Era};
use super::support::processes::{descendants, eventually};
use super::support::server::shared;
use super::support::stubborn::STUBBORN;
use super::unit::supervisor;
use super::witness::{PATIENCE, write_down};

/// A client that stays when this test has ended.
const CLIENT: &str = "
import sys, urllib.request
url, body = sys.argv[1:]
headers = {'Content-Type': 'application/json', 'Accept': 'application/json, text/event-stream', 'MCP-Protocol-Version': '2025-06-18'}
urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers)).read()
";

#[test]
fn the_machine_goes_down_while_a_run_is_under_way() {
    Idle::look();
    let before = descendants(supervisor().pid).len();
    let body = Call::new(STUBBORN).timeout(600).message(Era::Legacy, 1).to_string();
    // The shell goes, the client stays.
    let done = Command::new("sh")
        .args([
            "-c",
            "setsid python3 \"$@\" &",
            "sh",
            "-c",
            CLIENT,
            &format!("http://{}/mcp", shared().address),
            &body,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .expect("cannot start a client");
    assert!(done.success(), "{done}");
    let now = || descendants(supervisor().pid).len();
    assert!(eventually(PATIENCE, || now() >= before + 4), "{} processes", now());
    write_down("/proc".as_ref(), "processes below the supervisor", before, now());
}
