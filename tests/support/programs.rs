//! Where the programs under test are and how one is started so that it cannot outlive the test.
//!
//! `PRIMCS_TEST_PROGRAMS` and `PRIMCS_TEST_WEAKENED_PROGRAMS` name directories with `primcs` and
//! `primcs-supervisor` in them. A missing program is a failure that says how to get it. Where the user
//! of the tests can reach neither the checkout nor the target directory, `PRIMCS_TEST_CHECKOUT` and
//! `PRIMCS_TEST_STATE_DIR` name others.
#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The programs as they are shipped, or those in which `PRIMCS_WEAKEN` takes barriers away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    Normal,
    Weakened,
}

/// Path of one program, which is there.
pub(crate) fn program(build: Build, name: &str) -> PathBuf {
    let (variable, fallback) = match build {
        Build::Normal => ("PRIMCS_TEST_PROGRAMS", "target/debug"),
        Build::Weakened => ("PRIMCS_TEST_WEAKENED_PROGRAMS", "target/weaken/debug"),
    };
    let directory = env::var_os(variable).map_or_else(|| checkout().join(fallback), PathBuf::from);
    let path = directory.join(name);
    assert!(
        path.is_file(),
        "{} is missing: `make test` builds the programs and runs the tests; to use others set {variable}",
        path.display()
    );
    path
}

/// Where this repository lies.
pub(crate) fn checkout() -> PathBuf {
    env::var_os("PRIMCS_TEST_CHECKOUT")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

/// A file that `make clients` has installed.
pub(crate) fn installed(file: &str) -> PathBuf {
    let clients = env::var_os("PRIMCS_TEST_CLIENTS")
        .map_or_else(|| checkout().join("target/clients"), PathBuf::from);
    let path = clients.join(file);
    assert!(
        path.exists(),
        "{} is missing: `make clients` installs it; to use others set PRIMCS_TEST_CLIENTS",
        path.display()
    );
    path
}

/// A directory for what the tests write, which stays. The unprivileged server must be able to read
/// in it, and a target directory below a closed home is none of its business.
pub(crate) fn scratch() -> PathBuf {
    if let Some(named) = env::var_os("PRIMCS_TEST_STATE_DIR") {
        return named.into();
    }
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let is_open = |part: &std::path::Path| {
        std::fs::metadata(part).is_ok_and(|found| found.permissions().mode() & 0o001 != 0)
    };
    if target.ancestors().all(is_open) {
        return target;
    }
    let open = env::temp_dir().join(format!("primcs-tests-{}", nix::unistd::geteuid()));
    std::fs::create_dir_all(&open).expect("cannot create a directory for the tests");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&open, mode).expect("cannot open it to the server");
    open
}

