//! `primcs run`.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::support::aloud::not_tried;
use super::support::processes::{Process, assert_gone, descendants};
use super::support::programs::{
    Build, Finished, finish, limits_are_hard, primcs, primcs_as_it_is, program, scratch,
};

fn command(arguments: &[&str]) -> Command {
    let mut command = primcs(Build::Normal, "run");
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Finished {
    finish(&mut command(arguments), "")
}

#[track_caller]
fn exits(arguments: &[&str], code: i32) -> Finished {
    let finished = run(arguments);
    assert_eq!(finished.status.code(), Some(code), "{arguments:?}: {}", finished.stderr());
    finished
}

#[test]
fn it_exits_with_the_status_of_the_program() {
    exits(&["-c", "pass"], 0);
    exits(&["-c", "import sys\nsys.exit(7)"], 7);
    exits(&["-c", "1 / 0"], 1);
}

#[test]
fn it_exits_with_128_and_the_signal() {
    exits(&["-c", "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)"], 128 + 15);
    exits(&["-c", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"], 128 + 9);
}

#[test]
fn it_exits_with_124_when_time_is_over() {
    let finished =
        exits(&["--timeout", "1", "-c", "import time\nprint('begun')\ntime.sleep(60)"], 124);
    assert_eq!(finished.stdout(), "begun\n");
    assert!(finished.took < Duration::from_secs(60));
}

#[test]
fn a_timeout_may_have_a_fraction_and_is_refused_by_the_name_of_its_flag() {
    exits(&["--timeout", "0.5", "-c", "import time\ntime.sleep(60)"], 124);
    for wrong in ["0", "-1", "inf", "soon"] {
        let refused = exits(&[&format!("--timeout={wrong}"), "-c", "pass"], 2);
        assert!(refused.stderr().contains("--timeout"), "{}", refused.stderr());
    }
}

#[test]
fn it_exits_with_125_when_primcs_ended_the_program() {
    let flood = "while True:\n    print('y' * 65536)";
    let hungry = "everything = []\nwhile True:\n    everything.append(bytearray(1 << 26))";
    let mut ended = vec![(flood, "output_limit")];
    // Without a hard limit this would be the host's memory.
    if limits_are_hard() {
        ended.push((hungry, "out_of_memory"));
    }
    for (code, status) in ended {
        let finished = exits(&["-c", code], 125);
        assert!(
            finished.stderr().contains(&format!("primcs: {status}: ")),
            "{}",
            finished.stderr()
        );
    }
}

#[test]
fn it_exits_with_125_when_primcs_could_not_run_it() {
    exits(&["/no/such/file.py"], 125);
    exits(&["--python", "/no/such/python", "-c", "pass"], 125);
    exits(&["--policy", "/no/such/policy", "-c", "pass"], 125);
    exits(&["-c", &"#".repeat(20_001)], 125);
}

#[test]
fn a_plain_user_without_control_groups_is_refused_with_the_fix() {
    if limits_are_hard() {
        return not_tried("it holds for a plain user to whom no control group is delegated");
    }
    let finished = finish(primcs_as_it_is(Build::Normal, "run").args(["-c", "print(1)"]), "");
    assert_eq!(finished.status.code(), Some(125), "{}", finished.stderr());
    assert!(finished.stdout().is_empty(), "{}", finished.stdout());
    for word in ["hard limits", "systemd-run", "--user", "--allow-soft-limits"] {
        assert!(finished.stderr().contains(word), "no {word:?} in {}", finished.stderr());
    }
}

#[test]
fn runs_with_soft_limits_say_so() {
    if limits_are_hard() {
        return not_tried("it holds for a plain user to whom no control group is delegated");
    }
    let finished = exits(&["--json", "-c", "print(1)"], 0);
    let result: Value = serde_json::from_slice(&finished.stdout).expect("one JSON value");
    assert_eq!(result["limits"]["hard"], false, "{result:#}");
    let hints = result["hints"].as_array().expect("hints");
    assert!(hints.iter().any(|hint| hint["kind"] == "limits"), "{result:#}");
}

#[test]
fn what_is_not_there_yet_is_refused_by_name() {
    for (flag, value) in [("-r", "numpy"), ("-f", "https://example.org/x=x")] {
        let finished = exits(&[flag, value, "-c", "pass"], 125);
        assert!(finished.stderr().contains("not available yet"), "{}", finished.stderr());
        assert!(finished.stdout().is_empty());
    }
}

#[test]
fn standard_streams_stay_apart() {
    let finished = exits(&["-c", "import sys\nprint('out')\nprint('err', file=sys.stderr)"], 0);
    assert_eq!(finished.stdout(), "out\n");
    assert!(finished.stderr().lines().any(|line| line == "err"), "{}", finished.stderr());
}

#[test]
fn code_comes_from_a_file_from_stdin_or_from_the_command_line() {
    let path = scratch().join("script.py");
    std::fs::write(&path, "print('from a file')").expect("writing the script");
    let finished = finish(command(&[]).arg(&path), "");
    assert_eq!(finished.stdout(), "from a file\n", "{}", finished.stderr());
    let finished = finish(&mut command(&["-"]), "print('from stdin')");
    assert_eq!(finished.stdout(), "from stdin\n", "{}", finished.stderr());
    assert_eq!(run(&["-c", "print('from the line')"]).stdout(), "from the line\n");
}

#[test]
fn the_programs_stdin_is_empty_whatever_ours_is() {
    let code = "import sys\nprint(len(sys.stdin.read()))";
    assert_eq!(finish(&mut command(&["-c", code]), "words for nobody").stdout(), "0\n");
}

#[test]
fn what_cannot_be_a_program_is_named_and_not_run() {
    let folder = scratch();
    for (name, bytes, says) in [
        ("latin1.py", &b"print('\xe4')"[..], "is not UTF-8 text"),
        ("nul.py", b"print(1)\nx = '\0'\n", "a NUL character in line 2"),
        ("large.py", &vec![b'#'; (4 << 20) + 1], "has more than 4194304 bytes"),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("writing the script");
        let finished = finish(command(&[]).arg(&path), "");
        assert_eq!(finished.status.code(), Some(125), "{name}: {}", finished.stderr());
        assert!(finished.stdout().is_empty() && finished.stderr().contains(says), "{name}");
        assert_eq!(finished.stderr().lines().count(), 1, "{name}: {}", finished.stderr());
    }
}

#[test]
fn an_empty_program_is_ok_and_told_that_it_printed_nothing() {
    for finished in [exits(&["--json", "-c", ""], 0), finish(&mut command(&["--json", "-"]), "")] {
        let result: Value = serde_json::from_slice(&finished.stdout).expect("one JSON value");
        assert_eq!(result["status"], "ok");
        // Others may be said of this host.
        let hints = result["hints"].as_array().expect("hints");
        let told = |hint: &Value| {
            hint["kind"] == "no_output" && hint["message"] == "the program printed nothing"
        };
        assert!(hints.iter().any(told), "{hints:?}");
    }
}

#[test]
fn json_is_the_whole_result_and_nothing_else() {
    let finished = exits(&["--json", "-c", "print('out')\n6 * 7"], 0);
    let result: Value = serde_json::from_slice(&finished.stdout).expect("one JSON value");
    assert_eq!(result["status"], "ok");
    assert_eq!(result["stdout"], "out\n");
    assert_eq!(result["result"], "42");
    for field in [
        "exit_code",
        "signal",
        "stderr",
        "truncated",
        "stdout_bytes",
        "stderr_bytes",
        "artifacts",
        "hints",
        "usage",
        "limits",
        "run_id",
        "policy_digest",
    ] {
        assert!(result.get(field).is_some(), "no {field} in {result:#}");
    }
    for field in ["wall_ms", "cpu_ms", "memory_peak_bytes", "pids_peak"] {
        assert!(result["usage"].get(field).is_some(), "no usage.{field} in {result:#}");
    }
}

#[test]
fn json_of_a_failed_program_keeps_the_exit_status() {
    let finished = exits(&["--json", "-c", "import sys\nsys.exit(3)"], 3);
    let result: Value = serde_json::from_slice(&finished.stdout).expect("one JSON value");
    assert_eq!((&result["status"], &result["exit_code"]), (&Value::from("error"), &Value::from(3)));
}

#[test]
fn timings_are_told_on_stderr() {
    let finished = exits(&["--timings", "-c", "print(1)"], 0);
    assert_eq!(finished.stdout(), "1\n");
    assert!(finished.stderr().contains("ms"), "{}", finished.stderr());
}

#[test]
fn output_streams_while_the_program_runs() {
    let code = "import time\nprint('first')\ntime.sleep(3)\nprint('last')";
    let mut child = command(&["-c", code])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("primcs run");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "first");
    let first = Instant::now();
    assert_eq!(lines.next().expect("a line").expect("text"), "last");
    assert!(first.elapsed() > Duration::from_secs(2), "both came together");
    assert!(child.wait().expect("the end").success());
}

#[test]
fn interrupting_it_ends_the_run() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let code = "import os, time\nos.fork()\nprint('running')\ntime.sleep(600)";
        let mut child = command(&["-c", code])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("primcs run");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        assert_eq!(lines.next().expect("a line").expect("text"), "running");
        let pid = i32::try_from(child.id()).expect("a pid");
        let below = descendants(pid);
        assert!(below.len() >= 4, "{below:?}");
        kill(Pid::from_raw(pid), signal).expect("a signal");
        assert_gone(&below, Duration::from_secs(1));
        let mut said = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("reading stderr");
        assert_eq!(child.wait().expect("the end").code(), Some(125), "{signal}: {said}");
        assert!(said.contains("primcs: killed: the run was ended"), "{signal}: {said}");
        assert!(!said.contains("cancelled"), "{signal}: {said}");
    }
}

