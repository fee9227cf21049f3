//! The one result object, whatever happened; its fields are a contract with clients.
//!
//! `stdout`, `stderr` and `result` are text of the run and stay untouched inside the object; only
//! the readable rendering beside it is shortened.
#![forbid(unsafe_code)]

use serde::Serialize;

use crate::wire::{Ended, LimitsInForce, Started, Usage, Verdict};

use super::error::CallError;
use super::hints::{self, Hint};
use super::output::Kept;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Ok,
    Error,
    Timeout,
    OutOfMemory,
    OutputLimit,
    Killed,
    Cancelled,
    Busy,
    Rejected,
    SandboxFailed,
}

impl Status {
    pub(super) const ALL: [Self; 10] = [
        Self::Ok,
        Self::Error,
        Self::Timeout,
        Self::OutOfMemory,
        Self::OutputLimit,
        Self::Killed,
        Self::Cancelled,
        Self::Busy,
        Self::Rejected,
        Self::SandboxFailed,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out_of_memory",
            Self::OutputLimit => "output_limit",
            Self::Killed => "killed",
            Self::Cancelled => "cancelled",
            Self::Busy => "busy",
            Self::Rejected => "rejected",
            Self::SandboxFailed => "sandbox_failed",
        }
    }

    /// A program that ended by itself is a result, whatever its exit code.
    pub(super) const fn is_error(self) -> bool {
        !matches!(self, Self::Ok | Self::Error)
    }
}

impl From<Verdict> for Status {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Ok => Self::Ok,
            Verdict::Error => Self::Error,
            Verdict::Timeout => Self::Timeout,
            Verdict::OutOfMemory => Self::OutOfMemory,
            Verdict::OutputLimit => Self::OutputLimit,
            Verdict::Killed => Self::Killed,
            Verdict::Cancelled => Self::Cancelled,
            Verdict::SandboxFailed => Self::SandboxFailed,
        }
    }
}

/// Fixed in architecture.md.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RunResult {
    pub(super) status: Status,
    pub(super) exit_code: Option<i32>,
    pub(super) signal: Option<String>,
    /// For `primcs run`, which ends with 128 + signal.
    #[serde(skip)]
    pub(super) signal_number: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) truncated: Truncated,
    pub(super) stdout_bytes: u64,
    pub(super) stderr_bytes: u64,
    pub(super) result: Option<String>,
    pub(super) artifacts: [(); 0],
    pub(super) hints: Vec<Hint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<CallError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after_ms: Option<u64>,
    pub(super) usage: Option<Usage>,
    pub(super) limits: Option<LimitsInForce>,
    pub(super) run_id: Option<String>,
    pub(super) policy_digest: String,
}

/// Whether `stdout` and `stderr` lack their middle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Truncated {
    pub(super) stdout: bool,
    pub(super) stderr: bool,
}

/// What was read from the three pipes of a run.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) stdout: Kept,
    pub(super) stderr: Kept,
    pub(super) result: Kept,
    /// Bytes over both streams that end a run.
    pub(super) budget: u64,
}

impl RunResult {
    /// A call that never became a run.
    pub(super) fn without_run(status: Status, error: CallError, policy_digest: &str) -> Self {
        Self {
            status,
            exit_code: None,
            signal: None,
            signal_number: None,
            stdout: String::new(),
            stderr: String::new(),
            truncated: Truncated::default(),
            stdout_bytes: 0,
            stderr_bytes: 0,
            result: None,
            artifacts: [],
            hints: Vec::new(),
            error: Some(error),
            retry_after_ms: None,
            usage: None,
            limits: None,
            run_id: None,
            policy_digest: policy_digest.to_owned(),
        }
    }

    /// A run that the supervisor saw to its end.
    pub(super) fn ended(
        started: &Started,
        ended: &Ended,
        written: &Written,
        policy_digest: &str,
    ) -> Self {
        let status = Status::from(ended.verdict);
        let mut result = Self::without_run(status, CallError::killed(), policy_digest);
        result.error = error_of(started, ended, written.budget);
        result.exit_code = ended.exit_code;
        result.signal = ended.signal.map(signal_name);
        result.signal_number = ended.signal;
        result.usage = Some(ended.usage.clone());
        result.take_output(started, written);
        result.hints = hints::after_run(ended, &result);
        result
    }

    /// A run whose end the supervisor never told.
    pub(super) fn lost(started: &Started, written: &Written, policy_digest: &str) -> Self {
        let error = CallError::supervisor_gone();
        let mut result = Self::without_run(Status::SandboxFailed, error, policy_digest);
        result.take_output(started, written);
        result
    }

    fn take_output(&mut self, started: &Started, written: &Written) {
        self.stdout = written.stdout.text();
        self.stderr = written.stderr.text();
        self.truncated = Truncated {
            stdout: written.stdout.is_truncated(),
            stderr: written.stderr.is_truncated(),
        };
        self.stdout_bytes = written.stdout.written();
        self.stderr_bytes = written.stderr.written();
        self.result = (written.result.written() > 0).then(|| written.result.text());
        self.limits = Some(started.limits.clone());
        self.run_id = Some(started.run_id.clone());
    }
}

fn error_of(started: &Started, ended: &Ended, budget: u64) -> Option<CallError> {
    match ended.verdict {
        Verdict::Ok | Verdict::Error => None,
        Verdict::Timeout => Some(CallError::timeout(started.limits.wall_ms)),
        Verdict::OutOfMemory => Some(CallError::out_of_memory(started.limits.memory_bytes)),
        Verdict::OutputLimit => Some(CallError::output_limit(budget)),
        Verdict::Killed => Some(CallError::killed()),
        Verdict::Cancelled => Some(CallError::cancelled()),
        Verdict::SandboxFailed => {
            let step = ended.failed_step.as_ref().map_or_else(
                || "no step named".to_owned(),
                |failed| {
                    let errno = nix::errno::Errno::from_raw(failed.errno);
                    format!("{}: {errno}", failed.step)
                },
            );
            Some(CallError::sandbox_failed(&step))
        }
    }
}

/// `SIGKILL` rather than 9; a real-time signal has only its number.
fn signal_name(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number)
        .map_or_else(|_| format!("SIG{number}"), |signal| signal.as_str().to_owned())
}
