//! The loop: one thread, one `poll`, and nothing that waits for anybody else. It speaks with one
//! server, whose every message is checked; a wrong one ends the connection and with it all runs.
#![forbid(unsafe_code)]

mod greeting;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::admission::{self, Admitted};
use super::audit::Audit;
use super::base::Base;
use super::door;
use super::host::Host;
use super::identities::RunIds;
use super::instance::Instance;
use super::integrity::Integrity;
use super::locks;
use super::outbox::Outbox;
use super::probe::Probe;
use super::runs::{Asker, Outcome, Run};
use super::startup::Ready;
use super::verdict::Cause;
use crate::causes::with_causes;
use crate::notify::Notify;
use crate::sandbox::report::StepFailure;
use crate::sandbox::weaken;
use crate::sys::{descriptors, wait};
use crate::wire::{self, CodecError, Refusal, RunRequest, ToServer, ToSupervisor, Welcome};

/// How often a cgroup that is not empty yet is looked at again.
const CLEARING: Duration = Duration::from_millis(5);
/// What every caller and the log are told when the private copy was found changed.
const DAMAGED: &str = "the private copy of interpreter and libraries no longer matches its digest, on disk or in the page cache; no run starts until the operator has looked into it and started primcs anew";
/// How long runs may take to go when this process stops.
const STOPPING: Duration = Duration::from_secs(5);

/// Why the loop ended otherwise than by the server's leaving.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// The socket or the kernel failed.
    #[error("cannot go on serving")]
    Io(#[from] io::Error),
    /// No confined run is possible.
    #[error("no run can be confined: {0}")]
    Nursery(#[from] StepFailure),
}

impl From<CodecError> for ServeError {
    fn from(error: CodecError) -> Self {
        Self::Protocol(with_causes(&error))
    }
}

/// The supervisor's state between events.
#[derive(Debug)]
pub struct Serving {
    host: Host,
    welcome: Welcome,
    ids: RunIds,
    audit: Audit,
    /// Our number; given up only after the last run.
    _instance: Instance,
    /// The private copy; likewise.
    base: Base,
    integrity: Integrity,
    locks: locks::Watch,
    runs: Vec<Run>,
    outbox: Outbox,
    /// The connection, or while nobody has connected the socket to take it from.
    server: OwnedFd,
    is_waiting: bool,
    notify: Notify,
    signals: SignalFd,
    random: File,
    greeted: bool,
    probe: Probe,
    stopping: bool,
}

/// What a descriptor in the poll set belongs to.
#[derive(Debug, Clone, Copy)]
enum Source {
    Server,
    Signals,
    Control(usize),
    Memory(usize),
}

/// Which signals are read instead of taken.
const SIGNALS: [Signal; 4] = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];

impl Serving {
    /// Ready to greet `server`, or whoever comes to it first.
    pub fn new(ready: Ready, server: OwnedFd, notify: Notify) -> io::Result<Self> {
        let set: SigSet = SIGNALS.into_iter().collect();
        set.thread_block()?;
        descriptors::set_nonblocking(&server)?;
        let (instance, base) = ready.held;
        let check_every = ready.host.policy().limits.host.copy_check.value;
        Ok(Self {
            host: ready.host,
            welcome: ready.welcome,
            ids: ready.ids,
            audit: ready.audit,
            _instance: instance,
            base,
            integrity: Integrity::checked_now(check_every),
            locks: locks::Watch::default(),
            runs: Vec::new(),
            outbox: Outbox::default(),
            is_waiting: door::listens(&server)?,
            server,
            notify,
            signals: SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?,
            random: File::open("/dev/urandom")?,
            greeted: false,
            probe: Probe::default(),
            stopping: false,
        })
    }

