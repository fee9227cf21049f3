//! The strict spawner: a small unprivileged process in the template root that clones a pid 1 for
//! each run, as a child of the supervisor. It is this same program, started from a sealed copy in
//! memory, so that neither our file nor our address layout is in reach of a run, and with a command
//! line that a run may see.
//!
//! A warm interpreter (zygote) would be one more spawner beside this one, with the same request.
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::{Gid, Pid, Uid, setgroups, setresgid, setresuid};
use serde::{Deserialize, Serialize};

use crate::sandbox::plan::SandboxPlan;
use crate::sandbox::report::{FromInit, InStep, MAX_MESSAGE, StepFailure};
use crate::sandbox::template::{self, TemplatePlan};
use crate::sandbox::{capabilities, confine, seccomp, weaken};
use crate::sys::clone::{Side, clone_init};
use crate::sys::{descriptors, socket};

/// What the nursery is called; as the first argument it makes this program one.
pub const NAME: &str = "primcs-init";

/// Everything a nursery needs, sent once before any code exists.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setup {
    /// The root to build.
    pub template: TemplatePlan,
    /// What every run gets.
    pub sandbox: SandboxPlan,
    /// Id to become, as root; rootless it stays what it is and gives up its capabilities.
    pub become_id: Option<u32>,
    /// `oom_score_adj` of the nursery and of all runs.
    pub oom_score_adj: i32,
}

/// The supervisor's hold on a nursery.
#[derive(Debug)]
pub struct Nursery {
    socket: OwnedFd,
    pid: Pid,
}

impl Nursery {
    /// Starts one and waits until its root stands. `place` moves it into its cgroup.
    pub fn start(
        setup: &Setup,
        place: impl FnOnce(Pid) -> Result<(), StepFailure>,
    ) -> Result<Self, StepFailure> {
        let (ours, theirs) = socket::pair().in_step("socketpair")?;
        let program = sealed_copy_of_this_program().in_step("copy program into memory")?;
        let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        if weaken::stands("environment") {
            command.env_clear();
        }
        command
            .arg0(NAME)
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        let child = command.spawn().in_step("start nursery")?;
        // It still owns the nursery's end; while that is open here, a nursery that dies before it is
        // ready would never be seen to.
        drop(command);
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
        place(pid)?;
        let text = serde_json::to_vec(setup).map_err(io::Error::other).in_step("write setup")?;
        let memory = memory_file(c"setup", &text).in_step("write setup")?;
        socket::send_packet(ours.as_fd(), b"setup", &[memory.as_fd()]).in_step("send setup")?;
        // It has a file system to build; whoever waits for it has runs to watch.
        let patience = TimeVal::milliseconds(10_000);
        setsockopt(&ours, sockopt::ReceiveTimeout, &patience).in_step("setsockopt SO_RCVTIMEO")?;
        let answer =
            socket::receive_packet(ours.as_fd(), MAX_MESSAGE, 0).in_step("start nursery")?;
        match serde_json::from_slice(&answer.bytes) {
            Ok(FromInit::Hello) => {}
            Ok(FromInit::Failed(failure)) => return Err(failure),
            Ok(FromInit::Ended { .. }) | Err(_) => {
                return Err(StepFailure { step: "start nursery".to_owned(), errno: libc::EPROTO });
            }
        }
        descriptors::set_nonblocking(&ours).in_step("fcntl")?;
        Ok(Self { socket: ours, pid })
    }

    /// Its pid, to recognise its death.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Ends one that no longer answers.
    pub fn kill(&self) {
        // It is our child and not reaped yet, so the pid is its own.
        let _ = kill(self.pid, Signal::SIGKILL);
    }

    /// Asks for one init that speaks on `control`, born in `cgroup`.
    pub fn spawn(&self, control: BorrowedFd<'_>, cgroup: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let mut handed = vec![control];
        handed.extend(cgroup);
        socket::send_packet(self.socket.as_fd(), b"spawn", &handed)
    }
}

/// The nursery's own life, from exec to the end of its supervisor.
#[must_use]
pub fn run() -> ExitCode {
    if descriptors::close_from(3).is_err() {
        return ExitCode::FAILURE;
    }
    let Ok(socket) = descriptors::take_stdin() else { return ExitCode::FAILURE };
    match settle(&socket) {
        Ok((plan, filter)) => {
            let ready = serde_json::to_vec(&FromInit::Hello).unwrap_or_default();
            if socket::send_packet(socket.as_fd(), &ready, &[]).is_err() {
                return ExitCode::FAILURE;
            }
            spawn_on_request(&socket, &plan, &filter)
        }
        Err(failure) => {
            report(socket.as_fd(), failure);
            ExitCode::FAILURE
        }
    }
}

