//! Which descriptors a process keeps.
#![expect(unsafe_code, reason = "descriptor numbers become owned descriptors, and close_range")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// Takes ownership of descriptor 0, which the starter of this program left there.
///
/// # Errors
/// When descriptor 0 is not open.
pub fn take_stdin() -> io::Result<OwnedFd> {
    // SAFETY: descriptor 0 is borrowed only for the duplicate made in this call.
    let stdin = unsafe { std::os::fd::BorrowedFd::borrow_raw(0) };
    let taken = stdin.try_clone_to_owned()?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    place(null.as_fd(), 0)?;
    Ok(taken)
}

/// Takes ownership of descriptor 0 as it is; for a process that keeps no other.
pub fn take_stdin_only() -> io::Result<OwnedFd> {
    // SAFETY: the caller has placed it there itself and no other value owns the number.
    let taken = unsafe { OwnedFd::from_raw_fd(0) };
    // SAFETY: fcntl on a descriptor that we own; no memory is involved.
    check(unsafe { libc::fcntl(0, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    Ok(taken)
}

/// Makes `number` refer to what `from` refers to; it then survives `exec`.
pub fn place(from: impl AsFd, number: RawFd) -> io::Result<()> {
    let from = from.as_fd().as_raw_fd();
    if from == number {
        // SAFETY: fcntl on a descriptor that the caller lent; no memory is involved.
        return check(unsafe { libc::fcntl(from, libc::F_SETFD, 0) });
    }
    // SAFETY: both are plain numbers; what `number` referred to before is closed by the kernel.
    check(unsafe { libc::dup2(from, number) })
}

/// Returns a duplicate with a number of at least `lowest`, close-on-exec.
pub fn duplicate_above(from: impl AsFd, lowest: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl on a descriptor that the caller lent; no memory is involved.
    let number = unsafe { libc::fcntl(from.as_fd().as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest) };
    check(number)?;
    // SAFETY: the kernel has just made this number for us.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Makes reads and writes on this descriptor return at once.
pub fn set_nonblocking(descriptor: &OwnedFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFL)?);
    fcntl(descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Closes every descriptor from `first` on. Owned values that refer to one must not be used again.
pub fn close_from(first: RawFd) -> io::Result<()> {
    close_range(first, 0)
}

/// Makes every descriptor from `first` on close when the next program is executed.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    close_range(first, libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: RawFd, flags: libc::c_uint) -> io::Result<()> {
    let first = first.cast_unsigned();
    // SAFETY: numbers only. The callers are about to exec or keep nothing above `first`.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_is_numbered_at_least_as_asked_and_closes_on_exec() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let copy = duplicate_above(&file, 200).unwrap();
        assert!(copy.as_raw_fd() >= 200);
        let flags = fcntl(&copy, FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
    }
}
