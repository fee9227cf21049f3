//! The messages, whole. Server to supervisor: `hello`, `run`, `cancel`, `probe`. Supervisor to
//! server: `welcome`, `refused`, `started`, `ended`, `probed`. Nothing else exists.
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// What the server may say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ToSupervisor {
    /// First message, once. Both values must equal the supervisor's own.
    Hello {
        /// Package version of the server.
        version: String,
        /// Digest of the policy that the server has read.
        policy_digest: String,
    },
    /// Run this code. Answered by `refused`, or by `started` and later `ended`.
    Run(RunRequest),
    /// End a run early. Ignored when the run has ended meanwhile.
    Cancel {
        /// The id from `started`.
        run_id: String,
        /// Becomes the verdict.
        why: CancelReason,
    },
    /// Confine a run that tries walls and limits, and say what held.
    Probe {
        /// Without running into the limits of memory and processes: the kernel's log tells of each
        /// time. One that is under way answers as it was asked for.
        quiet: bool,
    },
}

/// One admitted call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// Chosen by the server, unique on this connection; echoed in `refused` and `started`.
    pub request: u64,
    /// Who asks; for the log and the audit record only.
    pub principal: String,
    /// Python source, already dedented by the server.
    pub code: String,
    /// Wished wall clock; the policy's default when absent, its ceiling when above it.
    pub timeout_ms: Option<u64>,
}

/// Why the server ends a run. The only part of a verdict that the server decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// The caller went away or asked for it.
    Client,
    /// More output than the policy allows was written.
    OutputLimit,
    /// The server is stopping.
    Shutdown,
}

/// What the supervisor may say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ToServer {
    /// Answer to `hello`: what this supervisor can do.
    Welcome(Box<Welcome>),
    /// Instead of `welcome`: this host or these settings do not allow confined runs. The
    /// supervisor exits after it.
    Unable(Box<Unable>),
    /// The request was not run.
    Refused {
        /// From the request.
        request: u64,
        /// Why, and what would help.
        refusal: Refusal,
    },
    /// The run is under way. Three descriptors come with it, reading ends of non-blocking pipes,
    /// in this order: stdout, stderr, result (text of a last bare expression).
    Started(Started),
    /// The run's program has ended; all it wrote is in the pipes. Do not wait for EOF.
    Ended(Box<Ended>),
    /// Answer to `probe`.
    Probed(Box<ProbeReport>),
}

/// Why there is no welcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unable {
    /// Id of the check that failed, as `primcs doctor` has it.
    pub check: String,
    /// What was tried and what the kernel said.
    pub problem: String,
    /// What to do, where the supervisor knows more than the server's table of checks.
    pub next: Option<String>,
    /// Set when the kernel refused a step.
    pub step: Option<FailedStep>,
    /// Set when the first confined run was not confined as it should be.
    pub probe: Option<ProbeReport>,
    /// True when the supervisor has no privilege on the host: what mends a start depends on that, and
    /// a server that has joined a service has other rights than its supervisor.
    pub rootless: bool,
}

/// What the supervisor's own confined run came to. It tried walls and limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeReport {
    /// Ids of what did not hold; empty when a run was confined as it should be.
    pub failed: Vec<String>,
    /// What is wrong, as a sentence; absent when nothing is.
    pub problem: Option<String>,
    /// The step that failed, when nothing of the program ran.
    pub failed_step: Option<FailedStep>,
    /// The program's word: a line for each wall, with its id and `held` or what was seen. Empty
    /// when runs of others filled every place, which is a better proof.
    pub text: String,
    /// The kernel's word; absent without cgroups.
    pub counted: Option<Counted>,
}

impl ProbeReport {
    /// The id of a probe that did not come to its end.
    pub const UNFINISHED: &'static str = "run.probe";

    /// One that did not.
    #[must_use]
    pub fn unfinished(problem: String) -> Self {
        let failed = vec![Self::UNFINISHED.to_owned()];
        Self { failed, problem: Some(problem), ..Self::default() }
    }

    /// Whether it did, so that what did not hold is all named.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !self.failed.iter().any(|id| id == Self::UNFINISHED)
    }
}

/// What the kernel counted in the probe's cgroups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// Whether it killed for memory.
    pub out_of_memory: bool,
    /// How often it refused a process.
    pub pids_refused: u64,
    /// Periods in which it rationed CPU time.
    pub cpu_periods: u64,
    /// Those in which the ration was used up.
    pub cpu_throttled: u64,
}

