//! What is written into the files of a leaf, layout by layout.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::fcntl::{OFlag, openat};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::stat::Mode;

use super::files::{access, set, write_file};
use super::{CgroupError, LeafLimits};
use crate::sandbox::weaken;

/// What all TCP sockets of a run may buffer under v1.
const V1_TCP_BUFFERS: u64 = 16 << 20;
/// How far each socket may go beyond that.
const V1_SOCKET_OVERSHOOT: u64 = 70 * 1024;
/// Less than this starts no Python.
const V1_LEAST: u64 = 32 << 20;

pub(super) fn set_unified(
    directory: BorrowedFd<'_>,
    limits: &LeafLimits,
) -> Result<(), CgroupError> {
    if weaken::stands("memory_max") {
        set(directory, "memory.max", &limits.memory.to_string())?;
        set_swap(directory, "memory.swap.max", 0)?;
        set(directory, "memory.oom.group", "1")?;
    }
    set_pids(directory, limits)?;
    if weaken::stands("cpu_max") {
        set(directory, "cpu.max", &format!("{} {}", limits.cpu_quota, limits.cpu_period))?;
    }
    Ok(())
}

/// `pids.max` has one name in both versions.
pub(super) fn set_pids(directory: BorrowedFd<'_>, limits: &LeafLimits) -> Result<(), CgroupError> {
    if weaken::stands("pids_max") {
        set(directory, "pids.max", &limits.pids.to_string())?;
    }
    Ok(())
}

pub(super) fn set_cpu_v1(
    directory: BorrowedFd<'_>,
    limits: &LeafLimits,
) -> Result<(), CgroupError> {
    if weaken::stands("cpu_max") {
        set(directory, "cpu.cfs_period_us", &limits.cpu_period.to_string())?;
        set(directory, "cpu.cfs_quota_us", &limits.cpu_quota.to_string())?;
    }
    Ok(())
}

/// Returns what is left for the program: TCP buffers are charged elsewhere under v1, and that limit
/// overshoots by some 70 KB a socket; both come off.
pub(super) fn set_memory_v1(
    directory: BorrowedFd<'_>,
    limits: &LeafLimits,
) -> Result<u64, CgroupError> {
    let program = limits
        .memory
        .checked_sub(V1_TCP_BUFFERS + limits.open_files * V1_SOCKET_OVERSHOOT)
        .filter(|left| *left >= V1_LEAST)
        .ok_or_else(|| {
            CgroupError::Unavailable(
                "memory.max is too small beside the socket buffers that cgroup v1 leaves out; raise it or lower nofile in limits.toml".to_owned(),
            )
        })?;
    if weaken::stands("memory_max") {
        set(directory, "memory.limit_in_bytes", &program.to_string())?;
        set_swap(directory, "memory.memsw.limit_in_bytes", program)?;
    }
    if weaken::stands("kmem_tcp") {
        set(directory, "memory.kmem.tcp.limit_in_bytes", &V1_TCP_BUFFERS.to_string())?;
    }
    Ok(program)
}

/// Swap must stay out of reach: by the kernel's own counter, or because there is none.
fn set_swap(directory: BorrowedFd<'_>, file: &str, bytes: u64) -> Result<(), CgroupError> {
    match set(directory, file, &bytes.to_string()) {
        Err(CgroupError::Access { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let meminfo = std::fs::read_to_string("/proc/meminfo").map_err(|source| {
                CgroupError::Access { name: "/proc/meminfo".to_owned(), source }
            })?;
            let swap = meminfo.lines().find(|line| line.starts_with("SwapTotal:"));
            if swap.is_some_and(|line| line.split_whitespace().nth(1) == Some("0")) {
                return Ok(());
            }
            Err(CgroupError::Unavailable(
                "this kernel does not count the swap of a cgroup; boot with swapaccount=1, or turn swap off with swapoff -a".to_owned(),
            ))
        }
        other => other,
    }
}

pub(super) fn watch_oom_v1(memory: BorrowedFd<'_>) -> Result<EventFd, CgroupError> {
    let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
        .map_err(access("eventfd"))?;
    let control =
        openat(memory, "memory.oom_control", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(access("memory.oom_control"))?;
    let line = format!("{} {}", event.as_fd().as_raw_fd(), control.as_raw_fd());
    write_file(memory, "cgroup.event_control", &line)?;
    Ok(event)
}
