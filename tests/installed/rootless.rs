//! As a plain user: an MCP client on a desktop starts `primcs` from a session that has no control
//! group of its own, with the few variables that such clients pass on. The limits are hard all the
//! same, because primcs asks the user's own systemd for a group.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::remains::line;
use super::support::mcp::{Call, Era};
use super::support::processes::{all, eventually};
use super::unit::{found_nothing_wrong, output, property, succeeds};
use super::witness::{Counter, PATIENCE, write_down};

const USER: &str = "tester";

/// Runs words of a shell after a login, with nothing in the environment but what MCP clients pass.
fn login(words: &str) -> Command {
    let kept = "HOME=\"$HOME\" PATH=/usr/local/bin:/usr/bin:/bin USER=\"$USER\" SHELL=\"$SHELL\" \
        TERM=dumb LOGNAME=\"$LOGNAME\"";
    let mut command = Command::new("su");
    command.args(["-", USER, "-c", &format!("exec env -i {kept} sh -c '{words}'")]);
    command
}

fn as_user(words: &str) -> Output {
    login(words).stdin(Stdio::null()).output().expect("cannot start su")
}

#[track_caller]
fn user_succeeds(words: &str) -> String {
    let done = as_user(words);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{words}: {}\n{said}\n{errors}", done.status);
    said
}

/// Directory of the group of the user's own systemd.
fn managers_group() -> PathBuf {
    let id = succeeds("id", &["-u", USER]);
    let unit = format!("user@{}.service", id.trim());
    let active = || property(&unit, "ActiveState") == "active";
    assert!(eventually(PATIENCE, active), "{unit} is not there");
    PathBuf::from(format!("/sys/fs/cgroup{}", property(&unit, "ControlGroup")))
}

/// Nothing of primcs that belongs to the user is there a moment later.
#[track_caller]
fn nothing_is_left() {
    let id = succeeds("id", &["-u", USER]).trim().parse::<u32>().expect("an id");
    let left = || {
        let all = all().into_iter();
        all.filter(|one| one.uid() == Some(id) && one.name().starts_with("primcs")).count()
    };
    assert!(eventually(PATIENCE, || left() == 0), "{} processes are left", left());
    let scopes = || below(&managers_group());
    assert!(eventually(PATIENCE, || scopes().is_empty()), "{:?}", scopes());
    // A unit that failed would stay without a group.
    let manager = format!("{USER}@.host");
    let units = succeeds(
        "systemctl",
        &["--user", "--machine", &manager, "list-units", "--all", "--plain", "primcs-*.scope"],
    );
    assert!(units.contains("0 loaded units"), "{units}");
}

/// Groups of the scopes that primcs asks for.
fn below(group: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(group) else { return Vec::new() };
    let directories = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    directories
        .flat_map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("primcs-") { vec![path] } else { below(&path) }
        })
        .collect()
}

/// What the tests below stand on: if the session were delegated, they would prove nothing.
#[test]
fn a_login_gives_no_control_group() {
    managers_group();
    let own = user_succeeds("cat /proc/self/cgroup");
    let scope = own.trim().rsplit('/').next().expect("a group");
    assert!(scope.starts_with("session-"), "{own}");
    let file = format!("/sys/fs/cgroup{}/cgroup.procs", own.trim().trim_start_matches("0::"));
    let may = user_succeeds(
        "test -w /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/cgroup.procs && echo yes || echo no",
    );
    assert_eq!(may, "no\n", "{file}");
}

/// Long enough to be looked at; ended from outside.
const BUSY: &str = "print(6 * 7, open(\"/proc/self/cgroup\").read(), flush=True)\nwhile True: pass";

