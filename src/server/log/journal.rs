//! The server's log as entries of the journal: `journalctl PRIMCS_RUN_ID=...` then finds what both
//! halves say of a run. Fields are named by this program and its libraries, values by anybody.
//!
//! The socket is connected before the server confines itself, and is no way to anything but the
//! journal. It never blocks: what the journal does not take is counted, and told in the next entry
//! that it takes. docs/audit.md is about the other half's records, which are not lost.
#![forbid(unsafe_code)]

use std::fmt::{Debug, Write as _};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::journal::{self, Entry};

/// Characters of one value. A whole entry must go into one datagram: the server may not make the
/// file in memory that a longer one would take.
const MOST_VALUE: usize = 4096;

/// Where the log goes.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    lost: AtomicU64,
}

impl Journal {
    /// None where stderr is not the journal's, or nobody listens to entries.
    pub(super) fn of_this_process() -> Option<Self> {
        let stream = std::env::var_os(journal::STREAM);
        let socket = journal::is_stderr(stream.as_deref()).then(|| journal::socket(None))?.ok()?;
        socket.connect(journal::SOCKET).ok()?;
        Some(Self { socket, lost: AtomicU64::new(0) })
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut entry = fields.0;
        entry.add("PRIORITY", priority(*metadata.level()));
        entry.add("SYSLOG_IDENTIFIER", "primcs");
        entry.add("PRIMCS_TARGET", metadata.target());
        // Taken, so that no two threads tell of the same ones.
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            entry.add("PRIMCS_LOST", &lost.to_string());
        }
        // Lost means lost: to whom could it be told?
        if self.socket.send(entry.bytes()).is_err() {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }
}

/// As syslog counts.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// The fields of one event, as far as they are read.
#[derive(Default)]
struct Fields(Entry);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Only a broken `Debug` can fail, and what it wrote until then is there.
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let value: String = value.chars().take(MOST_VALUE).collect();
        if field.name() == "message" {
            self.0.add("MESSAGE", &value);
        } else {
            self.0.add(&format!("PRIMCS_{}", field.name()), &value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_str(field, &value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    fn logged(log: impl FnOnce()) -> (Journal, Vec<u8>) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let journal = Journal { socket: ours.try_clone().unwrap(), lost: AtomicU64::new(3) };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journal), log);
        let mut bytes = vec![0; 1 << 16];
        let length = theirs.recv(&mut bytes).unwrap();
        bytes.truncate(length);
        (Journal { socket: ours, lost: AtomicU64::new(0) }, bytes)
    }

    fn has(bytes: &[u8], name: &str, value: &str) -> bool {
        let mut entry = Entry::default();
        entry.add(name, value);
        bytes.windows(entry.bytes().len()).any(|part| part == entry.bytes())
    }

    #[test]
    fn an_event_becomes_one_entry_whatever_is_in_its_values() {
        let principal = "a\nPRIORITY=0\n\nMESSAGE=forged";
        let (_, bytes) = logged(|| {
            tracing::warn!(run_id = "00ff", principal, ms = 7u64, "run");
        });
        assert!(has(&bytes, "MESSAGE", "run") && has(&bytes, "PRIMCS_RUN_ID", "00ff"));
        assert!(has(&bytes, "PRIMCS_PRINCIPAL", principal) && has(&bytes, "PRIMCS_MS", "7"));
        assert!(has(&bytes, "PRIORITY", "4") && has(&bytes, "PRIMCS_LOST", "3"));
    }

    #[test]
    fn a_value_is_cut_so_that_the_entry_goes_into_one_datagram() {
        let long = "\u{1f600}".repeat(10 * MOST_VALUE);
        let (_, bytes) = logged(|| tracing::info!(long, "run"));
        assert!(has(&bytes, "PRIMCS_LONG", &"\u{1f600}".repeat(MOST_VALUE)));
    }
}