/// What a supervisor is, as told once on connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Welcome {
    /// Package version of the supervisor.
    pub version: String,
    /// Digest of the policy in force.
    pub policy_digest: String,
    /// `strict`: every run starts an interpreter of its own.
    pub isolation: String,
    /// True when the supervisor has no privilege on the host.
    pub rootless: bool,
    /// `v2`, `hybrid`, `v1` or `none`.
    pub cgroup_layout: String,
    /// Why it is `none`.
    pub no_cgroups: Option<String>,
    /// What holds for every run.
    pub limits: LimitsInForce,
    /// Largest `timeout_ms` that a request gets.
    pub timeout_ceiling_ms: u64,
    /// Runs at once.
    pub max_runs: u32,
    /// Which Python runs the code.
    pub interpreter: InterpreterInfo,
    /// Landlock ABI of the kernel; absent when there is none and the second wall is missing.
    pub landlock_abi: Option<u32>,
    /// What an operator should know about this host, one sentence each.
    pub notes: Vec<String>,
}

/// The interpreter in the private copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterpreterInfo {
    /// Path inside a run.
    pub path: String,
    /// Such as `3.11.2`.
    pub version: String,
}

/// Limits as the kernel reported them after they were set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsInForce {
    /// False when `--allow-soft-limits` runs without cgroups.
    pub hard: bool,
    /// Wall clock of this run (or the default, in `welcome`).
    pub wall_ms: u64,
    /// Memory of all processes together, tmpfs included; absent when nothing enforces it.
    pub memory_bytes: Option<u64>,
    /// Processes and threads together; absent when nothing enforces it.
    pub pids: Option<u64>,
    /// CPU time a second, in thousandths of a core; absent when nothing enforces it.
    pub cpu_millicores: Option<u64>,
    /// Workspace, /tmp and /dev/shm together.
    pub disk_bytes: u64,
    /// Files and directories in them.
    pub disk_inodes: u64,
    /// Open descriptors of each process.
    pub open_files: u64,
}

/// Why a request was not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case", deny_unknown_fields)]
pub enum Refusal {
    /// Every slot is taken or still being emptied.
    Busy,
    /// The request itself is not acceptable.
    Rejected {
        /// What to change in the call.
        message: String,
    },
    /// The host would not give what a run needs.
    SandboxFailed {
        /// For the operator.
        message: String,
    },
    /// It was killed from outside before it was let go.
    Killed,
}

/// A run is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// From the request.
    pub request: u64,
    /// Made by the supervisor.
    pub run_id: String,
    /// As read back from the kernel for this run.
    pub limits: LimitsInForce,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// From the request; a run that fails early ends without `started`.
    pub request: u64,
    /// As in `started`.
    pub run_id: String,
    /// Decided by the supervisor from what the kernel counted.
    pub verdict: Verdict,
    /// Of the main process, when it exited.
    pub exit_code: Option<i32>,
    /// Number of the signal, when one ended the main process.
    pub signal: Option<i32>,
    /// What it took.
    pub usage: Usage,
    /// How often the kernel refused a new process or thread (`pids.events`).
    pub pids_refused: u64,
    /// Set when the verdict is `sandbox_failed`.
    pub failed_step: Option<FailedStep>,
}

/// The supervisor's word on how a run ended; the names are those of the result's `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Exit status 0.
    Ok,
    /// Another exit status, or a signal that the program got by itself.
    Error,
    /// The wall clock ran out.
    Timeout,
    /// The kernel killed for `memory.max`.
    OutOfMemory,
    /// The server asked, for too much output.
    OutputLimit,
    /// Ended by shutdown or by somebody outside.
    Killed,
    /// The caller asked.
    Cancelled,
    /// A barrier could not be set up; nothing of the code ran.
    SandboxFailed,
}

/// What a run took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// From the moment the program could start.
    pub wall_ms: u64,
    /// User and system, all processes.
    pub cpu_ms: u64,
    /// Highest charge of the memory cgroup; absent without cgroups.
    pub memory_peak_bytes: Option<u64>,
    /// Most processes and threads at once, without the init; absent without cgroups.
    pub pids_peak: Option<u64>,
}

/// The step of confinement that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedStep {
    /// Kernel name of the step, such as `mount /proc`.
    pub step: String,
    /// As in errno(3).
    pub errno: i32,
}
