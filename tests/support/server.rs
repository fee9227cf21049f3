//! A `primcs serve` to talk to: the one named by `PRIMCS_TEST_URL`, or one of our own on a free port.
#![forbid(unsafe_code)]

use std::env;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::http::Connection;
use super::processes::{Process, all, process, supervisor_of};
use super::programs::{Build, primcs, start_guarded, weaken, with_open_files};

/// The first start copies and hashes the interpreter and its libraries.
const START: Duration = Duration::from_secs(120);

/// A setting of the host's environment that both halves see and no run may. No file is there.
pub(crate) const SECRET: &str = "/secret-of-the-host";

/// A server that is up.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Of our own start; absent for a service that runs without us.
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    guard: Child,
    pid: i32,
    log: Arc<Mutex<Vec<String>>>,
}

/// The server that the tests of one program share, because each start costs about a second.
/// A service that runs already when `PRIMCS_TEST_URL` names it.
pub(crate) fn shared() -> &'static Server {
    static SHARED: LazyLock<Server> = LazyLock::new(|| {
        env::var("PRIMCS_TEST_URL").map_or_else(|_| Server::start(&[]), |url| Server::running(&url))
    });
    &SHARED
}

impl Server {
    /// Starts one with these further arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(Build::Normal, &[], arguments)
    }

    /// Starts one in which these barriers are gone for all runs, or processes die or hang just after
    /// these steps (src/sandbox/weaken/faults.rs).
    pub(crate) fn weakened(barriers: &[impl AsRef<str>]) -> Self {
        let barriers: Vec<_> = barriers.iter().map(AsRef::as_ref).collect();
        Self::start_with(Build::Weakened, &barriers, &[])
    }

    /// The same, with further arguments.
    pub(crate) fn weakened_with(barriers: &[&str], arguments: &[&str]) -> Self {
        Self::start_with(Build::Weakened, barriers, arguments)
    }

    /// Starts one that may have this many files open, and no more.
    pub(crate) fn with_open_files(most: u32, arguments: &[&str]) -> Self {
        let mut command = primcs(Build::Normal, "serve");
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        Self::follow(&with_open_files(most, &command))
    }

    fn start_with(build: Build, barriers: &[&str], arguments: &[&str]) -> Self {
        let mut command = primcs(build, "serve");
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        if !barriers.is_empty() {
            command.env("PRIMCS_WEAKEN", weaken(barriers));
        }
        command.env("XDG_CONFIG_HOME", SECRET);
        Self::follow(&command)
    }

    /// Starts one as this command says, which must print where it listens.
    pub(crate) fn of(command: &Command) -> Self {
        Self::follow(command)
    }

    fn follow(command: &Command) -> Self {
        let (mut guard, pid) = start_guarded(command);
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(guard.stderr.take().expect("stderr is a pipe"));
        let found = follow(lines, Arc::clone(&log));
        let Ok(address) = found.recv_timeout(START) else {
            let log = log.lock().expect("log").join("\n");
            panic!("primcs serve did not say where it listens; it said:\n{log}");
        };
        Self { address, own: Some(Own { guard, pid, log }) }
    }

    fn running(url: &str) -> Self {
        let authority = url.strip_prefix("http://").unwrap_or(url).split('/').next();
        let address = authority
            .and_then(|name| name.to_socket_addrs().ok()?.next())
            .unwrap_or_else(|| panic!("PRIMCS_TEST_URL is not http://HOST:PORT/mcp: {url:?}"));
        Self { address, own: None }
    }

    /// Pid of the server half that we have started.
    pub(crate) fn pid(&self) -> i32 {
        self.own_pid().expect("only for a server of our own")
    }

    /// The same; `None` for a service that runs without us.
    pub(crate) fn own_pid(&self) -> Option<i32> {
        self.own.as_ref().map(|own| own.pid)
    }

    /// The privileged half, ours or the only one there is.
    pub(crate) fn supervisor(&self) -> Process {
        if let Some(pid) = self.own_pid() {
            return supervisor_of(pid);
        }
        if let Ok(pid) = env::var("PRIMCS_TEST_SUPERVISOR_PID") {
            let pid = pid.parse().expect("PRIMCS_TEST_SUPERVISOR_PID is a pid");
            return process(pid).expect("PRIMCS_TEST_SUPERVISOR_PID lives");
        }
        // The nursery may carry the same name; the supervisor is the one above it.
        let mut named: Vec<_> =
            all().into_iter().filter(|one| one.name().starts_with("primcs-supervis")).collect();
        named.sort();
        assert!(
            !named.is_empty(),
            "with PRIMCS_TEST_URL set, PRIMCS_TEST_SUPERVISOR_PID must name the supervisor"
        );
        named.remove(0)
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.own.as_ref().map_or_else(String::new, |own| own.log.lock().expect("log").join("\n"))
    }

    /// A number of /metrics.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut connection = Connection::open(self.address);
        connection.send("GET", "/metrics", &[], b"");
        let text = connection.response().expect("an answer").text().expect("metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}: {text}")).parse().expect("a number")
    }

    /// Sends a signal to the server half.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("signalling the server");
    }

    /// Waits for the end after a signal.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let mut own = self.own.take().expect("only for a server of our own");
        own.guard.wait().expect("waiting for the server")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(own) = &mut self.own {
            drop(own.guard.stdin.take());
            // The guard has ended with the server or never will; either way the test has spoken.
            let _ = own.guard.wait();
        }
    }
}

/// Reads the log to its end and tells the address once.
fn follow(
    lines: impl BufRead + Send + 'static,
    log: Arc<Mutex<Vec<String>>>,
) -> Receiver<SocketAddr> {
    let (tell, found) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            if let Some(address) = address_in(&line) {
                // Nobody listens any more after the first.
                let _ = tell.send(address);
            }
            log.lock().expect("log").push(line);
        }
    });
    found
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    let (authority, _) = rest.split_once("/mcp")?;
    authority.parse().ok().filter(|address: &SocketAddr| address.port() != 0)
}
