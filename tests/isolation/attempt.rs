//! Reads an attempt and its header, and runs it with and without the barriers it names.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::programs::{Build, checkout, finish, primcs, state_dir, weaken};
use crate::support::{mcp, server};

/// What every answer of a run ends with.
const HELD: &str = "HELD\n";
const ESCAPED: &str = "ESCAPED\n";

/// One file of `isolation/`.
pub(crate) struct Attempt {
    source: String,
    proves: String,
    pub(crate) stopped_by: Vec<String>,
}

fn directory() -> PathBuf {
    checkout().join("tests/isolation")
}

pub(crate) fn read(name: &str) -> Attempt {
    let path = directory().join(format!("{name}.py"));
    let source = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let header = |field: &str| {
        let prefix = format!("# {field}: ");
        let line = source.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_else(|| panic!("{name}.py has no line `{prefix}...`")).to_owned()
    };
    let proves = header("proves");
    let stopped_by = header("stopped by").split(" + ").map(str::to_owned).collect();
    Attempt { source, proves, stopped_by }
}

/// The promise of this file.
pub(crate) fn try_twice(name: &str) {
    try_barred(name);
    try_freed(name);
}

/// The half that can also be tried against a service that somebody else has started.
pub(crate) fn try_barred(name: &str) {
    let attempt = read(name);
    let host = Host::prepare();
    let barred = mcp::run(server::shared().address, &host.program(&attempt.source));
    assert_eq!(
        barred.stdout(),
        HELD,
        "with all barriers ({}); the run: {:#}",
        attempt.proves,
        barred.message
    );
}

fn try_freed(name: &str) {
    let attempt = read(name);
    let host = Host::prepare();
    let code = host.program(&attempt.source);
    let barriers: Vec<_> = attempt.stopped_by.iter().map(String::as_str).collect();
    let mut command = primcs(Build::Weakened, "run");
    command.env("PRIMCS_WEAKEN", weaken(&barriers)).env("XDG_CONFIG_HOME", server::SECRET).arg("-");
    let freed = finish(&mut command, &code);
    assert_eq!(
        freed.stdout(),
        ESCAPED,
        "without {barriers:?}: {}\n{}",
        freed.status,
        freed.stderr()
    );
}

/// What an attempt has to know of the host, and the host's side of it.
struct Host {
    port: TcpListener,
    abstract_name: String,
    _abstract_socket: UnixListener,
}

impl Host {
    fn prepare() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").expect("a port of the host");
        let number = port.local_addr().expect("its number").port();
        let abstract_name = format!("primcs-test-{}-{number}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).expect("an abstract name");
        let abstract_socket = UnixListener::bind_addr(&address).expect("an abstract socket");
        Self { port, abstract_name, _abstract_socket: abstract_socket }
    }

    fn facts(&self) -> Value {
        json!({
            "port": self.port.local_addr().expect("a port").port(),
            "abstract": self.abstract_name,
            "inodes": inodes(),
            "files": files(),
        })
    }

    fn program(&self, source: &str) -> String {
        let prelude = fs::read_to_string(directory().join("prelude.py")).expect("prelude.py");
        // JSON of numbers, texts and lists is Python too.
        format!("{prelude}HOST = {}\n{source}", self.facts())
    }
}

/// Device and inode of pieces of the host's own system, and of our own programs.
fn inodes() -> Vec<(u64, u64)> {
    let system = [
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib/x86_64-linux-gnu/libm.so.6",
        "/lib64/ld-linux-x86-64.so.2",
        "/lib64/libc.so.6",
        "/usr/bin/ls",
        "/usr/bin/dash",
        "/usr/bin/env",
        "/bin/sh",
    ];
    let found: Vec<_> = system
        .iter()
        .filter_map(|path| fs::metadata(path).ok())
        .map(|found| (found.dev(), found.ino()))
        .collect();
    assert!(found.len() > 3, "this host has its C library where the attempt does not look");
    found
}

/// Files and directories of the host that no run may open, as paths below its root.
fn files() -> Vec<String> {
    let state = state_dir(Build::Normal);
    ["root", "var/lib", "etc/shadow", "etc/fstab", "boot", "srv", "opt", "sys/kernel"]
        .into_iter()
        .map(str::to_owned)
        .chain(state.to_str().map(|path| path.trim_start_matches('/').to_owned()))
        .collect()
}

#[test]
fn every_attempt_file_is_tried() {
    let files: BTreeSet<_> = fs::read_dir(directory())
        .expect("tests/isolation")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".py").map(str::to_owned))
        .filter(|name| name != "prelude")
        .collect();
    let tried = crate::NAMES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(files, tried);
}
