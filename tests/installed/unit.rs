//! The shipped units, as systemd and the kernel see them.
#![forbid(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::support::http::Connection;
use super::support::processes::{Process, eventually};
use super::support::server::shared;
use super::witness::{PATIENCE, out};

/// The two halves by the names that the package gives them.
pub(crate) const SERVER: &str = "primcs.service";
pub(crate) const SUPERVISOR: &str = "primcs-supervisor.service";
pub(crate) const SOCKET: &str = "primcs-supervisor.socket";

/// Runs a command to its end.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}"))
}

/// The same; what it printed, and failure is the test's.
#[track_caller]
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> String {
    let done = output(program, arguments);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {arguments:?}: {}\n{said}\n{errors}", done.status);
    said
}

/// A property of a unit.
pub(crate) fn property(unit: &str, name: &str) -> String {
    succeeds("systemctl", &["show", "--property", name, "--value", unit]).trim().to_owned()
}

pub(crate) fn is_active(unit: &str) -> bool {
    property(unit, "ActiveState") == "active"
}

/// Pid of the server half; 0 when there is none.
pub(crate) fn main_pid(unit: &str) -> i32 {
    property(unit, "MainPID").parse().expect("a pid")
}

/// The group that systemd gave to the supervisor, by the kernel's word; its runs are below.
pub(crate) fn supervisors_group() -> PathBuf {
    let supervisor = supervisor();
    let groups = supervisor.cgroups();
    let [group] = Vec::from_iter(groups).try_into().expect("one group: cgroup v2");
    let group: PathBuf = group;
    // It makes way for its runs into a leaf.
    if group.ends_with("supervisor") {
        group.parent().expect("a group above").to_owned()
    } else {
        group
    }
}

/// The group below it in which each run has one of its own, beside the spawner's.
pub(crate) fn runs_group() -> PathBuf {
    let entries = fs::read_dir(supervisors_group()).expect("the supervisor's group").flatten();
    let with_a_spawner =
        entries.map(|entry| entry.path()).filter(|path| path.join("spawner").is_dir());
    let [group] = with_a_spawner.collect::<Vec<_>>().try_into().expect("one group of runs");
    group
}

pub(crate) fn supervisor() -> Process {
    shared().supervisor()
}

/// Status and body of a GET; `None` while nobody answers.
pub(crate) fn get(path: &str) -> Option<(u16, String)> {
    let mut connection = Connection::try_open(shared().address).ok()?;
    connection.try_send("GET", path, &[], b"").ok()?;
    let response = connection.response().ok()?;
    let status = response.status;
    Some((status, response.text().ok()?))
}

pub(crate) fn is_ready() -> bool {
    get("/readyz").is_some_and(|(status, _)| status == 200)
}

/// Waits for the service to say that runs can be confined.
#[track_caller]
pub(crate) fn becomes_ready() {
    assert!(
        eventually(PATIENCE * 2, is_ready),
        "not ready: {:?}\n{}",
        get("/readyz"),
        journal(&[SERVER, SUPERVISOR], 40)
    );
}

/// The last lines that these units wrote.
pub(crate) fn journal(units: &[&str], lines: usize) -> String {
    let lines = lines.to_string();
    let mut arguments = vec!["--boot", "--no-pager", "--output=short-precise", "--lines", &lines];
    for unit in units {
        arguments.extend(["--unit", unit]);
    }
    succeeds("journalctl", &arguments)
}

/// Groups of runs and of whatever else the supervisor has made, below its own.
pub(crate) fn groups_below() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![supervisors_group()];
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.push(entry.path());
                open.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Doctor's words go beside the report, and it must have found nothing wrong.
#[track_caller]
pub(crate) fn found_nothing_wrong(doctor: &Output, report: &str) {
    fs::write(out(report), &doctor.stdout).expect("the report");
    let words = String::from_utf8_lossy(&doctor.stdout);
    let errors = String::from_utf8_lossy(&doctor.stderr);
    assert!(doctor.status.success(), "{}: {words}\n{errors}", doctor.status);
}

/// Runs `deed` with this drop-in for a unit, and has both halves begin anew without it even if that fails.
pub(crate) fn with_drop_in(unit: &str, text: &str, deed: impl FnOnce()) {
    let file = format!("/run/systemd/system/{unit}.d/test.conf");
    begin_anew_after(|| {
        with_file(Path::new(&file), text, || {
            succeeds("systemctl", &["daemon-reload"]);
            deed();
        });
    });
}

/// Runs `deed` with a file of root's that nobody else may read, and takes it away again even if that
/// fails.
pub(crate) fn with_file(file: &Path, text: &str, deed: impl FnOnce()) {
    struct Away<'a>(&'a Path);
    impl Drop for Away<'_> {
        fn drop(&mut self) {
            // The tests that follow say it if it stays.
            let _ = fs::remove_file(self.0);
        }
    }
    fs::create_dir_all(file.parent().expect("a folder")).expect("its folder");
    let _away = Away(file);
    let mut open = OpenOptions::new();
    let mut written = open.write(true).create_new(true).mode(0o600).open(file).expect("a file");
    written.write_all(text.as_bytes()).expect("its text");
    deed();
}

/// Runs `deed`, and then starts both halves by what the files say now.
pub(crate) fn begin_anew_after(deed: impl FnOnce()) {
    struct Anew;
    impl Drop for Anew {
        fn drop(&mut self) {
            // The tests that follow say it if one of these did nothing.
            output("systemctl", &["daemon-reload"]);
            output("systemctl", &["stop", SERVER, SUPERVISOR]);
            output("systemctl", &["reset-failed", SERVER, SUPERVISOR, SOCKET]);
            output("systemctl", &["start", SOCKET, SUPERVISOR, SERVER]);
        }
    }
    let _anew = Anew;
    deed();
}
