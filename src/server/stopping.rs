//! How the server ends: SIGTERM first stops new calls and lets runs under way finish, SIGINT or a
//! second SIGTERM ends them at once.
#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::queue::Queue;

/// The two steps of an end; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Stopping {
    /// No new call is taken; `/readyz` says so first, for whoever balances load.
    pub(super) draining: CancellationToken,
    /// Runs end, and then this process.
    pub(super) shutdown: CancellationToken,
}

/// How often is looked whether the last run has ended.
const LOOK: Duration = Duration::from_millis(20);

impl Stopping {
    /// Listens for signals from now on. Runs under way get `drain` to end by themselves.
    pub(super) fn on_signals(&self, queue: Queue, drain: Duration) -> io::Result<()> {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let stopping = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {
                    stopping.draining.cancel();
                    tracing::info!(runs = queue.taken(), seconds = drain.as_secs(), "draining");
                    tokio::select! {
                        () = until_idle(&queue) => {}
                        () = tokio::time::sleep(drain) => {}
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                }
            }
            tracing::info!(runs = queue.taken(), "stopping");
            stopping.draining.cancel();
            stopping.shutdown.cancel();
        });
        Ok(())
    }
}

async fn until_idle(queue: &Queue) {
    while queue.taken() + queue.waiting() > 0 {
        tokio::time::sleep(LOOK).await;
    }
}
