//! Signal dispositions of a program about to be started, and leaving a forked child at once.
#![expect(unsafe_code, reason = "rt_sigaction and _exit")]

use std::io;

use nix::sys::signal::SigSet;

/// Gives every signal its default action and unblocks all; also the two that the C library keeps
/// for itself and would not touch, which a starter may have left ignored.
pub fn restore_defaults() -> io::Result<()> {
    let default = KernelSigaction { handler: 0, flags: 0, restorer: 0, mask: 0 };
    let none: *const KernelSigaction = std::ptr::null();
    for signal in (1..=LAST_SIGNAL).filter(|one| !matches!(*one, libc::SIGKILL | libc::SIGSTOP)) {
        // SAFETY: the structure outlives the call; the default action runs no code of ours.
        let result = unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                &raw const default,
                none,
                size_of::<u64>(),
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(SigSet::empty().thread_set_mask()?)
}

/// Ends this process without destructors or exit handlers: it is a copy, and they are not its own.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(status) }
}

const LAST_SIGNAL: i32 = 64;

/// `struct kernel_sigaction` of `x86_64` and `aarch64` alike, as far as zeroes are concerned.
#[repr(C)]
struct KernelSigaction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}
