//! One run from the queue to its result: ask, read while it lasts, end it when the caller leaves,
//! the server stops or too much is written.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::wire::{CancelReason, Ended, Refusal, RunRequest, Welcome};

use super::error::CallError;
use super::hints;
use super::live::LiveOutput;
use super::metrics::Metrics;
use super::output::{Reader, Stream};
use super::principal::Principal;
use super::queue::{Full, Queue, Slot};
use super::result::{RunResult, Status, Written};
use super::stopping::Stopping;
use super::supervisor_client::{Gone, LiveRun, SupervisorClient};
use super::tool::Call;
use super::weaken;

/// What every run needs; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Runner {
    pub(super) supervisor: SupervisorClient,
    pub(super) queue: Queue,
    pub(super) metrics: Arc<Metrics>,
    pub(super) welcome: Arc<Welcome>,
    pub(super) caps: OutputCaps,
    pub(super) stopping: Stopping,
}

/// How much of the output is kept, and how much is too much.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutputCaps {
    pub(super) kept: usize,
    pub(super) result: usize,
    pub(super) written: u64,
}

/// A slot that we have may still be emptied by the supervisor; that takes milliseconds.
const SLOT_RETRY: Duration = Duration::from_millis(20);
const SLOT_PATIENCE: Duration = Duration::from_secs(5);

/// The supervisor's own deadlines for a start are shorter than this, its nursery's restart included.
const SILENCE: Duration = Duration::from_secs(30);

/// The supervisor holds the wall clock. Only if it says nothing long after, we stop waiting.
const GRACE_BEYOND_WALL: Duration = Duration::from_secs(15);

/// What a restart takes, more or less.
const RESTART: Duration = Duration::from_secs(2);

impl Runner {
    /// Runs `call`. Always a result, never an error: what goes wrong is in its status.
    pub(super) async fn run(
        &self,
        call: Call,
        principal: &Principal,
        live: &LiveOutput,
        cancel: &CancellationToken,
    ) -> RunResult {
        let began = Instant::now();
        let mut hints = call.hints.clone();
        let mut result = match self.run_to_end(call, principal, live, cancel).await {
            Ok(result) | Err(result) => result,
        };
        live.close();
        if result.run_id.is_some() {
            hints.extend(hints::about_host(&self.welcome));
        }
        result.hints.splice(0..0, hints);
        self.metrics.finished(result.status, result.run_id.is_some().then(|| began.elapsed()));
        tracing::info!(
            run_id = result.run_id.as_deref().unwrap_or("-"),
            principal = principal.name(),
            status = result.status.name(),
            code = result.error.as_ref().map(|error| error.code),
            ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "run"
        );
        result
    }

