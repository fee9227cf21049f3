//! The confinement of one run, top to bottom: [`init`] is pid 1 of its namespaces, [`program`] is
//! what it forks. A step that fails is reported and ends the run before anything of the code's was
//! read. The order is the argument: nothing foreign runs before the last line of `program`.
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::fs::OpenOptions;
use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Pid, Uid, execve, sethostname, setresgid, setresuid, setsid};
use seccompiler::BpfProgram;

use super::plan::SandboxPlan;
use super::report::{FromInit, InStep, MAX_MESSAGE, StepFailure, ToInit};
use super::{capabilities, landlock, mounts, rlimits, seccomp, weaken};
use crate::sys::clone::{Side, fork_process};
use crate::sys::signals::{exit_now, restore_defaults};
use crate::sys::wait::{self, Exit};
use crate::sys::{descriptors, interface, keyring, socket};

/// Descriptor on which the program finds the pipe for the value of a last expression.
pub const RESULT_DESCRIPTOR: i32 = 3;

/// Runs as pid 1 of a run, from just after `clone3` to the end.
pub fn init(control: &OwnedFd, plan: &SandboxPlan, filter: &[BpfProgram]) -> ! {
    weaken::is_now("init");
    let status = match confine_and_wait(control, plan, filter) {
        Ok(ended) => say(control, &ended),
        Err(failure) => say(control, &FromInit::Failed(failure)),
    };
    // Leaving ends the pid namespace, so it is part of the kill.
    while !weaken::stands("kill") && wait::any_child(true).is_ok() {}
    exit_now(i32::from(status.is_err()))
}

/// What arrives with "go".
struct Handed {
    stdout: OwnedFd,
    stderr: OwnedFd,
    result: OwnedFd,
    workspace: OwnedFd,
}

fn confine_and_wait(
    control: &OwnedFd,
    plan: &SandboxPlan,
    filter: &[BpfProgram],
) -> Result<FromInit, StepFailure> {
    // The supervisor learns our pid from the kernel, moves us into cgroups and writes the id maps.
    say(control, &FromInit::Hello)?;
    let handed = wait_for_go(control)?;

    let (uid, gid) = (Uid::from_raw(plan.uid), Gid::from_raw(plan.gid));
    setresgid(gid, gid, gid).in_step("setresgid")?;
    setresuid(uid, uid, uid).in_step("setresuid")?;
    // Changing ids has cleared the death signal and made us dumpable or not as the host is set.
    prctl::set_pdeathsig(Signal::SIGKILL).in_step("prctl PR_SET_PDEATHSIG")?;
    prctl::set_dumpable(!weaken::stands("dumpable")).in_step("prctl PR_SET_DUMPABLE")?;
    end_if_orphaned(control)?;

    unshare(CloneFlags::CLONE_NEWCGROUP).in_step("unshare cgroup namespace")?;
    setsid().in_step("setsid")?;
    sethostname(&plan.hostname).in_step("sethostname")?;
    umask(Mode::from_bits_truncate(plan.umask));
    if weaken::stands("network") {
        interface::bring_loopback_up().in_step("bring lo up")?;
    }
    if weaken::stands("keyring") {
        keyring::join_new_session().in_step("keyctl JOIN_SESSION_KEYRING")?;
    }
    rlimits::lower(&plan.rlimits)?;
    mounts::mount_run(plan, handed.workspace)?;
    capabilities::drop_all()?;

    let program = match fork_process().in_step("fork")? {
        Side::Parent(pid) => pid,
        Side::Child => {
            weaken::is_now("program");
            // Number 0 is about to become the program's stdin.
            let control = descriptors::duplicate_above(control, 16).in_step("duplicate socket")?;
            let Err(failure) =
                program(&handed.stdout, &handed.stderr, &handed.result, plan, filter);
            // The init reports the exit; this tells the supervisor which step it was.
            let _ = say(&control, &FromInit::Failed(failure));
            exit_now(1)
        }
    };
    // Nobody but the program may hold the pipes, and the init keeps nothing else.
    drop((handed.stdout, handed.stderr, handed.result));
    seccomp::install(filter)?;
    wait_for(program)
}

/// The program's side of the fork; returns only when a step failed.
fn program(
    stdout: &OwnedFd,
    stderr: &OwnedFd,
    result: &OwnedFd,
    plan: &SandboxPlan,
    filter: &[BpfProgram],
) -> Result<std::convert::Infallible, StepFailure> {
    setsid().in_step("setsid")?;
    restore_defaults().in_step("restore signals")?;
    prctl::set_dumpable(true).in_step("prctl PR_SET_DUMPABLE")?;
    place_descriptors(stdout, stderr, result).in_step("place descriptors")?;
    landlock::enforce(plan.landlock.as_ref())?;
    let (path, arguments, environment) = command(plan)?;
    seccomp::install(filter)?;
    execve(&path, &arguments, &environment).in_step(&format!("execve {}", path.to_string_lossy()))
}

