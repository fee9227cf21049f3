//! Keyrings are not namespaced with processes or mounts, so a run gets a session keyring of its own.
#![expect(unsafe_code, reason = "keyctl has no safe wrapper")]

use std::io;

/// Joins a new, empty, anonymous session keyring.
pub fn join_new_session() -> io::Result<()> {
    let no_name: *const libc::c_char = std::ptr::null();
    // SAFETY: a null name asks for an anonymous keyring; no memory is read.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, no_name) };
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
