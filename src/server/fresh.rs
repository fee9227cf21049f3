//! The first thing that this half does: it forgets what its starter had for others. A compromised
//! server must find no key of the operator's cloud in its memory and no descriptor left open.
//!
//! Environment that a process was started with stays in its memory whatever it unsets, so it is
//! executed once more without.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::prctl;

use crate::sys::descriptors;

/// What is read by us, by what we link (terminal width and colours), or by the supervisor.
const KEPT: [&str; 20] = [
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "PORT",
    "JOURNAL_STREAM",
    "NOTIFY_SOCKET",
    "CREDENTIALS_DIRECTORY",
    "TERM",
    "COLUMNS",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "LANG",
    "LC_ALL",
    "TZ",
    "RUST_BACKTRACE",
    // Who started this program, for doctor's advice.
    "SYSTEMD_EXEC_PID",
    "container",
];

/// Returns when nothing else is left; otherwise this program starts again, under the same pid.
pub(super) fn forget_the_starter() -> io::Result<()> {
    // Nothing of ours is open yet.
    descriptors::close_from(3)?;
    let (kept, others): (Vec<_>, Vec<_>) = std::env::vars_os().partition(|(name, _)| is_kept(name));
    if others.is_empty() {
        // Started again it would be listed as `exe`.
        return Ok(prctl::set_name(c"primcs")?);
    }
    // The very file that runs, whatever lies under its name by now.
    let mut command = Command::new("/proc/self/exe");
    let mut arguments = std::env::args_os();
    command.arg0(arguments.next().unwrap_or_else(|| OsString::from("primcs")));
    Err(command.args(arguments).env_clear().envs(kept).exec())
}

/// Those of ours stay with their misspelt kin, which are refused by name.
fn is_kept(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| KEPT.contains(&name) || name.starts_with("PRIMCS_"))
}
