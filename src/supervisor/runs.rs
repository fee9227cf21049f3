//! The live runs and what moves each from one state to the next. Nothing here blocks: every step is
//! an answer to an event, and every state has a deadline that ends in a kill.
//!
//! ```text
//! asked --hello--> running --end, timeout, cancel, oom--> dying --reaped, cgroup empty--> (gone)
//!   \------------- failed step, deadline ----------------/
//! ```
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2};

use super::host::Host;
use super::sockets;
use super::verdict::{Cause, decide};
use crate::sandbox::cgroup::Leaf;
use crate::sandbox::plan::SandboxPlan;
use crate::sandbox::report::{FromInit, InStep, MAX_MESSAGE, StepFailure, ToInit};
use crate::sandbox::weaken;
use crate::sandbox::workspace::WorkspacePlan;
use crate::sys::{descriptors, socket};
use crate::wire::{Ended, FailedStep, LimitsInForce, Started, Usage, Verdict};

/// How long the kernel may take to make a run's namespaces.
const HELLO_DEADLINE: Duration = Duration::from_secs(10);
/// How much later than the end of an init that said nothing the spawner's death may be told, when
/// that was the cause.
const SILENCE: Duration = Duration::from_millis(100);

/// One run.
#[derive(Debug)]
pub struct Run {
    /// Made by us.
    pub id: String,
    /// Whom the answers go to.
    pub asker: Asker,
    /// As in force.
    pub limits: LimitsInForce,
    host_id: u32,
    leaf: Option<Leaf>,
    control: Option<OwnedFd>,
    init: Option<Pid>,
    state: State,
    deadline: Option<Instant>,
    /// The init's count of CPU time, for hosts without a better one.
    init_cpu_ms: u64,
    next_count: Instant,
}

/// Who wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// The server, with its request number.
    Server(u64),
    /// This supervisor: a probe.
    Probe,
}

impl Asker {
    const fn request(self) -> u64 {
        match self {
            Self::Server(request) => request,
            Self::Probe => 0,
        }
    }
}

#[derive(Debug)]
enum State {
    Asked(Handover),
    Running { since: Instant },
    Dying,
}

/// What the init gets with "go".
#[derive(Debug)]
struct Handover {
    workspace: OwnedFd,
    writing: Vec<OwnedFd>,
    reading: Vec<OwnedFd>,
    /// When it is given up.
    until: Instant,
}

/// What an event led to.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing to tell.
    Nothing,
    /// The program may start; the reading ends of stdout, stderr and result.
    Started(Started, Vec<OwnedFd>),
    /// It is over.
    Ended(Box<Ended>),
    /// It is over before anybody was told that it had started.
    NeverStarted(Box<Ended>),
}

impl Run {
    /// Makes everything a run needs from us, and asks the spawner for its init.
    pub fn ask(
        host: &Host,
        id: String,
        asker: Asker,
        code: &str,
        wall: Duration,
        host_id: u32,
    ) -> Result<Self, StepFailure> {
        weaken::run_begins();
        let probe = asker == Asker::Probe;
        let leaf = host.create_leaf(&id, probe).map_err(|error| cgroup_failure(&error))?;
        weaken::done("make leaf");
        // The spawner is asked last, so that a failure leaves no init behind.
        let asked = make_handover(host.workspace(probe), host_id, code)
            .and_then(|handover| Ok((handover, ask_for_init(host, leaf.as_ref())?)));
        match asked {
            Ok((handover, control)) => Ok(Self {
                id,
                asker,
                limits: host.limits_in_force(leaf.as_ref(), wall),
                host_id,
                leaf,
                control,
                init: None,
                deadline: Some(handover.until),
                state: State::Asked(handover),
                init_cpu_ms: 0,
                next_count: Instant::now(),
            }),
            Err(failure) => {
                if let Some(leaf) = leaf {
                    host.discard(&leaf);
                }
                Err(failure)
            }
        }
    }

