//! The other end of the supervisor's socket, in the hands of a test.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use primcs::policy::Policy;
use primcs::sys::socket;
use primcs::wire::{self, Refusal, RunRequest, Started, ToServer, ToSupervisor, Verdict, Welcome};

use super::support::processes::{
    Process, assert_gone, descendants, eventually, host_mounts, process,
};
use super::support::programs::{Build, limits_are_hard, program, state_dir};

/// The first start copies the system.
const START: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(5);

/// A supervisor with us as its server.
pub(crate) struct FakeServer {
    supervisor: Child,
    socket: Option<OwnedFd>,
    log: Receiver<String>,
    mounts: BTreeSet<String>,
    next: u64,
}

impl FakeServer {
    /// Starts the real supervisor with its socket as its stdin, as `primcs` does.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(program(Build::Normal, "primcs-supervisor"));
        command.arg("--state-dir").arg(state_dir(Build::Normal)).args(arguments).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        if !limits_are_hard() {
            command.arg("--allow-soft-limits");
        }
        command.stderr(Stdio::piped());
        Self::start_with(command)
    }

    /// Starts it by another command, which has its own way to show its log.
    pub(crate) fn start_with(mut command: Command) -> Self {
        let mounts = host_mounts();
        let (ours, theirs) = socket::pair().expect("a socket pair");
        command.stdin(theirs).stdout(Stdio::null());
        let mut supervisor = command.spawn().expect("cannot start primcs-supervisor");
        // The command holds their end open as long as it lives.
        drop(command);
        let (tell, log) = mpsc::channel();
        if let Some(mut stderr) = supervisor.stderr.take() {
            std::thread::spawn(move || {
                let mut text = String::new();
                // Its log only explains a failed test.
                let _ = stderr.read_to_string(&mut text);
                let _ = tell.send(text);
            });
        }
        Self { supervisor, socket: Some(ours), log, mounts, next: 1 }
    }

    /// Starts one and greets it as the true server would.
    pub(crate) fn greeted(arguments: &[&str]) -> (Self, Box<Welcome>) {
        let mut fake = Self::start(arguments);
        let welcome = fake.greet();
        (fake, welcome)
    }

    /// Says what a true server says first.
    pub(crate) fn greet(&mut self) -> Box<Welcome> {
        self.send(&hello());
        match self.receive_within(START) {
            Some((ToServer::Welcome(welcome), _)) => welcome,
            other => panic!("no welcome but {other:?}"),
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.supervisor.id()).expect("a pid")
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_ref().expect("the socket is open").as_fd()
    }

    pub(crate) fn send(&mut self, message: &ToSupervisor) {
        wire::send(self.socket(), message, &[]).expect("sending a message");
    }

    /// Sends bytes as they are. The supervisor may have hung up already, which is what we want.
    pub(crate) fn send_raw(&mut self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        if let Err(refusal) = socket::send_packet(self.socket(), bytes, descriptors) {
            let gone = [std::io::ErrorKind::BrokenPipe, std::io::ErrorKind::ConnectionReset];
            assert!(gone.contains(&refusal.kind()), "the kernel refused to send: {refusal}");
        }
    }

    /// A run request under a number of its own.
    pub(crate) fn run_request(&mut self, code: &str) -> RunRequest {
        let request = self.next;
        self.next += 1;
        RunRequest {
            request,
            principal: "local".to_owned(),
            code: code.to_owned(),
            timeout_ms: None,
        }
    }

    /// The same as a message.
    pub(crate) fn request(&mut self, code: &str) -> ToSupervisor {
        ToSupervisor::Run(self.run_request(code))
    }

    /// The next message; `None` when the supervisor has hung up.
    pub(crate) fn receive_within(&self, time: Duration) -> Option<(ToServer, Vec<OwnedFd>)> {
        assert!(self.readable_within(time), "no word from the supervisor for {time:?}");
        match wire::receive(self.socket()) {
            Ok(message) => message,
            // Hung up with something of ours unread.
            Err(wire::CodecError::Socket(_)) => None,
            Err(other) => panic!("the supervisor broke the protocol: {other:?}"),
        }
    }

    pub(crate) fn receive(&self) -> Option<(ToServer, Vec<OwnedFd>)> {
        self.receive_within(Duration::from_secs(20))
    }

    pub(crate) fn readable_within(&self, time: Duration) -> bool {
        let timeout = PollTimeout::try_from(time).expect("a short time");
        let mut wanted = [PollFd::new(self.socket(), PollFlags::POLLIN)];
        poll(&mut wanted, timeout).expect("poll") > 0
    }

    /// Starts a run that would go on for long, and finds its processes.
    pub(crate) fn long_run(&mut self) -> (Started, Vec<OwnedFd>, BTreeSet<Process>) {
        let before = descendants(self.pid());
        let request = self.request("import os, time\nos.fork()\ntime.sleep(600)");
        self.send(&request);
        let Some((ToServer::Started(started), pipes)) = self.receive() else {
            panic!("the run was not started");
        };
        let new =
            || -> BTreeSet<_> { descendants(self.pid()).difference(&before).cloned().collect() };
        assert!(eventually(SOON, || new().len() >= 3), "init, program and child: {:?}", new());
        (started, pipes, new())
    }

    /// Runs `code` to its end and returns the verdict.
    pub(crate) fn verdict(&mut self, code: &str) -> Verdict {
        let request = self.request(code);
        self.verdict_of(&request)
    }

    /// The same for a request made before.
    pub(crate) fn verdict_of(&mut self, request: &ToSupervisor) -> Verdict {
        self.send(request);
        let until = Instant::now() + SOON;
        // Held open, so that what the program prints finds a reader.
        let mut pipes = Vec::new();
        loop {
            match self.receive() {
                Some((ToServer::Ended(ended), _)) => return ended.verdict,
                Some((ToServer::Started(_), handed)) => pipes.extend(handed),
                // The place of a run that has just ended is still being emptied: ask again, as the
                // server does.
                Some((ToServer::Refused { refusal: Refusal::Busy, .. }, _))
                    if Instant::now() < until =>
                {
                    std::thread::sleep(Duration::from_millis(20));
                    self.send(request);
                }
                other => panic!("neither started nor ended but {other:?}"),
            }
        }
    }

    /// Hangs up as a killed server does.
    pub(crate) fn hang_up(&mut self) {
        drop(self.socket.take());
    }

    /// The promise: the supervisor hangs up without granting anything further, it and all below it
    /// end, and nothing is left.
    #[track_caller]
    pub(crate) fn assert_ends(mut self) {
        let mut below = descendants(self.pid());
        below.extend(process(self.pid()));
        let groups: BTreeSet<PathBuf> = below.iter().flat_map(Process::cgroups).collect();
        while self.socket.is_some() {
            match self.receive_within(SOON) {
                None => self.hang_up(),
                // Runs that end with the connection may still be told, never a new one granted.
                Some((ToServer::Ended(_) | ToServer::Unable(_), _)) => {}
                Some((granted, _)) => panic!("the supervisor went on: {granted:?}"),
            }
        }
        assert!(
            eventually(SOON, || self.supervisor.try_wait().expect("wait").is_some()),
            "the supervisor goes on without a server"
        );
        assert_gone(&below, Duration::from_secs(1));
        assert_eq!(host_mounts(), self.mounts, "mounts of the host");
        let own = process(std::process::id().try_into().expect("a pid")).expect("this process");
        let own = own.cgroups();
        for group in groups.iter().filter(|group| !own.iter().any(|mine| mine.starts_with(group))) {
            assert!(
                !group.exists(),
                "{} is left; its members: {:?}",
                group.display(),
                members(group)
            );
        }
    }

    /// What the supervisor has said on stderr, all of it, because it ends.
    #[track_caller]
    pub(crate) fn log_at_the_end(mut self) -> String {
        let log = self.log.recv_timeout(SOON).expect("the supervisor does not end");
        self.hang_up();
        log
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.hang_up();
        if eventually(SOON, || self.supervisor.try_wait().is_ok_and(|ended| ended.is_some())) {
            return;
        }
        // A supervisor that ignores the end of its server has failed its test already.
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

fn members(group: &std::path::Path) -> String {
    fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default()
}

/// What a true server of this build says first.
pub(crate) fn hello() -> ToSupervisor {
    hello_with(env!("CARGO_PKG_VERSION"), &Policy::embedded().expect("the policy").digest)
}

/// A first word with these claims.
pub(crate) fn hello_with(version: &str, policy_digest: &str) -> ToSupervisor {
    ToSupervisor::Hello { version: version.to_owned(), policy_digest: policy_digest.to_owned() }
}
