//! `primcs doctor`: starts the supervisor as a server would, shows what it says about this host and
//! has it confine one run. Exit status 0 means that a run can be confined here.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::wire::{LimitsInForce, ProbeReport, Welcome};

use super::Failure;
use super::arguments::DoctorArguments;
use super::assemble;
use super::health;
use super::host::{Host, HostError};
use super::log::Usual;
use super::printed;
use super::supervisor_client::ConnectError;

pub(super) fn run(arguments: &DoctorArguments) -> Result<ExitCode, Failure> {
    let host =
        Host::split(arguments.host.settings(), arguments.host.config.as_deref(), Usual::Problems)?;
    let connected = match host.connect() {
        Ok(connected) => connected,
        Err(HostError::Connect(ConnectError::Unable(unable))) => {
            let (problem, next) = (unable.problem.clone(), unable.next.clone());
            let report = json!({"ready": false, "failure": problem, "next": next});
            let text = format!("FAILED  {problem}\nnext    {next}\n");
            return show(arguments.json, &report, &text, false);
        }
        Err(error) => return Err(error.into()),
    };
    let welcome = connected.welcome.clone();
    let probe = assemble::with_runtime(connected, |assembled| async move {
        health::ask(&assembled.runner.supervisor).await
    })?;
    let report = Value::Object(health::report(&welcome, &probe));
    show(arguments.json, &report, &text(&welcome, &probe), probe.problem.is_none())
}

fn show(json: bool, report: &Value, text: &str, ready: bool) -> Result<ExitCode, Failure> {
    let json = json.then(|| format!("{report}\n"));
    printed::print(json.as_deref().unwrap_or(text)).map_err(Failure::Write)?;
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(welcome: &Welcome, probe: &ProbeReport) -> String {
    let limits = &welcome.limits;
    let yes = |value: bool| if value { "yes" } else { "NO" };
    let landlock = welcome.landlock_abi.map_or_else(|| "NO".to_owned(), |abi| format!("ABI {abi}"));
    let mut lines = vec![
        format!("version      {}", welcome.version),
        format!("isolation    {}", welcome.isolation),
        format!("privilege    {}", if welcome.rootless { "rootless" } else { "root" }),
        format!("cgroups      {}", welcome.cgroup_layout),
        format!("hard limits  {}", yes(limits.hard)),
        format!("Landlock     {landlock}"),
        format!(
            "interpreter  Python {} at {}",
            welcome.interpreter.version, welcome.interpreter.path
        ),
        format!("each run     {}", each_run(limits)),
        format!("at once      {} runs", welcome.max_runs),
        format!("policy       {}", welcome.policy_digest),
    ];
    lines.extend(welcome.notes.iter().map(|note| format!("note         {note}")));
    lines.push(match &probe.problem {
        None => "ok           a run was confined and answered as it should".to_owned(),
        Some(failure) => format!("FAILED       {failure}"),
    });
    lines.join("\n") + "\n"
}

/// The numbers that hold, and what has none.
fn each_run(limits: &LimitsInForce) -> String {
    let unless_soft = |value: Option<u64>, what: &str| {
        value.map_or_else(|| format!("{what} NOT LIMITED"), |value| format!("{value} {what}"))
    };
    format!(
        "{} ms, {}, {}, {}, {} bytes and {} files of disk, {} open files",
        limits.wall_ms,
        unless_soft(limits.memory_bytes, "bytes of memory"),
        unless_soft(limits.pids, "processes"),
        unless_soft(limits.cpu_millicores, "millicores"),
        limits.disk_bytes,
        limits.disk_inodes,
        limits.open_files
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_nobody_enforces_shows_no_number() {
        let mut limits = LimitsInForce {
            hard: true,
            wall_ms: 60_000,
            memory_bytes: Some(1 << 30),
            pids: Some(128),
            cpu_millicores: Some(1000),
            disk_bytes: 1 << 29,
            disk_inodes: 65_536,
            open_files: 1024,
        };
        assert!(each_run(&limits).contains("1073741824 bytes of memory, 128 processes, 1000 mill"));
        (limits.memory_bytes, limits.pids, limits.cpu_millicores) = (None, None, None);
        let soft = each_run(&limits);
        assert_eq!(soft.matches("NOT LIMITED").count(), 3, "{soft}");
        assert!(soft.contains("60000 ms") && soft.contains("1024 open files"), "{soft}");
    }
}