    /// The init's socket, while it can still say something.
    #[must_use]
    pub fn control(&self) -> Option<BorrowedFd<'_>> {
        self.control.as_ref().map(AsFd::as_fd)
    }

    /// Readable when the kernel killed for memory (v1).
    #[must_use]
    pub fn oom_event(&self) -> Option<BorrowedFd<'_>> {
        if self.is_dying() { None } else { self.leaf.as_ref().and_then(Leaf::oom_event) }
    }

    /// When [`Run::on_deadline`] is due.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// When [`Run::watch_sockets`] is due.
    #[must_use]
    pub fn next_count(&self) -> Option<Instant> {
        matches!(self.state, State::Running { .. }).then_some(self.next_count)
    }

    /// Its init while the program may run.
    #[must_use]
    pub const fn running_init(&self) -> Option<Pid> {
        if let State::Running { .. } = self.state { self.init } else { None }
    }

    /// Whether its end was told and only the clearing away is left.
    #[must_use]
    pub const fn is_dying(&self) -> bool {
        matches!(self.state, State::Dying)
    }

    /// Whether this is the pid of its init.
    #[must_use]
    pub fn is_init(&self, pid: Pid) -> bool {
        self.init == Some(pid)
    }

    /// The id that goes back to the pool when the run is gone.
    #[must_use]
    pub const fn host_id(&self) -> u32 {
        self.host_id
    }

    /// The init said something, or is gone.
    pub fn on_control(&mut self, host: &Host) -> Outcome {
        let Some(control) = &self.control else { return Outcome::Nothing };
        match socket::receive_packet(control.as_fd(), MAX_MESSAGE, 0) {
            Ok(packet) if !packet.bytes.is_empty() && !packet.truncated => self.hear(host, &packet),
            // Nothing yet, whatever `poll` seemed to say.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Outcome::Nothing,
            // Perhaps the spawner has died with the request in its hands.
            _ if self.init.is_none() => {
                self.control = None;
                self.deadline = Some(Instant::now() + SILENCE);
                Outcome::Nothing
            }
            _ => self.end(Cause::Vanished),
        }
    }

    /// Asks the new spawner for what the dead one did not make. The deadline stays what it was.
    pub fn ask_again(&mut self, host: &Host) -> Outcome {
        let (State::Asked(handover), None) = (&self.state, &self.control) else {
            return Outcome::Nothing;
        };
        match ask_for_init(host, self.leaf.as_ref()) {
            Ok(control) => {
                self.control = control;
                self.deadline = Some(handover.until);
                Outcome::Nothing
            }
            Err(failure) => self.end(Cause::StepFailed(failure)),
        }
    }

    /// The init has been reaped: what it has not said by now it never will.
    pub fn on_reaped(&mut self, host: &Host) -> Outcome {
        let outcome = self.on_control(host);
        if matches!(outcome, Outcome::Nothing) { self.end(Cause::Vanished) } else { outcome }
    }

    fn hear(&mut self, host: &Host, packet: &socket::Packet) -> Outcome {
        match (serde_json::from_slice(&packet.bytes), packet.sender_pid) {
            (Ok(FromInit::Hello), Some(pid))
                if matches!(self.state, State::Asked(_)) && self.init.is_none() =>
            {
                self.init = Some(Pid::from_raw(pid));
                weaken::done("hear hello");
                self.let_go(host).unwrap_or_else(|failure| {
                    let end = self.on_control(host);
                    // No step succeeds with one that was killed meanwhile.
                    let killed = is_exiting(Pid::from_raw(pid));
                    let cause = if killed { Cause::Vanished } else { Cause::StepFailed(failure) };
                    if matches!(end, Outcome::Nothing) { self.end(cause) } else { end }
                })
            }
            (Ok(FromInit::Failed(failure)), _) => self.end(Cause::StepFailed(failure)),
            (Ok(FromInit::Ended { exit_code, signal, cpu_ms }), _) => {
                self.init_cpu_ms = cpu_ms;
                weaken::done("hear the end");
                self.end(Cause::Ended { exit_code, signal })
            }
            _ => self.end(Cause::Vanished),
        }
    }

    /// Puts the init into its cgroups, writes its id maps, and tells it to go on.
    fn let_go(&mut self, host: &Host) -> Result<Outcome, StepFailure> {
        let (Some(init), Some(control)) = (self.init, &self.control) else {
            return Ok(Outcome::Nothing);
        };
        if let Some(leaf) = &self.leaf {
            leaf.enter(init).map_err(|error| cgroup_failure(&error))?;
            weaken::done("enter cgroup");
        }
        write_id_maps(init, host.plan(), self.host_id)?;
        let State::Asked(handover) = &self.state else { return Ok(Outcome::Nothing) };
        let go = serde_json::to_vec(&ToInit::Go).map_err(io::Error::other).in_step("say go")?;
        let mut handed: Vec<_> = handover.writing.iter().map(AsFd::as_fd).collect();
        handed.push(handover.workspace.as_fd());
        socket::send_packet(control.as_fd(), &go, &handed).in_step("say go")?;
        let since = Instant::now();
        // Only now: a run that could not be told to go still has its end to come.
        let running = State::Running { since };
        let State::Asked(handover) = std::mem::replace(&mut self.state, running) else {
            return Ok(Outcome::Nothing);
        };
        self.deadline = weaken::stands("wall_clock")
            .then(|| since + Duration::from_millis(self.limits.wall_ms));
        let started = Started {
            request: self.asker.request(),
            run_id: self.id.clone(),
            limits: self.limits.clone(),
        };
        Ok(Outcome::Started(started, handover.reading))
    }

    /// The kernel ran out of memory for this run. It has killed one process, perhaps not the main
    /// one (v1); the rest goes too.
    pub fn on_oom(&mut self) -> Outcome {
        let Some(leaf) = &self.leaf else { return Outcome::Nothing };
        leaf.take_oom_event();
        match leaf.oom_kills() {
            Ok(0) => Outcome::Nothing,
            _ => self.end(Cause::OutOfMemory),
        }
    }

    /// How its CPU time was rationed; absent without cgroups.
    #[must_use]
    pub fn rationed(&self) -> Option<(u64, u64)> {
        self.leaf.as_ref().map(Leaf::rationed)
    }

    /// Counts the sockets of a running run, when it is time to.
    pub fn watch_sockets(&mut self, host: &Host, now: Instant) -> Outcome {
        let (State::Running { .. }, Some(init)) = (&self.state, self.init) else {
            return Outcome::Nothing;
        };
        if self.next_count > now || !weaken::stands("sockets") {
            return Outcome::Nothing;
        }
        self.next_count = now + sockets::PERIOD;
        let most = host.policy().limits.run.sockets.inet.value;
        match sockets::count(init) {
            // An init that is gone has none; its end is on its way.
            Ok(held) if held > most => self.end(Cause::HeldTooMany),
            _ => Outcome::Nothing,
        }
    }

    /// Time is up.
    pub fn on_deadline(&mut self, host: &Host) -> Outcome {
        match self.state {
            State::Asked(_) if self.control.is_none() => self.end(Cause::Vanished),
            State::Asked(_) => {
                // Nobody is served by one that hangs; who else waits for it will ask the next.
                host.nursery().kill();
                let step = "wait for init".to_owned();
                self.end(Cause::StepFailed(StepFailure { step, errno: libc::ETIMEDOUT }))
            }
            State::Running { .. } => self.end(Cause::Timeout),
            State::Dying => Outcome::Nothing,
        }
    }

    /// Decides the verdict, kills everything, and says how it went. The answer does not wait for
    /// the clearing away.
    pub fn end(&mut self, cause: Cause) -> Outcome {
        let (outcome, wall_ms): (fn(_) -> _, _) = match self.state {
            State::Dying => return Outcome::Nothing,
            State::Asked(_) => (Outcome::NeverStarted, 0),
            State::Running { since } => {
                (Outcome::Ended, u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX))
            }
        };
        let oom_kills = self.leaf.as_ref().map_or(0, |leaf| leaf.oom_kills().unwrap_or(0));
        let verdict = decide(&cause, oom_kills);
        let (exit_code, signal) = if let Cause::Ended { exit_code, signal } = &cause {
            (*exit_code, *signal)
        } else {
            (None, None)
        };
        let failed_step = if let Cause::StepFailed(StepFailure { step, errno }) = cause {
            Some(FailedStep { step, errno })
        } else {
            None
        };
        if weaken::stands("kill") || verdict != Verdict::Ok {
            self.kill();
            weaken::done("kill");
        }
        // An init that has not said hello yet sees EOF instead of "go". The tmpfs goes with the run.
        self.control = None;
        self.state = State::Dying;
        self.deadline = None;
        outcome(Box::new(Ended {
            request: self.asker.request(),
            run_id: self.id.clone(),
            verdict,
            exit_code,
            signal,
            usage: self.usage(wall_ms),
            pids_refused: self.leaf.as_ref().map_or(0, |leaf| leaf.pids_refused().unwrap_or(0)),
            failed_step,
        }))
    }

    /// Both ways, always: the cgroup at once, and pid 1 with whom its namespace ends.
    pub fn kill(&self) {
        if let Some(leaf) = &self.leaf {
            // Without cgroup.kill (v1) the init's death ends all.
            let _ = leaf.kill();
        }
        if let Some(init) = self.init {
            // ESRCH: it has ended already and waits to be reaped. The pid cannot be reused before.
            let _ = kill(init, Signal::SIGKILL);
        }
    }

    /// Clears away what is left; true when nothing is, and the id may be used again.
    pub fn is_gone(&mut self, host: &Host, reaped: bool) -> bool {
        if reaped {
            self.init = None;
        }
        if !self.is_dying() || self.init.is_some() {
            return false;
        }
        self.leaf.as_ref().is_none_or(|leaf| host.try_discard(leaf))
    }

    fn usage(&self, wall_ms: u64) -> Usage {
        let leaf = self.leaf.as_ref();
        Usage {
            wall_ms,
            cpu_ms: leaf.and_then(Leaf::cpu_ms).unwrap_or(self.init_cpu_ms),
            memory_peak_bytes: leaf.and_then(Leaf::memory_peak),
            pids_peak: leaf.and_then(Leaf::pids_peak).map(|peak| peak.saturating_sub(1)),
        }
    }
}

