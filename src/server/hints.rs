//! What helps the caller further. Fixed sentences only: text of a run is looked at, never repeated.
#![forbid(unsafe_code)]

use std::time::Duration;

use serde::Serialize;

use crate::wire::{Ended, Welcome};

use super::result::{RunResult, Status};

/// One piece of advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Hint {
    pub(super) kind: &'static str,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) suggestion: Option<String>,
    /// What it was concluded from.
    pub(super) source: &'static str,
}

impl Hint {
    fn new(kind: &'static str, source: &'static str, message: &str, suggestion: &str) -> Self {
        let suggestion = (!suggestion.is_empty()).then(|| suggestion.to_owned());
        Self { kind, message: message.to_owned(), suggestion, source }
    }

    /// More time was asked for than policy allows.
    pub(super) fn timeout_lowered(ceiling: Duration) -> Self {
        let message = format!("timeout_s was lowered to the ceiling of {} s", ceiling.as_secs());
        Self::new("limit", "policy", &message, "Split the work over several calls.")
    }
}

/// What every result of this host has to say.
pub(super) fn about_host(welcome: &Welcome) -> Vec<Hint> {
    let soft = (!welcome.limits.hard).then(|| {
        Hint::new(
            "limits",
            "host",
            "this host runs with soft limits: nothing enforces memory, processes and CPU",
            "",
        )
    });
    let no_landlock = welcome.landlock_abi.is_none().then(|| {
        Hint::new(
            "isolation",
            "host",
            "this kernel has no Landlock, so the second wall around files is missing",
            "",
        )
    });
    soft.into_iter().chain(no_landlock).collect()
}

/// What the end of a run has to say.
pub(super) fn after_run(ended: &Ended, result: &RunResult) -> Vec<Hint> {
    let mut hints = Vec::new();
    if ended.pids_refused > 0 {
        let most = result.limits.as_ref().and_then(|limits| limits.pids);
        let most =
            most.map_or_else(String::new, |most| format!(": at most {most} may exist at once"));
        let message =
            format!("a new process or thread was refused, {} in all{most}", ended.pids_refused);
        hints.push(Hint::new("limit", "pids.events", &message, "Use fewer workers or threads."));
    }
    if result.signal.as_deref() == Some("SIGSYS") {
        let message = "the program used a system call interface that is closed in a run";
        hints.push(Hint::new("limit", "signal", message, ""));
    }
    hints.extend(result.signal.as_deref().and_then(after_crash));
    if result.status == Status::Error {
        hints.extend(from_stderr(&result.stderr));
    }
    // What a crash kept from being printed is no fault of the program's print().
    let silent = result.signal.is_none()
        && result.stdout_bytes == 0
        && result.stderr_bytes == 0
        && result.result.is_none();
    if silent && matches!(result.status, Status::Ok | Status::Error) {
        hints.push(Hint::new(
            "no_output",
            "stdout",
            "the program printed nothing",
            "Use print() to see values.",
        ));
    }
    hints
}

/// Signals that the kernel or the C library sends for a fault of native code: Python has no traceback
/// of them.
fn after_crash(signal: &str) -> Option<Hint> {
    let (message, instead) = match signal {
        "SIGSEGV" => (
            "the interpreter crashed: native code (ctypes, an extension) used memory that is not \
             its own, or recursion beyond sys.setrecursionlimit() used the stack up",
            "Write recursion as a loop, and check ctypes' pointers and argtypes; `import \
             faulthandler; faulthandler.enable()` as the first line shows where it crashed.",
        ),
        "SIGBUS" => (
            "a mapped file (mmap, shared memory) had no data behind the page that was used: it was \
             made shorter, or the workspace is full",
            "Do not shorten a file while it is mapped, and write less.",
        ),
        "SIGILL" => (
            "native code used an instruction that this CPU does not have, or gave up",
            "Do that step in plain Python.",
        ),
        "SIGFPE" => (
            "native code divided an integer by zero; Python itself would have raised \
             ZeroDivisionError",
            "Check divisors before they go to native code.",
        ),
        "SIGABRT" => (
            "native code or the interpreter gave up (abort); the end of stderr says why, if it \
             said so",
            "Look at the end of stderr, and avoid that call.",
        ),
        _ => return None,
    };
    Some(Hint::new("crash", "signal", message, instead))
}

/// Looks for errno values in the end of a traceback.
fn from_stderr(stderr: &str) -> Option<Hint> {
    let last = stderr.trim_end().lines().next_back()?;
    let found = |needles: &[&str]| needles.iter().any(|needle| last.contains(needle));
    if found(&["[Errno 28]"]) {
        let message = "the workspace is full: its bytes and its number of files are limited";
        return Some(Hint::new(
            "limit",
            "stderr",
            message,
            "Write less, or delete what is done with.",
        ));
    }
    if found(&["[Errno 24]"]) {
        let message = "too many files were open at once";
        return Some(Hint::new("limit", "stderr", message, "Close files when done, use `with`."));
    }
    if last.starts_with("ModuleNotFoundError") {
        let message = "only Python's standard library is there: packages cannot be asked for yet";
        let instead = "Do it with the standard library, such as csv, json, statistics or urllib.";
        return Some(Hint::new("import", "stderr", message, instead));
    }
    if last.starts_with("EOFError") {
        let message = "stdin of a run is empty, so input() has nothing to read";
        return Some(Hint::new("stdin", "stderr", message, "Put the input into the code."));
    }
    if found(&["[Errno -2]", "[Errno -3]", "[Errno 101]", "NameResolutionError"]) {
        let message = "a run has no network";
        return Some(Hint::new("network", "stderr", message, "Pass data in the code."));
    }
    None
}