/// Builds the root, enters it and gives everything up.
fn settle(socket: &OwnedFd) -> Result<(SandboxPlan, Vec<seccompiler::BpfProgram>), StepFailure> {
    let packet = socket::receive_packet(socket.as_fd(), MAX_MESSAGE, 1).in_step("read setup")?;
    let memory = packet.descriptors.into_iter().next();
    let memory =
        memory.ok_or_else(|| io::Error::from_raw_os_error(libc::EPROTO)).in_step("read setup")?;
    let mut text = Vec::new();
    File::from(memory).read_to_end(&mut text).in_step("read setup")?;
    let setup: Setup =
        serde_json::from_slice(&text).map_err(io::Error::other).in_step("read setup")?;

    weaken::remove(&setup.sandbox.weakened);
    weaken::is_now("nursery");
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    prctl::set_name(c"primcs-init").in_step("prctl PR_SET_NAME")?;
    if weaken::stands("oom_score") {
        std::fs::write("/proc/self/oom_score_adj", setup.oom_score_adj.to_string())
            .in_step("set oom_score_adj")?;
    }
    #[cfg(feature = "weaken")]
    leak_the_hosts_root()?;
    template::build_and_enter(&setup.template)?;
    give_everything_up(setup.become_id)?;
    let filter = seccomp::from_plain(&setup.sandbox.seccomp);
    Ok((setup.sandbox, filter))
}

/// What closing all descriptors protects against: one of the host's root that came along.
#[cfg(feature = "weaken")]
fn leak_the_hosts_root() -> Result<(), StepFailure> {
    use nix::fcntl::{OFlag, open};
    if !weaken::stands("descriptors") {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let root = open("/", flags, nix::sys::stat::Mode::empty()).in_step("open /")?;
        // Open for as long as this process lives.
        let _ = std::os::fd::IntoRawFd::into_raw_fd(root);
    }
    Ok(())
}

fn give_everything_up(become_id: Option<u32>) -> Result<(), StepFailure> {
    capabilities::empty_bounding_set()?;
    if let Some(id) = become_id {
        let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
        setgroups(&[]).in_step("setgroups")?;
        setresgid(gid, gid, gid).in_step("setresgid")?;
        setresuid(uid, uid, uid).in_step("setresuid")?;
    }
    capabilities::empty_sets()?;
    if weaken::stands("no_new_privs") {
        prctl::set_no_new_privs().in_step("prctl PR_SET_NO_NEW_PRIVS")?;
    }
    // Last: changing ids clears it.
    prctl::set_pdeathsig(Signal::SIGKILL).in_step("prctl PR_SET_PDEATHSIG")
}

fn spawn_on_request(
    socket: &OwnedFd,
    plan: &SandboxPlan,
    filter: &[seccompiler::BpfProgram],
) -> ExitCode {
    loop {
        let Ok(packet) = socket::receive_packet(socket.as_fd(), MAX_MESSAGE, 2) else {
            return ExitCode::FAILURE;
        };
        if packet.bytes.is_empty() {
            return ExitCode::SUCCESS;
        }
        let mut handed = packet.descriptors.into_iter();
        let Some(control) = handed.next() else { return ExitCode::FAILURE };
        let cgroup = handed.next();
        weaken::run_begins();
        weaken::done("asked for init");
        match clone_init(cgroup.as_ref().map(AsFd::as_fd), weaken::stands("network")) {
            Ok(Side::Parent(_)) => weaken::done("clone3"),
            Ok(Side::Child) => enter_run(control, plan, filter),
            Err(error) => report(
                control.as_fd(),
                StepFailure { step: "clone3".to_owned(), errno: error.raw_os_error().unwrap_or(0) },
            ),
        }
    }
}

/// The child keeps one descriptor: its own socket, at number 0.
fn enter_run(control: OwnedFd, plan: &SandboxPlan, filter: &[seccompiler::BpfProgram]) -> ! {
    let placed = descriptors::place(control.as_fd(), 0);
    drop(control);
    let moved = placed
        .and_then(
            |()| if weaken::stands("descriptors") { descriptors::close_from(1) } else { Ok(()) },
        )
        .and_then(|()| descriptors::take_stdin_only());
    match moved {
        Ok(control) => confine::init(&control, plan, filter),
        Err(_) => crate::sys::signals::exit_now(1),
    }
}

fn report(to: BorrowedFd<'_>, failure: StepFailure) {
    if let Ok(text) = serde_json::to_vec(&FromInit::Failed(failure)) {
        // Whoever waits on the other end also sees it close.
        let _ = socket::send_packet(to, &text, &[]);
    }
}

fn sealed_copy_of_this_program() -> io::Result<File> {
    let mut program = Vec::new();
    File::open("/proc/self/exe")?.read_to_end(&mut program)?;
    memory_file(c"primcs-init", &program)
}

fn memory_file(name: &std::ffi::CStr, content: &[u8]) -> io::Result<File> {
    let name: CString = name.into();
    let memory =
        memfd_create(name.as_c_str(), MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut file = File::from(memory);
    file.write_all(content)?;
    file.rewind()?;
    let seals = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    // The kernel refuses while one of the pages is still on its way into its lists.
    for _ in 0..SEALING_TRIES {
        match fcntl(&file, FcntlArg::F_ADD_SEALS(seals)) {
            Err(nix::errno::Errno::EBUSY) => std::thread::sleep(Duration::from_millis(10)),
            other => {
                other?;
                return Ok(file);
            }
        }
    }
    Err(io::Error::from_raw_os_error(libc::EBUSY))
}

/// Two seconds in all.
const SEALING_TRIES: usize = 200;
