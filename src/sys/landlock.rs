//! Landlock: three calls. What is granted comes from the policy; nothing is decided here.
#![expect(unsafe_code, reason = "the three calls have no wrapper in libc or nix")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A set of rules that is not yet in force.
#[derive(Debug)]
pub struct Ruleset(OwnedFd);

/// ABI of the running kernel; `None` when it has no Landlock or it is off.
pub fn abi() -> io::Result<Option<u32>> {
    let none: *const u8 = std::ptr::null();
    // SAFETY: with this flag the call takes no attributes.
    let abi = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, CREATE_RULESET_VERSION)
    };
    if abi >= 0 {
        return Ok(u32::try_from(abi).ok());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EOPNOTSUPP) => Ok(None),
        _ => Err(error),
    }
}

impl Ruleset {
    /// A ruleset that refuses every one of `handled` (`LANDLOCK_ACCESS_FS_*`) that is not granted.
    pub fn new(handled: u64) -> io::Result<Self> {
        // SAFETY: the attribute outlives the call and its size is passed; no flags.
        let result = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                &raw const handled,
                size_of::<u64>(),
                0_u32,
            )
        };
        let number = i32::try_from(result).unwrap_or(-1);
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(number) }))
    }

    /// Grants `rights` beneath what `path` refers to.
    pub fn grant(&self, path: BorrowedFd<'_>, rights: u64) -> io::Result<()> {
        let rule = PathBeneath { rights, parent: path.as_raw_fd() };
        // SAFETY: the rule outlives the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                self.0.as_fd().as_raw_fd(),
                RULE_PATH_BENEATH,
                &raw const rule,
                0_u32,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Puts the rules in force for this thread and all it starts. Needs `no_new_privs`.
    pub fn enforce(self) -> io::Result<()> {
        // SAFETY: a descriptor and a number.
        let result =
            unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), 0_u32) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: u32 = 1;

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    rights: u64,
    parent: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_has_the_kernels_size() {
        assert_eq!(size_of::<PathBeneath>(), 12);
    }
}