    /// Serves until the server leaves or this process is told to stop. All runs are gone then.
    pub fn until_the_end(mut self, cgroup: &str) -> Result<(), ServeError> {
        self.notify.say("READY=1");
        let result = self.serve();
        self.notify.say("STOPPING=1");
        self.stop_all();
        let cleared = self.host.clear_cgroups(cgroup);
        result?;
        cleared.map_err(io::Error::other)?;
        Ok(())
    }

    fn serve(&mut self) -> Result<(), ServeError> {
        while !self.stopping {
            for source in self.wait_for_events()? {
                match source {
                    Source::Server => self.on_server()?,
                    Source::Signals => self.on_signals()?,
                    Source::Control(index) => self.step(index, Run::on_control),
                    Source::Memory(index) => self.step(index, |run, _| run.on_oom()),
                }
            }
            let now = Instant::now();
            self.notify.show_life(now);
            for index in 0..self.runs.len() {
                if self.runs.get(index).and_then(Run::deadline).is_some_and(|due| due <= now) {
                    self.step(index, Run::on_deadline);
                }
                self.step(index, |run, host| run.watch_sockets(host, now));
            }
            self.watch_locks(now);
            self.integrity.attend(&self.base)?;
            self.audit.attend();
            self.clear_away(&[]);
            // Only when its place is free again, so that whoever is greeted finds all of them.
            if !self.runs.iter().any(|run| run.asker == Asker::Probe)
                && let Some(outcome) = self.probe.outcome.take()
            {
                self.answer_probe(&outcome);
            }
            self.outbox.flush(self.server.as_fd())?;
        }
        Ok(())
    }

    /// Ends the run that hoards record locks, once the kernel's memory has grown so that it matters.
    /// A look that fails, as when the host's file table is full, must not end everybody's runs: the
    /// next one comes soon.
    fn watch_locks(&mut self, now: Instant) {
        let inits: Vec<_> = self.runs.iter().filter_map(Run::running_init).collect();
        let most = self.host.policy().limits.host.kernel_growth.value.0;
        if self.locks.has_grown(!inits.is_empty(), most, now).unwrap_or(false)
            && weaken::stands("locks")
            && let Ok(Some(init)) = locks::hoarder(&inits)
            && let Some(index) = self.runs.iter().position(|run| run.is_init(init))
        {
            self.step(index, |run, _| run.end(Cause::HeldTooMany));
        }
    }

    fn wait_for_events(&self) -> io::Result<Vec<Source>> {
        let writable = if self.outbox.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
        let mut sources = vec![Source::Server];
        let mut polled = vec![PollFd::new(self.server.as_fd(), PollFlags::POLLIN | writable)];
        for (index, run) in self.runs.iter().enumerate() {
            if let Some(control) = run.control() {
                sources.push(Source::Control(index));
                polled.push(PollFd::new(control, PollFlags::POLLIN));
            }
            if let Some(memory) = run.oom_event() {
                sources.push(Source::Memory(index));
                polled.push(PollFd::new(memory, PollFlags::POLLIN));
            }
        }
        // Last: it forgets runs, and the others' places in the list change.
        sources.push(Source::Signals);
        polled.push(PollFd::new(self.signals.as_fd(), PollFlags::POLLIN));
        match poll(&mut polled, self.patience()) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let wanted = PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR;
        Ok(sources
            .into_iter()
            .zip(&polled)
            .filter(|(_, one)| one.revents().is_some_and(|seen| seen.intersects(wanted)))
            .map(|(source, _)| source)
            .collect())
    }

    /// Until the next deadline, or the next look at a cgroup that was not empty.
    fn patience(&self) -> PollTimeout {
        let now = Instant::now();
        let next_deadline =
            self.runs.iter().flat_map(|run| [run.deadline(), run.next_count()]).flatten().min();
        let next_look = self.runs.iter().any(Run::is_dying).then(|| now + CLEARING);
        let Some(next) = next_deadline
            .into_iter()
            .chain(next_look)
            .chain(self.integrity.deadline())
            .chain(self.locks.next())
            .chain(self.notify.next_sign_of_life())
            .chain(self.audit.again)
            .min()
        else {
            return PollTimeout::NONE;
        };
        // Rounded up, so that the deadline has really come then.
        let wait = next.saturating_duration_since(now) + Duration::from_millis(1);
        PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
    }

