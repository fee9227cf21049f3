//! The service as the package leaves it: running, confined, and honest about it.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use super::support::mcp::run;
use super::support::processes::{eventually, process};
use super::support::server::shared;
use super::unit::{
    SERVER, SOCKET, SUPERVISOR, becomes_ready, found_nothing_wrong, get, is_active, main_pid,
    output, property, succeeds,
};
use super::witness::{Counter, PATIENCE, out, write_down};

/// What `systemd-analyze security` may say at most; lower is better. A unit that needs more needs a
/// reason beside the directive, and a line here.
const SCORES: [(&str, f64); 2] = [(SERVER, 1.5), (SUPERVISOR, 4.5)];

#[test]
fn installation_starts_it_and_the_next_boot_will() {
    becomes_ready();
    for unit in [SERVER, SUPERVISOR, SOCKET] {
        assert!(is_active(unit), "{unit} is {}", property(unit, "ActiveState"));
        assert_eq!(property(unit, "UnitFileState"), "enabled", "{unit}");
        let file = property(unit, "FragmentPath");
        assert!(file.contains("/lib/systemd/system/"), "{unit} comes from {file}");
        assert_eq!(property(unit, "DropInPaths"), "", "{unit} is the shipped one");
    }
}

#[test]
fn it_says_that_limits_are_hard_and_by_which_layer() {
    becomes_ready();
    let (status, body) = get("/readyz").expect("an answer");
    let ready: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(status, 200, "{ready:#}");
    assert_eq!(
        (&ready["ready"], &ready["hard_limits"], &ready["cgroup_layout"], &ready["rootless"]),
        (&json!(true), &json!(true), &json!("v2"), &json!(false)),
        "{ready:#}"
    );
    fs::write(out("readyz.json"), body).expect("the report");
}

#[test]
fn a_call_is_answered() {
    let ran = Counter::of_the_runs("cpu.stat", "usage_usec");
    assert_eq!(run(shared().address, "print(6 * 7)").expect("ok").stdout(), "42\n");
    ran.has_risen();
}

/// By what journald itself adds to an entry, which no sender chooses.
#[test]
fn a_call_is_in_the_audit_log_under_the_supervisors_unit_and_in_the_servers_log_by_the_same_id() {
    let seen = Counter::of_the_runs("cpu.stat", "usage_usec");
    let ran = run(shared().address, "raise SystemExit(3)").expect("error");
    seen.has_risen();
    let id = format!("PRIMCS_RUN_ID={}", ran.text("run_id"));
    let of = |unit: &str| {
        let unit = format!("_SYSTEMD_UNIT={unit}");
        let entries = succeeds("journalctl", &["--boot", "--quiet", "--output=json", &unit, &id]);
        let read = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
        entries.lines().map(read).collect::<Vec<_>>()
    };
    assert!(eventually(PATIENCE, || of(SUPERVISOR).len() > 1 && !of(SERVER).is_empty()));
    let [begun, record] = &of(SUPERVISOR)[..] else { panic!("{:?}", of(SUPERVISOR)) };
    assert_eq!(begun["PRIMCS_AUDIT"], "begun");
    assert_eq!(begun["PRIMCS_CODE_SHA256"], record["PRIMCS_CODE_SHA256"]);
    let digest = "8e3139644807bb164bd2e81e8fe63563d2f72545e2e963323e5dbd124f580c16";
    for (name, value) in [
        ("_UID", "0"),
        ("SYSLOG_IDENTIFIER", "primcs-supervisor"),
        ("PRIMCS_AUDIT", "run"),
        ("PRIMCS_CODE_SHA256", digest),
        ("PRIMCS_VERDICT", "error"),
        ("PRIMCS_EXIT_CODE", "3"),
        ("PRIMCS_LIMITS_HARD", "true"),
        ("PRIMCS_UNRECORDED", "0"),
    ] {
        assert_eq!(record[name], value, "{name} of {record:#}");
    }
    let [said] = &of(SERVER)[..] else { panic!("{:?}", of(SERVER)) };
    assert_eq!((&said["MESSAGE"], &said["PRIMCS_STATUS"]), (&json!("run"), &json!("error")));
}

/// The half that talks to clients, by the kernel's word.
#[test]
fn the_server_can_do_nothing() {
    becomes_ready();
    let pid = main_pid(SERVER);
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).expect("the server lives");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).to_owned()
    };
    for name in ["CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"] {
        assert_eq!(field(name), "0000000000000000", "{name}");
        write_down(path.as_ref(), name, "0000000000000000", field(name));
    }
    assert_eq!((field("NoNewPrivs").as_str(), field("Seccomp").as_str()), ("1", "2"));
    let primcs = succeeds("id", &["-u", "primcs"]);
    assert_eq!(process(pid).and_then(|one| one.uid()), primcs.trim().parse().ok());
}

/// A filter of system calls stays on everything that a process starts, and the supervisor's unit has
/// one. A run must not notice it: each call of its lists is answered as the run's own policy says.
#[test]
fn a_run_meets_no_filter_but_its_own() {
    let code = "
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
for number in (101, 103, 136, 139, 153, 154, 155, 156, 159, 161, 167, 168, 169, 170, 171, 172, 173,
               175, 176, 179, 180, 227, 246, 298, 304, 305, 310, 311, 313, 320, 321):
    result = libc.syscall(number, -1, -1, -1, -1, -1, -1)
    print(number, errno.errorcode[ctypes.get_errno()] if result < 0 else result)
# What directives beside the list would refuse (LockPersonality=, RestrictRealtime=), and the policy allows.
print(libc.syscall(135, ctypes.c_ulong(0xffffffff)))
import os
os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
";
    let ran = Counter::of_the_runs("cpu.stat", "usage_usec");
    let served = run(shared().address, code).expect("ok");
    ran.has_risen();
    let plain = succeeds("primcs", &["run", "-c", code]);
    assert!(plain.lines().count() > 30, "{plain}");
    assert_eq!(served.stdout(), plain);
}

#[test]
fn doctor_finds_nothing_wrong() {
    let done = output("primcs", &["doctor"]);
    found_nothing_wrong(&done, "doctor.txt");
    let report = output("primcs", &["doctor", "--json"]);
    fs::write(out("doctor.json"), &report.stdout).expect("the report");
    let report: Value = serde_json::from_slice(&report.stdout).expect("JSON");
    assert_eq!(
        (&report["cgroup_layout"], &report["hard_limits"]),
        (&json!("v2"), &json!(true)),
        "{report:#}"
    );
}

#[test]
fn the_units_are_as_closed_as_promised() {
    let mut scores = BTreeMap::new();
    for (unit, _) in SCORES {
        let words = succeeds("systemd-analyze", &["security", "--no-pager", unit]);
        fs::write(out(&format!("security-{unit}.txt")), &words).expect("the report");
        let score = words.lines().find_map(|line| {
            line.split_once("exposure level for ")?.1.split_whitespace().nth(1)?.parse::<f64>().ok()
        });
        scores.insert(unit, score.unwrap_or_else(|| panic!("no score for {unit}: {words}")));
    }
    fs::write(out("scores.json"), json!(scores).to_string()).expect("the report");
    for (unit, most) in SCORES {
        assert!(scores[unit] <= most, "{unit} has {}, more than {most}", scores[unit]);
    }
}
