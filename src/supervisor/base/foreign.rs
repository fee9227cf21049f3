//! Runs a program of the host to ask it something: an interpreter, a dynamic loader.
//!
//! Trusts nothing that runs here. It never runs as root: the standard library's `Command` clears
//! the groups and sets both ids before exec, the environment is empty, `no_new_privs` closes every
//! setuid program to it, what it prints is bounded, and its process group is killed at the end. A
//! program that leaves the group by `setsid` stays what any local user could have started.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::Reader;
use crate::sandbox::weaken;

/// Starts `program` as `reader` (as ourselves when rootless) and returns what it prints. It has ended
/// when nobody holds its standard output any more, and must then have ended with status 0.
pub(super) fn ask<A: AsRef<OsStr>>(
    program: &Path,
    arguments: &[A],
    reader: Option<Reader>,
    patience: Duration,
) -> io::Result<String> {
    // For this whole process and for good: the supervisor never gains anything by an exec, and
    // nothing below it may. (Command has no such switch without unsafe code.)
    if weaken::stands("no_new_privs") {
        nix::sys::prctl::set_no_new_privs()?;
    }
    let deadline = Instant::now() + patience;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(Reader { uid, gid }) = reader {
        command.uid(uid).gid(gid);
    }
    let mut child = command.spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    let output = match child.stdout.take() {
        Some(pipe) => read_until(pipe, deadline),
        None => Err(io::Error::other("no pipe")),
    };
    // Not yet reaped, so the number cannot have passed to another group.
    match killpg(pid, Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    let (status, output) = (child.wait()?, output?);
    if !status.success() {
        return Err(io::Error::other(format!("it failed ({status})")));
    }
    String::from_utf8(output).map_err(io::Error::other)
}

fn read_until(mut pipe: impl Read + AsFd, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    let mut chunk = [0u8; 8192];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], left) {
            Err(Errno::EINTR) => continue,
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            other => other?,
        };
        let count = pipe.read(&mut chunk)?;
        output.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if count == 0 {
            return Ok(output);
        }
        if output.len() > MOST_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
}

const MOST_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, reader: Option<Reader>) -> io::Result<String> {
        ask(Path::new("/bin/sh"), &["-c", script], reader, Duration::from_millis(700))
    }

    #[test]
    fn a_program_that_hangs_or_floods_is_ended() {
        let begun = Instant::now();
        assert_eq!(shell("sleep 60", None).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(shell("exec >&-; sleep 60", None).unwrap_err().to_string().contains("signal: 9"));
        assert!(shell("echo 1; exit 3", None).unwrap_err().to_string().contains("status: 3"));
        assert_eq!(shell("yes", None).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_program_has_no_environment_and_can_gain_nothing() {
        let answer = shell("env; grep NoNewPrivs /proc/self/status", None).unwrap();
        assert!(answer.contains("NoNewPrivs:\t1"), "{answer}");
        assert!(!answer.contains("HOME="), "{answer}");
    }

    #[test]
    fn as_root_a_program_runs_as_the_reader_without_groups_or_capabilities() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: only root can start a program as somebody else");
            return;
        }
        let reader = Some(Reader { uid: 2_000_000_001, gid: 2_000_000_001 });
        let answer = shell("id -u; id -G; grep CapEff /proc/self/status", reader).unwrap();
        assert_eq!(answer, "2000000001\n2000000001\nCapEff:\t0000000000000000\n");
    }
}
