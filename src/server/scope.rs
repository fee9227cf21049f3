//! A cgroup of our own on a systemd host with cgroup v2. Started from a login session, a terminal or
//! an MCP client, we share our group with our starter, and limits cannot be set below it. So we ask
//! the manager that owns the tree (the user's own, or the system's for root) for a transient scope
//! with `Delegate=yes` that takes this very process, before there is a supervisor, which is then
//! born in it. The scope ends with its last process, and leaves nothing.
//!
//! A refusal is kept and told when the supervisor finds no cgroup either; it alone decides whether
//! there are limits. Why by busctl: docs/decisions/0014-a-scope-from-systemd.md.
//!
//! Trusted: systemd and its `busctl`, which `trusted` opens; of the environment only what makes us ask
//! for nothing.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::sys::xattr;
use crate::trusted::{self, TrustError};

/// Why systemd gave us no scope.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScopeError {
    #[error("no user manager runs for user {uid} (no {} of this user's own)", runtime.display())]
    NoManager { uid: u32, runtime: PathBuf },
    #[error("the user manager cannot be asked: {} is not there", bus.display())]
    NoBus { bus: PathBuf },
    #[error("cannot use {BUSCTL}")]
    Busctl(#[source] TrustError),
    #[error("cannot start {BUSCTL}")]
    Start(#[source] io::Error),
    #[error("systemd refused: {said}")]
    Refused { said: String },
    #[error("systemd did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    #[error("systemd made the scope {name}, and has not moved this process there")]
    NotMoved { name: String },
}

impl ScopeError {
    /// One thing to do.
    pub(super) fn next(&self) -> String {
        match self {
            Self::NoManager { uid, .. } => format!(
                "loginctl enable-linger {uid} as root, once, so that a user manager always runs for \
                 this user; or log in through PAM (ssh, a console; not su or sudo); or run primcs as \
                 a service of root"
            ),
            Self::NoBus { .. } => "install the bus of user managers (Debian, Ubuntu: apt install \
                 dbus-user-session) and log in again"
                .to_owned(),
            Self::Busctl(error) => error.next(),
            Self::Start(_) | Self::Refused { .. } | Self::Silent | Self::NotMoved { .. } => {
                let (user, run) = if is_root() { ("", "") } else { ("--user ", "--user ") };
                format!(
                    "look into `systemctl {user}status` and `journalctl {user}-e`; or try by hand: \
                     systemd-run {run}--scope -p Delegate=yes primcs serve"
                )
            }
        }
    }
}

/// Asks for a scope where one is needed, once; what comes of it is in [`asked`].
pub(super) fn take() {
    ASKED.get_or_init(|| is_needed().then(ask));
}

/// The name of the scope that we were given, or why we were not; nothing where none was asked for.
pub(super) fn asked() -> Option<&'static Result<String, ScopeError>> {
    ASKED.get()?.as_ref()
}

/// Why we have no scope, with the causes.
pub(super) fn refusal() -> Option<String> {
    let error = asked()?.as_ref().err()?;
    Some(format!("asked systemd for one: {}", super::with_causes(error)))
}

static ASKED: OnceLock<Option<Result<String, ScopeError>>> = OnceLock::new();

const BUSCTL: &str = "/usr/bin/busctl";

/// For busctl, and then for the move; both take milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn is_needed() -> bool {
    let Some(group) = Group::find(&text("/proc/self/mountinfo"), &text("/proc/self/cgroup")) else {
        return false;
    };
    // Another pid namespace than systemd's would have it move whatever has our number there. Where
    // /proc hides its pid 1, a user manager moves nothing but this user's own.
    let first = fs::read_to_string("/proc/1/comm").ok();
    let is_systems = first.map_or(!is_root(), |name| name.trim() == "systemd");
    let has_controllers = text(group.top.join("cgroup.controllers")).contains("memory");
    let runs_here = Path::new("/run/systemd/system").is_dir() && is_systems;
    // What systemd itself has started is as its unit says: with Delegate=yes, or refused.
    has_controllers
        && runs_here
        && !is_a_unit()
        && !(group.is_ours_alone() && group.may_be_divided())
}

/// systemd says to what it starts which process that is (since 248); a child of that is a shell's. Then
/// the unit says what is delegated, and `doctor` before a start must see what the service will get.
pub(super) fn is_a_unit() -> bool {
    let told = std::env::var("SYSTEMD_EXEC_PID").ok().and_then(|pid| pid.parse().ok());
    told == Some(std::process::id())
}

/// Where this process is in the unified tree.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    top: PathBuf,
    directory: PathBuf,
}

impl Group {
    /// `mounts` and `own` are mountinfo and cgroup of this process.
    fn find(mounts: &str, own: &str) -> Option<Self> {
        let (root, top) = mounts.lines().find_map(|line| {
            let (mount, file_system) = line.split_once(" - ")?;
            let mut fields = mount.split(' ').skip(3);
            let (root, top) = (fields.next()?, fields.next()?);
            file_system.starts_with("cgroup2 ").then_some((root, PathBuf::from(top)))
        })?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
        let below = Path::new(own).strip_prefix(root).ok()?;
        Some(Self { directory: top.join(below), top })
    }

