//! Puts the parts together once the supervisor has said welcome: runtime, confinement, runner.
#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::policy::Policy;
use crate::settings::Settings;
use crate::wire::Welcome;

use super::host::Connected;
use super::metrics::Metrics;
use super::queue::Queue;
use super::run::{OutputCaps, Runner};
use super::self_confine::{self, ConfineError};
use super::stopping::Stopping;
use super::supervisor_client::SupervisorClient;
use super::tool::CallRules;

/// Why the parts do not fit together.
#[derive(Debug, thiserror::Error)]
pub(super) enum AssembleError {
    #[error("cannot start the asynchronous runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot use the socket to the supervisor")]
    Socket(#[source] io::Error),
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
    #[error("the server cannot confine itself")]
    Confine(#[from] ConfineError),
}

/// Everything a command works with.
#[derive(Debug)]
pub(super) struct Assembled {
    pub(super) settings: Settings,
    pub(super) policy: Policy,
    pub(super) runner: Runner,
    pub(super) rules: CallRules,
}

/// Few calls are under way in us at a time; the runs themselves are other processes.
const WORKERS: usize = 2;

/// Only reading a terminal or a file on stdin blocks.
const BLOCKING_THREADS: usize = 16;

/// For the supervisor to empty its sandboxes when we leave.
const GOODBYE: Duration = Duration::from_secs(1);

/// Confines this process, then runs `work` in a runtime of its own; at SIGTERM runs have `drain` to
/// end by themselves. When `work` is done the supervisor is told and given a moment.
pub(super) fn with_runtime<T, F>(
    connected: Connected,
    drain: Duration,
    work: impl FnOnce(Assembled) -> F,
) -> Result<T, AssembleError>
where
    F: Future<Output = T>,
{
    let kernel_has_landlock = connected.welcome.landlock_abi.is_some();
    let granted = &connected.policy.process.server.landlock;
    self_confine::restrict_files(granted, kernel_has_landlock)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(AssembleError::Runtime)?;
    let outcome = runtime.block_on(async {
        let assembled = assemble(connected, drain)?;
        let supervisor = assembled.runner.supervisor.clone();
        let done = work(assembled).await;
        if tokio::time::timeout(GOODBYE, supervisor.close()).await.is_err() {
            tracing::warn!("the supervisor was still busy when the server left");
        }
        Ok(done)
    });
    leave(runtime);
    outcome
}

/// A read from a terminal cannot be cancelled, so nothing waits for it.
fn leave(runtime: Runtime) {
    runtime.shutdown_background();
}

/// Must be called within the runtime.
fn assemble(connected: Connected, drain: Duration) -> Result<Assembled, AssembleError> {
    let Connected { settings, policy, welcome, socket, supervisor: _supervisor } = connected;
    let supervisor = SupervisorClient::start(socket).map_err(AssembleError::Socket)?;
    let queue =
        Queue::new(whole(u64::from(welcome.max_runs)), whole(policy.limits.call.queue.value));
    let stopping = Stopping::default();
    stopping.on_signals(queue.clone(), drain).map_err(AssembleError::Signals)?;
    self_confine::filter_calls(&policy)?;
    #[cfg(feature = "weaken")]
    super::weaken::prove();
    let rules = call_rules(&settings, &policy, &welcome);
    let runner = Runner {
        supervisor,
        queue,
        metrics: Arc::new(Metrics::new()),
        welcome: Arc::new(welcome),
        caps: output_caps(&settings, &policy),
        stopping,
    };
    Ok(Assembled { settings, policy, runner, rules })
}

fn call_rules(settings: &Settings, policy: &Policy, welcome: &Welcome) -> CallRules {
    CallRules {
        most_characters: whole(policy.limits.call.code_characters.value),
        timeout_ceiling: Duration::from_millis(welcome.timeout_ceiling_ms),
        default_timeout: settings.timeout_s.map(Duration::from_secs),
    }
}

fn output_caps(settings: &Settings, policy: &Policy) -> OutputCaps {
    let output = &policy.limits.run.output;
    let kept = whole(output.kept.value.0);
    OutputCaps {
        kept: settings.max_output.map_or(kept, |most| most.min(kept)),
        result: whole(output.result.value.0),
        written: output.written.value.0,
    }
}

/// A limit as a size in memory; what does not fit there is no limit.
pub(super) fn whole(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
