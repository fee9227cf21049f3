//! `primcs doctor`: starts the supervisor as a server would, has it confine runs, and says of each
//! check of its table how it stands here, what that means and what mends it. It believes nothing
//! but what was done; what it reads of the host only explains.
#![forbid(unsafe_code)]

mod advice;
mod amount;
mod checks;
mod engine;
mod facts;
mod findings;
mod reached;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::causes;
use crate::settings;
use crate::wire::Unable;

use super::Failure;
use super::arguments::DoctorArguments;
use super::assemble;
use super::health;
use super::host::{self, Host, HostError};
use super::log::Usual;
use super::printed;
use super::start::StartError;
use super::supervisor_client::ConnectError;

use facts::{Before, Facts};
use findings::{Outcome, Status};

pub(super) fn run(arguments: &DoctorArguments) -> Result<ExitCode, Failure> {
    if arguments.checks {
        printed::print(&checks::page()).map_err(Failure::Write)?;
        return Ok(ExitCode::SUCCESS);
    }
    let before = Before::look();
    // Where there are no cgroups all else is examined all the same; the verdict says what it lacks.
    let config = arguments.host.config.as_deref();
    let host = Host::split_softly(arguments.host.settings(), config, Usual::Problems);
    let in_force = host.as_ref().map(|host| host.settings.clone()).unwrap_or_default();
    let usual = || settings::default_state_dir(before.is_root(), host::environment);
    let named = in_force.state_dir.clone().or_else(|| arguments.host.state_dir.clone());
    let mut facts = Facts::look(before, &in_force, named.or_else(usual).as_deref());
    let outcome = match host.and_then(Host::connect) {
        Ok(connected) => {
            let welcome = Box::new(connected.welcome.clone());
            let (probe, reached) =
                assemble::with_runtime(connected, Duration::ZERO, |assembled| async move {
                    let probe = health::ask(&assembled.runner.supervisor, false).await;
                    (probe, reached::limits(&assembled).await)
                })?;
            facts.be_of_supervisor(welcome.rootless);
            Outcome::Started { welcome, probe, reached }
        }
        Err(HostError::Connect(ConnectError::Unable(unable))) => {
            facts.be_of_supervisor(unable.rootless);
            Outcome::Refused(*unable)
        }
        Err(error) => Outcome::Refused(before_the_supervisor(error)),
    };
    show(arguments, &facts, &outcome)
}

/// Before privilege is given up: what only the process that was started knows.
pub(super) fn look_before() {
    let _for_later = Before::look();
}

/// The one thing that mends a start that the supervisor refused under these settings.
pub(super) fn next(unable: &Unable, settings: &settings::Settings) -> Option<String> {
    let mut facts = Facts::look(Before::look(), settings, None);
    facts.be_of_supervisor(unable.rootless);
    let findings = findings::of(&facts, &Outcome::Refused(unable.clone()));
    findings.into_iter().find(|finding| finding.status == Status::Failed)?.fix
}

fn show(
    arguments: &DoctorArguments,
    facts: &Facts,
    outcome: &Outcome,
) -> Result<ExitCode, Failure> {
    let findings = findings::of(facts, outcome);
    let verdict = report::Verdict::of(&findings, outcome, facts.allows_soft_limits);
    let text = if arguments.json {
        let value: Value = report::json(&findings, outcome, verdict);
        format!("{value}\n")
    } else if arguments.quiet {
        report::short(&findings, outcome, verdict)
    } else {
        report::text(&findings, outcome, verdict)
    };
    printed::print(&text).map_err(Failure::Write)?;
    Ok(ExitCode::from(verdict.exit_status()))
}

/// A start that failed on our own side of the line, as the supervisor would say it.
fn before_the_supervisor(error: HostError) -> Unable {
    let check = match &error {
        // Root of a user namespace with one id, or root without what it takes to become another.
        HostError::Start(StartError::Drop { .. }) => "host.capabilities",
        HostError::Start(StartError::Spawn { source, .. })
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            "step.devices"
        }
        HostError::Start(_) => "start.programs",
        HostError::Settings(_) | HostError::Log(_) | HostError::UnknownVariable { .. } => {
            "start.settings"
        }
        HostError::Policy(_) => "start.policy",
        HostError::Connect(ConnectError::Version { .. } | ConnectError::Policy { .. }) => {
            "start.one_package"
        }
        HostError::Connect(_) => "step.nursery",
    };
    let problem = causes::with_causes(&error);
    let next = super::next(&Failure::Host(error));
    let rootless = !Before::look().is_root();
    Unable { check: check.to_owned(), problem, next, step: None, probe: None, rootless }
}
