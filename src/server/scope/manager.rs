//! How the manager that owns the tree is asked for a scope: by busctl, whose end is waited for.
//!
//! Trusts systemd and its `busctl`, which `trusted` opens, and nothing of the environment.
#![forbid(unsafe_code)]

use std::fs;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Instant;

use crate::trusted;

use super::error::{BUSCTL, ScopeError};
use super::{PATIENCE, PAUSE};

/// Whom to ask.
#[derive(Debug)]
pub(super) enum Bus {
    System,
    /// The runtime directory of this user.
    User(PathBuf),
}

impl Bus {
    /// By the user's id and not by the environment: MCP clients pass no `XDG_RUNTIME_DIR`, and su
    /// and sudo may pass another user's.
    pub(super) fn of_user() -> Result<Self, ScopeError> {
        let uid = nix::unistd::geteuid().as_raw();
        let runtime = PathBuf::from(format!("/run/user/{uid}"));
        let is_ours = fs::symlink_metadata(&runtime).is_ok_and(|found| {
            found.is_dir() && found.uid() == uid && found.mode() & 0o7777 == 0o700
        });
        if !is_ours || !runtime.join("systemd").is_dir() {
            return Err(ScopeError::NoManager { uid, runtime });
        }
        let bus = runtime.join("bus");
        if bus.exists() { Ok(Self::User(runtime)) } else { Err(ScopeError::NoBus { bus }) }
    }
}

/// Has systemd make the scope; the answer comes before the move.
pub(super) fn call(bus: &Bus, name: &str) -> Result<(), ScopeError> {
    let this = fs::metadata("/proc/self/exe").map_err(ScopeError::Start)?;
    let program = trusted::open_program(Path::new(BUSCTL), &this).map_err(ScopeError::Busctl)?;
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.arg0("busctl").env_clear().env("LC_ALL", "C");
    match bus {
        Bus::System => command.arg("--system"),
        Bus::User(runtime) => command.arg("--user").env("XDG_RUNTIME_DIR", runtime),
    };
    command.args(arguments(name, std::process::id()));
    let busctl = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(ScopeError::Start)?;
    end_of(busctl)
}

/// Of `StartTransientUnit`: name, what if it is there, properties, further units.
fn arguments(name: &str, pid: u32) -> Vec<String> {
    let manager = [
        "--allow-interactive-authorization=no",
        "call",
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
        "StartTransientUnit",
        "ssa(sv)a(sa(sv))",
    ];
    let pid = pid.to_string();
    let properties: [&[&str]; 4] = [
        &["PIDs", "au", "1", &pid],
        // An out-of-memory of a run is the run's own affair: delegated scopes go on (OOMPolicy).
        &["Delegate", "b", "true"],
        &["Description", "s", "PRIMCS and its runs"],
        // No trace of one that was killed.
        &["CollectMode", "s", "inactive-or-failed"],
    ];
    let count = properties.len().to_string();
    let mut arguments: Vec<&str> = manager.to_vec();
    arguments.extend([name, "fail", &count]);
    arguments.extend(properties.into_iter().flatten());
    arguments.push("0");
    arguments.into_iter().map(str::to_owned).collect()
}

fn end_of(mut busctl: Child) -> Result<(), ScopeError> {
    let until = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = busctl.try_wait().map_err(ScopeError::Start)? {
            break status;
        }
        if Instant::now() > until {
            busctl.kill().map_err(ScopeError::Start)?;
            busctl.wait().map_err(ScopeError::Start)?;
            return Err(ScopeError::Silent);
        }
        sleep(PAUSE);
    };
    if status.success() {
        return Ok(());
    }
    let mut said = Vec::new();
    if let Some(stderr) = busctl.stderr.take() {
        stderr.take(MOST_SAID).read_to_end(&mut said).map_err(ScopeError::Start)?;
    }
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    Err(ScopeError::Refused { said: if said.is_empty() { status.to_string() } else { said } })
}

const MOST_SAID: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    /// busctl itself reads the arguments before it looks for a bus, and a failure is in its words.
    #[test]
    fn what_busctl_says_is_passed_on() {
        let broken = Bus::User(std::env::temp_dir().join("primcs-no-such-runtime"));
        let error = call(&broken, "primcs-test.scope").unwrap_err();
        // The other one is a machine without systemd.
        assert!(matches!(error, ScopeError::Refused { .. } | ScopeError::Busctl(_)), "{error}");
        if let ScopeError::Refused { said } = error {
            assert!(said.to_lowercase().contains("connect"), "{said}");
        }
    }
}
