//! `fork` for short-lived children, and the `clone3` that makes a run's pid 1.
//!
//! Every caller is single-threaded, so a child may allocate and lock as it likes.
#![expect(unsafe_code, reason = "fork and clone3 have no safe wrapper")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::unistd::{ForkResult, Pid, fork};

/// The namespaces of a run. `NEWCGROUP` is missing on purpose: made here, it would be rooted where
/// the spawner sits, so the init unshares it itself once it has been moved.
const RUN_NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;

/// Which of the two processes this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The caller, with the pid of the new process.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Copies this process.
pub fn fork_process() -> io::Result<Side> {
    // SAFETY: this process has one thread, so the child's copy of locks and allocator is consistent.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Side::Parent(child)),
        ForkResult::Child => Ok(Side::Child),
    }
}

/// Makes the pid 1 of a run: a copy of this process in new namespaces, as a child of this
/// process's **parent**, and born in `cgroup` where one is given.
pub fn clone_init(cgroup: Option<BorrowedFd<'_>>, new_network: bool) -> io::Result<Side> {
    let mut flags = u64::from((RUN_NAMESPACES | libc::CLONE_PARENT).cast_unsigned());
    if new_network {
        flags |= u64::from(libc::CLONE_NEWNET.cast_unsigned());
    }
    let mut arguments = CloneArguments::default();
    if let Some(cgroup) = cgroup {
        flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    arguments.flags = flags;
    // SAFETY: the structure outlives the call, its size is passed, and without CLONE_VM and a stack
    // the child goes on with a copy of this single-threaded process, as after fork.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<CloneArguments>()) };
    match pid {
        0 => Ok(Side::Child),
        pid if pid > 0 => Ok(Side::Parent(Pid::from_raw(
            i32::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))?,
        ))),
        _ => Err(io::Error::last_os_error()),
    }
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args`, as of Linux 5.7. `exit_signal` must stay 0 beside `CLONE_PARENT`.
#[derive(Debug, Default)]
#[repr(C, align(8))]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_structure_has_the_kernels_size() {
        assert_eq!(size_of::<CloneArguments>(), 88);
    }
}