/// Returns our end of the socket on which the init will say hello; none when the spawner is dead,
/// which SIGCHLD is about to tell.
fn ask_for_init(host: &Host, leaf: Option<&Leaf>) -> Result<Option<OwnedFd>, StepFailure> {
    let (control, theirs) = socket::pair().in_step("socketpair")?;
    socket::receive_credentials(control.as_fd()).in_step("setsockopt SO_PASSCRED")?;
    // Every clock of every run stands still while this process waits for one.
    descriptors::set_nonblocking(&control).in_step("fcntl")?;
    let asked = host.nursery().spawn(theirs.as_fd(), leaf.and_then(Leaf::birth));
    if asked.as_ref().is_err_and(|error| {
        matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
    }) {
        return Ok(None);
    }
    asked.in_step("ask nursery")?;
    // Theirs closes here, so that EOF means that the init is gone.
    Ok(Some(control))
}

fn make_handover(plan: &WorkspacePlan, host_id: u32, code: &str) -> Result<Handover, StepFailure> {
    let workspace = plan.create(host_id, code).in_step("make tmpfs")?;
    let mut writing = Vec::new();
    let mut reading = Vec::new();
    for _ in 0..3 {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).in_step("pipe2")?;
        descriptors::set_nonblocking(&read).in_step("fcntl")?;
        // Without it the run could not reopen /dev/stdout.
        let owner = Some(host_id.into());
        nix::unistd::fchown(&write, owner, Some(host_id.into())).in_step("fchown pipe")?;
        reading.push(read);
        writing.push(write);
    }
    let until = Instant::now() + HELLO_DEADLINE;
    Ok(Handover { workspace, writing, reading, until })
}

fn write_id_maps(init: Pid, plan: &SandboxPlan, outside: u32) -> Result<(), StepFailure> {
    let write = |file: &str, text: &str| {
        std::fs::write(format!("/proc/{init}/{file}"), text).in_step(&format!("write {file}"))
    };
    write("setgroups", "deny")?;
    write("gid_map", &format!("{} {outside} 1", plan.gid))?;
    write("uid_map", &format!("{} {outside} 1", plan.uid))
}

/// Whether it has begun to exit, or is gone. Its files change hands (`EACCES`) long before its end
/// of the socket closes.
fn is_exiting(init: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{init}/stat")).unwrap_or_default();
    let flags = stat.rsplit(')').flat_map(str::split_whitespace).nth(6);
    flags.is_none_or(|flags| flags.parse::<i32>().is_ok_and(|it| it & libc::PF_EXITING != 0))
}

fn cgroup_failure(error: &crate::sandbox::cgroup::CgroupError) -> StepFailure {
    use std::error::Error as _;
    let errno = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error);
    StepFailure { step: error.to_string(), errno: errno.unwrap_or(libc::EIO) }
}
