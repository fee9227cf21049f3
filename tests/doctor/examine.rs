//! Starts `primcs doctor --json` on this host or on one with something less, and reads what it found.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use super::support::aloud::not_tried;
use super::support::programs::{
    Build, checkout, finish, primcs_as_it_is, program, scratch, state_dir,
};

/// No user's and none of ours (src/supervisor/identities.rs).
const PLAIN: u32 = 1_987_654_321;

/// What doctor found.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) status: i32,
    pub(crate) report: Value,
}

impl Examined {
    /// One object of `checks`.
    #[track_caller]
    pub(crate) fn check(&self, id: &str) -> &Value {
        let checks = self.report["checks"].as_array().expect("a list of checks");
        let found = checks.iter().find(|check| check["id"] == id);
        found.unwrap_or_else(|| panic!("no check {id} in {:#}", self.report))
    }

    #[track_caller]
    pub(crate) fn is(&self, id: &str, status: &str) {
        assert_eq!(self.check(id)["status"], status, "{id}: {:#}", self.failures());
    }

    /// `id` has this status, and its fix names all of these words.
    #[track_caller]
    pub(crate) fn is_mended_by(&self, id: &str, status: &str, words: &[&str]) {
        self.is(id, status);
        let fix = self.check(id)["fix"].as_str().expect("a fix").to_owned();
        for word in words {
            assert!(fix.contains(word), "{id}: {word:?} is not in {fix:?}");
        }
    }

    /// Only `id` failed, the exit status says so, and its fix names all of these words.
    #[track_caller]
    pub(crate) fn fails_only_at(&self, id: &str, words: &[&str]) {
        assert_eq!(self.report["failed"], serde_json::json!([id]), "{:#}", self.failures());
        assert_eq!((self.status, &self.report["verdict"]), (1, &Value::from("not_confined")));
        assert_eq!(self.report["ready"], false);
        self.is_mended_by(id, "failed", words);
        // The host is described all the same, and what needs a run was not tried.
        assert!(self.check("host.kernel")["seen"].as_str().is_some_and(|seen| !seen.is_empty()));
        self.is("wall.network", "not_checked");
    }

    fn failures(&self) -> Value {
        let checks = self.report["checks"].as_array().cloned().unwrap_or_default();
        checks.into_iter().filter(|check| check["status"] != "ok").collect()
    }
}

/// Whether this is root, who can take something from a host; says aloud when not.
#[track_caller]
pub(crate) fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        not_tried("only root can make a host that lacks something");
    }
    root
}

/// What doctor says on this host, as it is.
pub(crate) fn here(arguments: &[&str]) -> Examined {
    read(primcs_as_it_is(Build::Normal, "doctor").args(arguments))
}

/// The same without these barriers, and with the one that refuses to start then.
pub(crate) fn without(barriers: &str) -> Examined {
    read(primcs_as_it_is(Build::Weakened, "doctor").env("PRIMCS_WEAKEN", barriers))
}

/// What doctor says to root on a host with these changes (tests/doctor/launch.py lists them).
pub(crate) fn with(changes: &[&str], arguments: &[&str]) -> Examined {
    with_variables(changes, arguments, &[])
}

/// The same with these variables of the environment.
pub(crate) fn with_variables(
    changes: &[&str],
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Examined {
    let mut command = primcs_as_it_is(Build::Normal, "doctor");
    command.args(arguments).envs(variables.iter().copied());
    read(&mut launched(changes, &command))
}

/// What it says to a plain user there.
pub(crate) fn plain_user_with(changes: &[&str], then: &[&str]) -> Examined {
    static ROOM: LazyLock<PathBuf> = LazyLock::new(room_of_a_plain_user);
    let mut command = Command::new(ROOM.join("primcs"));
    command.args(["doctor", "--state-dir"]).arg(ROOM.join("state"));
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", ROOM.join("state"));
    let user = format!("user={PLAIN}");
    let changes = [changes, &[user.as_str()], then].concat();
    let mut launched = launched(&changes, &command);
    launched.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    read(&mut launched)
}

/// Programs that a plain user can reach, and a state directory of its own.
fn room_of_a_plain_user() -> PathBuf {
    let room = scratch().join("doctor-of-a-plain-user");
    fs::create_dir_all(room.join("state")).expect("a room");
    chown(room.join("state"), Some(PLAIN), Some(PLAIN)).expect("its owner");
    for name in ["primcs", "primcs-supervisor"] {
        fs::copy(program(Build::Normal, name), room.join(name)).expect("a program");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(room.join(name), mode).expect("its mode");
    }
    room
}

fn launched(changes: &[&str], command: &Command) -> Command {
    let mut launched = Command::new("python3");
    launched.arg("-I").arg(checkout().join("tests/doctor/launch.py")).args(changes).arg("--");
    launched.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => launched.env(name, value),
            None => launched.env_remove(name),
        };
    }
    launched
}

fn read(command: &mut Command) -> Examined {
    let finished = finish(command.arg("--json"), "");
    let report = serde_json::from_slice(&finished.stdout).unwrap_or_else(|error| {
        panic!("no JSON ({error}): {}{}", finished.stdout(), finished.stderr())
    });
    Examined { status: finished.status.code().expect("an exit status"), report }
}

/// An empty folder for one test.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = scratch().join(name);
    // Left by an earlier time, or not there.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// The usual state directory.
pub(crate) fn state() -> PathBuf {
    state_dir(Build::Normal)
}