/// The group of the one run that is under way in a scope of the user's own systemd, and the limits that
/// the kernel has for it. It has its spawner beside it.
#[track_caller]
fn is_limited_in_a_group_of_its_own() {
    let scopes = below(&managers_group());
    let [scope] = &scopes[..] else { panic!("one scope: {scopes:?}") };
    let mut open = vec![scope.clone()];
    let mut runs = Vec::new();
    while let Some(group) = open.pop() {
        let entries = fs::read_dir(&group).expect("a group").flatten().map(|entry| entry.path());
        let groups: Vec<_> = entries.filter(|path| path.is_dir()).collect();
        let is_of_runs = group.join("spawner").is_dir();
        runs.extend(groups.iter().filter(|one| is_of_runs && !one.ends_with("spawner")).cloned());
        open.extend(groups);
    }
    let [run] = &runs[..] else { panic!("one run: {runs:?}") };
    for name in ["memory.max", "memory.swap.max", "pids.max", "cpu.max"] {
        let limit = line(&run.join(name));
        assert!(!limit.starts_with("max"), "{name} of {}: {limit}", run.display());
        write_down(&run.join(name), "", "max", limit);
    }
    Counter::of(&run.join("cpu.stat"), "usage_usec").rises();
}

#[test]
fn a_run_has_hard_limits() {
    managers_group();
    let said = user_succeeds("primcs run --json -c \"print(6 * 7)\"");
    let result: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (&result["status"], &result["stdout"]),
        (&json!("ok"), &json!("42\n")),
        "{result:#}"
    );
    assert_eq!(result["limits"]["hard"], json!(true), "{result:#}");
    nothing_is_left();
}

#[test]
fn memory_is_bounded_by_the_users_own_group() {
    let group = managers_group();
    let kills = Counter::of(&group.join("memory.events"), "oom_kill");
    let together = Counter::of(&group.join("memory.events"), "oom_group_kill");
    let code = "import mmap; kept = [mmap.mmap(-1, 64 << 20, flags=0x8022) for _ in range(40)]";
    let done = as_user(&format!("primcs run --json --timeout 300 -c \"{code}\""));
    let result: Value = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&done.stderr)));
    assert_eq!(result["status"], json!("out_of_memory"), "{result:#}");
    kills.has_risen();
    together.has_risen();
    nothing_is_left();
}

/// `"command": "primcs", "args": ["stdio"]`.
#[test]
fn an_mcp_client_starts_it_over_stdio() {
    managers_group();
    let mut child = login("exec primcs stdio")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("cannot start su");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
    let mut messages = stdout
        .lines()
        .map_while(Result::ok)
        .map(|line| serde_json::from_str::<Value>(&line).expect("stdout is the protocol"));
    let call = Call::new(BUSY).timeout(20).with_progress();
    writeln!(stdin, "{}", call.message(Era::Modern, 7)).expect("writing to primcs stdio");
    let printed = "42 0::/\n\n";
    // On a slow machine it comes in pieces.
    let mut told = String::new();
    while told != printed {
        let message = messages.next().expect("output");
        assert!(message.get("id").is_none(), "an answer before the output: {message:#}");
        if message["params"]["_meta"].is_object() {
            told += message["params"]["message"].as_str().expect("text");
        }
    }
    is_limited_in_a_group_of_its_own();
    let answer = messages.find(|message| message["id"] == json!(7)).expect("an answer");
    let result = &answer["result"]["structuredContent"];
    assert_eq!(
        (&result["status"], &result["stdout"], &result["limits"]["hard"]),
        (&json!("timeout"), &json!(printed), &json!(true)),
        "{answer:#}"
    );
    drop(stdin);
    assert!(child.wait().expect("waiting").success());
    nothing_is_left();
}

#[test]
fn doctor_finds_nothing_wrong() {
    managers_group();
    let done = as_user("primcs doctor");
    found_nothing_wrong(&done, "doctor-rootless.txt");
    nothing_is_left();
}

/// Nobody to ask for a group: refused, with the command that mends it.
#[test]
fn without_a_user_manager_it_is_refused() {
    let group = managers_group();
    let unit = group.file_name().expect("a name").to_str().expect("text").to_owned();
    succeeds("systemctl", &["mask", "--runtime", &unit]);
    succeeds("systemctl", &["stop", &unit]);
    let done = as_user("primcs run -c \"print(1)\"");
    succeeds("systemctl", &["unmask", "--runtime", &unit]);
    succeeds("systemctl", &["start", &unit]);
    let words = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(125), "{words}");
    assert!(words.contains("enable-linger"), "{words}");
    assert!(output("id", &[USER]).status.success());
    write_down("primcs run".as_ref(), "exit status", "no user manager", 125);
}
