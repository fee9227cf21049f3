//! From what was seen to one finding for each check of the table. Nothing is claimed that was not
//! seen: what comes after the step that failed was not checked.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde::Serialize;

use crate::wire::{Counted, ProbeReport, Unable, Welcome};

use super::advice;
use super::amount::bytes;
use super::checks::{self, CHECKS, Check};
use super::facts::Facts;

/// How it stands with one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// As it should be.
    Ok,
    /// No run can be confined because of it.
    Failed,
    /// Runs are confined, and this is weaker than it could be.
    Missing,
    /// Something before it failed.
    NotChecked,
}

/// One check of the table on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) id: &'static str,
    pub(super) status: Status,
    pub(super) seen: String,
    pub(super) means: &'static str,
    pub(super) fix: Option<String>,
}

/// What a start came to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The supervisor has said welcome.
    Started {
        welcome: Box<Welcome>,
        probe: ProbeReport,
        /// What came of a program that goes on: absent when it was stopped as it should be.
        wall: Result<(), String>,
    },
    /// There is no supervisor.
    Refused(Unable),
}

impl Outcome {
    fn probe(&self) -> Option<&ProbeReport> {
        match self {
            Self::Started { probe, .. } => Some(probe),
            Self::Refused(unable) => unable.probe.as_ref(),
        }
    }

    /// Id of the check at which all ended, when it did before the walls were touched.
    fn ended_at(&self) -> Option<&'static str> {
        let step = match self {
            Self::Started { probe, .. } => probe.failed_step.as_ref(),
            Self::Refused(unable) => unable.step.as_ref(),
        };
        let finished = |probe: &ProbeReport| !probe.failed.iter().any(|id| id == "run.probe");
        match (self, step) {
            // It came to its end, and says itself what did not hold.
            (Self::Refused(Unable { probe: Some(probe), .. }), None) if finished(probe) => None,
            (Self::Started { probe, .. }, None) => {
                let nothing = probe.text.is_empty() && probe.problem.is_some();
                nothing.then_some("run.probe")
            }
            (Self::Refused(unable), None) => {
                Some(checks::find(&unable.check).map_or("step.spawner", |check| check.id))
            }
            // A start names its own checks; a step of the kernel's is more exact.
            (Self::Refused(unable), Some(_)) if unable.check.starts_with("start.") => {
                checks::find(&unable.check).map(|check| check.id)
            }
            (Self::Refused(unable), Some(_)) if unable.check.starts_with("cgroup.") => {
                Some("cgroup.limits")
            }
            (_, Some(step)) => Some(advice::check_of(&step.step)),
        }
    }
}

/// One finding for each check.
pub(super) fn of(facts: &Facts, outcome: &Outcome) -> Vec<Finding> {
    let ended_at = outcome.ended_at();
    let end = ended_at.and_then(|id| CHECKS.iter().position(|check| check.id == id));
    let touched = outcome.probe().map(words).unwrap_or_default();
    let find = |(place, check): (usize, &'static Check)| {
        let (status, seen) = match check.id.split_once('.') {
            Some(("wall" | "limit" | "run", _)) => inside(check.id, facts, outcome, &touched),
            _ => match end {
                Some(end) if place == end => (Status::Failed, String::new()),
                Some(end) if place > end && !check.id.starts_with("host.") => {
                    (Status::NotChecked, String::new())
                }
                _ => around(check.id, facts, outcome),
            },
        };
        let mut finding = Finding { id: check.id, status, seen, means: check.means, fix: None };
        if status == Status::Failed || status == Status::Missing {
            finding.fix = Some(check.fix.to_owned());
        }
        if ended_at == Some(check.id) {
            blame(&mut finding, facts, outcome);
        } else if status == Status::Missing {
            weigh(&mut finding, facts);
        }
        finding
    };
    CHECKS.iter().enumerate().map(find).collect()
}

/// What would be better here, where the table names more than one way.
fn weigh(finding: &mut Finding, facts: &Facts) {
    let has = |controller: &str| facts.controllers.iter().any(|one| one == controller);
    let fix = match finding.id.split_once('.') {
        Some(("cgroup", "limits")) => advice::for_cgroups(&finding.seen, facts),
        Some(("cgroup", controller)) if has(controller) => "that of cgroup.limits".to_owned(),
        Some(("limit", _)) => "that of cgroup.limits".to_owned(),
        Some(("wall", "landlock")) => "that of host.landlock".to_owned(),
        Some(("host", "ids")) => "run primcs as a service of root".to_owned(),
        _ => return,
    };
    finding.fix = Some(fix);
}

