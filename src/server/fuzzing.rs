//! What fuzz/ reaches of this half: only in builds with `--cfg fuzzing`, which no program that people
//! run is. The code behind it is the one that serves; nothing here decides anything.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser as _;
use http::{HeaderMap, Uri};
use serde_json::{Map, Value};

use crate::settings::Settings;

use super::arguments::{Arguments, Command};
use super::http::Guard;
use super::tool::{self, CallRules};
use super::{start, terminal};

/// A call that would run.
#[derive(Debug)]
pub struct Admitted {
    /// As the supervisor would get it.
    pub code: String,
    /// As the supervisor would get it.
    pub timeout: Option<Duration>,
}

/// Checks the arguments of the tool; the refusal as a client would read it.
pub fn admit(
    arguments: &Map<String, Value>,
    most_characters: usize,
    timeout_ceiling: Duration,
) -> Result<Admitted, String> {
    let rules = CallRules { most_characters, timeout_ceiling, default_timeout: None };
    match tool::parse(arguments, &rules) {
        Ok(call) => Ok(Admitted { code: call.code, timeout: call.timeout }),
        Err(error) => Err(format!("{}: {}. {}", error.code, error.message, error.next)),
    }
}

/// Code without the indentation that its lines share.
#[must_use]
pub fn dedent(code: &str) -> String {
    super::dedent::dedent(code)
}

/// The allow lists of the HTTP door.
#[derive(Debug)]
pub struct Door(Guard);

impl Door {
    /// From the settings; the refusal as an operator would read it.
    pub fn new(
        listen: SocketAddr,
        public_url: Option<&str>,
        hosts: &[String],
        origins: &[String],
    ) -> Result<Self, String> {
        let guard = Guard::new(listen, public_url, hosts, origins, None);
        guard.map(Self).map_err(|error| error.to_string())
    }

    /// Whether such a request is answered.
    #[must_use]
    pub fn answers(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        self.0.check(uri, headers).is_ok()
    }
}

/// A command line of `primcs` that starts a supervisor.
#[derive(Debug)]
pub struct Understood {
    /// What the flags say.
    pub settings: Settings,
    /// The configuration file that they name.
    pub config: Option<PathBuf>,
    /// The command line that the supervisor would get.
    pub told: Vec<OsString>,
}

/// Reads a command line; `None` for commands that start nothing, and the refusal as it is printed.
pub fn command_line(words: Vec<OsString>) -> Result<Option<Understood>, String> {
    let arguments = Arguments::try_parse_from(words).map_err(|error| error.to_string())?;
    let (settings, config) = match arguments.command {
        Command::Serve(arguments) => (arguments.settings(), arguments.host.config),
        Command::Stdio(host) => (host.settings(), host.config),
        Command::Run(arguments) => (arguments.host.settings(), arguments.host.config),
        Command::Doctor(arguments) => (arguments.host.settings(), arguments.host.config),
        Command::Policy(_) | Command::Config(_) => return Ok(None),
    };
    let told = start::supervisor_arguments(&settings, config.as_deref());
    Ok(Some(Understood { settings, config, told }))
}

/// Output of a run as it would reach a terminal, when it comes in these pieces.
#[must_use]
pub fn on_a_terminal(pieces: &[&str]) -> String {
    let mut filter = terminal::TerminalFilter::default();
    pieces.iter().map(|piece| filter.pass(piece).to_string()).collect()
}
