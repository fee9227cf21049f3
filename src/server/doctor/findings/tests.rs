//! Findings of made-up hosts.
#![forbid(unsafe_code)]

use super::*;
use crate::server::doctor::report::{self, Verdict};
use crate::wire::{Counted, FailedStep};

fn refused(check: &str, step: Option<(&str, i32)>) -> Outcome {
    let step = step.map(|(step, errno)| FailedStep { step: step.to_owned(), errno });
    let (check, problem) = (check.to_owned(), "said".to_owned());
    let next = check.starts_with("start.").then(|| "do this".to_owned());
    Outcome::Refused(Unable { check, problem, next, step, probe: None, rootless: false })
}

fn found<'a>(findings: &'a [Finding], id: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.id == id).unwrap()
}

#[test]
fn what_comes_before_the_failure_passed_and_what_comes_after_was_not_tried() {
    let facts = Facts::default();
    let findings = of(&facts, &refused("step.nursery", Some(("mount template /proc", 1))));
    assert_eq!(findings.len(), CHECKS.len());
    assert_eq!(found(&findings, "start.interpreter").status, Status::Ok);
    assert_eq!(found(&findings, "step.overlay").status, Status::Ok);
    let failed = found(&findings, "step.mount_proc");
    assert_eq!((failed.status, failed.seen.as_str()), (Status::Failed, "said"));
    assert!(failed.fix.as_deref().unwrap().contains("/proc/self/mountinfo"));
    for id in ["step.clone", "wall.network", "limit.memory", "run.probe"] {
        assert_eq!(found(&findings, id).status, Status::NotChecked, "{id}");
    }
}

#[test]
fn a_start_that_says_what_to_do_is_quoted() {
    let findings = of(&Facts::default(), &refused("start.state_dir", None));
    let failed = found(&findings, "start.state_dir");
    assert_eq!((failed.status, failed.fix.as_deref()), (Status::Failed, Some("do this")));
}

#[test]
fn a_wall_that_does_not_hold_is_named_and_the_others_are_not_blamed() {
    let probe = ProbeReport {
        failed: vec!["wall.root".to_owned(), "limit.pids".to_owned()],
        problem: Some("not as they should be".to_owned()),
        text: "wall.user held\nwall.root / is writable\nend\n".to_owned(),
        counted: Some(Counted { out_of_memory: true, cpu_periods: 3, ..Counted::default() }),
        ..ProbeReport::default()
    };
    let Outcome::Refused(unable) = refused("run.probe", None) else { return };
    let outcome = Outcome::Refused(Unable { probe: Some(probe), ..unable });
    let findings = of(&Facts::default(), &outcome);
    let failed: Vec<_> = findings.iter().filter(|one| one.status == Status::Failed).collect();
    let ids: Vec<_> = failed.iter().map(|finding| finding.id).collect();
    assert_eq!(ids, ["wall.root", "limit.pids"]);
    assert_eq!(found(&findings, "wall.root").seen, "/ is writable");
    assert_eq!(found(&findings, "limit.memory").status, Status::Ok);
    assert_eq!(found(&findings, "step.program").status, Status::Ok);
}

/// Of a supervisor whose gate a test took away: it has greeted, and something does not hold.
fn started(probe: ProbeReport) -> Outcome {
    let welcome = serde_json::from_value(serde_json::json!({
        "version": "1", "policy_digest": "d", "isolation": "strict", "rootless": false,
        "cgroup_layout": "v1", "timeout_ceiling_ms": 1, "max_runs": 1, "notes": [],
        "limits": { "hard": true, "wall_ms": 1, "disk_bytes": 1, "disk_inodes": 1, "open_files": 1 },
        "interpreter": { "path": "p", "version": "3" },
    }));
    Outcome::Started { welcome: Box::new(welcome.unwrap()), probe, reached: Reached::new() }
}

#[test]
fn whatever_the_supervisor_found_wrong_no_run_is_called_confined() {
    for (id, text, named) in [
        ("wall.unheard_of", "wall.unheard_of open\nend 1\n", "run.probe"),
        ("wall.landlock", "wall.landlock mknod succeeded\nend 1\n", "wall.landlock"),
        ("wall.root", "wall.user held\nend 1\n", "wall.root"),
    ] {
        let outcome = started(ProbeReport {
            failed: vec![id.to_owned()],
            problem: Some("not as they should be".to_owned()),
            text: text.to_owned(),
            ..ProbeReport::default()
        });
        let findings = of(&Facts::default(), &outcome);
        assert_eq!(found(&findings, named).status, Status::Failed, "{id}");
        let verdict = Verdict::of(&findings, &outcome, false);
        assert_eq!(verdict.exit_status(), 1, "{id}");
        assert_eq!(report::json(&findings, &outcome, verdict)["ready"], false);
        // Even if the table could not name it.
        assert_eq!(Verdict::of(&[], &outcome, false), verdict, "{id}");
    }
}

#[test]
fn hard_limits_of_cgroup_v1_are_called_weaker() {
    let held = ProbeReport { text: "wall.user held\nend 1\n".to_owned(), ..ProbeReport::default() };
    let outcome = started(held);
    let findings = of(&Facts::default(), &outcome);
    let said = report::text(&findings, &outcome, Verdict::of(&findings, &outcome, false));
    assert!(said.contains("of cgroup v1's weaker kind"), "{said}");
}

#[test]
fn soft_limits_are_told_with_or_without_leave() {
    let held = ProbeReport { text: "wall.user held\nend 1\n".to_owned(), ..ProbeReport::default() };
    let mut outcome = started(held);
    if let Outcome::Started { welcome, .. } = &mut outcome {
        welcome.limits.hard = false;
    }
    let findings = of(&Facts::default(), &outcome);
    for (allowed, status, words) in [
        (false, 3, "primcs refuses to start unless told --allow-soft-limits"),
        (true, 0, "soft limits, and you have allowed that"),
    ] {
        let verdict = Verdict::of(&findings, &outcome, allowed);
        assert_eq!(verdict.exit_status(), status);
        let said = report::short(&findings, &outcome, verdict);
        assert!(said.contains(words), "{said}");
        assert_eq!(report::json(&findings, &outcome, verdict)["verdict"], "soft_limits");
    }
}