/// What is known of the check at which all ended.
fn blame(finding: &mut Finding, facts: &Facts, outcome: &Outcome) {
    let (problem, step, next) = match outcome {
        Outcome::Started { probe, .. } => {
            (probe.problem.clone().unwrap_or_default(), probe.failed_step.as_ref(), None)
        }
        Outcome::Refused(unable) => {
            (unable.problem.clone(), unable.step.as_ref(), unable.next.clone())
        }
    };
    finding.status = Status::Failed;
    if finding.id == "cgroup.limits" {
        finding.fix = Some(advice::for_cgroups(&problem, facts));
    } else {
        let by_step = step.and_then(|step| advice::fix(finding.id, step, facts));
        finding.fix = next.or(by_step).or(finding.fix.take());
    }
    finding.seen = problem;
}

/// The probe's lines by id.
fn words(probe: &ProbeReport) -> BTreeMap<&str, &str> {
    probe.text.lines().filter_map(|line| line.split_once(' ')).collect()
}

/// Checks of which a run, or what counts it, has to tell.
fn inside(
    id: &str,
    facts: &Facts,
    outcome: &Outcome,
    touched: &BTreeMap<&str, &str>,
) -> (Status, String) {
    let not_checked = (Status::NotChecked, String::new());
    let Some(probe) = outcome.probe() else { return not_checked };
    let finished =
        !probe.text.is_empty() && !probe.failed.iter().any(|failed| failed == "run.probe");
    match (id, touched.get(id)) {
        ("wall.landlock", Some(_)) if facts.landlock.is_none() => {
            (Status::Missing, "this kernel has no Landlock".to_owned())
        }
        (_, Some(&"held")) => (Status::Ok, String::new()),
        (_, Some(seen)) => (Status::Failed, (*seen).to_owned()),
        ("run.probe" | "run.empty", None) if finished => (Status::Ok, String::new()),
        // Then the step is to blame.
        ("run.probe", None) if probe.failed_step.is_some() => not_checked,
        ("run.probe", None) => (Status::Failed, probe.problem.clone().unwrap_or_default()),
        ("limit.wall", None) => match outcome {
            Outcome::Started { wall: Ok(()), .. } => (Status::Ok, String::new()),
            Outcome::Started { wall: Err(seen), .. } => (Status::Failed, seen.clone()),
            Outcome::Refused(_) => not_checked,
        },
        ("limit.memory" | "limit.pids" | "limit.cpu", None) if finished => match &probe.counted {
            Some(counted) => (
                if probe.failed.iter().any(|failed| failed == id) {
                    Status::Failed
                } else {
                    Status::Ok
                },
                count(id, counted),
            ),
            None => (Status::Missing, "no cgroup limits it".to_owned()),
        },
        _ => not_checked,
    }
}

fn count(id: &str, counted: &Counted) -> String {
    match id {
        "limit.memory" if counted.out_of_memory => "a run was killed for memory".to_owned(),
        "limit.memory" => "a run took more than its memory and was not killed".to_owned(),
        "limit.pids" => format!("{} refused", counted.pids_refused),
        _ => {
            let Counted { cpu_periods, cpu_throttled, .. } = counted;
            let busy = if *cpu_throttled == 0 && *cpu_periods > 0 {
                "; the host is too busy for a run to use its ration up"
            } else {
                ""
            };
            format!("rationed in {cpu_periods} periods, used up in {cpu_throttled}{busy}")
        }
    }
}

