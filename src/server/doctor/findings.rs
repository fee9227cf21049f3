//! From what was seen to one finding for each check of the table. Nothing is claimed that was not
//! seen: what comes after the step that failed was not checked.
#![forbid(unsafe_code)]

mod around;
mod inside;

use serde::Serialize;

use crate::wire::{ProbeReport, Unable, Welcome};

use super::advice;
use super::checks::{self, CHECKS, Check};
use super::facts::Facts;
use super::reached::Reached;

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
        /// What came of runs that go on beyond a limit.
        reached: Reached,
    },
    /// There is no supervisor.
    Refused(Unable),
}

impl Outcome {
    /// What the supervisor's own run came to, where there was one.
    pub(super) fn probe(&self) -> Option<&ProbeReport> {
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
        match (self, step) {
            // It came to its end, and says itself what did not hold.
            (Self::Refused(Unable { probe: Some(probe), .. }), None) if probe.is_finished() => None,
            (Self::Started { probe, .. }, None) => {
                let nothing = probe.text.is_empty() && probe.problem.is_some();
                nothing.then_some("run.probe")
            }
            (Self::Refused(unable), None) => {
                Some(checks::find(&unable.check).map_or(UNKNOWN, |check| check.id))
            }
            // A start names its own checks; a step of the kernel's is more exact.
            (Self::Refused(unable), Some(_)) if unable.check.starts_with("start.") => {
                checks::find(&unable.check).map(|check| check.id)
            }
            (Self::Refused(unable), Some(_)) if unable.check.starts_with("cgroup.") => {
                Some("cgroup.limits")
            }
            (_, Some(step)) => Some(advice::check_of(&step.step).unwrap_or(UNKNOWN)),
        }
    }
}

/// Where this program does not know the step: most of what has no check is the nursery's.
const UNKNOWN: &str = "step.nursery";

/// One finding for each check.
pub(super) fn of(facts: &Facts, outcome: &Outcome) -> Vec<Finding> {
    let ended_at = outcome.ended_at();
    let end = ended_at.and_then(|id| CHECKS.iter().position(|check| check.id == id));
    let find = |(place, check): (usize, &'static Check)| {
        let (status, seen) = match check.id.split_once('.') {
            Some(("wall" | "limit" | "run", _)) => inside::look(check.id, facts, outcome),
            _ => match end {
                Some(end) if place == end => (Status::Failed, String::new()),
                Some(end) if place > end && !check.id.starts_with("host.") => {
                    (Status::NotChecked, String::new())
                }
                _ => around::look(check.id, facts, outcome),
            },
        };
        let mut finding = Finding { id: check.id, status, seen, means: check.means, fix: None };
        if status == Status::Failed || status == Status::Missing {
            finding.fix = check.fix.map(str::to_owned);
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
    let has = |controller: &str| facts.cgroups.controllers.iter().any(|one| one == controller);
    let fix = match finding.id.split_once('.') {
        Some(("cgroup", "limits")) => advice::for_cgroups(&finding.seen, facts),
        Some(("cgroup", controller)) if has(controller) => "that of cgroup.limits".to_owned(),
        Some(("limit", _)) => "that of cgroup.limits".to_owned(),
        Some(("wall", "landlock")) => "that of host.landlock".to_owned(),
        _ => match advice::for_this_start(finding.id, facts) {
            Some(fix) => fix,
            None => return,
        },
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
    } else if finding.id == "start.interpreter" && next.is_none() {
        finding.fix = Some(advice::for_interpreter(&problem).to_owned());
    } else {
        let by_step = step.and_then(|step| advice::fix(finding.id, step, facts));
        let here = || advice::for_this_start(finding.id, facts);
        finding.fix = next.or(by_step).or_else(here).or(finding.fix.take());
    }
    finding.seen = problem;
}

#[cfg(test)]
mod tests;
