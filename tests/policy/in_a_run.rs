//! Each system-call rule executed by the program of a run, started by the real programs: what is
//! refused gets the filter's errno, and what is allowed gets the kernel's own answer. Where the
//! kernel, asked without the filter, would say the same errno, this cannot tell who spoke;
//! `filters.rs` can, and this says how many those are.
#![forbid(unsafe_code)]

use primcs::policy::Policy;
use serde_json::json;

use super::rows::{Row, rows};
use super::support::aloud::say;
use super::support::mcp;
use super::support::programs::{Build, finish, primcs, weaken};
use super::support::server::shared;

/// Bytes of code that carry rows; a call takes 20,000 characters.
const ROOM: usize = 12_000;

const GETPID: u64 = 39;

/// Arguments with which a call that is allowed does nothing and says so by another errno than the
/// filter's. -1 is no descriptor, no address, no process and no flag that exists.
fn harmless(call: &str) -> [u64; 6] {
    const NO: u64 = u64::MAX;
    match call {
        // CLONE_SIGHAND without CLONE_VM is refused with EINVAL; anything less starts a process.
        "clone" => [0x800, 0, 0, 0, 0, 0],
        // FUTEX_WAKE at no address: EFAULT. An operation that does not exist would be ENOSYS.
        "futex" => [0, 1, 0, 0, 0, 0],
        // The kernel says EINVAL to advice -1, and so does the filter to another one; and where the
        // kernel writes a 0 when the thread ends is nowhere.
        "madvise" | "set_tid_address" => [0; 6],
        // Some flag that does not exist would be EINVAL from both.
        "sendto" | "sendmsg" | "sendmmsg" => [NO, NO, 0, 0, 0, 0],
        // Niceness 0 is what it has; less is refused with EACCES.
        "setpriority" => [NO, NO, 0, NO, NO, NO],
        _ => [NO; 6],
    }
}

/// What each row is to be called with in a run.
fn table() -> Vec<Row> {
    let policy = Policy::embedded().expect("the built-in policy");
    let mut rows = rows("seccomp-run", &policy.seccomp_run, harmless);
    rows.retain(|row| row.is_first);
    // ARCH_SET_FS, the smallest allowed code, would take the C library's thread pointer away:
    // ARCH_GET_FS to an address that is not there instead.
    for row in rows.iter_mut().filter(|row| row.call == "arch_prctl" && row.refused.is_none()) {
        row.arguments[0] = 0x1003;
    }
    rows
}

/// Programs that execute all rows, each short enough for one call.
fn programs(rows: &[Row]) -> Vec<(String, usize)> {
    let (mut programs, mut pieces, mut length) = (Vec::new(), Vec::new(), 0);
    let program = |pieces: &mut Vec<String>| {
        let count = pieces.len();
        let table = format!("N = {}\nROWS = [{}]\n", u64::MAX, std::mem::take(pieces).join(","));
        let code = [include_str!("calls.py"), &table, include_str!("execute.py")].concat();
        (code, count)
    };
    for row in rows {
        let piece = json!([row.number, row.arguments]).to_string();
        let piece = piece.replace(&u64::MAX.to_string(), "N");
        length += piece.len();
        pieces.push(piece);
        if length > ROOM {
            programs.push(program(&mut pieces));
            length = 0;
        }
    }
    programs.push(program(&mut pieces));
    programs
}

/// The answer to each row.
fn answers(rows: &[Row], run: impl Fn(&str) -> String) -> Vec<i64> {
    let mut answers = Vec::new();
    for (code, count) in programs(rows) {
        let said = run(&code);
        let some: Vec<i64> =
            serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_eq!(some.len(), count);
        answers.extend(some);
    }
    answers
}

fn in_a_run(code: &str) -> String {
    let answer = mcp::run(shared().address, code);
    assert_eq!(answer.status(), "ok", "{:#}", answer.message);
    answer.stdout().to_owned()
}

/// The same run, without its filter.
fn without_the_filter(code: &str) -> String {
    let mut command = primcs(Build::Weakened, "run");
    let finished = finish(command.env("PRIMCS_WEAKEN", weaken(&["seccomp"])).arg("-"), code);
    assert!(finished.status.success(), "{}: {}", finished.status, finished.stderr());
    finished.stdout()
}

fn is(row: &Row, answer: i64) -> bool {
    row.refused.is_some_and(|errno| answer == -i64::from(errno))
}

/// What an allowed call gets from the filter when its rule is missing or does not hold.
fn refusals(row: &Row) -> Vec<i64> {
    let policy = Policy::embedded().expect("the built-in policy");
    let filter = &policy.seccomp_run;
    let call = primcs::policy::seccomp::Call::named(&row.call).expect("a call");
    let lines = filter.allows(call).filter_map(|line| line.otherwise);
    lines.chain([filter.otherwise.errno]).map(|errno| -i64::from(errno.number())).collect()
}

/// proves: seccomp-run allow *; seccomp-run deny *; seccomp-run otherwise; seccomp-run x32
#[test]
fn a_run_gets_from_each_rule_what_the_policy_says() {
    let rows = table();
    let with = answers(&rows, in_a_run);
    // Nobody wants to wait for all disks of the host.
    let mut instead = rows.clone();
    for row in instead.iter_mut().filter(|row| row.call == "sync") {
        row.number = GETPID;
    }
    let without = answers(&instead, without_the_filter);
    let (mut wrong, mut told_apart, mut same) = (Vec::new(), 0, Vec::new());
    for ((row, with), without) in rows.iter().zip(with).zip(without) {
        let holds = if row.refused.is_some() {
            is(row, with)
        } else {
            // The kernel's own answer, with and without the filter, which could not be the filter's.
            !refusals(row).contains(&with)
        };
        if !holds {
            wrong.push(format!("{}: {with}, without the filter {without}, to {row:x?}", row.entry));
        } else if is(row, without) || row.call == "sync" {
            same.push(row.call.as_str());
        } else {
            told_apart += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    same.dedup();
    say(&format!(
        "{} of {} rows show that the filter spoke and not the kernel behind it; it would say the same to {}",
        told_apart,
        rows.len(),
        same.join(" ")
    ));
    assert!(told_apart > rows.len() * 3 / 4, "only {told_apart} of {} are told apart", rows.len());
}