    async fn run_to_end(
        &self,
        call: Call,
        principal: &Principal,
        live: &LiveOutput,
        cancel: &CancellationToken,
    ) -> Result<RunResult, RunResult> {
        if self.stopping.draining.is_cancelled() {
            return Err(self.draining());
        }
        let entered = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(self.cancelled()),
            () = self.stopping.shutdown.cancelled() => return Err(self.killed()),
            entered = self.queue.enter(principal) => entered,
        };
        let slot = entered.map_err(|Full { retry_after }| self.busy(retry_after))?;
        let request = RunRequest {
            request: 0,
            principal: principal.name().to_owned(),
            code: call.code,
            timeout_ms: call
                .timeout
                .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        };
        let run = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(self.cancelled()),
            () = self.stopping.shutdown.cancelled() => return Err(self.killed()),
            run = self.start(request) => run?,
        };
        Ok(self.watch(run, slot, live, cancel).await)
    }

    async fn start(&self, request: RunRequest) -> Result<LiveRun, RunResult> {
        let asked = Instant::now();
        loop {
            let answer = self.supervisor.run(request.clone());
            let digest = &self.welcome.policy_digest;
            let failed = |status, error| RunResult::without_run(status, error, digest);
            // A run that starts after all finds nobody and is cancelled.
            let Ok(answer) = tokio::time::timeout(SILENCE, answer).await else {
                tracing::error!("the supervisor does not answer");
                return Err(failed(Status::SandboxFailed, CallError::supervisor_silent()));
            };
            match answer {
                Ok(Ok(run)) => return Ok(run),
                Ok(Err(Refusal::Busy)) if asked.elapsed() < SLOT_PATIENCE => {
                    tokio::time::sleep(SLOT_RETRY).await;
                }
                Ok(Err(Refusal::Busy)) => return Err(self.busy(self.queue.retry_after())),
                Ok(Err(Refusal::Rejected { message })) => {
                    return Err(failed(Status::Rejected, CallError::refused(&message)));
                }
                Ok(Err(Refusal::SandboxFailed { message })) => {
                    tracing::error!(message, "the supervisor could not give what a run needs");
                    let error = CallError::sandbox_failed("the host refused what a run needs");
                    return Err(failed(Status::SandboxFailed, error));
                }
                Ok(Err(Refusal::Killed)) => return Err(self.killed()),
                Err(Gone) => {
                    return Err(failed(Status::SandboxFailed, CallError::supervisor_gone()));
                }
            }
        }
    }

    async fn watch(
        &self,
        run: LiveRun,
        slot: Slot,
        live: &LiveOutput,
        cancel: &CancellationToken,
    ) -> RunResult {
        let LiveRun { started, stdout, stderr, result, mut ended, wanted } = run;
        let mut stdout = Reader::new(stdout, Stream::Stdout, self.caps.kept);
        let mut stderr = Reader::new(stderr, Stream::Stderr, self.caps.kept);
        let mut value = Reader::new(result, Stream::Stdout, self.caps.result);
        let nobody = LiveOutput::unwatched();
        let began = Instant::now();
        let overdue = tokio::time::sleep(
            Duration::from_millis(started.limits.wall_ms).saturating_add(GRACE_BEYOND_WALL),
        );
        tokio::pin!(overdue);
        let mut asked_to_end = false;
        let ended: Option<Ended> = loop {
            let why = tokio::select! {
                ended = &mut ended => break ended.ok(),
                () = &mut overdue => break None,
                () = cancel.cancelled(), if !asked_to_end => Some(CancelReason::Client),
                () = self.stopping.shutdown.cancelled(), if !asked_to_end => Some(CancelReason::Shutdown),
                // Once the run is to end it can wait in a full pipe: what is over the limit stays
                // unread, and what was written before is drained below.
                read = stdout.read(live), if !asked_to_end => self.over_budget(read, &stdout, &stderr, &value),
                read = stderr.read(live), if !asked_to_end => self.over_budget(read, &stdout, &stderr, &value),
                read = value.read(&nobody), if !asked_to_end => self.over_budget(read, &stdout, &stderr, &value),
            };
            if let Some(why) = why {
                asked_to_end = true;
                self.supervisor.cancel(&started.run_id, why);
            }
        };
        stdout.drain(live);
        stderr.drain(live);
        value.drain(&nobody);
        if ended.is_some() {
            wanted.ended();
            self.queue.observe(began.elapsed());
        }
        // The slot is free although the caller may still be reading.
        drop(slot);
        let written = Written {
            stdout: stdout.kept,
            stderr: stderr.kept,
            result: value.kept,
            budget: self.caps.written,
        };
        let digest = &self.welcome.policy_digest;
        match ended {
            Some(ended) => RunResult::ended(&started, &ended, &written, digest),
            None => RunResult::lost(&started, &written, digest),
        }
    }

    fn over_budget(
        &self,
        read: std::io::Result<()>,
        stdout: &Reader,
        stderr: &Reader,
        value: &Reader,
    ) -> Option<CancelReason> {
        if let Err(error) = read {
            tracing::warn!(%error, "cannot read the output of a run");
        }
        let written = stdout.kept.written() + stderr.kept.written() + value.kept.written();
        (written > self.caps.written && weaken::stands("output_budget"))
            .then_some(CancelReason::OutputLimit)
    }

    fn cancelled(&self) -> RunResult {
        let digest = &self.welcome.policy_digest;
        RunResult::without_run(Status::Cancelled, CallError::cancelled(), digest)
    }

    fn killed(&self) -> RunResult {
        RunResult::without_run(Status::Killed, CallError::killed(), &self.welcome.policy_digest)
    }

    fn busy(&self, retry_after: Duration) -> RunResult {
        self.call_again(retry_after, CallError::busy)
    }

    fn draining(&self) -> RunResult {
        self.call_again(RESTART, CallError::draining)
    }

    fn call_again(&self, after: Duration, error: impl Fn(u64) -> CallError) -> RunResult {
        let retry_after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let error = error(retry_after_ms);
        let mut result = RunResult::without_run(Status::Busy, error, &self.welcome.policy_digest);
        result.retry_after_ms = Some(retry_after_ms);
        result
    }
}
