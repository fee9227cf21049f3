//! The unprivileged half: command line, MCP over HTTP and stdio, queue, output. Start at [`run`].
//!
//! ```text
//! fresh -> arguments -> host (start: split and drop; settings, policy; welcome) -> assemble (confine, runtime)
//!   -> doors (serve, stdio) -> http | stdio -> mcp -> tool -> run -> supervisor_client
//!   -> cli_run | doctor        output, live -> progress        result -> readable
//! ```
//!
//! Trusts the supervisor and the operator; nothing that a client or a run says.
#![forbid(unsafe_code)]

mod arguments;
mod assemble;
mod cli_run;
mod dedent;
mod doctor;
mod doors;
mod error;
mod explain;
mod first_screen;
mod fresh;
#[cfg(fuzzing)]
pub mod fuzzing;
mod health;
mod hints;
mod host;
mod http;
mod live;
mod log;
mod mcp;
mod metrics;
mod notes;
mod output;
mod policy_check;
mod policy_files;
mod principal;
mod printed;
mod progress;
mod queue;
mod readable;
mod result;
mod run;
mod schema;
mod scope;
mod screen;
mod self_confine;
mod start;
mod stdio;
mod stopping;
mod supervisor_client;
mod terminal;
mod token;
mod tool;
mod weaken;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::causes::with_causes;
use crate::settings::SettingsError;

use arguments::{Arguments, Command};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Host(#[from] host::HostError),
    #[error(transparent)]
    Assemble(#[from] assemble::AssembleError),
    #[error(transparent)]
    Door(#[from] doors::DoorError),
    #[error(transparent)]
    Run(#[from] cli_run::RunError),
    #[error(transparent)]
    Explain(#[from] crate::policy::explain::UnknownName),
    #[error(transparent)]
    Check(#[from] policy_check::CheckError),
    #[error("cannot write")]
    Write(#[source] io::Error),
}

/// The command line, for who writes manuals and completions of it.
#[must_use]
pub fn command_line() -> clap::Command {
    Arguments::command()
}

/// What `primcs config default` prints.
#[must_use]
pub fn default_configuration() -> &'static str {
    explain::DEFAULT_FILE
}

/// Does what the command line says; the exit status is for the shell.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    if let Err(error) = fresh::forget_the_starter() {
        drop(writeln!(
            io::stderr(),
            "primcs: cannot start again with a clean environment: {error}; is /proc mounted?"
        ));
        return ExitCode::FAILURE;
    }
    let command = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments.command,
        Err(error) => {
            // Nothing can be done about a closed stderr.
            drop(error.print());
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let failed = if matches!(command, Command::Run(_)) { cli_run::FAILED } else { 1 };
    let done = match command {
        Command::Serve(arguments) => doors::serve(&arguments),
        Command::Stdio(arguments) => doors::stdio(&arguments),
        Command::Run(arguments) => cli_run::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Policy(command) => explain::policy(&command),
        Command::Config(command) => explain::config(&command),
    };
    done.unwrap_or_else(|failure| {
        drop(writeln!(io::stderr(), "primcs: {}", printed::harmless(&told(&failure))));
        ExitCode::from(failed)
    })
}

/// The failure with its causes, once, and the next thing to do where somebody said one.
fn told(failure: &Failure) -> String {
    let mut text = with_causes(failure);
    if let Some(next) = next(failure) {
        text = format!("{text}\nnext: {next}");
    }
    text
}

fn next(failure: &Failure) -> Option<String> {
    use host::HostError;
    if let Failure::Check(policy_check::CheckError::Trust(error)) = failure {
        return Some(error.next());
    }
    let Failure::Host(failure) = failure else { return None };
    match failure {
        HostError::Connect(supervisor_client::ConnectError::Unable(unable)) => unable.next.clone(),
        HostError::Start(start::StartError::Join { .. }) => Some(
            "systemctl start primcs-supervisor.socket; only root and the user primcs may connect"
                .to_owned(),
        ),
        HostError::Start(start::StartError::Supervisor(error))
        | HostError::Settings(SettingsError::Trust(error))
        | HostError::Policy(policy_files::PolicyFilesError::Trust(error)) => Some(error.next()),
        HostError::Connect(_)
        | HostError::Start(_)
        | HostError::Settings(_)
        | HostError::Policy(_)
        | HostError::UnknownVariable { .. }
        | HostError::Log(_) => None,
    }
}
