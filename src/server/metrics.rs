//! Numbers for Prometheus. No label holds anything that a caller chose.
#![forbid(unsafe_code)]

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::queue::Queue;
use super::result::Status;

/// All of them.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    runs: Family<StatusLabel, Counter>,
    live: Gauge,
    queued: Gauge,
    seconds: Histogram,
    without_token: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

/// From a bare `print` to the longest run that policy allows.
const SECONDS: [f64; 12] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 600.0];

impl Metrics {
    pub(super) fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("primcs"),
            runs: Family::default(),
            live: Gauge::default(),
            queued: Gauge::default(),
            seconds: Histogram::new(SECONDS),
            without_token: Counter::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        for status in Status::ALL {
            // A counter that exists from the start lets an alert see its first increase.
            drop(self.runs.get_or_create(&StatusLabel { status: status.name() }));
        }
        self.registry.register("runs", "Calls by how they ended", self.runs.clone());
        self.registry.register("runs_live", "Runs under way", self.live.clone());
        self.registry.register("runs_queued", "Calls that wait for a slot", self.queued.clone());
        self.registry.register(
            "calls_without_token",
            "Calls refused because they did not send the token that is set",
            self.without_token.clone(),
        );
        self.registry.register_with_unit(
            "run",
            "From the call to its result, for calls that became runs",
            Unit::Seconds,
            self.seconds.clone(),
        );
        self
    }

    /// Counts a call; `took` for one that became a run.
    pub(super) fn finished(&self, status: Status, took: Option<Duration>) {
        self.runs.get_or_create(&StatusLabel { status: status.name() }).inc();
        if let Some(took) = took {
            self.seconds.observe(took.as_secs_f64());
        }
    }

    /// Counts a call that was refused for want of the token; true for the first.
    pub(super) fn refused_without_token(&self) -> bool {
        self.without_token.inc() == 0
    }

    /// The text format, with the gauges as of now.
    pub(super) fn text(&self, queue: &Queue) -> Result<String, std::fmt::Error> {
        self.live.set(i64::try_from(queue.taken()).unwrap_or(i64::MAX));
        self.queued.set(i64::try_from(queue.waiting()).unwrap_or(i64::MAX));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
