//! Extended attributes: one call, which nix does not wrap.
#![expect(unsafe_code, reason = "nix has no wrapper for getxattr")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The value of the attribute `name`, of at most 64 bytes, of what lies at `path`.
pub fn get(path: &Path, name: &CStr) -> io::Result<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut value = vec![0_u8; 64];
    // SAFETY: both strings end in NUL, and the buffer outlives the call, which gets its length.
    let length = unsafe {
        libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
    };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    value.truncate(length);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_an_error_and_no_empty_value() {
        let error = get(Path::new("/proc/self"), c"user.primcs").unwrap_err();
        assert!(matches!(error.raw_os_error(), Some(libc::ENODATA | libc::EOPNOTSUPP)), "{error}");
        let error = get(Path::new("/nowhere"), c"user.primcs").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