/// 0 is empty, 1 and 2 are the pipes, 3 is the result; everything else closes at exec.
fn place_descriptors(stdout: &OwnedFd, stderr: &OwnedFd, result: &OwnedFd) -> std::io::Result<()> {
    let null = OpenOptions::new().read(true).open("/dev/null")?;
    // Out of the way first, so that placing one cannot overwrite another.
    let stdin = descriptors::duplicate_above(&null, 16)?;
    let stdout = descriptors::duplicate_above(stdout, 16)?;
    let stderr = descriptors::duplicate_above(stderr, 16)?;
    let result = descriptors::duplicate_above(result, 16)?;
    for (number, from) in [(0, &stdin), (1, &stdout), (2, &stderr), (RESULT_DESCRIPTOR, &result)] {
        descriptors::place(from, number)?;
    }
    if weaken::stands("descriptors") {
        descriptors::close_on_exec_from(RESULT_DESCRIPTOR + 1)?;
    }
    Ok(())
}

type Command = (CString, Vec<CString>, Vec<CString>);

fn command(plan: &SandboxPlan) -> Result<Command, StepFailure> {
    let text = |text: &str| {
        CString::new(text)
            .map_err(|_| StepFailure { step: "make arguments".to_owned(), errno: libc::EINVAL })
    };
    let arguments: Vec<_> = plan.arguments.iter().map(|one| text(one)).collect::<Result<_, _>>()?;
    let mut environment: Vec<_> = plan
        .environment
        .iter()
        .map(|(name, value)| text(&format!("{name}={value}")))
        .collect::<Result<_, _>>()?;
    if !weaken::stands("environment") {
        for (name, value) in std::env::vars() {
            environment.push(text(&format!("{name}={value}"))?);
        }
    }
    let path = arguments
        .first()
        .cloned()
        .ok_or_else(|| StepFailure { step: "make arguments".to_owned(), errno: libc::EINVAL })?;
    Ok((path, arguments, environment))
}

fn say(control: &OwnedFd, message: &FromInit) -> Result<(), StepFailure> {
    let bytes = serde_json::to_vec(message)
        .map_err(|_| StepFailure { step: "report".to_owned(), errno: libc::EINVAL })?;
    socket::send_packet(control.as_fd(), &bytes, &[]).in_step("report")
}

fn wait_for_go(control: &OwnedFd) -> Result<Handed, StepFailure> {
    let packet = socket::receive_packet(control.as_fd(), MAX_MESSAGE, 4).in_step("wait for go")?;
    if packet.bytes.is_empty() {
        exit_now(0); // The supervisor is gone or has given this run up.
    }
    let unexpected = || StepFailure { step: "wait for go".to_owned(), errno: libc::EPROTO };
    let ToInit::Go = serde_json::from_slice(&packet.bytes).map_err(|_| unexpected())?;
    let mut handed = packet.descriptors.into_iter();
    match (handed.next(), handed.next(), handed.next(), handed.next()) {
        (Some(stdout), Some(stderr), Some(result), Some(workspace)) => {
            Ok(Handed { stdout, stderr, result, workspace })
        }
        _ => Err(unexpected()),
    }
}

/// The death signal only tells of deaths after it was set.
fn end_if_orphaned(control: &OwnedFd) -> Result<(), StepFailure> {
    let mut polled = [PollFd::new(control.as_fd(), PollFlags::POLLHUP)];
    poll(&mut polled, PollTimeout::ZERO).in_step("poll")?;
    if polled.iter().any(|one| one.revents().is_some_and(|seen| seen.contains(PollFlags::POLLHUP)))
    {
        exit_now(0);
    }
    Ok(())
}

/// Reaps whatever ends in this pid namespace until the program itself does.
fn wait_for(program: Pid) -> Result<FromInit, StepFailure> {
    loop {
        let ended = wait::any_child(true).in_step("wait")?;
        if let Some(Exit { pid, exit_code, signal }) = ended
            && pid == program
        {
            return Ok(FromInit::Ended { exit_code, signal, cpu_ms: children_cpu_ms() });
        }
    }
}

fn children_cpu_ms() -> u64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return 0 };
    let both = usage.user_time() + usage.system_time();
    u64::try_from(both.tv_sec() * 1000 + both.tv_usec() / 1000).unwrap_or(0)
}
