//! Securebits: what uid 0 and setuid may not bring back.
#![expect(unsafe_code, reason = "PR_SET_SECUREBITS has no safe wrapper")]

use std::io;

/// `NOROOT`, `NO_SETUID_FIXUP`, `KEEP_CAPS` off and `NO_CAP_AMBIENT_RAISE`, each with its lock.
pub const ALL_LOCKED: libc::c_ulong = 0b1110_1111;

/// Sets the calling thread's securebits.
pub fn set(bits: libc::c_ulong) -> io::Result<()> {
    // SAFETY: arguments are numbers.
    let result = unsafe { libc::prctl(libc::PR_SET_SECUREBITS, bits, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
