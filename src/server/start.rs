//! The split: start the supervisor, then give up every privilege, before any file is parsed and
//! before any second thread exists (security.md 5.5).
//!
//! Trusted: the supervisor beside our own executable, opened by `trusted`; the descriptor that was
//! judged is the one executed.
#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};

use crate::journal;
use crate::settings::Settings;
use crate::sys;
use crate::trusted::{self, TrustError};

use super::weaken;

/// Our end of the socket to a supervisor.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) socket: OwnedFd,
    /// Absent when it is a service of its own.
    pub(super) supervisor: Option<Child>,
}

/// Why the program could not split.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("cannot find this program's own file {}", path.display())]
    NoProgram {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot use the supervisor, which belongs beside this program")]
    Supervisor(#[source] TrustError),
    #[error("cannot start {}", path.display())]
    Spawn {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot connect to the supervisor at {}", path.display())]
    Join {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot {step}, so this half would keep privilege")]
    Drop {
        step: &'static str,
        #[source]
        source: io::Error,
    },
}

/// Where no system user `primcs` exists, the server runs under this id (security.md 5.10).
const FALLBACK_ID: u32 = 2_000_000_000;

/// Connections at most, three pipes for each run, and room.
const MOST_DESCRIPTORS: u64 = 8192;

/// Variables that the supervisor may see; nothing else of our environment reaches it.
const PASSED_ON: [&str; 6] =
    ["PATH", "HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", journal::STREAM];

/// Starts the supervisor with `settings` (flags and environment, no file) and drops to an
/// unprivileged id of our own when we are root. With `audit` it writes a record for each run.
pub(super) fn split(
    settings: &Settings,
    config: Option<&Path>,
    audit: bool,
) -> Result<Split, StartError> {
    let (ours, theirs) = sys::socket::pair()
        .map_err(|source| StartError::Drop { step: "make a socket pair", source })?;
    let (path, executable) = open_supervisor()?;
    let mut command = Command::new(format!("/proc/self/fd/{}", executable.as_raw_fd()));
    command
        .arg0("primcs-supervisor")
        // A terminal's Ctrl-C is for us; the supervisor learns of our end by the socket.
        .process_group(0)
        .args(supervisor_arguments(settings, config))
        .args(audit.then_some("--audit"))
        .env_clear()
        .envs(passed_environment())
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    let supervisor = command.spawn().map_err(|source| StartError::Spawn { path, source })?;
    // `command` still owns the supervisor's end; while it is open here, EOF would never be seen.
    drop(command);
    allow_many_descriptors()?;
    drop_privileges()?;
    Ok(Split { socket: ours, supervisor: Some(supervisor) })
}

/// Connects to a supervisor that runs as a service, and drops privilege in the same way.
pub(super) fn join(path: &Path) -> Result<Split, StartError> {
    let failed =
        |source: nix::Error| StartError::Join { path: path.to_owned(), source: source.into() };
    let (unix, kind) = (AddressFamily::Unix, SockType::SeqPacket);
    let server = socket(unix, kind, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    connect(server.as_raw_fd(), &UnixAddr::new(path).map_err(failed)?).map_err(failed)?;
    allow_many_descriptors()?;
    drop_privileges()?;
    Ok(Split { socket: server, supervisor: None })
}

fn open_supervisor() -> Result<(PathBuf, File), StartError> {
    let own = Path::new("/proc/self/exe");
    let unreadable = |source| StartError::NoProgram { path: own.to_owned(), source };
    let this = std::fs::metadata(own).map_err(unreadable)?;
    let path = std::fs::read_link(own).map_err(unreadable)?.with_file_name("primcs-supervisor");
    let file = trusted::open_program(&path, &this).map_err(StartError::Supervisor)?;
    Ok((path, file))
}

pub(super) fn supervisor_arguments(settings: &Settings, config: Option<&Path>) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut pair = |flag: &str, value: Option<&OsStr>| {
        if let Some(value) = value {
            arguments.push(OsString::from(flag));
            arguments.push(value.to_owned());
        }
    };
    pair("--state-dir", settings.state_dir.as_deref().map(Path::as_os_str));
    pair("--policy", settings.policy.as_deref().map(Path::as_os_str));
    pair("--config", config.map(Path::as_os_str));
    pair("--python", settings.python.as_deref().map(Path::as_os_str));
    let max_runs = settings.max_runs.map(|runs| runs.to_string());
    pair("--max-runs", max_runs.as_deref().map(OsStr::new));
    if settings.allow_soft_limits == Some(true) {
        arguments.push(OsString::from("--allow-soft-limits"));
    }
    arguments
}

fn passed_environment() -> impl Iterator<Item = (&'static str, OsString)> {
    let weaken = if cfg!(feature = "weaken") { Some("PRIMCS_WEAKEN") } else { None };
    PASSED_ON
        .into_iter()
        .chain(weaken)
        .filter_map(|name| std::env::var_os(name).map(|value| (name, value)))
}

/// Connections and the pipes of live runs are all descriptors; the usual soft limit of 1,024 is for
/// programs that use select(2). Never above the hard limit, so no privilege is needed.
fn allow_many_descriptors() -> Result<(), StartError> {
    let failed = |source: nix::Error| StartError::Drop {
        step: "raise the soft limit of open files",
        source: source.into(),
    };
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    let wanted = MOST_DESCRIPTORS.min(hard).max(soft);
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).map_err(failed)
}

/// From here on this process is nobody: no capability, none to regain, no other ids, no core dump
/// and no debugger under its own id.
fn drop_privileges() -> Result<(), StartError> {
    if !weaken::stands("server_privilege") {
        return Ok(());
    }
    let failed = |step| move |source: nix::Error| StartError::Drop { step, source: source.into() };
    nix::sys::prctl::set_no_new_privs().map_err(failed("set no_new_privs"))?;
    if geteuid().is_root() {
        let (uid, gid) = server_ids();
        // The bounding set needs CAP_SETPCAP, so it goes while we still have it.
        clear_capabilities(&[caps::CapSet::Bounding, caps::CapSet::Ambient])?;
        setgroups(&[]).map_err(failed("drop supplementary groups"))?;
        setresgid(gid, gid, gid).map_err(failed("change the group id"))?;
        setresuid(uid, uid, uid).map_err(failed("change the user id"))?;
    }
    // Ids alone do not take capabilities from a process in a user namespace without an id 0.
    let sets = [
        caps::CapSet::Ambient,
        caps::CapSet::Inheritable,
        caps::CapSet::Effective,
        caps::CapSet::Permitted,
    ];
    clear_capabilities(&sets)?;
    nix::sys::prctl::set_dumpable(false).map_err(failed("become undumpable"))
}

fn clear_capabilities(sets: &[caps::CapSet]) -> Result<(), StartError> {
    let step = "drop capabilities";
    for &set in sets {
        caps::clear(None, set)
            .map_err(|error| StartError::Drop { step, source: io::Error::other(error) })?;
    }
    Ok(())
}

fn server_ids() -> (Uid, Gid) {
    let ids = read_bounded("/etc/passwd").and_then(|passwd| ids_of(&passwd, "primcs"));
    let (uid, gid) = ids.unwrap_or((FALLBACK_ID, FALLBACK_ID));
    (Uid::from_raw(uid), Gid::from_raw(gid))
}

/// For messages: what this host calls a user.
pub(super) fn name_of(wanted: u32) -> Option<String> {
    let passwd = read_bounded("/etc/passwd")?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next()?, fields.nth(1)?);
        (uid.parse() == Ok(wanted)).then(|| name.to_owned())
    })
}

/// `/etc/passwd` is root's own; its size is bounded all the same.
fn read_bounded(path: &str) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(1 << 20).read_to_string(&mut text).ok()?;
    Some(text)
}

/// A `primcs` with id 0 would be no unprivileged user, so it is passed over.
fn ids_of(passwd: &str, user: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let named = fields.next() == Some(user);
        let (_password, uid, gid) = (fields.next()?, fields.next()?, fields.next()?);
        let ids = (uid.parse().ok()?, gid.parse().ok()?);
        (named && ids.0 != 0 && ids.1 != 0).then_some(ids)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_user_is_found_and_root_is_never_taken() {
        let passwd = "root:x:0:0:::\nprimcs:x:0:0:::\nprimcs:x:990:980::/:/bin/false\n";
        assert_eq!(ids_of(passwd, "primcs"), Some((990, 980)));
        assert_eq!(ids_of("root:x:0:0:::", "primcs"), None);
    }

    #[test]
    fn only_settings_that_were_given_become_arguments() {
        let settings = Settings { max_runs: Some(3), ..Settings::default() };
        let arguments = supervisor_arguments(&settings, Some(Path::new("/x.toml")));
        assert_eq!(arguments, ["--config", "/x.toml", "--max-runs", "3"]);
    }
}
