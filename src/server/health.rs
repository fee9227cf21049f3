//! Whether a run can be confined right now: asked by doing it, at most every ten seconds however
//! often somebody asks.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::wire::{ProbeReport, Welcome};

use super::supervisor_client::{Gone, SupervisorClient};

/// The last answer and the way to a new one.
#[derive(Debug)]
pub(super) struct Health {
    supervisor: SupervisorClient,
    last: Mutex<Option<(Instant, ProbeReport)>>,
}

const FRESH: Duration = Duration::from_secs(10);

/// A host that needs longer for one small run is not ready for more.
const PATIENCE: Duration = Duration::from_secs(30);

impl Health {
    pub(super) fn new(supervisor: SupervisorClient) -> Self {
        Self { supervisor, last: Mutex::new(None) }
    }

    pub(super) async fn probe(&self) -> ProbeReport {
        // Whoever waits for the lock gets the answer of the one who holds it.
        let mut last = self.last.lock().await;
        if self.supervisor.gone().is_cancelled() {
            return ProbeReport::unfinished("the supervisor is gone".to_owned());
        }
        if let Some((when, probe)) = &*last
            && when.elapsed() < FRESH
        {
            return probe.clone();
        }
        let probe = ask(&self.supervisor, true).await;
        *last = Some((Instant::now(), probe.clone()));
        probe
    }
}

/// One probe, now. What asks again and again asks for quiet ones.
pub(super) async fn ask(supervisor: &SupervisorClient, quiet: bool) -> ProbeReport {
    match tokio::time::timeout(PATIENCE, supervisor.probe(quiet)).await {
        Ok(Ok(report)) => report,
        Ok(Err(Gone)) => ProbeReport::unfinished("the supervisor is gone".to_owned()),
        Err(_) => ProbeReport::unfinished(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// What `/readyz` and `doctor --json` say about this host. `failed` are ids of `doctor`'s checks.
pub(super) fn report(welcome: &Welcome, probe: &ProbeReport) -> Map<String, Value> {
    let report = json!({
        "ready": probe.problem.is_none(),
        "failure": probe.problem,
        "failed": probe.failed,
        "version": welcome.version,
        "isolation": welcome.isolation,
        "rootless": welcome.rootless,
        "limits": welcome.limits,
        "hard_limits": welcome.limits.hard,
        "cgroup_layout": welcome.cgroup_layout,
        "landlock_abi": welcome.landlock_abi,
        "interpreter": welcome.interpreter,
        "max_runs": welcome.max_runs,
        "policy_digest": welcome.policy_digest,
        "notes": welcome.notes,
    });
    if let Value::Object(fields) = report { fields } else { Map::new() }
}
