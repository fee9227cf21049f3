//! Reaping children, real-time signals included (nix knows only the named ones).
#![expect(unsafe_code, reason = "waitpid")]

use std::io;

use nix::unistd::Pid;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Which child.
    pub pid: Pid,
    /// Set when it exited.
    pub exit_code: Option<i32>,
    /// Set when a signal ended it.
    pub signal: Option<i32>,
}

/// Waits for any child of any kind; `None` when `block` is false and none has ended.
pub fn any_child(block: bool) -> io::Result<Option<Exit>> {
    let mut status = 0;
    let flags = libc::__WALL | if block { 0 } else { libc::WNOHANG };
    loop {
        // SAFETY: the status outlives the call.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, flags) };
        if pid == 0 {
            return Ok(None);
        }
        if pid < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        let exit_code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
        let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
        if exit_code.is_some() || signal.is_some() {
            return Ok(Some(Exit { pid: Pid::from_raw(pid), exit_code, signal }));
        }
    }
}