/// Checks of the host and of what a start needs, once it is known that they did not fail.
fn around(id: &str, facts: &Facts, outcome: &Outcome) -> (Status, String) {
    let welcome = match outcome {
        Outcome::Started { welcome, .. } => Some(welcome),
        Outcome::Refused(_) => None,
    };
    let ok = |seen: String| (Status::Ok, seen);
    let unless =
        |missing: bool, seen: String| (if missing { Status::Missing } else { Status::Ok }, seen);
    match id {
        "host.kernel" => ok(facts.kernel.clone()),
        "host.lsm" if facts.lsm.is_empty() => ok("the list cannot be read".to_owned()),
        "host.lsm" => ok(facts.lsm.clone()),
        "host.container" => {
            let container = facts.container.as_deref().unwrap_or("no container seen");
            ok(format!("{container}, {}systemd", if facts.systemd { "" } else { "no " }))
        }
        "host.filter" => ok(if facts.filtered { "one" } else { "none" }.to_owned()),
        "host.user_namespaces" => user_namespaces(facts),
        "host.capabilities" if facts.rootless => ok("a plain user needs none".to_owned()),
        "host.capabilities" if facts.lacks.is_empty() => {
            let without = ", without CAP_SYS_RESOURCE: limits are only lowered";
            ok(format!("all that are needed{}", if facts.may_raise { "" } else { without }))
        }
        "host.capabilities" => (Status::Missing, format!("without {}", facts.lacks.join(", "))),
        "host.open_files" => unless(facts.open_files < 4096, facts.open_files.to_string()),
        "host.memory" => ok(bytes(facts.memory)),
        "host.swap" if facts.swap == 0 => ok("none".to_owned()),
        "host.swap" => ok(bytes(facts.swap)),
        "host.clock" => unless(
            !facts.clock_is_sane,
            if facts.clock_is_sane { "" } else { "before this program was made" }.to_owned(),
        ),
        "host.core_dumps" => core_dumps(facts),
        "step.user_namespace" if !facts.rootless => ok("root needs none of its own".to_owned()),
        "host.ids" if facts.rootless => {
            (Status::Missing, format!("all runs have the id of user {}", facts.uid))
        }
        "host.landlock" => facts.landlock.map_or_else(
            || (Status::Missing, "this kernel has no Landlock".to_owned()),
            |abi| ok(format!("ABI {abi}")),
        ),
        "start.state_dir" => state_dir(facts),
        "start.interpreter" => welcome.map_or_else(
            || ok(String::new()),
            |welcome| {
                ok(format!(
                    "Python {} at {}",
                    welcome.interpreter.version, welcome.interpreter.path
                ))
            },
        ),
        "start.copy" => welcome.map_or_else(|| ok(String::new()), |welcome| ok(left_out(welcome))),
        "start.room" => welcome.map_or_else(
            || ok(String::new()),
            |welcome| ok(format!("{} runs at once", welcome.max_runs)),
        ),
        _ => match id.split_once('.') {
            Some(("cgroup", controller)) => cgroup(controller, facts, welcome.map(|one| &**one)),
            _ => ok(String::new()),
        },
    }
}

/// Files of the policy that this host does not have, and that runs therefore lack.
fn left_out(welcome: &Welcome) -> String {
    let notes = welcome.notes.iter().filter(|note| note.starts_with("not in runs"));
    notes.cloned().collect::<Vec<_>>().join("; ")
}

fn user_namespaces(facts: &Facts) -> (Status, String) {
    let switches = [
        ("user.max_user_namespaces", facts.max_user_namespaces),
        ("kernel.unprivileged_userns_clone", facts.unprivileged_userns),
        ("kernel.apparmor_restrict_unprivileged_userns", facts.apparmor_restrict),
    ];
    let seen = switches.iter().filter_map(|(name, value)| Some(format!("{name}={}", (*value)?)));
    let closed = facts.max_user_namespaces == Some(0)
        || facts.unprivileged_userns == Some(0)
        || (facts.rootless && facts.apparmor_restricts());
    let status = if closed { Status::Missing } else { Status::Ok };
    (status, seen.collect::<Vec<_>>().join(", "))
}

fn core_dumps(facts: &Facts) -> (Status, String) {
    let limit = match facts.core {
        libc::RLIM_INFINITY => "no hard limit".to_owned(),
        limit => format!("hard limit {limit}"),
    };
    let piped = if facts.core_pattern.starts_with('|') { "a program" } else { "a file" };
    (Status::Ok, format!("core_pattern names {piped}, {limit}"))
}

fn state_dir(facts: &Facts) -> (Status, String) {
    let Some((folder, kind, free)) = &facts.state else { return (Status::Ok, String::new()) };
    let seen = format!("{}, {kind}, {} free", folder.display(), bytes(*free));
    (if *free < LITTLE { Status::Missing } else { Status::Ok }, seen)
}

/// The private copy takes about half of it, and a new one is made beside the old.
const LITTLE: u64 = 256 << 20;

fn cgroup(controller: &str, facts: &Facts, welcome: Option<&Welcome>) -> (Status, String) {
    let is_there = facts.controllers.iter().any(|one| one == controller);
    match welcome {
        Some(welcome) if welcome.limits.hard => (Status::Ok, welcome.cgroup_layout.clone()),
        Some(Welcome { no_cgroups: Some(why), .. }) if controller == "limits" => {
            (Status::Missing, why.clone())
        }
        _ if controller == "limits" => (Status::Ok, String::new()),
        None if is_there => (Status::Ok, String::new()),
        _ if is_there => (Status::Missing, "here, and not usable: see cgroup.limits".to_owned()),
        _ => (Status::Missing, "not here: neither mounted nor delegated".to_owned()),
    }
}

#[cfg(test)]
mod tests;
