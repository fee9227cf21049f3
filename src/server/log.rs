//! The log on stderr: for people on a terminal, JSON otherwise. Both writers escape control
//! characters in what they are given, so that no text of a caller can draw on a terminal.
#![forbid(unsafe_code)]

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

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
    // Told by `eprintln!`, an error of writing the log would be a panic in whatever task logged.
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