    fn on_server(&mut self) -> Result<(), ServeError> {
        if self.is_waiting {
            if let Some(server) = door::accept(&self.server)? {
                descriptors::set_nonblocking(&server)?;
                (self.server, self.is_waiting) = (server, false);
            }
            return Ok(());
        }
        let message = match wire::receive::<ToSupervisor>(&self.server) {
            Ok(None) => {
                self.stopping = true;
                return Ok(());
            }
            Ok(Some((message, descriptors))) if descriptors.is_empty() => message,
            Ok(Some(_)) => {
                return Err(ServeError::Protocol("descriptors nobody asked for".to_owned()));
            }
            Err(CodecError::Socket(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        match message {
            ToSupervisor::Hello { version, policy_digest } if !self.greeted => {
                self.greeted = true;
                self.greet(&version, &policy_digest)
            }
            ToSupervisor::Hello { .. } => Err(ServeError::Protocol("a second hello".to_owned())),
            _ if !self.greeted => Err(ServeError::Protocol("a message before hello".to_owned())),
            ToSupervisor::Run(request) => self.on_run(&request),
            ToSupervisor::Cancel { run_id, why } => {
                if let Some(index) = self.runs.iter().position(|run| run.id == run_id) {
                    self.step(index, |run, _| run.end(Cause::Cancelled(why)));
                }
                Ok(())
            }
            ToSupervisor::Probe { quiet } => {
                self.start_probe(false, quiet);
                Ok(())
            }
        }
    }

    fn on_run(&mut self, request: &RunRequest) -> Result<(), ServeError> {
        let number = request.request;
        let asker = Asker::Server(number);
        if self.runs.iter().any(|run| run.asker == asker && !run.is_dying()) {
            return Err(ServeError::Protocol(format!("request number {number} is in use")));
        }
        let started = admission::admit(request, self.host.policy())
            .and_then(|admitted| self.start(asker, &admitted, Some(request)));
        if let Err(refusal) = started {
            self.audit.refused(request, &refusal);
            self.outbox.push(ToServer::Refused { request: number, refusal }, vec![]);
        }
        Ok(())
    }

    /// With `recorded`, what is asked for is written down before anything is made.
    fn start(
        &mut self,
        asker: Asker,
        admitted: &Admitted<'_>,
        recorded: Option<&RunRequest>,
    ) -> Result<(), Refusal> {
        let failed = |message| Refusal::SandboxFailed { message };
        if self.integrity.is_damaged() {
            return Err(failed(DAMAGED.to_owned()));
        }
        self.audit.admit()?;
        let id = self.new_run_id().map_err(|error| failed(error.to_string()))?;
        let host_id = self.ids.take().ok_or(Refusal::Busy)?;
        let asked = recorded
            .map_or(Ok(()), |request| self.audit.begin(request, &id, host_id))
            .and_then(|()| {
                Run::ask(&self.host, id, asker, admitted.code, admitted.wall, host_id)
                    .map_err(|failure| failed(failure.to_string()))
            });
        asked.map(|run| self.runs.push(run)).inspect_err(|_| self.ids.give_back(host_id))
    }

    /// Lets one run take an event, and passes on what came of it.
    fn step(&mut self, index: usize, event: impl FnOnce(&mut Run, &Host) -> Outcome) {
        let Some(run) = self.runs.get_mut(index) else { return };
        let asker = run.asker;
        let outcome = event(run, &self.host);
        match (outcome, asker) {
            (Outcome::Nothing, _) => {}
            (Outcome::Started(started, pipes), Asker::Server(_)) => {
                self.outbox.push(ToServer::Started(started), pipes);
            }
            (Outcome::Ended(ended), Asker::Server(_)) => {
                self.audit.ended(&ended, &run.limits, true);
                self.outbox.push(ToServer::Ended(ended), vec![]);
            }
            (Outcome::NeverStarted(ended), Asker::Server(request)) => {
                self.audit.ended(&ended, &run.limits, false);
                let failed = |message| Refusal::SandboxFailed { message };
                let refusal = ended.failed_step.map_or(Refusal::Killed, |it| failed(it.step));
                self.outbox.push(ToServer::Refused { request, refusal }, vec![]);
            }
            (Outcome::Started(_, pipes), Asker::Probe) => self.probe.pipes = pipes,
            (Outcome::Ended(ended) | Outcome::NeverStarted(ended), Asker::Probe) => {
                self.probe.judge(&ended, run);
            }
        }
    }

    fn step_all(&mut self, event: impl Fn(&mut Run, &Host) -> Outcome) {
        for index in 0..self.runs.len() {
            self.step(index, &event);
        }
    }

    fn on_signals(&mut self) -> Result<(), ServeError> {
        while let Some(signal) = self.signals.read_signal().map_err(io::Error::from)? {
            if i32::try_from(signal.ssi_signo) != Ok(libc::SIGCHLD) {
                self.stopping = true;
            }
        }
        self.reap()
    }

    fn reap(&mut self) -> Result<(), ServeError> {
        let mut reaped = Vec::new();
        loop {
            match wait::any_child(false) {
                Ok(Some(exit)) if self.integrity.take_answer(&exit) => {
                    if self.integrity.is_damaged() {
                        super::log(format_args!("ALARM: {DAMAGED}"));
                    }
                }
                Ok(Some(exit)) => {
                    reaped.push(exit.pid);
                    weaken::done("reap");
                }
                Ok(None) => break,
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.clear_away(&reaped);
        if reaped.contains(&self.host.nursery().pid()) && !self.stopping {
            super::log(format_args!("the nursery died; starting another"));
            // Those it had not made an init for learn of it while it is still the one they asked.
            self.step_all(Run::on_control);
            self.host.restart_nursery()?;
            self.step_all(Run::ask_again);
        }
        Ok(())
    }

    /// Forgets runs of which nothing is left, and gives their ids back.
    fn clear_away(&mut self, reaped: &[nix::unistd::Pid]) {
        for index in 0..self.runs.len() {
            let is_reaped = |run: &Run| reaped.iter().any(|pid| run.is_init(*pid));
            // An init that has ended may have said how before; it says nothing after.
            while self.runs.get(index).is_some_and(|run| is_reaped(run) && !run.is_dying()) {
                self.step(index, Run::on_reaped);
            }
        }
        let (host, ids) = (&self.host, &mut self.ids);
        self.runs.retain_mut(|run| {
            let is_reaped = reaped.iter().any(|pid| run.is_init(*pid));
            let gone = run.is_gone(host, is_reaped);
            if gone {
                ids.give_back(run.host_id());
                weaken::done("remove leaf");
            }
            !gone
        });
    }

    /// Ends every run and waits, within bounds, until nothing of them is left.
    fn stop_all(&mut self) {
        self.integrity.stop();
        self.step_all(|run, _| run.end(Cause::Stopping));
        // A server that is gone or does not read gets nothing; that is its own doing.
        let _ = self.outbox.flush(self.server.as_fd());
        let until = Instant::now() + STOPPING;
        while !self.runs.is_empty() && Instant::now() < until {
            if self.reap().is_err() {
                break;
            }
            self.clear_away(&[]);
            std::thread::sleep(Duration::from_millis(1));
        }
        self.audit.close();
    }

    fn new_run_id(&mut self) -> io::Result<String> {
        let mut bytes = [0u8; 8];
        self.random.read_exact(&mut bytes)?;
        Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
    }
}
