//! What a client is told when something of ours failed: a code for programs, a sentence for people
//! and the next thing to do. Made here and nowhere else; a path of the host never appears.
#![forbid(unsafe_code)]

use serde::Serialize;

/// The `error` of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct CallError {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) next: String,
}

impl CallError {
    fn new(code: &'static str, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { code, message: message.into(), next: next.into() }
    }

    pub(super) fn unknown_argument(name: &str) -> Self {
        let name: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
        Self::new(
            "arguments.unknown",
            format!("run_code has no argument `{name}`"),
            "Remove it. Known: code, requirements, files, timeout_s, lock, return_lock, isolation.",
        )
    }

    pub(super) fn no_code() -> Self {
        Self::new(
            "arguments.invalid",
            "the argument `code` is missing or no string".to_owned(),
            "Send `code` as a string of Python source.",
        )
    }

    pub(super) fn wrong_argument(name: &str, want: &str) -> Self {
        Self::new(
            "arguments.invalid",
            format!("`{name}` must be {want}"),
            format!("Send `{name}` as {want}, or leave it out."),
        )
    }

    pub(super) fn not_available(name: &str, next: &str) -> Self {
        Self::new("arguments.not_available", format!("`{name}` is not available yet"), next)
    }

    pub(super) fn code_too_long(characters: usize, most: usize) -> Self {
        Self::new(
            "code.too_long",
            format!("the code has {characters} characters, the limit is {most}"),
            "Shorten the code, or split the work over several calls.",
        )
    }

    pub(super) fn code_with_nul(line: usize) -> Self {
        Self::new(
            "code.nul",
            format!("the code has a NUL character in line {line}, which Python does not read"),
            "Remove it; in a string write \\0 instead.",
        )
    }

    pub(super) fn busy(retry_after_ms: u64) -> Self {
        Self::new(
            "server.busy",
            "every slot is taken and the queue is full",
            format!("Call again in {retry_after_ms} ms."),
        )
    }

    pub(super) fn draining(retry_after_ms: u64) -> Self {
        Self::new(
            "server.draining",
            "this server is stopping and takes no new calls; the code was not run",
            format!("Call again in {retry_after_ms} ms, when it or another one is there."),
        )
    }

    pub(super) fn refused(message: &str) -> Self {
        Self::new("run.rejected", message, "Change the call as the message says.")
    }

    pub(super) fn timeout(wall_ms: u64) -> Self {
        Self::new(
            "limit.wall",
            format!("the program was stopped after {wall_ms} ms"),
            "Do less in one call, or ask for more time with timeout_s.",
        )
    }

    pub(super) fn out_of_memory(memory_bytes: Option<u64>) -> Self {
        let most =
            memory_bytes.map_or_else(|| "there was".to_owned(), |most| format!("{most} bytes"));
        Self::new(
            "limit.memory",
            format!(
                "the program needed more memory than {most}, or held too many network sockets or file locks, which are memory too"
            ),
            "Work on smaller pieces; close sockets, release locks. Files in /workspace and /tmp count as memory.",
        )
    }

    pub(super) fn output_limit(most: u64) -> Self {
        Self::new(
            "limit.output",
            format!(
                "the program wrote more than {most} bytes to stdout, stderr and descriptor 3 (the last value) together"
            ),
            "Print less: a summary, or the first and last of it.",
        )
    }

    pub(super) fn killed() -> Self {
        Self::new(
            "run.killed",
            "the run was ended from outside: by the operator, by the host, or because the server is stopping",
            "Call again; the program itself was not at fault.",
        )
    }

    pub(super) fn cancelled() -> Self {
        Self::new("run.cancelled", "the caller cancelled the run", "Call again to run the code.")
    }

    pub(super) fn sandbox_failed(what: &str) -> Self {
        Self::new(
            "sandbox.failed",
            format!("the run could not be confined ({what}), so the code was not run"),
            "Nothing in the code causes this. Ask the operator to run `primcs doctor`.",
        )
    }

    pub(super) fn supervisor_silent() -> Self {
        Self::new(
            "sandbox.supervisor_silent",
            "the supervisor did not answer in time; should it start the run after all, the run is stopped at once",
            "Ask the operator to look at the supervisor (it may be stopped or starved) and to restart it.",
        )
    }

    pub(super) fn supervisor_gone() -> Self {
        Self::new(
            "sandbox.supervisor_gone",
            "the supervisor ended while the run was under way; how the run ended is unknown",
            "Ask the operator to look at the server's log and to restart it.",
        )
    }
}