    fn is_ours_alone(&self) -> bool {
        let own = std::process::id().to_string();
        text(self.directory.join("cgroup.procs")).lines().all(|pid| pid == own)
    }

    /// Whether limits can be set below, and systemd leaves that to us. Its mark on a delegated unit
    /// is root's to read and to set, so user managers leave none: their units are this user's.
    fn may_be_divided(&self) -> bool {
        let given = text(self.directory.join("cgroup.controllers"));
        let is_given = |wanted| given.split_whitespace().any(|name| name == wanted);
        let is_marked =
            |unit| xattr::get(unit, c"trusted.delegate").is_ok_and(|value| value == b"1");
        let is_left_to_us = if is_root() {
            unit(&self.directory, &self.top).is_none_or(is_marked)
        } else {
            let owner = fs::metadata(&self.directory).map(|found| found.uid());
            owner.is_ok_and(|owner| owner == nix::unistd::geteuid().as_raw())
        };
        ["memory", "pids", "cpu"].into_iter().all(is_given) && is_left_to_us
    }
}

/// The innermost directory that is a service's or a scope's.
fn unit<'a>(directory: &'a Path, top: &Path) -> Option<&'a Path> {
    let is_unit =
        |path: &&Path| path.extension().is_some_and(|kind| kind == "service" || kind == "scope");
    directory.ancestors().take_while(|path| *path != top).find(is_unit)
}

fn ask() -> Result<String, ScopeError> {
    let bus = if is_root() { Bus::System } else { Bus::of_user()? };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = format!("primcs-{}-{:x}.scope", std::process::id(), since.as_nanos());
    call(&bus, &name)?;
    let until = Instant::now() + PATIENCE;
    while !is_in(&text("/proc/self/cgroup"), &name) {
        if Instant::now() > until {
            return Err(ScopeError::NotMoved { name });
        }
        sleep(PAUSE);
    }
    Ok(name)
}

const PAUSE: Duration = Duration::from_millis(5);

fn is_in(own: &str, scope: &str) -> bool {
    own.lines().any(|line| line.strip_prefix("0::").is_some_and(|path| path.ends_with(scope)))
}

/// Whom to ask.
#[derive(Debug)]
enum Bus {
    System,
    /// The runtime directory of this user.
    User(PathBuf),
}

impl Bus {
    /// By the user's id and not by the environment: MCP clients pass no `XDG_RUNTIME_DIR`, and su
    /// and sudo may pass another user's.
    fn of_user() -> Result<Self, ScopeError> {
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
fn call(bus: &Bus, name: &str) -> Result<(), ScopeError> {
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

    const MOUNTS: &str = "24 30 0:22 / /proc rw - proc proc rw\n\
        30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn our_group_is_found_where_the_tree_is_mounted() {
        let group =
            Group::find(MOUNTS, "0::/user.slice/user-1000.slice/session-3.scope\n").unwrap();
        assert_eq!(group.top, Path::new("/sys/fs/cgroup"));
        let session = Path::new("/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope");
        assert_eq!(group.directory, session);
        assert_eq!(Group::find(MOUNTS, "4:memory:/x\n"), None);
        assert_eq!(Group::find("24 30 0:22 / /proc rw - proc proc rw\n", "0::/\n"), None);
    }

    #[test]
    fn the_innermost_unit_decides_and_a_slice_is_none() {
        let top = Path::new("/sys/fs/cgroup");
        for (below, wanted) in [
            ("a.slice/b.service", Some("a.slice/b.service")),
            ("a.slice/b.service/leaf", Some("a.slice/b.service")),
            (
                "u.slice/user@1.service/app.slice/c.scope",
                Some("u.slice/user@1.service/app.slice/c.scope"),
            ),
            ("a.slice", None),
            ("made-by-hand", None),
            ("", None),
        ] {
            let directory = top.join(below);
            assert_eq!(unit(&directory, top), wanted.map(|path| top.join(path)).as_deref());
        }
    }

    #[test]
    fn only_the_scope_itself_counts_as_arrived() {
        assert!(is_in("0::/user.slice/app.slice/primcs-7-a.scope\n", "primcs-7-a.scope"));
        assert!(!is_in("0::/user.slice/session-1.scope\n", "primcs-7-a.scope"));
    }

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

    #[test]
    fn each_refusal_says_what_to_do() {
        let runtime = PathBuf::from("/run/user/7");
        let none = ScopeError::NoManager { uid: 7, runtime: runtime.clone() };
        assert!(none.next().contains("loginctl enable-linger 7"));
        assert!(ScopeError::NoBus { bus: runtime }.next().contains("dbus-user-session"));
        let refused = ScopeError::Refused { said: "Access denied".to_owned() };
        assert!(refused.to_string().contains("Access denied"));
        assert!(refused.next().contains("Delegate=yes"));
    }
}