/// `primcs run`, of whose stdout one line is read, as `head -1` does.
fn with_a_reader_of_one_line(arguments: &[&str]) -> (Child, String, BTreeSet<Process>) {
    let mut child = command(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("primcs run");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let line = lines.next().expect("a line").expect("text");
    let below = descendants(i32::try_from(child.id()).expect("a pid"));
    (child, line, below)
}

#[test]
fn a_reader_that_leaves_ends_the_run_and_nobody_complains() {
    // Far below the output limit, ignoring what can be ignored: only the cancel ends it in time.
    let code = "
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.fork()
        while True:
            print('y')
            time.sleep(0.05)
    ";
    let (mut child, line, below) = with_a_reader_of_one_line(&["-c", code]);
    assert!(line == "y" && below.len() >= 4, "{below:?}");
    assert_gone(&below, Duration::from_secs(2));
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("reading stderr");
    let status = child.wait().expect("the end");
    assert_eq!((status.code(), said.as_str()), (Some(128 + 13), ""));
}

#[test]
fn a_reader_that_leaves_before_the_end_does_not_change_how_it_ended() {
    let (child, line, _) = with_a_reader_of_one_line(&["-c", "print('a', flush=True)\nexit(3)"]);
    let finished = child.wait_with_output().expect("the end");
    assert_eq!((line.as_str(), finished.status.code()), ("a", Some(3)));

    // The object comes when all is over: too late to cancel anything, and no failure of ours.
    let mut child = command(&["--json", "-c", "exit(4)"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("primcs run");
    drop(child.stdout.take());
    let finished = child.wait_with_output().expect("the end");
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert_eq!((finished.status.code(), said.as_str()), (Some(4), ""));
}

/// `primcs run` as a user to whom nobody gave a cgroup, with programs and state that it can reach
/// wherever the checkout lies. Not root already: as ourselves.
fn without_cgroups(arguments: &[&str]) -> Finished {
    const NOBODY: u32 = 65534;
    if !nix::unistd::geteuid().is_root() {
        return run(&[&["--allow-soft-limits"], arguments].concat());
    }
    let folder = std::env::temp_dir().join(format!("primcs-soft-{}", std::process::id()));
    let state = folder.join("state");
    std::fs::create_dir_all(&state).expect("a folder");
    std::os::unix::fs::chown(&state, Some(NOBODY), Some(NOBODY)).expect("giving it away");
    for name in ["primcs", "primcs-supervisor"] {
        std::fs::copy(program(Build::Normal, name), folder.join(name)).expect("a copy");
    }
    let mut command = Command::new(folder.join("primcs"));
    command.args(["run", "--allow-soft-limits", "--state-dir"]).arg(&state).args(arguments);
    command.uid(NOBODY).gid(NOBODY).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    let finished = finish(&mut command, "");
    std::fs::remove_dir_all(&folder).expect("removing the copies");
    finished
}

#[test]
fn a_limit_that_nobody_enforces_has_no_number() {
    let finished = without_cgroups(&["--json", "-c", "print(1)"]);
    if finished.stderr().contains("user namespace") {
        eprintln!("not tried: this host lets no plain user make a user namespace");
        return;
    }
    let result: Value = serde_json::from_slice(&finished.stdout).expect("one JSON value");
    let limits = &result["limits"];
    let hard = limits["hard"].as_bool().expect("a boolean");
    assert!(!hard || !nix::unistd::geteuid().is_root(), "nobody has a cgroup: {limits}");
    for name in ["memory_bytes", "pids", "cpu_millicores"] {
        assert_eq!(limits[name].is_u64(), hard, "{name}: {limits}");
        assert_eq!(limits[name].is_null(), !hard, "{name}: {limits}");
    }
    for name in ["wall_ms", "disk_bytes", "disk_inodes", "open_files"] {
        assert!(limits[name].is_u64(), "{name}: {limits}");
    }
}
