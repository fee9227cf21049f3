//! Checks of which a run, or what counts it, has to tell.
#![forbid(unsafe_code)]

use crate::wire::{Counted, ProbeReport};

use super::super::checks;
use super::super::facts::Facts;
use super::{Outcome, Status};

/// How it stands with this check, and what was seen.
pub(super) fn look(id: &str, facts: &Facts, outcome: &Outcome) -> (Status, String) {
    let not_checked = (Status::NotChecked, String::new());
    let judged = |reached: &Result<String, String>| match reached {
        Ok(seen) => (Status::Ok, seen.clone()),
        Err(seen) => (Status::Failed, seen.clone()),
    };
    if let Outcome::Started { reached, .. } = outcome
        && let Some(reached) = reached.get(id)
    {
        return judged(reached);
    }
    let Some(probe) = outcome.probe() else { return not_checked };
    let finished = !probe.text.is_empty() && probe.is_finished();
    let has_failed = probe.failed.iter().any(|failed| failed == id);
    let mut said = probe.text.lines().filter_map(|line| line.split_once(' '));
    match (id, said.rfind(|(about, _)| *about == id)) {
        ("wall.landlock", Some((_, "held"))) if facts.landlock.is_none() => {
            (Status::Missing, "this kernel has no Landlock".to_owned())
        }
        (_, Some((_, "held"))) => (Status::Ok, String::new()),
        (_, Some((_, seen))) => (Status::Failed, seen.to_owned()),
        ("run.probe", None) if finished && names_only_checks(probe) => (Status::Ok, String::new()),
        // Then the step is to blame.
        ("run.probe", None) if probe.failed_step.is_some() => not_checked,
        ("run.probe", None) => (Status::Failed, probe.problem.clone().unwrap_or_default()),
        ("limit.memory" | "limit.pids" | "limit.cpu", None) if finished => match &probe.counted {
            Some(counted) if has_failed => (Status::Failed, count(id, counted)),
            Some(counted) => (Status::Ok, count(id, counted)),
            None => (Status::Missing, "no cgroup limits it".to_owned()),
        },
        (_, None) if has_failed => (Status::Failed, "the probe said nothing of it".to_owned()),
        _ => not_checked,
    }
}

/// Otherwise something failed that has no line in the table, and would go unnamed.
fn names_only_checks(probe: &ProbeReport) -> bool {
    probe.failed.iter().all(|id| checks::find(id).is_some())
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
