//! The log: for people on a terminal, fields of the journal under systemd, JSON on stderr otherwise.
//! The writers to stderr escape control characters in what they are given, so that no text of a
//! caller can draw on a terminal; what reads the journal does so itself.
#![forbid(unsafe_code)]

mod journal;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How much is said when nobody chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usual {
    /// A server: every run. rmcp reports every connection at `info`.
    Events,
    /// A command for people: only what is wrong.
    Problems,
}

impl Usual {
    const fn filter(self) -> &'static str {
        match self {
            Self::Events => "info,rmcp=warn",
            Self::Problems => "warn",
        }
    }

    /// A server whose stderr is kept by somebody wants a record of each run there. A command has
    /// its result in front of whoever called it, and people have no use for JSON.
    pub(super) fn wants_audit(self) -> bool {
        self == Self::Events && !std::io::stderr().is_terminal()
    }
}

/// The filter text cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("`{filter}` is no log filter; try `info` or `primcs=debug`")]
pub(super) struct LogError {
    filter: String,
    #[source]
    source: tracing_subscriber::filter::ParseError,
}

/// Call once, before anything is logged.
pub(super) fn start(filter: Option<&str>, usual: Usual) -> Result<(), LogError> {
    let filter = filter.unwrap_or(usual.filter());
    let parsed = EnvFilter::try_new(filter)
        .map_err(|source| LogError { filter: filter.to_owned(), source })?;
    if let Some(journal) = journal::Journal::of_this_process() {
        drop(tracing_subscriber::registry().with(parsed).with(journal).try_init());
        return Ok(());
    }
    // Whoever reads the log may go away; its writer would answer that with a panic of its own.
    let log = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let started = if std::io::stderr().is_terminal() {
        log.with_target(false).try_init()
    } else {
        log.json().flatten_event(true).try_init()
    };
    // Only a second call can fail, and the first one's log is as good.
    drop(started);
    Ok(())
}