/// A folder in it with nothing in it yet.
pub(crate) fn empty_folder(name: &str) -> PathBuf {
    let folder = scratch().join(name);
    // Left by an earlier time, or not there.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// A state directory for all servers of one build, so that the private copy of the system is made
/// once. It stays for the next time; everything in it can be made again.
pub(crate) fn state_dir(build: Build) -> PathBuf {
    let directory = scratch().join(format!("state-{build:?}").to_lowercase());
    std::fs::create_dir_all(&directory).expect("cannot create the state directory");
    directory
}

/// Whether the limits of runs are the kernel's. Root makes control groups; a plain user has those
/// that somebody has delegated, or none, and then there are no runs without `--allow-soft-limits`.
pub(crate) fn limits_are_hard() -> bool {
    static HARD: LazyLock<bool> = LazyLock::new(|| {
        let hard = nix::unistd::geteuid().is_root() || controllers_are_delegated();
        if !hard {
            super::aloud::say("no control group is delegated to this user: --allow-soft-limits");
        }
        hard
    });
    *HARD
}

/// Whether the group that this process is in belongs to it, with what limits need.
fn controllers_are_delegated() -> bool {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let own = read("/proc/self/cgroup");
    let Some(group) = own.lines().find_map(|line| line.strip_prefix("0::")) else { return false };
    let group = format!("/sys/fs/cgroup{group}");
    let controllers = read(&format!("{group}/cgroup.controllers"));
    let offers = |name| controllers.split_whitespace().any(|one| one == name);
    let writable = nix::unistd::AccessFlags::W_OK;
    ["cpu", "memory", "pids"].into_iter().all(offers)
        && nix::unistd::access(format!("{group}/cgroup.subtree_control").as_str(), writable).is_ok()
}

/// `primcs SUBCOMMAND` with its own state directory and none of the caller's settings, and with soft
/// limits where there are no others.
pub(crate) fn primcs(build: Build, subcommand: &str) -> Command {
    let mut command = primcs_as_it_is(build, subcommand);
    if !limits_are_hard() {
        command.arg("--allow-soft-limits");
    }
    command
}

/// The same without leave for soft limits.
pub(crate) fn primcs_as_it_is(build: Build, subcommand: &str) -> Command {
    let mut command = Command::new(program(build, "primcs"));
    let _ = program(build, "primcs-supervisor");
    forget_settings(&mut command);
    command.arg(subcommand).arg("--state-dir").arg(state_dir(build));
    command
}

/// `PRIMCS_*` of whoever runs the tests must not change what is tested.
pub(crate) fn forget_settings(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("PRIMCS_") && name != "PRIMCS_PYTHON" {
            command.env_remove(name);
        }
    }
    command.env_remove("PORT");
    // Set for a service; then there is no first screen.
    command.env_remove("JOURNAL_STREAM");
}

/// The same command under a hard limit of open files.
pub(crate) fn with_open_files(most: u32, command: &Command) -> Command {
    let mut limited = Command::new("/bin/sh");
    limited.args(["-c", &format!("ulimit -n {most} && exec \"$@\""), "sh"]);
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

/// A `primcs run` that is over.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) took: Duration,
}

impl Finished {
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Gives `input` on stdin and waits for the end.
pub(crate) fn finish(command: &mut Command, input: &str) -> Finished {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cannot start primcs");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let mut stderr = child.stderr.take().expect("stderr is a pipe");
    let errors = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stderr.read_to_end(&mut bytes).map(|_| bytes)
    });
    // A program that does not read its input has closed the pipe; its own words say why.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let mut stdout = Vec::new();
    child
        .stdout
        .take()
        .expect("stdout is a pipe")
        .read_to_end(&mut stdout)
        .expect("reading stdout");
    let status = child.wait().expect("waiting for primcs");
    let stderr = errors.join().expect("stderr reader").expect("reading stderr");
    Finished { status, stdout, stderr, took: started.elapsed() }
}

/// Starts `command` so that it is told to end when this test program ends, however it ends: by
/// SIGTERM, and by SIGINT, which does not wait for runs under way. A shell between the two waits for the end of its stdin. Returns that shell and the pid of the program.
pub(crate) fn start_guarded(command: &Command) -> (Child, i32) {
    // One that does not end is killed: a test program must leave nothing behind.
    const GUARD: &str = "exec 3<&0; \"$@\" </dev/null 3<&- & pid=$!; echo $pid; read -r _ <&3; \
        kill -TERM $pid 2>/dev/null; kill -INT $pid 2>/dev/null; (sleep 10; kill -KILL $pid) </dev/null >/dev/null 2>&1 3<&- & \
        wait $pid; code=$?; kill $! 2>/dev/null; exit $code";
    let mut guarded = Command::new("/bin/sh");
    guarded.args(["-c", GUARD, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => guarded.env(name, value),
            None => guarded.env_remove(name),
        };
    }
    let mut child = guarded
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cannot start /bin/sh");
    // The shell's only line; the program itself has nothing to say on stdout.
    let mut line = String::new();
    let stdout = child.stdout.take().expect("stdout is a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("the shell names the pid");
    let pid = line.trim().parse().expect("a pid");
    (child, pid)
}

/// `PRIMCS_WEAKEN` for these barriers, and for the one that would refuse to start without them.
pub(crate) fn weaken(barriers: &[&str]) -> OsString {
    OsString::from([barriers, &["start_gate"]].concat().join(","))
}
