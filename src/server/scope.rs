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

mod error;
mod group;
mod manager;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::causes::with_causes;
use crate::sys::mountinfo;

pub(super) use error::ScopeError;
use group::Group;
use manager::{Bus, call};

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
    Some(format!("asked systemd for one: {}", with_causes(error)))
}

static ASKED: OnceLock<Option<Result<String, ScopeError>>> = OnceLock::new();

/// For busctl, and then for the move; both take milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn is_needed() -> bool {
    let Some(group) = Group::find(&text(mountinfo::PATH), &text("/proc/self/cgroup")) else {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_scope_itself_counts_as_arrived() {
        assert!(is_in("0::/user.slice/app.slice/primcs-7-a.scope\n", "primcs-7-a.scope"));
        assert!(!is_in("0::/user.slice/session-1.scope\n", "primcs-7-a.scope"));
    }
}
