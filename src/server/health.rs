//! Whether a run can be confined right now: asked by doing it, at most every ten seconds however
//! often somebody asks.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::wire::Welcome;

use super::supervisor_client::{Gone, SupervisorClient};

/// The last answer and the way to a new one.
#[derive(Debug)]
pub(super) struct Health {
    supervisor: SupervisorClient,
    last: Mutex<Option<(Instant, Probe)>>,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Probe {
    /// Absent when a run was confined and answered as it should.
    pub(super) failure: Option<String>,
}

const FRESH: Duration = Duration::from_secs(10);

/// A host that needs longer for one trivial run is not ready for more.
const PATIENCE: Duration = Duration::from_secs(30);

impl Health {
    pub(super) fn new(supervisor: SupervisorClient) -> Self {
        Self { supervisor, last: Mutex::new(None) }
    }

    pub(super) async fn probe(&self) -> Probe {
        // Whoever waits for the lock gets the answer of the one who holds it.
        let mut last = self.last.lock().await;
        if self.supervisor.gone().is_cancelled() {
            return Probe { failure: Some("the supervisor is gone".to_owned()) };
        }
        if let Some((when, probe)) = &*last
            && when.elapsed() < FRESH
        {
            return probe.clone();
        }
        let probe = ask(&self.supervisor).await;
        *last = Some((Instant::now(), probe.clone()));
        probe
    }
}

/// One probe, now.
pub(super) async fn ask(supervisor: &SupervisorClient) -> Probe {
    let failure = match tokio::time::timeout(PATIENCE, supervisor.probe()).await {
        Ok(Ok(failure)) => failure,
        Ok(Err(Gone)) => Some("the supervisor is gone".to_owned()),
        Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    Probe { failure }
}

/// What `/readyz` and `doctor --json` say about this host.
pub(super) fn report(welcome: &Welcome, probe: &Probe) -> Value {
    json!({
        "ready": probe.failure.is_none(),
        "failure": probe.failure,
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
    })
}
